#pragma once

/// The flags of kv-cli.

#include <optional>
#include <string>
#include <vector>

#include "bin/client/cluster_client.h"
#include "proto/base/log.h"

namespace kv::cli {

/// Exit codes.
enum Exit : int {
    exit_answered = 0,
    exit_error_reply = 1,  ///< also a redirect, and a command that cannot be sent
    exit_usage = 2,
    exit_connect = 3,  ///< no connection, or it was lost before the answer
    exit_unknown = 4,  ///< nobody knows whether a write was carried out
};

/// What kv-cli does with a cluster by itself.
enum class ClusterTask : std::uint8_t {
    none,
    status,    ///< `cluster status`
    transfer,  ///< `cluster transfer SHARD NODE`
};

struct Options {
    client::ClusterOptions cluster;
    log::Level log_level = log::Level::warn;
    bool json = false;
    bool scan = false;  ///< print all keys
    std::string scan_pattern;
    std::uint64_t scan_count = 0;      ///< 0: as the server likes
    bool last_from_input = false;      ///< standard input is the last argument
    std::vector<std::string> command;  ///< one-shot mode when not empty
    ClusterTask cluster_task = ClusterTask::none;
    std::uint16_t shard = 0;  ///< transfer: which
    NodeId node;              ///< transfer: to whom
};

/// What the command line asks for: to run, or to print something and exit.
struct CommandLine {
    std::optional<Options> run;
    int exit_code = exit_answered;  ///< without `run`
    std::string out;                ///< for standard output: help, version
    std::string complaint;          ///< for standard error
};

CommandLine parse_options(int argc, const char* const* argv);

}  // namespace kv::cli
