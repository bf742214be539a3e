/// What the pages of the admin port say of given facts.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/node/health.h"
#include "engine/node/metrics.h"
#include "engine/node/status_json.h"

namespace kv {
namespace {

/// Two cores with a shard each, of a cluster of two.
NodeView two_cores() {
    NodeView view;
    view.node.server.node = NodeId(1);
    view.node.alone = false;
    view.node.cpu_system = "0.5";
    view.node.cpu_user = "1.5";
    for (std::uint16_t i = 0; i < 2; ++i) {
        CoreFacts& core = view.cores.emplace_back();
        core.counters.calls[static_cast<std::size_t>(Verb::get)] = 3;
        core.times.resize(CommandTimes::verbs);
        core.times[static_cast<std::size_t>(Verb::get)].add(100us, 3);
        core.recent.reads[7] = 3;
        core.wal.syncs.add(1ms);
        PeerFacts& peer = core.peers.emplace_back();
        peer.node = NodeId(2);
        peer.connected = i == 0;
        peer.traffic = {10, 20, 1};
        ShardFacts& shard = core.shards.emplace_back();
        shard.shard = ShardId(static_cast<std::uint16_t>(1 - i));
        shard.leader = NodeId(1);
        shard.ready = true;
        shard.role = consensus::Role::leader;
        shard.commit = Index(7);
        shard.applied = Index(6);
        shard.last = Index(9);
        shard.followers.push_back({NodeId(2), Index(4), true});
    }
    return view;
}

bool has_line(const std::string& text, std::string_view line) {
    return ("\n" + text).find("\n" + std::string(line) + "\n") != std::string::npos;
}

TEST(Metrics, CountersOfCoresStandApartAndThoseOfCommandsAndPeersTogether) {
    const std::string text = render_metrics(two_cores());
    for (const std::string_view line : {
             "# TYPE kv_commands_total counter",
             "kv_commands_total{cmd=\"get\"} 6",
             "kv_commands_duration_seconds_bucket{cmd=\"get\",le=\"6.4e-05\"} 0",
             "kv_commands_duration_seconds_bucket{cmd=\"get\",le=\"0.000128\"} 6",
             "kv_commands_duration_seconds_bucket{cmd=\"get\",le=\"+Inf\"} 6",
             "kv_commands_duration_seconds_sum{cmd=\"get\"} 0.0006",
             "kv_commands_duration_seconds_count{cmd=\"get\"} 6",
             "# TYPE kv_wal_sync_duration_seconds histogram",
             "kv_wal_sync_duration_seconds_count{core=\"1\"} 1",
             "kv_raft_has_leader{shard=\"0\"} 1",
             "kv_raft_proposals_committed_total{shard=\"1\"} 7",
             "kv_raft_follower_lag_entries{shard=\"0\",peer=\"2\"} 5",
             "kv_peer_connected{peer=\"2\"} 0",
             "kv_peer_sent_bytes_total{peer=\"2\"} 20",
             "kv_peer_send_failures_total{peer=\"2\"} 2",
             "kv_process_cpu_seconds_total{mode=\"user\"} 1.5",
         }) {
        EXPECT_TRUE(has_line(text, line)) << line;
    }
    EXPECT_EQ(text.find("cmd=\"set\""), text.npos);
}

TEST(Health, AShardWithoutALeaderIsNamed) {
    NodeView view = two_cores();
    EXPECT_EQ(answer_checks("readyz", ready_checks({}, &view, false), "").body, "ok\n");
    view.cores[0].shards[0].leader = NodeId();
    const auto checks = ready_checks({}, &view, false);
    const http::Response ill = answer_checks("readyz", checks, "");
    EXPECT_EQ(ill.code, 503);
    EXPECT_TRUE(has_line(ill.body, "[-]leaders failed: no leader is known of shards 1"))
        << ill.body;
    EXPECT_TRUE(has_line(ill.body, "readyz check failed"));
    EXPECT_EQ(answer_health(checks).code, 503);
    EXPECT_EQ(nlohmann::json::parse(answer_health(checks).body)["health"], "false");
    EXPECT_EQ(answer_checks("readyz", checks, "exclude=leaders").code, 200);
    EXPECT_EQ(answer_checks("readyz", checks, "exclude=leader").code, 400);
    EXPECT_EQ(answer_checks("readyz", checks, "exclude=leaders&exclude=x").code, 400);
}

TEST(Health, LivenessDoesNotAskForLeaders) {
    EXPECT_EQ(answer_checks("livez", live_checks({}), "").code, 200);
    const http::Response hung = answer_checks("livez", live_checks(CoreId(1)), "");
    EXPECT_EQ(hung.code, 503);
    EXPECT_TRUE(has_line(hung.body, "[-]cores failed: core 1 does not turn"));
}

TEST(Health, ANodeThatLoadsOrStopsIsNotReady) {
    NodeView view = two_cores();
    view.cores[1].loading = true;
    EXPECT_EQ(answer_checks("readyz", ready_checks({}, &view, false), "").code, 503);
    EXPECT_EQ(answer_checks("readyz", ready_checks({}, nullptr, false), "").code, 503);
    view.cores[1].loading = false;
    EXPECT_EQ(answer_checks("readyz", ready_checks({}, &view, true), "").code, 503);
}

TEST(Status, SaysWhatThePageShows) {
    Config config;
    config.cluster.nodes = {{.id = NodeId(1), .host = "127.0.0.1", .admin_port = 9001},
                            {.id = NodeId(2), .host = "::1", .admin_port = 80},
                            {.id = NodeId(3), .host = "127.0.0.3"}};
    const auto status = nlohmann::json::parse(render_status(two_cores(), config));
    EXPECT_EQ(status["node"]["id"], 1);
    EXPECT_EQ(status["node"]["reads"]["count"], 6);
    ASSERT_EQ(status["shards"].size(), 2u);
    EXPECT_EQ(status["shards"][0]["shard"], 0);
    EXPECT_EQ(status["shards"][0]["core"], 1);
    EXPECT_EQ(status["shards"][0]["role"], "leader");
    EXPECT_EQ(status["shards"][0]["followers"][0]["lag"], 5);
    EXPECT_EQ(status["peers"][0]["connected"], false);
    EXPECT_EQ(status["nodes"][0]["url"], "http://127.0.0.1:9001");
    EXPECT_EQ(status["nodes"][1]["url"], "http://[::1]");
    EXPECT_EQ(status["nodes"][2]["url"], "");
}

TEST(Status, OnlyPagesOfNodesOfTheClusterMayReadIt) {
    Config config;
    config.cluster.nodes = {{.id = NodeId(1), .host = "127.0.0.1", .admin_port = 9001},
                            {.id = NodeId(2), .host = "127.0.0.2"}};
    EXPECT_EQ(node_of_origin(config, "http://127.0.0.1:9001"), &config.cluster.nodes[0]);
    for (const std::string_view stranger :
         {"", "null", "http://127.0.0.1", "https://127.0.0.1:9001", "http://127.0.0.1:9001.evil",
          "http://127.0.0.2", "http://127.0.0.2:0"}) {
        EXPECT_EQ(node_of_origin(config, stranger), nullptr) << stranger;
    }
}

}  // namespace
}  // namespace kv
