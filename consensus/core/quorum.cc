#include "consensus/core/quorum.h"

namespace kv::consensus {

namespace {

bool among(std::span<const NodeId> nodes, NodeId node) noexcept {
    return std::ranges::find(nodes, node) != nodes.end();
}

}  // namespace

Voters voters_of(const Configuration& configuration) {
    Voters voters;
    for (const Member& member : configuration.members) {
        if ((member.roles & role_voter) != 0) voters.incoming.push_back(member.node);
        if ((member.roles & role_outgoing_voter) != 0) voters.outgoing.push_back(member.node);
    }
    return voters;
}

void Ballot::clear() noexcept {
    granted_.clear();
    refused_.clear();
}

void Ballot::record(NodeId node, bool granted) {
    if (among(granted_, node) || among(refused_, node)) return;
    (granted ? granted_ : refused_).push_back(node);
}

Ballot::Outcome Ballot::outcome(const Voters& voters) const noexcept {
    const auto granted = [&](NodeId node) { return among(granted_, node) ? 1u : 0u; };
    if (quorum_value(voters, granted) == 1) return Outcome::won;
    // Won no more: even if all who are silent granted.
    const auto possible = [&](NodeId node) { return among(refused_, node) ? 0u : 1u; };
    return quorum_value(voters, possible) == 1 ? Outcome::open : Outcome::lost;
}

}  // namespace kv::consensus
