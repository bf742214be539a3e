/// Clients that do not behave. Meanwhile a healthy one is served, which is the claim of each test.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "proto/base/prng.h"
#include "tests/system/server.h"

namespace kv::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// Longer than a slow disk and a sanitizer take for one write, far shorter than being stuck.
constexpr auto healthy_reply_max = 5s;
constexpr std::size_t memory_kib_max = 400 * 1024;

/// Writes and reads for as long as it lives, one request at a time.
class HealthyClient {
public:
    explicit HealthyClient(std::uint16_t port) : wire_(port), thread_([this] { run(); }) {}
    ~HealthyClient() {
        const int seen = served_;
        const auto deadline = steady_clock::now() + patience;
        // Some of it after all that the test did.
        while (served_ < seen + 10 && failed_ == 0 && steady_clock::now() < deadline) {
            poll(nullptr, 0, 1);
        }
        stopping_ = true;
        thread_.join();
        EXPECT_EQ(failed_, 0);
        EXPECT_GE(served_, seen + 10);
        EXPECT_LT(slowest_, healthy_reply_max);
    }

private:
    void run() {
        for (int i = 0; !stopping_ && failed_ == 0; ++i) {
            const auto begun = steady_clock::now();
            const bool right = wire_.ask(fmt::format("SET healthy {}\n", i)) == "OK\n" &&
                               wire_.ask("GET healthy\n") == fmt::format("VALUE {}\n", i);
            slowest_ = std::max<steady_clock::duration>(slowest_, steady_clock::now() - begun);
            ++(right ? served_ : failed_);
        }
    }

    Wire wire_;
    std::atomic<int> served_ = 0;
    std::atomic<int> failed_ = 0;
    std::atomic<bool> stopping_ = false;
    steady_clock::duration slowest_{};
    std::thread thread_;
};

class Abuse : public testing::Test {
protected:
    void start(const Args& args = {}) {
        server_.emplace(directory_.path(), args);
        ASSERT_TRUE(server_->ready());
        healthy_.emplace(server_->port());
    }
    void TearDown() override {
        healthy_.reset();
        if (!server_) return;
        if (!sanitized()) {
            EXPECT_LT(peak_memory_kib(), memory_kib_max);
        }
        EXPECT_EQ(server_->stop(), 0) << server_->process().log();
    }
    Wire connect() const { return Wire(server_->port()); }

    std::size_t peak_memory_kib() {
        std::ifstream status(fmt::format("/proc/{}/status", server_->process().pid()));
        std::string word;
        while (status >> word && word != "VmHWM:") {
        }
        std::size_t kib = 0;
        status >> kib;
        return kib;
    }

    TemporaryDirectory directory_;
    std::optional<Server> server_;
    std::optional<HealthyClient> healthy_;
};

TEST_F(Abuse, LengthsOfFourGiBAreRefusedBeforeAnythingIsAllocated) {
    start();
    const std::string max = "\xff\xff\xff\xff";
    const struct {
        std::string sent;
        std::string said;
    } cases[] = {
        {"\1" + max, "\x10"},
        {"\2" + max, "\x10"},
        {"\x1f" + max, ""},
        {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4294967295\r\n", "-ERR "},
        {"*4294967295\r\n", "-ERR "},
        {"*1\r\n$-4294967295\r\n", "-ERR "},
        {"*1\r\n$99999999999999999999999\r\n", "-ERR "},
    };
    for (const auto& c : cases) {
        Wire wire = connect();
        ASSERT_TRUE(wire.send(c.sent));
        const std::string reply = wire.receive_all();  // and then it is closed
        EXPECT_TRUE(reply.starts_with(c.said)) << fmt::format("{:?}: {:?}", c.sent, reply);
        EXPECT_FALSE(reply.empty()) << fmt::format("{:?}", c.sent);
    }
    // A length inside a frame that is itself of a reasonable size: an error, and it goes on.
    Wire wire = connect();
    ASSERT_TRUE(wire.send(std::string("\1\0\0\0\7\0\1k", 8) + max + std::string("\5\0\0\0\0", 5)));
    EXPECT_EQ(wire.receive(1), "\x10");
    const std::string rest = wire.receive(4);
    wire.receive(static_cast<unsigned char>(rest[3]));
    EXPECT_EQ(wire.receive(5), std::string("\5\0\0\0\0", 5));
}

TEST_F(Abuse, HalfARequestAndSilenceHoldsNobodyUp) {
    start();
    const std::pair<std::string, std::string> halves[] = {
        {"SET half", " value\n"},
        {std::string("\2\0\0\0\7\0\5", 7), "halfb"},
        {"*2\r\n$3\r\nGET\r\n$4", "\r\nhalf\r\n"},
        {"*", "1\r\n$4\r\nPING\r\n"},
        {"PI", "NG\n"},
    };
    std::vector<Wire> silent;
    for (int i = 0; i < 20; ++i) {
        for (const auto& [half, rest] : halves) {
            silent.push_back(connect());
            ASSERT_TRUE(silent.back().send(half));
        }
    }
    Wire other = connect();
    EXPECT_EQ(other.ask("PING\n"), "PONG\n");
    for (std::size_t i = 0; i < silent.size(); ++i) {
        ASSERT_TRUE(silent[i].send(halves[i % std::size(halves)].second));
    }
    for (Wire& wire : silent) EXPECT_NE(wire.receive(1), "");
}

TEST_F(Abuse, GarbageIsAnsweredWithErrorsOrAnEnd) {
    start();
    Prng prng(5);
    const int connections = sanitized() ? 60 : 200;
    for (int i = 0; i < connections; ++i) {
        Wire wire = connect();
        std::string garbage(prng.between(1, 64 * 1024), '\0');
        for (char& c : garbage) c = static_cast<char>(prng.next());
        // Every protocol gets its share.
        garbage[0] = "\1\2\3\4\5\x1f*$+SG"[i % 11];
        if (!wire.send(garbage)) continue;  // it was closed meanwhile
        wire.end_sending();
        wire.receive_all();
    }
}

TEST_F(Abuse, AClientThatNeverReadsIsHeldBackAndThenClosed) {
    start({"--set", "client.stall_timeout=500ms", "--set", "client.output_pause_bytes=1MiB"});
    Wire greedy = connect();
    ASSERT_EQ(greedy.ask("SET big " + std::string(64 * 1024, 'v') + "\n"), "OK\n");
    // Until the server no longer reads, or has closed; the kernel holds some megabytes each way.
    std::string requests;
    for (int i = 0; i < 1'000; ++i) requests += "GET big\n";
    const auto deadline = steady_clock::now() + patience;
    while (greedy.send_some(requests) >= 0 && steady_clock::now() < deadline) {
        pollfd wanted{greedy.fd(), POLLOUT, 0};
        poll(&wanted, 1, 50);
    }
    EXPECT_NE(server_->process().wait_for_log("a client takes no replies"), "");
}

TEST_F(Abuse, ADeepPipelineIsAnsweredInOrderByAClientThatReadsLate) {
    start();
    constexpr int requests = 50'000;
    Wire wire = connect();
    std::string sent;
    std::string expected;
    for (int i = 0; i < requests; ++i) {
        sent += fmt::format("SET deep {}\nGET deep\n", i);
        expected += fmt::format("OK\nVALUE {}\n", i);
    }
    std::thread writer([&] { EXPECT_TRUE(wire.send(sent)); });
    const std::string got = wire.receive(expected.size());
    writer.join();
    EXPECT_TRUE(got == expected) << got.size() << " bytes of " << expected.size();
}

TEST_F(Abuse, FiveHundredIdleClientsCostNobodyAnything) {
    start();
    std::vector<Wire> idle;
    for (int i = 0; i < 500; ++i) {
        idle.push_back(connect());
        ASSERT_TRUE(idle.back().connected());
    }
    for (Wire& wire : idle) ASSERT_EQ(wire.ask("PING\r\n"), "+PONG\r\n");
    const std::string info = idle[0].ask("*2\r\n$4\r\nINFO\r\n$7\r\nclients\r\n", "\r\n\r\n");
    EXPECT_TRUE(contains(info, "connected_clients:501")) << info;
}

TEST_F(Abuse, OneClientTooManyIsToldSo) {
    start({"--set", "client.connections_max=10"});
    std::vector<Wire> all;
    for (int i = 0; i < 9; ++i) all.push_back(connect());
    for (Wire& wire : all) ASSERT_EQ(wire.ask("PING\n"), "PONG\n");
    EXPECT_EQ(connect().receive_all(), "-ERR max number of clients reached\r\n");
    all.pop_back();
    const auto deadline = steady_clock::now() + patience;
    std::string reply;
    while (reply != "PONG\n" && steady_clock::now() < deadline) reply = connect().ask("PING\n");
    EXPECT_EQ(reply, "PONG\n");
}

TEST_F(Abuse, ConnectionsThatComeAndGoLeaveNothingBehind) {
    start();
    for (int i = 0; i < 1'000; ++i) {
        Wire wire = connect();
        if (i % 2 == 0) {
            ASSERT_TRUE(wire.send("SET gone away\nGET go"));
        }
    }
    Wire wire = connect();
    const auto deadline = steady_clock::now() + patience;
    std::string info;
    while (!contains(info, "connected_clients:2\r") && steady_clock::now() < deadline) {
        info = wire.ask("INFO clients\r\n", "\r\n\r\n");
    }
    EXPECT_TRUE(contains(info, "connected_clients:2\r")) << info;
}

}  // namespace
}  // namespace kv::test
