#pragma once

/// Durations counted by powers of two: class 0 is below 1 us, class i below 2^i us, and the last
/// one holds all that took longer.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "proto/base/units.h"

namespace kv {

inline constexpr std::size_t duration_classes = 24;
using DurationCounts = std::array<std::uint64_t, duration_classes>;

inline void count_duration(DurationCounts& counts, Duration took) noexcept {
    const auto us = static_cast<std::uint64_t>(took.count()) / 1000;
    ++counts[std::min(static_cast<std::size_t>(std::bit_width(us)), duration_classes - 1)];
}

}  // namespace kv
