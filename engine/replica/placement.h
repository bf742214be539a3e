#pragma once

/// Placement: which shard a slot belongs to, which Raft group replicates a shard, and which core of
/// this node has it. Tables, never arithmetic in the code paths, so that shards can split and move
/// later. Built when a data directory is opened; immutable then, and every core has its own.

#include <vector>

#include "proto/base/ids.h"
#include "proto/slot.h"

namespace kv {

class Placement {
public:
    /// `shards` shards of contiguous slots, as even as 16384 allows; shard i is group i + 1, on
    /// core i modulo `cores`.
    explicit Placement(std::uint16_t shards, std::uint16_t cores = 1);

    ShardId shard_of(SlotId slot) const noexcept { return ShardId(table_[slot.value() >> shift_]); }
    ShardId shard_of(std::string_view key) const noexcept { return shard_of(slot_of(key)); }
    /// The lowest one of a shard.
    SlotId first_slot(ShardId shard) const noexcept;
    CoreId core_of(ShardId shard) const noexcept { return cores_of_[shard.value()]; }
    std::uint16_t shards() const noexcept { return shards_; }
    std::uint16_t cores() const noexcept { return cores_; }
    static GroupId group_of(ShardId shard) noexcept {
        return GroupId(std::uint64_t{shard.value()} + 1);
    }
    /// The shard that `group` replicates; false when there is none.
    bool shard_of(GroupId group, ShardId& out) const noexcept;

private:
    std::uint16_t shards_;
    std::uint16_t cores_;
    /// One element for each run of 2^shift_ slots, all of one shard: the whole table would take
    /// most of a first-level cache.
    unsigned shift_ = 0;
    std::vector<std::uint16_t> table_;
    std::vector<CoreId> cores_of_;  ///< by shard
};

}  // namespace kv
