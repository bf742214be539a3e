#include "engine/node/pipeline.h"

#include <gtest/gtest.h>

#include <deque>

#include "proto/base/prng.h"

namespace kv {
namespace {

Request request_of(std::uint64_t id) {
    Request request;
    request.verb = Verb::get;
    request.protocol = Protocol::binary_extended;
    request.request_id = id;
    return request;
}

TEST(Pipeline, NumbersRunOnAndChargesAddUp) {
    Pipeline pipeline;
    EXPECT_TRUE(pipeline.empty());
    for (std::uint64_t i = 0; i < 5; ++i) {
        EXPECT_EQ(pipeline.tail(), i);
        pipeline.push(request_of(i), 100 + i, 7).bytes = std::to_string(i);
    }
    EXPECT_EQ(pipeline.size(), 5u);
    EXPECT_EQ(pipeline.charge(), 510u);
    EXPECT_FALSE(pipeline.holds(5));
    pipeline.pop();
    EXPECT_FALSE(pipeline.holds(0));
    EXPECT_TRUE(pipeline.holds(1));
    EXPECT_EQ(pipeline.charge(), 410u);
    EXPECT_EQ(pipeline.front().bytes, "1");
    EXPECT_EQ(pipeline.at(4).request_id, 4u);
}

TEST(Pipeline, AUsedSlotForgetsItsRequest) {
    Pipeline pipeline;
    for (unsigned round = 0; round < 100; ++round) {
        Slot& slot = pipeline.push(request_of(1), 10, 5);
        EXPECT_EQ(slot.state, Slot::State::done);
        EXPECT_EQ(slot.verb, Verb::get);
        EXPECT_EQ(slot.begun_ns, 5);
        EXPECT_FALSE(slot.rendered);
        EXPECT_FALSE(slot.refused);
        EXPECT_EQ(slot.parts_left, 0u);
        EXPECT_EQ(slot.parts_applied, 0u);
        EXPECT_EQ(slot.number, 0);
        EXPECT_TRUE(slot.bytes.empty());
        slot.state = Slot::State::writing;
        slot.rendered = slot.refused = true;
        slot.parts_left = slot.parts_applied = 3;
        slot.number = 9;
        slot.bytes.assign(round * 100u, 'x');
        pipeline.pop();
    }
}

TEST(Pipeline, TheRingGrowsAndKeepsTheOrder) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        Prng prng(seed);
        Pipeline pipeline;
        std::deque<std::uint64_t> model;
        std::size_t charge = 0;
        std::uint64_t next = 0;
        for (int step = 0; step < 5000; ++step) {
            const bool push = model.empty() || prng.below(100) < (step < 2500 ? 60u : 40u);
            if (push) {
                ASSERT_EQ(pipeline.tail(), next);
                Slot& slot = pipeline.push(request_of(next), next % 50, 0);
                slot.bytes = std::to_string(next);
                charge += next % 50;
                model.push_back(next++);
            } else {
                ASSERT_EQ(pipeline.head(), model.front());
                ASSERT_EQ(pipeline.front().bytes, std::to_string(model.front()));
                charge -= model.front() % 50;
                model.pop_front();
                pipeline.pop();
            }
            ASSERT_EQ(pipeline.size(), model.size());
            ASSERT_EQ(pipeline.charge(), charge);
            if (model.empty()) continue;
            const std::uint64_t any = model[prng.below(model.size())];
            ASSERT_TRUE(pipeline.holds(any));
            ASSERT_EQ(pipeline.at(any).request_id, any);
        }
    }
}

}  // namespace
}  // namespace kv
