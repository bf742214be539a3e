/// One story for each rule that systems before this one have broken.

#include <gtest/gtest.h>

#include "tests/support/raft_net.h"

namespace kv::consensus {
namespace {

template <typename Body>
std::size_t count(RaftNet& net) {
    return static_cast<std::size_t>(std::ranges::count_if(net.packets(), [](const Packet& one) {
        return std::holds_alternative<Body>(one.message.body);
    }));
}

/// R1.
TEST(Rules, AVoteLeavesOnlyWhenItIsDurableAndSurvivesACrash) {
    RaftNet net({});
    net.hold_disk(2, true);
    net.campaign(1);
    net.settle();
    EXPECT_EQ(net.at(2).vote(), NodeId(1));
    EXPECT_EQ(count<VoteReply>(net), 0u);
    net.persist_all(2);
    const Term term = net.at(2).term();
    net.crash(2);
    net.restart(2);
    EXPECT_EQ(net.at(2).term(), term);
    EXPECT_EQ(net.at(2).vote(), NodeId(1));
    EXPECT_EQ(net.fault, "");
}

/// R5: a node that was cut off comes back without a new term, and unseats nobody.
TEST(Rules, WhoComesBackFromAPartitionUnseatsNobody) {
    RaftNet net({});
    ASSERT_TRUE(net.elect(1));
    net.run(200ms);
    const Term term = net.at(1).term();
    net.isolate(3);
    net.run(3s);
    EXPECT_EQ(net.at(3).term(), term);
    net.heal();
    net.run(2s);
    EXPECT_EQ(net.leader(), 1u);
    EXPECT_EQ(net.at(1).term(), term);
}

/// R5, check-quorum.
TEST(Rules, ALeaderThatHearsNoQuorumStepsDown) {
    RaftNet net({});
    ASSERT_TRUE(net.elect(1));
    net.isolate(1);
    net.run(500ms);
    EXPECT_NE(net.at(1).role(), Role::leader);
}

/// R6.
TEST(Rules, ALeaderWhoseDiskStallsHandsOver) {
    RaftNet net({});
    ASSERT_TRUE(net.elect(1));
    net.run(100ms);
    net.stall(1, true);
    net.settle();
    EXPECT_NE(net.leader(), 1u);
    EXPECT_NE(net.leader(), 0u);
    net.run(3s);
    EXPECT_NE(net.leader(), 1u);
    EXPECT_EQ(net.fault, "");
}

/// R15: nobody counts before its own disk has it.
TEST(Rules, NothingIsCommittedThatAQuorumOfDisksHasNot) {
    RaftNet net({});
    ASSERT_TRUE(net.elect(1));
    net.run(100ms);
    net.hold_disk(2, true);
    net.hold_disk(3, true);
    ASSERT_TRUE(net.propose_and_settle(1, "a"));
    EXPECT_EQ(net.applied(1), "");
    net.hold_disk(2, false);
    net.settle();
    EXPECT_EQ(net.applied(1), "a");
    EXPECT_EQ(net.fault, "");
}

/// R16, R18: only answers to heartbeats that were sent behind the read confirm it.
TEST(Rules, AReadIsConfirmedByAHeartbeatThatWasSentBehindIt) {
    RaftNet net({});
    ASSERT_TRUE(net.elect(1));
    net.run(100ms);
    net.pass(60ms);  // heartbeats are under way
    const std::vector<Packet> earlier = net.packets();
    net.packets().clear();
    const std::uint64_t round = net.read(1);
    ASSERT_NE(round, 0u);
    const std::vector<Packet> asked = net.packets();
    net.packets() = earlier;
    net.settle();
    EXPECT_LT(net.confirmed(1).round, round);
    net.packets() = asked;
    net.settle();
    EXPECT_EQ(net.confirmed(1).round, round);
}

/// R17.
TEST(Rules, ANewLeaderServesNoReadBeforeItHasCommitted) {
    RaftNet net({});
    net.hold_disk(1, true);
    net.campaign(1);
    net.persist(1);
    net.persist(1);
    for (int i = 0; i < 8 && net.at(1).role() != Role::leader; ++i) {
        net.persist_all(1);
        net.settle();
    }
    ASSERT_EQ(net.at(1).role(), Role::leader);
    EXPECT_FALSE(net.at(1).ready());
    EXPECT_EQ(net.read(1), 0u);
    net.hold_disk(1, false);
    net.settle();
    EXPECT_NE(net.read(1), 0u);
}

TEST(Rules, LeadershipIsHandedOverPastStickiness) {
    RaftNet net({});
    ASSERT_TRUE(net.elect(1));
    net.run(100ms);
    ASSERT_TRUE(net.transfer(1, 3));
    net.settle();
    EXPECT_EQ(net.leader(), 3u);
    EXPECT_EQ(net.fault, "");
}

TEST(Rules, AFollowerThatIsTooFarBehindGetsASnapshot) {
    RaftNet net({});
    ASSERT_TRUE(net.elect(1));
    net.isolate(3);
    for (int i = 0; i < 20; ++i) net.propose_and_settle(1, "x");
    net.snapshot(1);
    net.heal();
    net.run(2s);
    EXPECT_EQ(net.installs, 1u);
    EXPECT_EQ(net.applied(3), net.applied(1));
    EXPECT_EQ(net.fault, "");
}

}  // namespace
}  // namespace kv::consensus
