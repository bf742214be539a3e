#pragma once

/// CONFIG GET and CONFIG SET: the keys of the file by their own names, and the names that tools for
/// Redis ask for. What can change at run time is a short list; the rest says which key of the file
/// to change. Pure: the caller hands each core the new Config.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/node/config.h"
#include "proto/command_options.h"

namespace kv {

/// What CONFIG GET shows and the configuration does not hold.
struct ConfigFacts {
    std::uint16_t port = 0;  ///< in use, where the configuration may leave it to the system
};

using Parameter = std::pair<std::string, std::string>;

/// All whose names match one of `patterns`, in the order of the names.
std::vector<Parameter> matching_parameters(const Config& config, const ConfigFacts& facts,
                                           Args patterns);

/// `pairs`: names and values in turn. All of them, or none and why not, in the words of Redis.
Result<Config> changed_config(const Config& config, Args pairs);

}  // namespace kv
