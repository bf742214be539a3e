/// Several cores of one process in the simulator, under many seeds: rings of two slots, doorbells
/// that come late, turns in any order. No scene arms a timer: a lost wake-up is a scene that never
/// ends.

#include <gtest/gtest.h>

#include "io/await.h"
#include "io/call.h"
#include "io/file.h"
#include "io/frame_pool.h"
#include "io/sim/sim_process.h"
#include "tests/support/core_scenes.h"
#include "tests/support/io_scenes.h"

namespace kv::io {
namespace {

const NodeId n1(1);

/// Rings from tiny to large, doorbells from prompt to late.
SimKnobs rough(std::uint64_t seed) {
    Prng prng = Prng::split(seed, "rough");
    SimKnobs knobs;
    knobs.core.mailbox_slots_min = 1;
    knobs.core.mailbox_slots_max = prng.below(2) == 0 ? 4 : 1024;
    knobs.core.stall_per_million = 5'000;
    if (prng.below(3) == 0) knobs.core.doorbell = Latency{100us, 100ms};
    if (prng.below(3) == 0) knobs.core.doorbell = Latency{0ns, 10ns};
    return knobs;
}

std::uint16_t cores_of(std::uint64_t seed) {
    return static_cast<std::uint16_t>(2 + seed % 3);
}

/// A process of some cores on a node of its own.
struct Machine {
    Machine(std::uint64_t seed, std::uint16_t cores)
        : world(seed, rough(seed)), process((world.add_node(n1, {"10.0.0.1"}), world), n1, cores) {}
    Reactor& home() { return process.reactor(); }

    SimWorld world;
    SimProcess process;
};

TEST(SimCores, CallsComeHomeUnderEverySeed) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SCOPED_TRACE(seed);
        Machine machine(seed, cores_of(seed));
        ASSERT_TRUE(machine.process.run(scenes::calls_scene(machine.home())));
        ASSERT_TRUE(machine.process.run(scenes::expect_quiet_cores(machine.home())));
        ASSERT_EQ(FramePool::live(), 0);
        ASSERT_FALSE(testing::Test::HasFailure());
    }
}

TEST(SimCores, ACallToTheOnlyCoreNeedsNoOther) {
    Machine machine(1, 1);
    ASSERT_TRUE(machine.process.run(scenes::calls_scene(machine.home())));
    EXPECT_EQ(FramePool::live(), 0);
}

TEST(SimCores, NoWakeUpIsLostUnderAnySeed) {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE(seed);
        Machine machine(seed, cores_of(seed));
        ASSERT_TRUE(machine.process.run(scenes::relay_scene(machine.home(), 200)));
        ASSERT_TRUE(machine.process.run(scenes::expect_quiet_cores(machine.home())));
        ASSERT_FALSE(testing::Test::HasFailure());
    }
}

TEST(SimCores, AFloodIsHeldBackAndLosesNothingUnderAnySeed) {
    std::uint64_t full = 0;
    std::uint64_t never_full = 0;
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        SCOPED_TRACE(seed);
        Machine machine(seed, cores_of(seed));
        ASSERT_TRUE(machine.process.run(scenes::flood_scene(machine.home(), 100)));
        ASSERT_TRUE(machine.process.run(scenes::expect_quiet_cores(machine.home())));
        ASSERT_FALSE(testing::Test::HasFailure());
        std::uint64_t found_full = 0;
        for (Reactor* const reactor : machine.process.reactors()) {
            found_full += reactor->mailboxes().counters().full_rings;
            EXPECT_FALSE(reactor->mailboxes().congested());
        }
        (found_full == 0 ? never_full : full) += 1;
    }
    EXPECT_GT(full, 50u);
    EXPECT_GT(never_full, 20u);
}

TEST(SimCores, ConnectionsAreServedByTheCoresTheyAreGivenTo) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        SCOPED_TRACE(seed);
        Machine machine(seed, cores_of(seed));
        const Endpoint address = *parse_endpoint("10.0.0.1", 0);
        ASSERT_TRUE(
            machine.process.run(scenes::hand_over_scene(machine.home(), address, 8, 10'000)));
        ASSERT_EQ(machine.world.network().open_sockets(), 0u);
        machine.world.run_for(1ms);  // the roots of called tasks end a turn later
        ASSERT_EQ(FramePool::live(), 0);
        ASSERT_FALSE(testing::Test::HasFailure());
    }
}

TEST(SimCores, AnIdleProcessOfManyCoresHasNoTurns) {
    Machine machine(3, 4);
    machine.world.run_for(1s);
    const std::uint64_t events = machine.world.events();
    machine.world.run_for(1h);
    EXPECT_EQ(machine.world.events(), events);
}

Task<void> calls_for_ever(Reactor& home, std::uint64_t* calls) {
    const auto task = [](Reactor& there) -> Task<int> {
        co_await NextTurn(there);
        co_return 1;
    };
    std::size_t target = 0;
    while (true) {
        target = (target + 1) % home.mailboxes().cores();
        const int one = co_await call_on(home, CoreId(static_cast<std::uint16_t>(target)), task);
        *calls += static_cast<std::uint64_t>(one);
    }
}

struct Played {
    std::uint64_t calls = 0;
    std::uint64_t hash = 0;
    bool operator==(const Played&) const = default;
};

/// A process is killed in the midst of calls and a flood, wherever its cores are just then; the
/// next one has another number of cores.
Played kill_and_restart(std::uint64_t seed) {
    Played played;
    SimWorld world(seed, rough(seed));
    world.add_node(n1, {"10.0.0.1"});
    Prng prng = Prng::split(seed, "kills");
    for (int life = 0; life < 4; ++life) {
        SimProcess process(world, n1, static_cast<std::uint16_t>(1 + prng.below(4)));
        for (int i = 0; i < 5; ++i)
            process.reactor().spawn(calls_for_ever(process.reactor(), &played.calls));
        const Duration end(static_cast<std::int64_t>(prng.below(20'000'000)));
        world.at(world.now() + end, [&] { process.kill(Crash::power_lose_all); });
        process.reactor().spawn(scenes::flood_scene(process.reactor(), 1'000'000));
        EXPECT_FALSE(process.run(calls_for_ever(process.reactor(), &played.calls)));
        EXPECT_TRUE(process.dead());
    }
    EXPECT_EQ(FramePool::live(), 0);
    played.hash = world.trace_hash();
    return played;
}

TEST(SimCores, AProcessDiesWithAllItsCoresAndStartsWithOthers) {
    std::uint64_t calls = 0;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        SCOPED_TRACE(seed);
        calls += kill_and_restart(seed).calls;
        ASSERT_FALSE(testing::Test::HasFailure());
    }
    EXPECT_GT(calls, 1000u);
}

// --- what was promised lasts ---------------------------------------------------------------------

constexpr std::size_t record_bytes = 512;

Task<Status> write_record(Reactor& there, std::uint64_t number) {
    const std::string path = "log" + std::to_string(there.core().value());
    KV_CO_TRY(File file, co_await File::open(there, path, open_write | open_create));
    const Status named = co_await sync_directory(there, "");
    const std::string bytes = scenes::pattern(record_bytes, number);
    const Status written = co_await file.write_at(number * record_bytes, as_bytes(bytes), true);
    co_await file.close();
    co_return named ? written : named;
}

struct Ledger {
    std::uint64_t records = 0;
    std::uint64_t written = 0;  ///< records whose writer was told so
};

/// Each record is written by another core into a file of its own, several at a time.
Task<void> write_some(Reactor& home, Ledger* ledger, std::vector<bool>* done, std::size_t lane) {
    const std::size_t lanes = 3;
    for (std::uint64_t number = lane; number < ledger->records; number += lanes) {
        const auto cores = static_cast<std::uint64_t>(home.mailboxes().cores());
        const CoreId core(static_cast<std::uint16_t>(number % cores));
        auto write = [number](Reactor& there) { return write_record(there, number); };
        const Status written = co_await call_on(home, core, write);
        EXPECT_TRUE(written.has_value());
        (*done)[number] = true;
        ++ledger->written;
    }
}

Task<void> check_records(Reactor& home, std::size_t cores, const std::vector<bool>* done) {
    for (std::uint64_t number = 0; number < done->size(); ++number) {
        if (!(*done)[number]) continue;
        const std::string path = "log" + std::to_string(number % cores);
        Result<File> file = co_await File::open(home, path, 0);
        EXPECT_TRUE(file.has_value()) << path;
        if (!file) co_return;
        std::string bytes(record_bytes, '?');
        const MutableBytes to(reinterpret_cast<std::byte*>(bytes.data()), bytes.size());
        const Result<std::size_t> read = co_await file->read_at(number * record_bytes, to);
        co_await file->close();
        EXPECT_EQ(read.value_or(0), record_bytes);
        EXPECT_TRUE(bytes == scenes::pattern(record_bytes, number)) << "record " << number;
    }
}

TEST(SimCores, WhatAnotherCoreSaidIsDurableSurvivesACrashAtEveryPoint) {
    constexpr std::uint16_t cores = 3;
    constexpr std::uint64_t never = ~std::uint64_t{0};
    std::uint64_t points = 1;
    for (std::uint64_t point = 0; point <= points; ++point) {
        for (const Crash kind : all_crashes) {
            SCOPED_TRACE(point);
            SimWorld world(7, rough(7));
            world.add_node(n1, {"10.0.0.1"});
            Ledger ledger{.records = 24};
            std::vector<bool> done(ledger.records);
            bool crashed = false;
            {
                SimProcess process(world, n1, cores);
                world.crash_at(n1, point == 0 ? never : point, kind, [&] { crashed = true; });
                for (std::size_t lane = 0; lane < 3; ++lane)
                    process.reactor().spawn(write_some(process.reactor(), &ledger, &done, lane));
                const auto over = [&] { return crashed || ledger.written == ledger.records; };
                ASSERT_TRUE(world.run_until(over, 1h));
                world.cancel_crash(n1);
                world.run_for(1s);
                if (point == 0) points = world.disk(n1).io_points() - 1;
                ASSERT_EQ(crashed, point != 0);
            }
            ASSERT_EQ(FramePool::live(), 0);
            SimProcess process(world, n1, 1);
            ASSERT_TRUE(process.run(check_records(process.reactor(), cores, &done)));
            ASSERT_FALSE(testing::Test::HasFailure());
        }
    }
    EXPECT_GT(points, 150u);
}

TEST(SimCores, ASeedSaysEverythingForManyCoresToo) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        EXPECT_EQ(kill_and_restart(seed), kill_and_restart(seed)) << seed;
    }
    EXPECT_NE(kill_and_restart(1).hash, kill_and_restart(2).hash);
}

}  // namespace
}  // namespace kv::io
