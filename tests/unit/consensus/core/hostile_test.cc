/// What a peer may say that no honest one does. It must be known to be a member to say anything,
/// but its memory, its disk or its program may be broken: the process goes on, what is committed
/// here stays as it is, and the group can still have a leader.

#include <gtest/gtest.h>

#include "tests/support/raft_one.h"

namespace kv::consensus {
namespace {

constexpr std::uint64_t top = ~std::uint64_t{0};

/// R10: what contradicts the committed log is not taken, answered, or believed in any other way.
TEST(Hostile, WhatContradictsACommittedEntryIsIgnored) {
    RaftOne one;
    one.append(2, 2, at(1, 1), {2, 2}, 3);
    ASSERT_EQ(one->commit(), Index(3));
    one.forget();
    one.append(3, 3, at(1, 1), {3}, 2);
    EXPECT_EQ(one.terms(), "1 2 2");
    EXPECT_TRUE(one.take<AppendReply>().empty());
    EXPECT_EQ(one.contradictions, 1u);
    one.append(3, 3, at(2, 3), {3}, 4);  // one that agrees is
    EXPECT_EQ(one.terms(), "1 2 2 3");
    EXPECT_EQ(one->commit(), Index(4));
    EXPECT_EQ(one.contradictions, 1u);
    EXPECT_EQ(one.fault, "");
}

/// The entry that a snapshot ends with must be among what comes with those before it.
TEST(Hostile, EntriesOfAnotherHistoryThanTheSnapshotAreIgnored) {
    RaftOne one(at(5, 3), configuration_of({1, 1, 1}));
    one.append(2, 6, at(1, 1), {1, 1, 1}, 4);
    EXPECT_EQ(one->last(), at(5, 3));
    EXPECT_TRUE(one.take<AppendReply>().empty());
    EXPECT_EQ(one.contradictions, 1u);
    one.append(2, 6, at(1, 1), {1, 5, 6}, 4);
    EXPECT_EQ(one->last(), at(6, 4));
    EXPECT_EQ(one.fault, "");
}

/// A snapshot holds what earlier terms, or this one, have committed.
TEST(Hostile, ASnapshotOfALaterTermThanItsLeadersIsNotWanted) {
    RaftOne one;
    one.hear(2, 2, SnapshotRequest{at(3, 9)});
    EXPECT_FALSE(one.offered.has_value());
    EXPECT_TRUE(one.take<AppendReply>().empty());
}

TEST(Hostile, ASnapshotThatContradictsACommittedEntryIsNotInstalled) {
    RaftOne one;
    one.hear(2, 2, SnapshotRequest{at(2, 3)});
    ASSERT_TRUE(one.offered.has_value());
    one.disk_held = true;
    one.append(3, 3, at(1, 1), {3, 3, 3}, 4);  // committed; the disk is late
    bool installed = true;
    one.input([&](Effects& effects) {
        installed = one->installed(*one.offered, 0, configuration_of({1, 1, 1}), one.now, effects);
    });
    EXPECT_FALSE(installed);
    EXPECT_EQ(one.contradictions, 1u);
    EXPECT_EQ(one.terms(), "1 3 3 3");
    EXPECT_EQ(one.fault, "");
}

TEST(Hostile, NoIndexIsTooLarge) {
    const std::uint64_t ends[] = {top, top - 1, top / 2, std::uint64_t{1} << 62};
    for (const std::uint64_t end : ends) {
        RaftOne one;
        one.hear(2, 2, HeartbeatRequest{Index(end), end});
        one.hear(2, 2, AppendRequest{at(2, end), Index(end), {}});
        one.hear(2, 2, AppendRequest{at(1, 1), Index(end), {one.entry(2, 2)}});
        EXPECT_EQ(one->commit(), Index(2));
        one.hear(2, 2, AppendReply{true, Index(end), at(end, end)});
        one.hear(2, 2, HeartbeatReply{end});
        one.hear(3, 2, VoteRequest{at(end, end), true, true});
        one.offered.reset();
        one.hear(2, 2, SnapshotRequest{at(2, end)});
        EXPECT_FALSE(one.offered.has_value()) << "nothing could come behind it";
        EXPECT_EQ(one->last(), at(2, 2));
        EXPECT_EQ(one.fault, "");
    }
}

/// A term that no number of elections reaches would leave none for the next leader.
TEST(Hostile, NobodyIsFollowedIntoATermThatCannotBe) {
    const std::uint64_t ends[] = {top, top / 2, std::uint64_t{1} << 62, std::uint64_t{1} << 40};
    for (const std::uint64_t end : ends) {
        RaftOne one;
        one.hear(2, end, HeartbeatRequest{});
        one.hear(2, end, AppendRequest{at(1, 1), Index(1), {}});
        one.hear(2, end, VoteRequest{at(end, 9), false, true});
        one.hear(2, end, VoteReply{false, true});
        one.hear(2, end, HeartbeatReply{});
        EXPECT_EQ(one->term(), Term(1)) << end;
        EXPECT_TRUE(one.sent.empty());
        one.lead();
        EXPECT_TRUE(one->ready());
    }
}

/// As a leader: answers to what was never asked, of whatever size.
TEST(Hostile, AnswersToWhatWasNotAskedMoveNothing) {
    RaftOne one;
    one.lead();
    const Term term = one->term();
    const Index commit = one->commit();
    for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{1}, top / 2, top}) {
        one.hear(2, term.value(), AppendReply{false, Index(number), at(number, number)}, 3);
        one.hear(2, term.value(), AppendReply{true, Index(number), at(number, number)}, 3);
        one.hear(2, term.value(), HeartbeatReply{number}, 3);
        one.hear(2, term.value(), VoteReply{true, true}, 3);
        one.hear(9, term.value(), TimeoutNow{}, 3);
        one.hear(2, term.value(), SnapshotRequest{at(term.value(), number)});
    }
    EXPECT_EQ(one->role(), Role::leader);
    EXPECT_EQ(one->commit(), commit);
    EXPECT_EQ(one.fault, "");
}

}  // namespace
}  // namespace kv::consensus
