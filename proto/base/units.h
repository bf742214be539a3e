#pragma once

/// Sizes and durations with their unit in the literal or the type.

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace kv {

/// Durations and points of the reactor's monotonic clock, in nanoseconds. A point counts from an
/// origin that means nothing outside the process.
using Duration = std::chrono::nanoseconds;
struct MonotonicClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<MonotonicClock>;
    static constexpr bool is_steady = true;
};
using Instant = MonotonicClock::time_point;

using namespace std::chrono_literals;

inline namespace units {
constexpr std::size_t operator""_KiB(unsigned long long n) {
    return static_cast<std::size_t>(n) << 10;
}
constexpr std::size_t operator""_MiB(unsigned long long n) {
    return static_cast<std::size_t>(n) << 20;
}
constexpr std::size_t operator""_GiB(unsigned long long n) {
    return static_cast<std::size_t>(n) << 30;
}
}  // namespace units

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

}  // namespace kv
