#include "engine/node/node_view.h"

#include <algorithm>

namespace kv {

std::vector<ShardPlace> shards_of(const NodeView& view) {
    std::vector<ShardPlace> shards;
    for (std::size_t core = 0; core < view.cores.size(); ++core) {
        for (const ShardFacts& shard : view.cores[core].shards) shards.push_back({&shard, core});
    }
    std::ranges::sort(shards, {}, [](const ShardPlace& place) { return place.facts->shard; });
    return shards;
}

std::vector<PeerFacts> peers_of(const NodeView& view) {
    std::vector<PeerFacts> peers = view.cores.front().peers;
    for (PeerFacts& peer : peers) {
        for (std::size_t core = 1; core < view.cores.size(); ++core) {
            const auto& others = view.cores[core].peers;
            const auto same = std::ranges::find(others, peer.node, &PeerFacts::node);
            if (same == others.end()) {
                peer.connected = false;
                continue;
            }
            peer.connected = peer.connected && same->connected;
            peer.traffic.bytes_sent += same->traffic.bytes_sent;
            peer.traffic.bytes_received += same->traffic.bytes_received;
            peer.traffic.messages_dropped += same->traffic.messages_dropped;
            peer.round_trips.add(same->round_trips);
        }
    }
    return peers;
}

bool is_loading(const NodeView& view) noexcept {
    return std::ranges::any_of(view.cores, &CoreFacts::loading);
}

}  // namespace kv
