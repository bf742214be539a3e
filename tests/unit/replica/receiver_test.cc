/// Who may send a snapshot to a node, when several want to: connections that a test makes by hand.

#include <gtest/gtest.h>

#include "proto/base/log.h"
#include "tests/support/replica_cluster.h"

namespace kv {
namespace {

/// A node that sends what a test tells it to.
class HandMade final : private consensus::PeerBook {
public:
    HandMade(ReplicaCluster& cluster, NodeId id)
        : cluster_(cluster), id_(id), process_(cluster.world, id) {}
    ~HandMade() { process_.kill(); }

    struct Try {
        explicit Try(std::unique_ptr<consensus::SnapshotLink> l) : link(std::move(l)) {}
        std::unique_ptr<consensus::SnapshotLink> link;
        std::optional<Status> connected;
        bool served() const { return connected && *connected && !link->broken(); }
    };
    /// Connects to the first node for `shard`, and lets that decide.
    Try& ask(std::uint16_t shard) {
        consensus::PeerBook& book = *this;
        tries_.push_back(std::make_unique<Try>(
            std::make_unique<consensus::SnapshotLink>(process_.reactor(), book)));
        Try& one = *tries_.back();
        process_.reactor().spawn(connect(&one, ShardId(shard), cluster_.options.shards));
        cluster_.world.run_for(50ms);
        EXPECT_TRUE(one.connected.has_value());
        return one;
    }
    void close(Try& one) { ASSERT_TRUE(process_.run(one.link->close(false))); }
    void send(Try& one, std::string frames) {
        process_.reactor().spawn(send_all(&one, std::move(frames)));
        cluster_.world.run_for(50ms);
    }
    NodeId id() const noexcept { return id_; }

private:
    static io::Task<void> connect(Try* one, ShardId shard, std::uint16_t shards) {
        const consensus::PeerAddress peer{NodeId(1), *io::parse_endpoint("10.0.0.1", 7000)};
        Status connected = co_await one->link->connect(peer, shard, shards);
        one->connected.emplace(std::move(connected));
    }
    static io::Task<void> send_all(Try* one, std::string frames) {
        const Status sent = co_await one->link->send(std::move(frames));
        static_cast<void>(sent);
    }
    Handshake introduce() noexcept override {
        Handshake own;
        own.state = NodeState::member;
        own.cluster = {1, 2};
        own.node = id_;
        own.store = {id_.value(), 1};
        own.boot = 1;
        return own;
    }
    Acquaintance know(NodeId node) noexcept override { return {true, {node.value(), 1}, 0}; }
    void on_met(const Handshake&) noexcept override {}
    void on_refused(const Handshake&, std::uint16_t, bool) noexcept override {}

    ReplicaCluster& cluster_;
    const NodeId id_;
    io::SimProcess process_;
    std::vector<std::unique_ptr<Try>> tries_;
};

/// The first node, and two that send to it.
struct Turns {
    Turns() : cluster(options()), second(cluster, NodeId(2)), third(cluster, NodeId(3)) {
        cluster.start(0);
        EXPECT_TRUE(cluster.run_until([&] { return cluster.node(0).opened().has_value(); }));
    }
    static ReplicaCluster::Options options() {
        log::set_level(log::Level::off);
        ReplicaCluster::Options options;
        options.shards = 4;
        return options;
    }
    void wait(Duration time) { cluster.world.run_for(time); }

    ReplicaCluster cluster;
    HandMade second;
    HandMade third;
};

TEST(SnapshotTurns, OneIsServedAtATime) {
    Turns turns;
    HandMade::Try& first = turns.second.ask(0);
    EXPECT_TRUE(first.served());
    EXPECT_FALSE(turns.third.ask(1).served());
    EXPECT_TRUE(first.served());
}

/// A node of two cores sends from both, to one that has a single core.
TEST(SnapshotTurns, AnotherShardOfTheSameNodeDoesNotEndTheFirst) {
    Turns turns;
    HandMade::Try& first = turns.second.ask(0);
    EXPECT_FALSE(turns.second.ask(1).served());
    EXPECT_TRUE(first.served());
    turns.second.close(first);
    EXPECT_TRUE(turns.second.ask(1).served());
}

TEST(SnapshotTurns, WhoComesAgainForTheSameShardHasLostTheFirst) {
    Turns turns;
    HandMade::Try& first = turns.second.ask(0);
    EXPECT_FALSE(turns.second.ask(0).served());
    EXPECT_FALSE(first.served());
    EXPECT_TRUE(turns.second.ask(0).served());
}

/// Whoever is quicker to come again: the one that was refused first is next.
TEST(SnapshotTurns, WhoWasRefusedFirstIsNext) {
    Turns turns;
    HandMade::Try& first = turns.second.ask(0);
    EXPECT_FALSE(turns.third.ask(2).served());
    EXPECT_FALSE(turns.second.ask(1).served());
    turns.second.close(first);
    EXPECT_FALSE(turns.second.ask(1).served());
    EXPECT_FALSE(turns.second.ask(0).served());
    HandMade::Try& next = turns.third.ask(2);
    EXPECT_TRUE(next.served());
    turns.third.close(next);
    EXPECT_FALSE(turns.third.ask(3).served());
    EXPECT_FALSE(turns.second.ask(0).served());
    EXPECT_TRUE(turns.second.ask(1).served());
}

TEST(SnapshotTurns, WhoDoesNotComeAgainHoldsUpNobodyForLong) {
    Turns turns;
    HandMade::Try& first = turns.second.ask(0);
    EXPECT_FALSE(turns.third.ask(2).served());
    turns.second.close(first);
    EXPECT_FALSE(turns.second.ask(1).served());
    turns.wait(SnapshotReceiver::turn_within / 2);
    EXPECT_FALSE(turns.second.ask(1).served());
    turns.wait(SnapshotReceiver::turn_within / 2);
    EXPECT_TRUE(turns.second.ask(1).served());
}

/// What the leader does not look at, the receiver does.
TEST(SnapshotTurns, WhatIsNoSnapshotIsNotTaken) {
    Turns turns;
    HandMade::Try& one = turns.second.ask(0);
    SnapshotBegin begin;
    begin.snapshot = 77;
    begin.size = std::uint64_t{1} << 20;
    begin.request = {GroupId(1), NodeId(2), NodeId(1), Term(5), 1, 1, {}};
    begin.request.body = SnapshotRequest{{Term(5), Index(1000)}};
    std::string frames;
    ASSERT_TRUE(encode_snapshot_begin(begin, frames));
    turns.second.send(one, std::move(frames));
    EXPECT_TRUE(one.served());
    const std::string junk(snapshot::frame_bytes_max, 'x');
    std::string chunk;
    encode_snapshot_chunk({0, as_bytes(junk).first(junk.size() - 64)}, chunk);
    turns.second.send(one, std::move(chunk));
    EXPECT_FALSE(one.served());
    ReplicaSet& set = turns.cluster.node(0).set();
    EXPECT_EQ(set.snapshot_receiver().counters().failed, 1u);
    EXPECT_EQ(set.snapshot_receiver().counters().bytes, 0u);
    EXPECT_EQ(set.replica(ShardId(0)).group().applied(), Index(0));
    EXPECT_TRUE(turns.cluster.world.disk(NodeId(1)).list("data/snapshots").empty());
}

}  // namespace
}  // namespace kv
