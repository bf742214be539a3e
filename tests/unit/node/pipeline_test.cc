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
    std::string out;
    Pipeline pipeline;
    EXPECT_TRUE(pipeline.empty());
    for (std::uint64_t i = 0; i < 5; ++i) {
        EXPECT_EQ(pipeline.tail(), i);
        pipeline.push(request_of(i), 100 + i, 7).bytes = std::to_string(i);
    }
    EXPECT_EQ(pipeline.size(), 5u);
    EXPECT_EQ(pipeline.charge(), 510u);
    EXPECT_FALSE(pipeline.holds(5));
    pipeline.pop(out);
    EXPECT_FALSE(pipeline.holds(0));
    EXPECT_TRUE(pipeline.holds(1));
    EXPECT_EQ(pipeline.charge(), 410u);
    EXPECT_EQ(pipeline.front().bytes, "1");
    EXPECT_EQ(pipeline.at(4).request_id, 4u);
}

TEST(Pipeline, AUsedSlotForgetsItsRequest) {
    std::string out;
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
        pipeline.pop(out);
    }
}

TEST(Pipeline, TheRingGrowsAndKeepsTheOrder) {
    std::string out;
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
                pipeline.pop(out);
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

TEST(Pipeline, RepliesThatAreReadyLeaveWithTheSlotBeforeThem) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        Prng prng(seed);
        Pipeline pipeline;
        std::string out;
        std::string expected;             // of all requests so far, in order
        std::deque<std::size_t> replies;  // their lengths in `expected`: from a slot to the next
        std::size_t left = 0;
        std::size_t requests = 0;
        std::deque<std::size_t> per_slot;
        for (int step = 0; step < 5000; ++step) {
            const std::uint64_t what = prng.below(100);
            if (pipeline.empty() || what < (step < 2500 ? 30u : 15u)) {
                pipeline.push(request_of(0), 3, 0);
                expected += '.';
                replies.push_back(expected.size());
                per_slot.push_back(1);
                ++requests;
            } else if (what < 70) {
                std::string reply(prng.below(step % 100 == 0 ? 90'000 : 40), 'a');
                for (char& c : reply) c = static_cast<char>('a' + prng.below(26));
                const std::size_t begin = pipeline.ready().size();
                const std::size_t charge = pipeline.charge();
                pipeline.ready().append(reply);
                pipeline.add_ready();
                ASSERT_EQ(pipeline.charge(), charge + reply.size());
                if (prng.below(4) == 0) {
                    pipeline.drop_ready(begin);
                    ASSERT_EQ(pipeline.charge(), charge);
                } else {
                    expected += reply;
                    replies.back() = expected.size();
                    ++per_slot.back();
                    ++requests;
                }
            } else {
                out += '.';
                pipeline.pop(out);
                left = replies.front();
                replies.pop_front();
                requests -= per_slot.front();
                per_slot.pop_front();
                ASSERT_EQ(out.size(), left);
            }
            ASSERT_EQ(pipeline.size(), requests);
        }
        while (!pipeline.empty()) {
            out += '.';
            pipeline.pop(out);
        }
        ASSERT_EQ(out, expected);
        EXPECT_EQ(pipeline.charge(), 0u);
    }
}

TEST(Pipeline, TheMemoryOfALongReplyIsGivenBack) {
    std::string out;
    Pipeline pipeline;
    const std::size_t before = pipeline.bytes();
    pipeline.push(request_of(0), 3, 0);
    pipeline.ready().assign(10'000'000, 'x');
    pipeline.add_ready();
    EXPECT_GT(pipeline.bytes(), 10'000'000u);
    pipeline.pop(out);
    EXPECT_EQ(out.size(), 10'000'000u);
    EXPECT_LE(pipeline.bytes(), before + 100);
    for (int i = 0; i < 16; ++i) {
        pipeline.push(request_of(0), 3, 0).bytes.assign(1'000'000, 'x');
        pipeline.pop(out);
    }
    EXPECT_LT(pipeline.push(request_of(0), 3, 0).bytes.capacity(), 1000u);
}

}  // namespace
}  // namespace kv
