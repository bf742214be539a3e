/// What clients of a node in a cluster are told: where to go, that there is nowhere to go, or, from
/// a leader that is confirmed, the truth. On one core, and on two.

#include <gtest/gtest.h>

#include "tests/unit/node/fake_cluster.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

// foo is in slot 12182 and shard 2, bar in slot 5061 and shard 1, which another core may have.
constexpr ShardId shard_of_foo{2};
constexpr ShardId shard_of_bar{1};
constexpr std::string_view at_two = "10.0.0.2:7002";
constexpr int mget = 7;
constexpr int mset = 8;

std::string short_text(std::string_view text) {
    return big_endian(text.size(), 2) + std::string(text);
}
std::string redirect_frame(std::string_view address) {
    return frame(0x20, short_text(address));
}

/// An extended reply: the request was not applied, and who leads the slot.
std::string redirect_reply(std::uint64_t id, std::uint16_t slot, std::string_view address) {
    return frame(0x1f, big_endian(1, 1) + big_endian(id, 8) + big_endian(0, 1) + big_endian(6, 1) +
                           big_endian(slot, 2) + std::string(address));
}

class Redirect : public testing::TestWithParam<std::uint16_t> {
protected:
    FakeCluster cluster{GetParam(), GetParam()};

    void stop() {
        for (std::size_t core = 0; core < cluster.cores(); ++core) {
            Server& server = cluster.server(core);
            server.reactor.spawn(server.stop());
        }
    }
    std::uint64_t logged() {
        std::uint64_t entries = 0;
        for (std::uint16_t i = 0; i < 4; ++i) {
            const ShardId shard(i);
            entries +=
                cluster.replicas_of(shard).replica(shard).group().raft().last().index.value();
        }
        return entries;
    }
};
INSTANTIATE_TEST_SUITE_P(Cores, Redirect, testing::Values(1, 2));

TEST_P(Redirect, AFollowerNamesTheLeaderInEveryProtocolAndLogsNothing) {
    cluster.lead_all_elsewhere(NodeId(2));
    const std::uint64_t before = logged();
    const std::string text = "REDIRECT 10.0.0.2:7002\n";
    cluster.expect("SET foo 1\nGET foo\nDEL bar\nGET bar\nKEYS\nPING\n",
                   text + text + text + text + text + "PONG\n");
    cluster.expect(set_frame("foo", "1") + key_frame(2, "bar") + key_frame(3, "foo"),
                   redirect_frame(at_two) + redirect_frame(at_two) + redirect_frame(at_two));
    const std::string foo = "-MOVED 12182 10.0.0.2:7002\r\n";
    const std::string bar = "-MOVED 5061 10.0.0.2:7002\r\n";
    cluster.expect(resp_array({"SET", "foo", "1"}) + resp_array({"GET", "bar"}) +
                       resp_array({"INCR", "foo"}) + resp_array({"STRLEN", "bar"}) +
                       resp_array({"MGET", "{foo}1", "{foo}2"}) + resp_array({"DEL", "bar", "bar"}),
                   foo + bar + foo + bar + foo + bar);
    cluster.expect(extended_frame(7, 3, {"foo"}), redirect_reply(7, 12182, at_two));
    EXPECT_EQ(logged(), before);
}

TEST_P(Redirect, WithoutALeaderTheErrorSaysSo) {
    const std::string text = "ERROR no leader available\n";
    cluster.expect("SET foo 1\nGET bar\nKEYS\n", text + text + text);
    const std::string framed = error_frame("no leader available");
    cluster.expect(set_frame("foo", "1") + key_frame(2, "bar"), framed + framed);
    cluster.expect(resp_array({"SET", "foo", "1"}) + resp_array({"GET", "bar"}) +
                       resp_array({"MGET", "bar"}) + resp_array({"DBSIZE"}),
                   "-CLUSTERDOWN no leader for slot 12182\r\n"
                   "-CLUSTERDOWN no leader for slot 5061\r\n"
                   "-CLUSTERDOWN no leader for slot 5061\r\n"
                   "-CLUSTERDOWN no leader for slot 0\r\n");
}

TEST_P(Redirect, ALeaderReadsOnlyOnceItIsConfirmed) {
    cluster.lead_all();
    cluster.expect("SET foo 1\nSET bar 2\n", "OK\nOK\n");
    struct Case {
        std::string request;
        std::string reply;
    };
    const Case cases[] = {
        {"GET foo\n", "VALUE 1\n"},
        {"GET bar\n", "VALUE 2\n"},
        {"KEYS\n", "KEYS bar foo\n"},
        {key_frame(2, "bar"), value_frame("2")},
        {resp_array({"GET", "foo"}), resp_bulk("1")},
        {resp_array({"MGET", "{foo}", "foo"}), "*2\r\n$-1\r\n" + resp_bulk("1")},
        {resp_array({"EXISTS", "bar", "bar"}), ":2\r\n"},
        {resp_array({"DBSIZE"}), ":2\r\n"},
        {resp_array({"MEMORY", "USAGE", "none"}), "$-1\r\n"},
        {resp_array({"SCAN", "0", "MATCH", "b*", "COUNT", "1000"}),
         "*2\r\n" + resp_bulk("0") + "*1\r\n" + resp_bulk("bar")},
        {extended_frame(5, mget, {"foo", "bar"}),
         extended_reply(5, 4, big_endian(2, 4) + big_endian(1, 4) + "1" + big_endian(1, 4) + "2")},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.request);
        const auto client = cluster.connect();
        cluster.heartbeats = false;
        client->send(c.request);
        cluster.run_for(100ms);
        EXPECT_EQ(client->received(), "");
        cluster.heartbeats = true;
        EXPECT_TRUE(client->wait_for(c.reply.size()));
        EXPECT_EQ(client->take(), c.reply);
        cluster.run_for(100ms);  // or the shards that were not asked find themselves alone
    }
}

TEST_P(Redirect, APipelineKeepsItsOrderWhileReadsWaitForTheirRound) {
    cluster.lead_all();
    const auto client = cluster.connect();
    cluster.heartbeats = false;
    client->send(
        "SET foo 1\nGET foo\nSET foo 2\nSET bar 3\nGET foo\nGET bar\nPING\nDEL foo\nGET foo\n");
    cluster.run_for(100ms);
    // Commands of one turn are one entry, which is not applied past a read.
    EXPECT_EQ(client->received(), "");
    cluster.heartbeats = true;
    const std::string replies = "OK\nVALUE 1\nOK\nOK\nVALUE 2\nVALUE 3\nPONG\nDELETED\nNOT_FOUND\n";
    EXPECT_TRUE(client->wait_for(replies.size()));
    EXPECT_EQ(client->take(), replies);
}

TEST_P(Redirect, WhoIsDeposedSendsThoseThatWaitToTheNewLeader) {
    cluster.lead_all();
    cluster.appends = cluster.heartbeats = false;
    const auto text = cluster.connect();
    text->send("SET bar 1\nGET bar\n");
    const auto resp = cluster.connect();
    resp->send(resp_array({"GET", "foo"}) + resp_array({"SET", "foo", "1"}));
    const auto wide = cluster.connect();
    wide->send(resp_array({"MGET", "{bar}1", "{bar}2"}));
    const auto keys = cluster.connect();
    keys->send("KEYS\n");
    cluster.run_for(50ms);
    cluster.lead_all_elsewhere(NodeId(2));
    cluster.run_for(20ms);
    // Nothing is known of the writes yet: they are in the log. The reads are over.
    EXPECT_EQ(text->received(), "");
    EXPECT_EQ(resp->received(), "-MOVED 12182 10.0.0.2:7002\r\n");
    EXPECT_EQ(wide->received(), "-MOVED 5061 10.0.0.2:7002\r\n");
    EXPECT_EQ(keys->received(), "REDIRECT 10.0.0.2:7002\n");
    cluster.overwrite(shard_of_bar);
    cluster.overwrite(shard_of_foo);
    cluster.run_for(20ms);
    EXPECT_EQ(text->received(), "REDIRECT 10.0.0.2:7002\nREDIRECT 10.0.0.2:7002\n");
    EXPECT_EQ(resp->received(), "-MOVED 12182 10.0.0.2:7002\r\n-MOVED 12182 10.0.0.2:7002\r\n");
    for (std::size_t i = 0; i < cluster.cores(); ++i) EXPECT_EQ(cluster.replicas(i).keys(), 0u);
}

TEST_P(Redirect, AWriteThatNobodyKnowsOfIsUnknown) {
    cluster.lead_all();
    cluster.appends = false;
    const auto client = cluster.connect();
    client->send("SET bar 1\nGET foo\n");
    cluster.run_for(50ms);
    cluster.lead_elsewhere(shard_of_bar, NodeId(3));
    cluster.run_for(10s);
    EXPECT_EQ(client->received(), "ERROR commit timed out, outcome unknown\nNOT_FOUND\n");
}

TEST_P(Redirect, ALeaderOfSomeShardsRefusesRatherThanAnswerAPart) {
    cluster.lead_all();
    cluster.expect("SET foo 1\nSET bar 2\n", "OK\nOK\n");
    cluster.lead_elsewhere(shard_of_bar, NodeId(3));
    cluster.expect("GET foo\nKEYS\n", "VALUE 1\nREDIRECT 10.0.0.3:7003\n");
    cluster.expect(extended_frame(5, mget, {"foo", "bar"}),
                   redirect_reply(5, 5061, "10.0.0.3:7003"));
    // Each of the two keys has an outcome of its own.
    const auto client = cluster.connect();
    client->send(extended_frame(6, mset, {"foo", "3", "bar", "4"}));
    ASSERT_TRUE(client->wait_for(5));
    cluster.run_for(20ms);
    EXPECT_NE(client->received().find("outcome unknown"), std::string::npos);
    cluster.expect("GET foo\n", "VALUE 3\n");
}

/// As clients of a Redis cluster expect it: each node is asked for its own.
TEST_P(Redirect, ClientsOfRedisGetTheShardsThatANodeLeads) {
    cluster.lead_all();
    cluster.expect("SET foo 1\nSET bar 2\n", "OK\nOK\n");
    const std::string crosses = "-CROSSSLOT Keys in request don't hash to the same slot\r\n";
    cluster.expect(resp_array({"MGET", "foo", "bar"}) +
                       resp_array({"MSET", "foo", "1", "bar", "2"}) +
                       resp_array({"DEL", "foo", "bar"}) +
                       resp_array({"MSET", "{foo}", "bar", "{foo}2", "bar"}) +
                       resp_array({"DEL", "{foo}", "{foo}2"}),
                   crosses + crosses + crosses + "+OK\r\n:2\r\n");
    cluster.lead_elsewhere(shard_of_bar, NodeId(3));
    cluster.expect(resp_array({"KEYS", "*"}) + resp_array({"DBSIZE"}) + resp_array({"RANDOMKEY"}) +
                       resp_array({"SCAN", "0", "COUNT", "100"}),
                   "*1\r\n" + resp_bulk("foo") + ":1\r\n" + resp_bulk("foo") + "*2\r\n" +
                       resp_bulk("0") + "*1\r\n" + resp_bulk("foo"));
    cluster.expect(resp_array({"FLUSHALL"}) + resp_array({"DBSIZE"}), "+OK\r\n:0\r\n");
    cluster.lead_all_elsewhere(NodeId(2));
    const std::string moved = "-MOVED 0 10.0.0.2:7002\r\n";
    cluster.expect(resp_array({"DBSIZE"}) + resp_array({"KEYS", "*"}) + resp_array({"FLUSHALL"}),
                   moved + moved + moved);
}

/// A node that stops, and leads nothing any more: what is on its way to it is answered, too, or a
/// client would never know what became of it.
TEST_P(Redirect, WhoStopsSendsLateRequestsElsewhereUntilNoneCome) {
    cluster.lead_all_elsewhere(NodeId(2));
    const auto client = cluster.connect();
    const std::string reply = "REDIRECT 10.0.0.2:7002\n";
    EXPECT_EQ(client->exchange("SET foo 1\n", reply.size()), reply);
    stop();
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(client->exchange("SET foo 1\nSET bar 1\n", 2 * reply.size()), reply + reply);
        cluster.run_for(Server::see_off_quiet_min / 2);
    }
    EXPECT_FALSE(client->ended());
    cluster.run_for(2 * Server::see_off_quiet_min);
    EXPECT_TRUE(client->ended());
    EXPECT_EQ(client->end_error(), 0);
    EXPECT_EQ(client->received(), "");
}

TEST_P(Redirect, WhoStopsIsNotKeptByAClientThatGoesOnAsking) {
    cluster.lead_all_elsewhere(NodeId(2));
    const auto client = cluster.connect();
    const std::string reply = "REDIRECT 10.0.0.2:7002\n";
    EXPECT_EQ(client->exchange("GET foo\n", reply.size()), reply);
    stop();
    const Duration step = Server::see_off_quiet_min / 4;
    Duration waited{};
    for (; !client->ended() && waited < 10 * Server::see_off_max; waited += step) {
        client->send("GET foo\n");
        cluster.run_for(step);
    }
    EXPECT_GE(waited, Server::see_off_max);
    EXPECT_LE(waited, 2 * Server::see_off_max);
}

}  // namespace
}  // namespace kv
