#pragma once

/// What `kv-cli cluster status` finds and prints: what all nodes of a cluster that answer say of
/// it, in one picture. Pure.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "proto/shard_map.h"

namespace kv::cli {

struct ClusterStatus {
    struct Node {
        NodeId node;
        std::string address;    ///< for clients
        bool answers = false;   ///< to kv-cli
        std::size_t leads = 0;  ///< shards
    };
    struct Follower {
        NodeId node;
        bool answers = false;   ///< to the leader
        std::uint64_t lag = 0;  ///< entries that are committed and not known to be durable there
    };
    struct Shard {
        SlotId first_slot;
        SlotId last_slot;
        NodeId leader;           ///< 0: nobody knows of one
        bool confirmed = false;  ///< the leader says so itself. Else followers are not known
        bool majority = false;   ///< confirmed, and enough of the others answer the leader
        Term term;
        Index commit;
        Index applied;
        std::vector<Follower> followers;
    };

    std::vector<Node> nodes;
    std::vector<Shard> shards;

    /// Each shard has a leader that answers, and a majority.
    bool serves() const noexcept;
    /// A node is named as the leader of a shard and does not say so itself, though it answers: an
    /// election has ended between two answers, or has not quite ended.
    bool in_motion() const noexcept;
};

/// `answers`: the maps of the nodes that answered. Not empty, and of one cluster. Of two nodes that
/// take themselves for the leader of a shard, the one of the newer term is it.
ClusterStatus combine(std::span<const ShardMap> answers);

/// Two tables, and lines in capitals about what is missing.
std::string render(const ClusterStatus& status);

/// One line:
///
///     {"serves":bool,
///      "nodes":[{"id":1,"address":"h:p","answers":bool,"leads":n},...],
///      "shards":[{"shard":0,"first_slot":0,"last_slot":n,"leader":id or null,"confirmed":bool,
///                 "majority":bool,"term":n,"commit":n,"applied":n,
///                 "followers":[{"node":id,"answers":bool,"lag":n},...]},...]}
std::string render_json(const ClusterStatus& status);

}  // namespace kv::cli
