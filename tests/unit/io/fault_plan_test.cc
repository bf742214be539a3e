/// Plans of faults: what they promise, how they are printed and shrunk, and whole lives of clusters
/// under them.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "io/frame_pool.h"
#include "tests/support/fault_player.h"
#include "tests/support/gossip_cluster.h"
#include "tests/support/swarm_knobs.h"

namespace kv {
namespace {

using io::SimNodes;

FaultKnobs knobs_for(std::size_t nodes) {
    FaultKnobs knobs;
    for (std::uint64_t i = 1; i <= nodes; ++i) knobs.nodes.push_back(NodeId(i));
    knobs.duration = 30s;
    knobs.cores_max = 3;
    return knobs;
}

std::set<std::string> lines_of(const FaultPlan& plan) {
    std::set<std::string> out;
    for (const Fault& fault : plan.faults) out.insert(fault.text());
    return out;
}

TEST(FaultPlan, IsBoundedAndEndsWithAHeal) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        FaultKnobs knobs = knobs_for(3 + seed % 3);
        knobs.clients = {NodeId(9)};
        knobs.wipes_max = 1;
        knobs.rots_max = 1;
        const FaultPlan plan = make_fault_plan(seed, FaultProfile::everything, knobs);
        EXPECT_LE(plan.faults.size(), fault_classes * knobs.class_faults_max);
        std::set<std::uint32_t> numbers;
        Duration last{};
        for (const Fault& fault : plan.faults) {
            ASSERT_GE(fault.at, last);
            last = fault.at;
            ASSERT_LE(fault.at + fault.lasts, knobs.duration);
            ASSERT_FALSE(fault.nodes.empty());
            numbers.insert(fault.number);
        }
        ASSERT_EQ(numbers.size(), plan.faults.size());
        for (std::size_t i = 0; i < fault_classes; ++i)
            ASSERT_TRUE(plan.has(static_cast<FaultClass>(i)));
        ASSERT_EQ(plan.text(), make_fault_plan(seed, FaultProfile::everything, knobs).text());
    }
    EXPECT_TRUE(make_fault_plan(1, FaultProfile::calm, knobs_for(3)).faults.empty());
}

TEST(FaultPlan, OfAllSeedsHasEveryKindOfFault) {
    std::set<FaultKind> kinds;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        FaultKnobs knobs = knobs_for(5);
        knobs.clients = {NodeId(9)};
        knobs.wipes_max = 1;
        knobs.rots_max = 1;
        for (const Fault& f : make_fault_plan(seed, FaultProfile::everything, knobs).faults)
            kinds.insert(f.kind);
    }
    EXPECT_EQ(kinds.size(), static_cast<std::size_t>(FaultKind::rot) + 1);
}

TEST(FaultPlan, ASwarmLeavesOutClassesAndTheOthersAreTheSame) {
    std::set<std::size_t> sizes;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        const FaultKnobs knobs = knobs_for(5);
        const FaultPlan all = make_fault_plan(seed, FaultProfile::everything, knobs);
        const FaultPlan swarm = make_fault_plan(seed, FaultProfile::swarm, knobs);
        FaultPlan expected = all;
        std::size_t classes = 0;
        for (std::size_t i = 0; i < fault_classes; ++i) {
            const auto fault_class = static_cast<FaultClass>(i);
            if (!swarm.has(fault_class)) expected = expected.without(fault_class);
            classes += swarm.has(fault_class);
        }
        ASSERT_EQ(lines_of(swarm), lines_of(expected));
        sizes.insert(classes);
    }
    EXPECT_GT(sizes.size(), 4u);
}

TEST(FaultPlan, PrintsItself) {
    Fault fault;
    fault.number = 7;
    fault.kind = FaultKind::isolate;
    fault.at = 3'250ms;
    fault.lasts = 1'200ms;
    fault.nodes = {NodeId(2), NodeId(1)};
    EXPECT_EQ(fault.text(), "#7 at 3.250s for 1.200s isolate n2 n1, blackhole");
    FaultPlan plan{0xabc, FaultProfile::swarm, knobs_for(3), {fault}};
    EXPECT_EQ(plan.text(),
              "faults: seed 0xabc profile swarm nodes 3 clients 0\n"
              "#7 at 3.250s for 1.200s isolate n2 n1, blackhole\n"
              "heal at 30.000s\n");
}

TEST(FaultPlan, ShrinksToTheFaultsThatMatter) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        const FaultPlan plan = make_fault_plan(seed, FaultProfile::everything, knobs_for(5));
        Prng prng(seed);
        const std::uint32_t guilty[] = {plan.faults[prng.below(plan.faults.size())].number,
                                        plan.faults[prng.below(plan.faults.size())].number};
        std::size_t runs = 0;
        const auto fails = [&](const FaultPlan& tried) {
            ++runs;
            return std::all_of(std::begin(guilty), std::end(guilty), [&](std::uint32_t number) {
                return tried.only(std::array{number}).faults.size() == 1;
            });
        };
        const FaultPlan small = shrink(plan, fails);
        ASSERT_EQ(lines_of(small), lines_of(plan.only(guilty)));
        ASSERT_LT(runs, 40u);
    }
}

TEST(FaultPlan, ShrinkingStopsWhenItHasAskedEnough) {
    const FaultPlan plan = make_fault_plan(1, FaultProfile::everything, knobs_for(5));
    std::size_t runs = 0;
    const auto never = [&](const FaultPlan&) {
        ++runs;
        return false;
    };
    EXPECT_EQ(lines_of(shrink(plan, never, 10)), lines_of(plan));
    EXPECT_EQ(runs, 10u);
}

// Plans that are played.

struct GossipHost final : FaultHost {
    explicit GossipHost(io::GossipCluster& c) : cluster(c) {}
    void crash(NodeId node, io::Crash kind) override { cluster.stop(node, kind); }
    void restart(NodeId node, std::uint16_t cores) override {
        cluster.start(node, cores == 0 ? 2 : cores);
    }
    void replace_disk(NodeId node) override { cluster.world.wipe_disk(node); }
    io::GossipCluster& cluster;
};

struct Life {
    std::uint64_t hash = 0;
    std::uint64_t events = 0;
    std::size_t played = 0;
    bool recovered = false;
    bool operator==(const Life&) const = default;
};

Life play(std::uint64_t seed, FaultProfile profile, std::size_t nodes = 3) {
    io::GossipCluster cluster(seed, nodes, swarm_knobs(seed), 2);
    GossipHost host(cluster);
    FaultKnobs knobs = knobs_for(nodes);
    knobs.wipes_max = 1;
    knobs.rots_max = 1;
    FaultPlayer player(cluster.world, make_fault_plan(seed, profile, knobs), host);
    cluster.world.run_for(1s);
    player.begin();
    cluster.world.run_for(knobs.duration);
    EXPECT_TRUE(player.healed());
    Life life;
    life.played = player.played();
    // The longest wait is for an attempt to connect that a kernel repeats.
    life.recovered = cluster.world.run_until([&] { return cluster.all_hear(); }, 10s);
    cluster.world.run_for(10s);
    life.recovered = life.recovered && cluster.all_hear();
    const auto majority = player.majority();
    EXPECT_TRUE(majority.has_value());
    EXPECT_TRUE(!majority || majority->since <= player.heal_time());
    EXPECT_EQ(cluster.sum(&io::Gossip::garbage), 0u);
    life.hash = cluster.world.trace_hash();
    life.events = cluster.world.events();
    return life;
}

TEST(FaultPlayer, AClusterLivesThroughEverythingAndHeals) {
    std::size_t played = 0;
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
        SCOPED_TRACE(seed);
        const Life life = play(seed, FaultProfile::everything, 3 + seed % 3);
        ASSERT_TRUE(life.recovered);
        ASSERT_FALSE(testing::Test::HasFailure());
        played += life.played;
    }
    EXPECT_GT(played, 400u);
    EXPECT_EQ(io::FramePool::live(), 0);
}

TEST(FaultPlayer, ASeedSaysEverything) {
    std::set<std::uint64_t> hashes;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const Life first = play(seed, FaultProfile::swarm);
        ASSERT_EQ(play(seed, FaultProfile::swarm), first) << seed;
        hashes.insert(first.hash);
    }
    EXPECT_EQ(hashes.size(), 20u);
}

// The books.

struct Books {
    explicit Books(std::vector<Fault> faults, std::size_t nodes = 3)
        : cluster(1, nodes, {}, 2),
          host(cluster),
          player(cluster.world, FaultPlan{1, FaultProfile::calm, knobs_for(nodes), faults}, host) {
        player.begin();
    }
    void run_until(Duration time) {
        cluster.world.run_for(time - cluster.world.now().time_since_epoch());
    }
    Duration since() {
        const auto majority = player.majority();
        return majority ? majority->since.time_since_epoch() : Duration(-1);
    }
    io::GossipCluster cluster;
    GossipHost host;
    FaultPlayer player;
};

Fault fault_of(FaultKind kind, Duration at, Duration lasts, SimNodes nodes,
               std::int64_t amount = 0) {
    static std::uint32_t number = 0;
    Fault fault;
    fault.number = ++number;
    fault.kind = kind;
    fault.at = at;
    fault.lasts = lasts;
    fault.nodes = std::move(nodes);
    fault.amount = amount;
    return fault;
}

const NodeId n1(1);
const NodeId n2(2);
const NodeId n3(3);
const NodeId n4(4);
const NodeId n5(5);

TEST(FaultPlayer, KnowsWhichMajorityIsHealthySinceWhen) {
    Books books(
        {fault_of(FaultKind::isolate, 5s, 10s, {n1}), fault_of(FaultKind::kill, 10s, 10s, {n2})});
    books.run_until(4s);
    EXPECT_EQ(books.since(), Duration{});
    EXPECT_EQ(books.player.majority()->nodes, (SimNodes{n1, n2, n3}));
    books.run_until(6s);  // n2 and n3 were never apart
    EXPECT_EQ(books.since(), Duration{});
    EXPECT_EQ(books.player.majority()->nodes, (SimNodes{n2, n3}));
    books.run_until(11s);
    EXPECT_FALSE(books.player.majority().has_value());
    books.run_until(16s);
    EXPECT_EQ(books.since(), 15s);
    EXPECT_EQ(books.player.majority()->nodes, (SimNodes{n1, n3}));
    books.run_until(21s);
    EXPECT_EQ(books.player.majority()->nodes, (SimNodes{n1, n3}));
    books.run_until(31s);
    EXPECT_TRUE(books.player.healed());
}

TEST(FaultPlayer, CountsNobodyWhoIsPausedStalledOrSlow) {
    const std::pair<FaultKind, std::int64_t> kinds[] = {
        {FaultKind::pause, 0},
        {FaultKind::pause_core, 1},
        {FaultKind::hang_disk, 0},
        {FaultKind::slow_disk, Duration(100ms).count()},
        {FaultKind::slow_link, Duration(100ms).count()},
        {FaultKind::narrow_link, 1'000},
        {FaultKind::one_way, 0},
        {FaultKind::power_loss, 0},
        {FaultKind::wipe, 0},
        {FaultKind::flap, Duration(7ms).count()},
    };
    for (const auto& [kind, amount] : kinds) {
        SCOPED_TRACE(static_cast<int>(kind));
        std::vector<Fault> faults;
        for (const NodeId node : {n1, n2}) {
            faults.push_back(fault_of(kind, 2s, 1s, {node}, amount));
            if (kind == FaultKind::power_loss) faults.back().crash = io::Crash::power_prefix;
        }
        Books books(faults);
        books.run_until(2500ms);
        EXPECT_TRUE(kind == FaultKind::flap || !books.player.majority().has_value());
        books.run_until(3001ms);
        EXPECT_EQ(books.since(), 3s);
    }
}

TEST(FaultPlayer, ABridgeHasAMajorityAndARingOfFiveHasTwoNeighboursOnly) {
    Books over({fault_of(FaultKind::bridge, 1s, 5s, {n3, n1, n2, n4, n5})}, 5);
    over.run_until(2s);
    EXPECT_EQ(over.player.majority()->nodes, (SimNodes{n1, n2, n3}));
    Books round({fault_of(FaultKind::ring, 1s, 5s, {n1, n2, n3, n4, n5})}, 5);
    round.run_until(2s);
    EXPECT_FALSE(round.player.majority().has_value());
}

TEST(FaultPlayer, ANodeStaysDownUntilTheLastOfItsFaultsEnds) {
    Fault later = fault_of(FaultKind::kill, 2s, 10s, {n1});
    later.cores = 1;
    Books books({fault_of(FaultKind::kill, 1s, 3s, {n1}), later});
    books.run_until(5s);
    EXPECT_FALSE(books.cluster.runs(n1));
    books.run_until(13s);
    EXPECT_TRUE(books.cluster.runs(n1));
    EXPECT_EQ(books.cluster.process(n1).reactors().size(), 1u);
}

}  // namespace
}  // namespace kv
