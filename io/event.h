#pragma once

/// Event: wakes the one coroutine that waits for it. Set before the wait: the wait ends at once.
/// Stays set until reset(). Owner core only.

#include <coroutine>

#include "io/reactor.h"

namespace kv::io {

class Event {
public:
    explicit Event(Reactor& reactor) noexcept : reactor_(reactor) {}
    Event(const Event&) = delete;

    void set() {
        set_ = true;
        if (waiting_) reactor_.make_ready(std::exchange(waiting_, {}));
    }
    void reset() noexcept { set_ = false; }
    bool is_set() const noexcept { return set_; }

    struct Awaiter {
        Event& event;
        explicit Awaiter(Event& e) noexcept : event(e) {}
        bool await_ready() const noexcept { return event.set_; }
        void await_suspend(std::coroutine_handle<> waiting) noexcept {
            KV_ASSERT(!event.waiting_, "one waiter at a time");
            event.waiting_ = waiting;
        }
        void await_resume() const noexcept {}
    };
    Awaiter wait() noexcept { return Awaiter(*this); }

private:
    Reactor& reactor_;
    std::coroutine_handle<> waiting_;
    bool set_ = false;
};

}  // namespace kv::io
