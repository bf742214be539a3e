// Followers that the log does not reach any more, of a whole cluster in the simulator: snapshots
// are installed while clients write, and while more befalls the nodes.

#include <gtest/gtest.h>

#include "tests/sim/cluster_scene.h"

namespace kv::sim {
namespace {

/// More than the other shards have together: of shard 0.
constexpr std::uint64_t shard_bytes = 150_KiB;

/// A log that is short for the data: 64 KiB segments, and a snapshot for each 32 KiB. A transfer
/// takes some seconds.
ClusterOptions short_logs(std::uint16_t cores) {
    ClusterOptions options = cluster_of(3, cores);
    options.config.snapshot.wal_bytes = 32_KiB;
    options.config.wal.bytes_max = 512_KiB * cores;
    options.config.raft.transfer_bytes_per_second = 256_KiB;
    return options;
}

/// A follower is down, and what it misses is in the others' logs no more.
class Behind {
public:
    explicit Behind(std::uint16_t cores = 1) : scene(short_logs(cores)) {
        EXPECT_TRUE(scene.put_in(shard0, 20));
        away = scene.follower(shard0);
        scene->settle();
        last = scene.raft(away).last().index;
        scene->crash(away, io::Crash::power_lose_all);
        write_on();
    }
    /// More than a log holds: what follows `last` is in none.
    void write_on() {
        EXPECT_TRUE(scene.put_in(shard0, 700, 2000)) << scene.what();
        for (const NodeId node : scene.others(away)) {
            EXPECT_GT(scene.raft(node).compacted().index, last) << scene.what();
        }
    }
    /// One of shard 0 is installed: nothing else brings it beyond `last`.
    bool installed() { return scene->up(away) && scene.raft(away).compacted().index > last; }
    const SnapshotReceiver& receiver() { return scene->replicas(away, shard0).snapshot_receiver(); }
    /// Lets so many bytes of shard 0 arrive.
    void await_bytes(std::uint64_t bytes) {
        ASSERT_TRUE(scene->play_until(
            [&] { return scene->up(away) && receiver().bytes_taken() >= bytes; }, 30s))
            << scene.what();
    }
    void await_installed() {
        ASSERT_TRUE(scene->play_until([&] { return installed(); }, 60s)) << scene.what();
        EXPECT_GE(receiver().counters().installed, 1u);
    }
    /// What has arrived in part.
    std::size_t arriving_files() {
        const auto names = scene.world().disk(away).list("kv/data/snapshots");
        return static_cast<std::size_t>(std::ranges::count_if(
            names, [](const std::string& name) { return !name.ends_with(".snap"); }));
    }

    Scene scene;
    NodeId away;
    Index last;  ///< that it has
};

TEST(ClusterSnapshots, OneIsInstalledWhileClientsWrite) {
    Behind behind;
    Scene& scene = behind.scene;
    scene.begin_traffic();
    scene->start(behind.away);
    ASSERT_NO_FATAL_FAILURE(behind.await_bytes(shard_bytes));
    const std::uint64_t before = scene.answered();
    EXPECT_FALSE(behind.installed());
    EXPECT_TRUE(scene.put_in(shard0, 20, 500));
    EXPECT_FALSE(behind.installed()) << "it was over too early";
    ASSERT_NO_FATAL_FAILURE(behind.await_installed());
    EXPECT_GT(scene.answered(), before + 20);
    scene.expect_whole();
}

TEST(ClusterSnapshots, BetweenNodesOfUnequalCores) {
    for (std::uint16_t cores = 1; cores <= 3; ++cores) {
        SCOPED_TRACE(cores);
        Behind behind(2);
        Scene& scene = behind.scene;
        scene.begin_traffic();
        scene->start(behind.away, cores);
        ASSERT_NO_FATAL_FAILURE(behind.await_installed());
        scene.expect_whole();
        EXPECT_EQ(scene->node(behind.away).cores(), cores);
        EXPECT_EQ(behind.arriving_files(), 0u);
    }
}

TEST(ClusterSnapshots, TheLeaderDiesWhileItSends) {
    for (const io::Crash kind : {io::Crash::process, io::Crash::power_lose_all}) {
        Behind behind;
        Scene& scene = behind.scene;
        scene->start(behind.away);
        ASSERT_NO_FATAL_FAILURE(behind.await_bytes(shard_bytes));
        const NodeId leader = scene.leader(shard0);
        scene->crash(leader, kind);
        EXPECT_FALSE(behind.installed());
        ASSERT_TRUE(scene->await_other_leader(shard0, leader)) << scene.what();
        ASSERT_NO_FATAL_FAILURE(behind.await_installed());
        EXPECT_TRUE(scene.put_many(10)) << scene.what();
        scene->start(leader);
        scene.expect_whole();
    }
}

TEST(ClusterSnapshots, TheReceiverDiesAndComesBackWithOtherCores) {
    for (const io::Crash kind : io::all_crashes) {
        SCOPED_TRACE(static_cast<int>(kind));
        Behind behind(2);
        Scene& scene = behind.scene;
        scene.begin_traffic();
        scene->start(behind.away);
        ASSERT_NO_FATAL_FAILURE(behind.await_bytes(shard_bytes));
        scene->crash(behind.away, kind);
        scene->start(behind.away, 3);
        ASSERT_NO_FATAL_FAILURE(behind.await_installed());
        scene.expect_whole();
        EXPECT_EQ(scene->node(behind.away).cores(), 3u);
        EXPECT_EQ(behind.arriving_files(), 0u);
    }
}

TEST(ClusterSnapshots, TheReceiverDiesRightAfterTheInstall) {
    for (const io::Crash kind : io::all_crashes) {
        SCOPED_TRACE(static_cast<int>(kind));
        Behind behind;
        Scene& scene = behind.scene;
        scene->start(behind.away);
        ASSERT_NO_FATAL_FAILURE(behind.await_installed());
        const Index installed = scene.raft(behind.away).compacted().index;
        scene->crash(behind.away, kind);
        scene->start(behind.away, 2);
        EXPECT_TRUE(scene->play_until([&] { return scene->up(behind.away); }, 10s));
        // Its file was durable before: no other one is needed.
        EXPECT_GE(scene.raft(behind.away).applied_index(), installed);
        EXPECT_EQ(behind.receiver().counters().installed, 0u);
        scene.expect_whole();
    }
}

TEST(ClusterSnapshots, ACutInTheMiddleIsGoneOnFrom) {
    for (const io::SimCut kind : {io::SimCut::reset, io::SimCut::clog, io::SimCut::blackhole}) {
        Behind behind;
        Scene& scene = behind.scene;
        scene->start(behind.away);
        ASSERT_NO_FATAL_FAILURE(behind.await_bytes(shard_bytes));
        scene.world().network().cut(io::isolate(scene->nodes(), {behind.away}), kind);
        scene->play(15s);  // longer than silence is borne
        EXPECT_FALSE(behind.installed());
        scene->heal();
        ASSERT_NO_FATAL_FAILURE(behind.await_installed());
        EXPECT_TRUE(scene.put_many(10)) << scene.what();
        scene.expect_whole();
    }
}

TEST(ClusterSnapshots, WhoFallsBehindOnceMoreGetsAnother) {
    Behind behind;
    Scene& scene = behind.scene;
    scene->start(behind.away);
    ASSERT_NO_FATAL_FAILURE(behind.await_installed());
    scene->isolate(behind.away);
    behind.last = scene.raft(behind.away).last().index;
    behind.write_on();
    EXPECT_FALSE(behind.installed());
    scene->heal();
    ASSERT_NO_FATAL_FAILURE(behind.await_installed());
    scene.expect_whole();
}

/// More is written while one is sent than a log holds: the log waits for who needs what follows.
TEST(ClusterSnapshots, WhoFallsBehindDuringATransferCatchesUpAllTheSame) {
    Behind behind;
    Scene& scene = behind.scene;
    scene->start(behind.away);
    ASSERT_NO_FATAL_FAILURE(behind.await_bytes(shard_bytes));
    behind.write_on();
    EXPECT_TRUE(scene.put_in(shard0, 20)) << scene.what();
    scene.expect_whole();
    EXPECT_TRUE(behind.installed());
}

TEST(ClusterSnapshots, ASlowDiskTakesItSlowly) {
    Behind behind;
    Scene& scene = behind.scene;
    scene.world().disk(behind.away).knobs().slow.mean = 30ms;
    scene->start(behind.away);
    ASSERT_NO_FATAL_FAILURE(behind.await_installed());
    scene.world().disk(behind.away).knobs().slow = {};
    scene.expect_whole();
}

TEST(ClusterSnapshots, AFullDiskTakesItWhenThereIsRoom) {
    Behind behind;
    Scene& scene = behind.scene;
    scene->start(behind.away);
    ASSERT_TRUE(scene->play_until([&] { return scene->up(behind.away); }, 10s));
    io::SimDisk& disk = scene.world().disk(behind.away);
    disk.set_capacity(disk.used_bytes() + 100_KiB);
    scene->play(10s);
    EXPECT_GT(behind.receiver().counters().failed, 0u);
    EXPECT_FALSE(behind.installed());
    EXPECT_FALSE(scene->node(behind.away).failure());
    EXPECT_TRUE(scene.put_many(10)) << scene.what();
    disk.set_capacity(std::uint64_t{1} << 40);
    ASSERT_NO_FATAL_FAILURE(behind.await_installed());
    scene.expect_whole();
}

}  // namespace
}  // namespace kv::sim
