/// kv-bench against the real server.

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/linearizability.h"
#include "tests/system/server.h"

namespace kv::test {
namespace {

using nlohmann::json;

History history_of(const std::string& path) {
    std::ifstream in(path);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    auto history = History::parse(text);
    EXPECT_TRUE(history) << history.error().text();
    return history ? *std::move(history) : History();
}

class BenchOfServer : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, BenchOfServer, testing::Values("binary", "resp", "text"),
                         [](const auto& each) { return std::string(each.param); });

TEST_P(BenchOfServer, EveryKindOfLoadIsAnswered) {
    const TemporaryDirectory directory;
    Server server(directory / "data");
    ASSERT_TRUE(server.ready());
    const Args loads[] = {{"--preload", "--workload", "get"},
                          {"--mix", "get=2,set=2,del=1", "--keys-dist", "zipf"},
                          {"--value-bytes", "1-5000", "--keys-dist", "sequential"},
                          {"--rate", "20000", "--mix", "get,set", "--threads", "2"}};
    for (const Args& load : loads) {
        Args args{"-p",   server.port_text(), "--protocol", GetParam(), "-n", "5000",  "--keys",
                  "1000", "--warmup",         "0s",         "-c",       "10", "--json"};
        args.insert(args.end(), load.begin(), load.end());
        const Outcome got = run_program(program("KV_BENCH"), args);
        EXPECT_EQ(got.exit_code, 0) << got.err;
        const json result = json::parse(got.out);
        EXPECT_EQ(result["requests"], 5000);
        EXPECT_EQ(result["errors"], 0) << got.out;
        if (load.front() == "--preload") {
            EXPECT_EQ(result["not_found"], 0);
        }
    }
    EXPECT_EQ(server.stop(), 0) << server.process().log();
}

TEST(BenchRecord, GoesOnWhenTheServerIsKilledAndStartedAgain) {
    const TemporaryDirectory directory;
    const std::string history = directory / "history.txt";
    std::string port;
    {
        Server first(directory / "data");
        ASSERT_TRUE(first.ready());
        port = first.port_text();
        RunningProgram bench(program("KV_BENCH"), {"-p",
                                                   port,
                                                   "--protocol",
                                                   "resp",
                                                   "-d",
                                                   "1000s",
                                                   "--warmup",
                                                   "0s",
                                                   "--interval",
                                                   "50ms",
                                                   "--progress",
                                                   "--mix",
                                                   "get=2,set=2,del=1,incr=1",
                                                   "--keys",
                                                   "20",
                                                   "-c",
                                                   "5",
                                                   "-P",
                                                   "2",
                                                   "--record",
                                                   history});
        EXPECT_NE(bench.wait_for_log("requests/s"), "");
        first.kill();
        EXPECT_NE(bench.wait_for_log("s  0 requests/s"), "");
        Server second(directory / "data", {"--set", "client.port=" + port});
        ASSERT_TRUE(second.ready());
        // Served again: an interval with replies comes behind those without.
        Wire wire(second.port());
        const auto is_served = [&] {
            return wire.ask("GET key:000000000003\n").starts_with("VALUE ");
        };
        for (int i = 0; i < 1000 && !is_served(); ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        bench.send_signal(SIGINT);
        EXPECT_EQ(bench.wait(), 1);
        EXPECT_TRUE(contains(bench.out(), "connection lost")) << bench.out();
        EXPECT_EQ(second.stop(), 0);
    }
    const History recorded = history_of(history);
    std::map<Known, std::size_t> outcomes;
    for (const Operation& op : recorded.operations()) ++outcomes[op.known];
    EXPECT_GT(outcomes[Known::ok], 0);
    EXPECT_GE(outcomes[Known::unknown], 1) << "what was in flight when the server died";
    const CheckReport report = check(recorded);
    EXPECT_TRUE(report.good()) << report.drawing;
    EXPECT_EQ(report.operations, recorded.operations().size());
}

}  // namespace
}  // namespace kv::test
