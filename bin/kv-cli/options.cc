#include "bin/kv-cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <optional>
#include <sstream>

#include "proto/base/integer.h"

namespace kv::cli {

namespace {

constexpr const char* footer = R"(
Without a command, kv-cli reads commands, one a line: from a terminal with a prompt, or from a
pipe, silently. All behind the first word of a command belongs to the command.

  kv-cli                        talk to 127.0.0.1:6379
  kv-cli GET foo                one command
  kv-cli -p 7000 -r INFO        one command over RESP
  kv-cli -b < commands.txt      many
  kv-cli -r -x SET page < file  the file is the value
  kv-cli --scan --pattern 'a*'  all keys that match, one a line
  kv-cli -3 --json HELLO 3      each reply as one JSON value
  kv-cli cluster status         who leads what, and who is behind
  kv-cli cluster transfer 3 2   node 2 is to lead shard 3

Text and binary mode: PING, SET <key> <value: the rest of the line>, GET <key>, DEL <key>, KEYS,
ADDSERVER <id> <host> <raft_port> <client_port>, REMOVESERVER <id>.
RESP mode: any command, with "quotes\x00" or 'quotes' where a word holds a space. The value of an
upper-case SET may be several words without quotes, unless the second of them is an option of SET.

`cluster status` and `cluster transfer SHARD NODE`, in lower case, are kv-cli's own; CLUSTER in
capitals, and all else, goes to the server.

Of a cluster, kv-cli asks the node that leads the key, and goes on with the others when one is gone.
A write is never sent twice: of one that was lost it says "outcome unknown".

On a terminal: Tab completes, the arguments to come stand on the right, `help` explains. The
history is in ~/.kv_cli_history, or the file that KV_CLI_HISTORY names; empty: none.

Exit codes: 0 answered, 1 an error or a redirect, 2 usage, 3 cannot connect or connection lost, 4 a
write has an unknown outcome. `cluster status`: 1 when a shard has no leader or no majority.)";

CommandLine refuse(const std::string& complaint) {
    CommandLine line;
    line.exit_code = exit_usage;
    line.complaint = complaint + "\nRun with --help for more information.\n";
    return line;
}

/// Nothing: the command is the server's.
std::optional<std::string> take_cluster_task(Options& options) {
    const std::vector<std::string>& words = options.command;
    if (words.size() < 2 || words[0] != "cluster") return std::nullopt;
    if (words[1] == "status") {
        const bool json = words.size() == 3 && words[2] == "--json";
        if (words.size() != 2 && !json) return "cluster status takes no more than --json";
        options.json = options.json || json;
        options.cluster_task = ClusterTask::status;
        return std::string();
    }
    if (words[1] != "transfer") return std::nullopt;
    const auto shard = words.size() == 4 ? parse_integer(words[2]) : std::nullopt;
    const auto node = words.size() == 4 ? parse_integer(words[3]) : std::nullopt;
    const bool fits = shard && *shard >= 0 &&
                      *shard < static_cast<std::int64_t>(ShardMap::shards_max) && node &&
                      *node > 0 && *node <= UINT32_MAX;
    if (!fits) return "cluster transfer takes the number of a shard and that of a node";
    options.cluster_task = ClusterTask::transfer;
    options.shard = static_cast<std::uint16_t>(*shard);
    options.node = NodeId(static_cast<std::uint64_t>(*node));
    return std::string();
}

/// An empty complaint: they are all addresses.
std::string take_nodes(const std::vector<std::string>& nodes, Options& options) {
    options.cluster.nodes.clear();
    for (const std::string& text : nodes) {
        const auto address = client::parse_address(text);
        if (!address) return fmt::format("--node: '{}' is no host:port", text);
        options.cluster.nodes.push_back(*address);
    }
    return {};
}

}  // namespace

CommandLine parse_options(int argc, const char* const* argv) {
    Options options;
    std::string log_level = "warn";
    bool binary = false;
    bool resp = false;
    bool no_follow = false;
    client::Address server = options.cluster.nodes.front();
    std::vector<std::string> nodes;
    CLI::App app("Client of kv-server.", "kv-cli");
    app.set_version_flag("--version", "kv-cli " KV_VERSION);
    app.footer(footer);
    app.prefix_command();
    auto* host_option =
        app.add_option("--host", server.host, "Server's name or address")->capture_default_str();
    auto* port_option = app.add_option("-p,--port", server.port, "Server's port")
                            ->check(CLI::Range(1, 65535))
                            ->capture_default_str();
    app.add_option("--node", nodes,
                   "host:port of a node of a cluster, more with commas: the first that accepts is "
                   "asked, and the others when it is gone")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->excludes(host_option)
        ->excludes(port_option);
    app.add_flag("--no-follow", no_follow,
                 "Talk to one node, and print where it sends you instead of going there");
    auto* binary_flag = app.add_flag("-b,--binary", binary, "Speak the binary protocol");
    auto* resp_flag = app.add_flag("-r,--resp", resp, "Speak RESP, as Redis does");
    resp_flag->excludes(binary_flag);
    auto* resp3_flag =
        app.add_flag("-3", options.cluster.resp3, "Speak RESP3, the newer version of RESP");
    resp3_flag->excludes(binary_flag);
    app.add_flag("--json", options.json, "Print each reply as one JSON value");
    auto* scan_flag = app.add_flag("--scan", options.scan, "Print all keys, over RESP");
    scan_flag->excludes(binary_flag);
    app.add_option("--pattern", options.scan_pattern, "--scan: only keys that match, as in 'a*'")
        ->needs(scan_flag);
    app.add_option("--count", options.scan_count, "--scan: keys to look at per step")
        ->needs(scan_flag)
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
    app.add_flag("-x", options.last_from_input, "Standard input is the command's last argument");
    app.add_option("-l,--log-level", log_level, "trace, debug, info, warn, error or critical")
        ->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        CommandLine line;
        std::ostringstream out;
        std::ostringstream complaint;
        const bool fine = app.exit(error, out, complaint) == 0;
        line.exit_code = fine ? exit_answered : exit_usage;
        line.out = out.str();
        line.complaint = complaint.str();
        return line;
    }
    options.command = app.remaining();
    if (!options.command.empty() && options.command.front().starts_with("-")) {
        return refuse("The following argument was not expected: " + options.command.front());
    }
    if (!log::parse_level(log_level, options.log_level)) {
        return refuse(
            fmt::format("--log-level: '{}' is none of trace, debug, info, warn, error, "
                        "critical",
                        log_level));
    }
    options.cluster.nodes = {server};
    if (!nodes.empty()) {
        const std::string complaint = take_nodes(nodes, options);
        if (!complaint.empty()) return refuse(complaint);
    }
    options.cluster.follow = !no_follow;
    const auto complaint = take_cluster_task(options);
    if (complaint && !complaint->empty()) return refuse(*complaint);
    if (binary) options.cluster.mode = client::Mode::binary;
    if (options.scan && !options.command.empty()) {
        return refuse("--scan takes no command: " + options.command.front());
    }
    if (options.last_from_input && options.command.empty()) {
        return refuse("-x needs a command: kv-cli -r -x SET key < file");
    }
    if (resp || options.cluster.resp3 || options.scan) options.cluster.mode = client::Mode::resp;
    CommandLine line;
    line.run = std::move(options);
    return line;
}

}  // namespace kv::cli
