#pragma once

/// What a coroutine waits for: one operation, a point in time, the next turn.

#include <coroutine>

#include "io/op.h"
#include "io/reactor.h"

namespace kv::io {

/// `const std::int32_t result = co_await OpAwaiter(reactor, request);` submits and waits for the
/// one completion. Lives in the frame that waits.
class OpAwaiter : private Op {
public:
    OpAwaiter(Reactor& reactor, const OpRequest& request) noexcept
        : Op(request, &OpAwaiter::completed), reactor_(reactor) {}

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
        waiting_ = waiting;
        reactor_.backend().submit(*this);
    }
    std::int32_t await_resume() const noexcept { return result_; }

private:
    static void completed(Op& op, std::int32_t result, Completion completion) noexcept {
        auto& self = static_cast<OpAwaiter&>(op);
        KV_ASSERT(!completion.more, "a coroutine waits for single operations only");
        self.result_ = result;
        self.reactor_.make_ready(self.waiting_);
    }
    Reactor& reactor_;
    std::coroutine_handle<> waiting_;
    std::int32_t result_ = 0;
};

/// `co_await SleepAwaiter(reactor, deadline);`
class SleepAwaiter : private Timer {
public:
    SleepAwaiter(Reactor& reactor, Instant deadline) noexcept
        : Timer(&SleepAwaiter::fired), reactor_(reactor), at_(deadline) {}
    SleepAwaiter(Reactor& reactor, Duration duration) noexcept
        : SleepAwaiter(reactor, reactor.backend().now() + duration) {}
    ~SleepAwaiter() { reactor_.timers().disarm(*this); }

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
        waiting_ = waiting;
        reactor_.timers().arm(*this, at_);
    }
    void await_resume() const noexcept {}

private:
    static void fired(Timer& timer) noexcept {
        auto& self = static_cast<SleepAwaiter&>(timer);
        self.reactor_.make_ready(self.waiting_);
    }
    Reactor& reactor_;
    Instant at_;
    std::coroutine_handle<> waiting_;
};

/// `co_await NextTurn(reactor);` lets a long job give way.
class NextTurn {
public:
    explicit NextTurn(Reactor& reactor) noexcept : reactor_(reactor) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) { reactor_.make_ready(waiting); }
    void await_resume() const noexcept {}

private:
    Reactor& reactor_;
};

}  // namespace kv::io
