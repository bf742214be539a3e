#pragma once

/// What one node says of itself at one moment, for those who render it: metrics, health, status.

#include <vector>

#include "engine/node/info.h"

namespace kv {

struct NodeView {
    NodeFacts node;
    std::vector<CoreFacts> cores;  ///< by number, at least one
};

/// A shard, and the core of this node that has it.
struct ShardPlace {
    const ShardFacts* facts;
    std::size_t core;
};
/// All, by number; views `view`. None while the node loads.
std::vector<ShardPlace> shards_of(const NodeView& view);

/// Each other node, as all cores together see it: it is connected when it is so with each of them.
std::vector<PeerFacts> peers_of(const NodeView& view);

/// Whether some core has not recovered its data yet.
bool is_loading(const NodeView& view) noexcept;

}  // namespace kv
