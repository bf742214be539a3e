/// The timer heap against a list that is searched.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "io/timer.h"
#include "proto/base/prng.h"

namespace kv::io {
namespace {

Instant at(std::uint64_t ns) {
    return Instant(Duration(static_cast<std::int64_t>(ns)));
}

struct Numbered : Timer {
    Numbered(std::uint32_t n, std::vector<std::uint32_t>* log)
        : Timer(&fired), number(n), fires(log) {}
    static void fired(Timer& timer) noexcept {
        auto& self = static_cast<Numbered&>(timer);
        self.fires->push_back(self.number);
    }
    std::uint32_t number;
    std::vector<std::uint32_t>* fires;
};

struct Twin {
    struct Armed {
        Instant deadline;
        std::uint64_t order;
        std::uint32_t number;
    };
    void arm(std::uint32_t number, Instant deadline) {
        disarm(number);
        armed.push_back({deadline, ++orders, number});
    }
    void disarm(std::uint32_t number) {
        std::erase_if(armed, [&](const Armed& a) { return a.number == number; });
    }
    std::vector<Armed>::iterator first() {
        return std::min_element(armed.begin(), armed.end(), [](const Armed& a, const Armed& b) {
            return a.deadline != b.deadline ? a.deadline < b.deadline : a.order < b.order;
        });
    }
    std::vector<Armed> armed;
    std::uint64_t orders = 0;
};

TEST(Timer, FiresLikeAListThatIsSearched) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        Prng prng(seed);
        std::vector<std::uint32_t> fires;
        TimerQueue queue;
        Twin twin;
        std::vector<std::unique_ptr<Numbered>> timers;
        for (std::uint32_t i = 0; i < 40; ++i)
            timers.push_back(std::make_unique<Numbered>(i, &fires));
        std::uint64_t now = 0;
        for (int step = 0; step < 2'000; ++step) {
            const auto number = static_cast<std::uint32_t>(prng.below(timers.size()));
            const std::uint64_t choice = prng.below(10);
            if (choice < 6) {
                const Instant deadline = at(now + prng.below(50));
                queue.arm(*timers[number], deadline);
                twin.arm(number, deadline);
            } else if (choice < 8) {
                queue.disarm(*timers[number]);
                twin.disarm(number);
            } else {
                now += prng.below(30);
                std::vector<std::uint32_t> expected;
                while (!twin.armed.empty() && twin.first()->deadline <= at(now)) {
                    expected.push_back(twin.first()->number);
                    twin.armed.erase(twin.first());
                }
                fires.clear();
                queue.fire(at(now));
                ASSERT_EQ(fires, expected) << seed << " " << step;
            }
            ASSERT_EQ(timers[number]->armed(),
                      std::any_of(twin.armed.begin(), twin.armed.end(),
                                  [&](const Twin::Armed& a) { return a.number == number; }));
            ASSERT_EQ(queue.next().has_value(), !twin.armed.empty());
            if (queue.next()) {
                ASSERT_EQ(*queue.next(), twin.first()->deadline);
            }
        }
        queue.clear();
        for (const auto& timer : timers) ASSERT_FALSE(timer->armed());
    }
}

struct Rearming : Timer {
    explicit Rearming(TimerQueue& q) : Timer(&fired), queue(q) {}
    ~Rearming() { queue.disarm(*this); }
    static void fired(Timer& timer) noexcept {
        auto& self = static_cast<Rearming&>(timer);
        ++self.fires;
        self.queue.arm(self, at(0));
    }
    TimerQueue& queue;
    int fires = 0;
};

TEST(Timer, OneThatRearmsForThePastDoesNotHoldTheTurn) {
    TimerQueue queue;
    Rearming timer(queue);
    queue.arm(timer, at(5));
    queue.fire(at(4));
    EXPECT_EQ(timer.fires, 0);
    queue.fire(at(10));
    EXPECT_EQ(timer.fires, 1);
    queue.fire(at(10));
    EXPECT_EQ(timer.fires, 2);
}

}  // namespace
}  // namespace kv::io
