/// Clients that come while a node loads its data.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/sim_server.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

const std::string loading = "-LOADING Redis is loading the dataset in memory\r\n";

io::SimKnobs slow_disk() {
    io::SimKnobs knobs;
    knobs.disk.read = {300ms, 500ms};
    return knobs;
}

void write_keys(SimServer& server, int keys) {
    const auto client = server.connect();
    for (int i = 0; i < keys; ++i) {
        EXPECT_EQ(client->exchange(resp_array({"SET", fmt::format("key{}", i), "v"}), 5),
                  "+OK\r\n");
    }
}

/// A node that accepts clients and is far from ready.
void begin_loading(SimServer& server) {
    server.begin_start();
    ASSERT_TRUE(server.world.run_until([&] { return server.node().listening(); }, 60s));
    ASSERT_FALSE(server.started());
}

class Loading : public testing::TestWithParam<std::uint16_t> {
protected:
    Loading() : server(6, small_config(), slow_disk(), GetParam()) {}
    SimServer server;
};

TEST_P(Loading, ClientsAreToldAndServedOnceTheDataAreThere) {
    ASSERT_TRUE(server.start().has_value());
    write_keys(server, 20);
    server.stop();
    begin_loading(server);
    std::vector<std::unique_ptr<SimClient>> clients;
    for (std::uint16_t i = 0; i < GetParam(); ++i) clients.push_back(server.connect());
    for (const auto& client : clients) {
        for (const auto& words :
             {resp_array({"PING"}), resp_array({"GET", "key1"}), resp_array({"SET", "key1", "w"}),
              resp_array({"MGET", "a", "b"}), resp_array({"DBSIZE"}), resp_array({"BGSAVE"}),
              resp_array({"FLUSHALL"}), resp_array({"KEYS", "*"})}) {
            EXPECT_EQ(client->exchange(words, loading.size()), loading) << words;
        }
        EXPECT_EQ(client->exchange(resp_array({"ECHO", "x"}), 7), "$1\r\nx\r\n");
        EXPECT_EQ(client->exchange(resp_array({"SELECT", "0"}), 5), "+OK\r\n");
        const std::string two = resp_array({"SET", "a", "1"}) + resp_array({"GET", "a"});
        EXPECT_EQ(client->exchange(two, 2 * loading.size()), loading + loading);
    }
    const std::string info = resp_array({"INFO", "persistence"}) + resp_array({"ECHO", "end"});
    clients.back()->send(info);
    ASSERT_TRUE(server.world.run_until(
        [&] { return clients.back()->received().ends_with("end\r\n"); }, 60s));
    const std::string text = clients.back()->take();
    EXPECT_NE(text.find("\r\nloading:1\r\nloading_start_time:"), text.npos) << text;
    EXPECT_NE(text.find("\r\nloading_eta_seconds:"), text.npos) << text;
    server.expect("GET key1\n", "ERROR the node is loading its data\n");
    ASSERT_FALSE(server.started()) << "the disk was not slow enough for this test";

    const auto started = server.finish_start();
    ASSERT_TRUE(started.has_value()) << started.error().text();
    EXPECT_EQ(started->keys, 20u);
    EXPECT_EQ(server.info("loading"), "0");
    EXPECT_EQ(server.info("loading_eta_seconds"), "");
    for (const auto& client : clients) {
        EXPECT_EQ(client->exchange(resp_array({"GET", "key1"}), 7), "$1\r\nv\r\n");
        EXPECT_EQ(client->exchange(resp_array({"DBSIZE"}), 5), ":20\r\n");
        EXPECT_EQ(client->exchange(resp_array({"PING"}), 7), "+PONG\r\n");
    }
    clients.clear();
    server.stop();
}

TEST_P(Loading, AFailedStartClosesItsClients) {
    ASSERT_TRUE(server.start().has_value());
    write_keys(server, 20);
    EXPECT_EQ(server.connect()->exchange(resp_array({"BGSAVE"}), 27),
              "+Background saving started\r\n");
    ASSERT_TRUE(
        server.world.run_until([&] { return server.info("rdb_bgsave_in_progress") == "0"; }, 60s));
    server.world.run_for(2s);  // until the log relies on them
    server.stop();
    for (const std::string& name : server.disk().list("kv/data/snapshots")) {
        server.disk().remove("kv/data/snapshots/" + name);
    }
    begin_loading(server);
    const auto client = server.connect();
    EXPECT_EQ(client->exchange(resp_array({"PING"}), loading.size()), loading);
    const auto started = server.finish_start();
    ASSERT_FALSE(started.has_value());
    EXPECT_EQ(started.error().code, Errc::damaged);
    EXPECT_TRUE(client->wait_end());
    EXPECT_EQ(client->end_error(), 0);
}

INSTANTIATE_TEST_SUITE_P(Cores, Loading, testing::Values(1, 3));

}  // namespace
}  // namespace kv
