/// kv-cli as users start it: its path comes from Meson, in KV_CLI.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>

#include "tests/support/fake_server.h"
#include "tests/support/program.h"

namespace kv {
namespace {

using test::FakeServer;
using test::Outcome;
using test::Spoken;

std::string program(const char* variable) {
    const char* const path = std::getenv(variable);
    EXPECT_NE(path, nullptr) << variable << " names no program: run this with meson test";
    return path != nullptr ? path : "";
}

using Args = std::vector<std::string>;

Outcome cli(const FakeServer& server, Args args, std::string_view input = {}) {
    args.insert(args.begin(), {"--port", std::to_string(server.port())});
    return test::run_program(program("KV_CLI"), args, input);
}

std::string unused_port() {
    const FakeServer gone;
    return std::to_string(gone.port());
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// Answers text requests by table, others with an error; "HANGUP" closes.
bool answer_by_table(Spoken, std::string_view request, std::string& out) {
    static const std::map<std::string_view, std::string_view> answers{
        {"PING\n", "PONG\n"},
        {"GET foo\n", "VALUE bar baz\n"},
        {"GET absent\n", "NOT_FOUND\n"},
        {"SET k a b\n", "OK\n"},
        {"GET elsewhere\n", "REDIRECT 127.0.0.1:7001\n"},
    };
    if (request == "HANGUP\n") return false;
    const auto found = answers.find(request);
    out.append(found != answers.end() ? found->second : "ERROR unknown command\n");
    return true;
}

TEST(Cli, OneCommandPrintsItsReplyAndNothingElse) {
    const FakeServer server(answer_by_table);
    const Outcome got = cli(server, {"GET", "foo"});
    EXPECT_EQ(got.out, "VALUE bar baz\n");
    EXPECT_EQ(got.err, "");
    EXPECT_EQ(got.exit_code, 0);
}

TEST(Cli, TheExitCodeTellsWhatTheReplyWas) {
    const FakeServer server(answer_by_table);
    EXPECT_EQ(cli(server, {"GET", "absent"}).exit_code, 0);
    EXPECT_EQ(cli(server, {"SET", "k", "a b"}).exit_code, 0);
    EXPECT_EQ(cli(server, {"NONSENSE"}).exit_code, 1);
    const Outcome redirect = cli(server, {"--no-follow", "GET", "elsewhere"});
    EXPECT_EQ(redirect.exit_code, 1);
    EXPECT_EQ(redirect.out, "REDIRECT 127.0.0.1:7001\n");
}

TEST(Cli, APipeOfCommandsHasNoPromptAndExitsWithTheWorstCode) {
    const FakeServer server(answer_by_table);
    const Outcome fine = cli(server, {}, "PING\r\n\nGET foo\nGET absent");
    EXPECT_EQ(fine.out, "PONG\nVALUE bar baz\nNOT_FOUND\n");
    EXPECT_EQ(fine.exit_code, 0);
    const Outcome bad = cli(server, {}, "NONSENSE\nPING\n");
    EXPECT_EQ(bad.out, "ERROR unknown command\nPONG\n");
    EXPECT_EQ(bad.exit_code, 1);
}

TEST(Cli, ServerDisconnectedEndsTheConversation) {
    const FakeServer server(answer_by_table);
    const Outcome got = cli(server, {}, "PING\nHANGUP\nPING\n");
    EXPECT_EQ(got.out, "PONG\n");
    EXPECT_TRUE(got.err.starts_with("Server disconnected.\n2 commands were sent and not answered."))
        << got.err;
    EXPECT_EQ(got.exit_code, 4) << "what HANGUP does nobody knows";
    const FakeServer silent([](Spoken, std::string_view, std::string&) { return false; });
    EXPECT_EQ(cli(silent, {"GET", "foo"}).exit_code, 3);
    EXPECT_EQ(cli(silent, {"SET", "foo", "bar"}).exit_code, 4);
}

TEST(Cli, BinaryAndRespModesSpeakTheirProtocols) {
    Spoken seen{};
    const FakeServer server([&](Spoken spoken, std::string_view request, std::string& out) {
        seen = spoken;
        return test::answer_ok(spoken, request, out);
    });
    EXPECT_EQ(cli(server, {"-b", "SET", "k", "v"}).out, "OK\n");
    EXPECT_EQ(seen, Spoken::binary);
    EXPECT_EQ(cli(server, {"--resp", "ANYTHING", "at", "all"}).out, "OK\n");
    EXPECT_EQ(seen, Spoken::resp);
    EXPECT_EQ(cli(server, {"--binary"}, "SET k v\nADDSERVER 4 h 1 2\n").out, "OK\nOK\n");
    const Outcome refused = cli(server, {"-b"}, "GET\n");
    EXPECT_EQ(refused.out, "ERROR GET requires a key\n");
    EXPECT_EQ(refused.exit_code, 1);
}

TEST(Cli, RefusedConnectionSaysWhereWhyAndWhatToDo) {
    const std::string port = unused_port();
    const Outcome got = test::run_program(program("KV_CLI"), {"-p", port, "PING"});
    EXPECT_EQ(got.exit_code, 3);
    EXPECT_EQ(got.out, "");
    EXPECT_TRUE(contains(got.err, "127.0.0.1:" + port)) << got.err;
    EXPECT_TRUE(contains(got.err, "Connection refused")) << got.err;
    EXPECT_TRUE(contains(got.err, "start kv-server")) << got.err;
}

TEST(Cli, HelpAndVersionGoToStandardOutput) {
    for (const char* flag : {"--help", "-h", "--version"}) {
        const Outcome got = test::run_program(program("KV_CLI"), {flag});
        EXPECT_EQ(got.exit_code, 0);
        EXPECT_TRUE(contains(got.out, "kv-cli")) << got.out;
        EXPECT_EQ(got.err, "");
    }
}

TEST(Cli, UsageErrorsExit2) {
    for (const Args& args :
         {Args{"-b", "-r"}, Args{"--bogus"}, Args{"-p", "http"}, Args{"-b", "-3"}, Args{"-x"},
          Args{"-b", "--scan"}, Args{"--scan", "PING"}, Args{"--pattern", "a*"},
          Args{"--count", "5"}, Args{"--scan", "--count", "0"}, Args{"--node", "db"},
          Args{"--node", "db:1", "--port", "2"}, Args{"cluster", "transfer", "1"},
          Args{"cluster", "transfer", "1", "x"}, Args{"cluster", "status", "now"}}) {
        const Outcome got = test::run_program(program("KV_CLI"), args);
        EXPECT_EQ(got.exit_code, 2);
        EXPECT_EQ(got.out, "");
        EXPECT_FALSE(got.err.empty());
    }
}

TEST(Cli, JsonHasOneValueALine) {
    const FakeServer server(answer_by_table);
    const Outcome got = cli(server, {"--json"}, "PING\nGET foo\nGET absent\nNONSENSE\n");
    EXPECT_EQ(got.out, "\"PONG\"\n\"bar baz\"\nnull\n{\"error\":\"unknown command\"}\n");
    EXPECT_EQ(got.exit_code, 1);
    EXPECT_EQ(cli(server, {"--json", "GET", "foo"}).out, "\"bar baz\"\n");
}

TEST(Cli, TheLastArgumentMayComeFromStandardInput) {
    std::string seen;
    const FakeServer server([&](Spoken, std::string_view request, std::string& out) {
        seen = request;
        out.append("+OK\r\n");
        return true;
    });
    using namespace std::string_view_literals;
    EXPECT_EQ(cli(server, {"-r", "-x", "SET", "k"}, "a\0\n"sv).out, "OK\n");
    EXPECT_EQ(seen, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na\0\n\r\n"sv);
    EXPECT_EQ(cli(server, {"-r", "-x", "ECHO"}).out, "OK\n");
    EXPECT_EQ(seen, "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n") << "an empty input is an empty argument";
}

/// Two steps of SCAN, or none of it.
bool answer_scan(Spoken, std::string_view request, std::string& out) {
    if (contains(request, "SCAN\r\n$1\r\n0\r\n")) {
        out.append("*2\r\n$2\r\n17\r\n*2\r\n$1\r\na\r\n$3\r\nb c\r\n");
    } else if (contains(request, "SCAN\r\n$2\r\n17\r\n")) {
        out.append("*2\r\n$1\r\n0\r\n*1\r\n$1\r\nd\r\n");
    } else {
        out.append("-ERR unexpected\r\n");
    }
    return true;
}

TEST(Cli, ScanPrintsAllKeys) {
    std::string last;
    const FakeServer server([&](Spoken spoken, std::string_view request, std::string& out) {
        last = request;
        return answer_scan(spoken, request, out);
    });
    const Outcome got = cli(server, {"--scan"});
    EXPECT_EQ(got.out, "a\nb c\nd\n");
    EXPECT_EQ(got.exit_code, 0) << got.err;
    EXPECT_EQ(cli(server, {"--scan", "--json"}).out, "\"a\"\n\"b c\"\n\"d\"\n");
    EXPECT_EQ(cli(server, {"--scan", "--pattern", "x*", "--count", "50"}).exit_code, 0);
    EXPECT_TRUE(contains(last,
                         "*6\r\n$4\r\nSCAN\r\n$2\r\n17\r\n$5\r\nMATCH\r\n$2\r\nx*\r\n"
                         "$5\r\nCOUNT\r\n$2\r\n50\r\n"))
        << last;
}

TEST(Cli, ScanWithoutScanNamesTheNextStep) {
    const FakeServer server([](Spoken, std::string_view, std::string& out) {
        out.append("-ERR unknown command 'SCAN', with args beginning with: '0' \r\n");
        return true;
    });
    const Outcome got = cli(server, {"--scan"});
    EXPECT_EQ(got.exit_code, 1);
    EXPECT_EQ(got.out, "");
    EXPECT_TRUE(contains(got.err, "kv-cli -r KEYS <pattern>")) << got.err;
}

TEST(Cli, Resp3BeginsWithHello) {
    std::string first;
    const FakeServer server([&](Spoken, std::string_view request, std::string& out) {
        const bool hello = contains(request, "HELLO");
        if (hello) first = request;
        out.append(hello ? "%1\r\n+proto\r\n:3\r\n" : ">1\r\n+news\r\n%1\r\n+a\r\n#t\r\n");
        return true;
    });
    const Outcome got = cli(server, {"-3", "--json", "ANYTHING"});
    EXPECT_EQ(first, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
    EXPECT_EQ(got.out, "{\"push\":[\"news\"]}\n{\"a\":true}\n");
    EXPECT_EQ(got.exit_code, 0);
}

TEST(Cli, Resp3OfAServerWithoutItNamesTheNextStep) {
    const FakeServer server([](Spoken, std::string_view, std::string& out) {
        out.append("-ERR unknown command 'HELLO'\r\n");
        return true;
    });
    const Outcome got = cli(server, {"-3", "PING"});
    EXPECT_EQ(got.exit_code, 1);
    EXPECT_EQ(got.out, "");
    EXPECT_TRUE(contains(got.err, "use -r and not -3")) << got.err;
}

TEST(Cli, ManyCommandsOfAPipeAreAnsweredInOrder) {
    const FakeServer server([](Spoken, std::string_view request, std::string& out) {
        out.append("VALUE ").append(request.substr(4));
        return true;
    });
    std::string input;
    std::string expected;
    for (int i = 0; i < 5000; ++i) {
        input += "GET " + std::to_string(i) + "\n";
        expected += "VALUE " + std::to_string(i) + "\n";
    }
    const Outcome got = cli(server, {}, input);
    EXPECT_EQ(got.out, expected);
    EXPECT_EQ(got.exit_code, 0) << got.err;
}

TEST(Cli, WhatCannotBeSentIsAnsweredInItsPlace) {
    const FakeServer server;
    const Outcome got = cli(server, {"-r"}, "PING\nSET k 'a\nPING\n");
    EXPECT_EQ(got.out, "OK\nInvalid argument(s): unbalanced quotes\nOK\n");
    EXPECT_EQ(got.exit_code, 1);
}

TEST(Cli, ARedirectNamesTheNodeToAsk) {
    const FakeServer server(answer_by_table);
    const Outcome got = cli(server, {"--no-follow", "GET", "elsewhere"});
    EXPECT_TRUE(contains(got.err, "kv-cli --host 127.0.0.1 --port 7001")) << got.err;
}

TEST(Cli, AWriteThatMayHaveHappenedIsUnknownAndNotSentAgain) {
    std::atomic<int> writes = 0;
    const test::Answer hang_up = [&](Spoken, std::string_view request, std::string&) {
        writes += contains(request, "the-key") ? 1 : 0;
        return false;
    };
    const FakeServer one(hang_up);
    const FakeServer two(hang_up);
    const std::string nodes =
        "127.0.0.1:" + std::to_string(one.port()) + ",127.0.0.1:" + std::to_string(two.port());
    for (const std::string mode : {"--log-level=warn", "--binary", "--resp"}) {
        writes = 0;
        const Outcome got =
            test::run_program(program("KV_CLI"), {mode, "--node", nodes, "SET", "the-key", "v"});
        EXPECT_TRUE(got.out.ends_with(", outcome unknown\n")) << got.out;
        EXPECT_TRUE(contains(got.err, "read the key before you send it again")) << got.err;
        EXPECT_EQ(got.exit_code, 4);
        EXPECT_EQ(writes, 1) << mode;
    }
}

TEST(Cli, AnotherProtocolIsNoticed) {
    const FakeServer server([](Spoken, std::string_view, std::string& out) {
        out.append("HTTP/1.1 400 Bad Request\r\n");
        return true;
    });
    const Outcome got = cli(server, {"-r", "PING"});
    EXPECT_EQ(got.exit_code, 3);
    EXPECT_TRUE(contains(got.err, "Check --port")) << got.err;
}

}  // namespace
}  // namespace kv
