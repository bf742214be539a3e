#pragma once

/// A world of nodes, 1 to n, whose every core gossips with the same core of all others.

#include <map>
#include <memory>
#include <vector>

#include "io/sim/sim_partition.h"
#include "io/sim/sim_process.h"
#include "tests/support/gossip.h"

namespace kv::io {

class GossipCluster {
public:
    explicit GossipCluster(std::uint64_t seed, std::size_t nodes = 3, const SimKnobs& knobs = {},
                           std::uint16_t cores = 1);
    ~GossipCluster();

    /// Nothing happens if it runs.
    void start(NodeId node, std::uint16_t cores);
    void start(NodeId node) { start(node, cores_); }
    /// Nothing happens if it does not; a process that has crashed is cleared away.
    void stop(NodeId node, Crash kind = Crash::process);

    const SimNodes& nodes() const noexcept { return nodes_; }
    bool runs(NodeId node) { return !world.down(node); }
    SimProcess& process(NodeId node) { return *houses_.at(node).process; }
    Gossip& gossip(NodeId node, std::size_t core = 0) { return *houses_.at(node).gossips[core]; }
    /// Whether `to` has heard of `from`, on its first core, within two seconds.
    bool hears(NodeId to, NodeId from);
    bool all_hear();
    /// Of all gossips that live.
    std::uint64_t sum(std::uint64_t (Gossip::*what)() const noexcept) const;

    SimWorld world;

private:
    struct House {
        std::unique_ptr<SimProcess> process;
        std::vector<std::unique_ptr<Gossip>> gossips;
    };
    SimNodes nodes_;
    std::uint16_t cores_;
    std::map<NodeId, House> houses_;
};

}  // namespace kv::io
