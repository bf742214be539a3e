/// scripts/run_cluster.sh with the files of conf/, on ports and in directories of the test.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/system/cluster.h"

namespace kv::test {
namespace {

namespace fs = std::filesystem;

void replace_all(std::string& text, const std::string& old, const std::string& with) {
    for (std::size_t at = 0; (at = text.find(old, at)) != text.npos; at += with.size()) {
        text.replace(at, old.size(), with);
    }
}

class RunCluster : public testing::Test {
protected:
    static constexpr std::size_t nodes = 3;

    void SetUp() override {
        for (std::size_t file = 1; file <= nodes; ++file) {
            const std::string name = fmt::format("node{}.toml", file);
            std::ostringstream read;
            read << std::ifstream(program("KV_SOURCE") + "/conf/" + name).rdbuf();
            std::string text = read.str();
            for (std::size_t i = 0; i < nodes; ++i) {
                replace_all(text, fmt::format("port = {}\n", 6379 + i),
                            fmt::format("port = {}\n", cluster.port(i)));
                replace_all(text, fmt::format("port = {}\n", 7001 + i),
                            fmt::format("port = {}\n", cluster.peer_port(i)));
                replace_all(text, fmt::format("port = {}\n", 9379 + i),
                            fmt::format("port = {}\n", cluster.admin_port(i)));
            }
            replace_all(text, "./data/", directory / "data/");
            std::ofstream(directory / name) << text;
        }
    }

    std::unique_ptr<RunningProgram> run() {
        const Args args{"CONF_DIR=" + directory.path(), "LOG_LEVEL=debug",
                        program("KV_SOURCE") + "/scripts/run_cluster.sh"};
        const RunningProgram::Setting own_group{.directory = {}, .in_child = [] { setpgid(0, 0); }};
        return std::make_unique<RunningProgram>("env", args, own_group);
    }
    bool serves(RunningProgram& script) const {
        return eventually([&] { return contains(script.out(), "The cluster serves:"); });
    }
    pid_t pid(std::size_t node) const {
        const std::string text = cluster.info(node, "server")["process_id"];
        pid_t value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);
        return value;
    }
    bool is_there(std::size_t node) const {
        return Wire(cluster.admin_port(node)).connected() || Wire(cluster.port(node)).connected();
    }
    std::string ask(std::size_t node, const std::string& request) const {
        Wire wire(cluster.port(node));
        std::string reply = wire.ask(request + "\r\n");
        if (reply.starts_with('$') && reply != "$-1\r\n") reply = wire.receive_until("\n");
        return reply;
    }

    const TemporaryDirectory directory;
    const Cluster cluster{{.nodes = nodes, .admin = true}};  ///< its ports alone
};

TEST_F(RunCluster, TheOthersGoOnWhenOneIsKilledAndItComesBackWithTheCommandThatIsPrinted) {
    auto script = run();
    ASSERT_TRUE(serves(*script)) << script->log();
    EXPECT_TRUE(contains(script->log(), "level=debug"));
    ASSERT_EQ(ask(0, "SET greeting hello"), "+OK\r\n");
    for (std::size_t node = 0; node < nodes; ++node)
        EXPECT_EQ(ask(node, "GET greeting"), "hello\r\n");

    const pid_t victim = pid(1);
    ASSERT_GT(victim, 0);
    EXPECT_TRUE(contains(script->out(), fmt::format("kill -9 {}\n", victim)));
    kill(victim, SIGKILL);
    ASSERT_NE(script->wait_for_log("*** Node 2 ended with exit code 137."), "");
    for (const std::size_t node : {0u, 2u}) {
        // Keys of all shards, those of the dead leader among them.
        for (int key = 0; key < 100; ++key) {
            const std::string request = fmt::format("SET key{} {}", key, node);
            EXPECT_TRUE(eventually([&] { return ask(node, request) == "+OK\r\n"; })) << request;
        }
    }

    const std::string again = script->wait_for_log("***     ");
    ASSERT_NE(again, "");
    RunningProgram second("sh", {"-c", "exec " + again.substr(again.find(program("KV_SERVER")))},
                          {.directory = program("KV_SOURCE")});
    ASSERT_NE(second.wait_for_log("msg=ready"), "") << second.log();
    EXPECT_TRUE(eventually([&] { return ask(1, "GET key99") == "2\r\n"; }));

    kill(-script->pid(), SIGINT);  // as Ctrl+C does: to all of the group
    EXPECT_EQ(script->wait(), 0) << script->log();
    EXPECT_FALSE(contains(script->log(), "stopping at once"));
    EXPECT_FALSE(is_there(0));
    EXPECT_FALSE(is_there(2));
    EXPECT_TRUE(second.runs()) << "the script ends what it has started, and nothing else";
    second.send_signal(SIGTERM);
    EXPECT_EQ(second.wait(), 0) << second.log();

    script = run();
    ASSERT_TRUE(serves(*script)) << script->log();
    EXPECT_EQ(ask(2, "GET greeting"), "hello\r\n");
    script->send_signal(SIGTERM);
    EXPECT_EQ(script->wait(), 0) << script->log();
}

TEST_F(RunCluster, APortThatIsTakenEndsAllOfItAndIsNamed) {
    Server other(directory / "other",
                 {"--set", fmt::format("admin.port={}", cluster.admin_port(1))});
    ASSERT_TRUE(other.ready());
    auto script = run();
    EXPECT_EQ(script->wait(), 1) << script->log();
    const std::string port =
        fmt::format("127.0.0.1:{}: Address already in use", cluster.admin_port(1));
    EXPECT_TRUE(contains(script->log(), port)) << script->log();
    EXPECT_TRUE(contains(script->log(), "admin.port)")) << script->log();
    EXPECT_TRUE(contains(script->log(), "*** Node 2 ended with exit code 1."));
    EXPECT_FALSE(contains(script->out(), "The cluster serves:"));
    EXPECT_FALSE(is_there(0));
    EXPECT_FALSE(is_there(2));
    EXPECT_EQ(other.stop(), 0);
}

TEST_F(RunCluster, ASecondOneSaysThatItRunsAlready) {
    auto script = run();
    ASSERT_TRUE(serves(*script)) << script->log();
    auto second = run();
    EXPECT_EQ(second->wait(), 1) << second->log();
    EXPECT_TRUE(contains(second->log(), "A cluster runs already")) << second->log();
    EXPECT_FALSE(contains(second->out(), "The cluster serves:"));
    EXPECT_EQ(ask(0, "SET greeting hello"), "+OK\r\n");
    script->send_signal(SIGTERM);
    EXPECT_EQ(script->wait(), 0) << script->log();
}

TEST_F(RunCluster, NoNodeOutlivesIt) {
    auto script = run();
    ASSERT_TRUE(serves(*script)) << script->log();
    script->send_signal(SIGKILL);
    EXPECT_EQ(script->wait(), 128 + SIGKILL);
    for (std::size_t node = 0; node < nodes; ++node) {
        EXPECT_TRUE(eventually([&] { return !is_there(node); })) << node;
    }
}

}  // namespace
}  // namespace kv::test
