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

/// The same with the sum of what was counted: what a monitoring system wants of a histogram.
struct DurationHistogram {
    DurationCounts counts{};
    Duration sum{};

    void add(Duration took, std::uint64_t times = 1) noexcept {
        const auto us = static_cast<std::uint64_t>(took.count()) / 1000;
        counts[std::min(static_cast<std::size_t>(std::bit_width(us)), duration_classes - 1)] +=
            times;
        sum += took * static_cast<std::int64_t>(times);
    }
    void add(const DurationHistogram& other) noexcept {
        for (std::size_t i = 0; i < duration_classes; ++i) counts[i] += other.counts[i];
        sum += other.sum;
    }
    std::uint64_t count() const noexcept {
        std::uint64_t all = 0;
        for (const std::uint64_t one : counts) all += one;
        return all;
    }
};

/// The bound below which `share` of what was counted lies, by straight lines within the classes.
/// Zero: nothing was counted. Of the last class only the lower bound is known.
inline Duration quantile(const DurationCounts& counts, double share) noexcept {
    double all = 0;
    for (const std::uint64_t one : counts) all += static_cast<double>(one);
    const double wanted = share * all;
    double below = 0;
    for (std::size_t i = 0; i < duration_classes; ++i) {
        const auto here = static_cast<double>(counts[i]);
        if (here == 0 || below + here < wanted) {
            below += here;
            continue;
        }
        const double from = i == 0 ? 0 : static_cast<double>(std::uint64_t{1} << (i - 1));
        const bool last = i + 1 == duration_classes;
        const double to = last ? from : static_cast<double>(std::uint64_t{1} << i);
        const double us = from + (to - from) * (wanted - below) / here;
        return Duration(static_cast<std::int64_t>(us * 1000));
    }
    return Duration{};
}

}  // namespace kv
