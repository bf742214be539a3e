/// SIGKILL of the real server while clients write: what was acknowledged is there afterwards, and
/// nothing is there that was not sent.

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>

#include "tests/system/load.h"
#include "tests/system/server.h"

namespace kv::test {
namespace {

constexpr std::uint64_t seed = 20'26;
constexpr std::uint64_t acknowledged_min = 10'000;
constexpr Speech speeches[] = {Speech::binary, Speech::resp, Speech::binary, Speech::resp,
                               Speech::text};

/// Small segments, so that the log rotates some thirty times a round.
const Args small_segments{"--set", "wal.segment_bytes=128KiB",
                          "--set", "wal.batch_bytes_max=32KiB",
                          "--set", "limits.value_bytes_max=32KiB"};

std::uint64_t acknowledged(const std::vector<Writer>& writers) {
    std::uint64_t sum = 0;
    for (const Writer& writer : writers) sum += writer.acknowledged();
    return sum;
}

std::string complaints(const std::vector<Writer>& writers) {
    std::string all;
    for (const Writer& writer : writers) all += writer.complaint();
    return all;
}

/// Waits until a reply is there, or the server is gone. False: neither.
bool wait_for_replies(const std::vector<Writer>& writers) {
    std::vector<pollfd> wanted;
    for (const Writer& writer : writers) {
        if (writer.connected()) wanted.push_back({writer.fd(), POLLIN, 0});
    }
    const auto timeout = std::chrono::milliseconds(patience).count();
    return poll(wanted.data(), wanted.size(), static_cast<int>(timeout)) > 0;
}

/// Writes until `count` more are acknowledged, with `depth` of each writer unanswered, and leaves
/// those unanswered.
bool write_under_load(std::vector<Writer>& writers, std::uint64_t count, std::size_t depth) {
    const std::uint64_t goal = acknowledged(writers) + count;
    while (acknowledged(writers) < goal) {
        for (Writer& writer : writers) writer.send(depth);
        if (!wait_for_replies(writers)) return false;
        for (Writer& writer : writers) {
            if (!writer.receive()) return false;
        }
    }
    for (Writer& writer : writers) writer.send(depth);
    return true;
}

/// What a restarted server holds must be what the writers know, and no more.
void verify_all(std::vector<Writer>& writers, std::uint16_t port) {
    std::size_t present = 0;
    for (Writer& writer : writers) {
        const std::string wrong = writer.verify(port);
        ASSERT_EQ(wrong, "");
        present += writer.keys_present();
    }
    Wire wire(port);
    const std::string keys = wire.ask("KEYS\n");
    EXPECT_EQ(static_cast<std::size_t>(std::count(keys.begin(), keys.end(), ' ')), present);
}

class Rounds {
public:
    Rounds() {
        for (std::size_t i = 0; i < std::size(speeches); ++i) {
            writers_.emplace_back(i, speeches[i], seed);
        }
    }

    void run_one(bool first) {
        Server server(directory_.path(), small_segments);
        ASSERT_TRUE(server.ready());
        EXPECT_EQ(server.start_field("after"), first ? "new" : "crash");
        verify_all(writers_, server.port());
        if (testing::Test::HasFatalFailure()) return;

        for (Writer& writer : writers_) writer.connect(server.port());
        const std::uint64_t count = acknowledged_min + prng_.below(2'000);
        // Shallow pipelines make small batches, deep ones large batches, several in flight.
        const std::size_t depth = std::size_t{1} << prng_.between(5, 9);
        ASSERT_TRUE(write_under_load(writers_, count, depth)) << server.process().log();
        server.kill();
        for (Writer& writer : writers_) {
            unanswered_ += writer.unanswered();
            writer.server_is_gone();
        }
        ASSERT_EQ(complaints(writers_), "");
    }

    void end_cleanly() {
        {
            Server server(directory_.path(), small_segments);
            ASSERT_TRUE(server.ready());
            EXPECT_EQ(server.start_field("after"), "crash");
            verify_all(writers_, server.port());
            EXPECT_EQ(server.stop(), 0) << server.process().log();
        }
        Server again(directory_.path(), small_segments);
        ASSERT_TRUE(again.ready());
        EXPECT_EQ(again.start_field("after"), "clean_stop");
        verify_all(writers_, again.port());
        segments_ = again.start_field("segments");
        EXPECT_EQ(again.stop(), 0);
    }

    std::uint64_t total() const { return acknowledged(writers_); }
    std::uint64_t unanswered() const noexcept { return unanswered_; }
    const std::string& segments() const noexcept { return segments_; }

private:
    TemporaryDirectory directory_;
    Prng prng_ = Prng::split(seed, "rounds");
    std::vector<Writer> writers_;
    std::uint64_t unanswered_ = 0;
    std::string segments_;
};

TEST(Sigkill, UnderLoadLosesNothingAcknowledgedAndInventsNothing) {
    const int rounds = sanitized() ? 5 : 20;
    Rounds all;
    for (int round = 0; round < rounds; ++round) {
        SCOPED_TRACE(round);
        all.run_one(round == 0);
        ASSERT_FALSE(HasFatalFailure());
    }
    all.end_cleanly();
    ASSERT_FALSE(HasFatalFailure());
    EXPECT_GE(all.total(), static_cast<std::uint64_t>(rounds) * acknowledged_min);
    EXPECT_GT(all.unanswered(), 0u) << "every kill came when nothing was in flight";
    std::printf("%d rounds, %llu writes acknowledged, %llu unanswered at the kill, %s segments\n",
                rounds, static_cast<unsigned long long>(all.total()),
                static_cast<unsigned long long>(all.unanswered()), all.segments().c_str());
}

}  // namespace
}  // namespace kv::test
