/// A full disk: writers get a clear error, readers are served, and all is well by itself once there
/// is room. Nothing that was acknowledged is lost, whatever happens meanwhile.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/system/mount.h"
#include "tests/system/server.h"

namespace kv::test {
namespace {

const Args small_segments{"--set", "wal.segment_bytes=256KiB",
                          "--set", "wal.batch_bytes_max=64KiB",
                          "--set", "limits.value_bytes_max=64KiB"};

constexpr auto read_only_reply = "ERROR disk full: writes are refused until there is room again";

class FullDisk : public testing::Test {
protected:
    void SetUp() override {
        std::filesystem::create_directory(scratch_ / "disk");
        disk_.emplace(scratch_ / "disk", "size=6m");
        if (!disk_->mounted()) GTEST_SKIP() << "mounting is refused here";
    }

    std::string data() const { return scratch_ / "disk/data"; }

    void fill() const {
        std::ofstream filler(scratch_ / "disk/filler", std::ios::binary);
        const std::string block(4096, 'f');
        while (filler.write(block.data(), 4096).flush()) {
        }
    }
    void free_room() const { std::filesystem::remove(scratch_ / "disk/filler"); }

    /// Writes until one is refused; returns its reply. Each core has a log and notices by itself:
    /// what is refused from here on is what goes to the core of `refused_`.
    std::string write_until_refused(Wire& wire) {
        for (int i = 0; i < 10'000; ++i) {
            const std::string key = fmt::format("key{}", written_.size());
            const std::string value = fmt::format("{:0>1000}", written_.size());
            const std::string reply = wire.ask(fmt::format("SET {} {}\n", key, value));
            if (reply != "OK\n") {
                refused_ = key;
                return reply;
            }
            written_[key] = value;
        }
        return "nothing was refused";
    }

    /// Tries until the write that was refused is taken, with patience.
    bool writes_come_back(Wire& wire) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (std::chrono::steady_clock::now() < deadline) {
            const std::string reply = wire.ask(fmt::format("SET {} yes\n", refused_));
            if (reply == "OK\n") {
                written_[refused_] = "yes";
                return true;
            }
            EXPECT_TRUE(reply.starts_with(read_only_reply)) << reply;
            poll(nullptr, 0, 20);
        }
        return false;
    }

    void expect_everything(std::uint16_t port) const {
        Wire wire(port);
        for (const auto& [key, value] : written_) {
            ASSERT_EQ(wire.ask(fmt::format("GET {}\n", key)), fmt::format("VALUE {}\n", value));
        }
    }

    TemporaryDirectory scratch_;
    std::optional<SmallDisk> disk_;
    std::map<std::string, std::string> written_;
    std::string refused_;  ///< a key
};

TEST_F(FullDisk, RefusesWritesServesReadsAndRecoversByItself) {
    {
        Server server(data(), small_segments);
        ASSERT_TRUE(server.ready());
        fill();
        Wire wire(server.port());
        EXPECT_TRUE(write_until_refused(wire).starts_with(read_only_reply));
        EXPECT_GT(written_.size(), 100u);
        EXPECT_NE(server.process().wait_for_log("disk full"), "") << server.process().log();

        expect_everything(server.port());
        EXPECT_EQ(wire.ask("PING\n"), "PONG\n");
        const std::string del = fmt::format("DEL {}\n", refused_);
        EXPECT_TRUE(wire.ask(del).starts_with(read_only_reply));
        Wire resp(server.port());
        const std::string set =
            fmt::format("*3\r\n$3\r\nSET\r\n${}\r\n{}\r\n$1\r\nv\r\n", refused_.size(), refused_);
        const std::string refused = resp.ask(set);
        EXPECT_TRUE(refused.starts_with("-MISCONF ")) << refused;
        EXPECT_TRUE(contains(refused, "disk full")) << refused;
        EXPECT_EQ(wire.ask(fmt::format("GET {}\n", refused_)), "NOT_FOUND\n");

        free_room();
        ASSERT_TRUE(writes_come_back(wire)) << server.process().log();
        EXPECT_EQ(wire.ask(del), "DELETED\n");
        written_.erase(refused_);
        EXPECT_EQ(server.stop(), 0) << server.process().log();
    }
    Server again(data(), small_segments);
    ASSERT_TRUE(again.ready());
    EXPECT_EQ(again.start_field("after"), "clean_stop");
    EXPECT_EQ(again.start_field("keys"), std::to_string(written_.size()));
    expect_everything(again.port());
}

TEST_F(FullDisk, SurvivesSigkillAndAStartWhileFull) {
    {
        Server server(data(), small_segments);
        ASSERT_TRUE(server.ready());
        fill();
        Wire wire(server.port());
        EXPECT_TRUE(write_until_refused(wire).starts_with(read_only_reply));
        server.kill();
    }
    {
        Server server(data(), small_segments);
        EXPECT_EQ(server.process().wait(), 1) << server.process().log();
        EXPECT_TRUE(contains(server.process().log(), "No space left on device"))
            << server.process().log();
        EXPECT_TRUE(contains(server.process().log(), "room on its disk")) << server.process().log();
    }
    free_room();
    Server again(data(), small_segments);
    ASSERT_TRUE(again.ready());
    expect_everything(again.port());
    Wire wire(again.port());
    EXPECT_EQ(wire.ask("SET more yes\n"), "OK\n");
}

TEST_F(FullDisk, StopsCleanlyWhileFull) {
    {
        Server server(data(), small_segments);
        ASSERT_TRUE(server.ready());
        fill();
        Wire wire(server.port());
        EXPECT_TRUE(write_until_refused(wire).starts_with(read_only_reply));
        EXPECT_EQ(server.stop(), 0) << server.process().log();
    }
    free_room();
    Server again(data(), small_segments);
    ASSERT_TRUE(again.ready());
    EXPECT_EQ(again.start_field("keys"), std::to_string(written_.size()));
    expect_everything(again.port());
}

}  // namespace
}  // namespace kv::test
