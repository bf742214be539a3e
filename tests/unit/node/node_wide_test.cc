/// Commands about the whole node, asked on any core of one or several.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/sim_server.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

const std::string ping = resp_array({"PING"});

/// A client for each core, in the order of their ids.
struct Clients {
    explicit Clients(SimServer& s) : server(s) {
        for (std::size_t i = 0; i < s.cores; ++i) each.push_back(s.connect());
    }
    /// The reply of client `i`, of unknown length.
    std::string ask(std::size_t i, const std::vector<std::string_view>& words) {
        each[i]->send(resp_array(words) + ping);
        const std::string end = "+PONG\r\n";
        EXPECT_TRUE(server.world.run_until([&] { return each[i]->received().ends_with(end); }, 60s))
            << words[0];
        std::string reply = each[i]->take();
        reply.resize(reply.size() - std::min(reply.size(), end.size()));
        return reply;
    }
    SimServer& server;
    std::vector<std::unique_ptr<SimClient>> each;
};

class NodeWide : public testing::TestWithParam<std::uint16_t> {
protected:
    NodeWide() : server(5, small_config(), {}, GetParam()) {
        EXPECT_TRUE(server.start().has_value());
    }
    std::size_t cores() const { return GetParam(); }
    SimServer server;
};

TEST_P(NodeWide, InfoCountsWhatIsOnAllCores) {
    Clients clients(server);
    for (std::size_t i = 0; i < cores(); ++i) {
        for (int key = 0; key < 10; ++key) {
            EXPECT_EQ(clients.ask(i, {"SET", fmt::format("{}-{}", i, key), "v"}), "+OK\r\n");
        }
    }
    for (std::size_t i = 0; i < cores(); ++i) {
        const std::string info = clients.ask(i, {"INFO"});
        EXPECT_NE(info.find(fmt::format("\r\nconnected_clients:{}\r\n", cores())), info.npos);
        EXPECT_NE(info.find(fmt::format("\r\ndb0:keys={},", 10 * cores())), info.npos) << info;
        const std::string raft = clients.ask(i, {"INFO", "raft"});
        for (std::uint16_t shard = 0; shard < server.config.cluster.shards; ++shard) {
            EXPECT_NE(raft.find(fmt::format("\r\nshard{}:role=leader,", shard)), raft.npos) << raft;
        }
        const std::string reactor = clients.ask(i, {"INFO", "reactor"});
        EXPECT_NE(reactor.find(fmt::format("\r\ncore{}:turns=", cores() - 1)), reactor.npos);
        const std::string stats = clients.ask(i, {"INFO", "commandstats"});
        EXPECT_NE(stats.find(fmt::format("\r\ncmdstat_set:calls={}\r\n", 10 * cores())), stats.npos)
            << stats;
        EXPECT_EQ(clients.ask(i, {"DBSIZE"}), fmt::format(":{}\r\n", 10 * cores()));
        EXPECT_TRUE(clients.ask(i, {"ROLE"}).starts_with("*3\r\n$6\r\nmaster\r\n:"));
    }
    EXPECT_EQ(clients.ask(cores() - 1, {"CONFIG", "RESETSTAT"}), "+OK\r\n");
    const std::string stats = clients.ask(0, {"INFO", "commandstats"});
    EXPECT_EQ(stats.find("cmdstat_set"), stats.npos) << stats;
}

TEST_P(NodeWide, ClientsAreListedAndClosedOnAllCores) {
    Clients clients(server);
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < cores(); ++i) {
        clients.ask(i, {"CLIENT", "SETNAME", fmt::format("c{}", i)});
        const std::string id = clients.ask(i, {"CLIENT", "ID"});
        ids.push_back(id.substr(1, id.size() - 3));
    }
    for (std::size_t i = 0; i < cores(); ++i) {
        const std::string list = clients.ask(i, {"CLIENT", "LIST"});
        for (std::size_t other = 0; other < cores(); ++other) {
            EXPECT_NE(list.find(fmt::format("id={} ", ids[other])), list.npos) << list;
            EXPECT_NE(list.find(fmt::format(" name=c{} ", other)), list.npos) << list;
        }
        const std::string one = clients.ask(i, {"CLIENT", "LIST", "ID", ids[0]});
        EXPECT_EQ(std::count(one.begin(), one.end(), '\n'), 3) << one;
    }
    for (std::size_t i = 1; i < cores(); ++i) {
        EXPECT_EQ(clients.ask(0, {"CLIENT", "KILL", "ID", ids[i]}), ":1\r\n");
        EXPECT_TRUE(clients.each[i]->wait_end());
    }
    EXPECT_EQ(clients.ask(0, {"CLIENT", "KILL", "TYPE", "normal"}), ":0\r\n");
    EXPECT_EQ(clients.ask(0, {"CLIENT", "KILL", "1.2.3.4:5"}), "-ERR No such client\r\n");
}

TEST_P(NodeWide, ASettingIsTheSameOnAllCores) {
    Clients clients(server);
    const std::string five = "*2\r\n$15\r\nslowlog-max-len\r\n$1\r\n5\r\n";
    // In one pipeline, the one behind sees it.
    clients.each[0]->send(resp_array({"CONFIG", "SET", "slowlog-max-len", "5"}) +
                          resp_array({"CONFIG", "GET", "slowlog-max-len"}));
    ASSERT_TRUE(clients.each[0]->wait_for(5 + five.size()));
    EXPECT_EQ(clients.each[0]->take(), "+OK\r\n" + five);
    for (std::size_t i = 0; i < cores(); ++i) {
        EXPECT_EQ(clients.ask(i, {"CONFIG", "GET", "slowlog-max-len"}), five);
    }
    // Of clients that change it at the same time one is the last, and it is for all cores.
    for (int round = 1; round <= 20; ++round) {
        for (std::size_t i = 0; i < cores(); ++i) {
            clients.each[i]->send(resp_array(
                {"CONFIG", "SET", "slowlog-max-len", fmt::format("{}", 10 * round + int(i))}));
        }
        for (const auto& client : clients.each) {
            ASSERT_TRUE(client->wait_for(5));
            EXPECT_EQ(client->take(), "+OK\r\n");
        }
        for (std::size_t i = 1; i < cores(); ++i) {
            EXPECT_EQ(server.server(i).config.slowlog.entries_max,
                      server.server(0).config.slowlog.entries_max);
        }
    }
}

TEST_P(NodeWide, SlowCommandsOfAllCoresAreOneLog) {
    Clients clients(server);
    clients.ask(0, {"CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "20"});
    for (std::size_t i = 0; i < cores(); ++i) clients.ask(i, {"ECHO", fmt::format("echo{}", i)});
    for (std::size_t i = 0; i < cores(); ++i) {
        const std::string log = clients.ask(i, {"SLOWLOG", "GET", "-1"});
        for (std::size_t other = 0; other < cores(); ++other) {
            EXPECT_NE(log.find(fmt::format("\r\necho{}\r\n", other)), log.npos) << log;
        }
    }
    for (int i = 0; i < 30; ++i) clients.ask(cores() - 1, {"ECHO", "x"});
    EXPECT_EQ(clients.ask(0, {"SLOWLOG", "LEN"}), ":20\r\n");
    clients.ask(0, {"CONFIG", "SET", "slowlog-log-slower-than", "-1"});
    EXPECT_EQ(clients.ask(0, {"SLOWLOG", "RESET"}), "+OK\r\n");
    EXPECT_EQ(clients.ask(cores() - 1, {"SLOWLOG", "LEN"}), ":0\r\n");
}

TEST_P(NodeWide, BgsaveTakesEveryShardOfEveryCore) {
    Clients clients(server);
    for (int key = 0; key < 100; ++key) {
        clients.ask(0, {"SET", fmt::format("key{}", key), "v"});
    }
    server.world.run_for(5s);
    const auto now_s = [&] { return server.process().reactor().wall_ns() / 1'000'000'000; };
    const auto asked_s = now_s();
    EXPECT_EQ(clients.ask(cores() - 1, {"BGSAVE"}), "+Background saving started\r\n");
    ASSERT_TRUE(
        server.world.run_until([&] { return server.info("rdb_bgsave_in_progress") == "0"; }, 60s));
    EXPECT_EQ(server.info("rdb_last_bgsave_status"), "ok");
    EXPECT_EQ(server.info("snapshots_taken"), fmt::format("{}", server.config.cluster.shards));
    EXPECT_EQ(server.disk().list("kv/data/snapshots").size(), server.config.cluster.shards);
    const std::string saved = clients.ask(0, {"LASTSAVE"});
    EXPECT_GE(std::stoll(saved.substr(1)), asked_s);
    // Without a change there is nothing to write, and yet it is saved as of now.
    server.world.run_for(5s);
    const auto later_s = now_s();
    EXPECT_EQ(clients.ask(0, {"BGSAVE", "SCHEDULE"}), "+Background saving started\r\n");
    EXPECT_EQ(server.info("snapshots_taken"), fmt::format("{}", server.config.cluster.shards));
    EXPECT_GE(std::stoll(clients.ask(0, {"LASTSAVE"}).substr(1)), later_s);
    EXPECT_EQ(clients.ask(0, {"BGSAVE", "now"}), "-ERR syntax error\r\n");
}

INSTANTIATE_TEST_SUITE_P(Cores, NodeWide, testing::Values(1, 2, 4));

}  // namespace
}  // namespace kv
