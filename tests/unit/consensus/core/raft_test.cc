#include "consensus/core/raft.h"

#include <gtest/gtest.h>

#include "tests/support/raft_net.h"

namespace kv::consensus {
namespace {

TEST(Raft, ASoleVoterLeadsAtOnceAndCommitsWhatIsDurable) {
    RaftNet net({.nodes = 1});
    EXPECT_EQ(net.at(1).role(), Role::leader);
    EXPECT_TRUE(net.at(1).ready());
    EXPECT_EQ(net.terms(1), "1 2");  // the configuration, and the no-op of its first term
    net.hold_disk(1, true);
    ASSERT_TRUE(net.propose(1, "a"));
    EXPECT_EQ(net.applied(1), "");
    net.persist(1);
    EXPECT_EQ(net.applied(1), "a");
    EXPECT_EQ(net.fault, "");
}

TEST(Raft, ASoleVoterRecoversAllThatWasDurable) {
    RaftNet net({.nodes = 1});
    net.propose(1, "a");
    net.propose(1, "b");
    net.hold_disk(1, true);
    net.propose(1, "lost");
    net.crash(1);
    net.hold_disk(1, false);
    net.restart(1);
    EXPECT_EQ(net.applied(1), "a b");
    EXPECT_EQ(net.at(1).term(), Term(3));
    EXPECT_TRUE(net.at(1).ready());
    EXPECT_EQ(net.fault, "");
}

TEST(Raft, ThreeNodesElectReplicateAndApply) {
    RaftNet net({});
    net.run(2s);
    const std::uint64_t leader = net.leader();
    ASSERT_NE(leader, 0u);
    ASSERT_TRUE(net.propose_and_settle(leader, "a"));
    ASSERT_TRUE(net.propose_and_settle(leader, "b"));
    net.run(100ms);
    for (std::uint64_t node = 1; node <= 3; ++node) EXPECT_EQ(net.applied(node), "a b");
    EXPECT_EQ(net.elections, 1u);
    EXPECT_EQ(net.fault, "");
}

TEST(Raft, AClusterGoesOnWithoutAMinorityAndCatchesItUp) {
    RaftNet net({});
    ASSERT_TRUE(net.elect(1));
    net.isolate(1);
    net.propose(1, "lost");
    net.run(2s);
    const std::uint64_t leader = net.leader();
    ASSERT_NE(leader, 1u);
    ASSERT_TRUE(net.propose_and_settle(leader, "a"));
    net.heal();
    net.run(1s);
    for (std::uint64_t node = 1; node <= 3; ++node) EXPECT_EQ(net.applied(node), "a");
    EXPECT_EQ(net.fault, "");
}

TEST(Raft, AllNodesRestartAndKeepWhatWasAcknowledged) {
    RaftNet net({});
    ASSERT_TRUE(net.elect(1));
    net.propose_and_settle(1, "a");
    for (std::uint64_t node = 1; node <= 3; ++node) net.crash(node);
    net.packets().clear();
    for (std::uint64_t node = 1; node <= 3; ++node) net.restart(node);
    net.run(2s);
    ASSERT_NE(net.leader(), 0u);
    net.propose_and_settle(net.leader(), "b");
    net.run(100ms);
    for (std::uint64_t node = 1; node <= 3; ++node) EXPECT_EQ(net.applied(node), "a b");
    EXPECT_EQ(net.fault, "");
}

}  // namespace
}  // namespace kv::consensus
