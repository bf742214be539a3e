#pragma once

/// Router: carries the requests of this core's connections to the shards of other cores, and what
/// became of them back. One per core, and both ends of it: it encodes requests straight into the
/// batch for the core that has the shard, and executes what other cores send for the shards here.
///
///     connection -> batch -> mailbox -> ReplicaSet of the owner -> batch -> mailbox -> connection
///
/// Batches gather during a turn and leave at its end. Only copies cross: no pointer to a key or a
/// value does, and a batch goes back to the core that made it. A turn does so much of what other
/// cores sent and no more; of a batch that is longer the rest is for the next turns.
///
/// Order: what this core sends for one shard is executed there in the order in which it was sent.
/// A read is executed behind the writes before it when it says so, and else at once.
///
/// Bounds: a connection has no more than client.pipeline_max requests and pipeline_bytes_max bytes
/// under way. While another core does not take what is there for it, congested() asks connections
/// to begin nothing new; they are marked when that is over.
///
/// Owner core only.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/node/internal_waiter.h"
#include "engine/replica/replica_set.h"
#include "io/reactor.h"

namespace kv {

/// What became of one request, whichever core executed it. Views are valid during the call.
class RouteHandler {
public:
    virtual void on_applied(const Waiter& waiter, const Store::Applied& result) noexcept = 0;
    /// Nothing was done, for this reason; or nobody knows: `commit_timeout`.
    virtual void on_refused(const Waiter& waiter, Refused refusal) noexcept = 0;
    virtual void on_read(const Waiter& waiter,
                         const std::optional<Store::Found>& found) noexcept = 0;
    /// Reads of this core that waited: ReplicaSet's AppliedHandler.
    virtual void on_readable(const Waiter& waiter, const Store& store) noexcept = 0;
    /// Other cores take requests again.
    virtual void on_uncongested() noexcept = 0;

protected:
    ~RouteHandler() = default;
};

class Router final : private AppliedHandler, private io::MessageReceiver, private io::TurnHook {
public:
    /// Kinds of messages (io/mailboxes.h) that routers use; what else the node sends comes behind.
    static constexpr std::uint32_t requests_kind = 1;  ///< payload: a Batch of requests
    static constexpr std::uint32_t answers_kind = 2;   ///< payload: a Batch of answers
    static constexpr std::uint32_t returned_kind = 3;  ///< payload: the receiver's Batch, empty
    static constexpr std::uint32_t first_free_kind = 4;

    /// A batch is closed when it has this many bytes; a longer request has one of its own.
    static constexpr std::size_t batch_bytes = std::size_t{64} << 10;
    /// Memory that an empty batch keeps.
    static constexpr std::size_t kept_batch_bytes_max = 4 * batch_bytes;
    /// Memory that all empty batches keep; what a burst took beyond is given back.
    static constexpr std::size_t free_bytes_max = 16 * batch_bytes;

    Router(io::Reactor& reactor, ReplicaSet& replicas, RouteHandler& handler);
    Router(const Router&) = delete;
    ~Router();

    bool is_here(ShardId shard) const noexcept { return replicas_.has(shard); }
    /// For a shard of another core: the handler will hear of `waiter`.
    void propose(ShardId shard, const Command& command, const Waiter& waiter);
    struct Reading {
        bool behind_writes = false;  ///< behind what was proposed to the shard so far
        bool wants_value = true;     ///< else the one found is empty
        bool unconfirmed = false;    ///< at once, whoever leads: what is there may be old
    };
    /// The same for a read.
    void read(ShardId shard, std::string_view key, Reading how, const Waiter& waiter);
    /// Another core has not taken what is there for it.
    bool congested() const noexcept { return congested_; }
    /// Memory of all batches of this core, wherever they are. Empty ones that are kept count, those
    /// that another core is reading do not.
    std::size_t buffer_bytes() const noexcept { return free_bytes_; }
    /// Requests of other cores that are not answered yet.
    std::uint64_t pending() const noexcept { return pending_; }
    /// Answered to other cores, ever.
    std::uint64_t answer_bytes() const noexcept { return answer_bytes_; }

private:
    struct Batch {
        std::string bytes;
        std::size_t taken = 0;  ///< of bytes, by the core that reads it
        std::size_t place = 0;  ///< in batches_
    };
    struct RequestHeader;
    struct AnswerHeader;
    /// A read of another core that waits for writes.
    struct WaitingRead {
        Waiter origin;
        std::string key;
        bool wants_value = true;
    };
    struct Peer {
        Batch* requests = nullptr;  ///< open
        Batch* answers = nullptr;   ///< open
    };

    // AppliedHandler
    void on_applied(std::span<const Applied> applied) noexcept override;
    void on_readable(const Replica& replica, std::span<const Waiter> readers) noexcept override;
    void on_dropped(const Replica& replica, std::span<const Waiter> waiters,
                    Errc reason) noexcept override;
    void on_reads_dropped(const Replica& replica, std::span<const Waiter> readers,
                          Errc reason) noexcept override;
    // io::MessageReceiver
    void on_message(CoreId from, const io::Message& message) noexcept override;
    // io::TurnHook
    void at_turn_end() override;

    Peer& peer(CoreId core) noexcept { return peers_[core.value()]; }
    std::string& open_batch(Batch*& open, CoreId to, std::uint32_t kind);
    void next_batch(Batch*& open, CoreId to, std::uint32_t kind);
    void close_batch(Batch*& open, CoreId to, std::uint32_t kind);
    void take_back(Batch& batch);
    static std::size_t memory_of(const Batch& batch) noexcept {
        return sizeof batch + batch.bytes.capacity();
    }
    void execute(CoreId from, Batch& requests);
    void execute(const Waiter& origin, const RequestHeader& header, std::string_view payload,
                 std::uint64_t hash);
    void execute_read(const Waiter& origin, const RequestHeader& header, std::string_view key,
                      std::uint64_t hash);
    void take_answers(Batch& answers);
    void take_answer(const AnswerHeader& header, std::string_view value);
    AnswerHeader& answer(const Waiter& origin, std::string_view value);
    void give_back(WaitingRead* read);
    void answer_refusal(const Waiter& origin, Refused refusal);
    Refused refusal_by(const Replica& replica, Errc reason) const noexcept;
    void answer_read(const Waiter& origin, const std::optional<Store::Found>& found,
                     bool wants_value);

    io::Reactor& reactor_;
    ReplicaSet& replicas_;
    RouteHandler& handler_;
    const CoreId core_;
    std::vector<Peer> peers_;                      ///< by core
    std::vector<std::unique_ptr<Batch>> batches_;  ///< of this core, wherever they are
    std::vector<Batch*> free_batches_;
    std::size_t free_bytes_ = 0;  ///< memory of the free ones
    std::deque<WaitingRead> reads_;
    std::vector<WaitingRead*> free_reads_;
    std::uint64_t pending_ = 0;
    std::uint64_t answer_bytes_ = 0;
    bool congested_ = false;
};

}  // namespace kv
