#pragma once

/// Forward: what a client's request asks of shards that another node leads. The node that has the
/// client asks their leaders and answers in their place: for requests over several shards, and, for
/// clients that are not sent to the leader themselves ([client] on_follower), for those of one key.
/// Both ends are here; one per core, owner core only.
///
///     connection -> ask() ~~> on_request() of the leader's core -> its replica
///     on_forwarded() <- on_reply() of the core that asked   <~~
///
/// A request may be lost, or what became of it. Then a read fails after its limit, and a command is
/// unknown: it is never asked again. A request that came from another node is never passed on: who
/// does not lead its shard says so, with the leader that it knows, and whoever has the client may
/// ask there what is known not to have been applied.
///
/// Order: what one core asks of one node for one shard takes effect in the order in which it was
/// asked, as long as way_to() of the node stays the same: one connection, whose frames the other
/// end takes in their order, and a mailbox to the core of the shard, which keeps it. When the
/// connection breaks, all that was asked of the node is over at once, lost; what of it has arrived
/// is the front of what was sent. How a client's connection keeps its requests in order when their
/// way changes is told in engine/node/connection_routes.cc.
///
/// Bounds: from asked_pause requests or asked_bytes_pause bytes under way on, full() asks
/// connections to begin nothing new; beyond asked_max, and beyond served_max of other nodes, a
/// request is refused, `busy`.

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/node/forward_codec.h"
#include "engine/node/internal_waiter.h"
#include "io/event.h"
#include "proto/raft/frame.h"

namespace kv {

/// What carries forwarded requests to the other nodes: the transport of this core.
class ForwardSender {
public:
    /// The views are copied. False: it was dropped.
    virtual bool send_forward(NodeId to, const Forward& request) noexcept = 0;
    virtual bool send_forward_reply(NodeId to, const Forward& reply) noexcept = 0;
    /// A number that changes when requests may overtake earlier ones: they go another way.
    virtual std::uint64_t way_to(NodeId node) const noexcept = 0;

protected:
    ~ForwardSender() = default;
};

/// What became of a request, owned.
struct ForwardAnswer {
    std::optional<Refused> refusal;  ///< `commit_timeout`: nobody knows
    bool found = false;
    std::uint64_t number = 0;
    Revision revision;
    std::string content;
};

/// Who asks: the connections of this core.
class ForwardHandler {
public:
    virtual void on_forwarded(const Waiter& waiter, const ForwardAnswer& answer) noexcept = 0;
    /// It is not full() any more.
    virtual void on_uncongested() noexcept = 0;

protected:
    ~ForwardHandler() = default;
};

class Forwarder {
public:
    static constexpr std::size_t asked_max = 4096;
    static constexpr std::size_t asked_pause = 2048;
    static constexpr std::size_t asked_bytes_pause = std::size_t{4} << 20;
    static constexpr std::size_t served_max = 16384;
    /// A list ends a page at these.
    static constexpr std::size_t page_keys_max = 1024;
    static constexpr std::size_t page_bytes_max = std::size_t{64} << 10;
    static constexpr std::uint64_t page_match_steps_max = 1'000'000;

    Forwarder(io::Reactor& reactor, ReplicaSet& replicas);
    Forwarder(const Forwarder&) = delete;
    ~Forwarder();

    /// Null, as at first: nobody can be asked.
    void set_sender(ForwardSender* sender) noexcept { sender_ = sender; }
    /// Before the first ask() with a waiter.
    void set_handler(ForwardHandler* handler) noexcept { handler_ = handler; }

    bool connected() const noexcept { return sender_ != nullptr; }
    /// So much is under way that no connection should begin more.
    bool full() const noexcept { return full_; }
    std::uint64_t way_to(NodeId node) const noexcept { return sender_->way_to(node); }

    /// Who leads `shard`, if it is another node, as far as this core knows; 0: this one, or nobody.
    /// For shards of other cores that is what refusals have taught: it may be out of date.
    NodeId leader_elsewhere(ShardId shard) const noexcept;
    /// Of a shard of another core.
    void note_leader(ShardId shard, NodeId leader) noexcept;

    /// Asks `leader` for its part; the handler hears of `waiter` within `limit`, and not before
    /// this has returned. `content` is copied. A refusal: nothing was asked.
    std::optional<Refused> ask(NodeId leader, ShardId shard, const ForwardRequest& request,
                               Duration limit, const Waiter& waiter);
    /// The same for a coroutine. `content` is copied before this waits.
    io::Task<ForwardAnswer> ask(NodeId leader, ShardId shard, ForwardRequest request,
                                Duration limit);

    // What arrives. Views are valid during the call.
    /// For a group that this core has, or that the node does not have.
    void on_request(NodeId from, const Forward& request);
    /// To a request whose number says that it is of this core.
    void on_reply(NodeId from, const Forward& reply);
    /// What was asked of `peer`, or answered by it, may be lost.
    void disconnected(NodeId peer);

    /// Which core of this node made a request with this number.
    static CoreId core_of_request(std::uint64_t request, std::uint16_t cores) noexcept {
        return CoreId(static_cast<std::uint16_t>(request % cores));
    }
    std::size_t asked() const noexcept { return asked_; }
    std::size_t served() const noexcept { return served_; }

private:
    /// A coroutine that has asked.
    struct Waiting {
        explicit Waiting(io::Reactor& reactor) : over(reactor) {}
        io::Event over;
        ForwardAnswer answer;
    };
    /// A request that is under way, or a place for one. The timer is its limit.
    struct Asked : io::Timer {
        Asked(Forwarder& f, std::size_t p) noexcept
            : Timer([](io::Timer& t) noexcept {
                  Asked& asked = static_cast<Asked&>(t);
                  asked.forwarder.end(asked, lost(asked.kind));
              }),
              forwarder(f),
              place(p) {}
        Forwarder& forwarder;
        const std::size_t place;   ///< in all_asked_
        std::uint64_t number = 0;  ///< 0: none is under way
        NodeId leader;
        ShardId shard;
        ForwardKind kind = ForwardKind::read;
        std::size_t bytes = 0;
        Waiter waiter;
        Waiting* waiting = nullptr;  ///< who is told instead of the handler
    };
    /// A request of another node that waits for its replica.
    struct Served final : InternalWaiter {
        explicit Served(Forwarder& f) noexcept : forwarder(f) {}
        void on_applied(const Waiter& waiter, const Store::Applied& result) noexcept override;
        void on_refused(const Waiter& waiter, Refused refusal) noexcept override;
        void on_readable(const Waiter& waiter, const Store& store) noexcept override;

        Forwarder& forwarder;
        NodeId from;
        GroupId group;
        std::uint64_t number = 0;
        ForwardRequest request;
        std::string content;  ///< that `request` views
    };

    void serve(Served& served, ShardId shard);
    void answer_read(Served& served, const Store& store);
    void answer(Served& served, ForwardReply& reply);
    void refuse(Served& served, Refused refusal);
    std::optional<Refused> send(NodeId leader, ShardId shard, const ForwardRequest& request,
                                Duration limit, const Waiter& waiter, Waiting* waiting);
    void end(Asked& asked, const ForwardAnswer& answer);
    static ForwardAnswer lost(ForwardKind kind);

    io::Reactor& reactor_;
    ReplicaSet& replicas_;
    ForwardSender* sender_ = nullptr;
    ForwardHandler* handler_ = nullptr;
    std::vector<NodeId> leaders_;  ///< by shard, of other cores: who leads elsewhere
    std::deque<Asked> all_asked_;
    std::vector<std::size_t> free_asked_;  ///< places
    std::size_t asked_ = 0;
    std::size_t asked_bytes_ = 0;
    bool full_ = false;
    /// Part of the numbers; begins anywhere, so that replies to an earlier life fit nothing.
    std::uint64_t round_;
    ForwardAnswer answer_;
    std::deque<Served> all_served_;
    std::vector<Served*> free_served_;
    std::size_t served_ = 0;
    std::string out_;
};

}  // namespace kv
