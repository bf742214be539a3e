/// Bounds, and clients that do not behave: whatever one of them does, others are served.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/sim_server.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

std::string repeat(std::string_view text, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out.append(text);
    return out;
}

/// What all provided buffers of the server together may hold, and a window of the network.
constexpr std::uint64_t slack_bytes = 64 * 4096 + 256 * 1024;

TEST(Limits, ConnectionsBeyondTheLimitAreRefusedWithAWord) {
    Config config = small_config();
    config.client.connections_max = 2;
    SimServer server(1, config);
    ASSERT_TRUE(server.start().has_value());
    auto first = server.connect();
    const auto second = server.connect();
    EXPECT_EQ(first->exchange("PING\n", 5), "PONG\n");
    EXPECT_EQ(second->exchange("PING\n", 5), "PONG\n");
    const auto third = server.connect();
    ASSERT_TRUE(third->wait_end());
    EXPECT_EQ(third->take(), "-ERR max number of clients reached\r\n");
    EXPECT_EQ(server.info("rejected_connections"), "1");
    EXPECT_EQ(second->exchange("PING\n", 5), "PONG\n");
    first.reset();
    server.world.run_for(1s);
    EXPECT_EQ(server.connect()->exchange("PING\n", 5), "PONG\n");
    EXPECT_EQ(server.info("total_connections_received"), "4");
}

TEST(Limits, AClientThatNeverReadsIsPausedThenClosedAndNobodyElseNotices) {
    for (std::uint64_t seed = 1; seed <= scaled(20); ++seed) {
        SCOPED_TRACE(seed);
        Config config = small_config();
        config.client.output_pause_bytes = 64_KiB;
        config.client.stall_timeout = 5s;
        SimServer server(seed, config);
        ASSERT_TRUE(server.start().has_value());
        const auto greedy = server.connect();
        const std::string value(8000, 'v');
        greedy->send(resp_array({"SET", "k", value}));
        ASSERT_TRUE(greedy->wait_for(5));
        greedy->set_reading(false);
        server.world.run_for(10ms);
        const std::string get = resp_array({"GET", "k"});
        greedy->send(repeat(get, 50'000));
        server.world.run_for(2s);
        // The pause, what the network holds, and one batch of 32 requests on top.
        const std::uint64_t replies_max = (64_KiB + 256_KiB) / value.size() + 64;
        EXPECT_LT(server.server().counters.requests, replies_max);
        EXPECT_LT(server.server().counters.bytes_in, replies_max * get.size() + slack_bytes);
        server.expect("PING\n", "PONG\n");
        server.expect("SET other 1\nGET other\n", "OK\nVALUE 1\n");
        server.world.run_for(100ms);
        EXPECT_EQ(server.server().connections(), 1u);
        server.world.run_for(5s);
        EXPECT_EQ(server.server().connections(), 0u);
        EXPECT_EQ(server.info("stalled_clients_closed"), "1");
        server.expect("PING\n", "PONG\n");
    }
}

// To look at all of them at once would keep everybody waiting.
TEST(Limits, ManyConnectionsAreLookedAtAFewATurnButAllInTime) {
    constexpr std::size_t many = 1000;
    SimServer server(1);
    ASSERT_TRUE(server.start().has_value());
    std::vector<std::unique_ptr<SimClient>> clients;
    for (std::size_t i = 0; i < many; ++i) clients.push_back(server.connect());
    server.world.run_for(1s);
    ASSERT_EQ(server.server().connections(), many);
    const std::uint64_t turns = server.process().reactor().counters().turns;
    server.world.run_for(10s);
    EXPECT_GE(server.process().reactor().counters().turns - turns, many / 128 * 40);
    // The server ends its half and waits for them to end theirs, but not for long.
    for (const auto& client : clients) client->send(resp_array({"QUIT"}));
    server.world.run_for(2s);
    EXPECT_EQ(server.server().connections(), 0u);
}

TEST(Limits, AClientThatReadsLateGetsEverything) {
    Config config = small_config();
    config.client.output_pause_bytes = 64_KiB;
    SimServer server(2, config);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    const std::string value(8000, 'v');
    EXPECT_EQ(client->exchange(resp_array({"SET", "k", value}), 5), "+OK\r\n");
    client->set_reading(false);
    client->send(repeat(resp_array({"GET", "k"}), 500) + resp_array({"QUIT"}));
    for (int i = 0; i < 20; ++i) {
        server.world.run_for(1s);
        client->set_reading(i % 2 == 1);
    }
    client->set_reading(true);
    ASSERT_TRUE(client->wait_end());
    EXPECT_EQ(client->take(), repeat(resp_bulk(value), 500) + "+OK\r\n");
}

/// A disk that stands still from now on, for `time`.
void stall_writes(SimServer& server, Duration time) {
    io::SimFault fault;
    fault.code = io::OpCode::write;
    fault.path_part = "000001.wal";  // not a spare that is being prepared
    fault.stall = time;
    server.disk().add_fault(fault);
}

TEST(Limits, RepliesThatComeAllAtOncePauseReadingToo) {
    // The replies of many GETs are ready behind one slow write: they leave the pipeline together,
    // and from then on the client's input must wait in the network.
    Config config = small_config();
    config.client.output_pause_bytes = 64_KiB;
    config.client.pipeline_bytes_max = 64_MiB;
    SimServer server(3, config);
    ASSERT_TRUE(server.start().has_value());
    server.expect(resp_array({"SET", "k", std::string(8000, 'v')}), "+OK\r\n");
    const auto greedy = server.connect();
    EXPECT_EQ(greedy->exchange(resp_array({"PING"}), 7), "+PONG\r\n");
    greedy->set_reading(false);
    server.world.run_for(10ms);
    stall_writes(server, 1s);
    greedy->send(resp_array({"SET", "slow", "1"}) + repeat(resp_array({"GET", "k"}), 200));
    server.world.run_for(2s);
    const std::uint64_t before = server.server().counters.bytes_in;
    greedy->send(repeat(resp_array({"PING"}), 300'000));  // four megabytes
    server.world.run_for(10s);
    EXPECT_LT(server.server().counters.bytes_in - before, slack_bytes);
    server.expect("PING\n", "PONG\n");
}

TEST(Limits, RepliesHeldBehindAWriteCountAgainstThePipeline) {
    for (const bool same_key : {false, true}) {
        Config config = small_config();
        config.client.pipeline_bytes_max = 64_KiB;
        SimServer server(4, config);
        ASSERT_TRUE(server.start().has_value());
        const std::string value(8000, 'v');
        server.expect(resp_array({"SET", "k", value}), "+OK\r\n");
        const auto client = server.connect();
        stall_writes(server, 1s);
        const std::uint64_t before = server.server().counters.requests;
        const std::string_view written = same_key ? "k" : "slow";
        client->send(resp_array({"SET", written, value}) + repeat(resp_array({"GET", "k"}), 1000));
        server.world.run_for(500ms);
        EXPECT_LT(server.server().counters.requests - before, 64_KiB / value.size() + 40);
        const std::string expected = "+OK\r\n" + repeat(resp_bulk(value), 1000);
        ASSERT_TRUE(client->wait_for(expected.size()));
        EXPECT_EQ(client->take(), expected);
    }
}

TEST(Limits, ThePipelineLimitsPauseReading) {
    Config config = small_config();
    config.client.pipeline_max = 10;
    SimServer server(5, config);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    stall_writes(server, 2s);
    client->send(repeat("SET k v\n", 100'000));
    server.world.run_for(1s);
    EXPECT_LE(server.server().counters.requests, 10u + 32u);  // one batch beyond it
    EXPECT_LT(server.server().counters.bytes_in, slack_bytes);
    const auto other = server.connect();
    EXPECT_EQ(other->exchange("PING\nGET other\n", 15), "PONG\nNOT_FOUND\n");
    ASSERT_TRUE(client->wait_for(3 * 2000));
    EXPECT_TRUE(client->take().starts_with(repeat("OK\n", 2000)));
}

TEST(Limits, WhatCannotBeFollowedIsAnsweredAndClosed) {
    using namespace std::string_literals;
    struct Case {
        const char* name;
        std::string input;
        std::string reply;
    };
    const std::string pong = frame(5, "");
    const Case cases[] = {
        {"frame of 4 GiB", "\1\xff\xff\xff\xff"s,
         error_frame("binary: payload is beyond the limit of a request")},
        {"frame beyond request_bytes_max", "\2"s + big_endian(128_KiB + 1, 4),
         error_frame("binary: payload is beyond the limit of a request")},
        {"array of 4 Gi words", "*4294967295\r\n",
         "-ERR Protocol error: invalid multibulk length\r\n"},
        {"array of 2^64 words", "*18446744073709551616\r\n",
         "-ERR Protocol error: invalid multibulk length\r\n"},
        {"word of 4 GiB", "*2\r\n$3\r\nGET\r\n$4294967295\r\n",
         "-ERR Protocol error: invalid bulk length\r\n"},
        {"negative word", "*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
        {"no dollar", "*1\r\n:5\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"},
        {"no CRLF", "*1\r\n$4\r\nPINGxx",
         "-ERR Protocol error: expected CRLF behind a bulk "
         "string\r\n"},
        {"a good one first", resp_array({"PING"}) + "*1\r\n$x\r\n",
         "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"},
        {"behind a write", resp_array({"SET", "a", "1"}) + "*1\r\n$x\r\n",
         "+OK\r\n-ERR Protocol error: invalid bulk length\r\n"},
        {"unbalanced", "SET a \"b\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
        {"http", "POST / HTTP/1.1\r\n", "-ERR HTTP is not served here\r\n"},
        {"http in text", "PING\nHost: x\n", "PONG\nERROR HTTP is not served here\n"},
        {"endless line, and more", "GET " + std::string(200'000, 'x'), "ERROR line is too long\n"},
        {"endless line", std::string(65'535 + 8192 + 64 + 1, 'x'), "ERROR line is too long\n"},
    };
    SimServer server(6);
    ASSERT_TRUE(server.start().has_value());
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const auto client = server.connect();
        client->send(c.input);
        ASSERT_TRUE(client->wait_end());
        EXPECT_EQ(client->take(), c.reply);
        server.expect("PING\n", "PONG\n");
    }
    server.world.run_for(1s);
    EXPECT_EQ(server.server().connections(), 0u);
}

TEST(Limits, WhatIsTooLongButCanBeSkippedIsSkipped) {
    SimServer server(7);
    ASSERT_TRUE(server.start().has_value());
    const std::string large(100'000, 'x');
    server.expect(resp_array({"SET", "k", large}) + resp_array({"PING"}),
                  "-ERR value is longer than limits.value_bytes_max\r\n+PONG\r\n");
    const std::string too_long = error_frame("value is longer than limits.value_bytes_max");
    server.expect(set_frame("k", large) + frame(5, ""), too_long + frame(5, ""));
    EXPECT_EQ(server.node().keys(), 0u);
}

TEST(Limits, ARequestThatStopsHalfwayHoldsNobodyUp) {
    const std::string requests[] = {"SET a hel",
                                    resp_array({"SET", "a", "hel"}).substr(0, 20),
                                    set_frame("a", "hel").substr(0, 9),
                                    "*",
                                    "\1",
                                    "$"};
    SimServer server(8);
    ASSERT_TRUE(server.start().has_value());
    std::vector<std::unique_ptr<SimClient>> silent;
    for (const std::string& request : requests) {
        silent.push_back(server.connect());
        silent.back()->send(request);
    }
    server.world.run_for(1h);
    server.expect("PING\n", "PONG\n");
    EXPECT_EQ(server.server().connections(), std::size(requests) + 1);
    for (const auto& client : silent) EXPECT_EQ(client->take(), "");
    EXPECT_EQ(silent[0]->exchange("lo\n", 3), "OK\n");
    server.expect("GET a\n", "VALUE hello\n");
}

TEST(Limits, GarbageBreaksNothing) {
    for (std::uint64_t seed = 1; seed <= scaled(100); ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        SimServer server(seed);
        ASSERT_TRUE(server.start().has_value());
        std::vector<std::unique_ptr<SimClient>> clients;
        const std::string good[] = {resp_array({"SET", "k", "v"}), set_frame("k", "v"), "SET k v\n",
                                    extended_frame(1, 7, {"a", "b"})};
        for (int i = 0; i < 8; ++i) {
            std::string bytes;
            while (bytes.size() < 3000) {
                if (prng.below(3) == 0) {
                    bytes += good[prng.below(4)];
                } else {
                    for (std::uint64_t n = prng.below(30); n > 0; --n) {
                        const bool text = prng.below(2) == 0;
                        bytes.push_back(text ? "*$0123456789\r\n"[prng.below(14)]
                                             : static_cast<char>(prng.below(256)));
                    }
                }
            }
            clients.push_back(server.connect());
            clients.back()->send_cut(bytes, prng, 500);
        }
        server.world.run_for(1s);
        server.expect("SET alive yes\nGET alive\n", "OK\nVALUE yes\n");
        clients.clear();
        server.world.run_for(1s);
        EXPECT_EQ(server.server().connections(), 0u);
        server.stop();
    }
}

TEST(Limits, AKeyTooLongForASmallLogIsRefusedAndNothingElseHappens) {
    Config config = small_config();
    config.wal.segment_bytes = 16_KiB;
    config.wal.batch_bytes_max = 4_KiB;
    config.limits.value_bytes_max = 4_KiB;
    SimServer server(9, config);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    client->send("SET " + std::string(65'535, 'k') + " v\nSET k v\nGET k\n");
    const std::string expected = "ERROR request or reply is beyond its limit\nOK\nVALUE v\n";
    ASSERT_TRUE(client->wait_for(expected.size()));
    EXPECT_EQ(client->take(), expected);
}

}  // namespace
}  // namespace kv
