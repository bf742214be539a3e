#pragma once

/// The load of one thread on a cluster: which connection is to which node, what each is sent, and
/// what becomes of what was refused or lost. A part of the Worker; its thread alone.
///
/// Every connection is bound to one node, as those of redis-benchmark --cluster are, in proportion
/// to the requests that the node's shards get. In a closed loop a connection draws keys until one
/// is at home on its node: it always has its --pipeline requests, and a node that stalls holds up
/// its own connections and no others. (To draw first, and to look for a connection then, would have
/// all of them wait for the slowest node.) Within a node keys keep their distribution. What is
/// fixed before, the requests of an open loop and the keys of --preload, is drawn first and waits
/// for a connection of its node.
///
/// Refused requests wait in the WaitingRoom and go to whoever leads their shard then, before new
/// ones. While a node is not connected, as many requests as its connections would have in flight
/// wait for it. So there are never more of a closed loop than twice --connections times --pipeline.

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "bin/kv-bench/connection.h"
#include "bin/kv-bench/map_keeper.h"
#include "bin/kv-bench/reply_counter.h"
#include "bin/kv-bench/routes.h"
#include "bin/kv-bench/shard_gaps.h"
#include "bin/kv-bench/waiting_room.h"

namespace kv::bench {

class Worker;

class ClusterLoad {
public:
    /// A node gets connections from this share of the requests on. (One of 1024: to find a key of a
    /// node that has fewer would take too long.)
    static constexpr std::uint64_t requests_sampled = 1 << 16;
    static constexpr std::uint64_t requests_least = requests_sampled / 1024;
    /// A connection draws so often to find a key of its node; then it takes any, and is redirected.
    static constexpr unsigned draws_max = 100'000;
    /// Open loop: what is due is not drawn while more than this waits.
    static constexpr std::size_t unsent_max = 1 << 20;
    /// A node that cannot be connected to is tried again after the first, doubled up to the second.
    static constexpr Duration connect_backoff_least = 10ms;
    static constexpr Duration connect_backoff_most = 200ms;
    static constexpr Duration connect_patience = 1s;
    /// How often a thread looks around while something waits.
    static constexpr Duration look_around_every = 2ms;

    /// `keeper` has a map. `connections` are the Worker's, not connected yet.
    ClusterLoad(Worker& worker, MapKeeper& keeper,
                const std::vector<std::unique_ptr<Connection>>& connections);
    ClusterLoad(const ClusterLoad&) = delete;

    /// Where `connection` is connected to, or is to be when it is not.
    const io::Endpoint& endpoint(const Connection& connection) const noexcept {
        return routes_->nodes[connection.place.at].endpoint;
    }

    void begin_phase(Instant now);
    /// Once a turn.
    void look_around(Instant now);
    /// Requests on no connection.
    std::size_t waiting() const noexcept { return room_.total(); }
    std::size_t connecting() const noexcept { return connecting_; }
    Duration wait_max() const noexcept {
        return room_.total() > 0 || !away_.empty() ? look_around_every : Duration::max();
    }
    /// What waits is not to be sent any more.
    void abandon();
    std::vector<Duration> longest_gaps(Instant now) const { return gaps_.longest(now); }

    // For the connections and the Worker.
    ReplyCounts& counts() noexcept { return counts_; }
    /// Replies to these came: counts() has them.
    void replied(Connection& connection, std::span<const OpenRequest> requests, Instant now);
    /// It is ready and idle: gets a batch, or waits for one. False: it waits.
    bool offer(Connection& connection, Instant now);
    /// `result`: a descriptor or a negated errno.
    void connected(Connection& connection, std::int32_t result);
    void ready(Connection& connection);
    /// It ended, or is given up: what is in flight gets no replies.
    void lost(Connection& connection, std::string_view kind, std::string_view why, Instant now);
    void closed(Connection& connection) { away_.push_back(&connection); }

private:
    struct Node {
        std::size_t bound = 0;  ///< connections that are to be connected to it
        std::size_t ready = 0;  ///< connections to it
        std::deque<Connection*> idle;
        Instant connect_at;
        Duration connect_backoff{};
    };

    void take_routes();
    std::vector<std::uint64_t> weigh() const;
    void bind_connections();
    void leave(Connection& connection);
    void connect_away(Instant now);
    void check_silence(Instant now);
    void give_up(std::size_t shard, Instant then);

    std::uint16_t shard_of(Operation operation, std::uint64_t key) const noexcept {
        const bool counter = operation == Operation::incr;
        return routes_->shard_of_slot[(counter ? *counter_slots_ : key_slots_).slot(key)];
    }
    OpenRequest draw(Connection& from, std::size_t node, Instant now);
    void draw_own(Connection& connection, Instant now);
    void draw_due(Instant now);
    void draw_for_the_absent(Instant now);
    void refuse(OpenRequest request, ErrorClass why, Instant now);
    /// True: the request is done with.
    bool take_error(const OpenRequest& request, const ErrorReply& error, Instant now);

    Worker& worker_;
    MapKeeper& keeper_;
    const std::vector<std::unique_ptr<Connection>>& connections_;
    KeySlots key_slots_;
    std::optional<KeySlots> counter_slots_;
    std::shared_ptr<const Routes> routes_;
    std::uint64_t version_ = 0;
    std::vector<Node> nodes_;
    std::vector<Connection*> away_;  ///< closed, to be connected
    std::size_t connecting_ = 0;
    Instant check_at_;

    // The phase that runs.
    WaitingRoom room_;
    ShardGaps gaps_;
    ReplyCounts counts_;  ///< since the last look
    std::vector<ErrorReply> errors_;
    std::vector<OpenRequest> batch_;
};

}  // namespace kv::bench
