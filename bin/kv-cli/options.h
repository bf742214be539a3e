#pragma once

/// The flags of kv-cli.

#include <optional>
#include <string>
#include <vector>

#include "bin/client/client.h"
#include "proto/base/log.h"

namespace kv::cli {

/// Exit codes.
enum Exit : int {
    exit_answered = 0,
    exit_error_reply = 1,  ///< also a redirect, and a command that cannot be sent
    exit_usage = 2,
    exit_connect = 3,  ///< no connection, or it was lost before the answer
};

struct Options {
    client::ClientOptions client;
    log::Level log_level = log::Level::warn;
    bool resp3 = false;  ///< begin with HELLO 3
    bool json = false;
    bool scan = false;  ///< print all keys
    std::string scan_pattern;
    std::uint64_t scan_count = 0;      ///< 0: as the server likes
    bool last_from_input = false;      ///< standard input is the last argument
    std::vector<std::string> command;  ///< one-shot mode when not empty
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
