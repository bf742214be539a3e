/// The forms of coroutine code that this repository relies on, on a task type of its own: a
/// compiler that fails here miscompiles the server, whatever its version. g++ 12.2 gets other forms
/// wrong (co_await in a condition, beside an aggregate or a capturing lambda), which is why
/// STYLE.md forbids them and tests/tidy/tidy.py looks for them.

#include <gtest/gtest.h>

#include <coroutine>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/base/result.h"

namespace kv {
namespace {

/// A lazy task that starts inside await_suspend of its awaiter and, when it is done at once, lets
/// the awaiter go on without suspending. No symmetric transfer: that needs a tail call, which
/// neither -O0 nor a sanitizer build makes.
template <typename T>
class [[nodiscard]] Task {
public:
    struct promise_type {
        Task get_return_object() {
            return Task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        auto final_suspend() noexcept {
            struct Final {
                bool await_ready() noexcept { return false; }
                void await_suspend(std::coroutine_handle<promise_type> self) noexcept {
                    promise_type& promise = self.promise();
                    promise.done = true;
                    // Started from await_suspend: that frame reads `done`. Else the awaiter sleeps.
                    if (promise.awaiter_sleeps) promise.awaiter.resume();
                }
                void await_resume() noexcept {}
            };
            return Final();
        }
        void return_value(T result) { value.emplace(std::move(result)); }
        void unhandled_exception() { std::abort(); }

        std::optional<T> value;
        std::coroutine_handle<> awaiter;
        bool awaiter_sleeps = false;
        bool done = false;
    };

    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Task& operator=(Task&&) = delete;
    ~Task() {
        if (handle_) handle_.destroy();
    }

    auto operator co_await() && noexcept {
        struct Awaiter {
            std::coroutine_handle<promise_type> child;
            bool await_ready() noexcept { return false; }
            bool await_suspend(std::coroutine_handle<> awaiter) noexcept {
                child.promise().awaiter = awaiter;
                child.resume();
                child.promise().awaiter_sleeps = true;
                return !child.promise().done;
            }
            T await_resume() { return std::move(*child.promise().value); }
        };
        return Awaiter{handle_};
    }

    /// Runs from outside of any coroutine up to the first suspension.
    void start() { handle_.resume(); }
    bool done() const { return handle_.promise().done; }
    T result() { return std::move(*handle_.promise().value); }

private:
    explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
    std::coroutine_handle<promise_type> handle_;
};

/// Something to wait for: resumed by fire().
class Event {
public:
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { waiter_ = waiter; }
    int await_resume() const noexcept { return value_; }
    void fire(int value) {
        value_ = value;
        std::exchange(waiter_, nullptr).resume();
    }

private:
    std::coroutine_handle<> waiter_;
    int value_ = 0;
};

/// Counts copies that live: a double destruction or a leak leaves another number than zero.
class Counted {
public:
    explicit Counted(int number) : number_(std::make_unique<int>(number)) { ++alive; }
    Counted(Counted&& other) noexcept : number_(std::move(other.number_)) { ++alive; }
    Counted& operator=(Counted&&) = delete;
    ~Counted() { --alive; }
    int number() const { return number_ ? *number_ : -1; }
    static inline int alive = 0;

private:
    std::unique_ptr<int> number_;
};
struct Aggregate {
    Counted counted;
    std::string text;
};

template <typename T>
T run(Task<T> task) {
    task.start();
    EXPECT_TRUE(task.done());
    return task.result();
}

Task<bool> answer(bool value) {
    co_return value;
}
Task<int> number(int value) {
    co_return value;
}

// A: the awaited condition has a name. The coroutine has no other local variable.

Task<int> branch_on_a_name() {
    const bool ok = co_await answer(true);
    if (ok) co_return 1;
    co_return 2;
}
TEST(Gcc12Coroutines, BranchOnANamedResult) {
    EXPECT_EQ(run(branch_on_a_name()), 1);
}

Task<int> branch_in_an_init_statement() {
    if (const bool ok = co_await answer(false); !ok) co_return 1;
    co_return 2;
}
TEST(Gcc12Coroutines, BranchOnAnInitStatement) {
    EXPECT_EQ(run(branch_in_an_init_statement()), 1);
}

Task<int> loop_until_named() {
    int turns = 0;
    for (;;) {
        const bool more = co_await answer(turns < 5);
        if (!more) break;
        ++turns;
    }
    co_return turns;
}
TEST(Gcc12Coroutines, LoopEndsOnANamedResult) {
    EXPECT_EQ(run(loop_until_named()), 5);
}

Task<int> switch_on_a_name() {
    const int which = co_await number(3);
    switch (which) {
        case 3: co_return 30;
        case 4: co_return 40;
    }
    co_return 0;
}
TEST(Gcc12Coroutines, SwitchOnANamedResult) {
    EXPECT_EQ(run(switch_on_a_name()), 30);
}

// B: what must not be evaluated is tested in the condition, the await stands in the body.

Task<int> count_calls(int* calls) {
    ++*calls;
    co_return *calls;
}
Task<int> short_circuit(bool first, int* calls) {
    while (first) {
        const int count = co_await count_calls(calls);
        if (count == 3) first = false;
    }
    co_return *calls;
}
TEST(Gcc12Coroutines, NothingRunsBehindAFalseCondition) {
    int calls = 0;
    EXPECT_EQ(run(short_circuit(false, &calls)), 0);
    EXPECT_EQ(run(short_circuit(true, &calls)), 3);
}

// C: aggregates and captures are named and moved, and destroyed once.

Task<int> take(Aggregate aggregate) {
    const int value = co_await number(aggregate.counted.number());
    co_return value + static_cast<int>(aggregate.text.size());
}
Task<int> pass_a_named_aggregate() {
    Aggregate aggregate{Counted(40), std::string(2, 'x')};
    co_return co_await take(std::move(aggregate));
}
Aggregate make_aggregate() {
    return {Counted(50), std::string(100, 'x')};
}
Task<int> pass_a_made_aggregate() {
    const int value = co_await take(make_aggregate());
    co_return value;
}
Task<int> call(std::function<int()> function) {
    const int value = co_await number(function());
    co_return value;
}
Task<int> pass_a_named_lambda() {
    auto shared = std::make_shared<Counted>(60);
    std::function<int()> function = [shared] { return shared->number(); };
    const int value = co_await call(std::move(function));
    co_return value;
}
TEST(Gcc12Coroutines, NamedAggregatesAndLambdasAreDestroyedOnce) {
    EXPECT_EQ(run(pass_a_named_aggregate()), 42);
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(run(pass_a_made_aggregate()), 150);
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(run(pass_a_named_lambda()), 60);
    EXPECT_EQ(Counted::alive, 0);
}

Task<int> hold_across(Event* event, Counted counted) {
    Counted local(counted.number() + 1);
    const int fired = co_await *event;
    co_return fired + local.number();
}
TEST(Gcc12Coroutines, LocalsAndParametersSurviveASuspension) {
    {
        Event event;
        Task<int> task = hold_across(&event, Counted(1));
        task.start();
        EXPECT_FALSE(task.done());
        event.fire(10);
        ASSERT_TRUE(task.done());
        EXPECT_EQ(task.result(), 12);
    }
    EXPECT_EQ(Counted::alive, 0);
}
TEST(Gcc12Coroutines, AFrameThatIsDestroyedWhileItSleepsDestroysItsLocals) {
    {
        Event event;
        Task<int> task = hold_across(&event, Counted(1));
        task.start();
        EXPECT_GT(Counted::alive, 0);
    }
    EXPECT_EQ(Counted::alive, 0);
}

Task<Status> failing(bool fails) {
    if (fails) co_return fail(Errc::io, std::string(100, 'x'));
    co_return Status();
}
/// The value replaces what the name held, also in a statement behind an `if`.
Task<std::string> text_of(int length) {
    co_return std::string(static_cast<std::size_t>(length), 'x');
}
Task<Counted> counted(int value) {
    co_return Counted(value);
}
Task<int> assign_to_names(bool again) {
    std::string text = co_await text_of(100);
    if (again) text = co_await text_of(200);
    std::optional<Counted> held;
    auto fresh = co_await counted(3);
    held.emplace(std::move(fresh));
    Status status;
    if (status) status = co_await failing(again);
    co_return static_cast<int>(text.size()) + held->number() + (status ? 0 : 1000);
}
TEST(Gcc12Coroutines, AssignmentToANameReplacesItsValueOnce) {
    EXPECT_EQ(run(assign_to_names(true)), 1203);
    EXPECT_EQ(run(assign_to_names(false)), 103);
    EXPECT_EQ(Counted::alive, 0);
}

// D: errors travel through declarations, with std::expected.

Task<Result<Counted>> counted_or(bool ok) {
    if (!ok) co_return fail(Errc::not_found, "nothing there");
    co_return Counted(70);
}
Task<Result<int>> use(bool ok) {
    KV_CO_TRY(const Counted counted, co_await counted_or(ok));
    co_return counted.number();
}
Task<Status> check(bool ok) {
    const Result<int> value = co_await use(ok);
    if (!value) co_return fail(value.error());
    co_return Status();
}
Task<Result<int>> use_checked(bool ok) {
    KV_CO_CHECK(co_await check(ok));
    co_return 7;
}
TEST(Gcc12Coroutines, TheMacrosReturnTheValueOrTheError) {
    const Result<int> good = run(use_checked(true));
    ASSERT_TRUE(good);
    EXPECT_EQ(*good, 7);
    const Result<int> bad = run(use_checked(false));
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().code, Errc::not_found);
    EXPECT_EQ(bad.error().detail, "nothing there");
    EXPECT_EQ(Counted::alive, 0);
}

// E: awaits that finish at once need no stack, in any build.

constexpr int awaits_count = 1'000'000;
constexpr std::uintptr_t stack_bytes_max = 4096;

__attribute__((noinline)) std::uintptr_t stack_position() {
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}
Task<std::uintptr_t> position() {
    co_return stack_position();
}
Task<bool> stack_stays() {
    const std::uintptr_t first = co_await position();
    for (int i = 0; i < awaits_count; ++i) {
        const std::uintptr_t now = co_await position();
        if ((now > first ? now - first : first - now) > stack_bytes_max) co_return false;
    }
    co_return true;
}
TEST(Gcc12Coroutines, AMillionAwaitsThatFinishAtOnceUseNoStack) {
    EXPECT_TRUE(run(stack_stays()));
}

Task<std::int64_t> sum_events(Event* event, int count) {
    std::int64_t sum = 0;
    for (int i = 0; i < count; ++i) {
        const int value = co_await *event;
        sum += value;
        const int more = co_await number(1);
        sum += more;
    }
    co_return sum;
}
TEST(Gcc12Coroutines, AMillionResumptionsFromOutsideUseNoStack) {
    Event event;
    Task<std::int64_t> task = sum_events(&event, awaits_count);
    task.start();
    for (int i = 0; i < awaits_count; ++i) event.fire(2);
    ASSERT_TRUE(task.done());
    EXPECT_EQ(task.result(), 3 * std::int64_t{awaits_count});
}

Task<int> depth(int levels, Event* event) {
    if (levels == 0) co_return co_await *event;
    const int below = co_await depth(levels - 1, event);
    co_return below + 1;
}
TEST(Gcc12Coroutines, AChainOfSleepersWakesFromTheInside) {
    Event event;
    Task<int> task = depth(100, &event);
    task.start();
    EXPECT_FALSE(task.done());
    event.fire(5);
    ASSERT_TRUE(task.done());
    EXPECT_EQ(task.result(), 105);
}

// Lambdas without captures as coroutines: their parameters live in the frame.

TEST(Gcc12Coroutines, ALambdaCoroutineKeepsItsParameters) {
    const auto make = [](std::string text, std::vector<int> values) -> Task<std::size_t> {
        const int first = co_await number(values.front());
        co_return text.size() + static_cast<std::size_t>(first);
    };
    EXPECT_EQ(run(make(std::string(100, 'x'), {7, 8})), 107u);
}

}  // namespace
}  // namespace kv
