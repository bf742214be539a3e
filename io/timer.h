#pragma once

/// Timers of one reactor: an intrusive binary heap ordered by (deadline, order of arming). Arming
/// and disarming cost O(log n) and no allocation beyond the heap's array. Owner core only.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "proto/base/assert.h"
#include "proto/base/units.h"

namespace kv::io {

/// Fires at most once per arming, from the reactor's turn, never before its deadline. Never moves.
class Timer {
public:
    using Fire = void (*)(Timer& timer) noexcept;
    explicit Timer(Fire fire) noexcept : fire_(fire) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { KV_ASSERT(!armed(), "disarm a timer before it goes away"); }
    bool armed() const noexcept { return position_ != not_armed; }
    Instant deadline() const noexcept { return deadline_; }

private:
    friend class TimerQueue;
    static constexpr std::size_t not_armed = ~std::size_t{0};
    Fire fire_;
    Instant deadline_{};
    std::uint64_t order_ = 0;
    std::size_t position_ = not_armed;
};

class TimerQueue {
public:
    /// (Re)arms `timer`.
    void arm(Timer& timer, Instant deadline);
    void disarm(Timer& timer) noexcept;
    std::optional<Instant> next() const noexcept;
    /// Fires what is due at `now`; timers armed meanwhile wait for the next call.
    void fire(Instant now);
    /// Disarms everything.
    void clear() noexcept;

private:
    static bool before(const Timer& a, const Timer& b) noexcept;
    void place(Timer& timer, std::size_t position) noexcept;
    void sift_up(std::size_t position) noexcept;
    void sift_down(std::size_t position) noexcept;

    std::vector<Timer*> heap_;
    std::uint64_t armed_count_ = 0;
};

}  // namespace kv::io
