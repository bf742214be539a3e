#pragma once

/// Open loop: request i is due at start + i / rate, whatever the server does. What is due and not
/// sent needs no queue: its moments follow from its number.

#include <algorithm>
#include <cstdint>

#include "proto/base/units.h"

namespace kv::bench {

class Pacer {
public:
    /// `rate` requests a second, > 0.
    void start(Instant start, double rate) noexcept {
        start_ = start;
        interval_ns_ = 1e9 / rate;
    }
    /// When request number `index` is to be sent.
    Instant intended(std::uint64_t index) const noexcept {
        return start_ +
               Duration(static_cast<std::int64_t>(static_cast<double>(index) * interval_ns_));
    }
    /// How many requests are due at `now`.
    std::uint64_t due(Instant now) const noexcept {
        if (now < start_) return 0;
        auto count =
            static_cast<std::uint64_t>(static_cast<double>((now - start_).count()) / interval_ns_);
        // The division rounds; intended() has the last word.
        while (count > 0 && intended(count - 1) > now) --count;
        while (intended(count) <= now) ++count;
        return count;
    }
    /// How long from `now` until request `index` is due; zero when it is.
    Duration until(std::uint64_t index, Instant now) const noexcept {
        return std::max(intended(index) - now, Duration::zero());
    }

private:
    Instant start_;
    double interval_ns_ = 1e9;
};

}  // namespace kv::bench
