#pragma once

/// Starvation: notices when its core did not run for a while, because others had the CPU or the
/// process was stopped. Ticks come every 10 ms; one that comes much later says so. Pure.

#include <optional>

#include "proto/base/units.h"

namespace kv {

class Starvation {
public:
    /// At each tick. How long it has been since the last, if that is longer than `limit`.
    std::optional<Duration> tick(Instant now, Duration limit) noexcept {
        const Duration gap = last_ ? now - *last_ : Duration::zero();
        last_ = now;
        if (gap <= limit) return std::nullopt;
        return gap;
    }

private:
    std::optional<Instant> last_;
};

}  // namespace kv
