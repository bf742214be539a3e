#pragma once

/// Runs a program as a user does, and says what it answered.

#include <string>
#include <string_view>
#include <vector>

namespace kv::test {

struct Outcome {
    int exit_code = -1;  ///< 128 + signal when one ended it
    std::string out;
    std::string err;
};

/// Runs `path` with `input` on its standard input, which then ends. Waits for its end.
Outcome run_program(const std::string& path, const std::vector<std::string>& args,
                    std::string_view input = {});

/// One step of a conversation: once the program has printed `expect` behind what earlier steps
/// saw, `type` is typed.
struct TerminalStep {
    std::string expect;
    std::string type;
};

/// Runs `path` on a terminal of its own; `out` is all that the terminal shows, echo included. A
/// program that ends early ends the conversation. `edits_lines`: the program reads keys, not
/// lines, and prints its prompt before it has told the terminal so; typing waits for that.
Outcome run_on_terminal(const std::string& path, const std::vector<std::string>& args,
                        const std::vector<TerminalStep>& steps, bool edits_lines);

}  // namespace kv::test
