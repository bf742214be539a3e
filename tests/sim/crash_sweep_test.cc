// A whole node with a client, crashed at every I/O point of its life in every way a process or a
// power supply can end. See io/sim/sim_disk.h for what each crash leaves on the disk.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/node/node.h"
#include "io/frame_pool.h"
#include "io/sim/sim_process.h"
#include "proto/base/log.h"
#include "proto/base/prng.h"
#include "tests/sim/write_client.h"

namespace kv::sim {
namespace {

constexpr NodeId server_node{1};
constexpr NodeId client_node{2};
constexpr auto server_address = "10.0.0.1";

/// How one process of the node ends, when the planned crash does not end it before.
enum class End { clean_stop, kill };

struct Life {
    Workload workload;
    Duration idle_after{};
    End end = End::kill;
};

struct Scenario {
    const char* name;
    std::uint16_t shards;
    std::size_t segment_bytes;
    std::size_t sweep_every;  ///< in release; sanitizers take a tenth
    std::vector<Life> lives;
    bool direct = true;
    std::size_t snapshot_log_bytes = 64_MiB;
    std::vector<std::uint16_t> cores = {1};  ///< of its processes, in turn
};

Config config_for(const Scenario& scenario) {
    Config config;
    config.node.data_dir = "data";
    config.client.bind = server_address;
    config.log.level = log::Level::error;
    config.client.port = 6379;
    config.cluster.shards = scenario.shards;
    config.limits.value_bytes_max = 2_KiB;
    config.wal.segment_bytes = scenario.segment_bytes;
    config.wal.batch_bytes_max = 4_KiB;
    config.snapshot.wal_bytes = scenario.snapshot_log_bytes;
    if (!scenario.direct) config.wal.sync = WalSync::fdatasync;
    return config;
}

/// The world of one run: a disk that lives on, and a client that remembers.
class Trial {
public:
    Trial(const Scenario& scenario, std::uint64_t seed)
        : scenario_(scenario), seed_(seed), world_(seed), ledger_(scenario.shards) {
        log::set_level(log::Level::off);
        world_.add_node(server_node, {server_address});
        world_.add_node(client_node, {"10.0.0.2"});
    }

    io::SimWorld& world() { return world_; }
    const Ledger& ledger() const { return ledger_; }
    std::uint64_t snapshots() const { return snapshots_; }

    /// Lives the scenario until its end or the planned crash.
    void live(const bool& crashed) {
        for (std::size_t i = 0; i < scenario_.lives.size() && !crashed; ++i) {
            live_once(scenario_.lives[i], mix_seed(seed_, i), crashed);
        }
    }

    /// Starts a node on what is left of the disk, checks it, and ends it by `end`. Returns a digest
    /// of what it holds; a failure is reported with `what`.
    std::uint64_t recover(const std::string& what, End end) {
        io::SimProcess process(world_, server_node, next_cores());
        Node node(process.reactors(), config_for(scenario_));
        const std::uint64_t digest = start(process, node, what);
        if (digest != 0 && end == End::clean_stop) {
            const bool stopped = process.run(node.stop());
            EXPECT_TRUE(stopped || process.dead()) << what;
        }
        process.kill();
        return digest;
    }

private:
    std::uint16_t next_cores() { return scenario_.cores[processes_++ % scenario_.cores.size()]; }

    static io::Task<void> start_node(Node& node, std::optional<Result<StartReport>>& out) {
        Result<StartReport> report = co_await node.start();
        out = std::move(report);
    }

    std::uint64_t start(io::SimProcess& process, Node& node, const std::string& what) {
        std::optional<Result<StartReport>> started;
        const bool ended = process.run(start_node(node, started));
        if (!ended) return 0;  // the planned crash
        EXPECT_TRUE(started->has_value()) << what << ": " << started->error().text();
        if (!*started) return 0;
        EXPECT_EQ(ledger_.check(node), "") << what;
        return node.digest();
    }

    void live_once(const Life& life, std::uint64_t seed, const bool& crashed) {
        io::SimProcess client_process(world_, client_node);
        WriteClient client(client_process.reactor(), ledger_);
        io::SimProcess process(world_, server_node, next_cores());
        Node node(process.reactors(), config_for(scenario_));
        if (start(process, node, "between lives") != 0) {
            const bool done =
                client_process.run(client.run(node.endpoint(), life.workload, seed), 60s);
            EXPECT_TRUE(done || crashed) << "the client hangs";
            EXPECT_EQ(client.refusal(), "");
            if (!crashed) world_.run_for(life.idle_after);
            for (std::size_t core = 0; core < node.cores(); ++core) {
                snapshots_ += node.replicas(core).snapshot_facts().completed;
            }
            if (!crashed && life.end == End::clean_stop) process.run(node.stop());
        }
        process.kill();
        client_process.kill();
    }

    const Scenario& scenario_;
    std::uint64_t seed_;
    io::SimWorld world_;
    Ledger ledger_;
    std::uint64_t snapshots_ = 0;  ///< taken so far
    std::size_t processes_ = 0;
};

std::string name_of(io::Crash kind) {
    switch (kind) {
        case io::Crash::process: return "process";
        case io::Crash::power_lose_all: return "power_lose_all";
        case io::Crash::power_prefix: return "power_prefix";
        case io::Crash::power_subset_torn: return "power_subset_torn";
        case io::Crash::power_directory_lost: return "power_directory_lost";
    }
    KV_UNREACHABLE();
}

const std::vector<Scenario>& scenarios() {
    const Workload steady{.keys = 20, .value_bytes_max = 600, .pipeline = 8, .bursts = 12};
    const Workload deep{.keys = 60, .value_bytes_max = 900, .pipeline = 60, .bursts = 3};
    const Workload slow{
        .keys = 5, .value_bytes_max = 40, .pipeline = 1, .bursts = 6, .pause_max = 1s};
    const Workload brief{.keys = 20, .value_bytes_max = 400, .pipeline = 6, .bursts = 4};
    static const std::vector<Scenario> all = {
        {"rotation", 4, 16_KiB, 1, {{steady, 0s, End::kill}, {steady, 0s, End::kill}}},
        {"clean_stops",
         4,
         64_KiB,
         1,
         {{steady, 0s, End::clean_stop}, {slow, 2s, End::clean_stop}, {steady, 0s, End::kill}}},
        {"deep_pipeline", 8, 32_KiB, 1, {{deep, 0s, End::kill}, {deep, 1s, End::clean_stop}}},
        {"buffered", 2, 16_KiB, 1, {{steady, 0s, End::kill}, {slow, 1s, End::kill}}, false},
        {"snapshots",
         2,
         16_KiB,
         2,
         {{steady, 1s, End::kill}, {steady, 0s, End::clean_stop}, {slow, 0s, End::kill}},
         true,
         12_KiB},
        {"snapshots_buffered",
         1,
         16_KiB,
         2,
         {{steady, 0s, End::kill}, {steady, 0s, End::kill}},
         false,
         8_KiB},
        {"two_cores",
         4,
         16_KiB,
         5,
         {{steady, 0s, End::kill}, {slow, 1s, End::clean_stop}, {steady, 0s, End::kill}},
         true,
         64_MiB,
         {2}},
        {"three_cores_snapshots",
         4,
         16_KiB,
         7,
         {{deep, 1s, End::clean_stop}, {steady, 0s, End::kill}},
         true,
         8_KiB,
         {3}},
        {"two_cores_snapshots_buffered",
         3,
         16_KiB,
         7,
         {{steady, 1s, End::kill}, {steady, 0s, End::clean_stop}},
         false,
         8_KiB,
         {2}},
        {"other_cores",
         5,
         16_KiB,
         3,
         {{brief, 0s, End::kill}, {brief, 0s, End::clean_stop}, {brief, 0s, End::kill}},
         true,
         64_MiB,
         {2, 3, 1}},
        {"other_cores_snapshots_buffered",
         3,
         16_KiB,
         16,
         {{steady, 0s, End::clean_stop}, {steady, 1s, End::kill}},
         false,
         8_KiB,
         {1, 4}},
    };
    return all;
}

bool sanitized() {
    return std::getenv("KV_TEST_SANITIZED") != nullptr;
}

class CrashSweep : public testing::TestWithParam<std::size_t> {};

TEST_P(CrashSweep, EveryAcknowledgedWriteSurvivesACrashAtEveryPoint) {
    const Scenario& scenario = scenarios()[GetParam()];
    constexpr std::uint64_t seed = 42;
    std::uint64_t points = 0;
    {
        const bool never = false;
        Trial whole(scenario, seed);
        whole.live(never);
        points = whole.world().disk(server_node).io_points();
        ASSERT_GT(whole.ledger().acknowledged(), 10u);
        if (scenario.snapshot_log_bytes < 64_MiB) {
            ASSERT_GT(whole.snapshots(), 3u);
        }
    }
    std::uint64_t runs = 0;
    const std::uint64_t step = sanitized() ? 10 : scenario.sweep_every;
    for (std::uint64_t point = 0; point < points && !HasFailure(); point += step) {
        for (const io::Crash kind : io::all_crashes) {
            const std::string what = fmt::format("{} crashed at point {} of {} by {}",
                                                 scenario.name, point, points, name_of(kind));
            Trial run(scenario, seed);
            bool crashed = false;
            run.world().crash_at(server_node, point, kind, [&] { crashed = true; });
            run.live(crashed);
            ASSERT_TRUE(crashed) << what;
            run.world().cancel_crash(server_node);
            const std::uint64_t first = run.recover(what, End::kill);
            const std::uint64_t second = run.recover(what + ", second recovery", End::clean_stop);
            const std::uint64_t third = run.recover(what + ", third recovery", End::kill);
            EXPECT_EQ(first, second) << what;
            EXPECT_EQ(first, third) << what;
            ++runs;
        }
        ASSERT_EQ(io::FramePool::live(), 0);
    }
    fmt::print("crash sweep {}: {} I/O points, {} runs\n", scenario.name, points, runs);
    RecordProperty("io_points", static_cast<int>(points));
}

INSTANTIATE_TEST_SUITE_P(Scenarios, CrashSweep, testing::Range<std::size_t>(0, scenarios().size()),
                         [](const testing::TestParamInfo<std::size_t>& scenario) {
                             return std::string(scenarios()[scenario.param].name);
                         });

/// A crash during recovery, and again, is no different from any other.
void sweep_recovery(const Scenario& scenario) {
    constexpr std::uint64_t seed = 7;
    std::uint64_t runs = 0;
    for (std::uint64_t point = 0; !testing::Test::HasFailure(); point += sanitized() ? 10 : 1) {
        bool met = false;
        for (const io::Crash kind : io::all_crashes) {
            Trial run(scenario, seed);
            const bool never = false;
            run.live(never);
            const std::uint64_t before = run.world().disk(server_node).io_points();
            bool crashed = false;
            run.world().crash_at(server_node, before + point, kind, [&] { crashed = true; });
            const std::string what =
                fmt::format("recovery crashed at point {} by {}", point, name_of(kind));
            run.recover(what, End::clean_stop);
            run.world().cancel_crash(server_node);
            met = met || crashed;
            const std::uint64_t first = run.recover(what, End::kill);
            const std::uint64_t second = run.recover(what, End::kill);
            EXPECT_EQ(first, second) << what;
            ++runs;
        }
        if (!met) break;
    }
    fmt::print("crash sweep of recovery, {}: {} runs\n", scenario.name, runs);
}

TEST(Crash, RecoveryMayCrashAtEveryPointToo) {
    sweep_recovery(scenarios()[0]);
}

/// The next process has another number of cores, and those after it have others again.
TEST(Crash, ABringingIntoANewGenerationMayCrashAtEveryPointToo) {
    const Workload brief{.keys = 20, .value_bytes_max = 400, .pipeline = 6, .bursts = 4};
    Scenario scenario{"other_cores", 5, 16_KiB, 1, {{brief, 0s, End::kill}}};
    scenario.cores = {2, 3, 3, 1};
    sweep_recovery(scenario);
}

/// Random histories of several lives with snapshots of any size at any moment, crashed anywhere.
TEST(Crash, RandomHistoriesWithSnapshotsKeepWhatWasAcknowledged) {
    std::uint64_t snapshots = 0;
    const std::uint64_t seeds = sanitized() ? 30 : 300;
    for (std::uint64_t seed = 1; seed <= seeds && !HasFailure(); ++seed) {
        Prng prng = Prng::split(seed, "sim.snapshots");
        Scenario scenario{"random",
                          static_cast<std::uint16_t>(prng.between(1, 6)),
                          prng.between(8, 32) * 4096,
                          1,
                          {},
                          prng.below(3) != 0,
                          prng.between(4, 40) * 1024,
                          {static_cast<std::uint16_t>(1 + seed % 4)}};
        // And now and then another number at each start.
        if (prng.chance(0.3)) {
            for (int i = 0; i < 4; ++i) {
                scenario.cores.push_back(static_cast<std::uint16_t>(prng.between(1, 5)));
            }
        }
        for (std::uint64_t life = prng.between(1, 4); life > 0; --life) {
            Workload workload;
            workload.keys = prng.between(1, 100);
            workload.value_bytes_max = prng.between(1, 1000);
            workload.pipeline = prng.between(1, 20);
            workload.bursts = prng.between(1, 40);
            workload.pause_max = prng.below(3) == 0 ? 500ms : 5ms;
            const End end = prng.below(3) == 0 ? End::clean_stop : End::kill;
            scenario.lives.push_back({workload, prng.below(2) == 0 ? 1s : 0s, end});
        }
        std::uint64_t points = 0;
        {
            const bool never = false;
            Trial whole(scenario, seed);
            whole.live(never);
            points = whole.world().disk(server_node).io_points();
            snapshots += whole.snapshots();
        }
        Trial run(scenario, seed);
        bool crashed = false;
        const io::Crash kind = io::all_crashes[prng.below(io::all_crashes.size())];
        run.world().crash_at(server_node, prng.below(points), kind, [&] { crashed = true; });
        run.live(crashed);
        run.world().cancel_crash(server_node);
        ASSERT_TRUE(crashed);
        const std::string what = fmt::format("seed {}", seed);
        const std::uint64_t first = run.recover(what, End::kill);
        const std::uint64_t second = run.recover(what, End::clean_stop);
        const std::uint64_t third = run.recover(what, End::kill);
        EXPECT_EQ(first, second) << what;
        EXPECT_EQ(first, third) << what;
    }
    fmt::print("random histories: {} seeds, {} snapshots\n", seeds, snapshots);
    EXPECT_GT(snapshots, seeds);
}

/// Same seed, same world: what every failure report relies on.
TEST(Crash, TheSameSeedGivesTheSameTrace) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        std::uint64_t hashes[2];
        for (std::uint64_t& hash : hashes) {
            const bool never = false;
            Trial run(scenarios()[seed % scenarios().size()], seed);
            run.live(never);
            hash = run.world().trace_hash();
        }
        EXPECT_EQ(hashes[0], hashes[1]) << "seed " << seed;
    }
}

}  // namespace
}  // namespace kv::sim
