#pragma once

/// What was typed before: a file of one command a line, oldest first, readable by its owner alone,
/// because commands hold values. Each command is appended as it is typed, so that a crash loses
/// none and two programs at once keep both. Only lines from a terminal come here.

#include <string>
#include <string_view>
#include <vector>

namespace kv::cli {

inline constexpr std::size_t history_lines_max = 1000;

/// $KV_CLI_HISTORY, else ~/.kv_cli_history. Empty, also that of the variable: none is kept.
std::string history_path();

/// The latest history_lines_max commands of the file. A file that has grown to twice as many is
/// cut to these. Without a readable file: none.
std::vector<std::string> load_history(const std::string& path);

/// Appends `line`, unless it begins with a space or holds a password (AUTH, HELLO with AUTH). A
/// file that cannot be written loses the line and nothing else.
void append_history(const std::string& path, std::string_view line);

/// Whether append_history() would leave `line` out.
bool keeps_secret(std::string_view line);

}  // namespace kv::cli
