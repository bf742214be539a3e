#include "engine/replica/placement.h"

#include "proto/base/assert.h"

namespace kv {

Placement::Placement(std::uint16_t shards) : shards_(shards), table_(slot_count) {
    KV_ASSERT(shards > 0 && shards <= slot_count);
    for (std::uint32_t slot = 0; slot < slot_count; ++slot) {
        table_[slot] = static_cast<std::uint16_t>(slot * shards / slot_count);
    }
}

bool Placement::shard_of(GroupId group, ShardId& out) const noexcept {
    if (group.value() == 0 || group.value() > shards_) return false;
    out = ShardId(static_cast<std::uint16_t>(group.value() - 1));
    return true;
}

}  // namespace kv
