#pragma once

/// call_on: runs a function on another core and waits for what it returns.
///
///     auto count = [&](Reactor& there) { return node.part(there.core()).keys(); };
///     const std::uint64_t keys = co_await call_on(reactor, CoreId(2), count);
///
/// For control flow (start, stop, hand-over, INFO), not for requests. The function gets the reactor
/// of the target and returns a value, nothing, or a Task of either. It is called in place, where it
/// lies in the frame of the caller, which sleeps meanwhile: a lambda may capture by reference, and
/// a lambda that is a coroutine keeps its captures. Give it a name first: g++ 12 compiles a
/// capturing lambda inside a co_await expression wrongly.
///
/// What the function makes on the target is made there and destroyed there, the frame of its task
/// among it; the result is moved home. The caller goes on in a turn of its own core. To call the
/// own core is legal. Calls from one core to one other begin in the order in which they were made.
///
/// There is no cancellation. A program stops its reactors once no call is under way.

#include <concepts>
#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "io/reactor.h"

namespace kv::io {

/// The part of a call that travels, as the payload of a message: who receives it calls step. Lies
/// in the frame of the caller.
struct Errand {
    void (*step)(Errand& errand, Reactor& here) noexcept = nullptr;
};

namespace detail {

template <typename T>
struct TaskValue {
    using Type = T;
    static constexpr bool is_task = false;
};
template <typename T>
struct TaskValue<Task<T>> {
    using Type = T;
    static constexpr bool is_task = true;
};

}  // namespace detail

template <std::invocable<Reactor&> Function>
class [[nodiscard]] Call : private Errand {
    using Returned = std::invoke_result_t<Function&, Reactor&>;
    using Value = typename detail::TaskValue<Returned>::Type;
    static constexpr bool is_task = detail::TaskValue<Returned>::is_task;
    static constexpr bool is_void = std::is_void_v<Value>;

public:
    Call(Reactor& home, CoreId target, Function& function) noexcept
        : home_(home), target_(target), function_(function) {}
    Call(const Call&) = delete;

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
        waiting_ = waiting;
        step = &Call::arrived;
        if (target_ == home_.core()) {
            step(*this, home_);
        } else {
            send(home_, target_);
        }
    }
    Value await_resume() {
        if constexpr (!is_void) return std::move(*value_);
    }

private:
    void send(Reactor& from, CoreId to) {
        Errand* const errand = this;
        from.mailboxes().send(to, {Mailboxes::call_kind, 0, errand});
    }
    static void arrived(Errand& errand, Reactor& here) noexcept {
        auto& self = static_cast<Call&>(errand);
        if constexpr (is_task) {
            here.spawn(run(self, here));
        } else if constexpr (is_void) {
            self.function_(here);
            self.return_from(here);
        } else {
            self.value_.emplace(self.function_(here));
            self.return_from(here);
        }
    }
    static Task<void> run(Call& self, Reactor& here) {
        if constexpr (is_void) {
            co_await self.function_(here);
        } else {
            Value value = co_await self.function_(here);
            self.value_.emplace(std::move(value));
        }
        self.return_from(here);
    }
    /// The frame of the called task is gone. Staged only: the caller goes on after this turn.
    void return_from(Reactor& here) noexcept {
        step = &Call::came_home;
        if (&here == &home_) {
            step(*this, home_);
        } else {
            send(here, home_.core());
        }
    }
    static void came_home(Errand& errand, Reactor& here) noexcept {
        here.make_ready(static_cast<Call&>(errand).waiting_);
    }

    Reactor& home_;
    const CoreId target_;
    Function& function_;
    std::coroutine_handle<> waiting_;
    std::optional<std::conditional_t<is_void, char, Value>> value_;
};

/// `home` is the reactor of the calling core.
template <typename Function>
Call<std::remove_reference_t<Function>> call_on(Reactor& home, CoreId target,
                                                Function&& function) noexcept {
    return Call<std::remove_reference_t<Function>>(home, target, function);
}

}  // namespace kv::io
