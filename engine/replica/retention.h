#pragma once

/// Retention: which groups should have a snapshot, and which segments of the log nobody needs any
/// more. Bookkeeping only: engine/replica/snapshots.h acts on it. Pure; owner core only.
///
/// An entry pins the segment that holds it until a snapshot that includes it is marked in the log.
/// With one voter an entry that is durable is applied within a few turns. One that a snapshot came
/// too early for goes on pinning its segment until the next snapshot, so nothing ever needs to be
/// copied from an older segment.

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "proto/base/ids.h"

namespace kv {

class Retention {
public:
    struct Limits {
        /// A group is due when its entries since its last snapshot take as much of the log as its
        /// data take of memory, and at least this.
        std::uint64_t log_bytes = std::uint64_t{64} << 20;
        std::uint64_t entries = 0;  ///< or when there are so many of them; 0: any number
    };

    Retention(Limits limits, std::uint16_t shards) : limits_(limits), tails_(shards) {}

    /// An entry of `shard` is durable in `segment`. In the order of the log; it replaces any at or
    /// after its index.
    void entry(ShardId shard, Index index, SegmentSeq segment, std::uint64_t bytes);
    /// The same for one that the snapshot from which the shard was loaded includes.
    void covered_entry(ShardId shard, Index index, SegmentSeq segment);
    /// All entries of `shard` so far are void.
    void reset(ShardId shard);
    /// A snapshot of all entries so far begins: what comes from now on counts for the next one.
    void begun(ShardId shard);
    /// It has come to nothing.
    void given_up(ShardId shard);
    /// A snapshot that includes all entries up to `index` is marked durably in the log.
    void marked(ShardId shard, Index index);

    /// Whether `shard`, whose data take `data_bytes`, should have a snapshot.
    bool due(ShardId shard, std::uint64_t data_bytes) const;
    /// Cheaper: false when due() is false whatever the data take.
    bool may_be_due(ShardId shard) const noexcept {
        const Tail& tail = tails_[shard.value()];
        return tail.bytes >= limits_.log_bytes ||
               (limits_.entries != 0 && tail.entries >= limits_.entries);
    }
    /// Bytes of entries since the last snapshot.
    std::uint64_t log_bytes(ShardId shard) const noexcept { return tails_[shard.value()].bytes; }

    /// The oldest segment that any group needs; nothing: none does.
    std::optional<SegmentSeq> first_needed() const;
    /// The groups that need `segment` or one before it.
    std::vector<ShardId> pinning(SegmentSeq segment) const;

private:
    /// A segment and the last entry of the group in it.
    struct Part {
        SegmentSeq segment;
        Index last;
    };
    struct Tail {
        std::deque<Part> parts;  ///< ascending; each holds an entry behind the last mark
        std::uint64_t bytes = 0;
        std::uint64_t entries = 0;
        std::uint64_t bytes_before_begun = 0;
        std::uint64_t entries_before_begun = 0;
    };

    const Limits limits_;
    std::vector<Tail> tails_;
};

}  // namespace kv
