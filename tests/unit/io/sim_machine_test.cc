/// What befalls a simulated machine without a crash: clocks that drift and jump, pauses, a disk
/// that is slow, hangs or is replaced.

#include <gtest/gtest.h>

#include "io/await.h"
#include "io/file.h"
#include "io/frame_pool.h"
#include "io/sim/sim_clock.h"
#include "io/sim/sim_process.h"
#include "tests/support/core_scenes.h"
#include "tests/support/io_scenes.h"

namespace kv::io {
namespace {

const NodeId n1(1);
const NodeId n2(2);

void add_two(SimWorld& world) {
    world.add_node(n1, {"10.0.0.1"});
    world.add_node(n2, {"10.0.0.2"});
    world.disk(n1).make_directory("data");
    world.disk(n2).make_directory("data");
}

TEST(SimClock, FindsTheFirstInstantOfAReading) {
    for (const std::int32_t ppm : {0, 1, 200, 50'000, 500'000, -1, -200, -50'000, -500'000}) {
        SimClock clock(12'345);
        clock.set_drift(Instant(7s), ppm);
        std::int64_t last = clock.read(Instant(7s));
        EXPECT_EQ(last, 12'345 + 7'000'000'000);
        Prng prng(1);
        for (int i = 0; i < 2'000; ++i) {
            const std::int64_t reading = last + static_cast<std::int64_t>(prng.below(10'000'000));
            const Instant at = clock.when(reading);
            ASSERT_GE(clock.read(at), reading);
            ASSERT_LT(clock.read(at - Duration(1)), reading + (reading == last ? 1 : 0));
            last = reading;
        }
    }
}

TEST(SimClock, DriftIsWhatItSaysOverADay) {
    SimClock fast;
    fast.set_drift(Instant{}, 200);
    EXPECT_EQ(fast.read(Instant(24h)), Duration(24h).count() + Duration(17'280ms).count());
    SimClock slow;
    slow.set_drift(Instant{}, -50'000);
    EXPECT_EQ(slow.read(Instant(100s)), Duration(95s).count());
    slow.set_drift(Instant(100s), 0);
    EXPECT_EQ(slow.read(Instant(101s)), Duration(96s).count());
}

Task<void> sleep_for(Reactor& reactor, Duration time, Duration* slept, SimWorld* world) {
    const Instant start = world->now();
    co_await SleepAwaiter(reactor, time);
    *slept = world->now() - start;
}

TEST(SimMachine, TimersFollowTheClockOfTheirNode) {
    SimWorld world(1);
    add_two(world);
    SimProcess fast(world, n1);
    SimProcess slow(world, n2);
    world.set_drift(n1, 50'000);
    world.set_drift(n2, -50'000);
    Duration fast_slept{};
    Duration slow_slept{};
    fast.reactor().spawn(sleep_for(fast.reactor(), 100s, &fast_slept, &world));
    slow.reactor().spawn(sleep_for(slow.reactor(), 100s, &slow_slept, &world));
    world.run_for(200s);
    EXPECT_NEAR(static_cast<double>(fast_slept.count()), 100e9 / 1.05, 1e6);
    EXPECT_NEAR(static_cast<double>(slow_slept.count()), 100e9 / 0.95, 1e6);
}

TEST(SimMachine, ADriftThatChangesMovesTimersThatAreArmed) {
    SimWorld world(1);
    add_two(world);
    SimProcess process(world, n1);
    Duration slept{};
    process.reactor().spawn(sleep_for(process.reactor(), 100s, &slept, &world));
    world.run_for(50s);
    world.set_drift(n1, 500'000);
    world.run_for(100s);
    EXPECT_NEAR(static_cast<double>(slept.count()), 50e9 + 50e9 / 1.5, 1e6);
}

TEST(SimMachine, TheWallClockJumpsAndDriftsAlone) {
    SimWorld world(1);
    add_two(world);
    SimProcess process(world, n1);
    SimBackend& backend = process.backend();
    const std::int64_t wall = backend.wall_ns();
    const Instant mono = backend.now();
    world.set_wall_drift(n1, -200);
    world.run_for(1000s);
    world.jump_wall(n1, -1h);
    EXPECT_EQ(backend.now() - mono, Duration(1000s));
    EXPECT_EQ(backend.wall_ns() - wall, Duration(1000s - 200ms - 1h).count());
}

TEST(SimMachine, MonotonicClocksOfNodesNeedNotAgree) {
    SimKnobs knobs;
    knobs.mono_base_max = 1000h;
    SimWorld world(1, knobs);
    add_two(world);
    SimProcess first(world, n1);
    SimProcess second(world, n2);
    EXPECT_NE(first.backend().now(), second.backend().now());
    Duration slept{};
    ASSERT_TRUE(first.run(sleep_for(first.reactor(), 1s, &slept, &world)));
    EXPECT_GE(slept, 1s);
    EXPECT_LT(slept, 1001ms);
}

// Pauses.

Task<void> tick(Reactor& reactor, std::vector<Instant>* ticks, SimWorld* world) {
    for (int i = 0; i < 50; ++i) {
        co_await SleepAwaiter(reactor, 100ms);
        ticks->push_back(world->now());
    }
}

TEST(SimMachine, APausedProcessHasNoTurnsAndThenEverythingAtOnce) {
    SimWorld world(1);
    add_two(world);
    SimProcess process(world, n1, 2);
    std::vector<Instant> ticks[2];
    for (std::size_t i = 0; i < 2; ++i)
        process.reactor(i).spawn(tick(process.reactor(i), &ticks[i], &world));
    Duration late{};
    process.reactor().spawn(sleep_for(process.reactor(), 1500ms, &late, &world));
    world.run_for(1s);
    world.pause(n1, 10s);
    EXPECT_TRUE(world.paused(n1));
    const std::size_t before = ticks[0].size();
    world.run_for(9900ms);
    EXPECT_EQ(ticks[0].size(), before);
    EXPECT_EQ(ticks[1].size(), before);
    EXPECT_EQ(late, Duration{});
    world.run_for(200ms);
    EXPECT_FALSE(world.paused(n1));
    EXPECT_GE(late, 11s);
    EXPECT_GT(ticks[0].size(), before);
    EXPECT_GT(ticks[1].size(), before);
}

TEST(SimMachine, OneCoreIsPausedAndTheOthersGoOn) {
    SimWorld world(1);
    add_two(world);
    SimProcess process(world, n1, 2);
    std::vector<Instant> ticks[2];
    for (std::size_t i = 0; i < 2; ++i)
        process.reactor(i).spawn(tick(process.reactor(i), &ticks[i], &world));
    world.run_for(1ms);  // they have begun to sleep
    world.pause_core(n1, CoreId(1), 2s);
    world.run_for(1900ms);
    EXPECT_GE(ticks[0].size(), 17u);
    EXPECT_EQ(ticks[1].size(), 0u);
    world.resume(n1);
    world.run_for(50ms);
    EXPECT_EQ(ticks[1].size(), 1u);
}

TEST(SimMachine, CallsBetweenCoresSurvivePauses) {
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        SCOPED_TRACE(seed);
        SimWorld world(seed);
        add_two(world);
        SimProcess process(world, n1, 3);
        for (int i = 1; i < 40; ++i) {
            world.at(Instant(i * 1ms), [&world, i] {
                world.pause_core(n1, CoreId(static_cast<std::uint16_t>(i % 3)), 20ms);
            });
        }
        ASSERT_TRUE(process.run(scenes::relay_scene(process.reactor(), 200)));
        ASSERT_TRUE(process.run(scenes::expect_quiet_cores(process.reactor())));
    }
}

TEST(SimMachine, APausedProcessCanBeKilled) {
    SimWorld world(1);
    add_two(world);
    SimProcess first(world, n1);
    world.pause(n1, 60s);
    first.kill();
    EXPECT_FALSE(world.paused(n1));
    SimProcess second(world, n1);
    Duration slept{};
    EXPECT_TRUE(second.run(sleep_for(second.reactor(), 1s, &slept, &world)));
    EXPECT_LT(slept, 2s);
}

// Disks.

Task<void> write_file(Reactor& reactor, std::string path, Duration* took, SimWorld* world) {
    const Instant start = world->now();
    Result<File> file = co_await File::open(reactor, path, open_write | open_create);
    EXPECT_TRUE(file.has_value());
    if (!file) co_return;
    const Status written = co_await file->write_at(0, as_bytes("text"), true);
    EXPECT_TRUE(written.has_value());
    co_await file->close();
    *took = world->now() - start;
}

TEST(SimMachine, AHungDiskKeepsEverythingAndThenGivesAll) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        SimWorld world(seed);
        add_two(world);
        SimProcess first(world, n1);
        SimProcess second(world, n2);
        Duration hung[2] = {};
        Duration other{};
        first.reactor().spawn(write_file(first.reactor(), "data/a", &hung[0], &world));
        world.run_for(5us);  // what is in flight hangs, too
        world.hang_disk(n1, 60s);
        first.reactor().spawn(write_file(first.reactor(), "data/b", &hung[1], &world));
        second.reactor().spawn(write_file(second.reactor(), "data/a", &other, &world));
        world.run_for(59s);
        EXPECT_TRUE(world.disk_hangs(n1));
        EXPECT_EQ(hung[0], Duration{});
        EXPECT_EQ(hung[1], Duration{});
        EXPECT_GT(other, Duration{});
        world.run_for(3s);
        EXPECT_FALSE(world.disk_hangs(n1));
        EXPECT_GT(hung[0], 59s);
        EXPECT_GT(hung[1], 59s);
    }
}

TEST(SimMachine, AHungDiskIsReleasedEarly) {
    SimWorld world(1);
    add_two(world);
    SimProcess process(world, n1);
    world.hang_disk(n1, 60s);
    Duration took{};
    process.reactor().spawn(write_file(process.reactor(), "data/a", &took, &world));
    world.run_for(1s);
    world.release_disk(n1);
    world.run_for(1s);
    EXPECT_GE(took, 1s);
    EXPECT_LT(took, 2s);
}

TEST(SimMachine, AProcessDiesOnAHungDiskAndTheNextOneMeetsIt) {
    SimWorld world(1);
    add_two(world);
    Duration took{};
    {
        SimProcess first(world, n1);
        first.reactor().spawn(write_file(first.reactor(), "data/a", &took, &world));
        world.hang_disk(n1, 10s);
        world.run_for(1s);
        first.kill(Crash::power_subset_torn);
    }
    EXPECT_EQ(FramePool::live(), 0);
    SimProcess second(world, n1);
    ASSERT_TRUE(second.run(write_file(second.reactor(), "data/a", &took, &world)));
    EXPECT_GT(took, 8s);
}

TEST(SimMachine, ASlowDiskHasTheMeanItWasGiven) {
    SimKnobs knobs;
    knobs.disk.tail_per_million = 0;
    SimWorld world(1, knobs);
    add_two(world);
    SimProcess process(world, n1);
    world.disk(n1).knobs().slow.mean = 100ms;
    Duration sum{};
    constexpr int files = 300;
    for (int i = 0; i < files; ++i) {
        Duration took{};
        ASSERT_TRUE(process.run(write_file(process.reactor(), "data/a", &took, &world)));
        sum += took;
    }
    // Open, write, close.
    const double mean_ms = static_cast<double>(sum.count()) / 3e6 / files;
    EXPECT_NEAR(mean_ms, 100.0, 15.0);
}

TEST(SimMachine, AWipedDiskIsEmpty) {
    SimWorld world(1);
    add_two(world);
    Duration took{};
    {
        SimProcess process(world, n1);
        ASSERT_TRUE(process.run(write_file(process.reactor(), "data/a", &took, &world)));
    }
    world.wipe_disk(n1);
    EXPECT_TRUE(world.disk(n1).paths().empty());
    EXPECT_EQ(world.disk(n1).used_bytes(), 0u);
    world.disk(n1).make_directory("data");
    SimProcess process(world, n1);
    EXPECT_TRUE(process.run(write_file(process.reactor(), "data/a", &took, &world)));
}

Task<void> write_for_ever(Reactor& reactor, std::uint64_t* files, SimWorld* world) {
    while (true) {
        Duration took{};
        co_await write_file(reactor, "data/" + std::to_string(*files), &took, world);
        ++*files;
    }
}

TEST(SimMachine, EachNodeCrashesAtAnIoPointOfItsOwn) {
    for (std::uint64_t point = 0; point < 60; ++point) {
        SimWorld world(1);
        add_two(world);
        SimProcess first(world, n1);
        SimProcess second(world, n2);
        std::uint64_t files[2] = {};
        int crashes = 0;
        world.crash_at(n1, point, Crash::power_subset_torn, [&] { ++crashes; });
        world.crash_at(n2, 60 - point, Crash::process, [&] { ++crashes; });
        first.reactor().spawn(write_for_ever(first.reactor(), &files[0], &world));
        second.reactor().spawn(write_for_ever(second.reactor(), &files[1], &world));
        ASSERT_TRUE(world.run_until([&] { return crashes == 2; }, 10s));
        EXPECT_EQ(world.disk(n1).io_points(), point);
        EXPECT_EQ(world.disk(n2).io_points(), 60 - point);
        EXPECT_TRUE(point >= 58 || world.disk(n2).visible("data/0").has_value());
    }
    EXPECT_EQ(FramePool::live(), 0);
}

TEST(SimMachine, DisksOfNodesAreIndependent) {
    for (const Crash kind : all_crashes) {
        SimWorld world(1);
        add_two(world);
        Duration took{};
        SimProcess first(world, n1);
        SimProcess second(world, n2);
        ASSERT_TRUE(first.run(write_file(first.reactor(), "data/a", &took, &world)));
        ASSERT_TRUE(second.run(write_file(second.reactor(), "data/a", &took, &world)));
        const std::uint64_t points = world.disk(n2).io_points();
        first.kill(kind);
        EXPECT_FALSE(second.dead());
        EXPECT_EQ(world.disk(n2).visible("data/a"), "text");
        EXPECT_EQ(world.disk(n2).io_points(), points);
    }
}

}  // namespace
}  // namespace kv::io
