/// CLUSTER, as clients of a node ask it: on one core, and on two.

#include <gtest/gtest.h>

#include "tests/support/sim_server.h"
#include "tests/unit/node/fake_cluster.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

// foo is in slot 12182 and shard 2.
class ClusterCommands : public testing::TestWithParam<std::uint16_t> {
protected:
    FakeCluster cluster{GetParam(), GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Cores, ClusterCommands, testing::Values(1, 2));

TEST_P(ClusterCommands, ASlotIsThatOfTheKeyOrOfItsTag) {
    cluster.lead_all();
    cluster.expect(
        resp_array({"CLUSTER", "KEYSLOT", "foo"}) + resp_array({"CLUSTER", "KEYSLOT", "x{foo}y"}),
        ":12182\r\n:12182\r\n");
}

TEST_P(ClusterCommands, KeysOfASlotAreCountedAndListed) {
    cluster.lead_all();
    cluster.expect(resp_array({"SET", "{foo}1", "a"}) + resp_array({"SET", "{foo}2", "b"}) +
                       resp_array({"SET", "bar", "c"}),
                   "+OK\r\n+OK\r\n+OK\r\n");
    cluster.expect(resp_array({"CLUSTER", "COUNTKEYSINSLOT", "12182"}) +
                       resp_array({"CLUSTER", "COUNTKEYSINSLOT", "12183"}) +
                       resp_array({"CLUSTER", "GETKEYSINSLOT", "12182", "0"}) +
                       resp_array({"CLUSTER", "GETKEYSINSLOT", "5061", "10"}),
                   ":2\r\n:0\r\n*0\r\n*1\r\n$3\r\nbar\r\n");
    cluster.expect(resp_array({"CLUSTER", "COUNTKEYSINSLOT", "16384"}) +
                       resp_array({"CLUSTER", "GETKEYSINSLOT", "1", "-1"}),
                   "-ERR Invalid slot\r\n-ERR Invalid slot or number of keys\r\n");
}

TEST_P(ClusterCommands, WhoHasAskedWhereShardsAreIsSentThere) {
    cluster.lead_all_elsewhere(NodeId(2));
    const auto client = cluster.connect();
    client->send(resp_array({"CLUSTER", "NODES"}));
    ASSERT_TRUE(cluster.world.run_until(
        [&] { return client->received().find("0-16383\n") != std::string::npos; }, 60s));
    const std::size_t before = client->received().size();
    client->send(resp_array({"GET", "foo"}));
    const std::string moved = "-MOVED 12182 10.0.0.2:7002\r\n";
    ASSERT_TRUE(cluster.world.run_until(
        [&] { return client->received().size() >= before + moved.size(); }, 60s));
    EXPECT_EQ(client->received().substr(before), moved);
}

TEST_P(ClusterCommands, ATransferIsForTheLeaderOfAShardThatExistsToAMember) {
    cluster.lead_all_elsewhere(NodeId(2));
    cluster.expect(resp_array({"CLUSTER", "TRANSFER", "4", "2"}) +
                       resp_array({"CLUSTER", "TRANSFER", "x", "2"}) +
                       resp_array({"CLUSTER", "TRANSFER", "0", "9"}),
                   "-ERR there are shards 0 to 3\r\n-ERR there are shards 0 to 3\r\n"
                   "-ERR there is no such node in the cluster\r\n");
    cluster.expect(resp_array({"CLUSTER", "TRANSFER", "2", "2"}), "+OK\r\n");
    cluster.expect(resp_array({"CLUSTER", "TRANSFER", "2", "3"}), "-MOVED 8192 10.0.0.2:7002\r\n");
}

}  // namespace
}  // namespace kv
