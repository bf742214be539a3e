/// Simulated processes as a whole: crashes at every I/O point, restarts, connections that break,
/// and the promise that a seed says everything.

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <set>

#include "io/file.h"
#include "io/frame_pool.h"
#include "io/gate.h"
#include "io/sim/sim_process.h"
#include "tests/support/io_scenes.h"

namespace kv::io {
namespace {

const NodeId n1(1);
const NodeId n2(2);
const NodeId n3(3);

Endpoint endpoint(std::string_view address, std::uint16_t port = 0) {
    return *parse_endpoint(address, port);
}

// A log of fixed records: the smallest program that promises something.

constexpr std::size_t record_bytes = 512;
constexpr std::uint64_t segment_records = 32;

struct Log {
    std::uint64_t acknowledged = 0;
    std::uint64_t recovered = 0;
};

std::string record(std::uint64_t number) {
    return scenes::pattern(record_bytes, number);
}
std::string segment_name(std::uint64_t number) {
    return "data/" + std::to_string(number / segment_records);
}

Task<Status> open_segment(Reactor& reactor, std::uint64_t number, File* file) {
    if (file->is_open()) co_await file->close();
    KV_CO_TRY(*file, co_await File::open(reactor, segment_name(number), open_write | open_create));
    KV_CO_CHECK(co_await file->allocate(segment_records * record_bytes));
    KV_CO_CHECK(co_await file->sync());
    co_return co_await sync_directory(reactor, "data");
}

Task<void> append(Reactor& reactor, std::uint64_t from, std::uint64_t to, Log* log) {
    const Status made = co_await make_directory(reactor, "data");
    EXPECT_TRUE(made.has_value());
    const Status kept = co_await sync_directory(reactor, "");
    EXPECT_TRUE(kept.has_value());
    File file;
    for (std::uint64_t number = from; number < to; ++number) {
        if (number % segment_records == 0 || number == from) {
            const Status opened = co_await open_segment(reactor, number, &file);
            EXPECT_TRUE(opened.has_value());
        }
        const std::string bytes = record(number);
        const std::uint64_t offset = number % segment_records * record_bytes;
        const bool dsync = number % 2 == 0;
        Status status = co_await file.write_at(offset, as_bytes(bytes), dsync);
        EXPECT_TRUE(status.has_value());
        if (!dsync) status = co_await file.sync();
        EXPECT_TRUE(status.has_value());
        log->acknowledged = number + 1;
    }
    co_await file.close();
}

Task<void> recover(Reactor& reactor, Log* log) {
    for (std::uint64_t number = 0;; ++number) {
        Result<File> file = co_await File::open(reactor, segment_name(number), 0);
        if (!file) co_return;
        std::string bytes(record_bytes, '\0');
        const MutableBytes to(reinterpret_cast<std::byte*>(bytes.data()), bytes.size());
        const Result<std::size_t> read =
            co_await file->read_at(number % segment_records * record_bytes, to);
        co_await file->close();
        if (read.value_or(0) != record_bytes || bytes != record(number)) co_return;
        log->recovered = number + 1;
    }
}

struct SweepRun {
    std::uint64_t points = 0;
    std::uint64_t events = 0;
    std::uint64_t hash = 0;
    bool crashed = false;
};

SweepRun crash_and_recover(std::uint64_t seed, std::uint64_t point, Crash kind,
                           std::uint64_t records) {
    SimWorld world(seed);
    world.add_node(n1, {"10.0.0.1"});
    Log log;
    SweepRun run;
    {
        SimProcess process(world, n1);
        world.crash_at(n1, point, kind, [&] { run.crashed = true; });
        EXPECT_NE(process.run(append(process.reactor(), 0, records, &log)), run.crashed);
        world.cancel_crash(n1);
        run.points = world.disk(n1).io_points();
    }
    EXPECT_EQ(FramePool::live(), 0);
    SimProcess process(world, n1);
    EXPECT_TRUE(process.run(recover(process.reactor(), &log)));
    EXPECT_GE(log.recovered, log.acknowledged);
    EXPECT_LE(log.recovered, log.acknowledged + 1);
    run.events = world.events();
    run.hash = world.trace_hash();
    return run;
}

TEST(SimWorld, AcknowledgedRecordsSurviveACrashAtEveryPoint) {
    constexpr std::uint64_t never = ~std::uint64_t{0};
    const SweepRun whole = crash_and_recover(1, never, Crash::process, 70);
    ASSERT_FALSE(whole.crashed);
    ASSERT_GT(whole.points, 250u);
    std::uint64_t runs = 0;
    std::uint64_t events = 0;
    for (std::uint64_t point = 0; point < whole.points; ++point) {
        for (const Crash kind : all_crashes) {
            const SweepRun run = crash_and_recover(1, point, kind, 70);
            ASSERT_TRUE(run.crashed) << point;
            ASSERT_FALSE(testing::Test::HasFailure()) << point;
            ++runs;
            events += run.events;
        }
    }
    // With the time that GoogleTest prints, the speed of a sweep.
    std::printf("%llu runs, %llu events\n", static_cast<unsigned long long>(runs),
                static_cast<unsigned long long>(events));
}

// Determinism.

struct Mixed {
    std::uint64_t hash = 0;
    std::uint64_t events = 0;
};

/// Two machines, one of two cores: echoes, files, a crash in the middle, a restart.
Mixed mixed_run(std::uint64_t seed) {
    SimKnobs knobs;
    knobs.core.stall_per_million = 10'000;
    SimWorld world(seed, knobs);
    world.add_node(n1, {"10.0.0.1"});
    world.add_node(n2, {"10.0.0.2", "::2"});
    scenes::EchoResult results[4];
    Log log;
    {
        SimProcess server_process(world, n1);
        SimProcess client_process(world, n2, 2);
        scenes::EchoServer server(server_process.reactor());
        const auto listen = [&](Endpoint at) -> Task<void> {
            const Result<Endpoint> bound = co_await server.listen(at);
            EXPECT_TRUE(bound.has_value());
        };
        EXPECT_TRUE(server_process.run(listen(endpoint("10.0.0.1", 6379))));
        for (std::uint64_t i = 0; i < 4; ++i) {
            Reactor& reactor = client_process.reactor(i % 2);
            reactor.spawn(
                scenes::echo_client(reactor, endpoint("10.0.0.1", 6379), 30'000, i, &results[i]));
        }
        server_process.reactor().spawn(append(server_process.reactor(), 0, 100, &log));
        world.run_for(Duration(2ms + Duration(static_cast<std::int64_t>(seed) * 1'000'000)));
        server_process.kill(all_crashes[seed % all_crashes.size()]);
        world.run_for(2s);
        EXPECT_TRUE(server_process.dead());
        EXPECT_EQ(server_process.backend().in_flight(), 0u);
        for (const scenes::EchoResult& result : results) {
            EXPECT_FALSE(result.wrong);
            EXPECT_TRUE(result.received == 30'000 || result.error != 0 || !result.connected ||
                        result.received < 30'000);
        }
        // Every client has met the end of its stream and gone.
        EXPECT_EQ(client_process.backend(0).in_flight(), 0u);
        EXPECT_EQ(client_process.backend(1).in_flight(), 0u);
        EXPECT_EQ(world.network().open_sockets(), 0u);
    }
    EXPECT_EQ(FramePool::live(), 0);
    SimProcess process(world, n1);
    EXPECT_TRUE(process.run(recover(process.reactor(), &log)));
    EXPECT_GE(log.recovered, log.acknowledged);
    return {world.trace_hash(), world.events()};
}

TEST(SimWorld, TheSeedSaysEverything) {
    std::set<std::uint64_t> hashes;
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
        SCOPED_TRACE(seed);
        const Mixed first = mixed_run(seed);
        const Mixed second = mixed_run(seed);
        ASSERT_EQ(first.hash, second.hash);
        ASSERT_EQ(first.events, second.events);
        hashes.insert(first.hash);
    }
    EXPECT_EQ(hashes.size(), 40u);
    // To compare builds with: every compiler and every sanitizer gives the same.
    RecordProperty("trace_hash", std::to_string(mixed_run(7).hash));
}

/// Everything at once in flight at the crash, and objects that are destroyed after it.
struct Busy {
    explicit Busy(Reactor& r) : reactor(r), server(r), gate(r) {}
    Task<void> sleep_in_gate() {
        const Gate::Pass pass(gate);
        co_await SleepAwaiter(reactor, 1h);
    }
    Reactor& reactor;
    scenes::EchoServer server;
    Gate gate;
    Timer timer{[](Timer&) noexcept {}};
};

TEST(SimWorld, AProgramCanBeDestroyedAfterACrashInTheMiddleOfAnything) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE(seed);
        SimWorld world(seed);
        world.add_node(n1, {"10.0.0.1"});
        Log log;
        {
            SimProcess process(world, n1);
            Busy busy(process.reactor());
            Reactor& reactor = process.reactor();
            reactor.timers().arm(busy.timer, reactor.now() + 1h);
            reactor.spawn(busy.sleep_in_gate());
            reactor.spawn(append(reactor, 0, 1'000, &log));
            reactor.spawn(scenes::echo_scene(reactor, endpoint("10.0.0.1"), 3, 200'000));
            const bool planned = seed % 2 == 0;
            if (planned) world.crash_at(n1, 30 + seed, Crash::power_subset_torn);
            world.run_for(Duration(static_cast<std::int64_t>(seed) * 200'000));
            ASSERT_TRUE(!planned || world.run_until([&] { return world.down(n1); }, 1h));
            process.kill();
            ASSERT_EQ(process.backend().in_flight(), 0u);
        }
        ASSERT_EQ(FramePool::live(), 0);
    }
}

// The network.

Task<void> listen_on(scenes::EchoServer* server, Endpoint at, Errc* error) {
    const Result<Endpoint> bound = co_await server->listen(at);
    *error = bound ? Errc{} : bound.error().code;
}

TEST(SimNetwork, AddressesAreTakenRefusedAndForeign) {
    SimWorld world(1);
    world.add_node(n1, {"10.0.0.1"});
    world.add_node(n2, {"10.0.0.2"});
    SimProcess first(world, n1);
    SimProcess second(world, n2);
    Errc error{};
    scenes::EchoServer a(first.reactor());
    ASSERT_TRUE(first.run(listen_on(&a, endpoint("0.0.0.0", 7000), &error)));
    EXPECT_EQ(error, Errc{});
    scenes::EchoServer b(first.reactor());
    ASSERT_TRUE(first.run(listen_on(&b, endpoint("10.0.0.1", 7000), &error)));
    EXPECT_EQ(error, Errc::io);
    ASSERT_TRUE(first.run(listen_on(&b, endpoint("10.0.0.2", 7000), &error)));
    EXPECT_EQ(error, Errc::io);
    const auto reach = [&](std::string_view address, std::uint16_t port) {
        scenes::EchoResult result;
        const Endpoint to = endpoint(address, port);
        EXPECT_TRUE(second.run(scenes::echo_client(second.reactor(), to, 100, 1, &result)));
        return result.received == 100;
    };
    EXPECT_TRUE(reach("10.0.0.1", 7000));
    EXPECT_FALSE(reach("10.0.0.1", 7001));
    EXPECT_FALSE(reach("127.0.0.1", 7000));
    EXPECT_FALSE(reach("10.9.9.9", 7000));
    ASSERT_TRUE(first.run(a.close()));
    EXPECT_FALSE(reach("10.0.0.1", 7000));
}

TEST(SimNetwork, PeersOfADeadMachineLearnOfIt) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        SCOPED_TRACE(seed);
        SimWorld world(seed);
        world.add_node(n1, {"10.0.0.1"});
        world.add_node(n2, {"10.0.0.2"});
        SimProcess client(world, n2);
        scenes::EchoResult result;
        {
            SimProcess server_process(world, n1);
            scenes::EchoServer server(server_process.reactor());
            Errc error{};
            ASSERT_TRUE(server_process.run(listen_on(&server, endpoint("10.0.0.1", 1), &error)));
            client.reactor().spawn(scenes::echo_client(client.reactor(), endpoint("10.0.0.1", 1),
                                                       2'000'000, 1, &result));
            world.run_for(5ms);
            server_process.kill(seed % 2 == 0 ? Crash::process : Crash::power_lose_all);
            world.run_for(1s);
        }
        ASSERT_TRUE(result.connected);
        ASSERT_FALSE(result.wrong);
        ASSERT_LT(result.received, 2'000'000u);
        ASSERT_EQ(client.backend().in_flight(), 0u);
        ASSERT_EQ(world.network().open_sockets(), 0u);
    }
}

/// A stream whose handler keeps count of how receiving stops.
TEST(SimNetwork, BuffersRunOutAndMultishotsEnd) {
    SimKnobs knobs;
    knobs.core.buffers_min = knobs.core.buffers_max = 2;
    knobs.core.buffer_bytes_min = knobs.core.buffer_bytes_max = 16;
    knobs.core.multishot_end_per_million = 300'000;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        SimWorld world(seed, knobs);
        world.add_node(n1, {"10.0.0.1"});
        SimProcess process(world, n1);
        ASSERT_TRUE(
            process.run(scenes::echo_scene(process.reactor(), endpoint("10.0.0.1"), 3, 5'000)));
        EXPECT_EQ(process.backend().buffers_free(), 2u);
    }
}

TEST(SimWorld, ClocksAndEntropyComeFromTheSeed) {
    const auto draw = [](std::uint64_t seed) {
        SimWorld world(seed);
        world.add_node(n1, {"10.0.0.1"});
        SimProcess process(world, n1);
        std::array<std::byte, 20> bytes{};
        process.backend().fill_entropy(bytes);
        const std::int64_t before = process.backend().wall_ns();
        world.run_for(5s);
        world.jump_wall(n1, -1h);
        EXPECT_EQ(process.backend().wall_ns() - before, Duration(5s - 1h).count());
        return bytes;
    };
    EXPECT_EQ(draw(1), draw(1));
    EXPECT_NE(draw(1), draw(2));
}

TEST(SimWorld, SleepersWakeInTimeAndNotBefore) {
    SimWorld world(1);
    world.add_node(n3, {"10.0.0.3"});
    SimProcess process(world, n3);
    const auto sleep = [&](Reactor& reactor) -> Task<void> {
        for (int i = 1; i <= 100; ++i) {
            const Instant start = world.now();
            co_await SleepAwaiter(reactor, Duration(i * 1'000'000));
            const Duration late = world.now() - start - Duration(i * 1'000'000);
            EXPECT_GE(late, Duration::zero());
            EXPECT_LE(late, 200us);
        }
    };
    EXPECT_TRUE(process.run(sleep(process.reactor())));
}

}  // namespace
}  // namespace kv::io
