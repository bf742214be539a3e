#pragma once

/// A cluster with a node that is down, and too far behind for the others' logs.

#include <gtest/gtest.h>

#include "proto/base/log.h"
#include "tests/support/replica_cluster.h"

namespace kv {

inline constexpr ShardId a(0);

inline io::SimKnobs calm() {
    io::SimKnobs knobs;
    knobs.disk.short_per_million = 0;
    knobs.disk.interrupted_per_million = 0;
    knobs.disk.tail_per_million = 0;
    return knobs;
}

inline ReplicaCluster::Options options(std::uint64_t seed = 1) {
    log::set_level(log::Level::off);
    ReplicaCluster::Options options;
    options.seed = seed;
    options.segment_bytes = std::uint64_t{64} << 10;
    options.limits = {.log_bytes = std::uint64_t{32} << 10, .entries = 0};
    options.knobs = calm();
    return options;
}

/// A transfer takes about a second.
inline ReplicaCluster::Options slow(std::uint64_t seed = 1) {
    ReplicaCluster::Options slow = options(seed);
    slow.transfer_bytes_per_second = std::uint64_t{1} << 20;
    return slow;
}

inline std::string value_of(std::uint64_t number) {
    return std::string(2000, static_cast<char>('a' + number % 26));
}

inline void write(ReplicaCluster& cluster, std::uint64_t from, std::uint64_t to) {
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
    /// By all that are up.
    SnapshotSender::Counters sent() {
        SnapshotSender::Counters all;
        for (std::size_t i = 0; i < 3; ++i) {
            if (!cluster.up(i)) continue;
            const auto& own = cluster.node(i).set().snapshot_sender().counters();
            all.sent += own.sent;
            all.resumed += own.resumed;
            all.failed += own.failed;
            all.damaged += own.damaged;
            all.bytes += own.bytes;
        }
        return all;
    }
    io::SimDisk& disk(std::size_t number) { return cluster.world.disk(ReplicaCluster::id(number)); }
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

}  // namespace kv
