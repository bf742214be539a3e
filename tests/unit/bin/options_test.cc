#include <gtest/gtest.h>

#include "bin/kv-bench/options.h"
#include "bin/kv-cli/options.h"

namespace kv {
namespace {

std::vector<const char*> argv_of(const std::vector<const char*>& args) {
    std::vector<const char*> argv{"program"};
    argv.insert(argv.end(), args.begin(), args.end());
    return argv;
}

bench::CommandLine bench_line(const std::vector<const char*>& args) {
    const auto argv = argv_of(args);
    return bench::parse_options(static_cast<int>(argv.size()), argv.data());
}

cli::CommandLine cli_line(const std::vector<const char*>& args) {
    const auto argv = argv_of(args);
    return cli::parse_options(static_cast<int>(argv.size()), argv.data());
}

TEST(BenchOptions, Defaults) {
    const auto line = bench_line({});
    ASSERT_TRUE(line.run) << line.complaint;
    EXPECT_EQ(line.run->host, "127.0.0.1");
    EXPECT_EQ(line.run->port, 6379);
    EXPECT_EQ(line.run->workload.wire, bench::Wire::binary);
    EXPECT_EQ(line.run->connections, 50);
    EXPECT_EQ(line.run->pipeline, 16);
    EXPECT_EQ(line.run->workload.keys, 1'000'000);
    EXPECT_EQ(line.run->workload.key_bytes, 16);
    EXPECT_EQ(line.run->workload.value_bytes, 100);
    EXPECT_EQ(line.run->workload.reads, 0);
    EXPECT_EQ(line.run->duration, 10s);
    EXPECT_EQ(line.run->warmup, 1s);
    EXPECT_EQ(line.run->threads, 1);
    EXPECT_FALSE(line.run->preload);
    EXPECT_FALSE(line.run->json);
}

TEST(BenchOptions, EachFlagArrives) {
    const auto line = bench_line({"--host",
                                  "db",
                                  "--port",
                                  "7000",
                                  "--protocol",
                                  "resp",
                                  "-c",
                                  "8",
                                  "-P",
                                  "2",
                                  "--keys",
                                  "500",
                                  "--value-bytes",
                                  "0",
                                  "--key-bytes",
                                  "3",
                                  "--reads",
                                  "0.25",
                                  "--requests",
                                  "12345",
                                  "--warmup",
                                  "0s",
                                  "--threads",
                                  "2",
                                  "--cpu",
                                  "1,0",
                                  "--preload",
                                  "--seed",
                                  "9",
                                  "--json",
                                  "--timeout",
                                  "1500ms"});
    ASSERT_TRUE(line.run) << line.complaint;
    EXPECT_EQ(line.run->host, "db");
    EXPECT_EQ(line.run->port, 7000);
    EXPECT_EQ(line.run->workload.wire, bench::Wire::resp);
    EXPECT_EQ(line.run->connections, 8);
    EXPECT_EQ(line.run->pipeline, 2);
    EXPECT_EQ(line.run->workload.keys, 500);
    EXPECT_EQ(line.run->workload.value_bytes, 0);
    EXPECT_EQ(line.run->workload.key_bytes, 3);
    EXPECT_EQ(line.run->workload.reads, 0.25);
    EXPECT_EQ(line.run->requests, 12345);
    EXPECT_EQ(line.run->warmup, 0s);
    EXPECT_EQ(line.run->threads, 2);
    EXPECT_EQ(line.run->cpus, (std::vector<unsigned>{1, 0}));
    EXPECT_TRUE(line.run->preload);
    EXPECT_EQ(line.run->workload.seed, 9);
    EXPECT_TRUE(line.run->json);
    EXPECT_EQ(line.run->timeout, 1500ms);
}

TEST(BenchOptions, WorkloadIsAShareOfReads) {
    EXPECT_EQ(bench_line({"--workload", "set"}).run->workload.reads, 0);
    EXPECT_EQ(bench_line({"--workload", "get"}).run->workload.reads, 1);
    EXPECT_EQ(bench_line({"--workload", "mixed"}).run->workload.reads, 0.5);
}

TEST(BenchOptions, UsageErrorsExit2AndNameTheFlag) {
    struct Row {
        std::vector<const char*> args;
        const char* complaint;
    };
    const Row rows[] = {
        {{"--bogus"}, "--bogus"},
        {{"stray"}, "stray"},
        {{"--port", "70000"}, "--port"},
        {{"--protocol", "http"}, "--protocol"},
        {{"--connections", "0"}, "--connections"},
        {{"--pipeline", "0"}, "--pipeline"},
        {{"--keys", "0"}, "--keys"},
        {{"--keys", "100000", "--key-bytes", "4"}, "--key-bytes 4"},
        {{"--reads", "1.5"}, "--reads"},
        {{"--reads", "0.5", "--workload", "set"}, "excludes"},
        {{"--workload", "scan"}, "--workload"},
        {{"--requests", "0"}, "--requests"},
        {{"--requests", "5", "--duration", "5s"}, "excludes"},
        {{"--duration", "soon"}, "--duration"},
        {{"--duration", "0s"}, "--duration"},
        {{"--warmup", "-1s"}, "--warmup"},
        {{"--threads", "4", "-c", "3"}, "--connections 3"},
        {{"--protocol", "text", "--value-bytes", "0"}, "empty value"},
        {{"-P", "10000", "--value-bytes", "8388608"}, "4 GiB"},
    };
    for (const Row& row : rows) {
        const auto line = bench_line(row.args);
        EXPECT_FALSE(line.run) << row.complaint;
        EXPECT_EQ(line.exit_code, 2) << row.complaint;
        EXPECT_NE(line.complaint.find(row.complaint), std::string::npos) << line.complaint;
        EXPECT_TRUE(line.out.empty());
    }
}

TEST(BenchOptions, DurationsHaveUnits) {
    EXPECT_EQ(bench::parse_duration("10s"), Duration(10s));
    EXPECT_EQ(bench::parse_duration("1.5s"), Duration(1500ms));
    EXPECT_EQ(bench::parse_duration("500ms"), Duration(500ms));
    EXPECT_EQ(bench::parse_duration("250us"), Duration(250us));
    EXPECT_EQ(bench::parse_duration("2m"), Duration(2min));
    EXPECT_EQ(bench::parse_duration("3"), Duration(3s));
    for (const char* bad :
         {"", "s", "1h", "-1s", "1 s", "1e3s", "nan", "inf", "1e999s", "99999999999999999s"}) {
        EXPECT_EQ(bench::parse_duration(bad), std::nullopt) << bad;
    }
}

TEST(CliOptions, Defaults) {
    const auto line = cli_line({});
    ASSERT_TRUE(line.run) << line.complaint;
    EXPECT_EQ(line.run->client.host, "127.0.0.1");
    EXPECT_EQ(line.run->client.port, 6379);
    EXPECT_EQ(line.run->client.mode, client::Mode::text);
    EXPECT_EQ(line.run->log_level, log::Level::warn);
    EXPECT_TRUE(line.run->command.empty());
}

TEST(CliOptions, ShortAndLongFlags) {
    for (const auto& args : std::vector<std::vector<const char*>>{
             {"-p", "7000", "-b", "-l", "debug"},
             {"--port", "7000", "--binary", "--log-level", "debug"}}) {
        const auto line = cli_line(args);
        ASSERT_TRUE(line.run) << line.complaint;
        EXPECT_EQ(line.run->client.port, 7000);
        EXPECT_EQ(line.run->client.mode, client::Mode::binary);
        EXPECT_EQ(line.run->log_level, log::Level::debug);
    }
    EXPECT_EQ(cli_line({"-r"}).run->client.mode, client::Mode::resp);
    EXPECT_EQ(cli_line({"--resp"}).run->client.mode, client::Mode::resp);
}

TEST(CliOptions, AllBehindTheFirstWordBelongsToTheCommand) {
    const auto line = cli_line({"-p", "7000", "SET", "k", "-p", "--help"});
    ASSERT_TRUE(line.run) << line.complaint;
    EXPECT_EQ(line.run->client.port, 7000);
    EXPECT_EQ(line.run->command, (std::vector<std::string>{"SET", "k", "-p", "--help"}));
}

TEST(CliOptions, UsageErrorsExit2) {
    for (const auto& args : std::vector<std::vector<const char*>>{{"--bogus"},
                                                                  {"-b", "-r"},
                                                                  {"--port", "70000"},
                                                                  {"--port", "0"},
                                                                  {"--port"},
                                                                  {"--log-level", "loud"}}) {
        const auto line = cli_line(args);
        EXPECT_FALSE(line.run);
        EXPECT_EQ(line.exit_code, 2);
        EXPECT_FALSE(line.complaint.empty());
        EXPECT_TRUE(line.out.empty());
    }
}

}  // namespace
}  // namespace kv
