#pragma once

/// Majorities, of one set of voters or of both halves of a joint configuration (Raft dissertation,
/// section 4.3). Who counts is decided by id: the same voter twice is one voter, and nobody else
/// counts at all.

#include <algorithm>
#include <span>
#include <vector>

#include "proto/raft/configuration.h"

namespace kv::consensus {

/// The voters of a configuration. Joint while `outgoing` is not empty: both halves must agree.
struct Voters {
    std::vector<NodeId> incoming;
    std::vector<NodeId> outgoing;

    bool contains(NodeId node) const noexcept {
        return std::ranges::find(incoming, node) != incoming.end() ||
               std::ranges::find(outgoing, node) != outgoing.end();
    }
    bool is_only(NodeId node) const noexcept {
        return outgoing.empty() && incoming.size() == 1 && incoming.front() == node;
    }
};

Voters voters_of(const Configuration& configuration);

/// The highest value that a majority of `half` has reached, 0 for an empty half. `value_of` gives
/// each voter's. Quadratic in the size of the half, which is a handful, and needs no memory.
template <typename ValueOf>
std::uint64_t majority_value(std::span<const NodeId> half, const ValueOf& value_of) noexcept {
    std::uint64_t best = 0;
    for (const NodeId candidate : half) {
        const std::uint64_t value = value_of(candidate);
        if (value <= best) continue;
        std::size_t reached = 0;
        for (const NodeId other : half) reached += value_of(other) >= value ? 1 : 0;
        if (reached > half.size() / 2) best = value;
    }
    return best;
}

/// The highest value that a quorum has reached: of both halves when the configuration is joint.
template <typename ValueOf>
std::uint64_t quorum_value(const Voters& voters, const ValueOf& value_of) noexcept {
    const std::uint64_t incoming = majority_value(voters.incoming, value_of);
    if (voters.outgoing.empty()) return incoming;
    return std::min(incoming, majority_value(voters.outgoing, value_of));
}

/// The votes of one campaign.
class Ballot {
public:
    enum class Outcome : std::uint8_t { open, won, lost };

    void clear() noexcept;
    /// The first answer of a node stands.
    void record(NodeId node, bool granted);
    Outcome outcome(const Voters& voters) const noexcept;

private:
    std::vector<NodeId> granted_;
    std::vector<NodeId> refused_;
};

}  // namespace kv::consensus
