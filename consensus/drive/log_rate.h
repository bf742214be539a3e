#pragma once

/// LogRate: what the world can cause again and again is logged now and then, with how often it
/// happened in between.

#include <cstdint>

#include "proto/base/units.h"

namespace kv::consensus {

class LogRate {
public:
    static constexpr Duration period = 10s;

    /// Whether to log now; if so, `passed_over` is how many were not since the last.
    bool allow(Instant now, std::uint64_t& passed_over) noexcept {
        if (now < next_) {
            ++passed_over_;
            return false;
        }
        next_ = now + period;
        passed_over = passed_over_;
        passed_over_ = 0;
        return true;
    }

private:
    Instant next_ = Instant::min();
    std::uint64_t passed_over_ = 0;
};

}  // namespace kv::consensus
