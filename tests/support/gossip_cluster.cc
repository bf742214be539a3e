#include "tests/support/gossip_cluster.h"

#include <algorithm>

namespace kv::io {

namespace {

std::string address_of(NodeId node) {
    return "10.0.0." + std::to_string(node.value());
}

/// Cores beyond those of a peer knock in vain.
Endpoint endpoint_of(NodeId node, std::uint16_t core) {
    return *parse_endpoint(address_of(node), static_cast<std::uint16_t>(7000 + core));
}

}  // namespace

GossipCluster::GossipCluster(std::uint64_t seed, std::size_t nodes, const SimKnobs& knobs,
                             std::uint16_t cores)
    : world(seed, knobs), cores_(cores) {
    for (std::uint64_t i = 1; i <= nodes; ++i) {
        nodes_.push_back(NodeId(i));
        world.add_node(NodeId(i), {address_of(NodeId(i))});
    }
    for (const NodeId node : nodes_) start(node);
}

GossipCluster::~GossipCluster() {
    for (const NodeId node : nodes_) stop(node);
}

void GossipCluster::start(NodeId node, std::uint16_t cores) {
    if (runs(node)) return;
    stop(node);
    House& house = houses_[node];
    house.process = std::make_unique<SimProcess>(world, node, cores);
    for (std::uint16_t core = 0; core < cores; ++core) {
        std::vector<Gossip::Peer> peers;
        for (const NodeId peer : nodes_) {
            if (peer != node) peers.push_back({peer, endpoint_of(peer, core)});
        }
        house.gossips.push_back(std::make_unique<Gossip>(house.process->reactor(core), node,
                                                         endpoint_of(node, core), peers));
    }
}

void GossipCluster::stop(NodeId node, Crash kind) {
    House& house = houses_[node];
    if (house.process == nullptr) return;
    house.process->kill(kind);
    house.gossips.clear();
    house.process.reset();
}

bool GossipCluster::hears(NodeId to, NodeId from) {
    if (!runs(to)) return false;
    const Instant now = process(to).backend().now();
    const Gossip::Heard& heard = gossip(to).heard(from);
    return heard.beats > 0 && now - heard.last < 2s;
}

bool GossipCluster::all_hear() {
    return std::all_of(nodes_.begin(), nodes_.end(), [&](NodeId to) {
        return std::all_of(nodes_.begin(), nodes_.end(),
                           [&](NodeId from) { return to == from || hears(to, from); });
    });
}

std::uint64_t GossipCluster::sum(std::uint64_t (Gossip::*what)() const noexcept) const {
    std::uint64_t sum = 0;
    for (const auto& [node, house] : houses_) {
        for (const auto& gossip : house.gossips) sum += (gossip.get()->*what)();
    }
    return sum;
}

}  // namespace kv::io
