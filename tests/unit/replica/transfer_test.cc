/// A follower that the log does not reach any more gets a snapshot.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "proto/base/log.h"
#include "tests/support/replica_cluster.h"

namespace kv {
namespace {

constexpr ShardId a(0);

io::SimKnobs calm() {
    io::SimKnobs knobs;
    knobs.disk.short_per_million = 0;
    knobs.disk.interrupted_per_million = 0;
    knobs.disk.tail_per_million = 0;
    return knobs;
}

ReplicaCluster::Options options(std::uint64_t seed = 1) {
    log::set_level(log::Level::off);
    ReplicaCluster::Options options;
    options.seed = seed;
    options.segment_bytes = std::uint64_t{64} << 10;
    options.limits = {.log_bytes = std::uint64_t{32} << 10, .entries = 0};
    options.knobs = calm();
    return options;
}

/// A transfer takes about a second.
ReplicaCluster::Options slow(std::uint64_t seed = 1) {
    ReplicaCluster::Options slow = options(seed);
    slow.transfer_bytes_per_second = std::uint64_t{1} << 20;
    return slow;
}

std::string value_of(std::uint64_t number) {
    return std::string(2000, static_cast<char>('a' + number % 26));
}

void write(ReplicaCluster& cluster, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        cluster.put("key" + std::to_string(i % 300), value_of(i));
        if (testing::Test::HasFailure()) return;
    }
}

/// Two nodes that have gone on, and a third that is down, and too far behind for the log.
struct Behind {
    explicit Behind(ReplicaCluster::Options with) : cluster(std::move(with)) {
        for (std::size_t i = 0; i < 3; ++i) cluster.start(i);
        write(cluster, 0, 20);
        away = (cluster.leader() + 1) % 3;
        EXPECT_TRUE(cluster.agree());
        cluster.crash(away);
        write(cluster, 20, 700);
        // No memory of the old entries either.
        for (std::size_t i = 0; i < 3; ++i) {
            if (i == away) continue;
            cluster.crash(i);
            cluster.start(i);
        }
        const std::size_t leader = cluster.leader();
        EXPECT_GT(cluster.node(leader).set().replica(a).group().raft().compacted().index,
                  Index(25));
    }
    const SnapshotReceiver::Counters& received() {
        return cluster.node(away).set().snapshot_receiver().counters();
    }
    SnapshotReceiver::Counters received_if_up() {
        return cluster.up(away) ? received() : SnapshotReceiver::Counters{};
    }
    bool arriving(std::uint64_t bytes) {
        return cluster.run_until([&] {
            return cluster.up(away) &&
                   cluster.node(away).set().snapshot_receiver().bytes_taken() >= bytes;
        });
    }
    void expect_equal() {
        ASSERT_TRUE(cluster.agree());
        const std::uint64_t digest = cluster.node(away).set().store(a).digest();
        EXPECT_EQ(cluster.node(cluster.leader()).set().store(a).digest(), digest);
    }

    ReplicaCluster cluster;
    std::size_t away = 0;
};

TEST(SnapshotTransfer, AFollowerFarBehindIsInstalledAndGoesOn) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        SCOPED_TRACE(seed);
        Behind behind(options(seed));
        behind.cluster.start(behind.away);
        behind.expect_equal();
        EXPECT_EQ(behind.received().installed, 1u);
        write(behind.cluster, 700, 720);
        behind.expect_equal();
        for (const io::Crash kind : io::all_crashes) {
            behind.cluster.crash(behind.away, kind);
            behind.cluster.start(behind.away);
            behind.expect_equal();
            EXPECT_EQ(behind.received().installed, 0u);
        }
        behind.cluster.stop(behind.away);
        behind.cluster.start(behind.away);
        behind.expect_equal();
        if (testing::Test::HasFailure()) return;
    }
}

TEST(SnapshotTransfer, BothSidesGoOnServingMeanwhile) {
    Behind behind(slow());
    behind.cluster.start(behind.away);
    ASSERT_TRUE(behind.arriving(1));
    std::uint64_t number = 700;
    while (behind.received().installed == 0 && number < 2000) {
        write(behind.cluster, number, number + 1);
        ++number;
        ASSERT_FALSE(testing::Test::HasFailure());
    }
    EXPECT_EQ(behind.received().installed, 1u);
    EXPECT_GT(number, 720u);
    behind.expect_equal();
}

TEST(SnapshotTransfer, ABrokenConnectionGoesOnWhereItBroke) {
    Behind behind(slow());
    behind.cluster.start(behind.away);
    ASSERT_TRUE(behind.arriving(std::uint64_t{200} << 10));
    const std::size_t leader = behind.cluster.leader();
    behind.cluster.world.network().reset_connections(ReplicaCluster::id(leader),
                                                     ReplicaCluster::id(behind.away));
    behind.expect_equal();
    EXPECT_EQ(behind.received().resumed, 1u);
    EXPECT_EQ(behind.received().installed, 1u);
}

TEST(SnapshotTransfer, AnotherLeaderSendsItsOwn) {
    Behind behind(slow());
    behind.cluster.start(behind.away);
    ASSERT_TRUE(behind.arriving(1));
    const std::size_t leader = behind.cluster.leader();
    behind.cluster.crash(leader, io::Crash::power_lose_all);
    behind.cluster.start(leader);
    behind.expect_equal();
    EXPECT_EQ(behind.received().installed, 1u);
}

TEST(SnapshotTransfer, AReceiverThatStopsLeavesNothing) {
    Behind behind(slow());
    behind.cluster.start(behind.away);
    ASSERT_TRUE(behind.arriving(1));
    behind.cluster.stop(behind.away);
    for (const std::string& name :
         behind.cluster.world.disk(ReplicaCluster::id(behind.away)).list("data/snapshots")) {
        EXPECT_TRUE(name.ends_with(".snap")) << name;
    }
    behind.cluster.start(behind.away);
    behind.expect_equal();
}

TEST(SnapshotTransfer, WhatIsReadWrongFromTheSendersDiskIsNotInstalled) {
    Behind behind(slow());
    // A bit of a frame in the middle has rotted; the leader does not look at what it sends.
    const std::size_t leader = behind.cluster.leader();
    const NodeId id = ReplicaCluster::id(leader);
    io::SimDisk& disk = behind.cluster.world.disk(id);
    std::vector<std::string> damaged;
    for (const std::string& name : disk.list("data/snapshots")) {
        const std::string path = "data/snapshots/" + name;
        if (!name.ends_with(".snap") || !disk.visible(path)) continue;
        ASSERT_TRUE(disk.flip_bit(path, disk.visible(path)->size() * 8 / 2));
        damaged.push_back(path);
    }
    ASSERT_FALSE(damaged.empty());
    behind.cluster.start(behind.away);
    ASSERT_TRUE(behind.cluster.run_until(
        [&] { return behind.cluster.up(behind.away) && behind.received().failed >= 2; }));
    EXPECT_EQ(behind.received().installed, 0u);
    EXPECT_EQ(behind.cluster.node(behind.away).set().replica(a).group().applied(),
              behind.cluster.node(behind.away).set().replica(a).group().raft().commit());
    // The next one is a good one, of what is in memory.
    write(behind.cluster, 700, 1400);
    behind.expect_equal();
    EXPECT_GE(behind.received().installed, 1u);
}

TEST(SnapshotTransfer, AFullDiskTakesItWhenThereIsRoom) {
    Behind behind(slow());
    behind.cluster.start(behind.away);
    ASSERT_TRUE(behind.arriving(1));
    io::SimDisk& disk = behind.cluster.world.disk(ReplicaCluster::id(behind.away));
    disk.set_capacity(disk.used_bytes());
    ASSERT_TRUE(behind.cluster.run_until([&] { return behind.received().failed >= 2; }));
    EXPECT_EQ(behind.received().installed, 0u);
    EXPECT_FALSE(behind.cluster.node(behind.away).failure);
    disk.set_capacity(std::uint64_t{1} << 40);
    behind.expect_equal();
    EXPECT_EQ(behind.received().installed, 1u);
}

/// Errors that a retry does not mend at once; only that of the log ends the process.
TEST(SnapshotTransfer, AnErrorOfTheReceiversDiskLosesTheAttemptAlone) {
    for (const io::OpCode code : {io::OpCode::write, io::OpCode::sync, io::OpCode::rename}) {
        SCOPED_TRACE(static_cast<int>(code));
        Behind behind(options());
        io::SimDisk& disk = behind.cluster.world.disk(ReplicaCluster::id(behind.away));
        io::SimFault fault;
        fault.code = code;
        fault.path_part = "arriving";
        fault.error = -EIO;
        const std::size_t number = disk.add_fault(fault);
        behind.cluster.start(behind.away);
        behind.expect_equal();
        EXPECT_EQ(disk.fault(number).hits, 1u);
        EXPECT_GE(behind.received().failed, 1u);
        EXPECT_EQ(behind.received().installed, 1u);
        EXPECT_FALSE(behind.cluster.node(behind.away).failure);
    }
}

/// The old file is given up while it is being read, and goes on being read.
TEST(SnapshotTransfer, ANewerSnapshotDuringATransferDoesNotDisturbIt) {
    Behind behind(slow());
    behind.cluster.start(behind.away);
    ASSERT_TRUE(behind.arriving(1));
    const std::size_t leader = behind.cluster.leader();
    const Index before = behind.cluster.node(leader).set().snapshot_facts().shards[0].index;
    ASSERT_TRUE(behind.cluster.node(leader).set().take_snapshots());
    write(behind.cluster, 700, 760);
    ASSERT_TRUE(behind.cluster.node(leader).set().take_snapshots());
    ASSERT_TRUE(behind.cluster.run_until([&] {
        return behind.cluster.node(leader).set().snapshot_facts().shards[0].index > before;
    }));
    EXPECT_EQ(behind.received().installed, 0u) << "it was over too early";
    behind.expect_equal();
    EXPECT_EQ(behind.received().failed, 0u);
}

TEST(SnapshotTransfer, ASenderThatRestartsInTheMiddleIsTakenUpAgain) {
    for (const io::Crash kind : io::all_crashes) {
        SCOPED_TRACE(static_cast<int>(kind));
        Behind behind(slow());
        behind.cluster.start(behind.away);
        ASSERT_TRUE(behind.arriving(std::uint64_t{200} << 10));
        // Both that could send: whoever leads then has the same file or another one.
        for (std::size_t i = 0; i < 3; ++i) {
            if (i == behind.away) continue;
            behind.cluster.crash(i, kind);
            behind.cluster.start(i);
        }
        behind.expect_equal();
        EXPECT_GE(behind.received().installed, 1u);
    }
}

TEST(SnapshotTransfer, WhoFallsBehindDuringATransferGetsAnother) {
    Behind behind(slow());
    behind.cluster.start(behind.away);
    ASSERT_TRUE(behind.arriving(1));
    const std::size_t leader = behind.cluster.leader();
    // The leader dies with what is sent, and the other one's log has moved on before it sends.
    write(behind.cluster, 700, 800);
    EXPECT_EQ(behind.received().installed, 0u);
    behind.cluster.crash(leader);
    behind.cluster.cut(behind.away, true);
    behind.cluster.start(leader);
    write(behind.cluster, 800, 1500);
    behind.cluster.cut(behind.away, false);
    behind.expect_equal();
    EXPECT_GE(behind.received().installed, 1u);
    EXPECT_GT(behind.cluster.node(behind.away).set().replica(a).group().raft().compacted().index,
              Index(800));
}

bool sanitized() {
    return std::getenv("KV_TEST_SANITIZED") != nullptr;
}

/// The receiver dies at every point of its input and output, from its start until it serves again,
/// in each way: one case a way, so that they may run beside each other.
class DyingReceiver : public testing::TestWithParam<io::Crash> {};

TEST_P(DyingReceiver, ComesBackWholeFromAnyPoint) {
    ReplicaCluster::Options small = options();
    const auto points = [&] {
        Behind behind(small);
        io::SimDisk& disk = behind.cluster.world.disk(ReplicaCluster::id(behind.away));
        const std::uint64_t before = disk.io_points();
        behind.cluster.start(behind.away);
        behind.expect_equal();
        EXPECT_EQ(behind.received().installed, 1u);
        return std::pair(before, disk.io_points());
    }();
    std::uint64_t installed = 0;
    std::uint64_t died = 0;
    const std::uint64_t step = sanitized() ? 41 : 1;
    for (std::uint64_t point = points.first; point < points.second; point += step) {
        SCOPED_TRACE(fmt::format("at point {} of {} to {}", point, points.first, points.second));
        Behind behind(small);
        behind.cluster.world.crash_at(ReplicaCluster::id(behind.away), point, GetParam());
        behind.cluster.start(behind.away);
        const auto over = [&] {
            return !behind.cluster.up(behind.away) || behind.received().installed != 0;
        };
        ASSERT_TRUE(behind.cluster.run_until(over));
        behind.cluster.run_until([&] { return !behind.cluster.up(behind.away); }, 200ms);
        behind.cluster.world.cancel_crash(ReplicaCluster::id(behind.away));
        if (!behind.cluster.up(behind.away)) {
            ++died;
            behind.cluster.start(behind.away);
        }
        ASSERT_NO_FATAL_FAILURE(behind.expect_equal());
        installed += behind.received().installed;
        behind.cluster.crash(behind.away, io::Crash::power_lose_all);
        behind.cluster.start(behind.away);
        ASSERT_NO_FATAL_FAILURE(behind.expect_equal());
        if (testing::Test::HasFailure()) return;
    }
    EXPECT_GT(installed, 0u);
    EXPECT_GT(died, 0u);
}

INSTANTIATE_TEST_SUITE_P(Crashes, DyingReceiver, testing::ValuesIn(io::all_crashes));

}  // namespace
}  // namespace kv
