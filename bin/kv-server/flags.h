#pragma once

/// What the command line of kv-server says. Flags override the file.

#include <optional>
#include <string>

#include "engine/node/config.h"

namespace kv {

inline constexpr int exit_clean = 0;
inline constexpr int exit_failure = 1;
inline constexpr int exit_usage = 2;    ///< usage or configuration
inline constexpr int exit_damaged = 3;  ///< acknowledged data cannot be read back
inline constexpr int exit_foreign = 4;  ///< the data belongs to another node or version

/// What an error of a start or of a check ends the process with.
int exit_code_of(const Error& error) noexcept;

struct CommandLine {
    Config config;
    bool check_config = false;
    bool print_config = false;
    std::string verify;  ///< a data directory that is to be checked; empty: none
};

/// Parses the arguments and the file they name, and checks the whole. Nothing: the process is to
/// end with `exit_code`; what there was to say has been printed.
std::optional<CommandLine> parse_command_line(int argc, char** argv, int& exit_code);

}  // namespace kv
