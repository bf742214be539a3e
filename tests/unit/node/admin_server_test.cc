/// The admin port of a simulated node: what strangers may send, and what becomes of them.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/sim_server.h"

namespace kv {
namespace {

Config with_admin_port() {
    Config config = small_config();
    config.admin.bind = "10.0.0.1";
    config.admin.port = 9001;
    return config;
}

std::string get(std::string_view path, std::string_view headers = "") {
    return fmt::format("GET {} HTTP/1.1\r\nHost: a\r\n{}\r\n", path, headers);
}

class Admin : public testing::Test {
protected:
    Admin() : server(11, with_admin_port(), {}, 2) { EXPECT_TRUE(server.start().has_value()); }

    std::unique_ptr<SimClient> connect() {
        return std::make_unique<SimClient>(server.world, server.clients(),
                                           server.node().admin_endpoint());
    }
    /// Answers arrive whole or not at all: until `client` has one that ends in `end`.
    static bool wait_for_text(SimClient& client, std::string_view end) {
        while (!client.received().ends_with(end) && !client.ended()) {
            if (!client.wait_for(client.received().size() + 1, 5s)) break;
        }
        return client.received().ends_with(end);
    }

    SimServer server;
};

TEST_F(Admin, RequestsOfAConnectionAreAnsweredInOrder) {
    const auto client = connect();
    client->send(get("/livez") + get("/nowhere") + get("/health"));
    ASSERT_TRUE(wait_for_text(*client, "{\"health\":\"true\"}\n")) << client->received();
    const std::string all = client->take();
    EXPECT_LT(all.find("200 OK"), all.find("404 Not Found"));
    EXPECT_FALSE(client->ended());
    client->send(get("/livez", "Connection: close\r\n"));
    ASSERT_TRUE(wait_for_text(*client, "ok\n"));
    EXPECT_TRUE(client->wait_end());
    EXPECT_EQ(client->end_error(), 0);
}

TEST_F(Admin, RequestsMayComeInAnyPieces) {
    Prng prng(5);
    for (int i = 0; i < 20; ++i) {
        const auto client = connect();
        client->send_cut(get("/livez") + get("/readyz?verbose"), prng, 7);
        ASSERT_TRUE(wait_for_text(*client, "readyz check passed\n")) << client->received();
    }
}

TEST_F(Admin, ARequestThatIsWrongIsAnsweredAndTheLast) {
    for (const auto& [request, code] :
         {std::pair<std::string, int>{"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405},
          {"GET /" + std::string(9000, 'a'), 431},
          {"*1\r\n$4\r\nPING\r\n", 400},
          {"\x16\x03\x01\x02", 400}}) {
        const auto client = connect();
        client->send(request + get("/livez"));
        ASSERT_TRUE(client->wait_end()) << request;
        EXPECT_TRUE(client->received().starts_with(fmt::format("HTTP/1.1 {} ", code)))
            << client->received();
        EXPECT_TRUE(client->received().ends_with(".\n"));
    }
    EXPECT_TRUE(server.node().failure() == std::nullopt);
}

TEST_F(Admin, WhoSaysNothingOrStopsHalfwayIsClosed) {
    const auto silent = connect();
    const auto slow = connect();
    slow->send("GET / HT");
    EXPECT_TRUE(silent->wait_end(AdminServer::patience + 2s));
    EXPECT_TRUE(slow->wait_end(AdminServer::patience + 2s));
}

TEST_F(Admin, WhoClosesHisHalfStillGetsTheAnswer) {
    const auto client = connect();
    client->send("HEAD /metrics HTTP/1.0\r\n\r\n");
    ASSERT_TRUE(client->wait_end());
    EXPECT_TRUE(client->received().starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_TRUE(client->received().ends_with("\r\n\r\n"));
}

TEST_F(Admin, OneConnectionTooManyIsClosedAndTheOthersStay) {
    std::vector<std::unique_ptr<SimClient>> clients;
    for (std::size_t i = 0; i < AdminServer::connections_max; ++i) clients.push_back(connect());
    const auto more = connect();
    EXPECT_TRUE(more->wait_end(1s));
    for (const auto& client : clients) {
        client->send(get("/livez"));
        ASSERT_TRUE(wait_for_text(*client, "ok\n"));
    }
    more->close();
    clients.clear();
    server.world.run_for(100ms);  // until the node has seen that they are gone
    const auto later = connect();
    later->send(get("/livez"));
    EXPECT_TRUE(wait_for_text(*later, "ok\n"));
}

TEST_F(Admin, ACoreThatDoesNotTurnIsNoticedAndNobodyWaitsForIt) {
    server.world.pause_core(SimServer::server_node, CoreId(1), 30s);
    server.world.run_for(Pulse::silence_max + 2 * Pulse::period);
    for (const std::string_view path : {"/livez", "/readyz", "/metrics", "/status.json"}) {
        const auto client = connect();
        client->send(get(path));
        ASSERT_TRUE(client->wait_for(1, 1s)) << path;
        EXPECT_TRUE(client->received().starts_with("HTTP/1.1 503 ")) << path;
    }
    server.world.run_for(30s);
    const auto client = connect();
    client->send(get("/livez"));
    EXPECT_TRUE(wait_for_text(*client, "ok\n"));
}

TEST_F(Admin, WhoWaitsForACoreThatDoesNotTurnIsLetGo) {
    server.world.pause_core(SimServer::server_node, CoreId(1), 30s);
    const auto client = connect();
    client->send(get("/metrics"));
    EXPECT_TRUE(client->wait_end(AdminServer::patience + 1s));
    EXPECT_EQ(client->received(), "");
    server.world.run_for(30s);  // the answer comes home, and finds nobody
    server.stop();
}

TEST_F(Admin, StopsWithRequestsUnderWay) {
    const auto client = connect();
    const auto half = connect();
    half->send("GET /");
    client->send(get("/metrics") + get("/metrics") + get("/metrics"));
    server.stop();
    EXPECT_TRUE(client->wait_end());
    EXPECT_TRUE(half->wait_end());
}

TEST_F(Admin, ACrashWithRequestsUnderWayLeavesNothingBehind) {
    for (int i = 0; i < 8; ++i) {
        const auto client = connect();
        client->send(get("/metrics") + get("/status.json"));
        static_cast<void>(client->wait_for(1 + static_cast<std::size_t>(i), 1s));
        server.crash();
        ASSERT_TRUE(server.start().has_value());
    }
}

TEST(AdminWhileLoading, TheNodeIsAliveAndNotReady) {
    io::SimKnobs knobs;
    knobs.disk.read = {300ms, 500ms};
    SimServer server(6, with_admin_port(), knobs);
    ASSERT_TRUE(server.start().has_value());
    server.stop();
    server.begin_start();
    ASSERT_TRUE(server.world.run_until([&] { return server.node().listening(); }, 60s));
    ASSERT_FALSE(server.started());
    SimClient client(server.world, server.clients(), server.node().admin_endpoint());
    client.send(get("/livez"));
    ASSERT_TRUE(client.wait_for(1, 200ms));
    EXPECT_TRUE(client.take().starts_with("HTTP/1.1 200 "));
    client.send(get("/readyz"));
    ASSERT_TRUE(client.wait_for(1, 200ms));
    const std::string reply = client.take();
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 503 "));
    EXPECT_NE(reply.find("[-]data failed: the data are not loaded\n"), reply.npos) << reply;
    ASSERT_FALSE(server.started());
    ASSERT_TRUE(server.finish_start().has_value());
    client.send(get("/readyz"));
    ASSERT_TRUE(client.wait_for(1, 5s));
    EXPECT_TRUE(client.take().starts_with("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace kv
