/// What CLUSTER tells of who leads what, from what the cores of a node know.

#include "engine/node/cluster_view.h"

#include <gtest/gtest.h>

namespace kv {
namespace {

constexpr std::string_view name_of_one = "00000000000000aa00000000000000bb00000001";
constexpr std::string_view name_of_two = "00000000000000aa00000000000000bc00000002";

Configuration two_nodes() {
    Configuration configuration;
    configuration.members = {{NodeId(1), StoreId{0xaa, 0xbb}, role_voter, "10.0.0.1", 7001, 6379},
                             {NodeId(2), StoreId{0xaa, 0xbc}, role_voter, "10.0.0.2", 7002, 6380}};
    return configuration;
}

ShardFacts facts_of(std::uint16_t shard, std::uint64_t leader) {
    ShardFacts facts;
    facts.shard = ShardId(shard);
    facts.leader = NodeId(leader);
    facts.term = Term(10u + shard);
    facts.commit = Index(100);
    facts.applied = Index(90);
    return facts;
}

/// Four shards, as two cores of node 1 know them: it leads 0, node 2 leads 1 and 2, nobody 3.
std::vector<CoreFacts> example_cores(bool connected) {
    std::vector<CoreFacts> cores(2);
    cores[0].shards = {facts_of(0, 1), facts_of(2, 2)};
    cores[0].shards[0].followers = {{NodeId(2), Index(60), true}};
    cores[1].shards = {facts_of(1, 2), facts_of(3, 0)};
    cores[1].peers = {{NodeId(2), "10.0.0.2:6380", connected}};
    return cores;
}

ShardMap example(bool connected = true) {
    return make_shard_map(NodeId(1), two_nodes(), Placement(4, 2), example_cores(connected));
}

template <typename Write>
std::string resp2(Write write) {
    std::string out;
    resp::Writer writer(out, false);
    write(example(), two_nodes(), writer);
    return out;
}

TEST(ClusterView, TheMapHasEverySlotAndWhatTheLeaderKnowsOfOthers) {
    const ShardMap map = example();
    ASSERT_EQ(map.shards.size(), 4u);
    EXPECT_EQ(map.shards[2].first_slot, SlotId(8192));
    EXPECT_EQ(map.shards[3].last_slot, SlotId(16383));
    EXPECT_EQ(map.shards[1].leader, NodeId(2));
    EXPECT_EQ(map.shards[3].leader, NodeId());
    ASSERT_EQ(map.shards[0].followers.size(), 1u);
    EXPECT_EQ(map.shards[0].followers[0].match, Index(60));
    std::string bytes;
    encode_shard_map(map, bytes);
    const auto decoded = decode_shard_map(as_bytes(bytes));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, map);
}

TEST(ClusterView, AShardWithoutALeaderIsInNoRangeAndTheClusterIsNotWell) {
    const std::string info = render_cluster_info(example());
    EXPECT_TRUE(info.starts_with("cluster_state:fail\r\n")) << info;
    EXPECT_NE(info.find("cluster_slots_ok:12288\r\n"), info.npos) << info;
    EXPECT_NE(info.find("cluster_slots_fail:4096\r\n"), info.npos) << info;
    EXPECT_NE(info.find("cluster_size:2\r\n"), info.npos) << info;
    ShardMap map = example();
    map.shards[3].leader = NodeId(1);
    EXPECT_TRUE(render_cluster_info(map).starts_with("cluster_state:ok\r\n"));
}

TEST(ClusterView, AShardThatNobodyLeadsStaysWithWhoDidLast) {
    std::vector<CoreFacts> cores = example_cores(true);
    ShardMap map = example();
    name_latest_leaders(map, cores);
    EXPECT_EQ(map, example()) << "nobody is known to have led shard 3";
    cores[1].shards[1].led_last = NodeId(9);
    name_latest_leaders(map, cores);
    EXPECT_EQ(map, example()) << "node 9 does not belong to the cluster";
    cores[1].shards[1].led_last = NodeId(1);
    cores[0].shards[0].led_last = NodeId(2);  // shard 0 has a leader
    name_latest_leaders(map, cores);
    EXPECT_EQ(map.shards[3].leader, NodeId(1));
    EXPECT_EQ(map.shards[0].leader, NodeId(1));
    const std::string nodes = render_cluster_nodes(map, two_nodes());
    EXPECT_NE(nodes.find(" connected 0-4095 12288-16383\n"), nodes.npos) << nodes;
}

TEST(ClusterView, NodesAreLinesWithTheRangesThatTheyLead) {
    const std::string both =
        std::string(name_of_one) + " 10.0.0.1:6379@7001 myself,master - 0 0 10 connected 0-4095\n" +
        std::string(name_of_two) + " 10.0.0.2:6380@7002 master - 0 0 12 connected 4096-12287\n";
    EXPECT_EQ(render_cluster_nodes(example(), two_nodes()), both);
    const std::string away = render_cluster_nodes(example(false), two_nodes());
    EXPECT_NE(away.find(" master,fail? - 0 0 12 disconnected 4096-12287\n"), away.npos) << away;
}

TEST(ClusterView, SlotsNameTheLeaderOfEachRangeAlone) {
    EXPECT_EQ(resp2(write_cluster_slots),
              "*2\r\n*3\r\n:0\r\n:4095\r\n*4\r\n$8\r\n10.0.0.1\r\n:6379\r\n$40\r\n" +
                  std::string(name_of_one) +
                  "\r\n*0\r\n*3\r\n:4096\r\n:12287\r\n*4\r\n$8\r\n10.0.0.2\r\n:6380\r\n$40\r\n" +
                  std::string(name_of_two) + "\r\n*0\r\n");
}

TEST(ClusterView, ShardsNameEveryCopyAndItsRole) {
    const std::string reply = resp2(write_cluster_shards);
    const auto count = [&](std::string_view what) {
        std::size_t found = 0;
        for (std::size_t at = reply.find(what); at != reply.npos; at = reply.find(what, at + 1)) {
            ++found;
        }
        return found;
    };
    EXPECT_TRUE(reply.starts_with("*4\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:4095\r\n")) << reply;
    EXPECT_EQ(count("$6\r\nmaster\r\n"), 3u);
    EXPECT_EQ(count("$7\r\nreplica\r\n"), 5u);
    EXPECT_EQ(count("$18\r\nreplication-offset\r\n:60\r\n"), 1u);
}

}  // namespace
}  // namespace kv
