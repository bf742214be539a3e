#include "engine/replica/leaders.h"

#include <algorithm>

#include "proto/base/assert.h"

namespace kv {

std::optional<NodeId> preferred_leader(const Configuration& configuration, ShardId shard,
                                       std::uint16_t shards, Leaders leaders) noexcept {
    KV_ASSERT(shard.value() < shards);
    const auto is_voter = [](const Member& member) { return (member.roles & role_voter) != 0; };
    const auto& members = configuration.members;
    const auto voters = static_cast<std::size_t>(std::ranges::count_if(members, is_voter));
    if (voters == 0) return std::nullopt;
    std::size_t position = 0;
    if (leaders == Leaders::spread) position = shard.value() * voters / shards;
    for (const Member& member : members) {
        if (is_voter(member) && position-- == 0) return member.node;
    }
    KV_UNREACHABLE();
}

bool HandOver::due(bool leads, bool stopping, const PreferredView& preferred,
                   Instant now) noexcept {
    const bool well = preferred.connected && preferred.caught_up && !preferred.stopping;
    if (!leads || stopping || !well || preferred.node == NodeId()) {
        candidate_ = NodeId();
        return false;
    }
    if (candidate_ != preferred.node) {
        candidate_ = preferred.node;
        since_ = now;
    }
    if (now - since_ < stable_for) return false;
    since_ = now;
    return true;
}

}  // namespace kv
