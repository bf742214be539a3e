/// kv-bench as users start it: its path comes from Meson, in KV_BENCH.

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "bin/kv-bench/result.h"
#include "tests/support/fake_server.h"
#include "tests/support/history.h"
#include "tests/support/program.h"
#include "tests/support/running_program.h"
#include "tests/support/temporary_directory.h"

namespace kv {
namespace {

using nlohmann::json;
using test::FakeServer;
using test::Outcome;
using test::Spoken;

using Args = std::vector<std::string>;

std::string bench_path() {
    const char* const path = std::getenv("KV_BENCH");
    EXPECT_NE(path, nullptr) << "KV_BENCH names no program: run this with meson test";
    return path != nullptr ? path : "";
}

Args with_port(const FakeServer& server, Args args) {
    args.insert(args.begin(), {"--port", std::to_string(server.port()), "--warmup", "0s"});
    return args;
}
Outcome bench(const FakeServer& server, Args args) {
    return test::run_program(bench_path(), with_port(server, std::move(args)));
}

std::string unused_port() {
    const FakeServer gone;
    return std::to_string(gone.port());
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

test::History history_of(const std::string& path) {
    std::ifstream in(path);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    auto history = test::History::parse(text);
    EXPECT_TRUE(history) << history.error().text();
    return history ? *std::move(history) : test::History();
}

TEST(Bench, EveryRequestIsSentAndCounted) {
    for (const char* protocol : {"binary", "resp", "text"}) {
        std::size_t requests = 0;
        const FakeServer server([&](Spoken spoken, std::string_view request, std::string& out) {
            ++requests;
            return test::answer_ok(spoken, request, out);
        });
        const Outcome got = bench(server, {"--protocol", protocol, "-n", "10007", "-c", "7", "-P",
                                           "5", "--threads", "2"});
        EXPECT_EQ(got.exit_code, 0) << got.err;
        EXPECT_EQ(requests, 10007);
        EXPECT_TRUE(contains(got.out, "(10007 in ")) << got.out;
        EXPECT_TRUE(contains(got.out, "p99.9")) << got.out;
    }
}

TEST(Bench, PreloadWritesEveryKeyOnce) {
    std::map<std::string, int> keys;
    const FakeServer server([&](Spoken spoken, std::string_view request, std::string& out) {
        if (request.starts_with("SET ")) ++keys[std::string(request.substr(4, 16))];
        return test::answer_ok(spoken, request, out);
    });
    const Outcome got =
        bench(server, {"--protocol", "text", "-n", "10", "--keys", "3001", "--preload",
                       "--workload", "get", "-c", "3", "--threads", "2"});
    EXPECT_EQ(got.exit_code, 0) << got.err;
    EXPECT_EQ(keys.size(), 3001);
    for (const auto& [key, count] : keys) EXPECT_EQ(count, 1) << key;
}

TEST(Bench, ErrorsAreCountedByKindAndExit1) {
    std::size_t requests = 0;
    const FakeServer server([&](Spoken, std::string_view, std::string& out) {
        ++requests;
        out.append(requests % 4 == 0   ? "-MOVED 7 h:1\r\n"
                   : requests % 4 == 1 ? "$-1\r\n"
                                       : "+OK\r\n");
        return true;
    });
    const Outcome got = bench(server, {"--protocol", "resp", "-n", "400", "-c", "1", "--json"});
    EXPECT_EQ(got.exit_code, 1);
    EXPECT_TRUE(contains(got.out, "\"errors\":100,\"errors_by_kind\":{\"MOVED\":100}")) << got.out;
    EXPECT_TRUE(contains(got.out, "\"errors_by_class\":{\"redirected\":100}")) << got.out;
    EXPECT_TRUE(contains(got.out, "\"not_found\":100")) << got.out;
    EXPECT_TRUE(contains(got.out, "\"requests\":400")) << got.out;
}

TEST(Bench, ClusterNeedsAServerThatHasAMap) {
    const FakeServer server([](Spoken, std::string_view, std::string& out) {
        out.append("-ERR unknown command 'CLUSTER'\r\n");
        return true;
    });
    const Outcome got = bench(server, {"--cluster", "-n", "100"});
    EXPECT_EQ(got.exit_code, 3);
    EXPECT_TRUE(contains(got.err, "unknown command 'CLUSTER'")) << got.err;
}

TEST(Bench, ALostConnectionExits3AndSaysWhich) {
    const FakeServer server([](Spoken, std::string_view, std::string&) { return false; });
    const Outcome got = bench(server, {"-n", "100"});
    EXPECT_EQ(got.exit_code, 3);
    EXPECT_TRUE(contains(got.err, "127.0.0.1:" + std::to_string(server.port()))) << got.err;
}

TEST(Bench, AnotherProtocolIsNoticed) {
    const FakeServer server([](Spoken, std::string_view, std::string& out) {
        out.append("HTTP/1.1 400 Bad Request\r\n");
        return true;
    });
    const Outcome got = bench(server, {"-n", "100"});
    EXPECT_EQ(got.exit_code, 3);
    EXPECT_TRUE(contains(got.err, "--protocol")) << got.err;
}

TEST(Bench, RefusedConnectionExits3) {
    const std::string port = unused_port();
    const Outcome got = test::run_program(bench_path(), {"-p", port, "--threads", "2"});
    EXPECT_EQ(got.exit_code, 3);
    EXPECT_TRUE(contains(got.err, "127.0.0.1:" + port + ": Connection refused")) << got.err;
}

TEST(Bench, HelpUsageAndVersion) {
    const Outcome help = test::run_program(bench_path(), {"--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_TRUE(contains(help.out, "--pipeline")) << help.out;
    EXPECT_EQ(test::run_program(bench_path(), {"--version"}).exit_code, 0);
    EXPECT_EQ(test::run_program(bench_path(), {"--reads", "2"}).exit_code, 2);
}

/// A server that stands still for `stall` when request number `at` arrives.
test::Answer stalling(int at, std::chrono::milliseconds stall) {
    return [=, seen = 0](Spoken spoken, std::string_view request, std::string& out) mutable {
        if (++seen == at) std::this_thread::sleep_for(stall);
        return test::answer_ok(spoken, request, out);
    };
}

TEST(Bench, AnOpenLoopCountsTheWaitingThatAStallCauses) {
    const test::TemporaryDirectory directory;
    const std::string path = directory / "r.json";
    const FakeServer server(stalling(200, 300ms));
    const Outcome got =
        bench(server, {"--rate", "1000", "-n", "1000", "-c", "2", "-P", "1", "--result", path});
    EXPECT_EQ(got.exit_code, 0) << got.err;
    const auto result = bench::read_result(path);
    ASSERT_TRUE(result) << result.error().text();
    // Request 200 is not sent before 199 ms, and until 499 ms nothing is answered: those that were
    // due from 201 to 399 ms, one each millisecond, waited for at least 100 ms. A closed loop
    // would have seen two slow requests.
    double slow = 0;
    for (const auto& [us, count] : result->histogram) slow += us >= 99'000 ? count : 0;
    EXPECT_GE(slow, 195);
}

TEST(Bench, AnOpenLoopSendsAtItsRateAndEndsWithItsDuration) {
    std::size_t requests = 0;
    const FakeServer server([&](Spoken spoken, std::string_view request, std::string& out) {
        ++requests;
        return test::answer_ok(spoken, request, out);
    });
    const Outcome got =
        bench(server, {"--rate", "500", "-d", "400ms", "--threads", "2", "-c", "5", "--json"});
    EXPECT_EQ(got.exit_code, 0) << got.err;
    EXPECT_EQ(requests, 200);
    const json result = json::parse(got.out);
    EXPECT_EQ(result["requests"], 200);
    EXPECT_EQ(result["not_sent"], 0);
    EXPECT_GE(result["seconds"].get<double>(), 0.4);
}

TEST(Bench, WhatAServerIsTooSlowForIsReportedAsNotSent) {
    const FakeServer server(stalling(1, 700ms));
    const Outcome got = bench(server, {"--rate", "1000", "-d", "300ms", "-c", "1", "-P", "1"});
    EXPECT_EQ(got.exit_code, 0) << got.err;
    EXPECT_TRUE(contains(got.out, "not sent    299 that were due")) << got.out;
}

TEST(Bench, AMixHasAllItsOperations) {
    std::map<std::string, int> verbs;
    std::set<std::size_t> value_bytes;
    const FakeServer server([&](Spoken, std::string_view request, std::string& out) {
        const auto words = request.substr(request.find('\n') + 1);
        const std::string verb(words.substr(words.find('\n') + 1, 4));
        ++verbs[verb];
        if (verb == "SET\r") value_bytes.insert(request.size());
        EXPECT_TRUE(contains(request, verb == "INCR" ? "cnt:" : "key:")) << request;
        out.append("+OK\r\n");
        return true;
    });
    const Outcome got = bench(
        server, {"--protocol", "resp", "-n", "4000", "-c", "2", "--mix", "get=1,set=1,del=1,incr=1",
                 "--value-bytes", "10-20", "--keys-dist", "zipf:1.2"});
    EXPECT_EQ(got.exit_code, 0) << got.err;
    for (const char* verb : {"GET\r", "SET\r", "DEL\r", "INCR"}) {
        EXPECT_NEAR(verbs[verb], 1000, 200) << verb;
    }
    EXPECT_EQ(value_bytes.size(), 11);
}

TEST(Bench, ResultPlotAndCompareGoTogether) {
    const test::TemporaryDirectory directory;
    const FakeServer server;
    const std::string a = directory / "a.json";
    const std::string svg = directory / "a.svg";
    const Outcome run = bench(server, {"-d", "250ms", "--interval", "50ms", "-c", "4", "--threads",
                                       "2", "--result", a, "--plot", svg});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.err, "") << "progress is for terminals";
    const auto result = bench::read_result(a);
    ASSERT_TRUE(result) << result.error().text();
    EXPECT_GE(result->series.size(), 1);
    double in_series = 0, in_histogram = 0;
    for (const auto& point : result->series) in_series += static_cast<double>(point.requests);
    for (const auto& [us, count] : result->histogram) in_histogram += count;
    EXPECT_EQ(in_series, in_histogram);

    std::ifstream file(svg);
    const std::string drawn{std::istreambuf_iterator<char>(file), {}};
    EXPECT_TRUE(drawn.ends_with("</svg>\n"));
    const std::string again = directory / "again.svg";
    EXPECT_EQ(test::run_program(bench_path(), {"plot", a, again}).exit_code, 0);
    std::ifstream redrawn(again);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(redrawn), {}), drawn);

    const Outcome compared = test::run_program(bench_path(), {"compare", a, a});
    EXPECT_EQ(compared.exit_code, 0);
    EXPECT_TRUE(contains(compared.out, "requests/s")) << compared.out;
    EXPECT_TRUE(contains(compared.out, "1.000")) << compared.out;
}

TEST(Bench, WhatIsNoResultCannotBeComparedNorDrawn) {
    const test::TemporaryDirectory directory;
    const std::string bad = directory / "bad.json";
    ASSERT_TRUE(bench::write_file(bad, "{\"a\":1}"));
    for (const Args& args : {Args{"compare", bad, bad}, Args{"plot", bad, directory / "x.svg"},
                             Args{"compare", directory / "absent", bad}}) {
        const Outcome got = test::run_program(bench_path(), args);
        EXPECT_EQ(got.exit_code, 2);
        EXPECT_TRUE(contains(got.err, args[1])) << got.err;
    }
}

TEST(Bench, AFileThatCannotBeWrittenExits3AfterTheReport) {
    const FakeServer server;
    const Outcome got = bench(server, {"-n", "10", "--result", "/dev/full"});
    EXPECT_EQ(got.exit_code, 3);
    EXPECT_TRUE(contains(got.out, "throughput")) << got.out;
    EXPECT_TRUE(contains(got.err, "/dev/full")) << got.err;
}

TEST(Bench, AFolderThatIsNotThereIsNoRun) {
    const FakeServer server;
    for (const char* flag : {"--result", "--plot"}) {
        const Outcome got = bench(server, {"-n", "10", flag, "/no/such/folder"});
        EXPECT_EQ(got.exit_code, 3);
        EXPECT_EQ(got.out, "");
        EXPECT_TRUE(contains(got.err, "/no/such/folder")) << got.err;
    }
}

TEST(Bench, ACpuThatIsNotThereIsAUsageError) {
    const FakeServer server;
    const Outcome got = bench(server, {"-n", "10", "--cpu", "100000"});
    EXPECT_EQ(got.exit_code, 2);
    EXPECT_TRUE(contains(got.err, "--cpu 100000")) << got.err;
}

TEST(Bench, ProgressIsALineEachIntervalAndCtrlCStillReports) {
    const FakeServer server;
    test::RunningProgram running(
        bench_path(), with_port(server, {"-d", "1000s", "--interval", "20ms", "--progress"}));
    EXPECT_NE(running.wait_for_log("requests/s"), "");
    running.send_signal(SIGINT);
    EXPECT_EQ(running.wait(), 0);
    EXPECT_TRUE(contains(running.out(), "throughput")) << running.out();
}

TEST(Bench, CtrlCEndsARunWhoseServerIsSilent) {
    const FakeServer server([](Spoken, std::string_view, std::string&) { return true; });
    test::RunningProgram running(
        bench_path(), with_port(server, {"-d", "1000s", "-c", "2", "-P", "3", "--interval", "20ms",
                                         "--progress"}));
    EXPECT_NE(running.wait_for_log("requests/s"), "");
    running.send_signal(SIGINT);
    EXPECT_EQ(running.wait(), 1);
    EXPECT_TRUE(contains(running.out(), "6  no reply before the interrupt")) << running.out();
}

TEST(Bench, ALostConnectionIsMadeAgainWhenAsked) {
    std::size_t requests = 0;
    const FakeServer server([&](Spoken spoken, std::string_view request, std::string& out) {
        test::answer_ok(spoken, request, out);
        return ++requests % 100 != 0;
    });
    for (const Args& loop : {Args{}, Args{"--rate", "100000"}}) {
        Args args{"-n", "1000", "-c", "2", "-P", "4", "--reconnect"};
        args.insert(args.end(), loop.begin(), loop.end());
        const Outcome got = bench(server, args);
        EXPECT_EQ(got.exit_code, 1) << got.err;
        EXPECT_TRUE(contains(got.out, "connection lost")) << got.out;
        // Its end, or a reset: which of them comes first is up to the kernel.
        const bool told =
            contains(got.out, "closed a connection") || contains(got.out, "closed the connection");
        EXPECT_TRUE(told) << got.out;
        EXPECT_TRUE(contains(got.out, "throughput")) << got.out;
    }
}

TEST(Bench, WithReconnectSilenceEndsOnlyItsConnection) {
    std::size_t requests = 0;
    const FakeServer server([&](Spoken spoken, std::string_view request, std::string& out) {
        return ++requests == 5 ? true : test::answer_ok(spoken, request, out);
    });
    const Outcome got =
        bench(server, {"-n", "100", "-c", "1", "-P", "1", "--reconnect", "--timeout", "50ms"});
    EXPECT_EQ(got.exit_code, 1) << got.err;
    EXPECT_TRUE(contains(got.out, "1  timeout")) << got.out;
    EXPECT_TRUE(contains(got.out, "(99 in ")) << got.out;
}

TEST(Bench, ARecordHasEveryOperationOnce) {
    const test::TemporaryDirectory directory;
    const std::string path = directory / "history.txt";
    for (const char* protocol : {"binary", "resp", "text"}) {
        std::size_t requests = 0;
        const FakeServer server([&](Spoken spoken, std::string_view request, std::string& out) {
            // Every 50th write is carried out and then not answered.
            if (++requests % 50 == 0) return false;
            return test::answer_ok(spoken, request, out);
        });
        const Outcome got = bench(server, {"--protocol", protocol, "-n", "500", "-c", "3", "-P",
                                           "2", "--threads", "2", "--mix", "set=4,del=1", "--keys",
                                           "10", "--value-bytes", "20-40", "--record", path});
        EXPECT_EQ(got.exit_code, 1) << got.err;
        std::set<std::string> values;
        std::map<test::Known, int> outcomes;
        std::size_t sets = 0;
        const test::History history = history_of(path);
        for (const test::Operation& op : history.operations()) {
            ++outcomes[op.known];
            EXPECT_LT(op.client, 3);
            if (op.kind != test::OperationKind::set) continue;
            ++sets;
            values.insert(op.argument.text.substr(0, bench::unique_bytes));
        }
        EXPECT_EQ(outcomes[test::Known::ok] + outcomes[test::Known::unknown], 500) << protocol;
        EXPECT_GE(outcomes[test::Known::unknown], 10);
        EXPECT_LE(outcomes[test::Known::unknown], 20) << "what is lost is at most a batch";
        EXPECT_EQ(values.size(), sets) << "unique values";
    }
}

TEST(Bench, ARecordThatCannotBeWrittenIsNoRun) {
    const FakeServer server;
    const Outcome got = bench(server, {"-n", "10", "--record", "/no/such/folder"});
    EXPECT_EQ(got.exit_code, 3);
    EXPECT_TRUE(contains(got.err, "/no/such/folder")) << got.err;
    EXPECT_EQ(bench(server, {"-n", "10", "--record", "/dev/full"}).exit_code, 3);
}

TEST(Bench, TheStubAnswersEveryProtocol) {
    test::RunningProgram stub(bench_path(), {"stub"});
    std::string port;
    for (int i = 0; i < 3000 && port.empty(); ++i) {
        const std::string out = stub.out();
        if (out.ends_with('\n'))
            port = out.substr(out.rfind(':') + 1, out.size() - out.rfind(':') - 2);
        if (port.empty()) std::this_thread::sleep_for(10ms);
    }
    for (const char* protocol : {"binary", "resp", "text"}) {
        const Outcome got =
            test::run_program(bench_path(), {"-p", port, "--protocol", protocol, "-n", "20000",
                                             "--warmup", "0s", "--value-bytes", "3000"});
        EXPECT_EQ(got.exit_code, 0) << got.err;
        EXPECT_TRUE(contains(got.out, "(20000 in ")) << got.out;
    }
    stub.send_signal(SIGTERM);
    EXPECT_EQ(stub.wait(), 0);
}

}  // namespace
}  // namespace kv
