#pragma once

/// What a run has measured, for people and for programs.

#include <string>

#include "bin/kv-bench/worker.h"

namespace kv::bench {

/// The totals that both forms print.
struct Summary {
    explicit Summary(const Measured& measured);

    std::uint64_t requests;
    double seconds;
    double requests_per_second;
    double mean_us, p50_us, p90_us, p99_us, p999_us, max_us;
    double cpu_percent;  ///< of the generator; near 100 per thread, it is itself the limit
};

/// Several lines, the last one ended.
std::string report_text(const Options& options, const Measured& measured);
/// One line.
std::string report_json(const Options& options, const Measured& measured);

}  // namespace kv::bench
