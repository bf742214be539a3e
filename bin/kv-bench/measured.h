#pragma once

/// What the threads measure, and what they tell each other.

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "bin/kv-bench/histogram.h"
#include "bin/kv-bench/reply_counter.h"
#include "proto/base/units.h"

namespace kv::bench {

class Shared {
public:
    /// The first failure is kept; it ends all threads' work.
    void fail(std::string text) {
        const std::lock_guard lock(mutex_);
        if (failed_.load(std::memory_order_relaxed)) return;
        failure_ = std::move(text);
        failed_.store(true, std::memory_order_release);
    }
    bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }
    std::string failure() const {
        const std::lock_guard lock(mutex_);
        return failure_;
    }

    /// Set from a signal handler: phases end early.
    std::atomic<bool> interrupted = false;

private:
    mutable std::mutex mutex_;
    std::string failure_;
    std::atomic<bool> failed_ = false;
};

/// What a phase has measured; merge() joins those of several threads.
struct Measured {
    Instant started = Instant::max();   ///< first send
    Instant finished = Instant::min();  ///< last reply
    /// Nanoseconds, once per request: closed loop from a batch's send to its last reply, open loop
    /// from the moment a request was due to its own reply.
    Histogram latency;
    ReplyCounts counts;
    std::uint64_t not_sent = 0;    ///< due, and never sent: the server did not keep up
    std::uint64_t unanswered = 0;  ///< sent, and given up or lost with a connection
    Duration cpu{};                ///< CPU time of the generator's threads
    // With --cluster:
    ErrorKinds retried;  ///< refused or lost, and sent again
    std::vector<Duration>
        longest_gaps;  ///< of each shard: see ShardGaps; of the threads' the longest
    std::uint64_t map_refreshes = 0;

    void merge(const Measured& other) {
        started = std::min(started, other.started);
        finished = std::max(finished, other.finished);
        latency.merge(other.latency);
        counts.merge(other.counts);
        not_sent += other.not_sent;
        unanswered += other.unanswered;
        cpu += other.cpu;
        retried.merge(other.retried);
        longest_gaps.resize(std::max(longest_gaps.size(), other.longest_gaps.size()));
        for (std::size_t i = 0; i < other.longest_gaps.size(); ++i) {
            longest_gaps[i] = std::max(longest_gaps[i], other.longest_gaps[i]);
        }
        map_refreshes += other.map_refreshes;
    }
    Duration elapsed() const noexcept {
        return counts.replies == 0 ? Duration::zero() : finished - started;
    }
};

}  // namespace kv::bench
