#pragma once

/// The flags of kv-bench, checked: whoever holds Options need not check again.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bin/kv-bench/stub.h"
#include "bin/kv-bench/workload.h"
#include "proto/base/result.h"
#include "proto/base/units.h"

namespace kv::bench {

/// Exit codes.
enum Exit : int {
    exit_clean = 0,
    exit_errors = 1,   ///< error replies, requests without a reply, or nothing measured
    exit_usage = 2,    ///< flags, or files that are not results
    exit_connect = 3,  ///< no connection, one was lost, or a file cannot be written
};

struct Options {
    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    WorkloadOptions workload;
    std::size_t connections = 50;
    std::size_t pipeline = 16;
    double rate = 0;  ///< requests a second of all threads; 0: closed loop
    Duration duration = 10s;
    std::uint64_t requests = 0;  ///< 0: for `duration`
    Duration warmup = 1s;
    Duration interval = 1s;  ///< of the series and of the progress
    unsigned threads = 1;
    std::vector<unsigned> cpus;  ///< thread i runs on cpus[i % size]; empty: anywhere
    bool preload = false;
    bool cluster = false;          ///< the server is one of a cluster: each key goes to its node
    bool reconnect = false;        ///< a lost connection is made again, and does not end the run
    std::optional<bool> progress;  ///< not given: when standard error is a terminal
    bool json = false;
    std::string result_file;  ///< these three: empty for none
    std::string plot_file;
    std::string record;
    Duration timeout = 30s;  ///< without any reply, the run fails
};

/// kv-bench compare A B
struct CompareFiles {
    std::string a, b;
};
/// kv-bench plot RESULT OUT
struct PlotFiles {
    std::string result, out;
};

/// "10s", "500ms", "250us", "2m"; a number alone is seconds.
std::optional<Duration> parse_duration(std::string_view text) noexcept;
/// "100" or "16-4096".
std::optional<ByteRange> parse_byte_range(std::string_view text) noexcept;

/// What the command line asks for: to do something, or to print something and exit.
struct CommandLine {
    std::variant<std::monostate, Options, CompareFiles, PlotFiles, StubOptions> task;
    int exit_code = exit_clean;  ///< without a task
    std::string out;             ///< for standard output: help, version
    std::string complaint;       ///< for standard error
};

CommandLine parse_options(int argc, const char* const* argv);

}  // namespace kv::bench
