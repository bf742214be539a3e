#pragma once

/// The flags of etcd_load, which are named as those of kv-bench are.

#include <optional>
#include <string>
#include <vector>

#include "proto/base/units.h"

namespace kv::etcd_load {

struct Options {
    std::vector<std::string> endpoints{"127.0.0.1:2379"};  ///< clients are dealt out to them
    bool leader = false;           ///< only to the one among them that leads
    std::size_t connections = 50;  ///< with one request at a time each
    std::uint64_t keys = 1'000'000;
    std::size_t value_bytes = 100;
    bool get = false;      ///< linearizable reads; else puts
    bool preload = false;  ///< writes every key once, not counted
    Duration warmup = 1s;
    Duration duration = 10s;  ///< 0: preload only
    Duration timeout = 30s;   ///< without any reply, the run fails
    std::uint64_t seed = 1;
};

/// Nothing: they make no sense, or help was asked for, and was printed; `exit_code` says which.
std::optional<Options> parse_options(int argc, const char* const* argv, int& exit_code);

}  // namespace kv::etcd_load
