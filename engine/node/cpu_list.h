#pragma once

/// Lists of CPUs as taskset and the kernel write them: "0-3,6". Pure.

#include <string_view>
#include <vector>

#include "proto/base/result.h"

namespace kv {

inline constexpr int cpu_max = 4095;

/// In the order of the list. Error `config`, a sentence: not a list, or a CPU is named twice.
Result<std::vector<int>> parse_cpu_list(std::string_view text);

}  // namespace kv
