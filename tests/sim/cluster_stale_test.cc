// Leaders that are leaders no more and do not know it yet: what they tell clients, and for how long
// they go on.

#include <gtest/gtest.h>

#include <cerrno>

#include "engine/replica/placement.h"
#include "tests/sim/cluster_scene.h"

namespace kv::sim {
namespace {

/// By somebody who does not stay with a node that says nothing.
bool put_soon(Scene& scene, const std::string& value) {
    for (int tries = 0; tries < 10; ++tries) {
        if (scene.put(hot_key(0, 'v', 0), value + std::to_string(tries), 200ms)) return true;
    }
    return false;
}

ShardId hot_shard(Scene& scene) {
    return Placement(scene->shards(), 1).shard_of(hot_key(0, 'v', 0));
}

TEST(ClusterStale, ALeaderThatWasStoppedTellsNothingOldWhenItGoesOn) {
    for (const bool cut_off : {false, true}) {
        Scene scene(cluster_of(3));
        scene.let_leaders_settle();
        const ShardId shard = hot_shard(scene);
        scene.begin_asking();
        EXPECT_TRUE(put_soon(scene, "before"));
        scene->play(2s);
        EXPECT_GT(scene.answered(), 100u);
        for (int round = 0; round < 5; ++round) {
            const NodeId leader = scene.leader(shard);
            scene.world().pause(leader, 5s);
            scene->play(20ms);  // what was said to it has come
            if (cut_off) scene->isolate(leader);
            ASSERT_TRUE(scene->await_other_leader(shard, leader)) << scene.what();
            EXPECT_TRUE(put_soon(scene, "stopped " + std::to_string(round)));
            EXPECT_TRUE(scene.world().paused(leader));
            // Questions wait for it, asked after that.
            scene->play(5s);
            EXPECT_FALSE(scene.world().paused(leader));
            scene->heal();
            scene->play(1s);
        }
        scene.expect_whole();
    }
}

TEST(ClusterStale, ALeaderThatOnlyClientsHearTellsNothingOldAndStepsDown) {
    for (const io::SimCut kind : {io::SimCut::blackhole, io::SimCut::clog}) {
        Scene scene(cluster_of(5));
        scene.let_leaders_settle();
        const ShardId shard = hot_shard(scene);
        scene.begin_asking();
        EXPECT_TRUE(put_soon(scene, "before"));
        for (int round = 0; round < 3; ++round) {
            const NodeId leader = scene.leader(shard);
            scene.world().network().cut(io::isolate(scene->nodes(), {leader}), kind);
            // It refuses before long, whatever the others do.
            const auto refuses = [&] {
                return scene.raft(leader, shard).role() != consensus::Role::leader;
            };
            EXPECT_TRUE(scene->play_until(refuses, 2 * scene.election_timeout())) << scene.what();
            ASSERT_TRUE(scene->await_other_leader(shard, leader)) << scene.what();
            EXPECT_TRUE(put_soon(scene, "cut off " + std::to_string(round)));
            scene->play(2s);
            scene->heal();
            scene->play(2s);
        }
        scene.expect_whole();
    }
}

TEST(ClusterStale, ALeaderThatHearsNobodyRefusesWithinABound) {
    for (const int nodes : {3, 5}) {
        Scene scene(cluster_of(static_cast<std::uint16_t>(nodes)));
        scene.let_leaders_settle();
        // It is heard, so nobody else takes its place: what it hears is what matters.
        const NodeId leader = scene.leader(shard0);
        scene->cut(io::one_way(scene.others(leader), {leader}));
        const auto refuses = [&] { return scene.raft(leader).role() != consensus::Role::leader; };
        EXPECT_TRUE(scene->play_until(refuses, 2 * scene.election_timeout())) << scene.what();
        EXPECT_FALSE(scene.world().network().flows(scene.others(leader).front(), leader));
        scene->heal();
        scene.expect_whole();
    }
}

TEST(ClusterStale, ANodeWhoseDiskFailsEndsAndLosesNothing) {
    for (const io::OpCode code : {io::OpCode::write, io::OpCode::sync}) {
        Scene scene(cluster_of(3));
        EXPECT_TRUE(scene.put_many(20));
        const NodeId leader = scene.leader(shard0);
        io::SimFault fault;
        fault.code = code;
        fault.path_part = ".wal";
        fault.skip = 3;
        fault.error = -EIO;
        scene->fail_disk(leader, fault);
        const std::uint64_t starts = scene->counters().starts;
        for (int i = 0; i < 40 && scene->counters().starts == starts; ++i) {
            EXPECT_TRUE(scene.put_many(10)) << scene.what();
            scene->play(500ms);
        }
        EXPECT_EQ(scene->counters().disk_errors, 1u) << scene.what();
        EXPECT_EQ(scene->counters().starts, starts + 1);
        scene.expect_whole();
    }
}

TEST(ClusterStale, ANodeWhoseFilesRotRefusesToStartOrIsWhole) {
    std::uint64_t refusals = 0;
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        Scene scene(cluster_of(3));
        EXPECT_TRUE(scene.put_in(shard0, 40, 1500));
        const NodeId node = scene.follower(shard0);
        scene->play(2s);
        scene->crash(node);
        scene->rot(node, seed);
        scene->start(node);
        scene->play(2s);
        refusals += scene->counters().refusals;
        EXPECT_TRUE(scene.put_many(10)) << scene.what();
        scene.expect_whole();
    }
    EXPECT_GT(refusals, 6u);
}

}  // namespace
}  // namespace kv::sim
