/// What a turn of the reactor costs on io_uring, and the parts of which it is made: spawned tasks,
/// awaits, timers, coroutine frames.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "io/await.h"
#include "io/reactor.h"
#include "io/uring/uring_backend.h"

namespace kv::io {
namespace {

/// A ring and a reactor of the calling thread.
class World {
public:
    World() {
        auto backend = UringBackend::create();
        if (!backend) {
            std::fprintf(stderr, "reactor_bench: %s\n", backend.error().text().c_str());
            std::exit(1);
        }
        backend_ = *std::move(backend);
        reactor_.emplace(*backend_);
    }
    Reactor& reactor() noexcept { return *reactor_; }

private:
    std::unique_ptr<UringBackend> backend_;
    std::optional<Reactor> reactor_;
};

/// One kernel entry with nothing to submit and nothing to take, and the clock.
void turn_empty(benchmark::State& state) {
    World world;
    for (auto _ : state) world.reactor().turn(Duration::zero());
}
BENCHMARK(turn_empty);

void clock_of_backend(benchmark::State& state) {
    World world;
    for (auto _ : state) benchmark::DoNotOptimize(world.reactor().backend().now());
}
BENCHMARK(clock_of_backend);

Task<void> ends_at_once() {
    co_return;
}

/// range(0) tasks are spawned, and end in the next turn.
void turn_with_spawned(benchmark::State& state) {
    World world;
    for (auto _ : state) {
        for (std::int64_t i = 0; i < state.range(0); ++i) world.reactor().spawn(ends_at_once());
        world.reactor().turn(Duration::zero());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(turn_with_spawned)->Arg(1)->Arg(16)->Arg(256);

Task<void> gives_way(Reactor& reactor, const bool& ends) {
    while (!ends) co_await NextTurn(reactor);
}

/// range(0) tasks that go on once a turn.
void turn_with_ready(benchmark::State& state) {
    World world;
    bool ends = false;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        world.reactor().spawn(gives_way(world.reactor(), ends));
    }
    world.reactor().turn(Duration::zero());
    for (auto _ : state) world.reactor().turn(Duration::zero());
    state.SetItemsProcessed(state.iterations() * state.range(0));
    ends = true;
    world.reactor().turn(Duration::zero());
}
BENCHMARK(turn_with_ready)->Arg(1)->Arg(16)->Arg(256);

struct CountingTimer : Timer {
    CountingTimer() noexcept
        : Timer([](Timer& t) noexcept { ++static_cast<CountingTimer&>(t).fired; }) {}
    std::uint64_t fired = 0;
};

/// range(0) timers are armed, and all fire in the next turn.
void turn_with_timers(benchmark::State& state) {
    World world;
    std::deque<CountingTimer> timers(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        const Instant now = world.reactor().now();
        for (CountingTimer& timer : timers) world.reactor().timers().arm(timer, now);
        world.reactor().turn(Duration::zero());
    }
    KV_ASSERT(timers.front().fired == static_cast<std::uint64_t>(state.iterations()));
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(turn_with_timers)->Arg(1)->Arg(16)->Arg(256);

/// A timer is pushed back, as a guard against silence is, among range(0) others.
void timer_rearmed(benchmark::State& state) {
    TimerQueue queue;
    std::deque<CountingTimer> timers(static_cast<std::size_t>(state.range(0)) + 1);
    Instant at{};
    for (CountingTimer& timer : timers) queue.arm(timer, at += 1us);
    for (auto _ : state) queue.arm(timers.front(), at += 1us);
    queue.clear();
}
BENCHMARK(timer_rearmed)->Arg(0)->Arg(100)->Arg(10'000);

// --- tasks and frames ----------------------------------------------------------------------------

Task<std::uint64_t> adds_one(std::uint64_t number) {
    co_return number + 1;
}

Task<void> awaits_children(std::uint64_t& sum, int count) {
    for (int i = 0; i < count; ++i) {
        sum = co_await adds_one(sum);
    }
}

/// A child that never waits: one frame and no turn. 1,000 in one turn.
void task_child(benchmark::State& state) {
    constexpr int children = 1000;
    World world;
    std::uint64_t sum = 0;
    for (auto _ : state) {
        world.reactor().spawn(awaits_children(sum, children));
        world.reactor().turn(Duration::zero());
    }
    KV_ASSERT(sum == static_cast<std::uint64_t>(state.iterations()) * children);
    state.SetItemsProcessed(state.iterations() * children);
}
BENCHMARK(task_child);

/// range(0): bytes of a frame; above 2 KiB they come from the heap.
void frame_from_pool(benchmark::State& state) {
    const auto bytes = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        void* frame = FramePool::allocate(bytes);
        benchmark::DoNotOptimize(frame);
        FramePool::release(frame, bytes);
    }
}
BENCHMARK(frame_from_pool)->Arg(64)->Arg(256)->Arg(1024)->Arg(4096);

/// The same from the heap, to compare.
void frame_from_heap(benchmark::State& state) {
    const auto bytes = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        void* frame = ::operator new(bytes);
        benchmark::DoNotOptimize(frame);
        ::operator delete(frame, bytes);
    }
}
BENCHMARK(frame_from_heap)->Arg(64)->Arg(256)->Arg(1024)->Arg(4096);

/// range(0) frames alive at a time, released in the order in which they were made.
void frames_many(benchmark::State& state) {
    std::vector<void*> frames(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        for (void*& frame : frames) frame = FramePool::allocate(256);
        for (void* frame : frames) FramePool::release(frame, 256);
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(frames_many)->Arg(16)->Arg(1024);

}  // namespace
}  // namespace kv::io
