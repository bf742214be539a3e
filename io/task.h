#pragma once

/// Task<T>: a lazy coroutine. It starts inside the co_await of its parent and runs on the parent's
/// stack until it first waits; a child that never waits costs no scheduling. A child that did wait
/// hands its parent to the reactor's run list when it ends, so the stack never grows with the
/// number of awaits, in any build (symmetric transfer grows it at -O0 and under sanitizers).
///
/// Owner core only. The Task owns the frame; destroying it destroys the frame, which is legal only
/// while no operation of the frame is in flight. Parameters are passed by value or outlive the
/// task. co_await stands alone, initialises a named local, or follows co_return: g++ 12.2
/// miscompiles the rest.

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "io/frame_pool.h"
#include "proto/base/assert.h"

namespace kv::io {

/// Coroutines that may go on; the reactor runs them once a turn, in order.
class ReadyQueue {
public:
    void push(std::coroutine_handle<> handle) { handles_.push_back(handle); }
    bool empty() const noexcept { return handles_.empty(); }
    void clear() noexcept { handles_.clear(); }
    /// Runs those that were there at the call; what they make ready waits for the next call.
    void run();

    /// The queue of the reactor that is running on this thread.
    static ReadyQueue*& current() noexcept;

private:
    std::vector<std::coroutine_handle<>> handles_;
    std::vector<std::coroutine_handle<>> running_;
};

template <typename T>
class Task;

namespace detail {

struct PromiseBase : PooledFrame {
    std::coroutine_handle<> parent;  ///< null until the child has waited

    struct Final {
        bool await_ready() const noexcept { return false; }
        template <typename Promise>
        void await_suspend(std::coroutine_handle<Promise> self) const noexcept {
            if (self.promise().parent) ReadyQueue::current()->push(self.promise().parent);
        }
        void await_resume() const noexcept {}
    };
    std::suspend_always initial_suspend() const noexcept { return {}; }
    Final final_suspend() const noexcept { return {}; }
    void unhandled_exception() const noexcept { std::terminate(); }
};

template <typename T>
struct Promise : PromiseBase {
    std::optional<T> value;
    Task<T> get_return_object() noexcept;
    template <typename U>
    void return_value(U&& result) {
        value.emplace(std::forward<U>(result));
    }
    T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
    Task<void> get_return_object() noexcept;
    void return_void() const noexcept {}
    void take() const noexcept {}
};

}  // namespace detail

template <typename T = void>
class [[nodiscard]] Task {
public:
    using promise_type = detail::Promise<T>;
    using Handle = std::coroutine_handle<promise_type>;

    Task() noexcept = default;
    explicit Task(Handle handle) noexcept : handle_(handle) {}
    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            if (handle_) handle_.destroy();
            handle_ = std::exchange(other.handle_, {});
        }
        return *this;
    }
    ~Task() {
        if (handle_) handle_.destroy();
    }

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> parent) {
        handle_.resume();
        if (handle_.done()) return false;  // ended without waiting: the parent just goes on
        handle_.promise().parent = parent;
        return true;
    }
    T await_resume() { return handle_.promise().take(); }

private:
    Handle handle_;
};

template <typename T>
Task<T> detail::Promise<T>::get_return_object() noexcept {
    return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> detail::Promise<void>::get_return_object() noexcept {
    return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

}  // namespace kv::io
