/// A follower that the log does not reach any more gets a snapshot.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/unit/replica/behind.h"

namespace kv {
namespace {

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
    EXPECT_EQ(behind.received().failed, 1u)
        << "the connection, and nothing that came over the next";
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

/// A bit of a frame in the middle has rotted: nothing is sent from there on, and the shard gets
/// another snapshot, of what is in memory, without a write.
TEST(SnapshotTransfer, WhatHasRottedOnTheSendersDiskIsNotSentAndAnotherIsTaken) {
    Behind behind(slow());
    std::size_t damaged = 0;
    std::uint64_t size = 0;
    for (std::size_t i = 0; i < 3; ++i) {
        if (i == behind.away) continue;
        ReplicaSet& set = behind.cluster.node(i).set();
        ASSERT_TRUE(set.take_snapshots());
        ASSERT_TRUE(behind.cluster.run_until([&] {
            const Index applied = set.replica(a).group().applied();
            return set.replica(a).group().raft().compacted().index == applied;
        }));
        for (const std::string& name : behind.disk(i).list("data/snapshots")) {
            const std::string path = "data/snapshots/" + name;
            if (!name.ends_with(".snap") || !behind.disk(i).visible(path)) continue;
            size = behind.disk(i).visible(path)->size();
            ASSERT_TRUE(behind.disk(i).flip_bit(path, size * 8 / 2));
            ++damaged;
        }
    }
    ASSERT_GE(damaged, 2u);
    behind.cluster.start(behind.away);
    behind.expect_equal();
    EXPECT_EQ(behind.received().installed, 1u);
    EXPECT_EQ(behind.sent().damaged, 1u);
    EXPECT_TRUE(behind.cluster.run_until([&] { return behind.sent().sent == 1; }));
    EXPECT_LT(behind.sent().bytes, 2 * size) << "it was sent again and again";
    // It is a good one on the disk too.
    const std::size_t leader = behind.cluster.leader();
    behind.cluster.crash(leader);
    behind.cluster.start(leader);
    behind.expect_equal();
}

TEST(SnapshotTransfer, WhatCannotBeReadFromTheSendersDiskIsTakenAnew) {
    Behind behind(slow());
    io::SimFault fault;
    fault.code = io::OpCode::read;
    fault.path_part = ".snap";
    fault.error = -EIO;
    std::vector<std::size_t> faults;
    for (std::size_t i = 0; i < 3; ++i) faults.push_back(behind.disk(i).add_fault(fault));
    behind.cluster.start(behind.away);
    behind.expect_equal();
    std::uint64_t hits = 0;
    for (std::size_t i = 0; i < 3; ++i) hits += behind.disk(i).fault(faults[i]).hits;
    EXPECT_EQ(hits, 1u);
    EXPECT_EQ(behind.sent().damaged, 1u);
    EXPECT_EQ(behind.received().installed, 1u);
}

TEST(SnapshotTransfer, WhatIsDamagedOnTheWireComesAgainFromThere) {
    Behind behind(slow());
    behind.cluster.start(behind.away);
    ASSERT_TRUE(behind.arriving(std::uint64_t{200} << 10));
    const std::uint64_t size =
        behind.cluster.node(behind.cluster.leader()).set().snapshot_facts().shards[0].bytes;
    behind.cluster.world.network().flip_bit(ReplicaCluster::id(behind.cluster.leader()),
                                            ReplicaCluster::id(behind.away), 50'000);
    behind.expect_equal();
    EXPECT_EQ(behind.received().failed, 1u);
    EXPECT_EQ(behind.received().resumed, 1u);
    EXPECT_EQ(behind.received().installed, 1u);
    EXPECT_EQ(behind.received().bytes, size) << "no byte was taken twice";
    EXPECT_EQ(behind.sent().damaged, 0u);
}

/// It is the same file, whoever reads it.
TEST(SnapshotTransfer, ASenderThatRestartsGoesOnWhereTheReceiverIs) {
    for (const io::Crash kind : io::all_crashes) {
        SCOPED_TRACE(static_cast<int>(kind));
        Behind behind(slow());
        const std::size_t leader = behind.cluster.leader();
        const std::size_t third = 3 - leader - behind.away;
        behind.cluster.cut(third, true);  // it does not lead
        behind.cluster.start(behind.away);
        ASSERT_TRUE(behind.arriving(std::uint64_t{200} << 10));
        const std::uint64_t size =
            behind.cluster.node(leader).set().snapshot_facts().shards[0].bytes;
        behind.cluster.crash(leader, kind);
        behind.cluster.world.run_for(500ms);
        const std::uint64_t there =
            behind.cluster.node(behind.away).set().snapshot_receiver().bytes_taken();
        ASSERT_GE(there, std::uint64_t{200} << 10);
        behind.cluster.start(leader);
        ASSERT_TRUE(behind.cluster.run_until([&] { return behind.received().installed == 1; }));
        EXPECT_EQ(behind.received().resumed, 1u);
        ASSERT_EQ(behind.cluster.leader(), leader);
        EXPECT_EQ(behind.sent().resumed, 1u);
        EXPECT_EQ(behind.sent().bytes, size - there);
        behind.cluster.cut(third, false);
        behind.expect_equal();
    }
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

/// So long that the sender has given up before: what is in the file, and what is not, is not known.
TEST(SnapshotTransfer, AnErrorBehindABrokenConnectionIsNotGoneOnFrom) {
    for (const io::OpCode code : {io::OpCode::write, io::OpCode::sync}) {
        SCOPED_TRACE(static_cast<int>(code));
        Behind behind(options());
        io::SimFault fault;
        fault.code = code;
        fault.path_part = "arriving";
        fault.skip = code == io::OpCode::write ? 1 : 0;
        fault.stall = 5s;
        fault.error = -EIO;
        const std::size_t number = behind.disk(behind.away).add_fault(fault);
        behind.cluster.start(behind.away);
        ASSERT_TRUE(behind.cluster.run_until(
            [&] { return behind.disk(behind.away).fault(number).hits == 1; }));
        behind.cluster.world.network().reset_connections(
            ReplicaCluster::id(behind.cluster.leader()), ReplicaCluster::id(behind.away));
        behind.expect_equal();
        EXPECT_EQ(behind.received().resumed, 0u);
        EXPECT_EQ(behind.received().installed, 1u);
        behind.cluster.crash(behind.away);
        behind.cluster.start(behind.away);
        behind.expect_equal();
    }
}

/// Its log has got further while the file got its name: the next start is not to believe the file.
TEST(SnapshotTransfer, OneThatIsRefusedInTheEndIsNotLeftBehind) {
    Behind behind(options());
    io::SimFault fault;
    fault.code = io::OpCode::rename;
    fault.path_part = "arriving";
    fault.stall = 2s;
    const std::size_t number = behind.disk(behind.away).add_fault(fault);
    behind.cluster.start(behind.away);
    ASSERT_TRUE(
        behind.cluster.run_until([&] { return behind.disk(behind.away).fault(number).hits == 1; }));
    const std::size_t leader = behind.cluster.leader();
    const auto& raft = behind.cluster.node(behind.away).set().replica(a).group().raft();
    const Index end = behind.cluster.node(leader).set().replica(a).group().raft().last().index;
    const GroupId group = raft.options().group;
    std::vector<std::string> entries;
    AppendRequest append{raft.last(), end, {}};
    for (Index index = raft.last().index.next(); index <= end; index = index.next()) {
        std::string& entry = entries.emplace_back(entry_header_bytes, '\0');
        seal_entry(std::as_writable_bytes(std::span(entry)), group, raft.term(), index, 1,
                   EntryKind::noop);
    }
    for (const std::string& entry : entries) append.entries.push_back(as_bytes(entry));
    std::string message;
    encode_message({group, ReplicaCluster::id(leader), ReplicaCluster::id(behind.away), raft.term(),
                    1, 1'000'000, std::move(append)},
                   message);
    behind.cluster.node(behind.away).hear(ReplicaCluster::id(leader), std::move(message));
    ASSERT_TRUE(behind.cluster.run_until([&] { return raft.commit() == end; }));
    const SnapshotReceiver& receiver = behind.cluster.node(behind.away).set().snapshot_receiver();
    ASSERT_TRUE(behind.cluster.run_until([&] { return receiver.bytes_taken() == 0; }));
    behind.cluster.world.run_for(100ms);
    EXPECT_EQ(behind.received().installed, 0u);
    for (const std::string& name : behind.disk(leader).list("data/snapshots")) {
        EXPECT_FALSE(behind.disk(behind.away).visible("data/snapshots/" + name)) << name;
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

/// What is freed in steps has holes meanwhile: not while it is being sent.
TEST(SnapshotTransfer, ANewerSnapshotDuringATransferDoesNotDisturbABigOne) {
    ReplicaCluster::Options big = slow();
    big.segment_bytes = std::uint64_t{1} << 20;
    big.transfer_bytes_per_second = std::uint64_t{4} << 20;
    ReplicaCluster cluster(big);
    for (std::size_t i = 0; i < 3; ++i) cluster.start(i);
    const std::string big_value(32'000, 'x');
    const auto put = [&](std::uint64_t from, std::uint64_t to) {
        for (std::uint64_t i = from; i < to; ++i) {
            cluster.put("key" + std::to_string(i % 250), big_value);
            ASSERT_FALSE(testing::Test::HasFailure());
        }
    };
    put(0, 5);
    const std::size_t away = (cluster.leader() + 1) % 3;
    cluster.crash(away);
    put(5, 600);
    ReplicaSet& set = cluster.node(cluster.leader()).set();
    ASSERT_TRUE(set.take_snapshots());
    ASSERT_TRUE(cluster.run_until(
        [&] { return set.replica(a).group().raft().compacted().index > Index(500); }));
    const SnapshotFacts::Shard before = set.snapshot_facts().shards[0];
    ASSERT_GT(before.bytes, Snapshots::free_step);
    cluster.start(away);
    const auto receiver = [&]() -> const SnapshotReceiver& {
        return cluster.node(away).set().snapshot_receiver();
    };
    ASSERT_TRUE(cluster.run_until([&] { return receiver().bytes_taken() > 0; }));
    put(600, 602);
    ASSERT_TRUE(set.take_snapshots());
    ASSERT_TRUE(cluster.run_until(
        [&] { return set.replica(a).group().raft().compacted().index > before.index; }));
    EXPECT_EQ(receiver().counters().installed, 0u) << "it was over too early";
    ASSERT_TRUE(cluster.agree());
    EXPECT_EQ(receiver().counters().failed, 0u);
    EXPECT_EQ(set.snapshot_sender().counters().damaged, 0u);
    // The old one goes all the same, now that it is sent.
    io::SimDisk& disk = cluster.world.disk(ReplicaCluster::id(cluster.leader()));
    EXPECT_TRUE(cluster.run_until([&] { return disk.list("data/snapshots").size() == 1; }));
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
