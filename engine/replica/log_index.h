#pragma once

/// LogIndex: where in the log of a core the entries of its groups are, for followers that need
/// older ones than memory has. Marks at intervals: from the batch of a mark on, the entries follow
/// up to the next mark. Bounded: a group with too many marks keeps every other one, and in the end
/// forgets the oldest. Pure; owner core only.

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/wal/record.h"
#include "proto/base/ids.h"

namespace kv {

class LogIndex {
public:
    /// Bytes of log between two marks, at first.
    static constexpr std::uint64_t spacing_min = std::uint64_t{256} << 10;
    static constexpr std::size_t marks_max = 4096;  ///< of one group

    explicit LogIndex(std::uint16_t shards) : shards_(shards) {}

    /// An entry of `shard` is durable at `place`. In the order of the log; it replaces any at or
    /// after its index.
    void entry(ShardId shard, Index index, wal::BatchPlace place);
    /// All entries of `shard` so far are void.
    void reset(ShardId shard);
    /// Segments before `segment` are gone.
    void released(SegmentSeq segment);

    struct Found {
        wal::BatchPlace place;  ///< the entry is in this batch or in one behind it
        Index last;             ///< up to here the entries are there too
    };
    /// Nothing: the entry is not in the log on disk, or nobody knows where.
    std::optional<Found> find(ShardId shard, Index index) const;
    std::size_t marks(ShardId shard) const noexcept { return shards_[shard.value()].marks.size(); }

private:
    struct Mark {
        Index first;
        wal::BatchPlace place;
        bool fork = false;  ///< entries behind the mark before were replaced: both must stay
    };
    struct Shard {
        std::vector<Mark> marks;  ///< ascending in index and in place
        Index last;
        std::uint64_t spacing = spacing_min;
    };

    static bool apart(const Mark& mark, const wal::BatchPlace& place, std::uint64_t spacing);
    static void thin(Shard& shard);

    std::vector<Shard> shards_;
};

}  // namespace kv
