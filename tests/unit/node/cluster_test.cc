/// Three nodes that form a cluster, in the simulator.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "proto/base/log.h"
#include "tests/support/sim_server.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

constexpr std::uint64_t nodes = 3;
const NodeId client_node(9);

class Cluster {
public:
    explicit Cluster(std::uint64_t seed, std::uint16_t cores = 1)
        : world(seed), cores_(cores), clients_(with_nodes(world), client_node) {
        log::set_level(log::Level::off);
        for (std::uint64_t id = 1; id <= nodes; ++id) members_.emplace_back();
    }
    ~Cluster() {
        for (std::uint64_t id = 1; id <= nodes; ++id) {
            if (running(id)) crash(id);
        }
    }

    void begin_start(std::uint64_t id) {
        One& one = at(id);
        one.process = std::make_unique<io::SimProcess>(world, NodeId(id), cores_);
        one.node = std::make_unique<Node>(one.process->reactors(), config(id), id);
        one.report.reset();
        one.process->reactor().spawn(start(one.node.get(), &one.report));
    }
    bool started(std::uint64_t id) { return at(id).report && at(id).report->has_value(); }
    bool running(std::uint64_t id) { return at(id).node != nullptr; }
    void start_all() {
        for (std::uint64_t id = 1; id <= nodes; ++id) begin_start(id);
        ASSERT_TRUE(world.run_until([&] { return started(1) && started(2) && started(3); }, 60s));
    }
    void crash(std::uint64_t id) {
        at(id).process->kill();
        at(id).node.reset();
        at(id).process.reset();
    }
    void stop(std::uint64_t id) {
        EXPECT_TRUE(at(id).process->run(stop_node(at(id).node.get()), 60s));
        at(id).node.reset();
        at(id).process.reset();
    }
    /// The node that may serve `shard`; 0: none.
    std::uint64_t leader(std::uint16_t shard) {
        std::uint64_t found = 0;
        Term newest;
        for (std::uint64_t id = 1; id <= nodes; ++id) {
            if (!running(id) || !started(id)) continue;
            const consensus::Group& group = replica(id, shard).group();
            if (!group.ready() || group.raft().term() < newest) continue;
            newest = group.raft().term();
            found = id;
        }
        return found;
    }
    bool led() {
        for (std::uint16_t shard = 0; shard < shards; ++shard) {
            if (leader(shard) == 0) return false;
        }
        return true;
    }
    const Replica& replica(std::uint64_t id, std::uint16_t shard) {
        Node& node = *at(id).node;
        const CoreId core = node.replicas().placement().core_of(ShardId(shard));
        return node.replicas(core.value()).replica(ShardId(shard));
    }
    io::SimProcess& clients() { return clients_; }
    const io::Endpoint& endpoint(std::uint64_t id) { return at(id).node->endpoint(); }
    std::uint64_t digest(std::uint64_t id) { return at(id).node->digest(); }
    std::string ask(std::uint64_t id, const std::string& request, std::size_t bytes) {
        SimClient client(world, clients_, at(id).node->endpoint());
        return client.exchange(request, bytes);
    }

    std::unique_ptr<SimClient> connect(std::uint64_t id) {
        return std::make_unique<SimClient>(world, clients_, at(id).node->endpoint());
    }

    static constexpr std::uint16_t shards = 4;
    io::SimWorld world;

private:
    struct One {
        std::unique_ptr<io::SimProcess> process;
        std::unique_ptr<Node> node;
        std::optional<Result<StartReport>> report;
    };
    static io::SimWorld& with_nodes(io::SimWorld& world) {
        for (std::uint64_t id = 1; id <= nodes; ++id) {
            world.add_node(NodeId(id), {fmt::format("10.0.0.{}", id)});
            world.disk(NodeId(id)).make_directory("kv");
        }
        world.add_node(client_node, {"10.0.0.9"});
        return world;
    }
    static io::Task<void> start(Node* node, std::optional<Result<StartReport>>* report) {
        Result<StartReport> started = co_await node->start();
        *report = std::move(started);
    }
    static io::Task<void> stop_node(Node* node) { co_await node->stop(); }
    One& at(std::uint64_t id) { return members_[id - 1]; }
    Config config(std::uint64_t id) {
        Config config = small_config();
        config.node.id = NodeId(id);
        config.cluster.shards = shards;
        for (std::uint64_t other = 1; other <= nodes; ++other) {
            config.cluster.nodes.push_back(
                {NodeId(other), fmt::format("10.0.0.{}", other), 7001, 6379});
        }
        config.client.bind = config.peer.bind = fmt::format("10.0.0.{}", id);
        config.peer.insecure = true;
        EXPECT_TRUE(check_config(config).has_value());
        return config;
    }

    const std::uint16_t cores_;
    io::SimProcess clients_;
    std::vector<One> members_;
};

std::string key_of(std::uint16_t shard) {
    const Placement placement(Cluster::shards, 1);
    for (int i = 0;; ++i) {
        std::string key = "key" + std::to_string(i);
        if (placement.shard_of(key) == ShardId(shard)) return key;
    }
}

TEST(Cluster, ThreeEmptyNodesFormOneAndEachShardGetsALeader) {
    for (std::uint64_t seed = 1; seed <= scaled(20); ++seed) {
        SCOPED_TRACE(seed);
        Cluster cluster(seed, static_cast<std::uint16_t>(1 + seed % 3));
        cluster.start_all();
        ASSERT_FALSE(HasFatalFailure());
        EXPECT_TRUE(cluster.world.run_until([&] { return cluster.led(); }, 10s));
    }
}

TEST(Cluster, WhatALeaderAcknowledgedIsThereAfterItsCrash) {
    for (std::uint64_t seed = 1; seed <= scaled(20); ++seed) {
        SCOPED_TRACE(seed);
        Cluster cluster(seed, static_cast<std::uint16_t>(1 + seed % 3));
        cluster.start_all();
        ASSERT_FALSE(HasFatalFailure());
        ASSERT_TRUE(cluster.world.run_until([&] { return cluster.led(); }, 10s));
        const std::uint16_t shard = 0;
        const std::string key = key_of(shard);
        const std::uint64_t first = cluster.leader(shard);
        EXPECT_EQ(cluster.ask(first, resp_array({"SET", key, "v1"}), 5), "+OK\r\n");
        EXPECT_EQ(cluster.ask(first, resp_array({"GET", key}), 8), "$2\r\nv1\r\n");
        cluster.crash(first);
        ASSERT_TRUE(cluster.world.run_until([&] { return cluster.led(); }, 10s));
        const std::uint64_t second = cluster.leader(shard);
        ASSERT_NE(second, first);
        EXPECT_EQ(cluster.ask(second, resp_array({"GET", key}), 8), "$2\r\nv1\r\n");
        EXPECT_EQ(cluster.ask(second, resp_array({"SET", key, "v2"}), 5), "+OK\r\n");
        cluster.begin_start(first);
        const auto caught_up = [&] {
            return cluster.started(first) && cluster.started(second) &&
                   cluster.digest(first) == cluster.digest(second);
        };
        EXPECT_TRUE(cluster.world.run_until(caught_up, 30s));
    }
}

/// A node that has nothing else to do wakes up every ten milliseconds; an answer is not to wait for
/// that.
TEST(Cluster, AReadTakesTheTimeOfItsMessages) {
    Cluster cluster(8);
    cluster.start_all();
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_TRUE(cluster.world.run_until([&] { return cluster.led(); }, 10s));
    const std::uint64_t leader = cluster.leader(0);
    cluster.crash(leader % nodes + 1);  // what it says would wake the leader up
    const auto client = cluster.connect(leader);
    const std::string request = resp_array({"GET", key_of(0)});
    constexpr int reads = 100;
    const Instant begin = cluster.world.now();
    for (int i = 0; i < reads; ++i) {
        client->send(request);
        ASSERT_TRUE(client->wait_for(5));
        ASSERT_EQ(client->take(), "$-1\r\n");
    }
    EXPECT_LT(cluster.world.now() - begin, reads * 2ms);
}

TEST(Cluster, ShardsAreHandedToTheNodesThatShouldLeadThem) {
    Cluster cluster(5);
    cluster.start_all();
    ASSERT_FALSE(HasFatalFailure());
    const auto spread = [&] {
        return cluster.leader(0) == 1 && cluster.leader(1) == 1 && cluster.leader(2) == 2 &&
               cluster.leader(3) == 3;
    };
    EXPECT_TRUE(cluster.world.run_until(spread, 60s));
    cluster.world.run_for(60s);
    EXPECT_TRUE(spread());
}

TEST(Cluster, ALeaderWhoseDiskHangsHandsOver) {
    Cluster cluster(6);
    cluster.start_all();
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_TRUE(cluster.world.run_until([&] { return cluster.led(); }, 10s));
    const std::uint64_t first = cluster.leader(0);
    std::string key;
    for (int i = 0; key.empty(); ++i) {
        const std::string candidate = "key" + std::to_string(i);
        if (Placement(Cluster::shards, 1).shard_of(candidate) == ShardId(0)) key = candidate;
    }
    cluster.world.hang_disk(NodeId(first), 60s);
    // Its write waits for the disk; the others have it, and elect one of them.
    SimClient client(cluster.world, cluster.clients(), cluster.endpoint(first));
    client.send(resp_array({"SET", key, "v"}));
    const auto another = [&] {
        const std::uint64_t now = cluster.leader(0);
        return now != 0 && now != first;
    };
    EXPECT_TRUE(cluster.world.run_until(another, 5s));
    cluster.world.release_disk(NodeId(first));
    EXPECT_TRUE(cluster.world.run_until([&] { return cluster.led(); }, 10s));
}

TEST(Cluster, ANodeThatStopsHandsItsShardsOver) {
    Cluster cluster(8);
    cluster.start_all();
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_TRUE(cluster.world.run_until([&] { return cluster.led(); }, 10s));
    const std::uint64_t first = cluster.leader(0);
    cluster.stop(first);
    // Nobody had to time out.
    EXPECT_TRUE(cluster.world.run_until([&] { return cluster.led(); }, 100ms));
}

TEST(Cluster, AllStopAndStartAgainWithWhatTheyHad) {
    Cluster cluster(7);
    cluster.start_all();
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_TRUE(cluster.world.run_until([&] { return cluster.led(); }, 10s));
    for (std::uint64_t id = 1; id <= nodes; ++id) cluster.stop(id);
    cluster.start_all();
    EXPECT_TRUE(cluster.world.run_until([&] { return cluster.led(); }, 10s));
}

}  // namespace
}  // namespace kv
