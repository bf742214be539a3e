#include "consensus/drive/transport.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "io/await.h"
#include "tests/support/io_scenes.h"
#include "tests/support/sim_peers.h"

namespace kv::consensus {
namespace {

const NodeId n1(1);
const NodeId n2(2);
const NodeId n3(3);
const GroupId g1(1);

/// Three machines, on which nothing runs yet.
struct World {
    explicit World(std::uint64_t seed, const io::SimKnobs& knobs = {}) : world(seed, knobs) {
        world.add_node(n1, {"10.0.0.1"});
        world.add_node(n2, {"10.0.0.2"});
        world.add_node(n3, {"10.0.0.3"});
    }
    template <typename Done>
    bool until(Done done, Duration limit = 1min) {
        return world.run_until(done, limit);
    }
    io::SimWorld world;
};

/// Runs `act` in a turn of the first core.
io::Task<void> in_a_turn(std::function<void()> act) {
    act();
    co_return;
}
void act(SimPeer& node, std::function<void()> what) {
    ASSERT_TRUE(node.process.run(in_a_turn(std::move(what))));
}

/// Waits until the two can speak, in both directions.
void expect_connected(World& w, SimPeer& a, SimPeer& b) {
    ASSERT_TRUE(w.until([&] { return a.connected(b.self.node) && b.connected(a.self.node); }));
}

TEST(Transport, TwoNodesHearAllOfEachOtherInOrderUnderEverySeed) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        SCOPED_TRACE(seed);
        World w(seed);
        SimPeer a(w.world, n1);
        SimPeer b(w.world, n2);
        a.start({n2});
        b.start({n1});
        expect_connected(w, a, b);
        // The connections that both open first: a change of them might change the order.
        w.world.run_for(1s);
        std::vector<std::uint64_t> numbers;
        for (std::uint64_t i = 1; i <= 40; ++i) {
            numbers.push_back(i);
            const std::size_t bytes = i == 20 ? 1'000'000 : i * i;
            act(a, [&] { EXPECT_TRUE(a.cores[0]->say(n2, g1, i, bytes)); });
            act(b, [&] { EXPECT_TRUE(b.cores[0]->say(n1, g1, i, bytes)); });
        }
        ASSERT_TRUE(w.until([&] { return a.heard_from(n2) == 40 && b.heard_from(n1) == 40; }));
        EXPECT_EQ(a.cores[0]->heard[n2], numbers);
        EXPECT_EQ(b.cores[0]->heard[n1], numbers);
        EXPECT_EQ(a.cores[0]->disconnections, 0u);
        a.stop();
        b.stop();
        EXPECT_EQ(w.world.network().open_sockets(), 0u);
    }
}

TEST(Transport, WhatOneTurnSaysIsOneFrame) {
    World w(1);
    SimPeer a(w.world, n1);
    SimPeer b(w.world, n2);
    a.start({n2});
    b.start({n1});
    expect_connected(w, a, b);
    const Transport& ears = b.cores[0]->transport;
    w.world.run_for(2s);
    // Idle frames would be counted: none is due so soon behind these.
    act(a, [&] { a.cores[0]->say(n2, g1, 1); });
    ASSERT_TRUE(w.until([&] { return b.heard_from(n1) == 1; }));
    const std::uint64_t before = ears.counters().frames_received;
    act(a, [&] {
        for (std::uint64_t i = 2; i <= 101; ++i) a.cores[0]->say(n2, GroupId(i), i);
        for (std::uint64_t i = 102; i <= 201; ++i) a.cores[0]->beat(n2, GroupId(i), i);
    });
    ASSERT_TRUE(w.until([&] { return b.heard_from(n1) == 201; }));
    EXPECT_EQ(ears.counters().frames_received, before + 2) << "messages, and heartbeats";
}

TEST(Transport, EachGroupIsReachedOnItsCoreWhateverTheNumbersOfCores) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        SCOPED_TRACE(seed);
        World w(seed);
        SimPeer a(w.world, n1, 1);
        SimPeer b(w.world, n2, 2);
        SimPeer c(w.world, n3, 3);
        SimPeer* const nodes[] = {&a, &b, &c};
        a.start({n2, n3});
        b.start({n1, n3});
        c.start({n1, n2});
        for (SimPeer* x : nodes) {
            for (SimPeer* y : nodes) {
                if (x != y) expect_connected(w, *x, *y);
            }
        }
        for (SimPeer* x : nodes) {
            for (SimPeer* y : nodes) {
                if (x == y) continue;
                for (const auto& core : x->cores) {
                    for (std::uint64_t group = 1; group <= 12; ++group) {
                        ASSERT_TRUE(core->say(y->self.node, GroupId(group), group, 100));
                        ASSERT_TRUE(core->beat(y->self.node, GroupId(group), group));
                    }
                    core->reactor.want_turn();
                }
            }
        }
        // What is heard on a wrong core is a failure of its own.
        const auto all_heard = [&] {
            for (SimPeer* x : nodes) {
                for (SimPeer* y : nodes) {
                    if (x != y && x->heard_from(y->self.node) != 24 * y->cores.size()) return false;
                }
            }
            return true;
        };
        ASSERT_TRUE(w.until(all_heard));
        for (SimPeer* x : nodes) x->stop();
        EXPECT_EQ(w.world.network().open_sockets(), 0u);
    }
}

TEST(Transport, ALostConnectionIsToldAndMadeAgain) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        SCOPED_TRACE(seed);
        World w(seed);
        SimPeer a(w.world, n1);
        SimPeer b(w.world, n2);
        a.start({n2});
        b.start({n1});
        expect_connected(w, a, b);
        for (std::uint64_t round = 1; round <= 5; ++round) {
            const std::uint64_t before = a.cores[0]->disconnections;
            w.world.network().reset_connections(n1, n2);
            ASSERT_TRUE(w.until([&] { return a.cores[0]->disconnections > before; }, 1s));
            expect_connected(w, a, b);
            w.world.run_for(3s);  // all resets are told, and both have connected again
            act(a, [&] { EXPECT_TRUE(a.cores[0]->say(n2, g1, round)); });
            ASSERT_TRUE(w.until([&] { return b.heard_from(n1) == round; }, 1s));
        }
    }
}

TEST(Transport, WhatBreaksInMidStreamLosesMessagesAndNeverMixesThem) {
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        SCOPED_TRACE(seed);
        io::SimKnobs knobs;
        knobs.network.reset_per_million = 20'000;
        World w(seed, knobs);
        SimPeer a(w.world, n1);
        SimPeer b(w.world, n2);
        b.cores[0]->echo = true;
        a.start({n2});
        b.start({n1});
        for (std::uint64_t i = 1; i <= 300; ++i) {
            act(a, [&] { a.cores[0]->say(n2, g1, i, 3'000); });
            w.world.run_for(5ms);
        }
        ASSERT_GT(a.cores[0]->disconnections, 0u);
        ASSERT_GT(a.heard_from(n2), 50u);
        std::set<std::uint64_t> once;
        for (const std::uint64_t number : b.cores[0]->heard[n1]) {
            EXPECT_TRUE(once.insert(number).second) << "twice";
            EXPECT_LE(number, 300u);
        }
    }
}

TEST(Transport, APeerThatFallsSilentIsNoticed) {
    io::SimKnobs knobs;
    knobs.network.reset_after_power = {1h, 1h};  // nobody is told that the machine is gone
    World w(3, knobs);
    SimPeer a(w.world, n1);
    auto b = std::make_unique<SimPeer>(w.world, n2);
    a.start({n2});
    b->start({n1});
    expect_connected(w, a, *b);
    EXPECT_EQ(a.cores[0]->connected_boot.at(n2), 1u);
    w.world.run_for(10s);
    EXPECT_TRUE(a.connected(n2)) << "idle is not silent";
    EXPECT_EQ(a.cores[0]->disconnections, 0u);
    b->kill(io::Crash::power_lose_all);
    b.reset();
    const LinkLimits limits;
    ASSERT_TRUE(w.until([&] { return !a.connected(n2); }, limits.silence_max + 1s));
    act(a, [&] { EXPECT_FALSE(a.cores[0]->say(n2, g1, 1)); });
    // Back again, in its next life.
    SimPeer again(w.world, n2, 1, 2);
    again.start({n1});
    expect_connected(w, a, again);
    EXPECT_EQ(a.cores[0]->connected_boot.at(n2), 2u);
    act(a, [&] { EXPECT_TRUE(a.cores[0]->say(n2, g1, 2)); });
    ASSERT_TRUE(w.until([&] { return again.heard_from(n1) == 1; }));
}

TEST(Transport, ARestartIsADisconnectionEvenIfTheOldLifeWasNotMissed) {
    io::SimKnobs knobs;
    knobs.network.reset_after_power = {1h, 1h};
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        SCOPED_TRACE(seed);
        World w(seed, knobs);
        SimPeer a(w.world, n1);
        auto b = std::make_unique<SimPeer>(w.world, n2);
        a.start({n2});
        b->start({n1});
        expect_connected(w, a, *b);
        b->kill(io::Crash::power_lose_all);
        b.reset();
        SimPeer again(w.world, n2, 1, 2);
        again.start({n1});
        ASSERT_TRUE(
            w.until([&] { return a.connected(n2) && a.cores[0]->connected_boot.at(n2) == 2; }, 1s));
        EXPECT_EQ(a.cores[0]->disconnections, 1u);
    }
}

TEST(Transport, AnEarlierLifeIsRefused) {
    World w(5);
    SimPeer a(w.world, n1);
    SimPeer copy(w.world, n2, 1, 3);
    a.known[n2].boot = 4;
    a.start({n2});
    copy.start({n1});
    ASSERT_TRUE(w.until([&] { return !copy.refused_here.empty(); }));
    EXPECT_EQ(copy.refused_here[0], static_cast<std::uint16_t>(Refusal::boot));
    EXPECT_FALSE(a.connected(n2));
}

TEST(Transport, ANodeWithAnotherDataDirectoryIsRefusedOnBothWays) {
    World w(6);
    SimPeer a(w.world, n1);
    SimPeer b(w.world, n2);
    b.self.store = {77, 77};
    a.start({n2});
    b.start({n1});
    w.world.run_for(10s);
    EXPECT_FALSE(a.connected(n2));
    EXPECT_FALSE(b.connected(n1));
    EXPECT_EQ(a.heard_from(n2), 0u);
    const auto store = static_cast<std::uint16_t>(Refusal::store);
    ASSERT_FALSE(a.refused.empty());
    EXPECT_EQ(a.refused[0], store);
    ASSERT_FALSE(b.refused_here.empty());
    EXPECT_EQ(b.refused_here[0], store);
    // Tried again now and then, not in a loop.
    EXPECT_LT(a.refused.size(), 40u);
    a.stop();
    b.stop();
    EXPECT_EQ(w.world.network().open_sockets(), 0u);
}

TEST(Transport, OneNodeThatReachesTheOtherIsEnoughForBoth) {
    World w(7);
    SimPeer a(w.world, n1);
    SimPeer b(w.world, n2);
    a.start({n2});
    b.start({{n1, SimPeer::endpoint_of(n1, 9)}});  // where nobody listens
    expect_connected(w, a, b);
    act(a, [&] { EXPECT_TRUE(a.cores[0]->say(n2, g1, 1)); });
    act(b, [&] { EXPECT_TRUE(b.cores[0]->say(n1, g1, 2)); });
    ASSERT_TRUE(w.until([&] { return a.heard_from(n2) == 1 && b.heard_from(n1) == 1; }));
    a.stop();
    b.stop();
    EXPECT_EQ(w.world.network().open_sockets(), 0u);
}

TEST(Transport, AWrongAddressIsFoundOut) {
    World w(8);
    SimPeer a(w.world, n1);
    SimPeer c(w.world, n3);
    c.known[n1] = {true, {1, 1}, 0};
    a.start({{n2, SimPeer::endpoint_of(n3)}});
    c.start({n1});
    ASSERT_TRUE(w.until([&] { return !a.refused_here.empty(); }));
    EXPECT_EQ(a.refused_here[0], static_cast<std::uint16_t>(Refusal::wrong_node));
    EXPECT_FALSE(a.connected(n2));
}

TEST(Transport, APeerThatReadsNothingCostsABoundedQueueAndNoConnection) {
    LinkLimits limits;
    limits.queued_bytes_max = 1'000'000;
    World w(9);
    SimPeer a(w.world, n1, 1, 1, limits);
    SimPeer b(w.world, n2);
    a.start({n2});
    b.start({n1});
    expect_connected(w, a, b);
    w.world.run_for(2s);
    act(b, [&] { b.cores[0]->transport.set_reading(false); });
    w.world.run_for(100ms);
    std::uint64_t taken = 0;
    for (std::uint64_t i = 1; i <= 100; ++i) {
        act(a, [&] { taken += a.cores[0]->say(n2, g1, i, 100'000) ? 1 : 0; });
    }
    EXPECT_LT(taken, 20u) << "the bound, and what the network holds";
    EXPECT_GE(taken, 9u);
    EXPECT_GT(a.cores[0]->unreachable, 0u);
    EXPECT_EQ(a.cores[0]->transport.counters().messages_dropped, 100 - taken);
    act(b, [&] { b.cores[0]->transport.set_reading(true); });
    ASSERT_TRUE(w.until([&] { return b.heard_from(n1) == taken; }));
    EXPECT_EQ(a.cores[0]->disconnections, 0u);
    act(a, [&] { EXPECT_TRUE(a.cores[0]->say(n2, g1, 101)); });
    ASSERT_TRUE(w.until([&] { return b.heard_from(n1) == taken + 1; }));
}

TEST(Transport, APeerThatReadsNothingForTooLongIsLeft) {
    World w(10);
    SimPeer a(w.world, n1);
    SimPeer b(w.world, n2);
    a.start({n2});
    b.start({n1});
    expect_connected(w, a, b);
    act(b, [&] { b.cores[0]->transport.set_reading(false); });
    act(a, [&] { EXPECT_TRUE(a.cores[0]->say(n2, g1, 1, 1'000'000)); });
    const LinkLimits limits;
    ASSERT_TRUE(w.until([&] { return a.cores[0]->disconnections > 0; }, limits.stall_max + 5s));
}

/// Connects to `to`, sends `bytes`, and waits for the end of the connection.
struct Stranger final : io::Stream::Handler {
    Stranger(io::Reactor& r, std::int32_t fd) : stream(r, fd, *this), closed(r) {}
    void on_received(Bytes bytes) noexcept override { got.append(as_text(bytes)); }
    void on_sent(std::size_t) noexcept override {}
    void on_ended(std::int32_t) noexcept override { stream.close(); }
    void on_closed() noexcept override { closed.set(); }
    io::Stream stream;
    io::Event closed;
    std::string got;
};

io::Task<void> stranger(io::Reactor& reactor, io::Endpoint to, std::string bytes,
                        std::string* got) {
    const Result<std::int32_t> fd = co_await io::connect_to(reactor, to);
    EXPECT_TRUE(fd.has_value());
    if (!fd) co_return;
    Stranger one(reactor, *fd);
    one.stream.receive();
    if (!bytes.empty()) one.stream.send(as_bytes(bytes));
    co_await one.closed.wait();
    *got = one.got;
}

TEST(Transport, GarbageClosesItsConnectionAndNothingElse) {
    World w(11);
    SimPeer a(w.world, n1);
    SimPeer b(w.world, n2);
    a.start({n2});
    b.start({n1});
    expect_connected(w, a, b);
    io::SimProcess outside(w.world, n3);
    std::string question;
    Handshake self = b.self;
    self.nonce = 5;
    encode_handshake(self, question);
    std::string answer = question;
    store_le<std::uint16_t>(answer.data() + 96, 1);
    const std::string garbage[] = {
        "",  // says nothing: the time-out
        "GET / HTTP/1.1\r\n\r\n",
        std::string(5'000, '\0'),
        io::scenes::pattern(100'000, 3),
        question.substr(0, 50),
        answer,
        question + question,
    };
    for (const std::string& bytes : garbage) {
        std::string got;
        ASSERT_TRUE(
            outside.run(stranger(outside.reactor(), SimPeer::endpoint_of(n1), bytes, &got), 10s));
        EXPECT_EQ(got, "") << "nothing is said to who is nobody";
    }
    ASSERT_TRUE(w.until([&] { return a.acceptor->pending() == 0; }, 10s));
    act(a, [&] { EXPECT_TRUE(a.cores[0]->say(n2, g1, 1)); });
    ASSERT_TRUE(w.until([&] { return b.heard_from(n1) == 1; }));
    EXPECT_EQ(a.cores[0]->disconnections, 0u);
}

/// Shakes hands as node 2 does, then sends what is no frame.
io::Task<void> impostor(io::Reactor& reactor, io::Endpoint to, std::string question,
                        std::string nonsense, bool* closed) {
    const Result<std::int32_t> fd = co_await io::connect_to(reactor, to);
    EXPECT_TRUE(fd.has_value());
    if (!fd) co_return;
    Stranger one(reactor, *fd);
    one.stream.receive();
    one.stream.send(as_bytes(question));
    while (one.got.size() < handshake_bytes_min) co_await io::SleepAwaiter(reactor, 1ms);
    one.stream.send(as_bytes(nonsense));
    co_await one.closed.wait();
    *closed = true;
}

TEST(Transport, AFrameThatIsNoneClosesTheConnection) {
    World w(12);
    SimPeer a(w.world, n1);
    a.start({n2});
    io::SimProcess outside(w.world, n2);
    Handshake self = a.self;
    self.node = n2;
    self.store = {2, 1};
    std::string question;
    encode_handshake(self, question);
    for (const std::string& nonsense :
         {std::string(frame_header_bytes, '\0'), io::scenes::pattern(3'000, 4), question}) {
        bool closed = false;
        ASSERT_TRUE(outside.run(
            impostor(outside.reactor(), SimPeer::endpoint_of(n1), question, nonsense, &closed),
            10s));
        EXPECT_TRUE(closed);
    }
    EXPECT_EQ(a.heard_from(n2), 0u);
    EXPECT_EQ(a.cores[0]->transport.counters().connections_adopted, 3u);
    ASSERT_TRUE(w.until([&] { return !a.connected(n2); }, 5s));
}

TEST(Transport, WhoIsNoPeerAnyMoreIsLeft) {
    World w(13);
    SimPeer a(w.world, n1);
    SimPeer b(w.world, n2);
    a.start({n2});
    b.start({n1});
    expect_connected(w, a, b);
    a.known[n2].member = false;
    act(a, [&] { a.cores[0]->transport.set_peers({}); });
    ASSERT_TRUE(w.until([&] { return !a.connected(n2) && !b.refused_here.empty(); }));
    EXPECT_EQ(b.refused_here[0], static_cast<std::uint16_t>(Refusal::membership));
    act(a, [&] { EXPECT_FALSE(a.cores[0]->say(n2, g1, 1)); });
    a.stop();
    b.stop();
    EXPECT_EQ(w.world.network().open_sockets(), 0u);
}

TEST(Transport, ManyDeathsAndLivesLeaveNothingBehind) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        SCOPED_TRACE(seed);
        World w(seed);
        Prng prng(seed);
        SimPeer a(w.world, n1, 2);
        a.start({n2});
        for (std::uint64_t boot = 1; boot <= 6; ++boot) {
            SimPeer b(w.world, n2, static_cast<std::uint16_t>(1 + boot % 3), boot);
            b.start({n1});
            w.world.run_for(Duration(static_cast<std::int64_t>(prng.below(2'000'000'000))));
            for (const auto& core : a.cores) core->say(n2, g1, boot, 50'000);
            if (prng.chance(0.5)) continue;  // dies where it stands
            expect_connected(w, a, b);
            b.stop();
        }
        a.stop();
    }
}

}  // namespace
}  // namespace kv::consensus
