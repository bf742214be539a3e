#include "bin/kv-server/flags.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

namespace kv {

namespace {

/// Flags that set one key each.
struct KeyFlag {
    const char* flag;
    const char* key;
    const char* help;
};
constexpr KeyFlag key_flags[] = {
    {"--id", "node.id", "id of this node"},
    {"--host", "client.bind", "address to listen on, a literal IPv4 or IPv6 address"},
    {"--client-port", "client.port", "port for clients; 0: the system chooses"},
    {"--raft-port", "peer.port", "port for the other nodes"},
    {"--data-dir", "node.data_dir", "directory for the data"},
    {"--log-level", "log.level", "trace, debug, info, warn, error, critical or off"},
};

void complain(const std::string& text) {
    fmt::print(stderr, "kv-server: {}\n", text);
}

/// Flags that are no keys of the configuration.
struct OtherFlags {
    std::string file;
    std::string peers;
    std::string engine = "memory";
    std::uint64_t snapshot_interval = 1000;
    std::vector<std::string> settings;
    std::string values[std::size(key_flags)];
};

/// A variable of a script that is not set: without the flag's value, a node would be started.
std::string not_empty(const std::string& path) {
    return path.empty() ? "expected a path, found \"\"" : "";
}

void declare(CLI::App& app, CommandLine& line, OtherFlags& flags) {
    app.set_version_flag("--version", "kv-server " KV_VERSION);
    app.allow_extras();  // to name the one that is wrong
    app.add_option("--config", flags.file, "TOML file; without it every key has its default")
        ->check(not_empty);
    app.add_flag("--check-config", line.check_config, "check the configuration and exit");
    app.add_flag("--print-config", line.print_config, "print the configuration in force and exit");
    app.add_option("--verify", line.verify,
                   "check every record and snapshot of a data directory that no server uses, "
                   "change nothing, and exit")
        ->check(not_empty);
    app.add_option("--set", flags.settings,
                   "set any key of the configuration, as client.port=7000");
    for (std::size_t i = 0; i < std::size(key_flags); ++i) {
        app.add_option(key_flags[i].flag, flags.values[i],
                       fmt::format("{} ({})", key_flags[i].help, key_flags[i].key));
    }
    app.add_option("--peers", flags.peers,
                   "the other nodes of a cluster, id:host:raft_port:client_port,... "
                   "(cluster.nodes; makes one node the leader of everything, cluster.leaders)");
    app.add_option("--snapshot-interval", flags.snapshot_interval,
                   "accepted, without effect: see the section [snapshot] of the configuration")
        ->check(CLI::PositiveNumber);
    app.add_option("--engine", flags.engine, "memory")->check(CLI::IsMember({"memory", "rocksdb"}));
}

bool set(Config& config, const std::string& flag, const std::string& key,
         const std::string& value) {
    const Status status = set_key(config, key, value);
    if (!status) complain(fmt::format("{}: {}", flag, status.error().text()));
    return status.has_value();
}

bool apply(const CLI::App& app, const OtherFlags& flags, Config& config) {
    for (std::size_t i = 0; i < std::size(key_flags); ++i) {
        const KeyFlag& flag = key_flags[i];
        if (app.count(flag.flag) == 0) continue;
        if (!set(config, flag.flag, flag.key, flags.values[i])) return false;
    }
    // Before --set, which has the last word about each key that the list implies.
    if (const Status status = set_peers(config, flags.peers); !status) {
        complain(fmt::format("--peers: {}", status.error().text()));
        return false;
    }
    for (const std::string& setting : flags.settings) {
        const std::size_t equals = setting.find('=');
        if (equals == setting.npos) {
            complain(fmt::format("--set {}: expected key=value", setting));
            return false;
        }
        const std::string key = setting.substr(0, equals);
        if (!set(config, "--set", key, setting.substr(equals + 1))) return false;
    }
    return true;
}

/// What can be configured but not run yet.
bool possible(const OtherFlags& flags) {
    if (flags.engine != "memory") {
        complain(
            "--engine rocksdb: there is one engine, memory with a log on disk; leave the flag out");
        return false;
    }
    return true;
}

}  // namespace

int exit_code_of(const Error& error) noexcept {
    switch (error.code) {
        case Errc::config: return exit_usage;
        case Errc::damaged: return exit_damaged;
        case Errc::foreign:
        case Errc::unsupported: return exit_foreign;
        default: return exit_failure;
    }
}

std::optional<CommandLine> parse_command_line(int argc, char** argv, int& exit_code) {
    CLI::App app("kv-server: a durable key-value store for text, binary and RESP clients.",
                 "kv-server");
    CommandLine line;
    OtherFlags flags;
    declare(app, line, flags);
    exit_code = exit_usage;
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) {  // --help, --version: on standard output
        app.exit(success);
        exit_code = exit_clean;
        return std::nullopt;
    } catch (const CLI::ParseError& error) {
        complain(fmt::format("{} (--help lists the flags)", error.what()));
        return std::nullopt;
    }
    if (const std::vector<std::string> rest = app.remaining(); !rest.empty()) {
        complain(fmt::format("unknown argument {} (--help lists the flags)", rest.front()));
        return std::nullopt;
    }
    if (!flags.file.empty()) {
        auto loaded = load_config(flags.file);
        if (!loaded) {
            fmt::print(stderr, "{}\n", loaded.error().text());
            return std::nullopt;
        }
        line.config = *std::move(loaded);
    }
    if (!apply(app, flags, line.config)) return std::nullopt;
    if (const Status status = check_config(line.config); !status) {
        complain(status.error().text());
        return std::nullopt;
    }
    if (!possible(flags)) return std::nullopt;
    exit_code = exit_clean;
    return line;
}

}  // namespace kv
