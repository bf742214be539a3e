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

/// What kv-bench is told to run; null: something else.
const bench::Options* run_of(const bench::CommandLine& line) {
    return std::get_if<bench::Options>(&line.task);
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
    const bench::Options* const run = run_of(line);
    ASSERT_NE(run, nullptr) << line.complaint;
    EXPECT_EQ(run->host, "127.0.0.1");
    EXPECT_EQ(run->port, 6379);
    EXPECT_EQ(run->workload.wire, bench::Wire::binary);
    EXPECT_EQ(run->connections, 50);
    EXPECT_EQ(run->pipeline, 16);
    EXPECT_EQ(run->workload.keys, 1'000'000);
    EXPECT_EQ(run->workload.key_bytes, 16);
    EXPECT_EQ(run->workload.value_bytes, (bench::ByteRange{100, 100}));
    EXPECT_EQ(run->workload.mix, bench::Mix(bench::Operation::set));
    EXPECT_EQ(run->rate, 0);
    EXPECT_EQ(run->interval, 1s);
    EXPECT_FALSE(run->reconnect);
    EXPECT_FALSE(run->cluster);
    EXPECT_TRUE(run_of(bench_line({"--cluster"}))->cluster);
    EXPECT_FALSE(run->progress);
    EXPECT_EQ(run->duration, 10s);
    EXPECT_EQ(run->warmup, 1s);
    EXPECT_EQ(run->threads, 1);
    EXPECT_FALSE(run->preload);
    EXPECT_FALSE(run->json);
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
    const bench::Options* const run = run_of(line);
    ASSERT_NE(run, nullptr) << line.complaint;
    EXPECT_EQ(run->host, "db");
    EXPECT_EQ(run->port, 7000);
    EXPECT_EQ(run->workload.wire, bench::Wire::resp);
    EXPECT_EQ(run->connections, 8);
    EXPECT_EQ(run->pipeline, 2);
    EXPECT_EQ(run->workload.keys, 500);
    EXPECT_EQ(run->workload.value_bytes, (bench::ByteRange{0, 0}));
    EXPECT_EQ(run->workload.key_bytes, 3);
    EXPECT_EQ(run->workload.mix, bench::Mix::of_reads(0.25));
    EXPECT_EQ(run->requests, 12345);
    EXPECT_EQ(run->warmup, 0s);
    EXPECT_EQ(run->threads, 2);
    EXPECT_EQ(run->cpus, (std::vector<unsigned>{1, 0}));
    EXPECT_TRUE(run->preload);
    EXPECT_EQ(run->workload.seed, 9);
    EXPECT_TRUE(run->json);
    EXPECT_EQ(run->timeout, 1500ms);
}

bench::Mix mix_of(const std::vector<const char*>& args) {
    const auto line = bench_line(args);
    return std::get<bench::Options>(line.task).workload.mix;
}

TEST(BenchOptions, WorkloadIsAShareOfReads) {
    EXPECT_EQ(mix_of({"--workload", "set"}), bench::Mix::of_reads(0));
    EXPECT_EQ(mix_of({"--workload", "get"}), bench::Mix::of_reads(1));
    EXPECT_EQ(mix_of({"--workload", "mixed"}), bench::Mix::of_reads(0.5));
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
        {{"--protocol", "text", "--value-bytes", "0-10"}, "empty value"},
        {{"--value-bytes", "10-5"}, "--value-bytes"},
        {{"--value-bytes", "9000000"}, "--value-bytes"},
        {{"--mix", "scan=1"}, "--mix"},
        {{"--mix", "get", "--reads", "0.5"}, "excludes"},
        {{"--mix", "get", "--workload", "set"}, "excludes"},
        {{"--mix", "incr"}, "--protocol resp"},
        {{"--mix", "incr", "--protocol", "resp", "--key-bytes", "8"}, "--key-bytes 8"},
        {{"--keys-dist", "gauss"}, "--keys-dist"},
        {{"--rate", "0"}, "--rate"},
        {{"--record", "f", "--value-bytes", "19"}, "--record"},
        {{"--record", ""}, "--record"},
        {{"--result", ""}, "--result"},
        {{"--plot", ""}, "--plot"},
        {{"--interval", "1ms"}, "--interval"},
        {{"--interval", "10ms", "--duration", "1001s"}, "--interval"},
        {{"compare", "a.json"}, "B"},
        {{"stub", "plot"}, "plot"},
        {{"-P", "10000", "--value-bytes", "8388608"}, "4 GiB"},
    };
    for (const Row& row : rows) {
        const auto line = bench_line(row.args);
        EXPECT_EQ(run_of(line), nullptr) << row.complaint;
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

TEST(BenchOptions, NewerFlagsArrive) {
    const auto line = bench_line({"--rate", "2000.5", "--mix", "get=3,del=1", "--keys-dist",
                                  "zipf:1.1", "--value-bytes", "16-64", "--interval", "100ms",
                                  "--result", "r", "--plot", "p", "--no-progress", "--reconnect"});
    const bench::Options* const run = run_of(line);
    ASSERT_NE(run, nullptr) << line.complaint;
    EXPECT_EQ(run->rate, 2000.5);
    EXPECT_EQ(run->workload.mix.share(bench::Operation::del), 0.25);
    EXPECT_EQ(bench::name(run->workload.distribution), "zipf:1.1");
    EXPECT_EQ(run->workload.value_bytes, (bench::ByteRange{16, 64}));
    EXPECT_EQ(run->interval, 100ms);
    EXPECT_EQ(run->result_file, "r");
    EXPECT_EQ(run->plot_file, "p");
    EXPECT_EQ(run->progress, false);
    EXPECT_TRUE(run->reconnect);
    EXPECT_FALSE(run->workload.unique_values);
    const auto recording = bench_line({"--record", "h", "--progress"});
    ASSERT_NE(run_of(recording), nullptr);
    EXPECT_TRUE(run_of(recording)->workload.unique_values);
    EXPECT_TRUE(run_of(recording)->reconnect);
    EXPECT_EQ(run_of(recording)->progress, true);
}

TEST(BenchOptions, CommandsTakeTheirFiles) {
    const auto compare = bench_line({"compare", "a.json", "b.json"});
    ASSERT_TRUE(std::holds_alternative<bench::CompareFiles>(compare.task)) << compare.complaint;
    EXPECT_EQ(std::get<bench::CompareFiles>(compare.task).b, "b.json");
    const auto plot = bench_line({"plot", "a.json", "a.svg"});
    ASSERT_TRUE(std::holds_alternative<bench::PlotFiles>(plot.task)) << plot.complaint;
    EXPECT_EQ(std::get<bench::PlotFiles>(plot.task).out, "a.svg");
    const auto stub = bench_line({"stub", "--port", "7000", "--cpu", "1"});
    ASSERT_TRUE(std::holds_alternative<bench::StubOptions>(stub.task)) << stub.complaint;
    EXPECT_EQ(std::get<bench::StubOptions>(stub.task).port, 7000);
    EXPECT_EQ(std::get<bench::StubOptions>(stub.task).cpu, 1);
}

TEST(CliOptions, Defaults) {
    const auto line = cli_line({});
    ASSERT_TRUE(line.run) << line.complaint;
    EXPECT_EQ(line.run->cluster.nodes, (std::vector<client::Address>{{"127.0.0.1", 6379}}));
    EXPECT_TRUE(line.run->cluster.follow);
    EXPECT_EQ(line.run->cluster.mode, client::Mode::text);
    EXPECT_EQ(line.run->log_level, log::Level::warn);
    EXPECT_TRUE(line.run->command.empty());
}

TEST(CliOptions, ShortAndLongFlags) {
    for (const auto& args : std::vector<std::vector<const char*>>{
             {"-p", "7000", "-b", "-l", "debug"},
             {"--port", "7000", "--binary", "--log-level", "debug"}}) {
        const auto line = cli_line(args);
        ASSERT_TRUE(line.run) << line.complaint;
        EXPECT_EQ(line.run->cluster.nodes[0].port, 7000);
        EXPECT_EQ(line.run->cluster.mode, client::Mode::binary);
        EXPECT_EQ(line.run->log_level, log::Level::debug);
    }
    EXPECT_EQ(cli_line({"-r"}).run->cluster.mode, client::Mode::resp);
    EXPECT_EQ(cli_line({"--resp"}).run->cluster.mode, client::Mode::resp);
}

TEST(CliOptions, NodesComeOneByOneOrWithCommas) {
    const std::vector<client::Address> nodes{{"a", 1}, {"b", 2}, {"::1", 3}};
    EXPECT_EQ(cli_line({"--node", "a:1,b:2,[::1]:3", "PING"}).run->cluster.nodes, nodes);
    EXPECT_EQ(cli_line({"--node", "a:1", "--node", "b:2,::1:3", "PING"}).run->cluster.nodes, nodes);
    EXPECT_FALSE(cli_line({"--no-follow", "PING"}).run->cluster.follow);
}

TEST(CliOptions, WhatIsAboutTheClusterIsInLowerCase) {
    const auto transfer = cli_line({"cluster", "transfer", "3", "2"});
    ASSERT_TRUE(transfer.run.has_value()) << transfer.complaint;
    EXPECT_EQ(transfer.run->cluster_task, cli::ClusterTask::transfer);
    EXPECT_EQ(transfer.run->shard, 3);
    EXPECT_EQ(transfer.run->node, NodeId(2));
    EXPECT_EQ(cli_line({"cluster", "status"}).run->cluster_task, cli::ClusterTask::status);
    EXPECT_TRUE(cli_line({"cluster", "status", "--json"}).run->json);
    for (const std::vector<const char*>& args :
         {std::vector{"CLUSTER", "TRANSFER", "3", "2"}, std::vector{"cluster", "info"},
          std::vector{"CLUSTER", "STATUS"}}) {
        EXPECT_EQ(cli_line(args).run->cluster_task, cli::ClusterTask::none) << args[1];
    }
}

TEST(CliOptions, AllBehindTheFirstWordBelongsToTheCommand) {
    const auto line = cli_line({"-p", "7000", "SET", "k", "-p", "--help"});
    ASSERT_TRUE(line.run) << line.complaint;
    EXPECT_EQ(line.run->cluster.nodes[0].port, 7000);
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
