#include "bin/kv-cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <sstream>

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

Text and binary mode: PING, SET <key> <value: the rest of the line>, GET <key>, DEL <key>, KEYS,
ADDSERVER <id> <host> <raft_port> <client_port>, REMOVESERVER <id>.
RESP mode: any command, with "quotes\x00" or 'quotes' where a word holds a space. The value of an
upper-case SET may be several words without quotes, unless the second of them is an option of SET.

On a terminal: Tab completes, the arguments to come stand on the right, `help` explains. The
history is in ~/.kv_cli_history, or the file that KV_CLI_HISTORY names; empty: none.

Exit codes: 0 answered, 1 an error or a redirect, 2 usage, 3 cannot connect or connection lost.)";

CommandLine refuse(const std::string& complaint) {
    CommandLine line;
    line.exit_code = exit_usage;
    line.complaint = complaint + "\nRun with --help for more information.\n";
    return line;
}

}  // namespace

CommandLine parse_options(int argc, const char* const* argv) {
    Options options;
    std::string log_level = "warn";
    bool binary = false;
    bool resp = false;
    CLI::App app("Client of kv-server.", "kv-cli");
    app.set_version_flag("--version", "kv-cli " KV_VERSION);
    app.footer(footer);
    app.prefix_command();
    app.add_option("--host", options.client.host, "Server's name or address")
        ->capture_default_str();
    app.add_option("-p,--port", options.client.port, "Server's port")
        ->check(CLI::Range(1, 65535))
        ->capture_default_str();
    auto* binary_flag = app.add_flag("-b,--binary", binary, "Speak the binary protocol");
    auto* resp_flag = app.add_flag("-r,--resp", resp, "Speak RESP, as Redis does");
    resp_flag->excludes(binary_flag);
    auto* resp3_flag = app.add_flag("-3", options.resp3, "Speak RESP3, the newer version of RESP");
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
    if (binary) options.client.mode = client::Mode::binary;
    if (options.scan && !options.command.empty()) {
        return refuse("--scan takes no command: " + options.command.front());
    }
    if (options.last_from_input && options.command.empty()) {
        return refuse("-x needs a command: kv-cli -r -x SET key < file");
    }
    if (resp || options.resp3 || options.scan) options.client.mode = client::Mode::resp;
    CommandLine line;
    line.run = std::move(options);
    return line;
}

}  // namespace kv::cli
