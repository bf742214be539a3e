#include "engine/replica/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace kv {
namespace {

TEST(Placement, EveryShardHasAContiguousAndEvenRangeAndEverySlotAShard) {
    constexpr std::uint16_t counts[] = {1, 2, 3, 4, 7, 16, 100, 1024, 16383, 16384};
    for (const std::uint16_t shards : counts) {
        const Placement placement(shards);
        std::vector<std::uint32_t> slots(shards);
        ShardId previous(0);
        for (std::uint16_t slot = 0; slot < slot_count; ++slot) {
            const ShardId shard = placement.shard_of(SlotId(slot));
            ASSERT_LT(shard.value(), shards);
            ASSERT_TRUE(shard == previous || shard == previous.next())
                << shards << " shards, slot " << slot;
            previous = shard;
            ++slots[shard.value()];
        }
        const auto [fewest, most] = std::minmax_element(slots.begin(), slots.end());
        EXPECT_GE(*fewest, 1u) << shards << " shards";
        EXPECT_LE(*most - *fewest, 1u) << shards << " shards";
        EXPECT_EQ(placement.shards(), shards);
    }
}

TEST(Placement, AKeyGoesWhereItsSlotGoes) {
    const Placement placement(16);
    EXPECT_EQ(placement.shard_of("foo"), placement.shard_of(SlotId(12182)));
    EXPECT_EQ(placement.shard_of("foo"), ShardId(12182 / 1024));
    EXPECT_EQ(placement.shard_of("{foo}bar"), placement.shard_of("foo"));
    EXPECT_EQ(placement.shard_of("bar"), ShardId(5061 / 1024));
}

TEST(Placement, ShardsAreSpreadEvenlyOverTheCores) {
    const Placement placement(16, 3);
    std::vector<std::uint32_t> shards(3);
    for (std::uint16_t i = 0; i < 16; ++i) ++shards[placement.core_of(ShardId(i)).value()];
    EXPECT_EQ(shards, (std::vector<std::uint32_t>{6, 5, 5}));
    EXPECT_EQ(Placement(16).core_of(ShardId(15)), CoreId(0));
    EXPECT_EQ(Placement(2, 4).core_of(ShardId(1)), CoreId(1));  // cores 2 and 3 have none
}

TEST(Placement, GroupsAndShardsAreOneToOne) {
    const Placement placement(16);
    for (std::uint16_t i = 0; i < 16; ++i) {
        const GroupId group = Placement::group_of(ShardId(i));
        EXPECT_EQ(group, GroupId(i + 1u));
        ShardId shard;
        ASSERT_TRUE(placement.shard_of(group, shard));
        EXPECT_EQ(shard, ShardId(i));
    }
    ShardId shard;
    for (const std::uint64_t none : {std::uint64_t{0}, std::uint64_t{17}, ~std::uint64_t{0}}) {
        EXPECT_FALSE(placement.shard_of(GroupId(none), shard)) << none;
    }
}

}  // namespace
}  // namespace kv
