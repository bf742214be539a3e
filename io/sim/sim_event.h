#pragma once

/// The one queue of everything that will happen in a simulated world, ordered by time and, within
/// one nanosecond, by the order of scheduling.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "proto/base/units.h"

namespace kv::io {

/// An operation in flight: core, place in the core's table, use of that place.
struct SimFlight {
    static constexpr std::uint32_t none = ~std::uint32_t{0};
    std::uint32_t core = none;
    std::uint32_t place = 0;
    std::uint64_t use = 0;

    bool exists() const noexcept { return core != none; }
    bool operator==(const SimFlight&) const = default;
};

enum class SimEventKind : std::uint8_t {
    look,      ///< a core may have something to do
    effect,    ///< an operation takes effect
    cancel,    ///< a cancellation reaches an operation
    callback,  ///< a function of the test's: `number`
    doorbell,  ///< a core of the same node ends the wait of core `number`
    // Network; `number` is a socket, or for `arrive` a connection attempt.
    arrive,   ///< a connection attempt reaches its listener
    answer,   ///< its outcome reaches the one who asked
    segment,  ///< `bytes` more have arrived
    fin,      ///< the peer has ended its half
    reset,    ///< the connection is broken
    window,   ///< the peer has made room
};

/// Kinds in the trace, beside the codes of operations.
enum SimTrace : std::uint64_t {
    trace_turn = 100,
    trace_network = 200,  ///< and the kind of the event
    trace_crash = 300,
    trace_boot,
    trace_wipe,
    trace_hang,
    trace_clock,
    trace_pause,
    trace_cut,
};

struct SimEvent {
    Instant at{};
    std::uint64_t sequence = 0;
    SimEventKind kind = SimEventKind::look;
    std::uint32_t number = 0;
    std::uint64_t bytes = 0;
    SimFlight flight;
};

class SimEvents {
public:
    bool empty() const noexcept { return heap_.empty(); }
    Instant next() const noexcept { return heap_.front().at; }
    void push(SimEvent event) {
        event.sequence = ++pushed_;
        heap_.push_back(event);
        std::push_heap(heap_.begin(), heap_.end(), later);
    }
    SimEvent pop() {
        std::pop_heap(heap_.begin(), heap_.end(), later);
        const SimEvent event = heap_.back();
        heap_.pop_back();
        return event;
    }

private:
    static bool later(const SimEvent& a, const SimEvent& b) noexcept {
        if (a.at != b.at) return a.at > b.at;
        return a.sequence > b.sequence;
    }
    std::vector<SimEvent> heap_;
    std::uint64_t pushed_ = 0;
};

}  // namespace kv::io
