#pragma once

/// A whole run: connect, preload, warm up, measure, over all threads in step.

#include "bin/kv-bench/worker.h"

namespace kv::bench {

/// The totals of the measured phase. Errors: what ended the run, for people.
Result<Measured> run_benchmark(const Options& options, Shared& shared);

}  // namespace kv::bench
