/// A node from start to stop, and again.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "proto/base/prng.h"
#include "tests/support/sim_server.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

TEST(NodeLife, ARestartFindsEverything) {
    for (std::uint64_t seed = 1; seed <= scaled(30); ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        Config config = small_config();
        config.cluster.shards = static_cast<std::uint16_t>(prng.between(1, 20));
        SimServer server(seed, config);
        Result<StartReport> report = server.start();
        ASSERT_TRUE(report.has_value());
        EXPECT_TRUE(report->created);
        EXPECT_EQ(report->boot, 1u);
        EXPECT_EQ(report->keys, 0u);
        std::map<std::string, std::string> left;
        for (std::uint64_t life = 1; life <= 4; ++life) {
            // Each life writes what the one before it left, with other prefixes.
            const std::string prefix = fmt::format("life{}-", life);
            std::string input;
            std::string expected;
            for (int i = 0; i < 100; ++i) {
                const std::string key = prefix + std::to_string(prng.below(40));
                left[key] = std::string(prng.below(2000), static_cast<char>('a' + i % 26));
                input += resp_array({"SET", key, left[key]});
                expected += "+OK\r\n";
            }
            const auto client = server.connect();
            client->send_cut(input, prng, 5000);
            ASSERT_TRUE(client->wait_for(expected.size()));
            EXPECT_EQ(client->take(), expected);
            const std::uint64_t digest = server.node().digest();
            const bool clean = prng.below(2) == 0;
            if (clean) {
                server.stop();
            } else {
                server.crash(io::all_crashes[prng.below(io::all_crashes.size())]);
            }
            report = server.start();
            ASSERT_TRUE(report.has_value()) << report.error().text();
            EXPECT_FALSE(report->created);
            EXPECT_EQ(report->boot, life + 1);
            EXPECT_EQ(report->keys, left.size());
            EXPECT_EQ(server.node().digest(), digest);
            const auto reader = server.connect();
            for (const auto& [key, value] : left) {
                const std::string reply = resp_bulk(value);
                reader->send(resp_array({"GET", key}));
                ASSERT_TRUE(reader->wait_for(reply.size()));
                ASSERT_EQ(reader->take(), reply);
            }
        }
        server.stop();
    }
}

TEST(NodeLife, AGracefulStopFinishesWhatWasBegun) {
    for (std::uint64_t seed = 1; seed <= scaled(100); ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        SimServer server(seed);
        ASSERT_TRUE(server.start().has_value());
        std::vector<std::unique_ptr<SimClient>> clients;
        for (int c = 0; c < 3; ++c) {
            clients.push_back(server.connect());
            for (int i = 0; i < 200; ++i) {
                const std::string key = fmt::format("{}-{}", c, i);
                clients.back()->send(resp_array({"SET", key, "v"}));
            }
        }
        server.world.run_for(Duration(prng.below(10'000'000)));
        const std::uint64_t pending = server.server().counters.requests;
        server.stop();
        std::uint64_t acknowledged = 0;
        std::vector<std::size_t> oks;
        for (const auto& client : clients) {
            ASSERT_TRUE(client->wait_end());
            const std::string replies = client->take();
            // Nothing but OKs; a reset may have cut them off, since input was left unread.
            oks.push_back(replies.size() / 5);
            std::string expected;
            for (std::size_t i = 0; i < oks.back(); ++i) expected += "+OK\r\n";
            EXPECT_EQ(replies.substr(0, expected.size()), expected);
            EXPECT_LT(replies.size() - expected.size(), 5u);
            acknowledged += oks.back();
        }
        clients.clear();
        ASSERT_TRUE(server.start().has_value());
        // What was begun is there, acknowledged or not, and nothing is refused halfway.
        EXPECT_GE(server.node().keys(), std::max(acknowledged, pending));
        const auto reader = server.connect();
        for (std::size_t c = 0; c < oks.size(); ++c) {
            for (std::size_t i = 0; i < oks[c]; i += 20) {
                const std::string key = fmt::format("{}-{}", c, i);
                EXPECT_EQ(reader->exchange(resp_array({"GET", key}), 7), "$1\r\nv\r\n");
            }
        }
    }
}

TEST(NodeLife, AStopClosesClientsThatTakeNothing) {
    Config config = small_config();
    config.client.output_pause_bytes = 64_KiB;
    SimServer server(3, config);
    ASSERT_TRUE(server.start().has_value());
    const auto greedy = server.connect();
    EXPECT_EQ(greedy->exchange(resp_array({"SET", "k", std::string(8000, 'v')}), 5), "+OK\r\n");
    greedy->set_reading(false);
    for (int i = 0; i < 200; ++i) greedy->send(resp_array({"GET", "k"}));
    const auto idle = server.connect();
    server.world.run_for(1s);
    const Instant begun = server.world.now();
    server.stop();
    EXPECT_GE(server.world.now() - begun, Server::drain_timeout);
    EXPECT_LT(server.world.now() - begun, Server::drain_timeout + 2s);
    EXPECT_TRUE(idle->wait_end());
    EXPECT_EQ(idle->take(), "");
}

TEST(NodeLife, AStopWithNothingToDoIsQuick) {
    SimServer server(4);
    ASSERT_TRUE(server.start().has_value());
    const Instant begun = server.world.now();
    server.stop();
    EXPECT_LT(server.world.now() - begun, 1s);
}

TEST(NodeLife, AStartThatFailsCanBeStopped) {
    SimServer server(5);
    ASSERT_TRUE(server.start().has_value());
    server.expect("SET a 1\n", "OK\n");
    server.stop();
    server.config.node.id = NodeId(2);
    Result<StartReport> report = server.start();
    ASSERT_FALSE(report.has_value());
    EXPECT_EQ(report.error().code, Errc::foreign);
    server.stop();
    server.config.node.id = NodeId(1);
    server.config.client.bind = "10.9.9.9";
    report = server.start();
    ASSERT_FALSE(report.has_value());
    EXPECT_EQ(report.error().code, Errc::io);
    EXPECT_NE(report.error().text().find("client.bind"), std::string::npos);
    server.stop();
    server.config.client.bind = "10.0.0.1";
    ASSERT_TRUE(server.start().has_value());
    server.expect("GET a\n", "VALUE 1\n");
}

TEST(NodeLife, ALogThatIsGoneIsDamageAndNotANewBeginning) {
    for (const bool all : {true, false}) {
        SimServer server(11);
        ASSERT_TRUE(server.start().has_value());
        server.expect(resp_array({"SET", "k", "v"}), "+OK\r\n");
        server.crash();  // the next life begins a segment of its own
        ASSERT_TRUE(server.start().has_value());
        server.stop();
        const std::string directory = server.config.node.data_dir + "/wal";
        const std::vector<std::string> files = server.disk().list(directory);
        ASSERT_FALSE(files.empty());
        for (const std::string& file : files) {
            const std::string path = directory + "/" + file;
            const std::string first = server.disk().visible(path)->substr(0, 4096);
            const auto header = wal::decode_segment_header(as_bytes(first));
            const bool newest = header && header->segment == SegmentSeq(2);
            if (all || newest) server.disk().remove(path);
        }
        const auto started = server.start();
        ASSERT_FALSE(started.has_value());
        EXPECT_EQ(started.error().code, Errc::damaged);
        EXPECT_NE(started.error().text().find("segment 2 of the log is missing"), std::string::npos)
            << started.error().text();
        server.crash();
    }
}

TEST(NodeLife, ALogAtItsLimitRefusesWritesStopsAndStartsAgain) {
    Config config = small_config();
    config.wal.bytes_max = 6 * config.wal.segment_bytes;
    SimServer server(12, config);
    // Only when snapshots cannot shorten it.
    io::SimFault full;
    full.code = io::OpCode::write;
    full.path_part = "/snapshots/";
    full.count = UINT64_MAX;
    full.error = -ENOSPC;
    server.disk().add_fault(full);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    const std::string value(1000, 'v');
    std::string reply;
    std::uint64_t accepted = 0;
    for (; accepted < 10'000 && reply.empty(); ++accepted) {
        client->send(resp_array({"SET", std::to_string(accepted), value}));
        ASSERT_TRUE(client->wait_for(5));
        server.world.run_for(5ms);
        const std::string answer = client->take();
        if (answer != "+OK\r\n") reply = answer;
    }
    EXPECT_EQ(reply, "-BUSY the log has reached wal.bytes_max, writes are refused\r\n");
    for (int life = 0; life < 3; ++life) {
        server.stop();
        ASSERT_FALSE(server.running());
        ASSERT_TRUE(server.start().has_value());
        EXPECT_EQ(server.node().keys(), accepted - 1);
        server.expect(resp_array({"GET", "0"}), resp_bulk(value));
    }
    server.disk().clear_faults();
    server.world.run_for(31s);  // the longest time until it is tried again
    server.expect(resp_array({"SET", "again", value}), "+OK\r\n");
    EXPECT_EQ(server.node().keys(), accepted);
    EXPECT_LT(server.node().replicas().log().log_bytes(), config.wal.bytes_max / 2);
}

TEST(NodeLife, ALogThatIsTooLongForANewLimitIsShortened) {
    Config config = small_config();
    config.wal.segment_bytes = 512_KiB;
    SimServer server(1, config);
    ASSERT_TRUE(server.start().has_value());
    const std::string value(8000, 'v');
    for (int i = 0; i < 200; ++i) {
        server.expect(resp_array({"SET", std::to_string(i), value}), "+OK\r\n");
    }
    ASSERT_GT(server.node().replicas().log().log_bytes(), 1_MiB);
    server.stop();
    server.config.wal.segment_bytes = 64_KiB;
    server.config.wal.bytes_max = 512_KiB;
    ASSERT_TRUE(server.start().has_value());
    server.world.run_for(1s);
    std::uint64_t refused = 0;
    const auto client = server.connect();
    for (int i = 0; i < 200; ++i) {
        const std::string reply = client->exchange(resp_array({"SET", "k", value}), 5);
        refused += reply == "+OK\r\n" ? 0 : 1;
        server.world.run_for(50ms);
        client->take();
    }
    EXPECT_EQ(refused, 0u);
    EXPECT_LE(server.node().replicas().log().log_bytes(), 512_KiB);
}

/// One busy shard and fifteen that write a key now and then: none of them pins the log.
TEST(NodeLife, TheLogStaysWithinItsLimitHoweverUnevenTheShardsAre) {
    Config config = small_config();
    config.cluster.shards = 16;
    config.wal.bytes_max = 8 * config.wal.segment_bytes;
    config.snapshot.wal_bytes = 64_KiB;
    SimServer server(3, config);
    const auto used = [&] {
        std::uint64_t bytes = 0;
        for (const std::string& name : server.disk().list("kv/data/wal")) {
            bytes += server.disk().visible("kv/data/wal/" + name)->size();
        }
        return bytes;
    };
    std::uint64_t taken = 0;
    std::uint64_t refused = 0;
    std::uint64_t segments = 0;
    Prng prng(5);
    for (int life = 0; life < 3; ++life) {
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        for (int burst = 0; burst < 300; ++burst) {
            std::string input;
            for (int i = 0; i < 8; ++i) {
                const bool hot = prng.below(100) != 0;
                const std::string key = hot ? "{hot}" + std::to_string(prng.below(50))
                                            : "idle" + std::to_string(prng.below(1000));
                input += resp_array({"SET", key, std::string(prng.below(2000), 'v')});
            }
            client->send(input);
            ASSERT_TRUE(client->wait_for(8 * 5));
            if (life == 0) server.world.run_for(20ms);
            const std::string replies = client->take();
            // Without a pause, one core writes faster than sixteen snapshots can follow.
            if (life == 0) {
                ASSERT_EQ(replies.size(), 8u * 5) << replies;
            }
            ++(replies.starts_with("+OK") ? taken : refused);
            if (!replies.starts_with("+OK")) server.world.run_for(20ms);
            ASSERT_LE(used(), config.wal.bytes_max);
        }
        const SnapshotFacts facts = server.node().replicas().snapshot_facts();
        EXPECT_GT(facts.completed, 16u);
        EXPECT_EQ(facts.failures, 0u);
        // What is released is used again: nothing is made once the log has its size.
        segments += server.node().replicas().log().counters().segments_made;
        server.crash();
    }
    EXPECT_LE(segments, 8u);
    EXPECT_GT(taken, refused);
}

TEST(NodeLife, AStopEndsAlthoughAFullDiskHoldsWritesBack) {
    for (std::uint64_t seed = 1; seed <= scaled(10); ++seed) {
        SCOPED_TRACE(seed);
        SimServer server(seed);
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        server.world.run_for(1s);
        server.disk().set_capacity(server.disk().used_bytes() + 5000);
        const std::string value(3000, 'v');
        std::string input;
        for (int i = 0; i < 500; ++i) input += resp_array({"SET", std::to_string(i), value});
        client->send(input);
        server.world.run_for(3s);
        server.stop(60s);
        EXPECT_FALSE(server.running());
        server.disk().set_capacity(std::uint64_t{1} << 40);
        ASSERT_TRUE(server.start().has_value());
    }
}

TEST(NodeLife, AnyConfigurationThatIsAcceptedRuns) {
    // The corners of what decides the layout of a segment: many shards, small segments and batches.
    std::size_t accepted = 0;
    constexpr std::uint16_t shard_counts[] = {1, 64, 65, 256, 1024};
    for (const std::uint16_t shards : shard_counts) {
        for (const std::size_t segment : {16_KiB, 64_KiB, 256_KiB, 1_MiB}) {
            for (const std::size_t batch : {4_KiB, 16_KiB, 64_KiB}) {
                Config config = small_config();
                config.cluster.shards = shards;
                config.wal.segment_bytes = segment;
                config.wal.batch_bytes_max = batch;
                config.limits.value_bytes_max = 4_KiB;
                if (!check_config(config)) continue;
                SCOPED_TRACE(testing::Message() << shards << " shards, segments of " << segment
                                                << ", batches of " << batch);
                ++accepted;
                SimServer server(6, config);
                ASSERT_TRUE(server.start().has_value());
                const auto client = server.connect();
                const std::string value(3800, 'v');
                std::string expected;
                for (int i = 0; i < 100; ++i) {
                    const std::string key = std::to_string(i);
                    client->send(resp_array({"SET", key, value}));
                    expected += "+OK\r\n";
                }
                ASSERT_TRUE(client->wait_for(expected.size(), 5s));
                ASSERT_EQ(client->take(), expected);
                server.world.run_for(5s);
                // Segments are used for what is written, not for their own beginnings.
                EXPECT_LT(server.node().replicas().log().log_bytes(), 4_MiB);
                server.stop();
                ASSERT_TRUE(server.start().has_value());
                EXPECT_EQ(server.node().keys(), 100u);
            }
        }
    }
    EXPECT_GT(accepted, 15u);
}

TEST(NodeInfo, TheFieldsToolsRelyOn) {
    SimServer server(7);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    EXPECT_EQ(client->exchange("SET a 1\nSET b 2\nGET a\nGET c\n", 24),
              "OK\nOK\nVALUE 1\nNOT_FOUND\n");
    server.world.run_for(10s);
    const std::pair<const char*, const char*> fields[] = {
        {"redis_version", "7.0.15"},
        {"redis_mode", "standalone"},
        {"kv_version", KV_VERSION},
        {"process_id", "4711"},
        {"tcp_port", "6379"},
        {"uptime_in_seconds", "10"},
        {"node_id", "1"},
        {"shards", "4"},
        {"cores", "1"},
        {"connected_clients", "1"},
        {"maxclients", "10000"},
        {"blocked_clients", "0"},
        {"maxmemory", "0"},
        {"maxmemory_policy", "noeviction"},
        {"loading", "0"},
        {"aof_enabled", "1"},
        {"aof_last_write_status", "ok"},
        {"wal_sync", "dsync"},
        {"wal_read_only", "0"},
        {"wal_segments", "1"},
        {"total_connections_received", "1"},
        {"total_commands_processed", "4"},
        {"instantaneous_ops_per_sec", "0"},
        {"total_net_input_bytes", "28"},
        {"total_net_output_bytes", "24"},
        {"rejected_connections", "0"},
        {"keyspace_hits", "1"},
        {"keyspace_misses", "1"},
        {"expired_keys", "0"},
        {"evicted_keys", "0"},
        {"commit_timeouts", "0"},
        {"role", "master"},
        {"connected_slaves", "0"},
        {"cluster_enabled", "0"},
        {"db0", "keys=2,expires=0,avg_ttl=0"},
        {"stalled_clients_closed", "0"},
    };
    for (const auto& [name, value] : fields) EXPECT_EQ(server.info(name), value) << name;
    EXPECT_EQ(server.info("run_id").size(), 40u);
    EXPECT_NE(server.info("used_memory"), "0");
    EXPECT_EQ(server.info("nosuch"), "");
}

TEST(NodeInfo, SectionsAreChosenByName) {
    SimServer server(8);
    ASSERT_TRUE(server.start().has_value());
    const auto text_of = [&](std::vector<std::string_view> sections) {
        return server.node().info(sections);
    };
    EXPECT_EQ(text_of({"CLUSTER"}), "# Cluster\r\ncluster_enabled:0\r\n");
    EXPECT_EQ(text_of({"keyspace"}), "# Keyspace\r\n");
    EXPECT_EQ(text_of({"nosuch"}), "");
    const std::string two = text_of({"clients", "cluster"});
    EXPECT_NE(two.find("# Clients\r\n"), two.npos);
    EXPECT_NE(two.find("# Cluster\r\n"), two.npos);
    EXPECT_EQ(two.find("# Server\r\n"), two.npos);
    EXPECT_EQ(text_of({"default"}).size(), text_of({}).size());
    EXPECT_EQ(text_of({"all"}).size(), text_of({"Everything"}).size());
    EXPECT_EQ(text_of({"default"}).find("# Raft\r\n"), std::string::npos);
    EXPECT_NE(text_of({"all"}).find("# Raft\r\n"), std::string::npos);
}

}  // namespace
}  // namespace kv
