#pragma once

/// Requests of one thread that are on no connection: those that have not been sent yet, by node,
/// and those that were refused and are to be sent again, by shard. Bounded by who adds: see
/// ClusterLoad. Pure.

#include <deque>
#include <vector>

#include "bin/kv-bench/workload.h"
#include "proto/base/units.h"

namespace kv::bench {

class WaitingRoom {
public:
    /// What was refused is sent again after this long, doubled each time that its shard refuses
    /// again, up to the second.
    static constexpr Duration backoff_least = 2ms;
    static constexpr Duration backoff_most = 100ms;

    explicit WaitingRoom(std::size_t shards) : shards_(shards) {}

    /// `home`: the node of each shard, of `nodes`. What waits for a shard that has moved may be
    /// sent at once.
    void move(const std::vector<std::uint16_t>& home, std::size_t nodes);

    /// Not sent yet.
    void add(const OpenRequest& request);
    /// Refused at `now`, with nothing applied.
    void refused(const OpenRequest& request, Instant now);
    /// The shard takes requests: it got an OK.
    void served(std::size_t shard) noexcept {
        if (shards_[shard].backoff != Duration::zero()) shards_[shard].backoff = {};
    }

    /// Moves up to `count` requests that `node` may be sent at `now` behind those in `out`.
    void take(std::size_t node, std::size_t count, Instant now, std::vector<OpenRequest>& out);
    /// Hands over and forgets those that were not sent yet.
    std::vector<OpenRequest> take_unsent();
    /// Those of a shard that were born before `then`.
    std::vector<OpenRequest> take_older(std::size_t shard, Instant then);

    std::size_t total() const noexcept { return unsent_ + refused_; }
    std::size_t unsent() const noexcept { return unsent_; }
    std::size_t refused() const noexcept { return refused_; }
    /// For `node`.
    std::size_t of_node(std::size_t node) const noexcept {
        return nodes_[node].unsent.size() + nodes_[node].refused;
    }

private:
    struct Shard {
        std::deque<OpenRequest> refused;
        std::size_t home = 0;
        Instant retry_at;
        Duration backoff{};
        bool backs_off(Instant now) const noexcept {
            return backoff != Duration::zero() && now < retry_at;
        }
    };
    struct Node {
        std::deque<OpenRequest> unsent;
        std::vector<std::size_t> shards;  ///< that are at home here
        std::size_t refused = 0;          ///< requests of those
    };
    void keep(const OpenRequest& request);

    std::vector<Shard> shards_;
    std::vector<Node> nodes_;
    std::size_t unsent_ = 0;
    std::size_t refused_ = 0;
};

}  // namespace kv::bench
