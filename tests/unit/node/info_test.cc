#include "engine/node/info.h"

#include <gtest/gtest.h>

namespace kv {
namespace {

CoreFacts core_with_shard(std::uint16_t shard, std::uint64_t keys) {
    CoreFacts core;
    core.clients = 2;
    core.requests_per_second = 10.6;
    core.counters.requests = 100;
    core.counters.calls[static_cast<std::size_t>(Verb::get)] = 60;
    core.wal.batches = 5;
    core.wal.bytes = 5 * 4096;
    core.wal_dsync = true;
    core.reactor.turns = 50;
    ShardFacts facts;
    facts.shard = ShardId(shard);
    facts.ready = true;
    facts.role = consensus::Role::leader;
    facts.leader = NodeId(1);
    facts.term = Term(3);
    facts.commit = Index(9);
    facts.applied = Index(9);
    facts.log_bytes = 77;
    facts.snapshot = Index(4);
    facts.snapshot_ms = 5'000u + shard;
    facts.keys = keys;
    core.shards.push_back(facts);
    return core;
}

std::string render(std::span<const CoreFacts> cores, std::vector<std::string_view> sections) {
    NodeFacts node;
    node.connections_max = 100;
    node.server.started_s = 42;
    node.uptime = 90'000s;
    node.memory.dataset = 1 << 20;
    node.memory.clients = 1 << 20;
    node.rss = 4 << 20;
    return render_info(node, cores, sections);
}

TEST(Info, AClusterSaysWhoLeadsAndWhoIsThere) {
    CoreFacts cores[] = {core_with_shard(0, 1), core_with_shard(1, 2)};
    for (CoreFacts& core : cores) {
        core.peers = {{NodeId(2), "10.0.0.2:7002", true, {}, {}},
                      {NodeId(3), "10.0.0.3:7003", true, {}, {}}};
    }
    cores[1].peers[1].connected = false;
    cores[1].shards[0].ready = false;
    cores[1].shards[0].role = consensus::Role::follower;
    cores[1].shards[0].leader = NodeId();
    NodeFacts node;
    node.alone = false;
    const std::string_view sections[] = {"cluster"};
    EXPECT_EQ(render_info(node, cores, sections),
              "# Cluster\r\ncluster_enabled:1\r\ncluster_shards_led:1\r\n"
              "cluster_shards_without_leader:1\r\ncluster_peers:2\r\n"
              "cluster_peers_connected:1\r\n"
              "node2:address=10.0.0.2:7002,connected=1\r\n"
              "node3:address=10.0.0.3:7003,connected=0\r\n");
    const std::string_view raft[] = {"raft"};
    const std::string text = render_info(node, cores, raft);
    EXPECT_NE(text.find("shard0:role=leader,term=3,"), text.npos);
    EXPECT_NE(text.find("shard1:role=follower,term=3,"), text.npos);
}

TEST(Info, FieldsAreSumsOverTheCores) {
    CoreFacts cores[] = {core_with_shard(1, 30), core_with_shard(0, 12)};
    cores[1].wal_read_only = true;
    cores[1].snapshots.running = ShardId(0);
    cores[1].snapshots.last_error = "no";
    const std::string text = render(cores, {"all"});
    for (const std::string_view line : {
             "uptime_in_seconds:90000",
             "uptime_in_days:1",
             "connected_clients:4",
             "used_memory:2097152",
             "used_memory_human:2.00M",
             "mem_fragmentation_ratio:2.00",
             "loading:0",
             "rdb_bgsave_in_progress:1",
             "rdb_last_bgsave_status:err",
             "rdb_last_save_time:5",
             "aof_last_write_status:err",
             "wal_sync:dsync",
             "wal_batches:10",
             "total_commands_processed:200",
             "instantaneous_ops_per_sec:21",
             "master_repl_offset:10",
             "cmdstat_get:calls=120",
             "db0:keys=42,expires=0,avg_ttl=0",
             "shard0:role=leader,term=3,commit_index=9,applied_index=9,log_bytes=77,"
             "snapshot_index=4,keys=12,core=1,leader=1",
         }) {
        EXPECT_NE(text.find("\r\n" + std::string(line) + "\r\n"), text.npos) << line << "\n"
                                                                             << text;
    }
    EXPECT_LT(text.find("shard0:"), text.find("shard1:"));
    EXPECT_NE(text.find("core1:turns=50,busy_us=0,requests_per_turn=2.00,batch_bytes=4096,"),
              text.npos);
    EXPECT_EQ(text.find("loading_eta_seconds"), text.npos);
    EXPECT_EQ(text.find("cmdstat_set"), text.npos);
}

TEST(Info, HistogramsAreToldByBoundsAndClasses) {
    CoreFacts core;
    core.wal.syncs.counts[0] = 1;
    core.wal.syncs.counts[7] = 98;
    core.wal.syncs.counts[10] = 1;
    core.wal.syncs.counts[duration_classes - 1] = 0;
    const std::string text = render(std::span(&core, 1), {"reactor"});
    EXPECT_NE(text.find("sync_p50_us=128,sync_p99_us=128,sync_max_us=1024,"), text.npos) << text;
    EXPECT_NE(text.find("core0_syncs_below:1us=1,128us=98,1024us=1\r\n"), text.npos) << text;
}

TEST(Info, ALoadingNodeSaysHowFarItIs) {
    CoreFacts cores[2];
    cores[0].loading = true;
    cores[0].load.bytes_total = 300;
    cores[0].load.bytes_done = 50;
    cores[1].load.log_files_total = 100;
    cores[1].load.log_files_done = 50;
    const std::string text = render(cores, {"persistence"});
    EXPECT_NE(text.find("loading:1\r\nloading_start_time:42\r\nloading_total_bytes:400\r\n"
                        "loading_loaded_bytes:100\r\nloading_loaded_perc:25.00\r\n"
                        "loading_eta_seconds:270000\r\n"),
              text.npos)
        << text;
}

TEST(Info, LoadingIsEstimated) {
    struct Case {
        std::uint64_t total, done;
        std::int64_t elapsed_ms;
        double percent;
        std::int64_t eta_s;
    };
    const Case cases[] = {
        {0, 0, 5000, 0, 1},           // nothing is known: ask again soon
        {1000, 0, 5000, 0, 1},        // no speed to go by
        {1000, 250, 10'000, 25, 30},  //
        {1000, 1000, 10'000, 100, 1}, {100, 200, 10'000, 100, 1},  // more than was announced
    };
    for (const Case& c : cases) {
        LoadProgress progress;
        progress.bytes_total = c.total;
        progress.bytes_done = c.done;
        const LoadEstimate got =
            estimate_load(std::span(&progress, 1), std::chrono::milliseconds(c.elapsed_ms));
        EXPECT_EQ(got.percent, c.percent) << c.total << " " << c.done;
        EXPECT_EQ(got.eta_s, c.eta_s) << c.total << " " << c.done;
    }
}

TEST(Info, BoundsOfClasses) {
    using Classes = std::vector<std::uint64_t>;
    EXPECT_EQ(class_bound(Classes{0, 0, 0}, 0.5), 0u);
    EXPECT_EQ(class_bound(Classes{1, 0, 0}, 1), 1u);
    EXPECT_EQ(class_bound(Classes{1, 1, 0}, 0.5), 1u);
    EXPECT_EQ(class_bound(Classes{1, 1, 0}, 0.51), 2u);
    EXPECT_EQ(class_bound(Classes{0, 0, 5}, 0.5), 4u);
}

TEST(Info, TheLastSaveIsTheNewestSnapshotOrTheStart) {
    ServerFacts server;
    server.started_s = 42;
    CoreFacts core;
    EXPECT_EQ(last_save_s(server, std::span(&core, 1)), 42);
    core = core_with_shard(0, 1);
    EXPECT_EQ(last_save_s(server, std::span(&core, 1)), 5);
    core.snapshots.saved_ms = 9'999;
    EXPECT_EQ(last_save_s(server, std::span(&core, 1)), 9);
}

}  // namespace
}  // namespace kv
