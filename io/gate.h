#pragma once

/// Gate: lets work in until it is closed, then waits until all of it has left. A long-lived object
/// that spawns work has one, and closes it before it goes away. Owner core only.

#include "io/event.h"

namespace kv::io {

class Gate {
public:
    explicit Gate(Reactor& reactor) noexcept : empty_(reactor) {}

    bool closed() const noexcept { return closed_; }
    /// False: closed, do not start.
    [[nodiscard]] bool try_enter() noexcept {
        if (closed_) return false;
        ++inside_;
        return true;
    }
    void leave() {
        KV_ASSERT(inside_ > 0);
        if (--inside_ == 0 && closed_) empty_.set();
    }
    std::uint64_t inside() const noexcept { return inside_; }

    Task<void> close() {
        closed_ = true;
        if (inside_ == 0) empty_.set();
        co_await empty_.wait();
    }

    /// Enters for the length of a scope; check entered().
    class Pass {
    public:
        explicit Pass(Gate& gate) noexcept : gate_(gate.try_enter() ? &gate : nullptr) {}
        Pass(const Pass&) = delete;
        ~Pass() {
            if (gate_ != nullptr) gate_->leave();
        }
        bool entered() const noexcept { return gate_ != nullptr; }

    private:
        Gate* gate_;
    };

private:
    Event empty_;
    std::uint64_t inside_ = 0;
    bool closed_ = false;
};

}  // namespace kv::io
