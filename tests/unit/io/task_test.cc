/// Tasks, and what they wait for, on a backend that does nothing.

#include "io/task.h"

#include <gtest/gtest.h>

#include <string>

#include "io/await.h"
#include "io/event.h"
#include "io/frame_pool.h"
#include "io/gate.h"
#include "io/reactor.h"
#include "io/semaphore.h"
#include "tests/unit/io/manual_backend.h"

namespace kv::io {
namespace {

class TaskTest : public testing::Test {
protected:
    void turns(int count) {
        for (int i = 0; i < count; ++i) reactor.turn(Duration::zero());
    }
    void TearDown() override { EXPECT_EQ(FramePool::live(), 0); }

    ManualBackend backend;
    Reactor reactor{backend};
    std::string order;
};

Task<int> immediate(int value) {
    co_return value;
}
Task<int> after_a_turn(Reactor& reactor, int value) {
    co_await NextTurn(reactor);
    co_return value;
}

TEST_F(TaskTest, AMillionImmediateAwaitsLeaveTheStackAlone) {
    std::uintptr_t lowest = ~std::uintptr_t{0};
    std::uintptr_t highest = 0;
    long sum = 0;
    const auto note_stack = [&] {
        const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        lowest = std::min(lowest, here);
        highest = std::max(highest, here);
    };
    const auto loop = [&]() -> Task<void> {
        for (int i = 0; i < 1'000'000; ++i) {
            const int one = co_await immediate(1);
            sum += one;
            note_stack();
        }
    };
    reactor.spawn(loop());
    turns(1);
    EXPECT_EQ(sum, 1'000'000);
    EXPECT_EQ(highest, lowest);
}

Task<int> depth(Reactor& reactor, int left) {
    if (left == 0) co_await NextTurn(reactor);
    if (left == 0) co_return 0;
    const int below = co_await depth(reactor, left - 1);
    co_return below + 1;
}

TEST_F(TaskTest, AChainThatWaitedReturnsOneLevelATurn) {
    int result = 0;
    const auto outer = [&]() -> Task<void> { result = co_await depth(reactor, 100); };
    reactor.spawn(outer());
    turns(2);
    EXPECT_EQ(result, 0);
    turns(101);
    EXPECT_EQ(result, 100);
    turns(1);  // the root
}

TEST_F(TaskTest, ReadyCoroutinesRunInOrder) {
    const auto task = [&](char letter) -> Task<void> {
        order.push_back(letter);
        co_await NextTurn(reactor);
        order.push_back(letter);
    };
    reactor.spawn(task('a'));
    reactor.spawn(task('b'));
    reactor.spawn(task('c'));
    EXPECT_EQ(order, "");
    EXPECT_TRUE(reactor.has_ready());
    turns(1);
    EXPECT_EQ(order, "abc");
    turns(1);
    EXPECT_EQ(order, "abcabc");
    turns(1);
    EXPECT_FALSE(reactor.has_ready());
}

TEST_F(TaskTest, AChildRunsInsideItsParentUntilItWaits) {
    const auto child = [&](bool waits) -> Task<void> {
        order += "1";
        if (waits) co_await NextTurn(reactor);
        order += "2";
    };
    const auto parent = [&](bool waits) -> Task<void> {
        order += "0";
        co_await child(waits);
        order += "3";
    };
    reactor.spawn(parent(false));
    turns(1);
    EXPECT_EQ(order, "0123");
    order.clear();
    reactor.spawn(parent(true));
    turns(1);
    EXPECT_EQ(order, "01");
    turns(3);
    EXPECT_EQ(order, "0123");
}

TEST_F(TaskTest, ATaskThatIsNeverAwaitedNeverStarts) {
    bool started = false;
    {
        const auto task = [&]() -> Task<void> {
            started = true;
            co_return;
        };
        [[maybe_unused]] const Task<void> unused = task();
    }
    EXPECT_FALSE(started);
}

TEST_F(TaskTest, MovedValuesArrive) {
    const auto make = [](Reactor& r) -> Task<std::unique_ptr<int>> {
        co_await NextTurn(r);
        co_return std::make_unique<int>(7);
    };
    int got = 0;
    const auto take = [&]() -> Task<void> {
        const std::unique_ptr<int> value = co_await make(reactor);
        const int later = co_await after_a_turn(reactor, *value);
        got = later;
    };
    reactor.spawn(take());
    turns(6);
    EXPECT_EQ(got, 7);
}

TEST_F(TaskTest, AReactorThatEndsOrIsAbandonedDestroysWhatWaits) {
    Event never(reactor);
    Timer armed([](Timer&) noexcept {});
    const auto wait = [&]() -> Task<void> { co_await never.wait(); };
    const auto sleep = [&]() -> Task<void> { co_await SleepAwaiter(reactor, 1h); };
    reactor.spawn(wait());
    reactor.spawn(sleep());
    reactor.timers().arm(armed, backend.time + 1h);
    turns(1);
    reactor.spawn(sleep());  // not even started
    EXPECT_GT(FramePool::live(), 0);
    reactor.abandon();
    EXPECT_EQ(FramePool::live(), 0);
    EXPECT_FALSE(armed.armed());
    EXPECT_FALSE(reactor.has_ready());
}

TEST_F(TaskTest, SleepersWakeInTheOrderOfTheirDeadlines) {
    const auto sleep = [&](char letter, Duration duration) -> Task<void> {
        co_await SleepAwaiter(reactor, duration);
        order.push_back(letter);
    };
    reactor.spawn(sleep('c', 30ns));
    reactor.spawn(sleep('a', 10ns));
    reactor.spawn(sleep('b', 10ns));
    turns(2);
    EXPECT_EQ(reactor.idle_time(), 10ns);
    backend.time += 9ns;
    turns(2);
    EXPECT_EQ(order, "");
    backend.time += 1ns;
    EXPECT_EQ(reactor.idle_time(), 0ns);
    turns(2);
    EXPECT_EQ(order, "ab");
    backend.time += 1h;
    turns(3);
    EXPECT_EQ(order, "abc");
    EXPECT_EQ(reactor.idle_time(), Reactor::wait_max_default);
}

TEST_F(TaskTest, AnEventWakesItsWaiterOnceAndStaysSet) {
    Event event(reactor);
    const auto wait = [&]() -> Task<void> {
        co_await event.wait();
        order += "1";
        co_await event.wait();  // still set: no waiting
        order += "2";
        event.reset();
        co_await event.wait();
        order += "3";
    };
    reactor.spawn(wait());
    turns(2);
    EXPECT_EQ(order, "");
    event.set();
    event.set();
    EXPECT_EQ(order, "");  // never inside set()
    turns(1);
    EXPECT_EQ(order, "12");
    turns(2);
    EXPECT_EQ(order, "12");
    event.set();
    turns(2);
    EXPECT_EQ(order, "123");
}

TEST_F(TaskTest, AGateWaitsForThoseInside) {
    Gate gate(reactor);
    const auto work = [&]() -> Task<void> {
        const Gate::Pass pass(gate);
        if (!pass.entered()) {
            order += "x";
            co_return;
        }
        co_await NextTurn(reactor);
        co_await NextTurn(reactor);
        order += "w";
    };
    const auto close = [&]() -> Task<void> {
        co_await gate.close();
        order += "c";
    };
    reactor.spawn(work());
    reactor.spawn(work());
    turns(1);
    EXPECT_EQ(gate.inside(), 2u);
    reactor.spawn(close());
    turns(1);
    EXPECT_TRUE(gate.closed());
    reactor.spawn(work());
    turns(1);
    EXPECT_EQ(order, "wwx");
    turns(3);
    EXPECT_EQ(order, "wwxc");
}

TEST_F(TaskTest, AnEmptyGateClosesAtOnce) {
    Gate gate(reactor);
    const auto close = [&]() -> Task<void> {
        co_await gate.close();
        order += "c";
    };
    reactor.spawn(close());
    turns(1);
    EXPECT_EQ(order, "c");
}

TEST_F(TaskTest, ASemaphoreBoundsAndServesInOrder) {
    Semaphore semaphore(reactor, 2);
    int inside = 0;
    int inside_max = 0;
    const auto work = [&](char letter) -> Task<void> {
        co_await semaphore.take();
        inside_max = std::max(inside_max, ++inside);
        order.push_back(letter);
        co_await NextTurn(reactor);
        --inside;
        semaphore.give();
    };
    for (const char letter : std::string("abcdefgh")) reactor.spawn(work(letter));
    turns(30);
    EXPECT_EQ(order, "abcdefgh");
    EXPECT_EQ(inside_max, 2);
    EXPECT_EQ(semaphore.free_units(), 2u);
}

struct CountingHook final : TurnHook {
    void at_turn_end() override { ++ends; }
    int ends = 0;
};

TEST_F(TaskTest, HooksRunAtTheEndOfEachTurn) {
    CountingHook hook;
    reactor.add_turn_hook(hook);
    turns(3);
    reactor.remove_turn_hook(hook);
    turns(1);
    EXPECT_EQ(hook.ends, 3);
    reactor.want_turn();
    EXPECT_EQ(reactor.idle_time(), 0ns);
    turns(1);
    EXPECT_FALSE(reactor.has_ready());
}

}  // namespace
}  // namespace kv::io
