#include "proto/shard_map.h"

#include <gtest/gtest.h>

#include <functional>

namespace kv {
namespace {

ShardMap example() {
    ShardMap map;
    map.self = NodeId(2);
    map.nodes = {{NodeId(1), ShardMap::NodeState::connected, "10.0.0.1", 7001, 6379},
                 {NodeId(2), ShardMap::NodeState::self, "node-b.example", 7002, 6380},
                 {NodeId(7), ShardMap::NodeState::away, "::1", 7003, 6381}};
    ShardMap::Shard first{SlotId(0), SlotId(8191), NodeId(2), Term(5), Index(90), Index(80), {}};
    first.followers = {{NodeId(1), true, Index(90)}, {NodeId(7), false, Index(12)}};
    ShardMap::Shard second{SlotId(8192), SlotId(16383), NodeId(), Term(6), Index(7), Index(7), {}};
    map.shards = {first, second};
    return map;
}

std::string encoded(const ShardMap& map) {
    std::string out;
    encode_shard_map(map, out);
    return out;
}

TEST(ShardMap, ComesBackAsItWas) {
    const auto decoded = decode_shard_map(as_bytes(encoded(example())));
    ASSERT_TRUE(decoded) << decoded.error().text();
    EXPECT_EQ(*decoded, example());
}

TEST(ShardMap, SaysWhoseSlotItIs) {
    const ShardMap map = example();
    EXPECT_EQ(map.shard_of(SlotId(0)), ShardId(0));
    EXPECT_EQ(map.shard_of(SlotId(8191)), ShardId(0));
    EXPECT_EQ(map.shard_of(SlotId(8192)), ShardId(1));
    EXPECT_EQ(map.shard_of(SlotId(16383)), ShardId(1));
    EXPECT_EQ(map.find(NodeId(7))->client_port, 6381);
    EXPECT_EQ(map.find(NodeId(3)), nullptr);
}

TEST(ShardMap, EveryTruncationIsAnError) {
    const std::string whole = encoded(example());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const auto decoded = decode_shard_map(as_bytes(std::string_view(whole).substr(0, size)));
        ASSERT_FALSE(decoded) << size;
        EXPECT_EQ(decoded.error().code, Errc::truncated) << size;
    }
}

TEST(ShardMap, WhatCannotBeIsRefused) {
    const std::vector<std::function<void(ShardMap&)>> wrongs = {
        [](ShardMap& map) { map.nodes[1].node = NodeId(1); },
        [](ShardMap& map) { map.nodes[1].node = NodeId(9); },
        [](ShardMap& map) { map.shards[0].leader = NodeId(3); },
        [](ShardMap& map) { map.shards[0].followers[0].node = NodeId(3); },
        [](ShardMap& map) { map.shards[0].first_slot = SlotId(1); },
        [](ShardMap& map) { map.shards[1].first_slot = SlotId(8193); },
        [](ShardMap& map) { map.shards[1].first_slot = SlotId(8191); },
        [](ShardMap& map) { map.shards[1].last_slot = SlotId(16384); },
        [](ShardMap& map) { map.shards[1].last_slot = SlotId(8000); },
        [](ShardMap& map) { map.shards.pop_back(); },
        [](ShardMap& map) { map.shards.clear(); },
    };
    for (std::size_t i = 0; i < wrongs.size(); ++i) {
        ShardMap map = example();
        wrongs[i](map);
        const auto decoded = decode_shard_map(as_bytes(encoded(map)));
        ASSERT_FALSE(decoded) << i;
        EXPECT_EQ(decoded.error().code, Errc::corrupt) << i;
    }
    const auto behind = decode_shard_map(as_bytes(encoded(example()) + "x"));
    ASSERT_FALSE(behind);
    EXPECT_EQ(behind.error().code, Errc::corrupt);
    std::string newer = encoded(example());
    newer[0] = 2;
    const auto unknown = decode_shard_map(as_bytes(newer));
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, Errc::unsupported);
}

}  // namespace
}  // namespace kv
