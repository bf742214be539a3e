/// The log behind a snapshot that is being sent is there when it has arrived: a follower catches up
/// while clients go on writing.

#include <algorithm>

#include "tests/unit/replica/behind.h"

namespace kv {
namespace {

struct Case {
    const char* name;
    std::uint64_t wal_bytes_max;
    std::uint64_t writes_per_second;  ///< of 2 KB
    std::uint64_t due_entries = 0;    ///< a snapshot is due
};

/// Writes go on at a steady rate, whatever becomes of the follower.
class CatchingUp : public testing::TestWithParam<Case> {
protected:
    /// Of the follower, as the leader sees it.
    static bool caught_up(Behind& behind) {
        const std::size_t leader = behind.cluster.leader();
        const consensus::Raft& raft = behind.cluster.node(leader).set().replica(a).group().raft();
        for (const consensus::Progress& follower : raft.followers()) {
            if (follower.node != ReplicaCluster::id(behind.away)) continue;
            return follower.state == consensus::Progress::State::replicate &&
                   raft.last().index - follower.match < 50;
        }
        return false;
    }
    /// Writes for `time`, or until `done`; false: some were refused.
    template <typename Done>
    static bool write_steadily(Behind& behind, Duration time, const Done& done) {
        const Duration pause = Duration(1s) / GetParam().writes_per_second;
        std::uint64_t refused = 0;
        for (Duration passed{}; passed < time && !done(); passed += pause) {
            const std::size_t leader = behind.cluster.leader();
            const std::uint64_t number = behind_number++;
            if (!behind.cluster.try_put(leader, "key" + std::to_string(number % 300),
                                        value_of(number))) {
                ++refused;
            }
            behind.cluster.world.run_for(pause);
        }
        return refused == 0;
    }
    static inline std::uint64_t behind_number = 0;
};

TEST_P(CatchingUp, UnderSteadyWritesThatAreSlowerThanTheTransfer) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        SCOPED_TRACE(seed);
        behind_number = 700;
        ReplicaCluster::Options options = slow(seed);
        options.wal_bytes_max = GetParam().wal_bytes_max;
        options.limits.entries = GetParam().due_entries;
        options.follower_cache_bytes = 0;
        Behind behind(options);
        // The last snapshot is not of today when the follower comes.
        EXPECT_TRUE(write_steadily(behind, 3s, [] { return false; }));
        behind.cluster.start(behind.away);
        EXPECT_TRUE(write_steadily(behind, 20s, [&] { return caught_up(behind); }));
        EXPECT_TRUE(caught_up(behind));
        EXPECT_EQ(behind.received_if_up().installed, 1u);
        // And it stays so.
        const std::uint64_t installed = behind.received_if_up().installed;
        EXPECT_TRUE(write_steadily(behind, 5s, [] { return false; }));
        EXPECT_TRUE(caught_up(behind));
        EXPECT_EQ(behind.received_if_up().installed, installed);
        behind.expect_equal();
        if (testing::Test::HasFailure()) return;
    }
}

// Data of 0.6 MB, sent at 1 MiB/s.
INSTANTIATE_TEST_SUITE_P(Logs, CatchingUp,
                         testing::Values(Case{"Derived", 0, 400},
                                         Case{"Short", std::uint64_t{1} << 20, 200},
                                         Case{"ShorterThanTheData", std::uint64_t{512} << 10, 100},
                                         Case{"OftenDue", 0, 100, 40}),
                         [](const auto& one) { return std::string(one.param.name); });

/// The log is as long as it may be before a snapshot is due, and a follower is reading it.
TEST(CatchingUpAtLast, ASnapshotThatIsDueWaitsForAFollowerThatReadsTheLog) {
    ReplicaCluster::Options options = slow();
    options.limits = {.log_bytes = std::uint64_t{1} << 30, .entries = 1600};
    options.follower_cache_bytes = 0;
    options.segment_bytes = std::uint64_t{1} << 20;
    ReplicaCluster cluster(options);
    for (std::size_t i = 0; i < 3; ++i) cluster.start(i);
    write(cluster, 0, 20);
    const std::size_t leader = cluster.leader();
    const std::size_t away = (leader + 1) % 3;
    cluster.crash(away);
    write(cluster, 20, 1500);
    cluster.world.disk(ReplicaCluster::id(away)).knobs().slow.mean = 40ms;
    cluster.start(away);
    ReplicaSet& set = cluster.node(leader).set();
    const auto has = [&](Index index) {
        const consensus::Raft& raft = set.replica(a).group().raft();
        return std::ranges::any_of(raft.followers(), [&](const consensus::Progress& follower) {
            return follower.node == ReplicaCluster::id(away) && follower.match > index;
        });
    };
    ASSERT_TRUE(cluster.run_until([&] { return has(Index(50)); }));
    std::uint64_t number = 1500;
    for (; number < 8000 && !has(Index(1500)); ++number) {
        cluster.try_put(leader, "key" + std::to_string(number % 300), value_of(number));
        cluster.world.run_for(1ms);
    }
    ASSERT_TRUE(has(Index(1500)));
    EXPECT_GT(number, 1750u) << "none became due meanwhile";
    EXPECT_EQ(cluster.node(away).set().snapshot_receiver().counters().installed, 0u);
    EXPECT_GT(set.fetcher().counters().entries, 1000u);
    cluster.world.disk(ReplicaCluster::id(away)).knobs().slow = {};
    EXPECT_TRUE(cluster.agree());
    // It waits no more.
    EXPECT_TRUE(cluster.run_until([&] {
        cluster.try_put(leader, "key", "value");
        return set.replica(a).group().raft().compacted().index > Index(1600);
    }));
}

/// A crash between a mark and the release that goes with it: or a log that is full stays so.
TEST(LogRelease, WhatAMarkMadeNeedlessGoesAtTheNextStartToo) {
    ReplicaCluster::Options options = slow();
    options.nodes = 1;
    ReplicaCluster cluster(options);
    cluster.start(0);
    write(cluster, 0, 300);
    const auto compacted = [&] {
        return cluster.node(0).set().replica(a).group().raft().compacted().index;
    };
    for (int i = 0; i < 5; ++i) {
        const Index before = compacted();
        std::uint64_t number = 0;
        ASSERT_TRUE(cluster.run_until([&] {
            if (cluster.node(0).set().pending() == 0) {
                cluster.try_put(0, "key" + std::to_string(number % 300), value_of(number));
                ++number;
            }
            return compacted() > before;
        }));
        EXPECT_GT(cluster.node(0).set().log().log_segments(), 8u);
        cluster.crash(0, io::Crash::power_lose_all);
        cluster.start(0);
        ASSERT_TRUE(cluster.run_until([&] { return cluster.node(0).opened().has_value(); }));
        cluster.world.run_for(1s);
        EXPECT_LE(cluster.node(0).set().log().log_segments(), 4u);
    }
}

/// The log is kept for who lives, and only while there is room for it.
TEST(CatchingUpAtLast, AFollowerThatCannotBeReachedKeepsNoLog) {
    ReplicaCluster::Options options = slow();
    options.wal_bytes_max = std::uint64_t{1} << 20;
    Behind behind(options);
    behind.cluster.start(behind.away);
    ASSERT_TRUE(behind.arriving(1));
    behind.cluster.crash(behind.away, io::Crash::power_lose_all);
    const std::size_t leader = behind.cluster.leader();
    ReplicaSet& set = behind.cluster.node(leader).set();
    write(behind.cluster, 700, 3000);
    EXPECT_FALSE(behind.cluster.node(leader).failure);
    EXPECT_LE(set.log().log_bytes(), options.wal_bytes_max);
    EXPECT_GT(set.replica(a).group().raft().compacted().index, Index(2000));
    behind.cluster.start(behind.away);
    behind.expect_equal();
}

}  // namespace
}  // namespace kv
