#pragma once

/// ShardMap: who belongs to a cluster and who leads what, as one node sees it. The reply to
/// CLUSTER MAP, which kv-cli and kv-bench ask for (bin/client/shard_map.h). Little-endian,
/// unaligned:
///
///     0  u16  version       1
///     2  u16  nodes
///     4  u16  shards
///     6  u64  node id of who answers
///    14  for each node, by id:
///        u64  node id
///        u8   NodeState     u8 0
///        u16  peer port     u16 client port     u16 host_bytes    host
///     -  for each shard, by slot:
///        u16  first slot    u16 last slot
///        u64  leader        0: none is known
///        u64  term          u64 commit          u64 applied
///        u16  followers     none, unless who answers leads the shard
///        for each follower: u64 node id, u8 1 if it answers, u8 0, u64 match
///
/// The shards are numbered as they come, and together have all slots. A node that does not lead a
/// shard may be behind in what it says of it.

#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace kv {

struct ShardMap {
    enum class NodeState : std::uint8_t {
        self = 0,  ///< who answers
        connected = 1,
        away = 2,  ///< there is no connection to it
    };
    struct Node {
        NodeId node;
        NodeState state = NodeState::away;
        std::string host;
        std::uint16_t peer_port = 0;
        std::uint16_t client_port = 0;
        bool operator==(const Node&) const = default;
    };
    /// What the leader of a shard believes of another node.
    struct Follower {
        NodeId node;
        bool answers = false;  ///< it has within an election timeout
        Index match;           ///< durable there, up to here
        bool operator==(const Follower&) const = default;
    };
    struct Shard {
        SlotId first_slot;
        SlotId last_slot;
        NodeId leader;
        Term term;
        Index commit;
        Index applied;  ///< by who answers
        std::vector<Follower> followers;
        bool operator==(const Shard&) const = default;
    };

    static constexpr std::size_t nodes_max = 64;
    static constexpr std::size_t shards_max = 16384;

    NodeId self;
    std::vector<Node> nodes;
    std::vector<Shard> shards;

    /// Null: no such node.
    const Node* find(NodeId node) const noexcept;
    /// Whose slot it is. The map is not empty.
    ShardId shard_of(SlotId slot) const noexcept;

    bool operator==(const ShardMap&) const = default;
};

void encode_shard_map(const ShardMap& map, std::string& out);
/// Errors: `truncated`; `corrupt`, an order, a range of slots or a node that cannot be, or bytes
/// left over; `unsupported`, another version.
Result<ShardMap> decode_shard_map(Bytes bytes);

}  // namespace kv
