/// One story for each rule about votes and terms.

#include <gtest/gtest.h>

#include "tests/support/raft_one.h"

namespace kv::consensus {
namespace {

VoteRequest vote_of(LogPosition last) {
    return {last, false, false};
}

/// R1: term and vote are one record, and the answer waits for it.
TEST(Votes, AnAnswerWaitsForTheDisk) {
    RaftOne one;
    one.disk_held = true;
    one.hear(2, 5, vote_of(at(1, 1)));
    EXPECT_TRUE(one.take<VoteReply>().empty());
    EXPECT_EQ(one->durable_state().term, Term(1));
    one.persist();
    EXPECT_EQ(one->durable_state().term, Term(5));
    EXPECT_EQ(one->durable_state().vote, NodeId(2));
    EXPECT_TRUE(one.only<VoteReply>().value().granted);
}

/// R1: a candidate's own vote counts when it is durable, and so does its request leave.
TEST(Votes, ACandidateCountsItselfWhenItsVoteIsDurable) {
    RaftOne one;
    one.disk_held = true;
    while (one->role() == Role::follower) one.pass(10ms);
    for (const Message& asked : one.take<VoteRequest>()) one.answer(asked, VoteReply{true, true});
    EXPECT_EQ(one->role(), Role::candidate);
    EXPECT_TRUE(one.take<VoteRequest>().empty());
    one.persist();
    EXPECT_EQ(one.take<VoteRequest>().size(), 2u);
    EXPECT_EQ(one->role(), Role::candidate);
}

/// R1: one vote a term, whoever asks, and again to the same.
TEST(Votes, ATermHasOneVote) {
    RaftOne one;
    one.hear(2, 5, vote_of(at(1, 1)));
    EXPECT_TRUE(one.only<VoteReply>().value().granted);
    one.hear(3, 5, vote_of(at(1, 9)));
    EXPECT_FALSE(one.only<VoteReply>().value().granted);
    one.hear(2, 5, vote_of(at(1, 1)));
    EXPECT_TRUE(one.only<VoteReply>().value().granted);
}

/// R2: the same grant twice is one vote.
TEST(Votes, AVoterIsCountedOnce) {
    RaftOne one(configuration_of({1, 1, 1, 1, 1}));
    while (one->role() == Role::follower) one.pass(10ms);
    const Message asked = one.take<VoteRequest>().front();
    for (int i = 0; i < 3; ++i) one.answer(asked, VoteReply{true, true});
    EXPECT_EQ(one->role(), Role::pre_candidate);
}

/// R3: votes of learners and strangers are none.
TEST(Votes, OnlyVotersCount) {
    RaftOne one(configuration_of({1, 1, 1, role_learner, role_learner}));
    while (one->role() == Role::follower) one.pass(10ms);
    Message asked = one.take<VoteRequest>().front();
    for (const std::uint64_t stranger : {4u, 5u, 6u}) {
        asked.to = NodeId(stranger);
        one.answer(asked, VoteReply{true, true});
    }
    EXPECT_EQ(one->role(), Role::pre_candidate);
    asked.to = NodeId(2);
    one.answer(asked, VoteReply{true, true});
    EXPECT_EQ(one->role(), Role::candidate);
}

/// R3: a learner does not campaign, and is not asked.
TEST(Votes, ALearnerDoesNotCampaign) {
    RaftOne one(configuration_of({role_learner, 1, 1}));
    one.pass(5s);
    EXPECT_EQ(one->role(), Role::follower);
    EXPECT_TRUE(one.sent.empty());
    RaftOne voter(configuration_of({1, 1, role_learner}));
    voter.pass(1s);
    for (const Message& asked : voter.take<VoteRequest>()) EXPECT_EQ(asked.to, NodeId(2));
}

/// R4: who does not know yet that it was made a voter votes.
TEST(Votes, ALearnerThatIsAskedVotes) {
    RaftOne one(configuration_of({role_learner, 1, 1}));
    one.hear(2, 5, VoteRequest{at(1, 1), true, false});
    EXPECT_TRUE(one.only<VoteReply>().value().granted);
    one.hear(2, 5, vote_of(at(1, 1)));
    EXPECT_TRUE(one.only<VoteReply>().value().granted);
}

/// Up to date is by term first, then by index.
TEST(Votes, AShorterLogOfALaterTermIsMoreComplete) {
    RaftOne one;
    one.append(2, 3, at(1, 1), {3}, 1);
    one.pass(700ms);
    EXPECT_EQ(one->last(), at(3, 2));
    one.forget();
    one.hear(3, 50, vote_of(at(2, 9)));
    EXPECT_FALSE(one.only<VoteReply>().value().granted);
    one.hear(3, 51, vote_of(at(3, 1)));
    EXPECT_FALSE(one.only<VoteReply>().value().granted);
    one.hear(3, 52, vote_of(at(4, 1)));
    EXPECT_TRUE(one.only<VoteReply>().value().granted);
}

/// With nothing behind its snapshot, the log still ends where the snapshot does.
TEST(Votes, ALogThatIsOnlyASnapshotHasATerm) {
    RaftOne one(at(5, 10), configuration_of({1, 1, 1}));
    one.hear(2, 6, vote_of(at(4, 20)));
    EXPECT_FALSE(one.only<VoteReply>().value().granted);
    one.hear(2, 7, vote_of(at(5, 9)));
    EXPECT_FALSE(one.only<VoteReply>().value().granted);
    one.hear(2, 8, vote_of(at(5, 10)));
    EXPECT_TRUE(one.only<VoteReply>().value().granted);
}

/// R5: a pre-vote changes nothing, neither term nor vote nor what lasts.
TEST(Votes, APreVoteChangesNothing) {
    RaftOne one;
    one.hear(2, 5, vote_of(at(1, 1)));
    one.forget();
    one.disk_held = true;
    one.hear(3, 6, VoteRequest{at(1, 1), true, false});
    EXPECT_EQ(one->term(), Term(5));
    EXPECT_EQ(one->vote(), NodeId(2));
    EXPECT_EQ(one.hand_overs(), 0u);
    one.hear(3, 5, vote_of(at(1, 1)));
    EXPECT_FALSE(std::get<VoteReply>(one.take<VoteReply>().back().body).granted);
    EXPECT_EQ(one->vote(), NodeId(2));
}

/// R5: a grant is in the term that was asked for, a refusal in the own: its sender may be behind.
TEST(Votes, APreVoteIsAnsweredInTheTermOfItsRequest) {
    RaftOne one;
    one.hear(2, 5, vote_of(at(1, 1)));
    one.forget();
    one.hear(3, 9, VoteRequest{at(1, 1), true, false});
    EXPECT_EQ(one.take<VoteReply>().front().term, Term(9));
    one.hear(3, 4, VoteRequest{at(1, 1), true, false});
    const Message refused = one.take<VoteReply>().front();
    EXPECT_EQ(refused.term, Term(5));
    EXPECT_FALSE(std::get<VoteReply>(refused.body).granted);
}

/// R5: who is refused a pre-vote because it is behind learns the term, and asks in a later one.
TEST(Votes, ARefusedPreVoteTeachesTheTerm) {
    RaftOne one;
    while (one->role() == Role::follower) one.pass(10ms);
    Message asked = one.take<VoteRequest>().front();
    asked.term = Term(7);
    one.answer(asked, VoteReply{true, false});
    EXPECT_EQ(one->term(), Term(7));
    EXPECT_EQ(one->role(), Role::follower);
    one.forget();
    one.pass(700ms);
    EXPECT_EQ(one.take<VoteRequest>().front().term, Term(8));
}

/// R5: asking is no sign of a leader's life; a pre-vote does not prolong a leader's time.
TEST(Votes, APreVoteDoesNotCountAsHearingTheLeader) {
    RaftOne one;
    one.hear(2, 5, HeartbeatRequest{});
    one.forget();
    one.now += 290ms;
    one.hear(3, 6, VoteRequest{at(1, 1), true, false});
    EXPECT_FALSE(one.only<VoteReply>().value().granted);
    one.now += 20ms;
    one.hear(3, 6, VoteRequest{at(1, 1), true, false});
    EXPECT_TRUE(one.only<VoteReply>().value().granted);
    one.now += 10ms;
    one.hear(3, 6, VoteRequest{at(1, 1), true, false});
    EXPECT_TRUE(one.only<VoteReply>().value().granted);
}

/// R5, R8: while the leader is heard a later term is not even looked at, unless the leader asked.
TEST(Votes, WhoHearsALeaderHelpsNobodyToALaterTerm) {
    RaftOne one;
    one.hear(2, 5, HeartbeatRequest{});
    one.forget();
    one.hear(3, 9, vote_of(at(1, 9)));
    EXPECT_EQ(one->term(), Term(5));
    EXPECT_TRUE(one.sent.empty());
    one.hear(3, 9, VoteRequest{at(1, 9), false, true});
    EXPECT_TRUE(one.only<VoteReply>().value().granted);
    EXPECT_EQ(one->term(), Term(9));
}

/// A leader steps down when it hears no quorum; a learner and half of the voters are none.
TEST(Votes, ALeaderNeedsToHearAQuorumOfVoters) {
    RaftOne one(configuration_of({1, 1, 1, 1, role_learner}));
    one.lead();
    ASSERT_EQ(one->role(), Role::leader);
    for (int i = 0; i < 6; ++i) {
        one.pass(60ms);
        for (const Message& beat : one.take<HeartbeatRequest>()) {
            if (beat.to == NodeId(2) || beat.to == NodeId(5)) one.answer(beat, HeartbeatReply{});
        }
    }
    EXPECT_NE(one->role(), Role::leader);
}

/// R7: who has stepped down takes no more commands, reads or acknowledgements of its term.
TEST(Votes, WhoHasSteppedDownActsNoMore) {
    RaftOne one;
    one.lead();
    ASSERT_TRUE(one->ready());
    one.propose();
    const std::vector<Message> requests = one.take<AppendRequest>();
    const Index commit = one->commit();
    one.hear(2, 9, HeartbeatRequest{});
    EXPECT_EQ(one->refusal(1), Errc::no_leader);
    EXPECT_EQ(one->request_read(), 0u);
    for (const Message& request : requests) one.acknowledge(request);
    EXPECT_EQ(one->commit(), commit);
    EXPECT_EQ(one->last().term, Term(2));
    EXPECT_EQ(one.fault, "");
}

/// A vote of another campaign of the same node is none.
TEST(Votes, AVoteForAnEarlierCampaignDoesNotCount) {
    RaftOne one;
    while (one->role() == Role::follower) one.pass(10ms);
    const Message first = one.take<VoteRequest>().front();
    one.pass(1s);
    one.answer(first, VoteReply{true, true});
    EXPECT_EQ(one->role(), Role::pre_candidate);
}

/// Leadership is handed over only by the leader that is followed, in its term.
TEST(Votes, OnlyTheLeaderThatIsFollowedCanAskForACampaign) {
    RaftOne one;
    one.hear(2, 5, HeartbeatRequest{});
    one.hear(3, 5, TimeoutNow{});
    one.hear(2, 4, TimeoutNow{});
    EXPECT_EQ(one->role(), Role::follower);
    one.forget();
    one.hear(2, 5, TimeoutNow{});
    EXPECT_EQ(one->role(), Role::candidate);
    EXPECT_TRUE(std::get<VoteRequest>(one.take<VoteRequest>().front().body).transfer);
}

/// Commands that were collected before the transfer begins become an entry when the turn ends. Who
/// campaigns without it gets no vote of those that have it, and the shard has no leader for an
/// election timeout.
TEST(Votes, WhoIsToLeadNextIsAskedOnceItHasWhatTheTurnBrought) {
    RaftOne one;
    one.lead();
    one.input([&](Effects&) {
        EXPECT_TRUE(one->transfer(NodeId(2), one.now));
        one->propose(one->take_buffer(), EntryKind::commands, 1);
    });
    EXPECT_TRUE(one.take<TimeoutNow>().empty());
    for (const Message& request : one.take<AppendRequest>()) {
        if (request.to == NodeId(2)) one.acknowledge(request);
    }
    EXPECT_EQ(one.take<TimeoutNow>().size(), 1u);
}

}  // namespace
}  // namespace kv::consensus
