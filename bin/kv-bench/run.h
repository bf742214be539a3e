#pragma once

/// A whole run: connect, preload, warm up, measure, over all threads in step.

#include <vector>

#include "bin/kv-bench/measured.h"
#include "bin/kv-bench/monitor.h"
#include "bin/kv-bench/options.h"

namespace kv::bench {

struct RunResult {
    Measured measured;
    std::vector<Point> series;
};

/// What the measured phase gave. Errors: what ended the run, for people.
Result<RunResult> run_benchmark(const Options& options, Shared& shared);

}  // namespace kv::bench
