#include "engine/node/command_times.h"

#include <gtest/gtest.h>

namespace kv {
namespace {

const DurationHistogram& of(const CommandTimes& times, Verb verb) {
    return times.by_verb()[static_cast<std::size_t>(verb)];
}

std::uint64_t total(const DurationCounts& counts) {
    std::uint64_t all = 0;
    for (const std::uint64_t one : counts) all += one;
    return all;
}

TEST(CommandTimes, WhatATurnAnswersAtOnceTookAsLongAsTheTurn) {
    CommandTimes times;
    times.add_at_once(Verb::get);
    times.add_at_once(Verb::get);
    times.add_at_once(Verb::ping);
    EXPECT_EQ(of(times, Verb::get).count(), 0u);
    times.end_turn(100us);
    EXPECT_EQ(of(times, Verb::get).counts[7], 2u);  // below 128 us
    EXPECT_EQ(of(times, Verb::get).sum, 200us);
    EXPECT_EQ(of(times, Verb::ping).count(), 1u);
    times.end_turn(1s);  // nothing was answered in that one
    EXPECT_EQ(of(times, Verb::get).count(), 2u);
}

TEST(CommandTimes, OnlyTheLastSecondsAreRecent) {
    CommandTimes times;
    times.add(Verb::set, 1ms);
    times.add(Verb::get, 1us);
    EXPECT_EQ(total(times.recent().writes), 1u);
    for (std::size_t i = 0; i < CommandTimes::recent_ticks; ++i) {
        EXPECT_EQ(total(times.recent().writes), 1u) << i;
        times.tick();
    }
    EXPECT_EQ(total(times.recent().writes), 0u);
    times.add(Verb::set, 2ms);
    times.tick();
    EXPECT_EQ(total(times.recent().writes), 1u);
    EXPECT_EQ(total(times.recent().reads), 0u);
    EXPECT_EQ(of(times, Verb::set).count(), 2u);
}

TEST(Quantile, LiesOnALineWithinItsClass) {
    DurationCounts counts{};
    EXPECT_EQ(quantile(counts, 0.5), Duration());
    counts[3] = 4;  // 4 to 8 us
    EXPECT_EQ(quantile(counts, 0.5), 6us);
    EXPECT_EQ(quantile(counts, 1), 8us);
    counts[0] = 12;  // below 1 us
    EXPECT_EQ(quantile(counts, 0.75), 1us);
    EXPECT_EQ(quantile(counts, 0.99), 7760ns + 80ns);
    counts = {};
    counts.back() = 1;
    EXPECT_EQ(quantile(counts, 0.5), 4'194'304us);
}

}  // namespace
}  // namespace kv
