/// How kv-server is told what to do, and what it says when that cannot be right.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/system/server.h"

namespace kv::test {
namespace {

std::string write_file(const TemporaryDirectory& directory, const std::string& name,
                       std::string_view text) {
    std::string path = directory / name;
    std::ofstream(path) << text;
    return path;
}

/// `lines` is one sentence, ended.
bool is_one_line(const std::string& lines) {
    return lines.find('\n') + 1 == lines.size() && lines.size() > 1;
}

TEST(Configuration, WithoutArgumentsADurableNodeServesOnLoopbackInData) {
    const TemporaryDirectory scratch;
    // Somebody else may have the port of the default.
    const bool taken = Wire(6379).connected();
    const Args args = taken ? Args{"--set", "client.port=0"} : Args{};
    RunningProgram server(program("KV_SERVER"), args, {.directory = scratch.path()});
    const std::string line = server.wait_for_log("msg=ready");
    const std::string address = field(line, "address");
    EXPECT_TRUE(address.starts_with("127.0.0.1:")) << server.log();
    if (!taken) {
        EXPECT_EQ(address, "127.0.0.1:6379");
    }
    EXPECT_EQ(field(line, "data_dir"), "./data");
    EXPECT_EQ(field(line, "after"), "new");
    cpu_set_t cpus;
    ASSERT_EQ(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    EXPECT_EQ(field(line, "cores"), std::to_string(CPU_COUNT(&cpus)));
    EXPECT_EQ(field(line, "shards"), "16");
    EXPECT_TRUE(field(line, "io").starts_with("io_uring")) << line;
    EXPECT_FALSE(field(line, "recovery_ms").empty()) << line;
    EXPECT_TRUE(std::filesystem::exists(scratch / "data/identity"));
    server.send_signal(SIGTERM);
    EXPECT_EQ(server.wait(), 0);
    EXPECT_EQ(server.out(), "");
}

TEST(Configuration, FlagsOverrideTheFile) {
    const TemporaryDirectory scratch;
    const std::string file = write_file(scratch, "kv.toml",
                                        "[node]\nid = 7\ndata_dir = \"from-file\"\n"
                                        "[client]\nport = 1\nbind = \"127.0.0.9\"\n"
                                        "[cluster]\nshards = 4\n[log]\nlevel = \"error\"\n");
    RunningProgram server(
        program("KV_SERVER"),
        {"--config", file, "--id", "9", "--host", "127.0.0.1", "--client-port", "0", "--data-dir",
         "from-flag", "--log-level", "info", "--raft-port", "7002", "--snapshot-interval", "10"},
        {.directory = scratch.path()});
    const std::string line = server.wait_for_log("msg=ready");
    EXPECT_EQ(field(line, "node"), "9") << server.log();
    EXPECT_EQ(field(line, "data_dir"), "from-flag");
    EXPECT_EQ(field(line, "shards"), "4");
    EXPECT_TRUE(field(line, "address").starts_with("127.0.0.1:"));
    EXPECT_FALSE(std::filesystem::exists(scratch / "from-file"));
}

TEST(Configuration, WhatIsWrongInAFileIsNamedWithItsLine) {
    const struct {
        const char* toml;
        std::vector<std::string> said;
    } cases[] = {
        {"[wal]\nsegment_byte = 65536\n",
         {"kv.toml:2: ", "unknown key \"wal.segment_byte\"", "did you mean \"wal.segment_bytes\""}},
        {"\n\n[client]\nport = \"http\"\n",
         {"kv.toml:4: client.port: ", "an integer from 0 to 65535", "found \"http\""}},
        {"[client]\nport = 70000\n", {"kv.toml:2: client.port: ", "found 70000"}},
        {"[client]\nbind = \"localhost\"\n", {"kv.toml:2: client.bind: ", "IPv4 or IPv6 address"}},
        {"[node]\nid = 0\n", {"kv.toml:2: node.id: "}},
        {"[node\nid = 1\n", {"kv.toml:1: "}},
        {"reads = \"lease\"\n", {"reads"}},
    };
    const TemporaryDirectory scratch;
    for (const auto& c : cases) {
        const std::string file = write_file(scratch, "kv.toml", c.toml);
        for (const Args& args :
             {Args{"--config", file}, Args{"--config", file, "--check-config"}}) {
            const Outcome got = run_server(args, scratch.path());
            EXPECT_EQ(got.exit_code, 2) << c.toml;
            EXPECT_EQ(got.out, "");
            EXPECT_TRUE(is_one_line(got.err)) << got.err;
            for (const std::string& text : c.said) EXPECT_TRUE(contains(got.err, text)) << got.err;
        }
    }
    EXPECT_FALSE(std::filesystem::exists(scratch / "data"));
}

TEST(Configuration, TwoMistakesAreBothNamed) {
    const TemporaryDirectory scratch;
    const std::string file = write_file(
        scratch, "kv.toml", "[client]\nprot = 1\n[limits]\nvalue_bytes_max = \"1GiB\"\n");
    const Outcome got = run_server({"--config", file});
    EXPECT_EQ(got.exit_code, 2);
    EXPECT_TRUE(contains(got.err, "kv.toml:2: unknown key \"client.prot\"")) << got.err;
    EXPECT_TRUE(contains(got.err, "kv.toml:4: limits.value_bytes_max: ")) << got.err;
}

TEST(Configuration, WhatIsWrongOnTheCommandLineIsOneSentence) {
    const struct {
        Args args;
        const char* said;
    } cases[] = {
        {{"--bogus"}, "--bogus"},
        {{"stray"}, "stray"},
        {{"--config", "not-there.toml"}, "not-there.toml"},
        {{"--config"}, "--config"},
        {{"--id", "0"}, "--id: node.id: expected an integer from 1"},
        {{"--client-port", "65536"}, "--client-port: client.port: "},
        {{"--log-level", "shout"}, "--log-level: log.level: "},
        {{"--host", "localhost"}, "--host: client.bind: "},
        {{"--set", "client.prot=1"}, "did you mean \"client.port\"?"},
        {{"--set", "client.port"}, "expected key=value"},
        {{"--engine", "rocksdb"}, "there is one engine"},
        {{"--raft-port", "0"}, "--raft-port: peer.port: expected an integer from 1"},
        {{"--peers", "2:127.0.0.1:7002"}, "--peers: \"2:127.0.0.1:7002\": expected id:host:"},
        {{"--peers", "2:10.0.0.2:7001:6379"}, "set peer.insecure = true"},
        {{"--peers", "2:127.0.0.1:7001:6380"}, "127.0.0.1:7001 is listed twice"},
        {{"--set", "wal.segment_bytes=1MiB", "--set", "wal.batch_bytes_max=256KiB"},
         "limits.value_bytes_max: 1MiB is more than a quarter of wal.segment_bytes"},
    };
    const TemporaryDirectory scratch;
    for (const auto& c : cases) {
        const Outcome got = run_server(c.args, scratch.path());
        EXPECT_EQ(got.exit_code, 2) << c.said;
        EXPECT_EQ(got.out, "");
        EXPECT_TRUE(is_one_line(got.err)) << got.err;
        EXPECT_TRUE(contains(got.err, c.said)) << got.err;
    }
}

/// Both forms of the list: a mistake in it ends the start, what is only unwise is a warning.
TEST(Configuration, AListOfNodesIsCheckedBeforeTheStart) {
    const auto entry = [](int id, int port) {
        return fmt::format(
            "[[cluster.nodes]]\nid = {}\nhost = \"127.0.0.1\"\npeer_port = {}\n"
            "client_port = {}\n",
            id, port, port + 1);
    };
    const std::string own = "[client]\nport = 7102\n[peer]\nport = 7101\n" + entry(1, 7101);
    const struct {
        std::string list;
        int exit_code;
        std::string said;
    } cases[] = {
        {own + entry(2, 7201) + entry(3, 7301), 0, ""},
        {own + entry(2, 7201), 0, "2 nodes survive the loss of 0, as 1 would"},
        {own + entry(2, 7201) + entry(2, 7301), 2, "id 2 is listed twice"},
        {own + entry(2, 7201) + entry(3, 7201), 2, "127.0.0.1:7201 is listed twice"},
        {entry(2, 7201) + entry(3, 7301) + entry(4, 7401), 2, "node.id 1 is not among them"},
    };
    const TemporaryDirectory scratch;
    for (const auto& c : cases) {
        const std::string file = write_file(scratch, "kv.toml", c.list);
        const Outcome got = run_server({"--config", file, "--check-config"}, scratch.path());
        EXPECT_EQ(got.exit_code, c.exit_code) << got.err;
        EXPECT_TRUE(contains(got.err, c.said)) << got.err;
        EXPECT_EQ(got.err.empty(), c.said.empty()) << got.err;
    }
    const std::string peers = "2:127.0.0.1:7002:6380,3:127.0.0.1:7003:6381,4:127.0.0.1:7004:6382";
    const Outcome got = run_server({"--id", "1", "--peers", peers, "--check-config"});
    EXPECT_EQ(got.exit_code, 0) << got.err;
    EXPECT_TRUE(contains(got.err, "4 nodes survive the loss of 1, as 3 would")) << got.err;
}

/// The key allows more CPUs than there are: what the start would refuse, the check does.
TEST(Configuration, TheFileThatIsWrittenOutForAClusterIsRight) {
    std::ostringstream page;
    page << std::ifstream(program("KV_SOURCE") + "/docs/operations.md").rdbuf();
    const std::string text = page.str();
    const std::string opening = "```toml\n";
    const std::size_t from = text.find(opening) + opening.size();
    const std::size_t end = text.find("```", from);
    ASSERT_LT(end, text.size());
    const TemporaryDirectory scratch;
    const std::string file = write_file(scratch, "kv.toml", text.substr(from, end - from));
    const Outcome checked = run_server({"--config", file, "--check-config"});
    EXPECT_EQ(checked.exit_code, 0) << checked.err;
    EXPECT_EQ(checked.err, "");
}

TEST(Configuration, ACpuThatIsNotThereIsRefused) {
    const TemporaryDirectory scratch;
    for (const Args& more : {Args{}, Args{"--check-config"}}) {
        Args args{"--client-port", "0", "--set", "reactor.cpus=1023"};
        args.insert(args.end(), more.begin(), more.end());
        const Outcome got = run_server(args, scratch.path());
        EXPECT_EQ(got.exit_code, 2);
        EXPECT_EQ(got.out, "");
        EXPECT_TRUE(contains(got.err, "may not use CPU 1023")) << got.err;
    }
}

TEST(Configuration, TheFirstArgumentThatIsUnknownIsNamed) {
    for (const Args& args : {Args{"--prot", "7000", "--nonsense"}, Args{"stray", "other"}}) {
        const Outcome got = run_server(args);
        EXPECT_EQ(got.exit_code, 2);
        EXPECT_TRUE(is_one_line(got.err)) << got.err;
        EXPECT_TRUE(contains(got.err, "unknown argument " + args[0] + " ")) << got.err;
    }
}

/// `--verify "$BACKUP"` of a script without BACKUP must not start a node.
TEST(Configuration, AnEmptyPathIsRefused) {
    const TemporaryDirectory scratch;
    for (const char* flag : {"--verify", "--config"}) {
        const Outcome got = run_server({flag, "", "--client-port", "bad"}, scratch.path());
        EXPECT_EQ(got.exit_code, 2);
        EXPECT_TRUE(is_one_line(got.err)) << got.err;
        EXPECT_TRUE(contains(got.err, flag)) << got.err;
    }
}

TEST(Configuration, ChecksAndPrintsWithoutStarting) {
    const TemporaryDirectory scratch;
    const Outcome checked = run_server({"--check-config"}, scratch.path());
    EXPECT_EQ(checked.exit_code, 0);
    EXPECT_FALSE(checked.out.empty());
    EXPECT_EQ(checked.err, "");

    const Args changed{
        "--print-config",         "--id", "12", "--set", "commit_timeout=7s", "--set",
        "wal.segment_bytes=32MiB"};
    const Outcome printed = run_server(changed, scratch.path());
    EXPECT_EQ(printed.exit_code, 0);
    EXPECT_EQ(printed.err, "");
    EXPECT_TRUE(contains(printed.out, "\nid = 12\n")) << printed.out;
    EXPECT_TRUE(contains(printed.out, "\ncommit_timeout = \"7s\"\n"));
    EXPECT_TRUE(contains(printed.out, "\nsegment_bytes = \"32MiB\"\n"));
    const std::string file = write_file(scratch, "printed.toml", printed.out);
    const Outcome again = run_server({"--config", file, "--print-config"}, scratch.path());
    EXPECT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(again.out, printed.out);
    EXPECT_FALSE(std::filesystem::exists(scratch / "data"));
}

TEST(Configuration, HelpAndVersionGoToStandardOutput) {
    for (const char* flag : {"--help", "-h", "--version"}) {
        const Outcome got = run_server({flag});
        EXPECT_EQ(got.exit_code, 0) << flag;
        EXPECT_TRUE(contains(got.out, "kv-server")) << got.out;
        EXPECT_EQ(got.err, "");
    }
    const Outcome help = run_server({"--help"});
    for (const char* flag : {"--config", "--set", "--id", "--host", "--client-port", "--data-dir",
                             "--peers", "--log-level", "--check-config", "--print-config"}) {
        EXPECT_TRUE(contains(help.out, flag)) << flag;
    }
}

}  // namespace
}  // namespace kv::test
