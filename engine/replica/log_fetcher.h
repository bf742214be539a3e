#pragma once

/// LogFetcher: reads entries from the log on disk for followers that fell behind, one read of the
/// core at a time, and gives them to their groups. What it cannot read, a snapshot will do for.
/// Owner core only; a part of the ReplicaSet.

#include <deque>
#include <string>

#include "consensus/drive/log_rate.h"
#include "engine/replica/log_index.h"
#include "engine/replica/replica.h"
#include "engine/wal/reader.h"
#include "io/event.h"

namespace kv {

class LogFetcher {
public:
    class Owner {
    public:
        /// Entries for a Fetch; none: they cannot be had. Views are valid during the call.
        virtual void on_fetched(ShardId shard, const consensus::Fetch& fetch,
                                std::span<const Entry> entries) noexcept = 0;

    protected:
        ~Owner() = default;
    };

    LogFetcher(io::Reactor& reactor, const wal::Wal& log, const LogIndex& index, Owner& owner);
    LogFetcher(const LogFetcher&) = delete;

    /// Replaces one for the same shard and follower that has not begun: the group has given it up.
    /// So what waits is bounded by shards and followers.
    void ask(ShardId shard, const consensus::Fetch& fetch);
    void start();
    /// Answers nothing any more; returns when no read is under way.
    io::Task<void> stop();

    struct Counters {
        std::uint64_t reads = 0;
        std::uint64_t entries = 0;
        std::uint64_t misses = 0;  ///< nothing could be read
    };
    const Counters& counters() const noexcept { return counters_; }

private:
    class Collector;
    struct Asked {
        ShardId shard;
        consensus::Fetch fetch;
    };
    io::Task<void> run();
    io::Task<void> serve(Asked asked);

    io::Reactor& reactor_;
    const LogIndex& index_;
    Owner& owner_;
    wal::Reader reader_;
    std::deque<Asked> queue_;
    io::Event wake_;
    io::Event ended_;
    consensus::LogRate log_rate_;
    bool started_ = false;
    bool stopping_ = false;
    Counters counters_;
};

}  // namespace kv
