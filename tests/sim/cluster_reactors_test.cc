// Nodes and cores that stand still or are starved, of a whole cluster in the simulator.

#include <gtest/gtest.h>

#include "tests/sim/cluster_scene.h"

namespace kv::sim {
namespace {

TEST(ClusterReactors, ALeaderThatIsPausedIsReplaced) {
    Scene scene(cluster_of(3));
    scene.let_leaders_settle();
    scene.begin_traffic();
    const NodeId leader = scene.leader(shard0);
    const Term term = scene.raft(leader).term();
    scene.world().pause(leader, 10min);
    const auto next = scene->await_other_leader(shard0, leader, 8s);
    ASSERT_TRUE(next) << scene.what();
    EXPECT_TRUE(scene.put_many(20));
    // It holds itself for the leader still, and learns better when it wakes up.
    EXPECT_TRUE(scene.world().paused(leader));
    EXPECT_EQ(scene.raft(leader).role(), consensus::Role::leader);
    EXPECT_EQ(scene.raft(leader).term(), term);
    scene.world().resume(leader);
    scene->play(5s);
    EXPECT_GT(scene.raft(leader).term(), term);
    scene.expect_whole();
}

TEST(ClusterReactors, AFollowerThatIsPausedIsNotMissed) {
    Scene scene(cluster_of(3));
    scene.let_leaders_settle();
    scene.begin_traffic();
    const NodeId leader = scene.leader(shard0);
    const NodeId follower = scene.follower(shard0);
    const Term term = scene.raft(leader).term();
    scene.world().pause(follower, 10min);
    EXPECT_TRUE(scene.put_in(shard0, 20));
    EXPECT_TRUE(scene.world().paused(follower));
    scene.world().resume(follower);
    scene->play(5s);
    // What had come meanwhile was read before its patience ended.
    EXPECT_EQ(scene.raft(leader).term(), term);
    EXPECT_EQ(scene.raft(follower).leader(), leader);
    scene.expect_whole();
}

TEST(ClusterReactors, ACoreThatStandsStillLosesItsOwnShardsOnly) {
    Scene scene(cluster_of(3, 2));
    const ShardId moving(0);
    const ShardId still(1);
    const auto both = [&] { return scene->leader(moving) == n1 && scene->leader(still) == n1; };
    ASSERT_TRUE(scene->play_until(both, 60s)) << scene.what();
    scene.begin_traffic(6);
    const Term term = scene.raft(n1, moving).term();
    const Index committed = scene.raft(n1, moving).commit();
    scene.world().pause_core(n1, CoreId(1), 8s);
    ASSERT_TRUE(scene->await_other_leader(still, n1, 6s)) << scene.what();
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(scene.propose(n1, moving, "beside the one that stands still"));
    }
    EXPECT_TRUE(scene.world().paused(n1));
    EXPECT_EQ(scene->leader(moving), n1);
    EXPECT_EQ(scene.raft(n1, moving).term(), term);
    EXPECT_GT(scene.raft(n1, moving).commit(), committed);
    scene->play(10s);
    scene.expect_whole();
}

TEST(ClusterReactors, StarvedReactorsServeLateAndNothingWrong) {
    for (const std::uint16_t cores : {std::uint16_t{1}, std::uint16_t{3}}) {
        Scene scene(cluster_of(3, cores));
        scene.begin_traffic(6);
        scene->play(2s);
        const io::SimCoreKnobs calm = scene.world().knobs().core;
        const std::uint64_t elections = scene->counters().elections;
        // Turns that take longer than a follower has patience, on all cores alike.
        scene.world().knobs().core.stall_per_million = 10'000;
        scene.world().knobs().core.stall = {50ms, 700ms};
        scene.world().knobs().core.doorbell.max = 100ms;
        scene->play(40s);
        EXPECT_GT(scene->counters().elections, elections + 3);
        EXPECT_TRUE(scene.await_answers(20, 60s)) << scene.what();
        scene.world().knobs().core = calm;
        EXPECT_TRUE(scene->await_leaders()) << scene.what();
        EXPECT_TRUE(scene.put_many(20)) << scene.what();
        scene.expect_whole();
    }
}

TEST(ClusterReactors, OneStarvedNodeDoesNotKeepTheOthersFromServing) {
    Scene scene(cluster_of(3));
    scene.begin_traffic();
    scene->play(1s);
    const std::uint64_t before = scene.answered();
    // Awake for 20 ms of every 400: it hears what has come, and answers late, again and again.
    for (int i = 0; i < 50; ++i) {
        scene.world().pause(n1, 380ms);
        scene->play(400ms);
    }
    EXPECT_GT(scene.answered(), before + 200) << scene.what();
    scene.expect_whole();
}

TEST(ClusterReactors, ClocksThatDisagreeAreNotBelieved) {
    Scene scene(cluster_of(3));
    scene.world().set_drift(n1, 50'000);
    scene.world().set_drift(n2, -50'000);
    scene.world().jump_wall(n3, -1h);
    scene.begin_traffic();
    for (std::uint32_t i = 0; i < 10; ++i) {
        scene.world().jump_wall(NodeId(1 + i % 3), i % 2 == 0 ? Duration(1h) : Duration(-2h));
        EXPECT_TRUE(scene.put_many(5)) << scene.what();
        scene->play(1s);
    }
    EXPECT_TRUE(scene.await_answers(20));
    scene.expect_whole();
}

}  // namespace
}  // namespace kv::sim
