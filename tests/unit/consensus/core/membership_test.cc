/// Who belongs to a group: from which entry on, in both halves, and back when it is truncated.

#include "consensus/core/membership.h"

#include <gtest/gtest.h>

#include "tests/support/raft_one.h"

namespace kv::consensus {
namespace {

constexpr std::uint8_t both = role_voter | role_outgoing_voter;
const Configuration first = configuration_of({1, 1, 1});
/// From 1, 2, 3 to 1, 4, 5.
const Configuration joint =
    configuration_of({both, role_outgoing_voter, role_outgoing_voter, role_voter, role_voter});
const Configuration last = configuration_of({1, 0, 0, 1, 1});

void configure(RaftOne& one, std::uint64_t term, LogPosition previous,
               const Configuration& configuration, std::uint64_t commit) {
    AppendRequest request{previous, Index(commit), {}};
    request.entries.push_back(one.entry(term, previous.index.value() + 1, &configuration));
    one.hear(2, term, std::move(request));
}

/// Makes `one` a candidate; the pre-votes of `granted` must do.
void campaign(RaftOne& one, std::vector<std::uint64_t> granted) {
    one.forget();
    for (int i = 0; i < 200 && one->role() == Role::follower; ++i) one.pass(10ms);
    for (const Message& asked : one.take<VoteRequest>()) {
        if (std::ranges::find(granted, asked.to.value()) == granted.end()) continue;
        one.answer(asked, VoteReply{true, true});
    }
}
void vote(RaftOne& one, std::vector<std::uint64_t> granted) {
    for (const Message& asked : one.take<VoteRequest>()) {
        if (std::ranges::find(granted, asked.to.value()) == granted.end()) continue;
        one.answer(asked, VoteReply{false, true});
    }
}

/// R21: a configuration holds from the moment it is appended, committed or not.
TEST(Membership, AConfigurationHoldsWhenItIsAppended) {
    RaftOne one(first);
    configure(one, 2, at(1, 1), joint, 1);
    EXPECT_EQ(one->commit(), Index(1));
    EXPECT_TRUE(one->configuration() == joint);
    EXPECT_EQ(one->voters().incoming.size(), 3u);
    EXPECT_EQ(one->voters().outgoing.size(), 3u);
}

/// R21: and no longer than its entry.
TEST(Membership, AConfigurationGoesWithItsEntry) {
    RaftOne one(first);
    configure(one, 2, at(1, 1), joint, 1);
    configure(one, 2, at(2, 2), last, 1);
    EXPECT_TRUE(one->configuration() == last);
    one.append(2, 3, at(2, 2), {3}, 1);
    EXPECT_TRUE(one->configuration() == joint);
    one.append(3, 4, at(1, 1), {4}, 1);
    EXPECT_TRUE(one->configuration() == first);
    EXPECT_TRUE(one->voters().outgoing.empty());
    EXPECT_EQ(one.fault, "");
}

/// R21: recovery comes to the same, also over entries that were replaced.
TEST(Membership, RecoveryRollsBackToo) {
    RaftOne source;  // of the entries' bytes
    RaftOptions options = source->options();
    Raft raft(options);
    ASSERT_TRUE(raft.recover(view_entry(source.entry(1, 1, &first))));
    ASSERT_TRUE(raft.recover(view_entry(source.entry(2, 2, &joint))));
    EXPECT_TRUE(raft.configuration() == joint);
    ASSERT_TRUE(raft.recover(view_entry(source.entry(3, 2))));
    EXPECT_TRUE(raft.configuration() == first);
    ASSERT_TRUE(raft.recover(view_entry(source.entry(3, 3, &last))));
    Effects effects;
    ASSERT_TRUE(raft.start(first, source.now, effects));
    EXPECT_TRUE(raft.configuration() == last);
}

/// R22: an election needs both halves, at the pre-vote and at the vote.
TEST(Membership, AnElectionNeedsBothHalves) {
    for (const std::vector<std::uint64_t>& half :
         {std::vector<std::uint64_t>{2, 3}, std::vector<std::uint64_t>{4, 5}}) {
        RaftOne one(first);
        configure(one, 2, at(1, 1), joint, 1);
        campaign(one, half);
        EXPECT_EQ(one->role(), Role::pre_candidate);
        RaftOne other(first);
        configure(other, 2, at(1, 1), joint, 1);
        campaign(other, {2, 4});
        ASSERT_EQ(other->role(), Role::candidate);
        vote(other, half);
        EXPECT_EQ(other->role(), Role::candidate);
    }
}

TEST(Membership, BothHalvesTogetherElect) {
    RaftOne one(first);
    configure(one, 2, at(1, 1), joint, 1);
    campaign(one, {3, 5});
    ASSERT_EQ(one->role(), Role::candidate);
    vote(one, {2, 4});
    EXPECT_EQ(one->role(), Role::leader);
}

class Joint : public testing::Test {
protected:
    Joint() {
        configure(one_, 2, at(1, 1), joint, 1);
        campaign(one_, {2, 4});
        vote(one_, {2, 4});
        requests_ = one_.take<AppendRequest>();
    }
    void acknowledge(std::uint64_t node) {
        for (const Message& request : requests_) {
            if (request.to == NodeId(node)) one_.acknowledge(request);
        }
    }
    RaftOne one_{first};
    std::vector<Message> requests_;
};

/// R22: so does a commit.
TEST_F(Joint, TheHalfThatLeavesCommitsNothingAlone) {
    ASSERT_EQ(one_->role(), Role::leader);
    ASSERT_EQ(requests_.size(), 4u);
    acknowledge(2);
    acknowledge(3);
    EXPECT_EQ(one_->commit(), Index(1));
    acknowledge(4);
    EXPECT_EQ(one_->commit(), Index(3));
}

TEST_F(Joint, TheHalfThatComesCommitsNothingAlone) {
    acknowledge(4);
    acknowledge(5);
    EXPECT_EQ(one_->commit(), Index(1));
    acknowledge(3);
    EXPECT_EQ(one_->commit(), Index(3));
}

/// R22: and a read, and being heard.
TEST_F(Joint, AReadNeedsBothHalves) {
    for (const std::uint64_t node : {2u, 4u}) acknowledge(node);
    ASSERT_TRUE(one_->ready());
    one_.forget();
    std::uint64_t round = 0;
    one_.input([&](Effects&) { round = one_->request_read(); });
    const std::vector<Message> beats = one_.take<HeartbeatRequest>();
    for (const Message& beat : beats) {
        if (beat.to.value() <= 3) one_.answer(beat, HeartbeatReply{round});
    }
    EXPECT_TRUE(one_.reads.empty());
    for (const Message& beat : beats) {
        if (beat.to == NodeId(5)) one_.answer(beat, HeartbeatReply{round});
    }
    EXPECT_EQ(one_.reads.size(), 1u);
}

TEST_F(Joint, ALeaderThatHearsOneHalfStepsDown) {
    for (int i = 0; i < 8; ++i) {
        one_.pass(50ms);
        for (const Message& beat : one_.take<HeartbeatRequest>()) {
            if (beat.to.value() >= 4) one_.answer(beat, HeartbeatReply{});
        }
    }
    EXPECT_NE(one_->role(), Role::leader);
}

/// R3: what learners have commits nothing.
TEST(Membership, ALearnerCommitsNothing) {
    RaftOne one(configuration_of({1, 1, 1, role_learner, role_learner}));
    one.campaign();
    for (const Message& request : one.take<AppendRequest>()) {
        if (request.to.value() >= 4) one.acknowledge(request);
    }
    EXPECT_EQ(one->commit(), Index(0));
    EXPECT_FALSE(one->ready());
}

/// Leadership is not handed to a learner.
TEST(Membership, ALearnerIsNotHandedLeadership) {
    RaftOne one(configuration_of({1, 1, 1, role_learner}));
    one.lead();
    bool begun = true;
    one.input([&](Effects&) { begun = one->transfer(NodeId(4), one.now); });
    EXPECT_FALSE(begun);
}

/// A snapshot's configuration is older than one in the log behind it, and goes back to it when that
/// is truncated.
TEST(Membership, ASnapshotsConfigurationIsOlderThanTheLogBehindIt) {
    Membership membership;
    membership.restore(Index(0), first, false);
    membership.append(Index(7), last);
    membership.restore(Index(5), joint, true);
    EXPECT_TRUE(membership.current() == last);
    membership.truncate(Index(7));
    EXPECT_TRUE(membership.current() == joint);
    membership.append(Index(7), last);
    membership.restore(Index(8), joint, false);
    EXPECT_TRUE(membership.current() == joint);
}

TEST(Membership, WhatIsCompactedStaysTheOldestKnown) {
    Membership membership;
    membership.restore(Index(0), first, false);
    membership.append(Index(3), joint);
    membership.append(Index(6), last);
    membership.compact(Index(5));
    membership.truncate(Index(6));
    EXPECT_TRUE(membership.current() == joint);
    EXPECT_EQ(membership.voters().outgoing.size(), 3u);
}

}  // namespace
}  // namespace kv::consensus
