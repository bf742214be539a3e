#include "tests/system/session.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/system/server.h"

namespace kv::test {

namespace {

constexpr std::string_view anything = "...";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
    return text;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text) {
    const std::size_t gap = pattern.find(anything);
    if (gap == std::string_view::npos) return pattern == text;
    if (!text.starts_with(pattern.substr(0, gap))) return false;
    const std::string_view rest = pattern.substr(gap + anything.size());
    for (std::size_t at = gap; at <= text.size(); ++at) {
        if (matches(rest, text.substr(at))) return true;
    }
    return false;
}

void expect_session(const SessionSetting& setting, const std::vector<SessionStep>& steps) {
    const std::string programs = std::filesystem::path(program("KV_CLI")).parent_path();
    const char* const path = std::getenv("PATH");
    Args variables{"PATH=" + programs + ":" + (path != nullptr ? path : "/usr/bin:/bin")};
    variables.insert(variables.end(), setting.variables.begin(), setting.variables.end());
    for (const SessionStep& step : steps) {
        std::string command = step.command;
        for (const auto& [from, to] : setting.replacements) command = replaced(command, from, to);
        SCOPED_TRACE(command);
        Args args = variables;
        args.insert(args.end(), {"/bin/sh", "-c", "{ " + command + "\n} 2>&1"});
        RunningProgram shell("env", args, {.directory = setting.directory});
        EXPECT_EQ(shell.wait(), 0);
        EXPECT_TRUE(matches(step.expected, shell.out())) << "expected:\n"
                                                         << step.expected << "printed:\n"
                                                         << shell.out();
    }
}

}  // namespace kv::test
