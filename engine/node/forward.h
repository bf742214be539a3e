#pragma once

/// Forward: the part of a client's request that is for a shard which another node leads. Requests
/// that span shards are gathered here by the node that has the client: KEYS of the text and binary
/// protocols, DBSIZE, MGET, EXISTS, DEL, MSET of the extended frame. (Everything of one key is
/// redirected instead: the client asks the leader itself.) Both ends are here; one per core, owner
/// core only.
///
///     connection -> ask() ~~> on_request() of the leader's core -> its replica
///                        <~~  on_reply() of the core that asked
///
/// A request may be lost, or what became of it. Then a read fails after its limit, and a command is
/// unknown. Nothing is asked twice. Not more than asked_max requests are under way, of a core, and
/// not more than served_max of others are served: beyond, they are refused, `busy`.

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
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

class Forwarder {
public:
    static constexpr std::size_t asked_max = 4096;
    static constexpr std::size_t served_max = 4096;
    /// A list ends a page at these.
    static constexpr std::size_t page_keys_max = 1024;
    static constexpr std::size_t page_bytes_max = std::size_t{64} << 10;
    static constexpr std::uint64_t page_match_steps_max = 1'000'000;

    Forwarder(io::Reactor& reactor, ReplicaSet& replicas);
    Forwarder(const Forwarder&) = delete;
    ~Forwarder();

    /// Null, as at first: nobody can be asked.
    void set_sender(ForwardSender* sender) noexcept { sender_ = sender; }

    bool connected() const noexcept { return sender_ != nullptr; }

    /// Asks `leader` for its part. `content` is copied before this waits. Ends within `limit`.
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
    std::size_t asked() const noexcept { return asked_.size(); }
    std::size_t served() const noexcept { return served_; }

private:
    /// In the frame of ask().
    struct Asked : io::Timer {
        Asked(io::Reactor& reactor, NodeId node, ForwardKind k)
            : Timer([](io::Timer& t) noexcept { static_cast<Asked&>(t).over.set(); }),
              over(reactor),
              leader(node),
              kind(k) {}
        io::Event over;
        NodeId leader;
        ForwardKind kind;
        ForwardAnswer answer;  ///< at first: it is lost
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
    static ForwardAnswer lost(ForwardKind kind);

    io::Reactor& reactor_;
    ReplicaSet& replicas_;
    ForwardSender* sender_ = nullptr;
    std::unordered_map<std::uint64_t, Asked*> asked_;  ///< by number
    std::uint64_t numbers_;  ///< begins anywhere, so that replies to an earlier life fit nothing
    std::deque<Served> all_served_;
    std::vector<Served*> free_served_;
    std::size_t served_ = 0;
    std::string out_;
};

}  // namespace kv
