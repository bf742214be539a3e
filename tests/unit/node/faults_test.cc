/// A whole node whose disk or clients fail.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/sim_server.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

const std::string timeout_reply = "-TIMEOUT commit timed out, outcome unknown\r\n";

void add_write_fault(SimServer& server, Duration stall, std::int32_t error) {
    io::SimFault fault;
    fault.code = io::OpCode::write;
    fault.path_part = "wal/";
    fault.stall = stall;
    fault.error = error;
    server.disk().add_fault(fault);
}

std::string repeat(std::string_view text, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out.append(text);
    return out;
}

TEST(Faults, AStalledDiskGivesTheUnknownOutcomeAndLaterRepliesStayInOrder) {
    Config config = small_config();
    config.commit_timeout = 1s;
    SimServer server(1, config);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    server.world.run_for(2s);
    add_write_fault(server, 10s, 0);
    client->send(resp_array({"SET", "a", "1"}) + resp_array({"GET", "a"}) + resp_array({"PING"}) +
                 resp_array({"DEL", "b"}) + resp_array({"ECHO", "x"}));
    const std::string expected =
        timeout_reply + timeout_reply + "+PONG\r\n" + timeout_reply + "$1\r\nx\r\n";
    server.world.run_for(900ms);
    EXPECT_EQ(client->take(), "");  // not before its time
    ASSERT_TRUE(client->wait_for(expected.size(), 1s));
    EXPECT_EQ(client->take(), expected);
    EXPECT_EQ(server.info("commit_timeouts"), "3");
    // Reads go on: nothing that is not durable shows.
    EXPECT_EQ(client->exchange(resp_array({"GET", "c"}), 5), "$-1\r\n");
    // What was called unknown happened after all.
    server.world.run_for(10s);
    EXPECT_EQ(client->exchange(resp_array({"GET", "a"}), 7), "$1\r\n1\r\n");
    EXPECT_EQ(client->exchange(resp_array({"SET", "a", "2"}), 5), "+OK\r\n");
}

TEST(Faults, EveryWriteOfAPipelineTimesOutInItsTime) {
    const struct {
        Family family;
        std::string request;
        std::string reply;
    } cases[] = {
        {Family::text, "SET k v\n", "ERROR commit timed out, outcome unknown\n"},
        {Family::resp, resp_array({"SET", "k", "v"}), timeout_reply},
        {Family::binary, set_frame("k", "v"), error_frame("commit timed out, outcome unknown")},
    };
    for (const auto& c : cases) {
        Config config = small_config();
        config.commit_timeout = 1s;
        SimServer server(2, config);
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        server.world.run_for(2s);
        add_write_fault(server, 60s, 0);
        client->send(repeat(c.request, 500));
        ASSERT_TRUE(client->wait_for(500 * c.reply.size(), 3s))
            << client->received().size() / c.reply.size() << " of 500 replies";
        EXPECT_EQ(client->take(), repeat(c.reply, 500));
        server.world.run_for(60s);
        client->send(c.request);
        ASSERT_TRUE(client->wait_for(1));
        EXPECT_NE(client->take(), c.reply);
    }
}

TEST(Faults, AClientThatLeavesWhileItsWritesAreUnderWayLeavesNothing) {
    for (std::uint64_t seed = 1; seed <= scaled(50); ++seed) {
        SCOPED_TRACE(seed);
        SimServer server(seed);
        ASSERT_TRUE(server.start().has_value());
        Prng prng(seed);
        server.world.run_for(2s);
        add_write_fault(server, 3s, 0);
        {
            const auto client = server.connect();
            client->send(repeat(resp_array({"SET", "k", "v"}) + resp_array({"GET", "k"}) +
                                    resp_array({"KEYS", "*"}),
                                prng.between(1, 20)));
            server.world.run_for(Duration(prng.below(5'000'000)));
            if (prng.below(2) == 0) {
                server.world.network().reset_connections(SimServer::client_node,
                                                         SimServer::server_node);
            }
        }
        server.expect("PING\n", "PONG\n");
        server.world.run_for(5s);
        EXPECT_EQ(server.server().connections(), 0u);
        server.stop();
    }
}

TEST(Faults, AClientThatIsGoneIsNotKeptUntilTheStallTimeout) {
    // It ends its half, takes a few replies, and is gone: the server meets the reset when it sends.
    for (std::uint64_t seed = 1; seed <= scaled(50); ++seed) {
        SCOPED_TRACE(seed);
        SimServer server(seed);
        ASSERT_TRUE(server.start().has_value());
        {
            const auto client = server.connect();
            EXPECT_EQ(client->exchange(resp_array({"SET", "k", std::string(8000, 'v')}), 5),
                      "+OK\r\n");
            client->set_reading(false);
            client->send(repeat(resp_array({"GET", "k"}), 300));
            server.world.run_for(100ms);
            server.world.network().end_sending(SimServer::client_node, SimServer::server_node);
            server.world.run_for(100ms);
        }
        server.world.run_for(2s);
        EXPECT_EQ(server.server().connections(), 0u);
    }
}

TEST(Faults, AFullDiskRefusesWritesServesReadsAndRecoversByItself) {
    for (std::uint64_t seed = 1; seed <= scaled(20); ++seed) {
        SCOPED_TRACE(seed);
        SimServer server(seed);
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        server.world.run_for(1s);
        server.disk().set_capacity(server.disk().used_bytes() + 5000);
        const std::string value(4000, 'v');
        const std::string refusal =
            "-MISCONF disk full: writes are refused until there is room again\r\n";
        int accepted = 0;
        std::string reply;
        for (; accepted < 1000; ++accepted) {
            const std::string key = fmt::format("k{}", accepted);
            client->send(resp_array({"SET", key, value}));
            ASSERT_TRUE(client->wait_for(5));
            server.world.run_for(5ms);
            reply = client->take();
            if (reply != "+OK\r\n") break;
        }
        EXPECT_EQ(reply, refusal);
        EXPECT_GT(accepted, 5);
        EXPECT_EQ(client->exchange(resp_array({"GET", "k0"}), 4008), resp_bulk(value));
        EXPECT_EQ(client->exchange(resp_array({"GET", fmt::format("k{}", accepted)}), 5),
                  "$-1\r\n");
        // Also of a key that is there: what does not fit is refused, whatever it would do.
        EXPECT_EQ(client->exchange(resp_array({"SET", "k0", value}), refusal.size()), refusal);
        EXPECT_EQ(server.info("aof_last_write_status"), "err");
        EXPECT_EQ(server.info("wal_read_only"), "1");
        EXPECT_FALSE(server.node().failure().has_value());
        server.disk().set_capacity(std::uint64_t{1} << 40);
        server.world.run_for(3s);
        EXPECT_EQ(client->exchange(resp_array({"SET", "new", value}), 5), "+OK\r\n");
        EXPECT_EQ(server.info("aof_last_write_status"), "ok");
        server.stop();
        ASSERT_TRUE(server.start().has_value());
        EXPECT_EQ(server.node().keys(), static_cast<std::uint64_t>(accepted) + 1);
    }
}

TEST(Faults, RunningOutOfDescriptorsDelaysWritesAndEndsNothing) {
    SimServer server(3);
    ASSERT_TRUE(server.start().has_value());
    const std::size_t fault = server.disk().add_fault(
        {.code = io::OpCode::open, .path_part = ".wal", .count = 4, .error = -EMFILE});
    const auto client = server.connect();
    const std::string value(1000, 'v');
    std::string input;
    std::string expected;
    for (int i = 0; i < 200; ++i) {
        input += resp_array({"SET", std::to_string(i), value});
        expected += "+OK\r\n";
    }
    client->send(input);
    ASSERT_TRUE(client->wait_for(expected.size(), 30s));
    EXPECT_EQ(client->take(), expected);
    EXPECT_EQ(server.disk().fault(fault).hits, 4u);
    EXPECT_FALSE(server.node().failure().has_value());
}

TEST(Faults, AnErrorOfTheLogEndsTheNodeAndNothingMoreIsAcknowledged) {
    for (std::uint64_t seed = 1; seed <= scaled(50); ++seed) {
        SCOPED_TRACE(seed);
        Config config = small_config();
        config.wal.sync = seed % 2 == 0 ? WalSync::automatic : WalSync::fdatasync;
        SimServer server(seed, config);
        ASSERT_TRUE(server.start().has_value());
        const auto client = server.connect();
        EXPECT_EQ(client->exchange(resp_array({"SET", "a", "1"}), 5), "+OK\r\n");
        server.world.run_for(2s);
        io::SimFault fault;
        const bool on_sync = config.wal.sync == WalSync::fdatasync && seed % 4 == 1;
        fault.code = on_sync ? io::OpCode::sync : io::OpCode::write;
        fault.path_part = "wal/";
        fault.error = -EIO;
        server.disk().add_fault(fault);
        client->send(resp_array({"SET", "a", "2"}) + resp_array({"SET", "b", "2"}));
        server.world.run_for(2s);
        ASSERT_TRUE(server.node().failure().has_value());
        EXPECT_EQ(server.node().failure()->code, Errc::io);
        EXPECT_TRUE(server.process().reactor().stopping());
        EXPECT_EQ(client->take(), "");
        // Should the loop turn once more, it still says nothing but no.
        const auto late = server.connect();
        late->send(resp_array({"SET", "c", "3"}));
        server.world.run_for(1s);
        EXPECT_EQ(late->take(), "-ERR the server is shutting down\r\n");
        EXPECT_EQ(client->take(), "");
        server.crash(io::Crash::power_subset_torn);
        server.disk().clear_faults();
        ASSERT_TRUE(server.start().has_value());
        const auto again = server.connect();
        again->send(resp_array({"GET", "a"}));
        ASSERT_TRUE(again->wait_for(7));
        const std::string value = again->take();
        EXPECT_TRUE(value == "$1\r\n1\r\n" || value == "$1\r\n2\r\n") << value;
    }
}

}  // namespace
}  // namespace kv
