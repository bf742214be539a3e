#pragma once

#include <string>

#include "bin/kv-bench/result.h"

namespace kv::bench {

/// A page of three charts, as SVG that stands alone: throughput over time, latency over time, and
/// latency by percentile. `title` is shown as it is.
std::string plot_svg(std::string_view title, const StoredResult& result);

}  // namespace kv::bench
