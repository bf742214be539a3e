/// One story for each rule about reads.

#include <gtest/gtest.h>

#include "tests/support/raft_one.h"

namespace kv::consensus {
namespace {

std::uint64_t ask(RaftOne& one) {
    std::uint64_t round = 0;
    one.input([&](Effects&) { round = one->request_read(); });
    return round;
}

/// R16: nothing is served before a quorum has said that this is still the leader.
TEST(Reads, AReadWaitsForAQuorum) {
    RaftOne one(configuration_of({1, 1, 1, 1, 1}));
    one.lead();
    EXPECT_EQ(ask(one), 1u);
    EXPECT_TRUE(one.reads.empty());
    const std::vector<Message> beats = one.take<HeartbeatRequest>();
    ASSERT_EQ(beats.size(), 4u);
    one.answer(beats[0], HeartbeatReply{1});
    one.answer(beats[0], HeartbeatReply{1});
    EXPECT_TRUE(one.reads.empty());
    one.answer(beats[1], HeartbeatReply{1});
    ASSERT_EQ(one.reads.size(), 1u);
    EXPECT_EQ(one.reads[0].round, 1u);
    EXPECT_EQ(one.reads[0].index, one->commit());
}

/// R16: a learner's answer confirms nothing.
TEST(Reads, ALearnerConfirmsNothing) {
    RaftOne one(configuration_of({1, 1, 1, role_learner}));
    one.lead();
    ask(one);
    for (const Message& beat : one.take<HeartbeatRequest>()) {
        if (beat.to == NodeId(4)) one.answer(beat, HeartbeatReply{1});
    }
    EXPECT_TRUE(one.reads.empty());
}

/// R17: a new leader does not know what was committed before it has committed itself.
TEST(Reads, ANewLeaderHasNoRoundsBeforeItCommits) {
    RaftOne one;
    one.campaign();
    ASSERT_EQ(one->role(), Role::leader);
    EXPECT_EQ(ask(one), 0u);
    EXPECT_EQ(one->refusal(1), Errc::no_leader);
    for (const Message& request : one.take<AppendRequest>()) one.acknowledge(request);
    EXPECT_EQ(ask(one), 1u);
}

/// R18: each turn with reads has a round of its own, and an answer confirms what it was asked.
TEST(Reads, AnAnswerConfirmsTheRoundsUpToItsOwn) {
    RaftOne one;
    one.lead();
    EXPECT_EQ(ask(one), 1u);
    const Message first = one.take<HeartbeatRequest>().front();
    EXPECT_EQ(ask(one), 2u);
    const Message second = one.take<HeartbeatRequest>().front();
    one.answer(first, HeartbeatReply{1});
    ASSERT_EQ(one.reads.size(), 1u);
    EXPECT_EQ(one.reads[0].round, 1u);
    one.answer(second, HeartbeatReply{2});
    ASSERT_EQ(one.reads.size(), 2u);
    EXPECT_EQ(one.reads[1].round, 2u);
}

/// R18: an answer must be to a heartbeat that is outstanding, with the round that it carried.
TEST(Reads, AnAnswerThatClaimsALaterRoundIsIgnored) {
    RaftOne one;
    one.lead();
    ask(one);
    const Message first = one.take<HeartbeatRequest>().front();
    ask(one);
    one.answer(first, HeartbeatReply{2});
    EXPECT_TRUE(one.reads.empty());
    Message invented = first;
    invented.sequence += 1000;
    one.answer(invented, HeartbeatReply{2});
    EXPECT_TRUE(one.reads.empty());
    Message earlier = one.take<HeartbeatRequest>().front();
    earlier.boot -= 1;
    one.answer(earlier, HeartbeatReply{2});
    EXPECT_TRUE(one.reads.empty());
}

/// R18: rounds of an earlier leadership of this node are not confirmed in a later one.
TEST(Reads, RoundsDoNotOutliveALeadership) {
    RaftOne one;
    one.lead();
    ask(one);
    const std::vector<Message> beats = one.take<HeartbeatRequest>();
    one.hear(2, 5, HeartbeatRequest{});
    one.pass(700ms);
    one.forget();
    one.pass(1s);
    one.campaign();
    for (const Message& request : one.take<AppendRequest>()) one.acknowledge(request);
    for (const Message& beat : beats) one.answer(beat, HeartbeatReply{1});
    EXPECT_TRUE(one.reads.empty());
    EXPECT_GT(ask(one), 1u);
}

/// R16: the index of a round is what was committed when its last read was asked for.
TEST(Reads, ARoundHasTheCommitOfItsReads) {
    RaftOne one;
    one.lead();
    one.propose();
    const Message request = one.take<AppendRequest>().front();
    std::uint64_t round = 0;
    one.input([&](Effects& effects) {
        EXPECT_NE(one->request_read(), 0u);
        Message reply = request;
        std::swap(reply.from, reply.to);
        reply.body = AppendReply{false, Index(3), {}};
        one->step(reply, one.now, effects);
        round = one->request_read();
    });
    EXPECT_EQ(one->commit(), Index(3));
    one.answer(one.take<HeartbeatRequest>().front(), HeartbeatReply{round});
    ASSERT_EQ(one.reads.size(), 1u);
    EXPECT_EQ(one.reads[0].index, Index(3));
}

/// R6, R16: a leader whose disk hangs asks nobody, and so serves nothing.
TEST(Reads, ALeaderWhoseDiskHangsConfirmsNothing) {
    RaftOne one;
    one.lead();
    one.input([&](Effects&) { one->set_disk_stalled(true, one.now); });
    one.forget();
    ask(one);
    one.pass(100ms);
    EXPECT_TRUE(one.take<HeartbeatRequest>().empty());
    EXPECT_TRUE(one.reads.empty());
    EXPECT_EQ(one->refusal(1), Errc::busy);
}

}  // namespace
}  // namespace kv::consensus
