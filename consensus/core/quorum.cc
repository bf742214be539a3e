#include "consensus/core/quorum.h"

#include "proto/base/mutant.h"

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
    const bool counted = among(granted_, node) || among(refused_, node);
    if (counted && !mutant(Mutant::m03_votes_by_number)) return;
    (granted ? granted_ : refused_).push_back(node);
}

Ballot::Outcome Ballot::outcome(const Voters& voters) const noexcept {
    const bool many = granted_.size() > voters.incoming.size() / 2;
    if (many && mutant(Mutant::m03_votes_by_number)) return Outcome::won;
    const auto granted = [&](NodeId node) { return among(granted_, node) ? 1u : 0u; };
    if (quorum_value(voters, granted) == 1) return Outcome::won;
    // Won no more: even if all who are silent granted.
    const auto possible = [&](NodeId node) { return among(refused_, node) ? 0u : 1u; };
    return quorum_value(voters, possible) == 1 ? Outcome::open : Outcome::lost;
}

}  // namespace kv::consensus
