/// The simulated network between several machines: partitions of every shape, what they do to
/// connections, slow links, and that leaving a fault out leaves the rest as it was.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "io/frame_pool.h"
#include "io/sim/sim_partition.h"
#include "io/sim/sim_process.h"
#include "tests/support/gossip_cluster.h"
#include "tests/support/io_scenes.h"

namespace kv::io {
namespace {

const NodeId n1(1);
const NodeId n2(2);
const NodeId n3(3);
const NodeId n4(4);
const NodeId n5(5);
const SimNodes three = {n1, n2, n3};
const SimNodes five = {n1, n2, n3, n4, n5};

bool cuts(const SimPairs& pairs, NodeId from, NodeId to) {
    return std::find(pairs.begin(), pairs.end(), SimPair{from, to}) != pairs.end();
}

TEST(SimPartition, ShapesCutWhatTheySay) {
    EXPECT_EQ(isolate(five, {n1}).size(), 8u);
    EXPECT_EQ(isolate(five, {n1, n2}).size(), 12u);
    EXPECT_FALSE(cuts(isolate(five, {n1, n2}), n1, n2));
    EXPECT_TRUE(cuts(isolate(five, {n1, n2}), n2, n5));
    EXPECT_TRUE(cuts(isolate(five, {n1, n2}), n5, n2));

    const SimPairs one = one_way({n1}, {n2, n3});
    EXPECT_EQ(one.size(), 2u);
    EXPECT_TRUE(cuts(one, n1, n3));
    EXPECT_FALSE(cuts(one, n3, n1));

    const SimPairs over = bridge(five, n3);
    EXPECT_EQ(over.size(), 8u);
    for (const NodeId node : five) {
        EXPECT_FALSE(cuts(over, node, n3));
        EXPECT_FALSE(cuts(over, n3, node));
    }
    EXPECT_TRUE(cuts(over, n1, n5));
    EXPECT_FALSE(cuts(over, n4, n5));

    const SimPairs round = ring(five);
    EXPECT_EQ(round.size(), 10u);
    EXPECT_FALSE(cuts(round, n5, n1));
    EXPECT_FALSE(cuts(round, n2, n3));
    EXPECT_TRUE(cuts(round, n1, n3));
    EXPECT_TRUE(ring(three).empty());
}

// What a cluster notices.

/// Runs a little, cuts, runs for five seconds, and says who then hears whom not.
std::set<std::pair<NodeId, NodeId>> deaf_after(GossipCluster& cluster, SimPairs pairs,
                                               SimCut kind) {
    cluster.world.run_for(1s);
    EXPECT_TRUE(cluster.all_hear());
    cluster.world.network().cut(std::move(pairs), kind);
    cluster.world.run_for(5s);
    std::set<std::pair<NodeId, NodeId>> deaf;
    for (const NodeId to : cluster.nodes()) {
        for (const NodeId from : cluster.nodes()) {
            if (to != from && !cluster.hears(to, from)) deaf.insert({from, to});
        }
    }
    return deaf;
}

constexpr SimCut kinds_of_cut[] = {SimCut::clog, SimCut::blackhole, SimCut::reset};
class SimCuts : public testing::TestWithParam<SimCut> {};
INSTANTIATE_TEST_SUITE_P(Kinds, SimCuts, testing::ValuesIn(kinds_of_cut));

TEST_P(SimCuts, NobodyHearsAcrossAPartitionAndEverybodyAfterIt) {
    const std::pair<const char*, SimPairs> shapes[] = {
        {"isolate", isolate(five, {n2})},
        {"halves", split({n1, n4}, {n2, n3, n5})},
        {"bridge", bridge(five, n3)},
        {"ring", ring(five)},
    };
    for (const auto& [name, pairs] : shapes) {
        for (std::uint64_t seed = 0; seed < 5; ++seed) {
            SCOPED_TRACE(testing::Message() << name << ' ' << seed);
            GossipCluster cluster(seed, 5);
            const auto deaf = deaf_after(cluster, pairs, GetParam());
            std::set<std::pair<NodeId, NodeId>> expected;
            for (const SimPair& pair : pairs) expected.insert({pair.from, pair.to});
            ASSERT_EQ(deaf, expected);
            cluster.world.network().heal();
            cluster.world.run_for(10s);
            ASSERT_TRUE(cluster.all_hear());
            ASSERT_EQ(cluster.sum(&Gossip::garbage), 0u);
        }
    }
    EXPECT_EQ(FramePool::live(), 0);
}

TEST(SimNetworkCuts, OneWayCutsOneWayOfTheBytesAndBothOfTheConnects) {
    GossipCluster cluster(1, 2);
    cluster.world.run_for(1s);
    const std::uint64_t before = cluster.gossip(n1).heard(n2).beats;
    cluster.world.network().cut(one_way({n1}, {n2}));
    EXPECT_FALSE(cluster.world.network().flows(n1, n2));
    EXPECT_TRUE(cluster.world.network().flows(n2, n1));
    cluster.world.run_for(900ms);
    // The open connection goes on to carry what n2 says, but n2 gets no echo and gives it up.
    EXPECT_GE(cluster.gossip(n1).heard(n2).beats, before + 15);
    cluster.world.run_for(5s);
    EXPECT_FALSE(cluster.hears(n1, n2));
    EXPECT_FALSE(cluster.hears(n2, n1));
    cluster.world.network().heal();
    cluster.world.run_for(5s);
    EXPECT_TRUE(cluster.all_hear());
}

TEST(SimNetworkCuts, OverlappingCutsEndOneByOne) {
    SimWorld world(1);
    SimNetwork& network = world.network();
    const std::uint32_t first = network.cut(isolate(three, {n1}), SimCut::clog);
    const std::uint32_t second = network.cut(isolate(three, {n1, n2}), SimCut::blackhole);
    network.mend(first);
    EXPECT_TRUE(network.flows(n1, n2));
    EXPECT_FALSE(network.flows(n1, n3));
    EXPECT_FALSE(network.flows(n2, n3));
    network.mend(first);
    EXPECT_FALSE(network.flows(n2, n3));
    network.mend(second);
    EXPECT_TRUE(network.flows(n2, n3));
}

TEST(SimNetworkCuts, AFlappingLinkLosesNothingForGood) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        GossipCluster cluster(seed);
        SimWorld& world = cluster.world;
        for (int i = 0; i < 40; ++i) {
            world.run_for(300ms);
            const std::uint32_t cut = world.network().cut(isolate(three, {n2}));
            world.run_for(200ms);
            world.network().mend(cut);
        }
        world.run_for(5s);
        ASSERT_TRUE(cluster.all_hear());
        ASSERT_EQ(cluster.sum(&Gossip::garbage), 0u);
        ASSERT_GT(world.network().counters().went_on, 50u);
    }
}

// Streams over cuts.

constexpr std::size_t echo_bytes = 2'000'000;

/// An echo of them from n2 by n1 with a cut in the middle of it.
scenes::EchoResult echo_over(std::uint64_t seed, SimKnobs knobs, SimPairs pairs, SimCut kind,
                             Duration lasts, SimNetwork::Counters* counters) {
    knobs.network.delay = {1ms, 10ms};
    SimWorld world(seed, knobs);
    world.add_node(n1, {"10.0.0.1"});
    world.add_node(n2, {"10.0.0.2"});
    scenes::EchoResult result;
    {
        SimProcess near(world, n1);
        SimProcess far(world, n2);
        scenes::EchoServer server(near.reactor());
        const Endpoint at = *parse_endpoint("10.0.0.1", 7000);
        const auto listen = [&]() -> Task<void> {
            const Result<Endpoint> bound = co_await server.listen(at);
            EXPECT_TRUE(bound.has_value());
        };
        EXPECT_TRUE(near.run(listen()));
        far.reactor().spawn(scenes::echo_client(far.reactor(), at, echo_bytes, 1, &result));
        world.run_for(40ms);
        EXPECT_TRUE(result.connected);
        const std::uint64_t before = result.received;
        EXPECT_LT(before, echo_bytes);
        const std::uint32_t cut = world.network().cut(std::move(pairs), kind);
        world.run_for(lasts);
        EXPECT_LT(result.received, echo_bytes);
        world.network().mend(cut);
        world.run_for(600s);
        *counters = world.network().counters();
        near.kill();
        far.kill();
    }
    EXPECT_EQ(FramePool::live(), 0);
    return result;
}

TEST(SimNetworkCuts, AStreamGoesOnWhereItWasWithoutLossOrDisorder) {
    SimKnobs knobs;
    knobs.network.mend_reset_per_million = knobs.network.mend_silent_per_million = 0;
    std::uint64_t stopped = 0;
    for (const SimCut kind : {SimCut::clog, SimCut::blackhole}) {
        for (const SimPairs& pairs :
             {split({n1}, {n2}), one_way({n1}, {n2}), one_way({n2}, {n1})}) {
            for (std::uint64_t seed = 0; seed < 10; ++seed) {
                SCOPED_TRACE(seed);
                SimNetwork::Counters counters;
                const scenes::EchoResult result =
                    echo_over(seed, knobs, pairs, kind, 30s, &counters);
                ASSERT_FALSE(result.wrong);
                ASSERT_EQ(result.error, 0);
                ASSERT_EQ(result.received, echo_bytes);
                stopped += counters.stopped;
                ASSERT_EQ(counters.resets, 0u);
            }
        }
    }
    EXPECT_GT(stopped, 100u);
}

TEST(SimNetworkCuts, AfterABlackholeAStreamGoesOnBreaksOrIsSilent) {
    SimKnobs knobs;
    knobs.network.mend_reset_per_million = knobs.network.mend_silent_per_million = 400'000;
    int whole = 0;
    int broken = 0;
    int silent = 0;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        SimNetwork::Counters counters;
        const scenes::EchoResult result =
            echo_over(seed, knobs, split({n1}, {n2}), SimCut::blackhole, 1s, &counters);
        ASSERT_FALSE(result.wrong);
        whole += result.received == echo_bytes;
        broken += result.error != 0;
        silent += result.received < echo_bytes && result.error == 0;
    }
    EXPECT_GT(whole, 3);
    EXPECT_GT(broken, 10);
    EXPECT_GT(silent, 5);
}

TEST(SimNetworkCuts, ACutByResetBreaksStreamsAndRefusesConnects) {
    SimNetwork::Counters counters;
    const scenes::EchoResult result =
        echo_over(1, {}, one_way({n1}, {n2}), SimCut::reset, 1s, &counters);
    EXPECT_NE(result.error, 0);
    EXPECT_EQ(counters.resets, 2u);
}

// Connecting.

struct Tried {
    Duration took{};
    std::string error;
};
Task<void> try_connect(Reactor& reactor, Endpoint to, Tried* tried, SimWorld* world) {
    const Instant start = world->now();
    const Result<std::int32_t> fd = co_await connect_to(reactor, to);
    tried->took = world->now() - start;
    tried->error = fd ? "none" : fd.error().detail;
}

TEST(SimNetworkCuts, AttemptsVanishAreRefusedOrComeThroughLate) {
    const Endpoint at = *parse_endpoint("10.0.0.2", 7000);
    const auto attempt = [&](SimCut kind, Duration lasts, const SimPairs& pairs) {
        GossipCluster cluster(3, 2);
        SimWorld& world = cluster.world;
        world.run_for(1s);
        const std::uint32_t cut = world.network().cut(pairs, kind);
        world.at(world.now() + lasts, [&world, cut] { world.network().mend(cut); });
        Tried tried;
        Reactor& reactor = cluster.process(n1).reactor();
        EXPECT_TRUE(cluster.process(n1).run(try_connect(reactor, at, &tried, &world)));
        return tried;
    };
    const Tried vanished = attempt(SimCut::blackhole, 1h, split({n1}, {n2}));
    EXPECT_NE(vanished.error.find("timed out"), std::string::npos) << vanished.error;
    EXPECT_GT(vanished.took, 120s);
    EXPECT_LT(vanished.took, 130s);
    const Tried refused = attempt(SimCut::reset, 1h, split({n1}, {n2}));
    EXPECT_NE(refused.error.find("refused"), std::string::npos) << refused.error;
    EXPECT_LT(refused.took, 1s);
    // The answer alone is lost: that is no connection either.
    const Tried deaf = attempt(SimCut::blackhole, 1h, one_way({n2}, {n1}));
    EXPECT_NE(deaf.error.find("timed out"), std::string::npos) << deaf.error;
    const Tried late = attempt(SimCut::blackhole, 10s, split({n1}, {n2}));
    EXPECT_EQ(late.error, "none");
    EXPECT_GT(late.took, 10s);
    EXPECT_LT(late.took, 20s);
}

// Machines.

TEST(SimNetworkCuts, ASilentPowerLossIsNoticedByThoseWhoTalk) {
    SimKnobs knobs;
    knobs.network.silent_power_per_million = 1'000'000;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        GossipCluster cluster(seed, 3, knobs);
        cluster.world.run_for(1s);
        cluster.stop(n1, Crash::power_lose_all);
        cluster.world.run_for(500ms);
        // Nobody was told, and nobody refuses.
        ASSERT_EQ(cluster.world.network().counters().resets, 0u);
        cluster.world.run_for(20s);
        ASSERT_EQ(cluster.world.network().counters().resets, 0u);
        ASSERT_GE(cluster.sum(&Gossip::given_up), 2u);
        cluster.start(n1);
        cluster.world.run_for(40s);
        ASSERT_TRUE(cluster.all_hear());
    }
}

TEST(SimNetworkCuts, BytesOfOldConnectionsComeAfterThoseOfNewOnes) {
    std::uint64_t late = 0;
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        SimKnobs knobs;
        knobs.network.tail_per_million = 50'000;
        knobs.network.tail = {1s, 10s};
        GossipCluster cluster(seed, 3, knobs);
        cluster.world.run_for(30s);
        for (const NodeId to : three) {
            for (const NodeId from : three) late += cluster.gossip(to).heard(from).late;
        }
        ASSERT_EQ(cluster.sum(&Gossip::garbage), 0u);
    }
    EXPECT_GT(late, 0u);
}

TEST(SimNetworkCuts, ConnectionsFallSilentAndAreGivenUp) {
    SimKnobs knobs;
    knobs.network.blackhole_per_million = 10'000;
    knobs.network.lost_syn_per_million = 100'000;
    GossipCluster cluster(1, 3, knobs);
    cluster.world.run_for(60s);
    EXPECT_GT(cluster.world.network().counters().fell_silent, 20u);
    EXPECT_GT(cluster.world.network().counters().repeated_attempts, 0u);
    EXPECT_GT(cluster.sum(&Gossip::given_up), 10u);
    for (const NodeId to : three) {
        for (const NodeId from : three) {
            if (to == from) continue;
            EXPECT_GT(cluster.gossip(to).heard(from).beats, 300u);
        }
    }
}

TEST(SimNetworkCuts, ALimitedLinkTakesTheTimeItsBytesNeed) {
    SimKnobs knobs;
    knobs.network.bytes_per_second = 100'000;
    SimWorld world(1, knobs);
    world.add_node(n1, {"10.0.0.1"});
    world.add_node(n2, {"10.0.0.2"});
    SimProcess near(world, n1);
    SimProcess far(world, n2);
    scenes::EchoServer server(near.reactor());
    const Endpoint at = *parse_endpoint("10.0.0.1", 7000);
    const auto listen = [&]() -> Task<void> {
        const Result<Endpoint> bound = co_await server.listen(at);
        EXPECT_TRUE(bound.has_value());
    };
    ASSERT_TRUE(near.run(listen()));
    scenes::EchoResult result;
    const Instant start = world.now();
    ASSERT_TRUE(far.run(scenes::echo_client(far.reactor(), at, 500'000, 1, &result)));
    EXPECT_EQ(result.received, 500'000u);
    EXPECT_GT(world.now() - start, 5s);
    EXPECT_LT(world.now() - start, 12s);
    near.kill();
}

// Cost.

TEST(SimNetworkCuts, ABeatingClusterCostsFewEvents) {
    GossipCluster cluster(1, 3, {}, 2);
    cluster.world.run_for(30s);
    std::uint64_t beats = 0;
    for (const NodeId to : three) {
        for (const NodeId from : three) {
            for (std::size_t core = 0; core < 2; ++core)
                beats += cluster.gossip(to, core).heard(from).beats;
        }
    }
    EXPECT_GT(beats, 7'000u);
    // A beat and its echo: two sends with their segments, four completions, and their turns.
    EXPECT_LT(cluster.world.events(), 40 * beats);
    // With the time that GoogleTest prints, the speed of a cluster.
    std::printf("%llu beats, %llu events\n", static_cast<unsigned long long>(beats),
                static_cast<unsigned long long>(cluster.world.events()));
}

// Determinism.

struct Trace {
    std::uint64_t hash = 0;
    std::uint64_t events = 0;
    bool operator==(const Trace&) const = default;
};

Trace rough_life(std::uint64_t seed) {
    SimKnobs knobs;
    knobs.network.tail_per_million = 10'000;
    knobs.network.blackhole_per_million = 1'000;
    knobs.network.reset_per_million = 1'000;
    knobs.network.silent_power_per_million = 500'000;
    knobs.core.stall_per_million = 1'000;
    knobs.mono_base_max = 1h;
    GossipCluster cluster(seed, 3, knobs, 2);
    SimWorld& world = cluster.world;
    world.run_for(2s);
    const std::uint32_t cut = world.network().cut(isolate(three, {n1}));
    world.set_drift(n2, 50'000);
    world.run_for(2s);
    world.pause_core(n2, CoreId(1), 3s);
    cluster.stop(n3, all_crashes[seed % all_crashes.size()]);
    world.run_for(2s);
    cluster.start(n3, 3);
    world.network().mend(cut);
    world.run_for(5s);
    return {world.trace_hash(), world.events()};
}

TEST(SimNetworkCuts, TheSeedSaysEverythingForClustersToo) {
    std::set<std::uint64_t> hashes;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const Trace first = rough_life(seed);
        ASSERT_EQ(rough_life(seed), first) << seed;
        hashes.insert(first.hash);
    }
    EXPECT_EQ(hashes.size(), 20u);
    // To compare builds with: every compiler and every sanitizer gives the same.
    RecordProperty("trace_hash", std::to_string(rough_life(7).hash));
}

TEST(SimNetworkCuts, OneClassOfFaultsDoesNotShiftTheDrawsOfAnother) {
    const auto arrivals = [](bool trouble) {
        SimWorld world(1);
        SimLine here(world.seed(), {n2, n3}, {{1us, 1ms}, {5ms}, 0, {}, 0});
        if (trouble) {
            here.link.tail_per_million = 500'000;
            static_cast<void>(odds(here.resets, 10));
            static_cast<void>(odds(here.holes, 10));
        }
        std::vector<std::uint64_t> out;
        for (int i = 0; i < 100; ++i) static_cast<void>(here.draw_delay());
        for (int i = 0; i < 10; ++i) out.push_back(here.timing.next() ^ here.shapes.next());
        return out;
    };
    EXPECT_EQ(arrivals(false), arrivals(true));
}

}  // namespace
}  // namespace kv::io
