/// Nodes that cannot hear each other, in one direction or in both, while clients of all protocols
/// reach every one of them: what those are told must be linearizable.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/system/recorded_load.h"
#include "tests/system/routed_network.h"

namespace kv::test {
namespace {

constexpr int rounds = 10;
constexpr std::uint64_t operations = 30'000;
constexpr std::size_t shards = 4;

class ClusterCuts : public testing::Test {
protected:
    void SetUp() override {
        if (!network_.refused().empty()) GTEST_SKIP() << network_.refused();
    }

    std::size_t other_than(std::size_t node) const { return node == 0 ? 1 : 0; }

    bool leads_nothing(std::size_t node) const {
        for (std::size_t shard = 0; shard < shards; ++shard) {
            const std::size_t leader = cluster_.leader_of(shard, other_than(node));
            if (leader == node || leader == cluster_.size()) return false;
        }
        return true;
    }
    /// Connections between nodes that are not there.
    bool one_is_missed(std::initializer_list<std::size_t> nodes) const {
        return std::ranges::any_of(nodes, [&](std::size_t node) {
            return cluster_.info(node, "cluster")["cluster_peers_connected"] != "2";
        });
    }
    bool all_hear_each_other() const { return !one_is_missed({0, 1, 2}); }

    /// From `a` to `b` only. One of them finds out.
    void cut_one_way(std::size_t a, std::size_t b) {
        network_.cut(a, b);
        EXPECT_TRUE(eventually([&] { return one_is_missed({a, b}); })) << cluster_.logs();
    }
    /// From all others, both ways. They elect leaders without it.
    void isolate(std::size_t node) {
        for (std::size_t other = 0; other < cluster_.size(); ++other) {
            if (other == node) continue;
            network_.cut(node, other);
            network_.cut(other, node);
        }
        EXPECT_TRUE(eventually([&] { return leads_nothing(node); })) << cluster_.logs();
    }

    RoutedNetwork network_{3};
    Cluster cluster_{{.shards = shards, .places = network_.places()}};
};

TEST_F(ClusterCuts, WhatClientsAreToldWhileNodesAreCutOffIsLinearizable) {
    const std::uint64_t seed =
        chosen_seed("ClusterCuts.WhatClientsAreToldWhileNodesAreCutOffIsLinearizable");
    Prng prng = Prng::split(seed, "cuts");
    ASSERT_TRUE(cluster_.start_all());
    RecordedLoad load(cluster_, seed);
    constexpr std::uint64_t some = operations / rounds / 3;
    for (int round = 0; round < rounds; ++round) {
        // A leader, mostly: after a few rounds some node leads nothing.
        const std::size_t leader = cluster_.leader_of(prng.below(shards), 0);
        const std::size_t a = leader == cluster_.size() ? 0 : leader;
        const std::size_t b = (a + 1 + prng.below(2)) % cluster_.size();
        const std::uint64_t kind = round < 3 ? static_cast<std::uint64_t>(round) : prng.below(3);
        SCOPED_TRACE(fmt::format("round {}: kind {}, nodes {} and {}", round, kind, a + 1, b + 1));
        ASSERT_TRUE(load.goes_on(some)) << cluster_.logs();
        switch (kind) {
            case 0: cut_one_way(a, b); break;
            case 1: cut_one_way(b, a); break;
            default: isolate(a); break;
        }
        ASSERT_TRUE(load.goes_on(some)) << cluster_.logs();
        network_.heal();
        ASSERT_TRUE(eventually([&] { return all_hear_each_other(); })) << cluster_.logs();
        ASSERT_TRUE(cluster_.wait_for_leaders());
        ASSERT_TRUE(load.goes_on(some)) << cluster_.logs();
    }
    load.stop();
    for (std::size_t node = 0; node < cluster_.size(); ++node) {
        EXPECT_TRUE(cluster_.wait_until_caught_up(node));
    }
    load.expect_linearizable(20'000);
}

}  // namespace
}  // namespace kv::test
