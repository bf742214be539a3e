/// One story for each rule about replication and commit.

#include <gtest/gtest.h>

#include "tests/support/raft_one.h"

namespace kv::consensus {
namespace {

// R8 is told in tests/scripts/raft/figure8.txt.

/// R9: an answer that claims more than its request brought is none.
TEST(Replication, AnAnswerMustBeOfItsRequest) {
    RaftOne one;
    one.lead();
    one.propose();
    const Message request = one.take<AppendRequest>().front();
    one.answer(request, AppendReply{false, Index(9), {}});
    EXPECT_EQ(one->commit(), Index(2));
    EXPECT_EQ(one.fault, "");
}

/// R9: the answer to a request says what that request brought, not how long the log is.
TEST(Replication, AnAcknowledgementIsOfTheRequestAlone) {
    RaftOne one;
    one.append(2, 2, at(1, 1), {2, 2, 2}, 1);
    one.forget();
    one.append(3, 3, at(1, 1), {}, 1);
    EXPECT_EQ(one.only<AppendReply>().value().match, Index(1));
    one.append(3, 3, at(1, 1), {2}, 1);
    EXPECT_EQ(one.only<AppendReply>().value().match, Index(2));
}

/// R9: a heartbeat's answer says nothing about the log.
TEST(Replication, AHeartbeatMatchesNothing) {
    RaftOne one;
    one.lead();
    one.propose();
    one.forget();
    one.pass(60ms);
    for (const Message& beat : one.take<HeartbeatRequest>()) one.answer(beat, HeartbeatReply{});
    EXPECT_EQ(one->commit(), Index(2));
    EXPECT_EQ(one->last().index, Index(3));
}

/// R9: the leader's commit counts up to the end of the request that brings it, not further.
TEST(Replication, TheCommitOfARequestReachesToItsEnd) {
    RaftOne one;
    one.append(2, 2, at(1, 1), {2, 2, 2}, 1);
    one.append(3, 3, at(1, 1), {}, 4);
    EXPECT_EQ(one->commit(), Index(1));
    one.append(3, 3, at(1, 1), {2}, 4);
    EXPECT_EQ(one->commit(), Index(2));
}

/// R10: a late request with less than the log has takes nothing away.
TEST(Replication, OnlyAConflictTruncates) {
    RaftOne one;
    one.append(2, 2, at(1, 1), {2, 2, 2}, 1);
    one.append(2, 2, at(1, 1), {2}, 1);
    one.append(2, 2, at(1, 1), {}, 1);
    EXPECT_EQ(one.terms(), "1 2 2 2");
    one.append(3, 3, at(2, 2), {3}, 1);
    EXPECT_EQ(one.terms(), "1 2 3");
}

/// R11, R15: an acknowledgement leaves when its own write has ended, not an earlier one.
TEST(Replication, AnEarlierWriteAcknowledgesNoLaterEntry) {
    RaftOne one;
    one.hear(2, 2, HeartbeatRequest{});
    one.forget();
    one.disk_held = true;
    one.append(2, 2, at(1, 1), {2}, 1);
    one.append(2, 2, at(2, 2), {2}, 1);
    ASSERT_EQ(one.hand_overs(), 2u);
    EXPECT_TRUE(one.take<AppendReply>().empty());
    one.persist();
    EXPECT_EQ(one.only<AppendReply>().value().match, Index(2));
    one.persist();
    EXPECT_EQ(one.only<AppendReply>().value().match, Index(3));
}

/// R11: an entry goes, and comes back; the end of its first write is not the end of its second.
TEST(Replication, TheWriteOfAReplacedEntryVouchesForNothing) {
    RaftOne one;
    one.hear(2, 2, HeartbeatRequest{});
    one.forget();
    one.disk_held = true;
    one.append(2, 2, at(1, 1), {2}, 1);
    one.append(3, 3, at(1, 1), {3}, 1);
    one.append(2, 4, at(1, 1), {2}, 1);
    ASSERT_EQ(one.hand_overs(), 3u);
    one.forget();
    one.persist();
    EXPECT_EQ(one->durable().index, Index(1));
    one.persist();
    EXPECT_EQ(one->durable().index, Index(1));
    EXPECT_TRUE(one.take<AppendReply>().empty());
    one.persist();
    EXPECT_EQ(one->durable(), at(2, 2));
    EXPECT_EQ(one.only<AppendReply>().value().match, Index(2));
}

/// R12: entries in memory are those of the log.
TEST(Replication, MemoryIsTruncatedWithTheLog) {
    RaftOne one;
    one.append(2, 2, at(1, 1), {2, 2, 2}, 1);
    one.append(3, 3, at(1, 1), {3, 3}, 3);
    EXPECT_EQ(one->entry(Index(2)).term, Term(3));
    EXPECT_EQ(one->entry(Index(3)).term, Term(3));
    EXPECT_EQ(one->last(), at(3, 3));
}

/// R13: a request with a gap, a falling term or a term from the future is not what a leader sends.
TEST(Replication, ARequestThatIsNoPieceOfALogIsIgnoredWhole) {
    RaftOne one;
    one.hear(2, 3, HeartbeatRequest{});
    one.forget();
    const auto refused = [&](std::vector<Bytes> entries) {
        one.hear(2, 3, AppendRequest{at(1, 1), Index(1), std::move(entries)});
        return one.sent.empty() && one->last() == at(1, 1);
    };
    EXPECT_TRUE(refused({one.entry(2, 2), one.entry(2, 4)}));
    EXPECT_TRUE(refused({one.entry(2, 3)}));
    EXPECT_TRUE(refused({one.entry(2, 2), one.entry(2, 2)}));
    EXPECT_TRUE(refused({one.entry(3, 2), one.entry(2, 3)}));
    EXPECT_TRUE(refused({one.entry(4, 2)}));
    EXPECT_TRUE(refused({one.entry(2, 2).first(entry_header_bytes - 1)}));
}

/// R13: entries that a snapshot covers come once more; they are not appended again.
TEST(Replication, WhatASnapshotCoversIsNotAppendedAgain) {
    RaftOne one(at(2, 3), configuration_of({1, 1, 1}));
    one.append(2, 3, {}, {1, 2, 2}, 3);
    EXPECT_EQ(one->last(), at(2, 3));
    EXPECT_EQ(one.only<AppendReply>().value().match, Index(3));
    one.append(2, 3, {}, {1, 2, 2, 3}, 3);
    EXPECT_EQ(one->last(), at(3, 4));
    EXPECT_TRUE(one.written == std::vector{at(3, 4)});
}

/// R14: an answer to an earlier life of this node is none.
TEST(Replication, AnAnswerToAnEarlierLifeIsIgnored) {
    RaftOne one;
    one.lead();
    one.propose();
    Message request = one.take<AppendRequest>().front();
    request.boot -= 1;
    one.acknowledge(request);
    EXPECT_EQ(one->commit(), Index(2));
    request.boot += 1;
    one.acknowledge(request);
    EXPECT_EQ(one->commit(), Index(3));
}

/// R14: an answer in an earlier term is none, and one counts once.
TEST(Replication, AnAnswerOfAnEarlierTermIsIgnored) {
    RaftOne one;
    one.lead();
    one.propose();
    Message request = one.take<AppendRequest>().front();
    request.term = Term(1);
    one.acknowledge(request);
    EXPECT_EQ(one->commit(), Index(2));
}

/// R14: an answer to a request that was given up says nothing.
TEST(Replication, AnAnswerToARequestThatWasGivenUpIsIgnored) {
    RaftOne one;
    one.lead();
    one.propose();
    const Message request = one.take<AppendRequest>().front();
    one.input([&](Effects&) { one->disconnected(request.to); });
    one.acknowledge(request);
    EXPECT_EQ(one->commit(), Index(2));
    const Message again = one.take<AppendRequest>().back();
    EXPECT_EQ(again.to, request.to);
    one.acknowledge(again);
    EXPECT_EQ(one->commit(), Index(3));
}

/// R15: the leader is one of the quorum only with its own disk.
TEST(Replication, ALeaderCountsItselfWhenItsDiskHasIt) {
    RaftOne one;
    one.lead();
    one.disk_held = true;
    one.propose();
    const std::vector<Message> requests = one.take<AppendRequest>();
    ASSERT_EQ(requests.size(), 2u);
    one.acknowledge(requests[0]);
    EXPECT_EQ(one->commit(), Index(2));
    one.persist();
    EXPECT_EQ(one->commit(), Index(3));
}

/// A follower's log had room for a part of a request only.
class PartialAnswer : public testing::Test {
protected:
    /// Entries 3 to 6, in one request to `follower`, which has everything before.
    PartialAnswer() {
        one.lead();
        one.disk_held = true;  // or each would leave by itself, and this node would count too soon
        one.input([&](Effects&) {
            for (int i = 0; i < 4; ++i) {
                one->propose(one->take_buffer(), EntryKind::commands, 1);
            }
        });
        while (one.hand_overs() != 0) one.persist();
        one.disk_held = false;
        const std::vector<Message> sent = one.take<AppendRequest>();
        EXPECT_EQ(sent.size(), 2u);
        request = sent.front();
        EXPECT_EQ(previous_of(request), Index(2));
        EXPECT_EQ(one->last().index, Index(6));
    }
    static Index previous_of(const Message& append) {
        return std::get<AppendRequest>(append.body).previous.index;
    }
    const Progress& follower() {
        return *std::ranges::find(one->followers(), request.to, &Progress::node);
    }
    void take_part(std::uint64_t match) {
        one.answer(request, AppendReply{false, Index(match), {}});
    }
    /// What is asked of the follower now.
    std::vector<Message> asked() {
        std::vector<Message> all = one.take<AppendRequest>();
        std::erase_if(all, [&](const Message& each) { return each.to != request.to; });
        return all;
    }
    /// Time passes, and both followers answer that they live.
    void live(Duration time) {
        for (Duration passed = 0ms; passed < time; passed += 10ms) {
            one.pass(10ms);
            for (const Message& beat : one.take<HeartbeatRequest>()) {
                one.answer(beat, HeartbeatReply{std::get<HeartbeatRequest>(beat.body).read});
            }
        }
    }

    RaftOne one;
    Message request;
};

TEST_F(PartialAnswer, CountsUpToWhereItWasTakenAndNoFurther) {
    take_part(4);
    EXPECT_EQ(follower().match, Index(4));
    EXPECT_EQ(one->commit(), Index(4));
    EXPECT_EQ(one.fault, "");
}

TEST_F(PartialAnswer, NothingTakenIsAnAnswerToo) {
    take_part(2);
    EXPECT_EQ(follower().match, Index(2));
    EXPECT_EQ(one->commit(), Index(2));
    EXPECT_EQ(follower().outstanding(), 0u);
    EXPECT_TRUE(asked().empty());
}

TEST_F(PartialAnswer, TheRestIsAskedAgainAfterAnElectionTimeoutAndNotBefore) {
    const Duration timeout = one->options().election_timeout;
    take_part(4);
    one.propose();
    live(timeout - 10ms);
    EXPECT_TRUE(asked().empty());
    EXPECT_EQ(one->role(), Role::leader);
    live(10ms);
    const std::vector<Message> again = asked();
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(previous_of(again.front()), Index(4));
    // Once it has room the window is open again.
    one.answer(again.front(), AppendReply{false, Index(7), {}});
    EXPECT_EQ(one->commit(), Index(7));
    one.propose();
    one.propose();
    EXPECT_EQ(asked().size(), 2u);
    EXPECT_EQ(one.fault, "");
}

/// It goes on without room: one request for each timeout, and it is no reason not to lead.
TEST_F(PartialAnswer, WhoHasNoRoomForLongIsAskedOnceATimeout) {
    const Duration timeout = one->options().election_timeout;
    take_part(4);
    for (int i = 0; i < 5; ++i) {
        live(timeout);
        const std::vector<Message> again = asked();
        ASSERT_EQ(again.size(), 1u) << i;
        EXPECT_EQ(previous_of(again.front()), Index(4));
        one.answer(again.front(), AppendReply{false, Index(4), {}});
    }
    EXPECT_EQ(one->role(), Role::leader);
    EXPECT_EQ(follower().match, Index(4));
    EXPECT_EQ(one->commit(), Index(4));
}

TEST_F(PartialAnswer, AMatchOutsideOfItsRequestIsIgnored) {
    for (const std::uint64_t match : {0u, 1u, 7u, 100u}) {
        RaftOne other;
        other.lead();
        other.propose();
        const Message asked = other.take<AppendRequest>().front();
        ASSERT_EQ(previous_of(asked), Index(2));
        other.answer(asked, AppendReply{false, Index(match), {}});
        for (const Progress& each : other->followers()) EXPECT_EQ(each.match, Index(2)) << match;
        EXPECT_EQ(other->commit(), Index(2)) << match;
        // It was the answer to its request all the same: a second one is none.
        other.answer(asked, AppendReply{false, Index(3), {}});
        EXPECT_EQ(other->commit(), Index(2)) << match;
        EXPECT_EQ(other.fault, "");
    }
}

/// What is sent behind it without waiting cannot have been taken: its answers say nothing.
TEST_F(PartialAnswer, WhatWasSentBehindItIsGivenUp) {
    one.propose();
    const std::vector<Message> behind = asked();
    ASSERT_EQ(behind.size(), 1u);
    EXPECT_EQ(previous_of(behind.front()), Index(6));
    take_part(4);
    EXPECT_EQ(follower().outstanding(), 0u);
    one.answer(behind.front(), AppendReply{true, Index(6), at(2, 4)});
    EXPECT_TRUE(asked().empty()) << "it waits all the same";
    EXPECT_EQ(follower().match, Index(4));
    EXPECT_EQ(follower().next, Index(5));
}

/// A rejection that is late moves nothing back.
TEST(Replication, ALateRejectionMovesNothingBack) {
    RaftOne one;
    one.campaign();
    const Message probe = one.take<AppendRequest>().front();
    one.acknowledge(probe);
    one.forget();
    one.answer(probe, AppendReply{true, Index(1), {}});
    EXPECT_TRUE(one.take<AppendRequest>().empty());
    EXPECT_EQ(one.fault, "");
}

}  // namespace
}  // namespace kv::consensus
