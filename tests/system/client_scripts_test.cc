/// Clients that people have, each with a script of tests/clients: against Redis, which shows that
/// the script is right, and against this server.

#include <gtest/gtest.h>

#include <filesystem>

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
    namespace fs = std::filesystem;
    const std::string folder = directory_.path() + "/ioredis";
    fs::create_directory(folder);
    for (const char* file : {"package.json", "package-lock.json", "client.js"}) {
        fs::copy_file(source("tests/clients/ioredis/") + file, folder + "/" + file);
    }
    RunningProgram npm("npm", {"ci", "--no-audit", "--no-fund", "--ignore-scripts"},
                       {.directory = folder});
    ASSERT_EQ(npm.wait(script_patience), 0)
        << "npm could not install ioredis, so it was not tested. Is npm there, and can it reach "
           "its registry?\n"
        << npm.out() << npm.log();
    run("node", {"client.js"}, folder);
}

/// Also generates requests that no client sends: tests/differential/differential.py.
TEST_F(ClientScripts, RedisAnswersTheSame) {
    // One seed, the same every time; by hand the script draws another for each run.
    Args args{source("tests/differential/differential.py"),
              "--redis",
              redis_.port_text(),
              "--ours",
              ours_.port_text(),
              "--seed",
              "3970930987"};
    // The commands of a sanitized server are slow, and a tenth of them finds the same overruns.
    if (sanitized()) args.insert(args.end(), {"--commands", "10000"});
    RunningProgram differential("/usr/bin/python3", args);
    EXPECT_EQ(differential.wait(script_patience), 0) << differential.out() << differential.log();
    std::fputs(differential.out().c_str(), stdout);
}

}  // namespace
}  // namespace kv::test
