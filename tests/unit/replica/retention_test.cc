#include "engine/replica/retention.h"

#include <gtest/gtest.h>

namespace kv {
namespace {

constexpr ShardId a(0);
constexpr ShardId b(1);
constexpr ShardId c(2);

std::optional<SegmentSeq> segment(std::uint64_t number) {
    return SegmentSeq(number);
}

TEST(Retention, NobodyNeedsAnythingAtFirst) {
    const Retention retention({}, 3);
    EXPECT_EQ(retention.first_needed(), std::nullopt);
    EXPECT_TRUE(retention.pinning(SegmentSeq(9)).empty());
}

TEST(Retention, AnEntryPinsItsSegmentUntilASnapshotIncludesIt) {
    Retention retention({}, 3);
    retention.entry(a, Index(1), SegmentSeq(1), 10);
    retention.entry(b, Index(1), SegmentSeq(1), 10);
    retention.entry(a, Index(2), SegmentSeq(2), 10);
    retention.entry(a, Index(3), SegmentSeq(2), 10);
    retention.entry(a, Index(4), SegmentSeq(3), 10);
    EXPECT_EQ(retention.first_needed(), segment(1));
    EXPECT_EQ(retention.pinning(SegmentSeq(1)), (std::vector<ShardId>{a, b}));

    retention.marked(b, Index(1));
    EXPECT_EQ(retention.first_needed(), segment(1));
    EXPECT_EQ(retention.pinning(SegmentSeq(1)), (std::vector<ShardId>{a}));
    retention.marked(a, Index(2));  // entry 3 is in segment 2, too
    EXPECT_EQ(retention.first_needed(), segment(2));
    retention.marked(a, Index(3));
    EXPECT_EQ(retention.first_needed(), segment(3));
    retention.marked(a, Index(4));
    EXPECT_EQ(retention.first_needed(), std::nullopt);
    retention.entry(b, Index(2), SegmentSeq(7), 10);
    EXPECT_EQ(retention.first_needed(), segment(7));
}

TEST(Retention, WhatIsWrittenDuringASnapshotCountsForTheNextOne) {
    Retention retention({.log_bytes = 100, .entries = 0}, 3);
    retention.entry(a, Index(1), SegmentSeq(1), 99);
    EXPECT_FALSE(retention.due(a, 0));
    retention.entry(a, Index(2), SegmentSeq(1), 1);
    EXPECT_TRUE(retention.due(a, 0));
    EXPECT_TRUE(retention.may_be_due(a));
    EXPECT_FALSE(retention.due(b, 0));
    retention.begun(a);
    retention.entry(a, Index(3), SegmentSeq(1), 60);
    retention.marked(a, Index(2));
    EXPECT_EQ(retention.log_bytes(a), 60u);
    EXPECT_EQ(retention.first_needed(), segment(1));  // entry 3
    EXPECT_FALSE(retention.may_be_due(a));
}

TEST(Retention, OneThatIsGivenUpCountsNothing) {
    Retention retention({.log_bytes = 100, .entries = 0}, 3);
    retention.entry(a, Index(1), SegmentSeq(1), 100);
    retention.begun(a);
    retention.given_up(a);
    EXPECT_TRUE(retention.due(a, 0));
    EXPECT_EQ(retention.first_needed(), segment(1));
}

TEST(Retention, AShardIsDueByItsData) {
    Retention retention({.log_bytes = 100, .entries = 0}, 3);
    retention.entry(a, Index(1), SegmentSeq(1), 500);
    EXPECT_TRUE(retention.due(a, 500));
    EXPECT_FALSE(retention.due(a, 501));
}

TEST(Retention, AShardIsDueByItsEntries) {
    Retention retention({.log_bytes = 1000, .entries = 3}, 3);
    for (std::uint64_t i = 1; i <= 2; ++i) retention.entry(c, Index(i), SegmentSeq(1), 1);
    EXPECT_FALSE(retention.due(c, 1 << 20));
    retention.entry(c, Index(3), SegmentSeq(1), 1);
    EXPECT_TRUE(retention.due(c, 1 << 20));
    EXPECT_TRUE(retention.may_be_due(c));
}

/// A start: entries that the loaded snapshot includes pin until it is marked, and count nothing.
TEST(Retention, AnEntryMayTakeThePlaceOfOthers) {
    Retention retention({}, 1);
    for (std::uint64_t i = 1; i <= 4; ++i) retention.entry(a, Index(i), SegmentSeq(1), 10);
    retention.entry(a, Index(3), SegmentSeq(1), 10);  // in the same segment
    retention.entry(a, Index(4), SegmentSeq(2), 10);
    retention.entry(a, Index(5), SegmentSeq(3), 10);
    retention.entry(a, Index(2), SegmentSeq(4), 10);  // 1 is in segment 1 still
    EXPECT_EQ(retention.first_needed(), segment(1));
    retention.marked(a, Index(1));
    EXPECT_EQ(retention.first_needed(), segment(4));
    retention.marked(a, Index(2));
    EXPECT_EQ(retention.first_needed(), std::nullopt);
}

TEST(Retention, CoveredEntriesPinAndDoNotCount) {
    Retention retention({.log_bytes = 100, .entries = 1}, 3);
    retention.covered_entry(a, Index(7), SegmentSeq(4));
    retention.covered_entry(a, Index(8), SegmentSeq(5));
    EXPECT_FALSE(retention.due(a, 0));
    EXPECT_EQ(retention.first_needed(), segment(4));
    retention.marked(a, Index(8));
    EXPECT_EQ(retention.first_needed(), std::nullopt);
}

/// A new leader replaces what was not committed: indexes fall, perhaps in an older segment's range.
TEST(Retention, ReplacedEntriesPinNothing) {
    Retention retention({}, 3);
    for (std::uint64_t i = 1; i <= 6; ++i) retention.entry(a, Index(i), SegmentSeq(1), 1);
    for (std::uint64_t i = 7; i <= 9; ++i) retention.entry(a, Index(i), SegmentSeq(2), 1);
    retention.entry(a, Index(8), SegmentSeq(2), 1);  // in the same segment
    retention.entry(a, Index(5), SegmentSeq(3), 1);  // of two segments before
    retention.entry(a, Index(6), SegmentSeq(3), 1);
    retention.marked(a, Index(3));
    EXPECT_EQ(retention.first_needed(), segment(1));
    retention.marked(a, Index(4));
    EXPECT_EQ(retention.first_needed(), segment(3));
    retention.marked(a, Index(6));
    EXPECT_EQ(retention.first_needed(), std::nullopt);
}

TEST(Retention, AResetVoidsAll) {
    Retention retention({.log_bytes = 1, .entries = 0}, 3);
    retention.entry(a, Index(9), SegmentSeq(1), 10);
    retention.begun(a);
    retention.reset(a);
    EXPECT_EQ(retention.first_needed(), std::nullopt);
    EXPECT_FALSE(retention.may_be_due(a));
    retention.entry(a, Index(21), SegmentSeq(2), 10);
    retention.marked(a, Index(20));
    EXPECT_EQ(retention.log_bytes(a), 10u);
    EXPECT_EQ(retention.first_needed(), segment(2));
}

}  // namespace
}  // namespace kv
