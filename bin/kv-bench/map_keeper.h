#pragma once

/// Keeps the Routes of a run on a thread of its own: to ask a node that is paused or gone takes its
/// time, and no thread that makes load may wait for it.

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "bin/kv-bench/options.h"
#include "bin/kv-bench/routes.h"
#include "io/reactor.h"

namespace kv::bench {

class MapKeeper {
public:
    /// The first map is waited for so long: a cluster that just starts elects.
    static constexpr Duration first_patience = 5s;
    /// Maps are fetched so often at most.
    static constexpr Duration refresh_every = 50ms;
    /// A node has so long to connect, and as long to answer.
    static constexpr Duration node_patience = 250ms;

    MapKeeper() = default;
    MapKeeper(const MapKeeper&) = delete;
    /// Ends the thread, within the patience with one node.
    ~MapKeeper();

    /// Fetches the first map from the node at host and port, until every shard has a leader.
    /// Errors: those of client::fetch_shard_map(); `io`, a shard has no leader.
    Status start(const Options& options);

    // Of any thread.
    /// Asks all nodes for their maps, soon.
    void want_refresh() noexcept;
    /// Grows with each change.
    std::uint64_t version() const noexcept { return version_.load(std::memory_order_acquire); }
    std::shared_ptr<const Routes> routes() const;
    /// Times that the nodes were asked since the start.
    std::uint64_t refreshes() const noexcept { return refreshes_.load(std::memory_order_relaxed); }

private:
    Status begin(const Options& options, io::Reactor& reactor);
    void run(io::Reactor& reactor);
    void refresh(io::Reactor& reactor);
    Status take(const ShardMap& map);
    void publish();

    // Of the thread.
    Routes known_;
    bool unpublished_ = false;  ///< it has changed since it was published

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::shared_ptr<const Routes> routes_;
    bool wanted_ = false;
    bool stopping_ = false;
    std::optional<Status> started_;
    std::atomic<std::uint64_t> version_ = 0;
    std::atomic<std::uint64_t> refreshes_ = 0;

    std::jthread thread_;  ///< the last member: it uses the others until it is joined
};

}  // namespace kv::bench
