/// One story for each rule about snapshots and recovery.

#include <gtest/gtest.h>

#include "tests/support/raft_one.h"

namespace kv::consensus {
namespace {

const Configuration three = configuration_of({1, 1, 1});

Message offer(RaftOne& one, std::uint64_t term, LogPosition position) {
    one.offered.reset();
    one.hear(2, term, SnapshotRequest{position});
    return one.offered.value_or(Message{});
}

bool install(RaftOne& one, const Message& request) {
    bool installed = false;
    one.input(
        [&](Effects& effects) { installed = one->installed(request, 0, three, one.now, effects); });
    return installed;
}

/// R23: what is behind a snapshot that the log agrees with stays. (It is known to be committed, and
/// only the disk is late: else there would be nothing to receive.)
TEST(Snapshots, TheSuffixOfALogThatAgreesStays) {
    RaftOne one;
    const Message request = offer(one, 2, at(2, 3));
    ASSERT_EQ(request.from, NodeId(2));
    one.disk_held = true;
    one.append(2, 2, at(1, 1), {2, 2, 2, 2}, 1);
    ASSERT_EQ(one->commit(), Index(1));
    EXPECT_TRUE(install(one, request));
    EXPECT_EQ(one->last(), at(2, 5));
    EXPECT_EQ(one->compacted(), at(2, 3));
    EXPECT_EQ(one->applied_index(), Index(3));
    EXPECT_FALSE(one.reset.has_value());  // the log on disk goes on from it
    one.forget();
    while (one.hand_overs() != 0) one.persist();
    EXPECT_EQ(one->durable(), at(2, 5));
    EXPECT_EQ(one.fault, "");
}

/// R23: when the snapshot ends beyond what was handed over, the log on disk begins again behind it.
TEST(Snapshots, ALogThatGotLessFarBeginsAgain) {
    RaftOne one;
    one.append(2, 2, at(1, 1), {2}, 1);
    EXPECT_TRUE(install(one, offer(one, 2, at(2, 9))));
    EXPECT_EQ(one->last(), at(2, 9));
    EXPECT_EQ(one->commit(), Index(9));
    EXPECT_EQ(one.reset, at(2, 9));
    EXPECT_EQ(one.fault, "");
}

/// R23: nothing stays of a log that disagrees.
TEST(Snapshots, NothingStaysOfALogThatDisagrees) {
    RaftOne one;
    one.append(2, 2, at(1, 1), {2, 2, 2, 2}, 1);
    EXPECT_TRUE(install(one, offer(one, 3, at(3, 3))));
    EXPECT_EQ(one->last(), at(3, 3));
    EXPECT_EQ(one.reset, at(3, 3));
    one.append(2, 3, at(3, 3), {3}, 4);
    EXPECT_EQ(one->commit(), Index(4));
    EXPECT_EQ(one.fault, "");
}

/// An answer leaves when the snapshot is what a start would recover from.
TEST(Snapshots, AnInstalledSnapshotIsAnsweredWhenItIsDurable) {
    RaftOne one;
    const Message request = offer(one, 2, at(2, 9));
    one.forget();
    one.disk_held = true;
    EXPECT_TRUE(install(one, request));
    EXPECT_TRUE(one.take<AppendReply>().empty());
    while (one.hand_overs() != 0) one.persist();
    EXPECT_EQ(one.only<AppendReply>().value().match, Index(9));
}

/// The entry behind a snapshot is the next, neither again its last nor the one after.
TEST(Snapshots, TheLogGoesOnRightBehindASnapshot) {
    RaftOne one;
    EXPECT_TRUE(install(one, offer(one, 2, at(2, 9))));
    one.forget();
    one.append(2, 2, at(2, 10), {2}, 9);
    EXPECT_TRUE(one.only<AppendReply>().value().rejected);
    one.append(2, 2, at(2, 9), {2}, 10);
    EXPECT_EQ(one.only<AppendReply>().value().match, Index(10));
    EXPECT_EQ(one->commit(), Index(10));
    EXPECT_TRUE(one.written == std::vector{at(2, 10)});
}

/// A snapshot that is older than what is committed changes nothing.
TEST(Snapshots, AnOlderSnapshotReplacesNothing) {
    RaftOne one;
    const Message early = offer(one, 2, at(2, 3));
    EXPECT_TRUE(install(one, offer(one, 2, at(2, 9))));
    EXPECT_FALSE(install(one, early));
    EXPECT_EQ(one->last(), at(2, 9));
    EXPECT_EQ(one->commit(), Index(9));
    EXPECT_EQ(one.fault, "");
}

/// R26: an answer was lost; the offer that comes again is answered at once, nothing is received.
TEST(Snapshots, AnOfferOfWhatIsThereIsAnsweredAtOnce) {
    RaftOne one;
    EXPECT_TRUE(install(one, offer(one, 2, at(2, 9))));
    one.forget();
    EXPECT_EQ(offer(one, 2, at(2, 9)).from, NodeId(0));
    EXPECT_EQ(one.only<AppendReply>().value().match, Index(9));
}

/// A snapshot of an earlier term is as true as ever, but its sender is not told.
TEST(Snapshots, ASnapshotOfADeposedLeaderIsInstalledWithoutAnAnswer) {
    RaftOne one;
    const Message request = offer(one, 2, at(2, 9));
    one.hear(3, 4, HeartbeatRequest{});
    one.forget();
    EXPECT_TRUE(install(one, request));
    EXPECT_TRUE(one.take<AppendReply>().empty());
    EXPECT_EQ(one->commit(), Index(9));
}

/// What cannot be fetched must be in the snapshot: another one would be answered at once, and the
/// same entries would be fetched again, for ever.
TEST(Snapshots, WhatCannotBeFetchedIsToBeCovered) {
    RaftOptions options = RaftOne::default_options();
    options.cached_bytes_max = 0;
    RaftOne one(three, options);
    one.lead();
    const NodeId away(3);
    for (int i = 0; i < 5; ++i) {
        one.propose();
        for (const Message& request : one.take<AppendRequest>()) {
            if (request.to != away) one.acknowledge(request);
        }
    }
    ASSERT_EQ(one->commit(), Index(7));
    one.input([&](Effects&) { one->applied(Index(7)); });
    one.input([&](Effects&) { one->disconnected(away); });
    ASSERT_EQ(one.fetches.size(), 1u);
    EXPECT_EQ(one.fetches[0].first, Index(3));
    one.input(
        [&](Effects& effects) { one->fetched(away, one.fetches[0].number, {}, one.now, effects); });
    ASSERT_EQ(one.snapshots.size(), 1u);
    EXPECT_EQ(one.snapshots[0].covers, Index(3));
    one.answer(one.snapshots[0].request, AppendReply{false, Index(2), {}});
    EXPECT_EQ(one.fetches.size(), 1u) << "it has not helped";
    one.answer(one.snapshots[0].request, AppendReply{false, Index(5), {}});
    ASSERT_EQ(one.fetches.size(), 2u);
    EXPECT_EQ(one.fetches[1].first, Index(6));
    EXPECT_EQ(one.fault, "");
}

/// R26: a transfer that failed is tried again, one that was answered is over.
TEST(Snapshots, AFailedTransferIsTriedAgain) {
    RaftOne one(at(2, 9), three);
    one.campaign();
    const Message probe = one.take<AppendRequest>().front();
    one.answer(probe, AppendReply{true, Index(9), {}});
    ASSERT_EQ(one.snapshots.size(), 1u);
    one.input([&](Effects&) { one->snapshot_sent(one.snapshots[0].request, false, one.now); });
    one.pass(100ms);
    ASSERT_EQ(one.snapshots.size(), 2u);
    one.input([&](Effects&) { one->snapshot_sent(one.snapshots[1].request, true, one.now); });
    one.forget();
    one.answer(one.snapshots[0].request, AppendReply{false, Index(9), {}});  // the one that failed
    EXPECT_TRUE(one.take<AppendRequest>().empty());
    one.answer(one.snapshots[1].request, AppendReply{false, Index(9), {}});
    EXPECT_EQ(one.take<AppendRequest>().size(), 1u);
    EXPECT_EQ(one.fault, "");
}

/// R26: the end of a transfer says nothing of the one that has taken its place, or a follower that
/// has what it needs, and whose answers come late, is asked for ever.
TEST(Snapshots, AnEndOfAnEarlierTransferChangesNothing) {
    RaftOne one(at(2, 9), three);
    one.campaign();
    const Message probe = one.take<AppendRequest>().front();
    one.answer(probe, AppendReply{true, Index(9), {}});
    ASSERT_EQ(one.snapshots.size(), 1u);
    const Message first = one.snapshots[0].request;
    one.input([&](Effects&) { one->snapshot_sent(first, false, one.now); });
    one.pass(100ms);
    ASSERT_EQ(one.snapshots.size(), 2u);
    one.input([&](Effects&) { one->snapshot_sent(first, false, one.now); });
    one.pass(100ms);
    EXPECT_EQ(one.snapshots.size(), 2u);
    one.forget();
    one.answer(one.snapshots[1].request, AppendReply{false, Index(9), {}});
    EXPECT_EQ(one.take<AppendRequest>().size(), 1u);
}

/// R24: recovery checks that each record joins what came before, and refuses what does not.
class Recovery : public testing::Test {
protected:
    Status entry(std::uint64_t term, std::uint64_t index) {
        return raft_.recover(view_entry(source_.entry(term, index, index == 1 ? &three : nullptr)));
    }
    Status state(std::uint64_t term, std::uint64_t vote, std::uint64_t commit) {
        return raft_.recover(HardState{Term(term), NodeId(vote), Index(commit)});
    }
    Status start() {
        Effects effects;
        return raft_.start(three, source_.now, effects);
    }
    Effects flush() {
        Effects effects;
        raft_.flush(source_.now, effects);
        return effects;
    }
    RaftOne source_;
    Raft raft_{source_->options()};
};

TEST_F(Recovery, AGapIsDamage) {
    ASSERT_TRUE(entry(1, 1));
    EXPECT_EQ(entry(1, 3).error().code, Errc::damaged);
}

TEST_F(Recovery, AFallingTermIsDamage) {
    ASSERT_TRUE(entry(1, 1));
    ASSERT_TRUE(entry(3, 2));
    EXPECT_EQ(entry(2, 3).error().code, Errc::damaged);
    EXPECT_EQ(state(2, 0, 0).has_value(), true);  // terms of states have an order of their own
    EXPECT_EQ(state(1, 0, 0).error().code, Errc::damaged);
}

TEST_F(Recovery, ACommittedEntryThatIsMissingIsDamage) {
    ASSERT_TRUE(entry(1, 1));
    ASSERT_TRUE(state(2, 0, 3));
    ASSERT_TRUE(entry(2, 2));
    EXPECT_EQ(start().error().code, Errc::damaged);
}

TEST_F(Recovery, ACommittedEntryIsNotReplaced) {
    ASSERT_TRUE(entry(1, 1));
    ASSERT_TRUE(entry(2, 2));
    ASSERT_TRUE(state(2, 0, 2));
    EXPECT_TRUE(entry(2, 2));  // the same once more
    EXPECT_EQ(entry(3, 2).error().code, Errc::damaged);
}

TEST_F(Recovery, ASnapshotWithAnEarlierLogGoesOnBehindIt) {
    raft_.restore(at(3, 5), 0, three);
    ASSERT_TRUE(entry(1, 1));
    ASSERT_TRUE(entry(2, 2));
    ASSERT_TRUE(entry(3, 6));
    ASSERT_TRUE(start());
    EXPECT_EQ(raft_.last(), at(3, 6));
}

/// It was installed, and the power failed before the reset that goes with it was durable. What the
/// snapshot holds is committed: the log is what goes, and the reset is handed over again.
TEST_F(Recovery, ASnapshotWinsOverALogThatContradictsIt) {
    raft_.restore(at(3, 2), 0, three);
    ASSERT_TRUE(entry(1, 1));
    ASSERT_TRUE(entry(2, 2));
    ASSERT_TRUE(entry(2, 3));
    ASSERT_TRUE(start());
    EXPECT_EQ(raft_.last(), at(3, 2));
    EXPECT_EQ(flush().reset, at(3, 2));
}

TEST_F(Recovery, ASnapshotWinsOverALogThatEndsBeforeIt) {
    raft_.restore(at(3, 5), 0, three);
    ASSERT_TRUE(entry(1, 1));
    ASSERT_TRUE(entry(2, 2));
    ASSERT_TRUE(start());
    EXPECT_EQ(raft_.last(), at(3, 5));
    EXPECT_EQ(flush().reset, at(3, 5));
}

TEST_F(Recovery, ACommittedEntryBehindALogThatContradictsItsSnapshotIsDamage) {
    raft_.restore(at(3, 2), 0, three);
    ASSERT_TRUE(entry(1, 1));
    ASSERT_TRUE(entry(2, 2));
    ASSERT_TRUE(state(2, 0, 3));
    ASSERT_TRUE(entry(2, 3));
    EXPECT_EQ(start().error().code, Errc::damaged);
}

TEST_F(Recovery, ALogThatWasVoidedContradictsNothing) {
    raft_.restore(at(3, 2), 0, three);
    ASSERT_TRUE(entry(1, 1));
    ASSERT_TRUE(entry(2, 2));
    ASSERT_TRUE(entry(2, 3));
    ASSERT_TRUE(raft_.recover(at(3, 2)));
    ASSERT_TRUE(entry(3, 3));
    ASSERT_TRUE(start());
    EXPECT_EQ(raft_.last(), at(3, 3));
    EXPECT_FALSE(flush().reset.has_value());
}

TEST_F(Recovery, AResetBeyondTheSnapshotIsDamage) {
    raft_.restore(at(3, 2), 0, three);
    EXPECT_EQ(raft_.recover(at(3, 5)).error().code, Errc::damaged);
}

/// The write of a hand-over ended early: the state is there, its entries are not, or only some.
TEST_F(Recovery, AnyBeginningOfAHandOverWillDo) {
    ASSERT_TRUE(entry(1, 1));
    ASSERT_TRUE(state(4, 2, 1));
    ASSERT_TRUE(entry(4, 2));
    ASSERT_TRUE(start());
    EXPECT_EQ(raft_.term(), Term(4));
    EXPECT_EQ(raft_.vote(), NodeId(2));
    EXPECT_EQ(raft_.last(), at(4, 2));
}

}  // namespace
}  // namespace kv::consensus
