/// Snapshots of a whole node: what a start makes of them, and what may go wrong.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "proto/base/prng.h"
#include "tests/support/sim_server.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

const std::string snapshot_directory = "kv/data/snapshots";

Config frequent_snapshots() {
    Config config = small_config();
    config.snapshot.wal_bytes = 16_KiB;
    return config;
}

SnapshotFacts facts(SimServer& server) {
    return server.node().replicas().snapshot_facts();
}

void write_some(SimServer& server, Prng& prng, int requests) {
    const auto client = server.connect();
    std::string input;
    for (int i = 0; i < requests; ++i) {
        const std::string key = "key" + std::to_string(prng.below(200));
        if (prng.below(4) == 0) {
            input += resp_array({"DEL", key});
        } else {
            input += resp_array({"SET", key, std::string(prng.below(500), 'v')});
        }
    }
    input += resp_array({"PING"});
    client->send(input);
    std::string replies;
    while (!replies.ends_with("+PONG\r\n")) {
        ASSERT_TRUE(client->wait_for(1));
        replies += client->take();
    }
}

/// One of them; it is the only one of its shard.
std::string newest_snapshot(SimServer& server) {
    const auto names = server.disk().list(snapshot_directory);
    return names.empty() ? "" : snapshot_directory + "/" + names.back();
}

TEST(NodeSnapshots, ARestartFindsTheSameWithThemAsWithout) {
    for (std::uint64_t seed = 1; seed <= scaled(20); ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        Config config = frequent_snapshots();
        config.cluster.shards = static_cast<std::uint16_t>(prng.between(1, 8));
        SimServer server(seed, config);
        for (int life = 0; life < 3; ++life) {
            ASSERT_TRUE(server.start().has_value());
            write_some(server, prng, 1500);
            ASSERT_FALSE(testing::Test::HasFailure());
            const std::uint64_t digest = server.node().digest();
            server.world.run_for(1s);
            EXPECT_GT(facts(server).completed, 0u);
            EXPECT_EQ(facts(server).last_error, "");
            if (prng.below(2) == 0) {
                server.stop();
            } else {
                server.crash(io::all_crashes[prng.below(io::all_crashes.size())]);
            }
            ASSERT_TRUE(server.start().has_value());
            EXPECT_EQ(server.node().digest(), digest);
            const LoadProgress& progress = server.node().replicas().load_progress();
            EXPECT_GT(progress.shards, 0u);
            EXPECT_EQ(progress.bytes_done, progress.bytes_total);
            server.stop();
        }
        // One for each shard, and what a start could not know to be needless.
        EXPECT_LE(server.disk().list(snapshot_directory).size(), 2u * config.cluster.shards);
    }
}

TEST(NodeSnapshots, ByNumberOfEntries) {
    Config config = small_config();
    config.cluster.shards = 1;
    config.snapshot.interval_entries = 10;
    SimServer server(1, config);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    for (int i = 0; i < 30; ++i) {
        client->exchange(resp_array({"SET", "k", "v"}), 5);
        server.world.run_for(100ms);
    }
    EXPECT_EQ(facts(server).completed, 3u);
}

/// A snapshot of a value of 30 MB is replaced by a small one. Returns the steps in which it was
/// given back, each failing with `error`.
std::uint64_t steps_of_a_removal(std::int32_t error) {
    Config config = small_config();
    config.cluster.shards = 1;
    config.wal = {};
    config.limits = {};
    config.limits.value_bytes_max = 8_MiB;
    SimServer server(1, config);
    EXPECT_TRUE(server.start().has_value());
    const auto client = server.connect();
    for (int i = 0; i < 4; ++i) {
        const std::string key = std::to_string(i);
        client->exchange(resp_array({"SET", key, std::string(7'500'000, 'v')}), 5);
    }
    const auto snapshot = [&] {
        const std::uint64_t before = facts(server).completed;
        EXPECT_TRUE(server.node().replicas().take_snapshots());
        EXPECT_TRUE(server.world.run_until([&] { return facts(server).completed > before; }, 60s));
    };
    snapshot();
    const std::string big = newest_snapshot(server);
    client->exchange(resp_array({"FLUSHALL"}), 5);
    const std::size_t fault =
        server.disk().add_fault({io::OpCode::punch, "snap.tmp", 0, UINT64_MAX, error});
    snapshot();
    EXPECT_TRUE(server.world.run_until(
        [&] { return server.disk().list(snapshot_directory).size() == 1; }, 60s));
    EXPECT_NE(newest_snapshot(server), big);
    return server.disk().fault(fault).hits;
}

TEST(NodeSnapshots, ABigOneIsGivenBackInSteps) {
    EXPECT_EQ(steps_of_a_removal(0), (30'000'000 / 4_MiB) + 1);
}

TEST(NodeSnapshots, OneGoesInOnePieceWhereTheFileSystemKnowsNoSteps) {
    EXPECT_EQ(steps_of_a_removal(-EOPNOTSUPP), 1u);
}

TEST(NodeSnapshots, LeftoversOfACrashAreRemoved) {
    SimServer server(1, frequent_snapshots());
    Prng prng(1);
    ASSERT_TRUE(server.start().has_value());
    write_some(server, prng, 1000);
    server.stop();
    const std::string leftover = snapshot_directory + "/s000001-00000000000000000099.snap.tmp";
    server.disk().put(leftover, "half a snapshot");
    ASSERT_TRUE(server.start().has_value());
    EXPECT_FALSE(server.disk().visible(leftover).has_value());
    server.world.run_for(1s);  // a new one may have begun
    for (const std::string& name : server.disk().list(snapshot_directory)) {
        EXPECT_TRUE(name.ends_with(".snap")) << name;
    }
}

TEST(NodeSnapshots, AStartWithoutTheOneTheLogReliesOnIsRefused) {
    SimServer server(1, frequent_snapshots());
    Prng prng(1);
    ASSERT_TRUE(server.start().has_value());
    write_some(server, prng, 2000);
    server.world.run_for(1s);
    server.stop();
    const std::string path = newest_snapshot(server);
    ASSERT_NE(path, "");
    const std::string content = *server.disk().visible(path);
    server.disk().remove(path);
    {
        const auto started = server.start();
        ASSERT_FALSE(started.has_value());
        EXPECT_EQ(started.error().code, Errc::damaged);
        EXPECT_NE(started.error().text().find(path), std::string::npos) << started.error().text();
        server.crash();
    }
    server.disk().put(path, content);
    ASSERT_TRUE(server.start().has_value());
}

TEST(NodeSnapshots, ADamagedOneIsRefusedWithFileAndOffset) {
    SimServer server(1, frequent_snapshots());
    Prng prng(1);
    ASSERT_TRUE(server.start().has_value());
    write_some(server, prng, 2000);
    server.world.run_for(1s);
    server.stop();
    const std::string path = newest_snapshot(server);
    const std::uint64_t bits = 8 * server.disk().visible(path)->size();
    for (int i = 0; i < 20; ++i) {
        const std::uint64_t bit = prng.below(bits);
        server.disk().flip_bit(path, bit);
        const auto started = server.start();
        ASSERT_FALSE(started.has_value());
        EXPECT_EQ(started.error().code, Errc::damaged);
        EXPECT_NE(started.error().text().find(path + " is damaged at offset"), std::string::npos)
            << started.error().text();
        server.crash();
        server.disk().flip_bit(path, bit);
    }
    ASSERT_TRUE(server.start().has_value());
}

TEST(NodeSnapshots, AFileOfAnotherStoreIsForeign) {
    SimServer server(1, frequent_snapshots());
    SimServer other(2, frequent_snapshots());
    Prng prng(1);
    for (SimServer* each : {&server, &other}) {
        ASSERT_TRUE(each->start().has_value());
        write_some(*each, prng, 2000);
        each->world.run_for(1s);
        each->stop();
    }
    const std::string path = newest_snapshot(server);
    server.disk().put(path, *other.disk().visible(newest_snapshot(other)));
    const auto started = server.start();
    ASSERT_FALSE(started.has_value());
    EXPECT_EQ(started.error().code, Errc::foreign) << started.error().text();
}

TEST(NodeSnapshots, AFullDiskIsTriedAgainUntilThereIsRoom) {
    SimServer server(1, frequent_snapshots());
    io::SimFault full;
    full.code = io::OpCode::write;
    full.path_part = snapshot_directory;
    full.count = UINT64_MAX;
    full.error = -ENOSPC;
    server.disk().add_fault(full);
    Prng prng(1);
    ASSERT_TRUE(server.start().has_value());
    write_some(server, prng, 2000);
    server.world.run_for(5s);
    EXPECT_GT(facts(server).failures, 3u);
    EXPECT_LT(facts(server).failures, 12u);  // less and less often
    EXPECT_NE(facts(server).last_error, "");
    EXPECT_TRUE(server.disk().list(snapshot_directory).empty());
    server.disk().clear_faults();
    server.world.run_for(31s);
    EXPECT_GT(facts(server).completed, 0u);
    EXPECT_EQ(facts(server).last_error, "");
    server.stop();
}

TEST(NodeSnapshots, AFlushMeanwhileOnlyDelaysThem) {
    Config config = frequent_snapshots();
    config.cluster.shards = 1;
    config.wal.segment_bytes = 1_MiB;
    config.wal.bytes_max = 256_MiB;
    SimServer server(1, config);
    io::SimFault slow;
    slow.code = io::OpCode::write;
    slow.path_part = snapshot_directory;
    slow.stall = 50ms;
    slow.count = UINT64_MAX;
    server.disk().add_fault(slow);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    for (int round = 0; round < 10 && facts(server).given_up == 0; ++round) {
        std::string input;
        for (int i = 0; i < 3000; ++i) {
            input += resp_array({"SET", std::to_string(i), std::string(1000, 'v')});
        }
        client->send(input);
        ASSERT_TRUE(client->wait_for(3000 * 5));
        client->take();
        if (!facts(server).running) continue;
        EXPECT_EQ(client->exchange(resp_array({"FLUSHALL"}), 5), "+OK\r\n");
    }
    server.world.run_for(5s);
    EXPECT_GT(facts(server).given_up, 0u);
    EXPECT_GT(facts(server).completed, 0u);
    EXPECT_EQ(facts(server).failures, 0u);
    const std::uint64_t digest = server.node().digest();
    server.stop();
    ASSERT_TRUE(server.start().has_value());
    EXPECT_EQ(server.node().digest(), digest);
}

TEST(NodeSnapshots, AStopDoesNotWaitForOne) {
    Config config = frequent_snapshots();
    SimServer server(1, config);
    Prng prng(1);
    ASSERT_TRUE(server.start().has_value());
    io::SimFault slow;
    slow.code = io::OpCode::sync;
    slow.path_part = snapshot_directory;
    slow.stall = 2s;
    slow.count = UINT64_MAX;
    server.disk().add_fault(slow);
    write_some(server, prng, 1000);
    EXPECT_TRUE(facts(server).running.has_value());
    const std::uint64_t digest = server.node().digest();
    server.stop(5s);
    server.disk().clear_faults();
    ASSERT_TRUE(server.start().has_value());
    EXPECT_EQ(server.node().digest(), digest);
}

}  // namespace
}  // namespace kv
