/// Clients that people have, each with a script of tests/clients: against Redis, which shows that
/// the script is right, and against this server, alone and as a cluster of three.

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/system/cluster.h"
#include "tests/system/redis_server.h"
#include "tests/system/server.h"

namespace kv::test {
namespace {

constexpr std::chrono::seconds script_patience{120};

std::string source(const std::string& path) {
    return program("KV_SOURCE") + "/" + path;
}

void expect_success(const std::string& name, const Args& args, const std::string& directory = {}) {
    RunningProgram script(name, args, {.directory = directory});
    const std::optional<int> code = script.wait(script_patience);
    EXPECT_EQ(code, 0) << name << " " << args.front() << "\n" << script.out() << script.log();
}

/// Installs ioredis in `folder`, with its scripts.
void install_ioredis(const std::string& folder) {
    namespace fs = std::filesystem;
    fs::create_directory(folder);
    for (const char* file : {"package.json", "package-lock.json", "client.js", "cluster.js"}) {
        fs::copy_file(source("tests/clients/ioredis/") + file, folder + "/" + file);
    }
    RunningProgram npm("npm", {"ci", "--no-audit", "--no-fund", "--ignore-scripts"},
                       {.directory = folder});
    ASSERT_EQ(npm.wait(script_patience), 0)
        << "npm could not install ioredis, so it was not tested. Is npm there, and can it reach "
           "its registry?\n"
        << npm.out() << npm.log();
}

class ClientScripts : public testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(redis_.ready() && ours_.ready()); }
    void TearDown() override { EXPECT_EQ(ours_.stop(), 0) << ours_.process().log(); }

    void run(const std::string& name, Args args, const std::string& directory = {}) {
        for (const std::string& port : {redis_.port_text(), ours_.port_text()}) {
            SCOPED_TRACE(port == ours_.port_text() ? "this server" : "Redis");
            Args all = args;
            all.push_back(port);
            expect_success(name, all, directory);
        }
    }
    /// Python of the system: it has the packages of Debian.
    void run_python(const std::string& script) {
        run("/usr/bin/python3", {source("tests/clients/" + script)});
    }

    TemporaryDirectory directory_;
    RedisServer redis_;
    Server ours_{directory_.path() + "/data"};
};

TEST_F(ClientScripts, RedisCli) {
    run_python("redis_cli.py");
}

TEST_F(ClientScripts, RedisBenchmark) {
    run_python("redis_benchmark.py");
}

TEST_F(ClientScripts, PythonRedis) {
    run_python("python_redis.py");
}

TEST_F(ClientScripts, Hiredis) {
    const char* const path = std::getenv("KV_HIREDIS_CLIENT");
    ASSERT_NE(path, nullptr) << "built without hiredis: install libhiredis-dev";
    run(path, {});
}

TEST_F(ClientScripts, Ioredis) {
    const std::string folder = directory_.path() + "/ioredis";
    ASSERT_NO_FATAL_FAILURE(install_ioredis(folder));
    run("node", {"client.js"}, folder);
}

/// Also generates requests that no client sends: tests/differential/differential.py.
void expect_same_answers(const std::string& ours, const std::string& redis, Args args) {
    // One seed, the same every time; by hand the script draws another for each run.
    args.insert(args.begin(), {source("tests/differential/differential.py"), "--ours", ours,
                               "--redis", redis, "--seed", "3970930987"});
    // The commands of a sanitized server are slow, and a tenth of them finds the same overruns.
    if (sanitized()) args.insert(args.end(), {"--commands", "10000"});
    RunningProgram differential("/usr/bin/python3", args);
    EXPECT_EQ(differential.wait(script_patience), 0) << differential.out() << differential.log();
    std::fputs(differential.out().c_str(), stdout);
}

TEST_F(ClientScripts, RedisAnswersTheSame) {
    expect_same_answers(ours_.port_text(), redis_.port_text(), {});
}

// --- three nodes ---------------------------------------------------------------------------------

/// Whether a node asks the leader in the place of clients that have not asked where shards are, or
/// tells them where to go, as nodes of Redis do.
class ClusterScripts : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override { ASSERT_TRUE(cluster_.start_all()); }

    /// The ports of all nodes.
    Args ports() const {
        Args out;
        for (const std::uint16_t port : cluster_.client_ports()) {
            out.push_back(std::to_string(port));
        }
        return out;
    }
    /// Then the last node is killed by the script.
    Args ports_and_victim() {
        Args out = ports();
        out.push_back(std::to_string(cluster_.port(2)));
        out.push_back(std::to_string(cluster_.at(2).process().pid()));
        return out;
    }
    void run_python(const std::string& script, Args args) {
        args.insert(args.begin(), source("tests/clients/" + script));
        expect_success("/usr/bin/python3", args);
    }

    TemporaryDirectory directory_;
    Cluster cluster_{
        {.shards = 16, .more = {"--set", std::string("client.on_follower=") + GetParam()}}};
};
INSTANTIATE_TEST_SUITE_P(OnFollower, ClusterScripts, testing::Values("auto", "redirect"),
                         [](const auto& name) { return name.param; });

TEST_P(ClusterScripts, RedisCliAndBenchmark) {
    run_python("cluster_tools.py", ports());
}

TEST_P(ClusterScripts, PythonRedisLivesThroughATransferAndALoss) {
    run_python("python_cluster.py", ports_and_victim());
}

TEST_P(ClusterScripts, IoredisLivesThroughATransferAndALoss) {
    const std::string folder = directory_.path() + "/ioredis";
    ASSERT_NO_FATAL_FAILURE(install_ioredis(folder));
    Args args = ports_and_victim();
    args.insert(args.begin(), "cluster.js");
    expect_success("node", args, folder);
}

/// The scripts for a server that is alone, with a node that has to ask others.
TEST(ClusterClients, PlainClientsNeedNotKnowThatTheirNodeFollows) {
    TemporaryDirectory directory;
    Cluster cluster({.more = {"--set", "cluster.leaders=together"}});
    ASSERT_TRUE(cluster.start_all());
    std::size_t follower = 1;
    while (follower + 1 < cluster.size() && cluster.leader_of(0, 0) == follower) ++follower;
    const std::string port = cluster.at(follower).port_text();
    expect_success("/usr/bin/python3", {source("tests/clients/python_redis.py"), port});
    const char* const hiredis = std::getenv("KV_HIREDIS_CLIENT");
    ASSERT_NE(hiredis, nullptr) << "built without hiredis: install libhiredis-dev";
    expect_success(hiredis, {port, "cluster"});
    const std::string folder = directory.path() + "/ioredis";
    ASSERT_NO_FATAL_FAILURE(install_ioredis(folder));
    expect_success("node", {"client.js", port}, folder);
}

/// A node that leads all shards, and a Redis that has all slots, to a client that knows where they
/// are. Leaders stay as long as the script takes, on however busy a machine.
TEST(ClusterClients, RedisClusterAnswersTheSame) {
    RedisServer redis(true);
    Cluster cluster({.more = {"--set", "client.on_follower=redirect", "--set",
                              "cluster.leaders=together", "--set", "raft.election_timeout=2s"}});
    ASSERT_TRUE(redis.ready() && cluster.start_all());
    // The first node is the one that is to lead them.
    const auto leads_all = [&] { return cluster.info(0, "cluster")["cluster_shards_led"] == "4"; };
    ASSERT_TRUE(eventually(leads_all)) << cluster.logs();
    expect_same_answers(cluster.at(0).port_text(), redis.port_text(),
                        {"--cluster", "--commands", "30000"});
}

}  // namespace
}  // namespace kv::test
