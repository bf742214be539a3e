// Scenes of a whole cluster in the simulator, with every oracle looking on: lives and deaths of its
// nodes. (Partitions, disks, snapshots and reactors have files of their own.)

#include <gtest/gtest.h>

#include "tests/sim/cluster_scene.h"

namespace kv::sim {
namespace {

TEST(ClusterLife, OneNodeAlone) {
    Scene scene(cluster_of(1, 2));
    EXPECT_TRUE(scene.put_many(20));
    scene->crash(n1, io::Crash::power_lose_all);
    scene->start(n1, 3);
    EXPECT_TRUE(scene->await_leaders());
    EXPECT_EQ(scene->node(n1).cores(), 3u);
    EXPECT_EQ(scene->node(n1).directory().identity().generation, 2u);
    scene.expect_whole();
}

TEST(ClusterLife, ThreeNodesTakeAndKeepWrites) {
    for (std::uint16_t cores = 1; cores <= 3; ++cores) {
        Scene scene(cluster_of(3, cores));
        EXPECT_TRUE(scene.put_many(40));
        scene.expect_whole();
        EXPECT_GT(scene->counters().durability_checks, 40u);
        EXPECT_GT(scene->counters().messages, 40u);
    }
}

TEST(ClusterLife, TheLeaderDies) {
    for (const io::Crash kind : io::all_crashes) {
        Scene scene(cluster_of(3));
        EXPECT_TRUE(scene.put_many(20));
        const NodeId leader = scene.leader(shard0);
        const Term term = scene.raft(leader).term();
        scene->crash(leader, kind);
        const auto next = scene->await_other_leader(shard0, leader);
        ASSERT_TRUE(next) << scene.what();
        EXPECT_GT(scene.raft(*next).term(), term);
        EXPECT_TRUE(scene.put_many(20)) << scene.what();
        EXPECT_TRUE(scene.all_there());
        scene->start(leader);
        scene.expect_whole();
    }
}

TEST(ClusterLife, OneLeaderAfterTheOtherDies) {
    Scene scene(cluster_of(5));
    scene.begin_traffic();
    Term term;
    for (std::size_t round = 0; round < 8; ++round) {
        SCOPED_TRACE(round);
        const NodeId leader = scene.leader(shard0);
        const Term now = scene.raft(leader).term();
        EXPECT_GT(now, term);
        term = now;
        EXPECT_TRUE(scene.put_many(5)) << scene.what();
        scene->crash(leader, io::all_crashes[round % io::all_crashes.size()]);
        ASSERT_TRUE(scene->await_other_leader(shard0, leader)) << scene.what();
        scene->start(leader);
    }
    EXPECT_TRUE(scene.await_answers(20));
    scene.expect_whole();
}

TEST(ClusterLife, AFollowerThatDiesIsNotMissed) {
    for (const io::Crash kind : io::all_crashes) {
        Scene scene(cluster_of(3));
        const NodeId leader = scene.leader(shard0);
        const Term term = scene.raft(leader).term();
        const NodeId follower = scene.follower(shard0);
        scene->crash(follower, kind);
        EXPECT_TRUE(scene.put_in(shard0, 20));
        EXPECT_EQ(scene.leader(shard0), leader);
        EXPECT_EQ(scene.raft(leader).term(), term);
        scene->start(follower);
        scene.expect_whole();
    }
}

TEST(ClusterLife, AFollowerDiesAndCatchesUpWithOtherCores) {
    Scene scene(cluster_of(3, 2));
    EXPECT_TRUE(scene.put_many(20));
    const NodeId follower = scene.follower(shard0);
    scene->crash(follower, io::Crash::power_subset_torn);
    EXPECT_TRUE(scene.put_many(40)) << scene.what();
    scene->start(follower, 3);
    scene.expect_whole();
    EXPECT_EQ(scene->node(follower).cores(), 3u);
    EXPECT_EQ(scene->node(follower).directory().identity().generation, 2u);
    EXPECT_TRUE(scene->node(follower).replicas(2).has(ShardId(2)));
}

TEST(ClusterLife, EverybodyLosesPower) {
    Scene scene(cluster_of(3, 2));
    EXPECT_TRUE(scene.put_many(40));
    for (const NodeId node : scene->nodes()) scene->crash(node, io::Crash::power_lose_all);
    for (const NodeId node : scene->nodes()) scene->start(node, 1);
    EXPECT_TRUE(scene->await_leaders()) << scene.what();
    scene.expect_whole();
    for (const NodeId node : scene->nodes()) EXPECT_EQ(scene->node(node).cores(), 1u);
}

TEST(ClusterLife, WithoutAMajorityNobodyIsServed) {
    Scene scene(cluster_of(3));
    EXPECT_TRUE(scene.put_many(10));
    const NodeId leader = scene.leader(shard0);
    for (const NodeId node : scene.others(leader)) scene->crash(node);
    scene->play(3 * scene.election_timeout());
    EXPECT_FALSE(scene.put(scene.key_in(shard0), "to nobody", 3s));
    EXPECT_FALSE(scene->leader(shard0)) << "it leads on, and nobody hears it";
    EXPECT_EQ(scene.get(scene.key_in(shard0), 3s), "");
    for (const NodeId node : scene.others(leader)) scene->start(node);
    EXPECT_TRUE(scene->await_leaders()) << scene.what();
    scene.expect_whole();
}

TEST(ClusterLife, AnOrderlyRestartOfOneAfterTheOther) {
    Scene scene(cluster_of(3, 2));
    for (const NodeId node : scene->nodes()) {
        EXPECT_TRUE(scene.put_many(10)) << scene.what();
        EXPECT_TRUE(scene->stop(node)) << scene.what();
        EXPECT_TRUE(scene.put_many(10)) << scene.what();
        const auto cores = static_cast<std::uint16_t>(node.value());
        scene->start(node, cores);
        EXPECT_TRUE(scene->settle()) << scene.what();
        EXPECT_EQ(scene->node(node).cores(), cores);
    }
    scene.expect_whole();
}

TEST(ClusterLife, AStormOfRestarts) {
    Scene scene(cluster_of(3));
    scene.begin_traffic();
    const std::uint64_t before = scene->counters().starts;
    for (std::uint16_t round = 0; round < 30; ++round) {
        const NodeId node(1 + round % 3);
        scene->crash(node, io::all_crashes[round % io::all_crashes.size()]);
        scene->start(node, static_cast<std::uint16_t>(1 + round / 3 % 3));
        scene->play(round % 4 == 0 ? 2s : 50ms);
    }
    EXPECT_EQ(scene->counters().starts, before + 30);
    EXPECT_TRUE(scene->await_leaders()) << scene.what();
    EXPECT_TRUE(scene.await_answers(20)) << scene.what();
    scene.expect_whole();
}

// Disks that are lost.

TEST(ClusterLife, ANodeWhoseDiskIsLostTwiceDoesNotVote) {
    Scene scene(cluster_of(3));
    EXPECT_TRUE(scene.put_many(20));
    for (int wipe = 0; wipe < 2; ++wipe) {
        scene->crash(n3);
        scene->replace_disk(n3);
        scene->start(n3);
        EXPECT_TRUE(scene.put_many(20)) << scene.what();
        scene->play(5s);
        EXPECT_FALSE(scene->up(n3));
    }
    // It may not help the other one to a majority: it would vote without knowing anything.
    scene->crash(n1);
    scene->play(10s);
    for (std::uint16_t i = 0; i < scene->shards(); ++i) EXPECT_FALSE(scene->leader(ShardId(i)));
    EXPECT_FALSE(scene.put("m0", "to one of three", 3s));
    scene->start(n1);
    EXPECT_TRUE(scene->await_leaders()) << scene.what();
    scene.expect_whole();
}

TEST(ClusterLife, TwoLostDisksOfThreeMakeNoClusterOfTheirOwn) {
    Scene scene(cluster_of(3));
    EXPECT_TRUE(scene.put_many(20));
    const auto last = scene.raft(n1).last();
    for (const NodeId node : {n2, n3}) {
        scene->crash(node);
        scene->replace_disk(node);
    }
    for (const NodeId node : {n2, n3}) scene->start(node);
    scene->play(30s);
    EXPECT_FALSE(scene->up(n2));
    EXPECT_FALSE(scene->up(n3));
    for (std::uint16_t i = 0; i < scene->shards(); ++i) EXPECT_FALSE(scene->leader(ShardId(i)));
    EXPECT_FALSE(scene.put("m0", "to nobody", 3s));
    // What the third one has is still there.
    EXPECT_EQ(scene.raft(n1).last(), last);
    scene->crash(n1, io::Crash::power_lose_all);
    scene->start(n1);
    EXPECT_TRUE(scene->play_until([&] { return scene->up(n1); }, 10s)) << scene.what();
    EXPECT_EQ(scene.raft(n1).last(), last);
}

// The oracles object, too.

TEST(ClusterOracles, FindAnAcknowledgementThatNoDiskHolds) {
    Scene scene(cluster_of(1));
    scene->acknowledged("k", "never written");
    scene.expect_wrong("durability");
}

TEST(ClusterOracles, FindADiskThatForgets) {
    Scene scene(cluster_of(1));
    EXPECT_TRUE(scene.put_many(20));
    scene->crash(n1);
    scene->replace_disk(n1);
    scene->start(n1);
    EXPECT_TRUE(scene->await_leaders());
    scene->check_nothing_lost();
    scene.expect_wrong("nothing lost");
}

}  // namespace
}  // namespace kv::sim
