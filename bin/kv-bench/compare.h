#pragma once

#include <string>

#include "bin/kv-bench/result.h"

namespace kv::bench {

/// Two results as a table: a row for each figure, with the ratio B / A. Several lines.
std::string compare_text(const StoredResult& a, const StoredResult& b);

}  // namespace kv::bench
