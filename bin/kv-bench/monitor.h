#pragma once

/// Latency and throughput over time: every thread hands in its intervals, which become one series,
/// and one line of progress each. Used by all threads.

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "bin/kv-bench/histogram.h"
#include "proto/base/units.h"

namespace kv::bench {

/// One interval of all threads.
struct Point {
    double at_s = 0;     ///< its end, from the start of the phase
    double seconds = 0;  ///< its length
    std::uint64_t requests = 0;
    std::uint64_t errors = 0;
    double p50_us = 0, p99_us = 0, p999_us = 0, max_us = 0;

    double requests_per_second() const noexcept {
        return seconds > 0 ? static_cast<double>(requests) / seconds : 0;
    }
};

enum class Progress : std::uint8_t { none, lines, terminal };  ///< terminal: one line, rewritten

class Monitor {
public:
    static constexpr std::size_t points_max = 100'000;  ///< later intervals are not kept

    Monitor(std::string label, unsigned threads, Progress progress)
        : label_(std::move(label)), threads_(threads), progress_(progress) {}

    /// One thread's interval number `index`, which ended `end` after the phase's start.
    void deliver(std::size_t index, Duration end, Duration length, const Histogram& latency,
                 std::uint64_t errors);
    /// A thread delivers nothing more. With the last one the series is whole.
    void leave();

    const std::vector<Point>& series() const noexcept { return series_; }

private:
    struct Slot {
        unsigned delivered = 0;
        Duration end{};
        Duration length{};
        Histogram latency;
        std::uint64_t errors = 0;
    };
    void finish_slots();
    void show(const Point& point);

    std::string label_;
    unsigned threads_;
    Progress progress_;
    std::mutex mutex_;
    std::map<std::size_t, Slot> slots_;  ///< not yet delivered by all; threads are about in step
    unsigned left_ = 0;
    bool shown_ = false;
    std::vector<Point> series_;
};

/// One line of progress, without its end.
std::string progress_line(std::string_view label, const Point& point);

}  // namespace kv::bench
