#include "bin/kv-cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <sstream>

namespace kv::cli {

namespace {

constexpr const char* footer = R"(
Without a command, kv-cli reads commands, one a line: from a terminal with a prompt, or from a
pipe, silently. All behind the first word of a command belongs to the command.

  kv-cli                      talk to 127.0.0.1:6379
  kv-cli GET foo              one command
  kv-cli -p 7000 -r INFO      one command over RESP
  kv-cli -b < commands.txt    many

Text and binary mode: PING, SET <key> <value: the rest of the line>, GET <key>, DEL <key>, KEYS,
ADDSERVER <id> <host> <raft_port> <client_port>, REMOVESERVER <id>.
RESP mode: any command, with "quotes" where a word holds a space. The value of an upper-case SET
may be several words without quotes, unless the second of them is an option of SET.

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
    app.add_option("-p,--port", options.client.port, "Server's port")->capture_default_str();
    auto* binary_flag = app.add_flag("-b,--binary", binary, "Speak the binary protocol");
    app.add_flag("-r,--resp", resp, "Speak RESP, as Redis does")->excludes(binary_flag);
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
    if (options.client.port == 0) return refuse("--port: 0 is not a port to connect to");
    if (binary) options.client.mode = client::Mode::binary;
    if (resp) options.client.mode = client::Mode::resp;
    CommandLine line;
    line.run = std::move(options);
    return line;
}

}  // namespace kv::cli
