#pragma once

/// The flags of kv-bench, checked: whoever holds Options need not check again.

#include <optional>
#include <string>
#include <vector>

#include "bin/kv-bench/workload.h"
#include "proto/base/result.h"
#include "proto/base/units.h"

namespace kv::bench {

/// Exit codes.
enum Exit : int {
    exit_clean = 0,
    exit_errors = 1,  ///< error replies, or nothing measured
    exit_usage = 2,
    exit_connect = 3,  ///< no connection, or one was lost
};

struct Options {
    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    WorkloadOptions workload;
    std::size_t connections = 50;
    std::size_t pipeline = 16;
    Duration duration = 10s;
    std::uint64_t requests = 0;  ///< 0: for `duration`
    Duration warmup = 1s;
    unsigned threads = 1;
    std::vector<unsigned> cpus;  ///< thread i runs on cpus[i % size]; empty: anywhere
    bool preload = false;
    bool json = false;
    Duration timeout = 30s;  ///< without any reply, the run fails
};

/// "10s", "500ms", "250us", "2m"; a number alone is seconds.
std::optional<Duration> parse_duration(std::string_view text) noexcept;

/// What the command line asks for: a run, or to print something and exit.
struct CommandLine {
    std::optional<Options> run;
    int exit_code = exit_clean;  ///< without `run`
    std::string out;             ///< for standard output: help, version
    std::string complaint;       ///< for standard error
};

CommandLine parse_options(int argc, const char* const* argv);

}  // namespace kv::bench
