#pragma once

/// What this node tells clients of its cluster: CLUSTER INFO, NODES, SLOTS, SHARDS and MAP, made
/// from what its cores know. Pure.
///
/// To a client of Redis Cluster every node is a primary: it has the slots of the shards that it
/// leads. SLOTS lists the leader of a range alone, because clients count whoever else stands there
/// as a replica of the first; SHARDS lists all nodes that have a copy. While nobody leads a shard,
/// it is still listed with who did last, as Redis lists a primary that failed: clients try again
/// when that one does not answer, but give up on a slot that nobody has. INFO counts it as failed,
/// and MAP names no leader. A node is known by 40 hex digits: its store id, then its node id.

#include <span>
#include <string>

#include "engine/node/info.h"
#include "engine/replica/placement.h"
#include "proto/raft/configuration.h"
#include "proto/resp/resp_writer.h"
#include "proto/shard_map.h"

namespace kv {

/// `cores` have loaded. A peer is connected when a core says so.
ShardMap make_shard_map(NodeId self, const Configuration& configuration, const Placement& placement,
                        std::span<const CoreFacts> cores);

/// Shards that nobody leads get the leader that they had last: for NODES, SLOTS and SHARDS.
void name_latest_leaders(ShardMap& map, std::span<const CoreFacts> cores);

/// 40 hex digits.
std::string cluster_node_name(const Member& member);

std::string render_cluster_info(const ShardMap& map);
/// A line for each node.
std::string render_cluster_nodes(const ShardMap& map, const Configuration& configuration);
void write_cluster_slots(const ShardMap& map, const Configuration& configuration,
                         resp::Writer& out);
void write_cluster_shards(const ShardMap& map, const Configuration& configuration,
                          resp::Writer& out);

}  // namespace kv
