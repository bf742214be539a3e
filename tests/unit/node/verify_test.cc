/// verify_directory: everything that is damaged is found, and nothing is changed.

#include "engine/node/verify.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "proto/base/prng.h"
#include "tests/support/sim_server.h"

namespace kv {
namespace {

const std::string data = "kv/data";

struct Verified {
    std::optional<Result<VerifyReport>> report;
    std::string lines;
};

io::Task<void> run(io::Reactor& reactor, Verified& out) {
    VerifyOutput print = [&out](std::string_view line) {
        out.lines.append(line);
        out.lines.push_back('\n');
    };
    Result<VerifyReport> report = co_await verify_directory(reactor, data, std::move(print));
    out.report = std::move(report);
}

Verified verify(SimServer& server) {
    io::SimProcess process(server.world, SimServer::server_node);
    Verified out;
    EXPECT_TRUE(process.run(run(process.reactor(), out)));
    return out;
}

std::map<std::string, std::string> content_of(SimServer& server) {
    std::map<std::string, std::string> content;
    for (const std::string& path : server.disk().paths()) {
        if (const auto text = server.disk().visible(path)) content[path] = *text;
    }
    return content;
}

/// Two logs, and snapshots of all shards.
void fill(SimServer& server) {
    ASSERT_TRUE(server.start().has_value());
    for (int i = 0; i < 120; ++i) {
        server.expect(fmt::format("SET key{} {}\n", i, std::string(300, 'v')), "OK\n");
    }
    server.world.run_for(2s);
}

Config config_with_snapshots() {
    Config config = small_config();
    config.snapshot.interval_entries = 20;
    return config;
}

TEST(Verify, CountsWhatIsThereAndChangesNothing) {
    for (const bool clean : {true, false}) {
        SimServer server(1, config_with_snapshots(), {}, 2);
        fill(server);
        if (clean) {
            server.stop();
        } else {
            server.crash(io::Crash::power_subset_torn);
        }
        const auto before = content_of(server);
        const Verified verified = verify(server);
        ASSERT_TRUE(verified.report->has_value()) << verified.report->error().text();
        const VerifyReport& report = **verified.report;
        EXPECT_EQ(report.failures, 0u) << verified.lines;
        EXPECT_EQ(report.logs, 2u);
        EXPECT_EQ(report.snapshots, 4u) << verified.lines;
        EXPECT_GT(report.keys, 40u);
        EXPECT_GT(report.entries, 20u);
        EXPECT_EQ(verified.lines.find("stopped cleanly") != std::string::npos, clean);
        EXPECT_TRUE(before == content_of(server));
    }
}

TEST(Verify, FindsEveryFlippedBitOfASnapshotAndOfTheIdentity) {
    SimServer server(2, config_with_snapshots(), {}, 2);
    fill(server);
    server.stop();
    Prng prng(2);
    std::vector<std::string> files;
    for (const std::string& path : server.disk().paths()) {
        if (path.ends_with(".snap")) files.push_back(path);
    }
    ASSERT_EQ(files.size(), 4u);
    for (std::uint64_t i = 0; i < scaled(200); ++i) {
        const std::string& path = files[prng.below(files.size())];
        const std::uint64_t bit = prng.below(8 * server.disk().visible(path)->size());
        SCOPED_TRACE(fmt::format("bit {} of {}", bit, path));
        server.disk().flip_bit(path, bit);
        const Verified verified = verify(server);
        ASSERT_TRUE(verified.report->has_value());
        const VerifyReport& report = **verified.report;
        ASSERT_EQ(report.failures, 1u) << verified.lines;
        EXPECT_NE(verified.lines.find(path), std::string::npos) << verified.lines;
        server.disk().flip_bit(path, bit);
    }
    EXPECT_EQ((*verify(server).report)->failures, 0u);
    server.disk().flip_bit(data + "/identity", 1000);
    EXPECT_EQ(verify(server).report->error().code, Errc::damaged);
}

TEST(Verify, FindsDamageInALogAndASnapshotThatIsMissing) {
    SimServer server(3, config_with_snapshots(), {}, 2);
    fill(server);
    server.stop();
    std::size_t logs = 0;
    for (const std::string& path : server.disk().paths()) {
        if (!path.ends_with(".wal")) continue;
        // Each log of this test is one segment; the others are spares, which nobody reads.
        server.disk().flip_bit(path, 8 * (4096 + 100));
        const Verified verified = verify(server);
        const VerifyReport& report = **verified.report;
        if (report.failures != 0) {
            ++logs;
            EXPECT_EQ(report.first_failure->code, Errc::damaged);
            EXPECT_NE(verified.lines.find(path + " is damaged at offset 4096"), std::string::npos)
                << verified.lines;
        }
        server.disk().flip_bit(path, 8 * (4096 + 100));
    }
    EXPECT_GE(logs, 2u);
    for (const std::string& path : server.disk().paths()) {
        if (!path.ends_with(".snap")) continue;
        server.disk().remove(path);
        break;
    }
    const Verified verified = verify(server);
    EXPECT_EQ((*verified.report)->failures, 1u) << verified.lines;
    EXPECT_EQ((*verified.report)->first_failure->code, Errc::damaged);
}

TEST(Verify, ADirectoryThatIsNoneIsRefused) {
    SimServer server(4, small_config(), {}, 2);
    EXPECT_EQ(verify(server).report->error().code, Errc::not_found);
}

}  // namespace
}  // namespace kv
