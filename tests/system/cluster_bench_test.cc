/// kv-bench --cluster against three real nodes: it goes where the leaders are, follows when they
/// move, and says honestly what was lost when one dies.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/linearizability.h"
#include "tests/system/cluster.h"

namespace kv::test {
namespace {

using nlohmann::json;

constexpr std::size_t shards = 3;

/// Three nodes, each of which leads one of three shards.
class BenchOfCluster : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_TRUE(cluster_.start_all());
        const auto spread = [&] {
            for (std::size_t node = 0; node < cluster_.size(); ++node) {
                if (cluster_.info(node, "cluster")["cluster_shards_led"] != "1") return false;
            }
            return true;
        };
        ASSERT_TRUE(eventually(spread)) << cluster_.logs();
    }

    Args arguments(Args more) const {
        Args args{"--cluster", "-p", std::to_string(cluster_.port(0)), "--warmup", "0s", "--json"};
        args.insert(args.end(), more.begin(), more.end());
        return args;
    }
    /// Who leads what, and since when.
    std::vector<std::uint64_t> leaderships() const {
        std::vector<std::uint64_t> all;
        for (std::size_t shard = 0; shard < shards; ++shard) {
            all.push_back(cluster_.leader_of(shard, 0));
            all.push_back(cluster_.shard_field(0, shard, "term"));
        }
        return all;
    }

    Cluster cluster_{{.nodes = 3, .shards = shards}};
};

/// A load without end, of which every interval is shown.
class Load {
public:
    explicit Load(Args args)
        : program_(program("KV_BENCH"),
                   with(std::move(args), {"-d", "1000s", "--interval", "50ms", "--progress"})) {}

    /// Until requests were answered in an interval that begins now.
    void wait_for_replies() {
        const std::size_t before = lines();
        EXPECT_TRUE(eventually([&] { return lines() >= before + 2; })) << program_.log();
    }
    /// Ends it, and returns its report.
    json report() {
        program_.send_signal(SIGINT);
        exit_code_ = program_.wait();
        const json parsed = json::parse(program_.out(), nullptr, false);
        EXPECT_TRUE(parsed.is_object()) << program_.out() << program_.log();
        return parsed;
    }
    std::optional<int> exit_code() const noexcept { return exit_code_; }

private:
    static Args with(Args args, const Args& more) {
        args.insert(args.end(), more.begin(), more.end());
        return args;
    }
    /// Intervals that had replies.
    std::size_t lines() {
        const std::string log = program_.log();
        std::size_t count = 0;
        for (std::size_t at = 0; (at = log.find(" requests/s", at)) != std::string::npos; ++at) {
            const bool none = at >= 3 && log.compare(at - 3, 3, "  0") == 0;
            if (!none) ++count;
        }
        return count;
    }

    RunningProgram program_;
    std::optional<int> exit_code_;
};

std::size_t count_of(const json& classes, const char* name) {
    return classes.value(name, std::size_t{0});
}

TEST_F(BenchOfCluster, EveryKeyGoesToItsLeaderAtOnce) {
    const Args loads[] = {
        {"--protocol", "binary", "--preload", "--workload", "get"},
        {"--protocol", "resp", "--mix", "get,set,del,incr", "--keys-dist", "zipf"},
        {"--protocol", "text", "--mix", "get,set", "--keys-dist", "sequential", "-P", "1"},
        {"--protocol", "resp", "--mix", "get,set", "--rate", "20000", "--threads", "2"},
    };
    for (const Args& load : loads) {
        const std::vector<std::uint64_t> before = leaderships();
        Args args = arguments(load);
        const Args all{"-n", "5000", "--keys", "2000", "-c", "9"};
        args.insert(args.end(), all.begin(), all.end());
        const Outcome got = run_program(program("KV_BENCH"), args);
        EXPECT_EQ(got.exit_code, 0) << got.err << got.out;
        const json result = json::parse(got.out);
        EXPECT_EQ(result["requests"], 5000);
        EXPECT_EQ(result["errors"], 0) << got.out;
        EXPECT_EQ(result["longest_gaps_ms"].size(), shards);
        for (const json& gap : result["longest_gaps_ms"]) EXPECT_GT(gap, 0) << "it had requests";
        // An election meanwhile may have any reason on a busy machine.
        if (leaderships() == before) {
            EXPECT_EQ(result["retried"], 0) << got.out;
            EXPECT_EQ(result["map_refreshes"], 0) << got.out;
        }
        if (load[2] == "--preload") {
            EXPECT_EQ(result["not_found"], 0) << "every key was written";
        }
    }
}

TEST_F(BenchOfCluster, FollowsAShardThatMoves) {
    for (const char* protocol : {"binary", "resp", "text"}) {
        Load load(arguments({"--protocol", protocol, "--mix", "get,set", "-c", "9", "-P", "4"}));
        load.wait_for_replies();
        // Who is asked may have handed over just now, or be about to: shards go home by themselves.
        std::size_t to = 0;
        const auto is_moved = [&] {
            const std::size_t from = cluster_.leader_of(0, 0);
            if (from >= cluster_.size()) return false;
            to = (from + 1) % cluster_.size();
            Wire leader(cluster_.port(from));
            return leader.ask(fmt::format("CLUSTER TRANSFER 0 {}\r\n", to + 1), "\r\n") ==
                   "+OK\r\n";
        };
        ASSERT_TRUE(eventually(is_moved)) << cluster_.logs();
        EXPECT_TRUE(eventually([&] { return cluster_.leader_of(0, to) == to; }));
        load.wait_for_replies();
        const json report = load.report();
        EXPECT_EQ(load.exit_code(), 0) << report;
        EXPECT_EQ(report["errors"], 0) << report;
        const json& classes = report["retried_by_class"];
        EXPECT_GE(count_of(classes, "redirected") + count_of(classes, "no leader"), 1) << report;
        EXPECT_GE(report["map_refreshes"], 1) << report;
    }
}

TEST_F(BenchOfCluster, GoesOnWithoutANodeAndKnowsWhatItLost) {
    const TemporaryDirectory directory;
    const std::string path = directory / "history.txt";
    const std::size_t shard = 1;
    const std::size_t victim = cluster_.leader_of(shard, 0);
    ASSERT_LT(victim, cluster_.size());
    const std::size_t other = (victim + 1) % cluster_.size();
    Args args = arguments({"--protocol", "resp", "--mix", "get=2,set=2,del=1,incr=1", "--keys",
                           "50", "-c", "12", "-P", "4", "--record", path});
    args[2] = std::to_string(cluster_.port(other));
    Load load(args);
    load.wait_for_replies();
    cluster_.kill(victim);
    load.wait_for_replies();  // of the others
    EXPECT_TRUE(cluster_.wait_for_leaders());
    load.wait_for_replies();
    const json report = load.report();
    EXPECT_EQ(load.exit_code(), 1) << report;
    const json& errors = report["errors_by_class"];
    EXPECT_GE(count_of(errors, "unknown outcome"), 1) << report;
    EXPECT_EQ(report["errors"], errors["unknown outcome"]) << "nothing else is lost: " << report;
    EXPECT_GE(count_of(report["retried_by_class"], "connection lost"), 1) << report;
    // Nobody asks for votes before an election timeout, which is 300 ms, has passed.
    EXPECT_GE(report["longest_gaps_ms"][shard], 150) << report;

    std::ifstream in(path);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto history = History::parse(text);
    ASSERT_TRUE(history) << history.error().text();
    std::map<Known, std::size_t> outcomes;
    for (const Operation& op : history->operations()) ++outcomes[op.known];
    EXPECT_GE(outcomes[Known::unknown], report["errors"]);
    const CheckReport checked = check(*history);
    EXPECT_TRUE(checked.good()) << checked.drawing;
}

TEST_F(BenchOfCluster, ThreadsNeedAConnectionToEachNode) {
    const Outcome got =
        run_program(program("KV_BENCH"), arguments({"-c", "5", "--threads", "2", "-n", "10"}));
    EXPECT_EQ(got.exit_code, 3);
    EXPECT_TRUE(contains(got.err, "3 nodes need at least 6")) << got.err;
}

}  // namespace
}  // namespace kv::test
