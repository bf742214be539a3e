#pragma once

/// Where the leaders of a cluster's shards are to be, and when a leader that is elsewhere hands
/// over. Raft elects whom it will; without a second thought, the node that started first leads
/// everything. Pure.

#include <optional>

#include "proto/base/ids.h"
#include "proto/base/units.h"
#include "proto/raft/configuration.h"

namespace kv {

enum class Leaders : std::uint8_t {
    spread,    ///< every voter leads as many shards as another, give or take one
    together,  ///< the voter with the lowest id leads all
};

/// Whom the shard at `shard`, of `shards`, is to have as its leader: with `spread`
/// voters[shard * voters / shards], neighbours together, so that a node leads on all its cores
/// (shard i is on core i modulo cores). Nothing: there is no voter. Equal on all nodes, for it
/// follows from the configuration alone.
std::optional<NodeId> preferred_leader(const Configuration& configuration, ShardId shard,
                                       std::uint16_t shards, Leaders leaders) noexcept;

/// What the leader of a group sees of the node that should lead in its place.
struct PreferredView {
    NodeId node;             ///< 0: nobody else should
    bool connected = false;  ///< and answering heartbeats
    bool caught_up = false;  ///< has durably what was committed at the last look
    bool stopping = false;   ///< it said so: it would decline
};

/// When the leader of one group hands over. A node that comes and goes, or falls behind again, does
/// not get leadership yet: an election costs every client of the shard a pause. Owner core only.
class HandOver {
public:
    /// The preferred node must have been well for this long without interruption, and so long an
    /// attempt that led to nothing is not repeated.
    static constexpr Duration stable_for = 10s;

    /// To be asked at least every second while leading, and with `leads` false once it is not.
    /// True: hand over to `preferred.node` now. `stopping`: this node is about to stop, and hands
    /// over to anybody, which is not decided here.
    bool due(bool leads, bool stopping, const PreferredView& preferred, Instant now) noexcept;

private:
    NodeId candidate_;  ///< well since `since_`; 0: nobody is
    Instant since_;
};

}  // namespace kv
