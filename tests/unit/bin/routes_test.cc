#include "bin/kv-bench/routes.h"

#include <gtest/gtest.h>

#include <numeric>

#include "bin/kv-bench/workload.h"
#include "proto/base/prng.h"
#include "proto/slot.h"

namespace kv::bench {
namespace {

TEST(KeySlots, AreThoseOfTheWholeKeys) {
    struct Case {
        std::uint64_t keys;
        std::size_t key_bytes;
        Operation operation;
    };
    const Case cases[] = {
        {1, 1, Operation::get},
        {10, 5, Operation::set},
        {11, 16, Operation::incr},
        {1000, 3, Operation::get},
        {1001, 7, Operation::del},
        {1'000'000, 16, Operation::get},
        {50'000'000, 300, Operation::set},
        {1'000'000'000'000'000'000, 22, Operation::get},
    };
    for (const Case& c : cases) {
        WorkloadOptions options;
        options.keys = c.keys;
        options.key_bytes = c.key_bytes;
        const std::string zeros = key_of_zeros(options, c.operation);
        const unsigned digits = key_digits(c.keys);
        const KeySlots slots(zeros, digits);
        Prng prng(7);
        for (int i = 0; i < 1000; ++i) {
            const std::uint64_t number = i == 0 ? c.keys - 1 : prng.below(c.keys);
            std::string key = zeros;
            const std::string text = std::to_string(number);
            key.replace(key.size() - text.size(), text.size(), text);
            ASSERT_EQ(slots.slot(number), slot_of(key).value()) << key;
        }
    }
}

ShardMap::Shard shard(std::uint16_t first, std::uint16_t last, std::uint64_t leader,
                      std::uint64_t term) {
    ShardMap::Shard made;
    made.first_slot = SlotId(first);
    made.last_slot = SlotId(last);
    made.leader = NodeId(leader);
    made.term = Term(term);
    return made;
}

/// Two shards of three nodes.
ShardMap map_of(std::uint64_t first_leader, std::uint64_t first_term, std::uint64_t second_leader,
                std::uint64_t second_term) {
    ShardMap map;
    map.self = NodeId(1);
    for (std::uint64_t id = 1; id <= 3; ++id) {
        ShardMap::Node node;
        node.node = NodeId(id);
        node.host = "10.0.0." + std::to_string(id);
        node.client_port = 6379;
        map.nodes.push_back(node);
    }
    map.shards.push_back(shard(0, 99, first_leader, first_term));
    map.shards.push_back(shard(100, 16383, second_leader, second_term));
    return map;
}

TEST(Routes, FollowTheLatestTerm) {
    Routes routes;
    EXPECT_EQ(routes.merge(map_of(1, 3, 0, 0)), true);
    EXPECT_FALSE(routes.complete()) << "nobody leads the second shard";
    EXPECT_EQ(routes.merge(map_of(1, 3, 2, 5)), true);
    EXPECT_TRUE(routes.complete());
    EXPECT_EQ(routes.home, (std::vector<std::uint16_t>{0, 1}));
    EXPECT_EQ(routes.shard_of_slot[99], 0);
    EXPECT_EQ(routes.shard_of_slot[100], 1);
    EXPECT_EQ(routes.nodes[2].host, "10.0.0.3");

    EXPECT_EQ(routes.merge(map_of(1, 3, 2, 5)), false) << "nothing new";
    EXPECT_EQ(routes.merge(map_of(2, 2, 3, 4)), false) << "who says that is behind";
    EXPECT_EQ(routes.merge(map_of(0, 9, 0, 9)), false) << "the last leader stays the home";
    EXPECT_EQ(routes.merge(map_of(1, 4, 2, 6)), false) << "led again by who led";
    EXPECT_EQ(routes.merge(map_of(3, 5, 2, 6)), true);
    EXPECT_EQ(routes.home, (std::vector<std::uint16_t>{2, 1}));
}

TEST(Routes, NodesKeepTheirPositions) {
    Routes routes;
    ASSERT_TRUE(routes.merge(map_of(1, 1, 2, 1)));
    routes.nodes[1].endpoint.port = 1;
    ShardMap map = map_of(1, 1, 2, 1);
    map.nodes[1].host = "10.0.0.9";
    ShardMap::Node fourth = map.nodes[2];
    fourth.node = NodeId(4);
    map.nodes.push_back(fourth);
    map.nodes.erase(map.nodes.begin());
    map.shards[0].leader = NodeId(4);
    map.shards[0].term = Term(2);
    EXPECT_EQ(routes.merge(map), true);
    ASSERT_EQ(routes.nodes.size(), 4);
    EXPECT_EQ(routes.nodes[0].id, NodeId(1)) << "gone from the map, but not from here";
    EXPECT_EQ(routes.nodes[1].host, "10.0.0.9");
    EXPECT_EQ(routes.nodes[1].endpoint.port, 0) << "of the old host";
    EXPECT_EQ(routes.home, (std::vector<std::uint16_t>{3, 1}));
}

TEST(Routes, OtherShardsAreRefused) {
    Routes routes;
    ASSERT_TRUE(routes.merge(map_of(1, 1, 2, 1)));
    ShardMap map = map_of(3, 9, 3, 9);
    map.shards[0].last_slot = SlotId(100);
    map.shards[1].first_slot = SlotId(101);
    EXPECT_FALSE(routes.merge(map));
    EXPECT_EQ(routes.home, (std::vector<std::uint16_t>{0, 1}));
}

TEST(Divide, IsInProportionAndLeavesNobodyOut) {
    using Parts = std::vector<std::size_t>;
    struct Case {
        std::size_t connections;
        std::vector<std::uint64_t> weights;
        Parts parts;
    };
    const Case cases[] = {
        {50, {6, 5, 5}, {19, 16, 15}},       {50, {16}, {50}},
        {3, {1, 1, 1}, {1, 1, 1}},           {10, {1000, 1, 0}, {9, 1, 0}},
        {4, {100, 100, 1, 1}, {1, 1, 1, 1}}, {1, {1, 2}, {0, 1}},
        {2, {1, 3, 2}, {0, 1, 1}},
    };
    for (const Case& c : cases) EXPECT_EQ(divide(c.connections, c.weights), c.parts);
}

TEST(Divide, GivesAwayAllAndNoMore) {
    Prng prng(1);
    for (int i = 0; i < 1000; ++i) {
        std::vector<std::uint64_t> weights(1 + prng.below(9));
        for (std::uint64_t& weight : weights) weight = prng.below(1000);
        weights[0] += 1;
        const std::size_t connections = 1 + static_cast<std::size_t>(prng.below(200));
        const auto parts = divide(connections, weights);
        EXPECT_EQ(std::accumulate(parts.begin(), parts.end(), std::size_t{0}), connections);
        for (std::size_t n = 0; n < parts.size(); ++n) {
            if (weights[n] == 0) {
                EXPECT_EQ(parts[n], 0);
            } else if (connections >= parts.size()) {
                EXPECT_GT(parts[n], 0);
            }
        }
    }
}

}  // namespace
}  // namespace kv::bench
