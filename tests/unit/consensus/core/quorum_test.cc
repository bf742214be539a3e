#include "consensus/core/quorum.h"

#include <gtest/gtest.h>

#include <map>

namespace kv::consensus {
namespace {

/// The obvious way: sort, and take what the smallest majority has.
std::uint64_t sorted_majority(const std::vector<std::uint64_t>& values) {
    if (values.empty()) return 0;
    std::vector<std::uint64_t> sorted = values;
    std::ranges::sort(sorted, std::greater());
    return sorted[sorted.size() / 2];
}

TEST(Quorum, EveryJointConfigurationOfFiveNodesAgreesWithSorting) {
    constexpr std::uint64_t nodes = 5;
    constexpr std::uint64_t values = 3;  // per node: 0, 1 or 2
    std::uint64_t compared = 0;
    for (unsigned in = 0; in < 1u << nodes; ++in) {
        for (unsigned out = 0; out < 1u << nodes; ++out) {
            Voters voters;
            for (std::uint64_t i = 0; i < nodes; ++i) {
                if ((in >> i & 1u) != 0) voters.incoming.push_back(NodeId(i + 1));
                if ((out >> i & 1u) != 0) voters.outgoing.push_back(NodeId(i + 1));
            }
            for (std::uint64_t code = 0; code < 243; ++code) {
                std::map<NodeId, std::uint64_t> value;
                std::uint64_t rest = code;
                for (std::uint64_t i = 1; i <= nodes; ++i, rest /= values) {
                    value[NodeId(i)] = rest % values;
                }
                std::vector<std::uint64_t> a;
                std::vector<std::uint64_t> b;
                for (const NodeId node : voters.incoming) a.push_back(value[node]);
                for (const NodeId node : voters.outgoing) b.push_back(value[node]);
                std::uint64_t expected = sorted_majority(a);
                if (!b.empty()) expected = std::min(expected, sorted_majority(b));
                const auto value_of = [&](NodeId node) { return value.find(node)->second; };
                ASSERT_EQ(quorum_value(voters, value_of), expected) << in << ' ' << out;
                ++compared;
            }
        }
    }
    EXPECT_EQ(compared, 32u * 32u * 243u);
}

TEST(Quorum, AVoteCountsOnceAndOnlyAVoters) {
    const Voters voters{{NodeId(1), NodeId(2), NodeId(3)}, {}};
    Ballot ballot;
    ballot.record(NodeId(1), true);
    ballot.record(NodeId(1), true);
    ballot.record(NodeId(9), true);
    EXPECT_EQ(ballot.outcome(voters), Ballot::Outcome::open);
    ballot.record(NodeId(2), true);
    EXPECT_EQ(ballot.outcome(voters), Ballot::Outcome::won);
}

TEST(Quorum, AJointVoteIsLostWithEitherHalf) {
    const Voters voters{{NodeId(1), NodeId(2), NodeId(3)}, {NodeId(3), NodeId(4), NodeId(5)}};
    Ballot ballot;
    for (const std::uint64_t node : {1u, 2u, 3u}) ballot.record(NodeId(node), true);
    EXPECT_EQ(ballot.outcome(voters), Ballot::Outcome::open);
    ballot.record(NodeId(4), false);
    ballot.record(NodeId(5), false);
    EXPECT_EQ(ballot.outcome(voters), Ballot::Outcome::lost);
}

}  // namespace
}  // namespace kv::consensus
