#pragma once

/// A session as documentation shows it: commands, and what each prints.

#include <string>
#include <vector>

namespace kv::test {

struct SessionStep {
    std::string command;   ///< for /bin/sh
    std::string expected;  ///< standard output and error together; "..." stands for any characters
};

/// What a shell runs the commands with.
struct SessionSetting {
    std::string directory;  ///< where
    /// Further variables, NAME=value. PATH leads with the folder of kv-cli.
    std::vector<std::string> variables;
    /// Replaced in the commands, each first by its second: a port that documentation shows by the
    /// one that the test has, say.
    std::vector<std::pair<std::string, std::string>> replacements;
};

/// Runs the steps in order. Every one is to exit with 0 and to print what is expected.
void expect_session(const SessionSetting& setting, const std::vector<SessionStep>& steps);

/// Whether `text` is `pattern`, in which "..." stands for any characters.
bool matches(std::string_view pattern, std::string_view text);

}  // namespace kv::test
