#include "bin/kv-bench/monitor.h"

#include <fmt/format.h>

#include <cstdio>

#include "bin/kv-bench/text.h"

namespace kv::bench {

namespace {

constexpr const char* back_and_clear = "\r\x1b[K";

double seconds(Duration duration) noexcept {
    return std::chrono::duration<double>(duration).count();
}
double us(std::uint64_t nanoseconds) noexcept {
    return static_cast<double>(nanoseconds) / 1e3;
}

}  // namespace

std::string progress_line(std::string_view label, const Point& point) {
    // Two lines in a row are not to have the same time.
    const int digits = point.seconds >= 0.95 ? 0 : point.seconds >= 0.095 ? 1 : 2;
    std::string out = fmt::format("{}{:.{}f} s  {} requests/s  p50 {}  p99 {}", label, point.at_s,
                                  digits, human_count(point.requests_per_second()),
                                  human_time(point.p50_us), human_time(point.p99_us));
    if (point.errors > 0) out += fmt::format("  errors {}", point.errors);
    return out;
}

void Monitor::deliver(std::size_t index, Duration end, Duration length, const Histogram& latency,
                      std::uint64_t errors) {
    const std::lock_guard lock(mutex_);
    Slot& slot = slots_[index];
    ++slot.delivered;
    slot.end = std::max(slot.end, end);
    slot.length = std::max(slot.length, length);
    slot.latency.merge(latency);
    slot.errors += errors;
    finish_slots();
}

void Monitor::leave() {
    const std::lock_guard lock(mutex_);
    ++left_;
    finish_slots();
    if (left_ == threads_ && shown_ && progress_ == Progress::terminal) {
        std::fputs(back_and_clear, stderr);
    }
}

void Monitor::finish_slots() {
    while (!slots_.empty() && slots_.begin()->second.delivered + left_ >= threads_) {
        const Slot& slot = slots_.begin()->second;
        Point point;
        point.at_s = seconds(slot.end);
        point.seconds = seconds(slot.length);
        point.requests = slot.latency.total();
        point.errors = slot.errors;
        point.p50_us = us(slot.latency.percentile(50));
        point.p99_us = us(slot.latency.percentile(99));
        point.p999_us = us(slot.latency.percentile(99.9));
        point.max_us = us(slot.latency.max());
        if (series_.size() < points_max) series_.push_back(point);
        show(point);
        slots_.erase(slots_.begin());
    }
}

void Monitor::show(const Point& point) {
    if (progress_ == Progress::none) return;
    shown_ = true;
    const std::string line = progress_line(label_, point);
    if (progress_ == Progress::terminal) {
        std::fprintf(stderr, "%s%s", back_and_clear, line.c_str());
    } else {
        std::fprintf(stderr, "%s\n", line.c_str());
    }
    std::fflush(stderr);
}

}  // namespace kv::bench
