/// Processes that are killed and paused, while clients of all protocols write down what they are
/// told: all of it must be linearizable, and nothing that was acknowledged may be missing.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/system/recorded_load.h"

namespace kv::test {
namespace {

constexpr int rounds = 10;
constexpr std::uint64_t operations = 30'000;

/// The leader of a random shard, two times out of three; or any node.
std::size_t draw_victim(const Cluster& cluster, Prng& prng) {
    const std::size_t any = prng.below(cluster.size());
    const std::size_t leader = cluster.leader_of(prng.below(4), any);
    return leader == cluster.size() || prng.chance(0.33) ? any : leader;
}

bool leads_some(const Cluster& cluster, std::size_t node) {
    return cluster.info(node, "cluster").at("cluster_shards_led") != "0";
}

TEST(ClusterFaults, WhatClientsAreToldWhileNodesAreKilledAndPausedIsLinearizable) {
    const std::uint64_t seed =
        chosen_seed("ClusterFaults.WhatClientsAreToldWhileNodesAreKilledAndPausedIsLinearizable");
    Prng prng = Prng::split(seed, "faults");
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    RecordedLoad load(cluster, seed);
    constexpr std::uint64_t some = operations / rounds / 3;
    int leaders = 0;
    int kills = 0;
    for (int round = 0; round < rounds; ++round) {
        const std::size_t victim = draw_victim(cluster, prng);
        const bool kills_it = round == 0 || (round != 1 && prng.chance(0.5));
        const bool leads = leads_some(cluster, victim);
        SCOPED_TRACE(fmt::format("round {}: node {} is {}{}", round, victim + 1,
                                 kills_it ? "killed" : "paused", leads ? ", a leader" : ""));
        leaders += leads ? 1 : 0;
        kills += kills_it ? 1 : 0;
        ASSERT_TRUE(load.goes_on(some)) << cluster.logs();
        if (kills_it) {
            cluster.kill(victim);
        } else {
            cluster.at(victim).process().pause();
        }
        ASSERT_TRUE(load.goes_on(some)) << cluster.logs();
        if (kills_it) {
            cluster.start(victim);
            ASSERT_TRUE(cluster.at(victim).ready());
        } else {
            cluster.at(victim).process().send_signal(SIGCONT);
        }
        ASSERT_TRUE(cluster.wait_until_caught_up(victim));
        ASSERT_TRUE(cluster.wait_for_leaders());
        ASSERT_TRUE(load.goes_on(some)) << cluster.logs();
    }
    load.stop();
    fmt::print("{} kills, {} pauses, {} of them of leaders\n", kills, rounds - kills, leaders);
    EXPECT_GT(leaders, 0);
    // What is on the disks of all is what counts.
    for (std::size_t node = 0; node < cluster.size(); ++node) cluster.kill(node);
    for (std::size_t node = 0; node < cluster.size(); ++node) {
        cluster.start(node);
        ASSERT_TRUE(cluster.at(node).ready());
    }
    ASSERT_TRUE(cluster.wait_for_leaders());
    load.expect_linearizable(20'000);
}

}  // namespace
}  // namespace kv::test
