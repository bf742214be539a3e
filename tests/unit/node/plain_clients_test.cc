/// Clients that take the cluster for one server: what another node leads is asked of it, and comes
/// back as if it had been there.

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "tests/unit/node/session_script.h"
#include "tests/unit/node/two_nodes.h"

namespace kv {
namespace {

constexpr std::string_view moved = "-MOVED 5061 10.0.0.3:7003\r\n";
constexpr std::string_view ok = "+OK\r\n";

std::string line(std::string_view words) {
    return std::string(words) + "\r\n";
}

class PlainClients : public TwoNodes {
protected:
    const Store& store_there() { return there.replicas_of(shard_of_bar).store(shard_of_bar); }
};
INSTANTIATE_TEST_SUITE_P(Cores, PlainClients, testing::Values(1, 2));

/// The same requests to the node itself, about another key, say what is right.
TEST_P(PlainClients, EveryCommandOfOneKeyAnswersAsAtItsLeader) {
    const std::string requests[] = {
        "GET #",
        "EXISTS #",
        "TYPE #",
        "STRLEN #",
        "TTL #",
        "PTTL #",
        "GETDEL #",
        "KV.REVISION #",
        "OBJECT ENCODING #",
        "MEMORY USAGE #",
        "GETRANGE # 0 -1",
        "DEL #",
        "DELEX #",
        "SET # abc",
        "SET # other NX",
        "SET # abcd XX",
        "SET # y IFEQ no",
        "SET # abcde IFEQ abcd",
        "SET # z GET",
        "SET # none NX GET",
        "GETSET # q",
        "APPEND # 0123456789",
        "GETRANGE # 2 4",
        "GETRANGE # -3 -1",
        "STRLEN #",
        "EXISTS #",
        "TYPE #",
        "TTL #",
        "EXPIRETIME #",
        "PERSIST #",
        "OBJECT ENCODING #",
        "OBJECT REFCOUNT #",
        "OBJECT FREQ #",
        "MEMORY USAGE #",
        "TOUCH #",
        "GETEX #",
        "INCR #",
        "DECRBY # 4",
        "DELEX # IFEQ no",
        "DELEX # IFEQ q0123456789",
        "INCR #",
        "INCRBY # 41",
        "DECR #",
        "DECRBY # 2",
        "OBJECT ENCODING #",
        "GET #",
        "SET # 9223372036854775807",
        "INCR #",
        "SET # 1 IFREV 7777",
        "SETNX # 5",
        "GETDEL #",
        "GETDEL #",
        "SETNX # 5",
        "DEL #",
        "UNLINK #",
        "SUBSTR # 0 1",
        "SET # 1 BADOPTION",
        "INCRBY # x",
    };
    std::string forwarded;
    std::string local;
    for (const std::string& request : requests) {
        const std::size_t at = request.find('#');
        forwarded += line(request.substr(0, at) + "{bar}f" + request.substr(at + 1));
        local += line(request.substr(0, at) + "{bar}l" + request.substr(at + 1));
    }
    const auto at_leader = there.connect();
    at_leader->send(local);
    run_for(500ms);
    const std::string right = at_leader->take();
    EXPECT_EQ(std::ranges::count(right, '\n') > 58, true);
    EXPECT_EQ(right.find("MOVED"), right.npos);
    expect(forwarded, right, 500ms);
    EXPECT_EQ(here.server(0).forwarder.asked(), 0u);
    EXPECT_EQ(store_there().size(), 0u);
}

TEST_P(PlainClients, ConditionsOnRevisionsHoldElsewhere) {
    const std::string revision = ask(line("SET bar 1") + line("KV.REVISION bar"));
    ASSERT_TRUE(revision.starts_with("+OK\r\n:"));
    const std::string number = revision.substr(6, revision.size() - 8);
    expect(line("SET bar 2 IFREV " + number) + line("SET bar 3 IFREV " + number) + line("GET bar"),
           "+OK\r\n$-1\r\n$1\r\n2\r\n");
}

TEST_P(PlainClients, AWholePipelineIsUnderWayTogether) {
    const auto client = here.connect();
    client->send(line("GET bar"));
    run_for(50ms);
    client->take();
    std::string requests;
    std::string replies;
    for (int i = 0; i < 200; ++i) {
        requests += line("INCR bar");
        replies += fmt::format(":{}\r\n", i + 1);
    }
    std::size_t most = 0;
    pass = [&](FakeCluster::Packet& packet) {
        const std::size_t core = packet.forward.request % here.cores();
        most = std::max(most, here.server(core).forwarder.asked());
        return true;
    };
    client->send(requests);
    run_for(300ms);
    EXPECT_EQ(client->take(), replies);
    EXPECT_EQ(most, 200u);
}

TEST_P(PlainClients, MoreThanMayBeUnderWayWaitsAndIsAnswered) {
    std::vector<std::unique_ptr<SimClient>> clients;
    std::string requests;
    for (int i = 0; i < 1000; ++i) requests += line("INCR bar");
    std::size_t most = 0;
    bool held_up = true;
    pass = [&](FakeCluster::Packet& packet) {
        for (std::size_t i = 0; i < here.cores(); ++i) {
            most = std::max(most, here.server(i).forwarder.asked());
        }
        return !held_up || packet.reply;
    };
    std::deque<FakeCluster::Packet> kept;
    const auto take_all = [&](FakeCluster::Packet& packet) {
        if (held_up && !packet.reply) kept.push_back(packet);
    };
    const auto count = pass;
    pass = [&](FakeCluster::Packet& packet) {
        take_all(packet);
        return count(packet);
    };
    for (int i = 0; i < 8; ++i) {
        clients.push_back(here.connect());
        clients.back()->send(requests);
    }
    run_for(200ms);
    EXPECT_GT(kept.size(), 1000u);
    EXPECT_LT(most, Forwarder::asked_pause + 8);
    held_up = false;
    for (FakeCluster::Packet& packet : kept) there.arrive(std::move(packet));
    run_for(3s);
    for (const auto& client : clients) {
        const std::string replies = client->take();
        EXPECT_EQ(std::ranges::count(replies, '\n'), 1000);
        EXPECT_EQ(replies.find('-'), replies.npos);
    }
    expect(line("GET bar"), "$4\r\n8000\r\n");
}

TEST_P(PlainClients, WhoKnowsTheTopologyIsSentToTheLeader) {
    expect(line("SET bar 1") + line("READWRITE") + line("GET bar") + line("SET bar 2") +
               line("MGET bar foo") + line("RESET") + line("GET bar"),
           std::string(ok) + std::string(ok) + std::string(moved) + std::string(moved) +
               "-CROSSSLOT Keys in request don't hash to the same slot\r\n+RESET\r\n$1\r\n1\r\n");
    expect(line("ASKING") + line("GET bar"), std::string(ok) + std::string(moved));
    expect("GET bar\n", "REDIRECT 10.0.0.3:7003\n");
    expect(key_frame(2, "bar"), frame(0x20, big_endian(13, 2) + "10.0.0.3:7003"));
}

TEST_P(PlainClients, TheConfigurationDecidesForAll) {
    set_on_follower(OnFollower::forward);
    expect(line("READWRITE") + line("SET bar 1") + line("GET bar"), "+OK\r\n+OK\r\n$1\r\n1\r\n");
    expect("GET bar\nSET bar 2\nGET bar\nDEL bar\nDEL bar\n",
           "VALUE 1\nOK\nVALUE 2\nDELETED\nNOT_FOUND\n");
    expect(set_frame("bar", "3") + key_frame(2, "bar"), frame(0, "") + value_frame("3"));
    set_on_follower(OnFollower::redirect);
    expect(line("GET bar") + line("SET bar 1"), std::string(moved) + std::string(moved));
    expect("GET bar\n", "REDIRECT 10.0.0.3:7003\n");
}

TEST_P(PlainClients, RequestsOverShardsAreAboutTheWholeCluster) {
    expect(line("MSET foo 1 bar 2") + line("MSET bar 3") + line("MGET bar foo none") +
               line("EXISTS foo bar none") + line("DBSIZE"),
           "+OK\r\n+OK\r\n*3\r\n$1\r\n3\r\n$1\r\n1\r\n$-1\r\n:2\r\n:2\r\n");
    const std::string keys = ask(line("KEYS *"));
    EXPECT_TRUE(keys.starts_with("*2\r\n"));
    EXPECT_NE(keys.find("foo"), keys.npos);
    EXPECT_NE(keys.find("bar"), keys.npos);
    expect(line("DEL foo bar none"), ":2\r\n");
    expect(line("MSET foo 1 bar 2") + line("FLUSHALL") + line("DBSIZE"), "+OK\r\n+OK\r\n:0\r\n");
    EXPECT_EQ(store_there().size(), 0u);
    expect(line("RANDOMKEY"), "$-1\r\n");
    expect(line("SET bar 1") + line("RANDOMKEY"), "+OK\r\n$3\r\nbar\r\n");
}

TEST_P(PlainClients, ANodeThatLeadsNothingServesAllTheSame) {
    here.lead_all_elsewhere(NodeId(3));
    expect(line("MSET foo 1 bar 2") + line("DBSIZE") + line("INCR foo") + line("FLUSHALL") +
               line("DBSIZE"),
           "+OK\r\n:2\r\n:2\r\n+OK\r\n:0\r\n");
}

TEST_P(PlainClients, AScanVisitsEveryKeyOfTheCluster) {
    for (int i = 0; i < 3000; i += 500) {
        std::string pairs = "MSET";
        for (int k = i; k < i + 500; ++k) pairs += " {bar}" + std::to_string(k) + " x";
        expect(line(pairs + " foo" + std::to_string(i) + " y"), ok);
    }
    for (const bool some : {false, true}) {
        std::set<std::string> seen;
        std::string cursor = "0";
        int pages = 0;
        do {
            const std::string page =
                ask(line("SCAN " + cursor + (some ? " MATCH {bar}1*" : " COUNT 100")), 30ms);
            std::istringstream lines(page);
            std::vector<std::string> words;
            for (std::string word; lines >> word;) words.push_back(word);
            ASSERT_GE(words.size(), 4u) << page;
            cursor = words[2];
            for (std::size_t i = 5; i < words.size(); i += 2) seen.insert(words[i]);
            ASSERT_LT(++pages, 200);
        } while (cursor != "0");
        EXPECT_EQ(seen.size(), some ? 1111u : 3006u);
        EXPECT_GT(pages, 2);
    }
}

TEST_P(PlainClients, LongValuesComeAndGo) {
    const std::string value(8000, 'v');
    expect(resp_array({"SET", "bar", value}) + resp_array({"SET", "bar", "1", "GET"}) +
               resp_array({"APPEND", "bar", value}),
           std::string(ok) + resp_bulk(value) + ":8001\r\n");
}

TEST_P(PlainClients, RepliesThatAreTurnedOffAreDropped) {
    expect(line("CLIENT REPLY OFF") + line("SET bar 1") + line("INCR bar") +
               line("CLIENT REPLY ON") + line("GET bar"),
           "+OK\r\n$1\r\n2\r\n");
}

TEST_P(PlainClients, WhatIsLostIsAFailedReadAndAnUnknownWriteThatIsNotSentAgain) {
    std::size_t asked = 0;
    pass = [&](FakeCluster::Packet& packet) {
        asked += packet.reply ? 0 : 1;
        return !packet.reply;
    };
    expect(line("GET bar") + line("INCR bar") + line("GET foo"),
           "-CLUSTERDOWN no leader for slot 5061\r\n-TIMEOUT commit timed out, outcome unknown\r\n"
           "$-1\r\n",
           6s);
    EXPECT_EQ(asked, 2u);
    pass = [](auto&) { return true; };
    expect(line("GET bar"), "$1\r\n1\r\n");  // which is what unknown means
    for (std::size_t i = 0; i < here.cores(); ++i) EXPECT_EQ(here.server(i).forwarder.asked(), 0u);
}

TEST_P(PlainClients, WhoIsAskedByANodeAsksNobodyElse) {
    there.lead_all_elsewhere(NodeId(2));
    std::map<std::uint64_t, int> asked;
    pass = [&](FakeCluster::Packet& packet) {
        EXPECT_TRUE(packet.reply || packet.node == NodeId(1));
        if (!packet.reply) ++asked[packet.forward.request];
        return true;
    };
    expect(line("SET bar 1") + line("GET bar"),
           "-CLUSTERDOWN no leader for slot 5061\r\n-CLUSTERDOWN no leader for slot 5061\r\n");
    EXPECT_LE(asked.size(), 8u);
    for (const auto& [number, times] : asked) EXPECT_EQ(times, 1);
}

/// Nobody takes it over in time, so that it goes on.
TEST_P(PlainClients, WhatALeaderIsAskedWhileItHandsOverIsNotRefused) {
    expect(line("SET bar 1"), ok);
    for (std::size_t i = 0; i < there.cores(); ++i) {
        Server& server = there.server(i);
        server.reactor.spawn(server.replicas.hand_over_all());
    }
    run_for(10ms);
    expect(line("SET bar 2"), ok);
}

// --- local reads ---------------------------------------------------------------------------------

TEST_P(PlainClients, AReadOnlyConnectionReadsWhatTheNodeHas) {
    here.lead_all();
    expect(line("MSET bar old foo 1"), ok);
    here.lead_elsewhere(shard_of_bar, NodeId(3));
    const auto newer = there.connect();
    newer->send(line("SET bar new"));
    run_for(50ms);
    expect(line("READONLY") + line("GET bar") + line("STRLEN bar") + line("MGET bar {bar}2") +
               line("SET bar 1") + line("READWRITE") + line("GET bar"),
           "+OK\r\n$3\r\nold\r\n:3\r\n*2\r\n$3\r\nold\r\n$-1\r\n" + std::string(moved) +
               std::string(ok) + std::string(moved));
    expect(line("GET bar"), "$3\r\nnew\r\n");
}

TEST_P(PlainClients, LocalReadsNeedNoLeader) {
    here.lead_all();
    expect(line("MSET bar 1 foo 2"), ok);
    for (std::size_t i = 0; i < here.cores(); ++i) {
        here.server(i).settings.reads = ReadMode::local;
    }
    here.heartbeats = here.appends = false;
    here.run_for(3s);  // nobody leads any more
    expect("GET bar\nGET foo\nKEYS\nSET foo 3\n",
           "VALUE 1\nVALUE 2\nKEYS bar foo\nERROR no leader available\n");
    expect(key_frame(2, "bar"), value_frame("1"));
    expect(line("MGET bar foo") + line("DBSIZE") + line("EXISTS bar foo none"),
           "*2\r\n$1\r\n1\r\n$1\r\n2\r\n:2\r\n:2\r\n");
}

}  // namespace
}  // namespace kv
