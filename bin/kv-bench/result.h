#pragma once

/// A run as JSON, and back. --json prints the summary; the file of --result has two members more:
///
///   format       "kv-bench 1"
///   load         one line for people
///   host port protocol connections pipeline threads rate keys keys_dist key_bytes
///   value_bytes  [least, most]
///   mix          {"get": share, ...}, shares that are not zero
///   reads        share of GET
///   seed duration_s warmup_s
///   requests seconds requests_per_second
///   latency_us   {"mean", "p50", "p90", "p99", "p99.9", "max"}
///   generator_cpu_percent   100 is one core
///   not_found errors errors_by_kind first_errors not_sent unanswered
///   errors_by_class         {"unknown outcome": count, ...}, those that are not zero
///   with --cluster: retried retried_by_class   refused or lost, and sent again
///   longest_gaps_ms         of each shard: see shard_gaps.h
///   map_refreshes           after the first map
///   series       [{"at_s", "seconds", "requests", "errors", "p50_us", "p99_us", "p99.9_us",
///                "max_us"}, ...], one for each --interval
///   histogram    [[latency in us, count], ...], ascending, the middle of each bucket

#include <string>
#include <utility>
#include <vector>

#include "bin/kv-bench/options.h"
#include "bin/kv-bench/run.h"

namespace kv::bench {

/// One line.
std::string summary_json(const Options& options, const Measured& measured);
std::string result_json(const Options& options, const RunResult& result);

/// What compare and plot need of a result.
struct StoredResult {
    std::string load;
    double requests_per_second = 0;
    double mean_us = 0, p50_us = 0, p90_us = 0, p99_us = 0, p999_us = 0, max_us = 0;
    double errors = 0;
    double cpu_percent = 0;
    std::vector<Point> series;                         ///< empty for a summary
    std::vector<std::pair<double, double>> histogram;  ///< us, count
};

/// Errors: `syntax`, what is wrong with it; without the file's name.
Result<StoredResult> parse_result(std::string_view json);
/// Errors: of parse_result, or `io`; with the file's name.
Result<StoredResult> read_result(const std::string& path);
/// Whether write_file() could write there; to be asked before a long run. Leaves no trace, and lets
/// alone what is no file: a pipe's reader would take the test for the end.
/// Errors: `io`, with path and reason.
Status check_writable(const std::string& path);
/// Errors: `io`, with path and reason.
Status write_file(const std::string& path, std::string_view content);

}  // namespace kv::bench
