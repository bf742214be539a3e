/// How kv-server ends: SIGTERM lets it finish what was begun, a second one does not.

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <chrono>

#include "tests/system/load.h"
#include "tests/system/server.h"

namespace kv::test {
namespace {

constexpr std::chrono::seconds promptly{3};

/// Makes the server owe `wire` more than the kernel takes, and reads none of it.
void owe_replies(Wire& wire) {
    const std::string value(512 * 1024, 'v');
    ASSERT_EQ(wire.ask("SET big " + value + "\n"), "OK\n");
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(wire.send("GET big\n"));
}

TEST(Stop, RequestsInFlightAreAnsweredAndTheyLast) {
    const TemporaryDirectory directory;
    std::vector<Writer> writers;
    for (const Speech speech : {Speech::binary, Speech::resp, Speech::text}) {
        writers.emplace_back(writers.size(), speech, 7);
    }
    for (int round = 0; round < 5; ++round) {
        SCOPED_TRACE(round);
        Server server(directory.path());
        ASSERT_TRUE(server.ready());
        EXPECT_EQ(server.start_field("after"), round == 0 ? "new" : "clean_stop");
        for (Writer& writer : writers) {
            EXPECT_EQ(writer.verify(server.port()), "");
            writer.connect(server.port());
            writer.send(200);
        }
        const std::uint64_t before = writers[0].acknowledged();
        while (writers[0].acknowledged() == before) ASSERT_TRUE(writers[0].receive());
        EXPECT_EQ(server.stop(), 0) << server.process().log();
        for (Writer& writer : writers) {
            writer.server_is_gone();
            EXPECT_EQ(writer.complaint(), "");
        }
    }
    // What one send brings, one turn begins: all of it was answered.
    EXPECT_GT(writers[0].acknowledged(), 5u * 30u);
}

TEST(Stop, ARequestThatWasReadIsAnsweredBeforeTheEnd) {
    const TemporaryDirectory directory;
    for (const int number : {SIGTERM, SIGINT}) {
        Server server(directory.path());
        ASSERT_TRUE(server.ready());
        Wire wire(server.port());
        std::string requests;
        for (int i = 0; i < 100; ++i) requests += "SET key" + std::to_string(i) + " value\n";
        ASSERT_EQ(wire.ask(requests), "OK\n");  // they came in one piece: all are read
        server.process().send_signal(number);
        std::string expected;
        for (int i = 1; i < 100; ++i) expected += "OK\n";
        EXPECT_EQ(wire.receive_all(), expected);
        EXPECT_EQ(server.process().wait(), 0) << server.process().log();
        EXPECT_TRUE(contains(server.process().log(), "msg=stopped"));
    }
}

TEST(Stop, RepliesReachASlowClientThatHadSentMore) {
    const TemporaryDirectory directory;
    Server server(directory.path());
    ASSERT_TRUE(server.ready());
    Wire wire(server.port());
    constexpr std::size_t value_bytes = 100'000;
    ASSERT_EQ(wire.ask("SET big " + std::string(value_bytes, 'v') + "\n"), "OK\n");
    // More than is read while replies wait: the rest is in the kernel when the server closes.
    std::string requests;
    for (int i = 0; i < 10'000; ++i) requests += "GET big\n";
    while (wire.send_some(requests) > 0) {
    }
    server.process().send_signal(SIGTERM);
    ASSERT_NE(server.process().wait_for_log("stopping: finishing"), "");
    std::size_t bytes = 0;
    for (std::string piece = "?"; !piece.empty(); bytes += piece.size()) {
        piece = wire.receive(64 * 1024);
        poll(nullptr, 0, 1);  // slower than the server
    }
    EXPECT_GT(bytes, 10 * value_bytes);
    EXPECT_EQ(bytes % (value_bytes + std::string_view("VALUE \n").size()), 0u) << bytes;
    EXPECT_EQ(server.process().wait(), 0) << server.process().log();
}

TEST(Stop, AnIdleClientDoesNotDelayIt) {
    const TemporaryDirectory directory;
    Server server(directory.path());
    ASSERT_TRUE(server.ready());
    Wire idle(server.port());
    Wire half(server.port());
    ASSERT_EQ(half.ask("PING\n"), "PONG\n");
    ASSERT_TRUE(half.send("SET half"));
    server.process().send_signal(SIGTERM);
    EXPECT_EQ(server.process().wait(promptly), 0) << server.process().log();
    EXPECT_EQ(idle.receive_all(), "");
}

TEST(Stop, AClientThatNeverReadsIsClosedInTheEnd) {
    const TemporaryDirectory directory;
    Server server(directory.path());
    ASSERT_TRUE(server.ready());
    Wire wire(server.port());
    owe_replies(wire);
    EXPECT_EQ(server.stop(), 0) << server.process().log();
    EXPECT_TRUE(contains(server.process().log(), "closing connections that take no replies"));
}

TEST(Stop, ASecondSignalEndsItAtOnce) {
    const TemporaryDirectory directory;
    {
        Server server(directory.path());
        ASSERT_TRUE(server.ready());
        Wire wire(server.port());
        owe_replies(wire);
        server.process().send_signal(SIGTERM);
        ASSERT_NE(server.process().wait_for_log("stopping: finishing"), "");
        server.process().send_signal(SIGTERM);
        EXPECT_EQ(server.process().wait(promptly), 1) << server.process().log();
        EXPECT_TRUE(contains(server.process().log(), "stopping at once"));
    }
    Server again(directory.path());
    ASSERT_TRUE(again.ready());
    EXPECT_EQ(again.start_field("after"), "crash");
    EXPECT_EQ(again.start_field("keys"), "1");
}

}  // namespace
}  // namespace kv::test
