#pragma once

/// Where commands come from: a pipe or file, a terminal with libedit, or one without.

#include <memory>
#include <optional>
#include <string>

#include "bin/kv-cli/commands.h"

namespace kv::cli {

class LineSource {
public:
    virtual ~LineSource() = default;
    /// The next line without its end; nothing at the end of the input.
    virtual std::optional<std::string> next() = 0;
    /// Whether next() returns without waiting: what came through a pipe together is sent together.
    virtual bool ready() const { return false; }
};

/// Lines of standard input; `prompt`, when not empty, is printed before each.
std::unique_ptr<LineSource> plain_lines(std::string prompt);

/// Lines of the terminal, with editing, the history in `history_file` unless that is empty, and on
/// the right of the line the arguments that are still to come. Tab completes. Without libedit in
/// this build: plain_lines(). `commands` outlives it.
std::unique_ptr<LineSource> terminal_lines(std::string prompt, std::string history_file,
                                           const CommandTable& commands);

}  // namespace kv::cli
