#include "bin/kv-bench/waiting_room.h"

#include <gtest/gtest.h>

namespace kv::bench {
namespace {

Instant at(int ms) {
    return Instant(std::chrono::seconds(1) + std::chrono::milliseconds(ms));
}
OpenRequest request(std::uint64_t key, std::uint16_t shard) {
    OpenRequest made;
    made.key = key;
    made.shard = shard;
    return made;
}

/// Three shards: 0 and 1 at home on the first of two nodes, 2 on the second.
class Room : public testing::Test {
protected:
    Room() { room_.move({0, 0, 1}, 2); }
    std::vector<std::uint64_t> take(std::size_t node, std::size_t count, Instant now) {
        std::vector<OpenRequest> taken;
        room_.take(node, count, now, taken);
        std::vector<std::uint64_t> keys;
        for (const OpenRequest& each : taken) keys.push_back(each.key);
        return keys;
    }
    using Keys = std::vector<std::uint64_t>;

    WaitingRoom room_{3};
};

TEST_F(Room, EachNodeGetsItsOwnInOrder) {
    room_.add(request(1, 0));
    room_.add(request(2, 2));
    room_.add(request(3, 1));
    room_.add(request(4, 0));
    EXPECT_EQ(room_.of_node(0), 3);
    EXPECT_EQ(take(0, 2, at(0)), (Keys{1, 3}));
    EXPECT_EQ(take(0, 9, at(0)), (Keys{4}));
    EXPECT_EQ(take(1, 9, at(0)), (Keys{2}));
    EXPECT_EQ(room_.total(), 0);
}

TEST_F(Room, WhatWasRefusedIsSentAgainLaterAndLater) {
    Instant now = at(0);
    Duration backoff = WaitingRoom::backoff_least;
    for (int i = 0; i < 10; ++i) {
        room_.refused(request(1, 0), now);
        EXPECT_EQ(take(0, 9, now + backoff - 1ns), Keys{}) << i;
        EXPECT_EQ(take(0, 9, now + backoff), Keys{1}) << i;
        now += backoff;
        backoff = std::min(2 * backoff, WaitingRoom::backoff_most);
    }
    room_.served(0);
    room_.refused(request(1, 0), now);
    EXPECT_EQ(take(0, 9, now + WaitingRoom::backoff_least), Keys{1}) << "an OK begins anew";
}

TEST_F(Room, ABatchThatIsRefusedCountsOnce) {
    for (std::uint64_t key = 1; key <= 5; ++key) room_.refused(request(key, 0), at(0));
    EXPECT_EQ(room_.refused(), 5);
    EXPECT_EQ(take(0, 9, at(0) + WaitingRoom::backoff_least), (Keys{1, 2, 3, 4, 5}));
}

TEST_F(Room, ARefusingShardHoldsUpNoOther) {
    room_.refused(request(1, 0), at(0));
    room_.add(request(2, 0));
    room_.add(request(3, 1));
    EXPECT_EQ(take(0, 9, at(0)), Keys{3}) << "2 would be refused, too";
    EXPECT_EQ(room_.of_node(0), 2);
    EXPECT_EQ(room_.unsent(), 0);
    EXPECT_EQ(take(0, 9, at(100)), (Keys{1, 2}));
}

TEST_F(Room, WhatWaitsMovesWithItsShardAndNeedNotWait) {
    room_.refused(request(1, 0), at(0));
    room_.refused(request(2, 1), at(0));
    room_.add(request(3, 1));
    room_.move({1, 0, 1}, 3);
    EXPECT_EQ(room_.of_node(0), 2);
    EXPECT_EQ(room_.of_node(1), 1);
    EXPECT_EQ(take(1, 9, at(0)), Keys{1}) << "at once: the node is another";
    EXPECT_EQ(take(0, 9, at(0)), Keys{});
    EXPECT_EQ(take(0, 9, at(100)), (Keys{2, 3}));
}

TEST_F(Room, WhatIsTooOldIsTakenOut) {
    const auto born = [](OpenRequest made, int ms) {
        made.born = at(ms);
        return made;
    };
    room_.refused(born(request(1, 0), 10), at(50));
    room_.refused(born(request(2, 0), 30), at(50));
    room_.add(born(request(3, 0), 10));
    room_.add(born(request(4, 1), 10));
    const std::vector<OpenRequest> taken = room_.take_older(0, at(20));
    ASSERT_EQ(taken.size(), 2);
    EXPECT_EQ(taken[0].key, 1);
    EXPECT_EQ(taken[1].key, 3);
    EXPECT_EQ(room_.total(), 2);
    EXPECT_EQ(room_.of_node(0), 2);
    EXPECT_EQ(room_.take_unsent().size(), 1);
    EXPECT_EQ(take(0, 9, at(100)), Keys{2});
    EXPECT_EQ(room_.total(), 0);
}

}  // namespace
}  // namespace kv::bench
