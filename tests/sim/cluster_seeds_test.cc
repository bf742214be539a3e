// Random clusters, of every profile: a seed decides nodes, cores, shards, machines, clients and
// what befalls them; every oracle looks on.
//
//     KV_TEST_SEEDS=3000 build/tests/sim/test_cluster_seeds    more, of all profiles together
//     KV_TEST_FIRST_SEED=5000                                  others
//     build/tests/sim/kvsim --seed 4711 --profile swarm --trace
//
// Meson runs a process for each profile, so that all cores have something to do.

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sim/cluster_trial.h"

namespace kv::sim {
namespace {

constexpr std::uint64_t seeds_default = 50;
constexpr std::uint64_t seeds_sanitized = 10;

/// Of a hundred seeds.
std::uint64_t share(Profile profile) {
    switch (profile) {
        case Profile::calm: return 2;
        case Profile::swarm: return 20;
        case Profile::partitions: return 15;
        case Profile::disks: return 14;
        case Profile::clocks: return 7;
        case Profile::restarts: return 14;
        case Profile::storm: return 28;
    }
    KV_UNREACHABLE("a profile");
}

std::uint64_t number_in(const char* variable, std::uint64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class RandomClusters : public testing::TestWithParam<Profile> {};

TEST_P(RandomClusters, KeepTheirPromises) {
    const bool sanitized = std::getenv("KV_TEST_SANITIZED") != nullptr;
    const std::uint64_t first = number_in("KV_TEST_FIRST_SEED", 1);
    const std::uint64_t all =
        number_in("KV_TEST_SEEDS", sanitized ? seeds_sanitized : seeds_default);
    const std::uint64_t seeds = (all * share(GetParam()) + 99) / 100;
    std::uint64_t answered = 0;
    std::uint64_t looks = 0;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        const TrialResult result = run_trial(TrialPlan(seed, GetParam()));
        EXPECT_TRUE(result.good())
            << result.oracle << ": " << result.text << "\nagain: kvsim --seed " << seed
            << " --profile " << name(GetParam());
        answered += result.clients.answered;
        looks += result.cluster.durability_checks;
    }
    // That they had something to do; in the worst weather one may have next to nothing.
    EXPECT_GT(answered, 100 * seeds);
    EXPECT_GT(looks, 100 * seeds);
}

INSTANTIATE_TEST_SUITE_P(Profiles, RandomClusters,
                         testing::Values(Profile::calm, Profile::swarm, Profile::partitions,
                                         Profile::disks, Profile::clocks, Profile::restarts,
                                         Profile::storm),
                         [](const auto& one) { return std::string(name(one.param)); });

TEST(RandomCluster, IsTheSameFromTheSameSeed) {
    const TrialPlan plan(3, Profile::swarm);
    EXPECT_EQ(run_trial(plan).trace_hash, run_trial(plan).trace_hash);
}

/// What the seeds draw, over many of them.
TEST(RandomCluster, IsOfEverySize) {
    std::map<std::uint16_t, int> nodes;
    std::map<std::uint16_t, int> cores;
    std::map<std::uint16_t, int> shards;
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        const TrialPlan plan(seed, Profile::swarm);
        ++nodes[plan.cluster.nodes];
        ++cores[plan.cluster.cores];
        ++shards[plan.cluster.shards];
        EXPECT_GE(plan.faults.knobs.duration, 20s);
        EXPECT_LE(plan.faults.knobs.duration, 60s);
    }
    EXPECT_EQ(nodes.size(), 2u);
    EXPECT_GT(std::min(nodes[3], nodes[5]), 50);
    EXPECT_EQ(cores.size(), 3u);
    EXPECT_GT(std::min({cores[1], cores[2], cores[3]}), 50);
    EXPECT_EQ(shards.size(), 7u);
    EXPECT_EQ(shards.begin()->first, 2);
    EXPECT_EQ(shards.rbegin()->first, 8);
}

}  // namespace
}  // namespace kv::sim
