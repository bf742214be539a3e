#include "bin/kv-bench/shard_gaps.h"

#include <gtest/gtest.h>

namespace kv::bench {
namespace {

Instant at(int ms) {
    return Instant(std::chrono::seconds(1) + std::chrono::milliseconds(ms));
}

Duration longest(const ShardGaps& gaps, int now, std::size_t shard = 0) {
    return gaps.longest(at(now))[shard];
}

TEST(ShardGaps, LastFromOneAnswerToTheNextWhileSomebodyWaits) {
    ShardGaps gaps(2);
    gaps.began(0, at(0));
    gaps.began(0, at(5));
    gaps.answered(0, at(10));
    EXPECT_EQ(longest(gaps, 10), 10ms) << "the first waited for 10 ms";
    gaps.answered(0, at(40));
    EXPECT_EQ(longest(gaps, 40), 30ms) << "the second waited all the time since the first answer";
    EXPECT_EQ(longest(gaps, 40, 1), 0ms) << "of each shard its own";
}

TEST(ShardGaps, NobodyWaitsNobodyMisses) {
    ShardGaps gaps(1);
    gaps.began(0, at(0));
    gaps.answered(0, at(1));
    gaps.began(0, at(1000));
    gaps.answered(0, at(1002));
    EXPECT_EQ(longest(gaps, 5000), 2ms);
}

TEST(ShardGaps, AFailureIsNoAnswer) {
    ShardGaps gaps(1);
    gaps.began(0, at(0));
    gaps.answered(0, at(1));
    gaps.began(0, at(2));
    gaps.failed(0);
    EXPECT_EQ(gaps.silence(0, at(50)), 48ms) << "the last one failed: nobody knows of better";
    gaps.began(0, at(100));
    gaps.failed(0);
    gaps.began(0, at(200));
    gaps.answered(0, at(302));
    EXPECT_EQ(longest(gaps, 1000), 300ms);
    EXPECT_EQ(gaps.silence(0, at(1000)), 0ms);
}

TEST(ShardGaps, OneThatHasNotEndedCountsUntilNow) {
    ShardGaps gaps(1);
    gaps.began(0, at(0));
    EXPECT_EQ(longest(gaps, 70), 70ms);
}

TEST(ShardGaps, WhatIsNotSentSaysNothing) {
    ShardGaps gaps(1);
    gaps.began(0, at(0));
    gaps.dropped(0);
    EXPECT_EQ(longest(gaps, 70), 0ms);
}

/// An open loop that is behind: it was due before the answers that came meanwhile.
TEST(ShardGaps, DoNotBeginBeforeTheLastAnswer) {
    ShardGaps gaps(1);
    gaps.began(0, at(0));
    gaps.answered(0, at(100));
    gaps.began(0, at(20));
    gaps.answered(0, at(101));
    EXPECT_EQ(longest(gaps, 101), 100ms);
}

}  // namespace
}  // namespace kv::bench
