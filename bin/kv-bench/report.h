#pragma once

/// What a run has measured, for people.

#include <string>

#include "bin/kv-bench/measured.h"
#include "bin/kv-bench/options.h"

namespace kv::bench {

/// The totals that every form of report prints.
struct Summary {
    explicit Summary(const Measured& measured);

    std::uint64_t requests;
    double seconds;
    double requests_per_second;
    double mean_us, p50_us, p90_us, p99_us, p999_us, max_us;
    double cpu_percent;  ///< of the generator; near 100 per thread, it is itself the limit
};

/// "redirected 3, no leader 12"; empty: there are none.
std::string classes_text(const ErrorKinds& errors);
/// The load in one line.
std::string describe_load(const Options& options);
/// Several lines, the last one ended.
std::string report_text(const Options& options, const Measured& measured);

}  // namespace kv::bench
