#include "engine/replica/placement.h"

#include <algorithm>
#include <bit>

#include "proto/base/assert.h"

namespace kv {

Placement::Placement(std::uint16_t shards, std::uint16_t cores) : shards_(shards), cores_(cores) {
    KV_ASSERT(shards > 0 && shards <= slot_count);
    KV_ASSERT(cores > 0);
    for (std::uint16_t shard = 0; shard < shards; ++shard) {
        cores_of_.push_back(CoreId(static_cast<std::uint16_t>(shard % cores)));
    }
    std::vector<std::uint16_t> whole(slot_count);
    for (std::uint32_t slot = 0; slot < slot_count; ++slot) {
        whole[slot] = static_cast<std::uint16_t>(slot * shards / slot_count);
    }
    // As coarse as the borders between shards allow.
    unsigned shift = 14;
    for (std::uint32_t slot = 1; slot < slot_count; ++slot) {
        if (whole[slot] == whole[slot - 1]) continue;
        shift = std::min(shift, static_cast<unsigned>(std::countr_zero(slot)));
    }
    shift_ = shift;
    for (std::uint32_t slot = 0; slot < slot_count; slot += 1u << shift) {
        table_.push_back(whole[slot]);
    }
}

SlotId Placement::first_slot(ShardId shard) const noexcept {
    const std::uint32_t slots = std::uint32_t{shard.value()} * slot_count + shards_ - 1;
    return SlotId(static_cast<std::uint16_t>(slots / shards_));
}

bool Placement::shard_of(GroupId group, ShardId& out) const noexcept {
    if (group.value() == 0 || group.value() > shards_) return false;
    out = ShardId(static_cast<std::uint16_t>(group.value() - 1));
    return true;
}

}  // namespace kv
