#pragma once

/// How long each shard was not available: the longest time between two OK answers of it in which a
/// request of it was waiting, or had failed since the first of the two. When none waited at the
/// first of the two, the time begins with the first request that did. A request waits from the
/// moment it is to be sent (in an open loop: is due) until it is answered or given up, however
/// often it is sent meanwhile. Costs a few instructions for each request; nothing is allocated.
/// Pure.

#include <algorithm>
#include <vector>

#include "proto/base/assert.h"
#include "proto/base/units.h"

namespace kv::bench {

class ShardGaps {
public:
    explicit ShardGaps(std::size_t shards) : shards_(shards) {}

    /// A request of `shard` waits since `at`.
    void began(std::size_t shard, Instant at) noexcept {
        Shard& s = shards_[shard];
        if (s.waiting++ == 0 && !s.failed) s.since = std::max(s.since, at);
    }
    /// One that waited got an OK.
    void answered(std::size_t shard, Instant now) noexcept {
        Shard& s = shards_[shard];
        KV_DCHECK(s.waiting > 0);
        s.longest = std::max(s.longest, now - s.since);
        s.since = now;
        s.failed = false;
        --s.waiting;
    }
    /// One that waited never gets one: the shard is not available before another does.
    void failed(std::size_t shard) noexcept {
        Shard& s = shards_[shard];
        KV_DCHECK(s.waiting > 0);
        s.failed = true;
        --s.waiting;
    }
    /// One that waited is not to be sent any more: it says nothing about the shard.
    void dropped(std::size_t shard) noexcept {
        KV_DCHECK(shards_[shard].waiting > 0);
        --shards_[shard].waiting;
    }
    /// How long the shard has not been available.
    Duration silence(std::size_t shard, Instant now) const noexcept {
        const Shard& s = shards_[shard];
        return s.waiting > 0 || s.failed ? now - s.since : Duration::zero();
    }
    /// The longest of each shard up to `now`, with those that have not ended.
    std::vector<Duration> longest(Instant now) const {
        std::vector<Duration> all;
        for (std::size_t i = 0; i < shards_.size(); ++i) {
            all.push_back(std::max(shards_[i].longest, silence(i, now)));
        }
        return all;
    }

private:
    struct Shard {
        std::size_t waiting = 0;
        bool failed = false;
        Instant since;
        Duration longest{};
    };
    std::vector<Shard> shards_;
};

}  // namespace kv::bench
