#pragma once

/// The checks that concern more than one configuration key. Inside engine/node/config*.cc only.
/// Pure.

#include <string>
#include <string_view>
#include <vector>

#include "engine/node/config.h"

namespace kv {

struct ConfigProblem {
    std::string_view key;  ///< the one to change, for the line number
    std::string text;
};

std::vector<ConfigProblem> problems_of(const Config& config);

/// Errors are texts of several lines.
void append_line(std::string& text, std::string_view line);

}  // namespace kv
