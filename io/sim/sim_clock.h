#pragma once

/// A clock of a simulated machine. It reads nanoseconds, runs with the world's time or faster or
/// slower by some parts per million, and may be moved. Integers only.

#include <cstdint>

#include "proto/base/assert.h"
#include "proto/base/units.h"

namespace kv::io {

class SimClock {
public:
    static constexpr std::int32_t drift_ppm_max = 500'000;

    explicit SimClock(std::int64_t base_ns = 0) noexcept : base_ns_(base_ns) {}

    std::int64_t read(Instant world) const noexcept {
        const std::int64_t passed = (world - base_).count();
        if (drift_ppm_ == 0) return base_ns_ + passed;
        return base_ns_ + passed + passed / million * drift_ppm_ +
               passed % million * drift_ppm_ / million;
    }
    /// The first instant at which it reads at least `ns`, unless that was before the last change.
    Instant when(std::int64_t ns) const noexcept {
        const std::int64_t ahead = ns - base_ns_;
        if (drift_ppm_ == 0 || ahead <= 0) return base_ + Duration(ahead);
        const std::int64_t rate = million + drift_ppm_;
        Instant at = base_ + Duration(ahead / rate * million + ahead % rate * million / rate);
        while (at > base_ && read(at - Duration(1)) >= ns) at -= Duration(1);
        while (read(at) < ns) at += Duration(1);
        return at;
    }

    std::int32_t drift_ppm() const noexcept { return drift_ppm_; }
    void set_drift(Instant world, std::int32_t ppm) noexcept {
        KV_ASSERT(ppm >= -drift_ppm_max && ppm <= drift_ppm_max);
        base_ns_ = read(world);
        base_ = world;
        drift_ppm_ = ppm;
    }
    void jump(Duration by) noexcept { base_ns_ += by.count(); }

private:
    static constexpr std::int64_t million = 1'000'000;
    std::int64_t base_ns_;
    Instant base_{};  ///< when it read `base_ns_`
    std::int32_t drift_ppm_ = 0;
};

}  // namespace kv::io
