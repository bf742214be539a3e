#pragma once

/// Semaphore: bounded concurrency for coroutines; waiters are served in order. Owner core only.

#include <coroutine>
#include <cstdint>
#include <deque>

#include "io/reactor.h"

namespace kv::io {

class Semaphore {
public:
    Semaphore(Reactor& reactor, std::uint64_t units) noexcept : reactor_(reactor), units_(units) {}
    Semaphore(const Semaphore&) = delete;

    struct Awaiter {
        Semaphore& semaphore;
        explicit Awaiter(Semaphore& s) noexcept : semaphore(s) {}
        bool await_ready() const noexcept {
            if (semaphore.units_ == 0 || !semaphore.waiting_.empty()) return false;
            --semaphore.units_;
            return true;
        }
        void await_suspend(std::coroutine_handle<> waiting) {
            semaphore.waiting_.push_back(waiting);
        }
        void await_resume() const noexcept {}
    };
    /// Takes one unit, waiting for it if there is none.
    Awaiter take() noexcept { return Awaiter(*this); }
    /// Gives one unit back: to the first waiter if there is one.
    void give() {
        if (waiting_.empty()) {
            ++units_;
            return;
        }
        reactor_.make_ready(waiting_.front());
        waiting_.pop_front();
    }
    std::uint64_t free_units() const noexcept { return units_; }

private:
    Reactor& reactor_;
    std::uint64_t units_;
    std::deque<std::coroutine_handle<>> waiting_;
};

}  // namespace kv::io
