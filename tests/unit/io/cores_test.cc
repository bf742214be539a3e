/// Reactors on threads of their own, on real rings. Also built with ThreadSanitizer.

#include "io/cores.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "io/await.h"
#include "io/call.h"
#include "tests/support/core_scenes.h"

namespace kv::io {
namespace {

/// `cores` threads that may run wherever this process may: there may be fewer CPUs.
CoresOptions unbound(std::size_t cores, std::size_t slots = Interconnect::slots_default) {
    CoresOptions options;
    options.cpus.assign(cores, CoresOptions::not_bound);
    options.mailbox_slots = slots;
    options.uring.buffers = 4;
    return options;
}

std::unique_ptr<Cores> started(const CoresOptions& options) {
    auto cores = Cores::start(options);
    KV_ASSERT(cores.has_value(), "{}", cores.error().text());
    return *std::move(cores);
}

Task<void> then_stop(Reactor& reactor, Task<void> task) {
    co_await task;
    reactor.stop();
}

/// Runs `task` on the first core of `cores`, and all of them until it has ended.
void run(Cores& cores, Task<void> task) {
    Reactor& first = *cores.reactors().front();
    first.spawn(then_stop(first, std::move(task)));
    cores.run();
}

/// A thread that is left would have a ring open.
std::size_t open_descriptors() {
    const std::filesystem::directory_iterator fds("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(fds), end(fds)));
}

Task<void> nothing() {
    co_return;
}

TEST(Cores, StartAndEndLeaveNothingBehind) {
    const std::size_t descriptors = open_descriptors();
    for (std::size_t round = 0; round < 20; ++round) {
        const auto cores = started(unbound(1 + round % 4));
        EXPECT_EQ(cores->size(), 1 + round % 4);
        for (std::size_t i = 0; i < cores->size(); ++i)
            EXPECT_EQ(cores->reactors()[i]->core().value(), i);
        if (round % 5 != 4) run(*cores, nothing());  // else: never run
    }
    EXPECT_EQ(open_descriptors(), descriptors);
}

TEST(Cores, EachHasAThreadAndTheFirstHasTheCallers) {
    const auto cores = started(unbound(3));
    std::array<std::thread::id, 3> ids;
    auto who = [](Reactor&) { return std::this_thread::get_id(); };
    auto ask = [&](Reactor& home) -> Task<void> {
        for (std::uint16_t i = 0; i < 3; ++i) {
            const std::thread::id id = co_await call_on(home, CoreId(i), who);
            ids[i] = id;
        }
    };
    run(*cores, ask(*cores->reactors()[0]));
    EXPECT_EQ(ids[0], std::this_thread::get_id());
    EXPECT_NE(ids[1], ids[0]);
    EXPECT_NE(ids[2], ids[0]);
    EXPECT_NE(ids[2], ids[1]);
}

TEST(Cores, ThreadsAreBoundToTheirCpus) {
    const std::vector<int> cpus = usable_cpus();
    ASSERT_FALSE(cpus.empty());
    CoresOptions options = unbound(2);
    options.cpus = {cpus.front(), cpus.back()};
    {
        const auto cores = started(options);
        std::array<int, 2> ran_on{};
        auto where = [](Reactor&) { return sched_getcpu(); };
        auto ask = [&](Reactor& home) -> Task<void> {
            const int first = co_await call_on(home, CoreId(0), where);
            const int second = co_await call_on(home, CoreId(1), where);
            ran_on = {first, second};
        };
        run(*cores, ask(*cores->reactors()[0]));
        EXPECT_EQ(ran_on[0], cpus.front());
        EXPECT_EQ(ran_on[1], cpus.back());
    }
    EXPECT_EQ(usable_cpus(), cpus) << "the caller is where it was before";
}

TEST(Cores, ACpuThatIsNotThereIsRefusedAndNothingIsLeft) {
    const std::size_t descriptors = open_descriptors();
    for (std::size_t bad = 0; bad < 3; ++bad) {
        CoresOptions options = unbound(3);
        options.cpus[bad] = CPU_SETSIZE - 1;
        const auto cores = Cores::start(options);
        ASSERT_FALSE(cores.has_value());
        EXPECT_EQ(cores.error().code, Errc::config);
        EXPECT_EQ(cores.error().text(), "this process may not use CPU 1023");
    }
    EXPECT_EQ(open_descriptors(), descriptors);
}

TEST(Cores, ARingThatCannotBeMadeIsOneSentenceWhicheverCoreItIs) {
    if (std::getenv("KV_TEST_SANITIZED") != nullptr)
        GTEST_SKIP() << "a sanitizer needs descriptors, too";
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const std::size_t descriptors = open_descriptors();
    // Each core needs a ring and an event: let the descriptors end at each of them.
    int refusals = 0;
    for (rlim_t limit = 3; true; ++limit) {
        rlimit tight = before;
        tight.rlim_cur = limit;
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
        const auto cores = Cores::start(unbound(3));
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (cores) break;
        EXPECT_FALSE(cores.error().text().empty());
        ++refusals;
    }
    EXPECT_GE(refusals, 6);
    EXPECT_EQ(open_descriptors(), descriptors);
}

TEST(Cores, WorkOfOtherThreadsRunsInOrderOnTheCoreItIsFor) {
    const auto cores = started(unbound(2));
    constexpr int works = 1000;
    std::vector<int> order;
    std::thread::id ran_on;
    std::thread poster([&] {
        for (int i = 0; i < works; ++i) {
            cores->post(CoreId(1), [&, i](Reactor&) {
                order.push_back(i);
                ran_on = std::this_thread::get_id();
            });
        }
        cores->post(CoreId(1), [&](Reactor&) {
            cores->post(CoreId(0), [](Reactor& reactor) { reactor.stop(); });
        });
    });
    cores->run();
    poster.join();
    ASSERT_EQ(order.size(), static_cast<std::size_t>(works));
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    EXPECT_NE(ran_on, std::this_thread::get_id());
}

struct Counter final : TurnHook {
    void at_turn_end() override { ++turns; }
    std::uint64_t turns = 0;
};

TEST(Cores, ObjectsMayBeBuiltOnTheirReactorsBeforeTheyTurn) {
    const auto cores = started(unbound(3));
    std::array<Counter, 3> counters;
    for (std::size_t i = 0; i < 3; ++i)
        cores->reactors()[i]->add_turn_hook(counters[i], Reactor::Phase::answer);
    for (const Counter& counter : counters) EXPECT_EQ(counter.turns, 0u);
    run(*cores, scenes::relay_scene(*cores->reactors()[0], 9));
    for (const Counter& counter : counters) EXPECT_GT(counter.turns, 0u);
    for (std::size_t i = 0; i < 3; ++i) cores->reactors()[i]->remove_turn_hook(counters[i]);
}

// --- the scenes of the simulator, on threads -----------------------------------------------------

Task<void> play(Reactor& home, Task<void> scene) {
    co_await scene;
    co_await scenes::expect_quiet_cores(home);
}

TEST(CoresScenes, CallsComeHome) {
    for (const std::size_t count : {1u, 2u, 4u}) {
        const auto cores = started(unbound(count));
        Reactor& home = *cores->reactors()[0];
        run(*cores, play(home, scenes::calls_scene(home)));
    }
}

TEST(CoresScenes, NoWakeUpIsLost) {
    for (const std::size_t count : {2u, 3u}) {
        const auto cores = started(unbound(count, 1));
        Reactor& home = *cores->reactors()[0];
        run(*cores, play(home, scenes::relay_scene(home, 20'000)));
    }
}

TEST(CoresScenes, AFloodIsHeldBackAndLosesNothing) {
    for (const std::size_t slots : {1u, 4u, 1024u}) {
        const auto cores = started(unbound(3, slots));
        Reactor& home = *cores->reactors()[0];
        run(*cores, play(home, scenes::flood_scene(home, 5'000)));
    }
}

TEST(CoresScenes, ConnectionsAreServedByTheCoresTheyAreGivenTo) {
    for (const std::size_t count : {1u, 3u}) {
        const auto cores = started(unbound(count));
        Reactor& home = *cores->reactors()[0];
        const Endpoint loopback = *parse_endpoint("127.0.0.1", 0);
        run(*cores, play(home, scenes::hand_over_scene(home, loopback, 12, 50'000)));
    }
}

}  // namespace
}  // namespace kv::io
