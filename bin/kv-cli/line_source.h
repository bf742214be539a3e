#pragma once

/// Where commands come from: a pipe or file, a terminal with libedit, or one without.

#include <memory>
#include <optional>
#include <string>

namespace kv::cli {

class LineSource {
public:
    virtual ~LineSource() = default;
    /// The next line without its end; nothing at the end of the input.
    virtual std::optional<std::string> next() = 0;
};

/// Lines of standard input; `prompt`, when not empty, is printed before each.
std::unique_ptr<LineSource> plain_lines(std::string prompt);

/// Lines of the terminal with editing and history; plain_lines() when this build has no libedit.
/// The history is kept in `history_file` unless that is empty.
std::unique_ptr<LineSource> terminal_lines(std::string prompt, std::string history_file);

/// ~/.kv_cli_history; KV_CLI_HISTORY overrides, empty: none.
std::string history_path();

}  // namespace kv::cli
