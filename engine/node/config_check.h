#pragma once

/// The checks that concern more than one configuration key. Inside engine/node/config*.cc only.
/// Pure.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/node/config.h"

namespace kv {

struct ConfigProblem {
    std::string_view key;  ///< the one to change, for the line number
    std::string text;
    std::optional<std::size_t> node = {};  ///< the element of cluster.nodes, if it is one
};

std::vector<ConfigProblem> problems_of(const Config& config);
/// Those of [[cluster.nodes]] and what belongs to it.
void check_nodes(const Config& config, std::vector<ConfigProblem>& problems);

/// Errors are texts of several lines.
void append_line(std::string& text, std::string_view line);

}  // namespace kv
