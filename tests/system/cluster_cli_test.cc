/// kv-cli and a cluster of real processes.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "tests/system/cluster.h"

namespace kv::test {
namespace {

Outcome cli(const Cluster& cluster, std::size_t node, Args args) {
    args.insert(args.begin(), {"--port", std::to_string(cluster.port(node))});
    return run_program(program("KV_CLI"), args);
}

std::string node_list(const Cluster& cluster) {
    std::string list;
    for (const std::uint16_t port : cluster.client_ports()) {
        list += fmt::format("{}127.0.0.1:{}", list.empty() ? "" : ",", port);
    }
    return list;
}

/// Kills the node, and waits for the others to lead in its place and for its port to be closed: the
/// kernel takes connections for a moment after the end of a process that used io_uring, and resets
/// them, so that what is sent there is unknown with good reason.
bool kill_and_replace(Cluster& cluster, std::size_t node) {
    cluster.kill(node);
    const bool closed = eventually([&] { return !Wire(cluster.port(node)).connected(); });
    return closed && cluster.wait_for_leaders();
}

nlohmann::json status_of(const Cluster& cluster, int exit_code) {
    const Outcome got = run_program(program("KV_CLI"),
                                    {"--node", node_list(cluster), "--json", "cluster", "status"});
    EXPECT_EQ(got.exit_code, exit_code) << got.out << got.err;
    return nlohmann::json::parse(got.out, nullptr, false);
}

/// A kv-cli whose standard input the test holds.
class Conversation {
public:
    explicit Conversation(const Args& args) {
        std::array<int, 2> ends{};
        EXPECT_EQ(pipe(ends.data()), 0);
        RunningProgram::Setting setting;
        setting.in_child = [ends] {
            dup2(ends[0], STDIN_FILENO);
            close(ends[0]);
            close(ends[1]);
        };
        program_.emplace(program("KV_CLI"), args, setting);
        close(ends[0]);
        input_ = ends[1];
    }
    ~Conversation() { end(); }

    /// Types `lines`; all that was printed so far is to become what is expected.
    bool say(std::string_view lines, std::string_view expected) {
        expected_ += expected;
        EXPECT_EQ(write(input_, lines.data(), lines.size()), std::ssize(lines));
        return eventually([&] { return program_->out().size() >= expected_.size(); });
    }
    const std::string& expected() const noexcept { return expected_; }
    RunningProgram& process() noexcept { return *program_; }
    std::optional<int> end() {
        if (input_ >= 0) close(std::exchange(input_, -1));
        return program_->wait();
    }

private:
    std::optional<RunningProgram> program_;
    int input_ = -1;
    std::string expected_;
};

TEST(ClusterCli, WhatIsWrittenAtAnyNodeIsReadAtAnyOther) {
    Cluster cluster({.more = {"--set", "client.on_follower=redirect"}});
    ASSERT_TRUE(cluster.start_all());
    int redirects = 0;
    for (const std::string mode : {"--resp", "--binary", "--log-level=warn"}) {
        for (int i = 0; i < 12; ++i) {
            const auto node = static_cast<std::size_t>(i) % cluster.size();
            const std::string key = fmt::format("{}-{}", mode.substr(2), i);
            const Outcome set = cli(cluster, node, {mode, "SET", key, "value"});
            EXPECT_EQ(set.out, "OK\n") << set.err;
            EXPECT_EQ(set.exit_code, 0);
            const Outcome got = cli(cluster, (node + 1) % cluster.size(), {mode, "GET", key});
            EXPECT_EQ(got.out, mode == "--resp" ? "value\n" : "VALUE value\n") << got.err;
            const Outcome stayed = cli(cluster, node, {mode, "--no-follow", "GET", key});
            redirects += stayed.exit_code == 1 ? 1 : 0;
        }
    }
    EXPECT_GT(redirects, 0) << "no node had to be left: nothing was tested";
}

TEST(ClusterCli, APipeOfManyGoesToAllLeaders) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    std::string sets;
    std::string gets;
    std::string values;
    std::string oks;
    for (int i = 0; i < 1500; ++i) {
        sets += fmt::format("SET key-{} value-{}\n", i % 500, i);
        oks += "OK\n";
        if (i < 1000) continue;
        gets += fmt::format("GET key-{}\n", i % 500);
        values += fmt::format("VALUE value-{}\n", i);
    }
    const Args args{"--port", std::to_string(cluster.port(1))};
    const Outcome written = run_program(program("KV_CLI"), args, sets);
    EXPECT_EQ(written.out, oks) << written.err;
    EXPECT_EQ(written.exit_code, 0);
    EXPECT_EQ(run_program(program("KV_CLI"), args, gets).out, values);
}

TEST(ClusterCli, TheSameConversationGoesOnWhenALeaderIsKilled) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    const std::size_t victim = cluster.leader_of(0, 0);
    ASSERT_LT(victim, cluster.size());
    // It began with the node that dies, and learned of the others there.
    Conversation conversation({"--port", std::to_string(cluster.port(victim))});
    std::string sets;
    std::string gets;
    std::string oks;
    std::string values;
    for (int i = 0; i < 20; ++i) {
        sets += fmt::format("SET key-{} value\n", i);
        gets += fmt::format("GET key-{}\n", i);
        oks += "OK\n";
        values += "VALUE value\n";
    }
    ASSERT_TRUE(conversation.say(sets, oks));
    ASSERT_TRUE(kill_and_replace(cluster, victim));
    EXPECT_TRUE(conversation.say(gets + sets + "PING\n", values + oks + "PONG\n"));
    EXPECT_EQ(conversation.end(), 0) << conversation.process().log();
    EXPECT_EQ(conversation.process().out(), conversation.expected())
        << conversation.process().log();
}

TEST(ClusterCli, AFirstNodeThatIsDeadIsPassedOver) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    ASSERT_TRUE(kill_and_replace(cluster, 0));
    for (int i = 0; i < 8; ++i) {
        const Outcome got = run_program(program("KV_CLI"), {"--node", node_list(cluster), "SET",
                                                            fmt::format("key-{}", i), "value"});
        EXPECT_EQ(got.out, "OK\n") << got.err;
    }
    EXPECT_EQ(cli(cluster, 0, {"PING"}).exit_code, 3) << "nothing listens there";
}

TEST(ClusterCli, StatusIsWhatTheLeadersSay) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    const auto healthy = status_of(cluster, 0);
    EXPECT_EQ(healthy["serves"], true);
    ASSERT_EQ(healthy["nodes"].size(), 3u);
    ASSERT_EQ(healthy["shards"].size(), 4u);
    for (const auto& node : healthy["nodes"]) EXPECT_EQ(node["answers"], true) << node;
    for (const auto& shard : healthy["shards"]) {
        EXPECT_EQ(shard["confirmed"], true) << shard;
        EXPECT_EQ(shard["followers"].size(), 2u) << shard;
        EXPECT_EQ(shard["leader"], cluster.leader_of(shard["shard"], 0) + 1);
    }
    const Outcome shown = cli(cluster, 2, {"cluster", "status"});
    EXPECT_TRUE(contains(shown.out, fmt::format("127.0.0.1:{}  answers", cluster.port(0))));
    EXPECT_TRUE(contains(shown.out, "All 4 shards have a leader and a majority.")) << shown.out;

    ASSERT_TRUE(kill_and_replace(cluster, 0));
    const auto two = status_of(cluster, 0);
    EXPECT_EQ(two["nodes"][0]["answers"], false);
    EXPECT_EQ(two["nodes"][0]["leads"], 0);

    cluster.kill(1);
    const auto says_so = [&] {
        const Outcome got = cli(cluster, 2, {"cluster", "status"});
        return got.exit_code == 1 && contains(got.out, "NO LEADER: shards 0, 1, 2, 3");
    };
    EXPECT_TRUE(eventually(says_so)) << cluster.logs();
}

TEST(ClusterCli, TransferHasTheNodeLead) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    const std::size_t from = cluster.leader_of(2, 0);
    const std::size_t to = (from + 1) % cluster.size();
    const std::size_t third = (from + 2) % cluster.size();
    // Asked of a node that neither leads the shard nor is to.
    const Args transfer{"cluster", "transfer", "2", std::to_string(to + 1)};
    const Outcome got = cli(cluster, third, transfer);
    EXPECT_EQ(got.exit_code, 0) << got.err;
    EXPECT_TRUE(got.out.starts_with(fmt::format("Node {} leads shard 2 (slots ", to + 1)))
        << got.out;
    EXPECT_EQ(cluster.leader_of(2, to), to);
    EXPECT_TRUE(contains(cli(cluster, to, transfer).out, "already"));

    const struct {
        Args args;
        std::string_view said;
    } refused[] = {
        {{"cluster", "transfer", "4", "1"}, "there are shards 0 to 3"},
        {{"cluster", "transfer", "0", "9"}, "the cluster has no node 9"},
    };
    for (const auto& c : refused) {
        const Outcome outcome = cli(cluster, 0, c.args);
        EXPECT_EQ(outcome.exit_code, 1);
        EXPECT_TRUE(contains(outcome.err, c.said)) << outcome.err;
    }

    cluster.kill(from);
    const auto says_so = [&] {
        const Args back{"cluster", "transfer", "2", std::to_string(from + 1)};
        return contains(cli(cluster, to, back).err, "the other node does not answer");
    };
    EXPECT_TRUE(eventually(says_so)) << cluster.logs();
}

/// The words of the server in capitals stay the server's.
TEST(ClusterCli, CommandsOfTheServerGoToTheServer) {
    Cluster cluster({});
    ASSERT_TRUE(cluster.start_all());
    EXPECT_TRUE(contains(cli(cluster, 0, {"-r", "CLUSTER", "INFO"}).out, "cluster_state:ok"));
    const std::string leader = std::to_string(cluster.leader_of(1, 0) + 1);
    EXPECT_EQ(cli(cluster, cluster.leader_of(1, 0), {"-r", "CLUSTER", "TRANSFER", "1", leader}).out,
              "OK\n");
}

}  // namespace
}  // namespace kv::test
