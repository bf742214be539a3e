// Slow, hung and full disks, of a whole cluster in the simulator.

#include <gtest/gtest.h>

#include "tests/sim/cluster_scene.h"

namespace kv::sim {
namespace {

/// How long the oldest write of the log of `node` has been under way.
Duration oldest_write(Scene& scene, NodeId node) {
    const auto begun = scene->replicas(node, shard0).log().oldest_write();
    return begun ? scene->process(node).reactor().now() - *begun : Duration(0);
}

TEST(ClusterDisks, AFollowerWhoseDiskHangsHoldsNobodyUp) {
    Scene scene(cluster_of(3));
    const NodeId leader = scene.leader(shard0);
    const NodeId follower = scene.follower(shard0);
    const Index durable = scene.raft(follower).durable().index;
    scene.world().hang_disk(follower, 60s);
    EXPECT_TRUE(scene.put_in(shard0, 20)) << scene.what();
    scene->play(3s);
    EXPECT_TRUE(scene.put_in(shard0, 20)) << scene.what();
    // It hung long enough for an election, and there was none; it has nothing of all this.
    EXPECT_TRUE(scene.world().disk_hangs(follower));
    EXPECT_GT(oldest_write(scene, follower), 2 * scene.election_timeout());
    EXPECT_EQ(scene->leader(shard0), leader);
    EXPECT_LE(scene.raft(follower).durable().index, durable);
    EXPECT_GT(scene.raft(leader).commit(), durable);
    scene.world().release_disk(follower);
    scene.expect_whole();
}

TEST(ClusterDisks, ALeaderWhoseDiskHangsHandsOverAndFallsSilent) {
    Scene scene(cluster_of(3, 2));
    scene.begin_traffic();
    scene->play(2s);
    const NodeId leader = scene.leader(shard0);
    std::uint64_t heartbeats = 0;
    std::uint64_t handed_over = 0;
    bool late = false;
    scene->on_message = [&](NodeId from, const Message& message) {
        if (from != leader) return;
        if (std::holds_alternative<TimeoutNow>(message.body)) ++handed_over;
        if (late && std::holds_alternative<HeartbeatRequest>(message.body)) ++heartbeats;
    };
    scene.world().hang_disk(leader, 20s);
    ASSERT_TRUE(scene->await_other_leader(shard0, leader, 5s)) << scene.what();
    EXPECT_GT(oldest_write(scene, leader), scene.election_timeout());
    EXPECT_GT(handed_over, 0u);
    // It leads nothing any more, and says so to nobody; the others go on.
    const auto led_by_others = [&] {
        for (std::uint16_t i = 0; i < scene->shards(); ++i) {
            const auto now = scene->leader(ShardId(i));
            if (!now || *now == leader) return false;
        }
        return true;
    };
    EXPECT_TRUE(scene->play_until(led_by_others, 10s)) << scene.what();
    late = true;
    EXPECT_TRUE(scene.await_answers(100)) << scene.what();
    EXPECT_TRUE(scene.put_many(20));
    scene->play(5s);
    EXPECT_TRUE(led_by_others());
    EXPECT_EQ(heartbeats, 0u);
    EXPECT_TRUE(scene.world().disk_hangs(leader));
    late = false;
    scene.world().release_disk(leader);
    scene.expect_whole();
}

TEST(ClusterDisks, ALeaderWhoseDiskHangsAndWhomNobodyHearsIsReplacedToo) {
    Scene scene(cluster_of(3));
    const NodeId leader = scene.leader(shard0);
    scene.world().hang_disk(leader, 30s);
    EXPECT_TRUE(scene.propose(leader, shard0, "waits for the disk"));
    scene->cut(io::one_way({leader}, scene.others(leader)));  // its request to take over is lost
    EXPECT_TRUE(scene->await_other_leader(shard0, leader, 5s)) << scene.what();
    EXPECT_TRUE(scene.put_in(shard0, 20)) << scene.what();
    scene->heal();
    scene->play(5s);
    EXPECT_TRUE(scene.world().disk_hangs(leader));
    EXPECT_NE(scene.raft(leader).role(), consensus::Role::leader);
    scene.world().release_disk(leader);
    scene.expect_whole();
}

TEST(ClusterDisks, ALeaderThatDiesWithAHungDiskComesBack) {
    for (const io::Crash kind : io::all_crashes) {
        Scene scene(cluster_of(3));
        const NodeId leader = scene.leader(shard0);
        scene.world().hang_disk(leader, 5s);
        for (int i = 0; i < 5; ++i) EXPECT_TRUE(scene.propose(leader, shard0, "under way"));
        ASSERT_TRUE(scene->await_other_leader(shard0, leader, 5s)) << scene.what();
        EXPECT_TRUE(scene.put_in(shard0, 5));
        EXPECT_TRUE(scene.world().disk_hangs(leader));
        scene->crash(leader, kind);
        scene.world().release_disk(leader);
        scene->start(leader);
        scene.expect_whole();
    }
}

TEST(ClusterDisks, ALeaderWithASlowDiskLeadsOn) {
    Scene scene(cluster_of(3));
    scene.let_leaders_settle();
    const NodeId leader = scene.leader(shard0);
    const Term term = scene.raft(leader).term();
    scene.world().disk(leader).knobs().slow.mean = 30ms;
    const Instant begun = scene.world().now();
    EXPECT_TRUE(scene.put_in(shard0, 40));
    EXPECT_GT(scene.world().now() - begun, 40 * Duration(10ms));
    EXPECT_EQ(scene->leader(shard0), leader);
    EXPECT_EQ(scene.raft(leader).term(), term);
    scene.world().disk(leader).knobs().slow = {};
    scene.expect_whole();
}

TEST(ClusterDisks, FollowersWithSlowDisksMakeWritesSlow) {
    Scene scene(cluster_of(3));
    const NodeId leader = scene.leader(shard0);
    for (const NodeId node : scene.others(leader)) {
        scene.world().disk(node).knobs().slow.mean = 100ms;
    }
    const Instant begun = scene.world().now();
    EXPECT_TRUE(scene.put_in(shard0, 40)) << scene.what();
    EXPECT_GT(scene.world().now() - begun, 40 * Duration(20ms));
    EXPECT_EQ(scene->leader(shard0), leader);
    for (const NodeId node : scene.others(leader)) scene.world().disk(node).knobs().slow = {};
    scene.expect_whole();
}

TEST(ClusterDisks, WithAMajorityOfHungDisksNothingIsAcknowledged) {
    Scene scene(cluster_of(3));
    EXPECT_TRUE(scene.put_many(10));
    const NodeId leader = scene.leader(shard0);
    for (const NodeId node : scene.others(leader)) scene.world().hang_disk(node, 8s);
    EXPECT_FALSE(scene.put(scene.key_in(shard0), "on one disk of three", 3s));
    for (const NodeId node : scene.others(leader)) EXPECT_TRUE(scene.world().disk_hangs(node));
    scene->play(8s);
    EXPECT_TRUE(scene->await_leaders()) << scene.what();
    EXPECT_TRUE(scene.put_many(10)) << scene.what();
    scene.expect_whole();
}

TEST(ClusterDisks, AllHangAndGoOn) {
    Scene scene(cluster_of(3, 2));
    EXPECT_TRUE(scene.put_many(10));
    for (const NodeId node : scene->nodes()) scene.world().hang_disk(node, 8s);
    EXPECT_FALSE(scene.put(scene.key_in(shard0), "on no disk", 3s));
    scene->play(10s);
    EXPECT_TRUE(scene->await_leaders()) << scene.what();
    EXPECT_TRUE(scene.put_many(10)) << scene.what();
    scene.expect_whole();
}

/// Three leaders after the first write at the same indexes of a log whose disk has answered nothing
/// since the first: when its syncs come in at last, they vouch for entries that are there no more
/// (ABA).
class LateSyncs {
public:
    LateSyncs() : scene(cluster_of(5)) {}

    /// Returns with the disk still hung.
    void play() {
        EXPECT_TRUE(scene.put_in(shard0, 5));
        first = scene.leader(shard0);
        scene->play_until([&] { return scene.raft(first).durable() == scene.raft(first).last(); },
                          1s);
        begin = scene.raft(first).last().index.next();
        scene->on_message = [this](NodeId from, const Message& message) {
            const auto* const reply = std::get_if<AppendReply>(&message.body);
            if (from == first && reply != nullptr && !reply->rejected &&
                message.group == scene.raft(first).options().group && reply->match >= begin) {
                ++vouched;
            }
        };
        scene.world().hang_disk(first, 10min);
        const std::uint32_t cut =
            scene.world().network().cut(io::isolate(scene->nodes(), {first}), io::SimCut::clog);
        for (int i = 0; i < 4; ++i) ASSERT_TRUE(scene.propose(first, shard0, "of the first"));
        terms.push_back(scene.raft(first).term());
        write = scene->replicas(first, shard0).log().oldest_write();
        ASSERT_TRUE(write);
        std::optional<NodeId> leader = scene->await_other_leader(shard0, first);
        ASSERT_TRUE(leader) << scene.what();
        scene.world().network().mend(cut);
        for (int change = 1; change <= 3; ++change) {
            SCOPED_TRACE(change);
            const Term term = scene.raft(*leader).term();
            EXPECT_GT(term, terms.back());
            terms.push_back(term);
            // Its first entry gets to `first`, in the place of others.
            const Index index(begin.value() + static_cast<std::uint64_t>(change) - 1);
            ASSERT_TRUE(scene->play_until([&] { return holds(index, term); }, 20s)) << scene.what();
            expect_outstanding();
            if (change == 3) break;
            // The next ones as well, but to nobody else: they go with its next attempt, one
            // election timeout after the one before, and before it notices that it is alone.
            scene->play(scene.election_timeout() / 2);
            const std::uint32_t pair = scene->cut(io::isolate(scene->nodes(), {first, *leader}));
            for (int i = 0; i < 3; ++i) {
                ASSERT_TRUE(scene.propose(*leader, shard0, "of another"));
            }
            const auto there = [&] { return holds(index.next(), term); };
            ASSERT_TRUE(scene->play_until(there, 2s)) << scene.what();
            leader = scene->await_other_leader(shard0, *leader);
            ASSERT_TRUE(leader) << scene.what();
            scene.world().network().mend(pair);
        }
    }
    /// The log of `first` has an entry of `term` at `index`.
    bool holds(Index index, Term term) {
        const consensus::Raft& raft = scene.raft(first);
        return raft.last().index >= index && raft.term_at(index) == term;
    }
    void expect_outstanding() {
        EXPECT_EQ(scene->replicas(first, shard0).log().oldest_write(), write);
        EXPECT_LT(scene.raft(first).durable().index, begin);
        EXPECT_EQ(vouched, 0u);
        EXPECT_TRUE(scene.world().disk_hangs(first));
    }

    Scene scene;
    NodeId first;
    Index begin;  ///< of what is contended
    std::vector<Term> terms;
    std::optional<Instant> write;
    std::uint64_t vouched = 0;
};

TEST(ClusterDisks, SyncsThatComeAfterThreeLeadersVouchForNothingElse) {
    LateSyncs late;
    ASSERT_NO_FATAL_FAILURE(late.play());
    EXPECT_EQ(late.terms.size(), 4u);
    late.scene.world().release_disk(late.first);
    late.scene.expect_whole();
    EXPECT_GT(late.vouched, 0u);
}

TEST(ClusterDisks, SyncsThatNeverComeAfterThreeLeadersDoNotEither) {
    for (const io::Crash kind : io::all_crashes) {
        LateSyncs late;
        ASSERT_NO_FATAL_FAILURE(late.play());
        late.scene->crash(late.first, kind);
        late.scene.world().release_disk(late.first);
        late.scene->start(late.first);
        late.scene.expect_whole();
    }
}

TEST(ClusterDisks, AFollowerWhoseDiskIsFullIsNotMissedAndCatchesUp) {
    Scene scene(cluster_of(3));
    EXPECT_TRUE(scene.put_in(shard0, 10));
    const NodeId leader = scene.leader(shard0);
    const NodeId follower = scene.follower(shard0);
    io::SimDisk& disk = scene.world().disk(follower);
    disk.set_capacity(disk.used_bytes());
    EXPECT_TRUE(scene.put_in(shard0, 200, 4000)) << scene.what();
    EXPECT_TRUE(scene->replicas(follower, shard0).log().read_only());
    EXPECT_EQ(scene->leader(shard0), leader);
    EXPECT_LT(scene.raft(follower).durable().index, scene.raft(leader).commit());
    disk.set_capacity(std::uint64_t{1} << 40);
    scene.expect_whole();
}

TEST(ClusterDisks, ALeaderWhoseDiskIsFullReadsOnAndWritesAgainLater) {
    Scene scene(cluster_of(3));
    EXPECT_TRUE(scene.put_in(shard0, 10));
    const NodeId leader = scene.leader(shard0);
    io::SimDisk& disk = scene.world().disk(leader);
    disk.set_capacity(disk.used_bytes());
    const auto full = [&] { return scene->replicas(leader, shard0).log().read_only(); };
    for (int i = 0; i < 400 && !full(); ++i) {
        static_cast<void>(scene.put("filling", std::string(4000, 'f'), 1s));
    }
    ASSERT_TRUE(full());
    EXPECT_TRUE(scene.all_there());
    disk.set_capacity(std::uint64_t{1} << 40);
    scene->play(2s);
    EXPECT_FALSE(full());
    EXPECT_TRUE(scene.put_in(shard0, 10)) << scene.what();
    scene.expect_whole();
}

}  // namespace
}  // namespace kv::sim
