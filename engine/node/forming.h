#pragma once

/// Forming: how empty data directories become a cluster, before Raft runs. Pure: what the
/// handshakes with the other listed nodes told goes in, the next step comes out; the caller makes
/// it durable and asks again.
///
///     empty     has no cluster and has promised nothing
///       |  mint     the lowest node id, once every listed node has said that it is empty and has
///       |           the same list: a random cluster id, and the stores of all
///       |  adopt    the others, once they have heard from every listed node, and who is forming
///       |           has exactly the list and stores that were heard here
///       v
///     forming   holds the cluster id, the list and the stores; has promised nothing yet
///       |  join     once every listed node is forming the same, or one is a member already
///       v
///     member    votes, and counts the votes of members with the pinned stores alone
///
/// Why it is safe, with any crashes, lost disks, delays and stale statements: a cluster id proves
/// the one configuration it was minted for, store ids included (mint_cluster_id). The
/// first member has heard that each of these stores was forming; that is durable, and a store has
/// one cluster for good. So two clusters with a member have no store in common, and a disk that was
/// lost and came back empty is in no configuration but that of a cluster in which all are new.
///
/// "Empty" is the one statement that goes out of date. Minting or adopting by a stale one ends in a
/// cluster that nobody joins, never in two.
///
/// What is not solved here: a disk that is lost while the cluster is being formed. Nothing has been
/// acknowledged then, and `why` says what to do.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/node/config.h"
#include "engine/node/identity.h"
#include "proto/raft/configuration.h"

namespace kv {

/// What one peer said in its newest handshake. All of it is about itself.
struct PeerSaid {
    NodeId node;
    StoreId store;
    StoreId cluster;  ///< zero: none
    Membership membership = Membership::empty;
    std::uint64_t list = 0;  ///< list_digest() of its configuration
    /// Its configuration, if it told more than the digest: so mistakes are named. Decides nothing.
    Configuration told;
};

/// This node, as its data directory and its configuration have it.
struct FormingSelf {
    NodeId node;
    StoreId store;
    StoreId cluster;
    Membership membership = Membership::empty;
    std::uint32_t shards = 0;
    Leaders leaders = Leaders::spread;
    /// Empty: listed(), for nobody's store is known. Else Members::formed, whatever is listed now.
    Configuration nodes;
};

enum class FormingStep : std::uint8_t {
    wait,      ///< until more was heard
    mint,      ///< DataDirectory::form() with mint_cluster_id() and `formed`
    adopt,     ///< DataDirectory::form() with `cluster` and `formed`
    join,      ///< DataDirectory::become_member()
    serve,     ///< a member: nothing is to be done, Raft may run
    stay_out,  ///< this disk was lost: it must not take part
    refuse,    ///< a mistake, here or at a peer
};

/// `stay_out` and `refuse` are to be logged as errors, but are not the end: a peer that was
/// corrected and started again says something else.
struct FormingDecision {
    FormingStep step = FormingStep::wait;
    std::string why;       ///< a sentence for the log, also for `wait`
    StoreId cluster;       ///< of `adopt`
    Configuration formed;  ///< of `mint` and `adopt`: with the stores of all
    bool operator==(const FormingDecision&) const = default;
};

/// `said`: at most one element for each node; also of nodes that are not listed but connected.
FormingDecision decide_forming(const FormingSelf& self, std::span<const PeerSaid> said);

/// Why what that peer says in Raft does not count for a member of `cluster` that has `pinned` for
/// it (DataDirectory::pinned), a sentence; nothing: it counts.
std::optional<std::string> objection(StoreId cluster, std::optional<StoreId> pinned,
                                     const PeerSaid& said);

/// The nodes of the configuration file as members without stores, sorted.
Configuration listed(const std::vector<ClusterNode>& nodes);

/// Of ids, addresses, ports, the number of shards and where leaders are to be: whether two nodes
/// mean the same cluster. (With different ideas of the latter, they would hand over for ever.)
std::uint64_t list_digest(const Configuration& nodes, std::uint32_t shards,
                          Leaders leaders = Leaders::spread);

/// A sentence when `nodes`, which are listed now, are not those that were `formed`.
std::optional<std::string> list_change(const Configuration& formed, const Configuration& nodes);

/// A new cluster id: 8 random bytes, and a digest of them with `formed`, its stores, which are
/// random, too, and the number of shards.
StoreId mint_cluster_id(std::uint64_t random, const Configuration& formed,
                        std::uint32_t shards) noexcept;
/// Whether `cluster` was minted for exactly this.
bool is_cluster_of(StoreId cluster, const Configuration& formed, std::uint32_t shards) noexcept;

}  // namespace kv
