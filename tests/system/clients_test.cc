/// The clients that people have: what they send, and that they are content.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/system/server.h"
#include "tests/system/session.h"

namespace kv::test {
namespace {

class Clients : public testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(server_.ready()); }
    void TearDown() override { EXPECT_EQ(server_.stop(), 0) << server_.process().log(); }

    /// Runs a program of Debian's redis-tools, which the path has.
    Outcome redis(const std::string& name, const Args& args) {
        Args all{"-h", "127.0.0.1", "-p", server_.port_text()};
        all.insert(all.end(), args.begin(), args.end());
        RunningProgram running(name, all);
        Outcome outcome;
        outcome.exit_code = running.wait().value_or(-1);
        outcome.out = running.out();
        outcome.err = running.log();
        EXPECT_NE(outcome.exit_code, 127) << name << " is missing: install redis-tools";
        return outcome;
    }
    Outcome cli(Args args, std::string_view input = {}) {
        args.insert(args.begin(), {"--port", server_.port_text()});
        return run_program(program("KV_CLI"), args, input);
    }

    TemporaryDirectory directory_;
    Server server_{directory_.path()};
};

/// What `printf ... | nc` shows: every reply of the text protocol.
TEST_F(Clients, ATextSessionIsByteExact) {
    const struct {
        std::string_view sent;
        std::string_view answered;
    } session[] = {
        {"PING\n", "PONG\n"},
        {"KEYS\n", "KEYS\n"},
        {"SET greeting hello wide world\n", "OK\n"},
        {"GET greeting\n", "VALUE hello wide world\n"},
        {"GET absent\n", "NOT_FOUND\n"},
        {"SET another one\r\n", "OK\n"},
        {"SET greeting  two  spaces \n", "OK\n"},
        {"GET greeting\n", "VALUE  two  spaces \n"},
        {"KEYS\n", "KEYS another greeting\n"},
        {"DEL another\n", "DELETED\n"},
        {"DEL another\n", "NOT_FOUND\n"},
        {"SET\n", "ERROR SET requires a key and a value\n"},
        {"SET k\n", "ERROR SET requires a value\n"},
        {"GET\n", "ERROR GET requires a key\n"},
        {"GET a b\n", "ERROR GET takes exactly one argument\n"},
        {"DEL\n", "ERROR DEL requires a key\n"},
        {"KEYS all\n", "ERROR KEYS takes no arguments\n"},
        {"PING x\n", "ERROR PING takes no arguments\n"},
        {"\n", "ERROR empty command\n"},
        {"set k v\n", "ERROR unknown command: set\n"},
        {"ADDSERVER 2 127.0.0.1 7002 6380\n", "ERROR ADDSERVER not available in standalone mode\n"},
        {"REMOVESERVER 2\n", "ERROR REMOVESERVER not available in standalone mode\n"},
    };
    // One by one, and then all at once: the bytes are the same.
    std::string all_sent = "DEL greeting\n";
    std::string all_answered = "DELETED\n";
    Wire wire(server_.port());
    for (const auto& step : session) {
        EXPECT_EQ(wire.ask(step.sent), step.answered) << step.sent;
        all_sent += step.sent;
        all_answered += step.answered;
    }
    Wire piped(server_.port());
    ASSERT_TRUE(piped.send(all_sent));
    piped.end_sending();
    EXPECT_EQ(piped.receive_all(), all_answered);
}

TEST_F(Clients, RedisCliWorks) {
    const struct {
        Args args;
        std::string printed;
    } cases[] = {
        {{"PING"}, "PONG\n"},
        {{"SET", "k", "v w"}, "OK\n"},
        {{"GET", "k"}, "v w\n"},
        {{"GET", "absent"}, "\n"},
        {{"MSET", "a", "1", "b", "2"}, "OK\n"},
        {{"MGET", "a", "b", "c"}, "1\n2\n\n"},
        {{"EXISTS", "a", "b", "c"}, "2\n"},
        {{"DBSIZE"}, "3\n"},
        {{"DEL", "a", "b", "c"}, "2\n"},
        {{"KEYS", "*"}, "k\n"},
        {{"ECHO", "hi"}, "hi\n"},
        {{"SELECT", "0"}, "OK\n"},
        {{"--no-raw", "GET", "k"}, "\"v w\"\n"},
        {{"FLUSHALL"}, "OK\n"},
        {{"DBSIZE"}, "0\n"},
    };
    for (const auto& c : cases) {
        const Outcome got = redis("redis-cli", c.args);
        EXPECT_EQ(got.exit_code, 0) << c.args[0] << got.err;
        EXPECT_EQ(got.out, c.printed) << c.args[0];
    }
    EXPECT_TRUE(contains(redis("redis-cli", {"INFO", "server"}).out, "redis_version:"));
    EXPECT_EQ(redis("redis-cli", {"-e", "NONSENSE"}).exit_code, 1);
}

TEST_F(Clients, RedisBenchmarkWorks) {
    for (const char* pipeline : {"1", "16"}) {
        const Outcome got =
            redis("redis-benchmark", {"-t", "ping_inline,ping_mbulk,set,get,mset", "-n", "5000",
                                      "-r", "1000", "-P", pipeline, "-q"});
        EXPECT_EQ(got.exit_code, 0) << got.out << got.err;
        for (const char* name : {"PING_INLINE: ", "PING_MBULK: ", "SET: ", "GET: ", "MSET (10 "}) {
            EXPECT_TRUE(contains(got.out, name)) << got.out;
        }
        EXPECT_FALSE(contains(got.out + got.err, "WARNING")) << got.out << got.err;
        EXPECT_FALSE(contains(got.out + got.err, "Error")) << got.out << got.err;
    }
}

TEST_F(Clients, KvCliWorksInAllProtocols) {
    const std::string commands = "PING\nSET k some value\nGET k\nKEYS\nDEL k\nGET k\n";
    const std::string replies = "PONG\nOK\nVALUE some value\nKEYS k\nDELETED\nNOT_FOUND\n";
    for (const Args& flags : {Args{}, Args{"--binary"}}) {
        const Outcome got = cli(flags, commands);
        EXPECT_EQ(got.exit_code, 0) << got.err;
        EXPECT_EQ(got.out, replies);
        EXPECT_EQ(got.err, "");
    }
    const Outcome resp = cli({"--resp"}, "PING\nSET k value\nGET k\nMGET k absent\nDEL k\n");
    EXPECT_EQ(resp.exit_code, 0) << resp.err;
    EXPECT_TRUE(contains(resp.out, "PONG\nOK\n")) << resp.out;
    for (const Args& flags : {Args{}, Args{"--binary"}, Args{"--resp"}}) {
        Args args = flags;
        args.insert(args.end(), {"NONSENSE"});
        EXPECT_EQ(cli(args).exit_code, 1);
    }
}

TEST_F(Clients, KvBenchWorksInAllProtocols) {
    for (const char* protocol : {"binary", "resp", "text"}) {
        const Outcome got = run_program(
            program("KV_BENCH"), {"--port", server_.port_text(), "--protocol", protocol, "-n",
                                  "20000", "--keys", "1000", "--preload", "-c", "10", "-P", "16",
                                  "--warmup", "0s", "--workload", "mixed", "--json"});
        EXPECT_EQ(got.exit_code, 0) << protocol << got.out << got.err;
        EXPECT_TRUE(contains(got.out, "\"requests\":20000")) << got.out;
        EXPECT_TRUE(contains(got.out, "\"errors\":0")) << got.out;
    }
}

TEST_F(Clients, ACopiedSessionRunsAsShown) {
    expect_session(
        {.directory = directory_.path(),
         .variables = {"VALUE=from the shell"},
         .replacements = {{"6379", server_.port_text()}}},
        {{"kv-cli -p 6379 SET greeting \"$VALUE\"", "OK\n"},
         {"kv-cli -p 6379 GET greeting", "VALUE from the shell\n"},
         {"printf 'GET greeting\\nPING\\n' | kv-cli -p 6379", "VALUE from the shell\nPONG\n"},
         {"kv-server --version", "kv-server ...\n"},
         {"redis-cli -p 6379 GET greeting", "from the shell\n"}});
}

TEST(Session, DotsStandForAnyCharacters) {
    EXPECT_TRUE(matches("a...c", "a\nb\nc"));
    EXPECT_TRUE(matches("...", ""));
    EXPECT_TRUE(matches("same", "same"));
    EXPECT_FALSE(matches("a...c", "a\nb"));
    EXPECT_FALSE(matches("same", "same\n"));
}

}  // namespace
}  // namespace kv::test
