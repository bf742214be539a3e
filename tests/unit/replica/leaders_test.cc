#include "engine/replica/leaders.h"

#include <gtest/gtest.h>

#include <map>

#include "engine/replica/starvation.h"

namespace kv {
namespace {

Configuration voters(std::initializer_list<std::uint64_t> ids) {
    Configuration configuration;
    for (const std::uint64_t id : ids) {
        Member member;
        member.node = NodeId(id);
        configuration.members.push_back(member);
    }
    return configuration;
}

NodeId preferred(const Configuration& configuration, std::uint16_t shard, std::uint16_t shards,
                 Leaders leaders = Leaders::spread) {
    return preferred_leader(configuration, ShardId(shard), shards, leaders).value_or(NodeId());
}

TEST(PreferredLeader, NeighboursGoToTheSameNode) {
    const Configuration three = voters({1, 2, 7});
    const std::uint64_t expected[] = {1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 7, 7, 7, 7, 7};
    for (std::uint16_t shard = 0; shard < 16; ++shard) {
        EXPECT_EQ(preferred(three, shard, 16), NodeId(expected[shard])) << shard;
    }
}

TEST(PreferredLeader, EveryVoterLeadsAsManyAsAnotherGiveOrTakeOne) {
    const Configuration members[] = {voters({3}), voters({1, 2}), voters({1, 2, 3}),
                                     voters({1, 2, 3, 4, 5}), voters({4, 5, 6, 7, 8, 9, 10})};
    for (const Configuration& configuration : members) {
        for (const int count : {1, 2, 3, 5, 7, 16, 17, 64, 1024}) {
            const auto shards = static_cast<std::uint16_t>(count);
            std::map<NodeId, std::size_t> led;
            for (std::uint16_t i = 0; i < shards; ++i) ++led[preferred(configuration, i, shards)];
            const std::size_t fair = shards / configuration.members.size();
            for (const auto& [node, leads] : led) {
                EXPECT_GE(leads, fair) << node.value();
                EXPECT_LE(leads, fair + 1) << node.value();
            }
            EXPECT_EQ(led.size(), std::min<std::size_t>(shards, configuration.members.size()));
        }
    }
}

TEST(PreferredLeader, TogetherIsTheVoterWithTheLowestId) {
    Configuration three = voters({2, 4, 6});
    for (std::uint16_t shard = 0; shard < 16; ++shard) {
        EXPECT_EQ(preferred(three, shard, 16, Leaders::together), NodeId(2));
    }
    three.members[0].roles = role_learner;
    EXPECT_EQ(preferred(three, 15, 16, Leaders::together), NodeId(4));
}

TEST(PreferredLeader, WhoDoesNotVoteIsPassedOver) {
    Configuration five = voters({1, 2, 3, 4, 5});
    five.members[0].roles = role_learner;
    five.members[3].roles = role_outgoing_voter;
    const std::uint64_t expected[] = {2, 3, 5};
    for (std::uint16_t shard = 0; shard < 3; ++shard) {
        EXPECT_EQ(preferred(five, shard, 3), NodeId(expected[shard]));
    }
    EXPECT_EQ(preferred_leader(Configuration{}, ShardId(0), 1, Leaders::spread), std::nullopt);
}

/// A leader that looks once a second.
struct Leader {
    bool look() {
        const bool due = policy.due(leads, stopping, preferred, now);
        now += 1s;
        return due;
    }
    /// Seconds until it hands over; at most `bound`.
    int wait(int bound = 100) {
        for (int i = 0; i < bound; ++i) {
            if (look()) return i;
        }
        return bound;
    }

    HandOver policy;
    bool leads = true;
    bool stopping = false;
    PreferredView preferred{.node = NodeId(2), .connected = true, .caught_up = true};
    Instant now{};
};

TEST(HandOver, ToANodeThatHasBeenWellForTenSeconds) {
    Leader leader;
    EXPECT_EQ(leader.wait(), 10);
}

TEST(HandOver, NobodyElseIsPreferred) {
    Leader leader;
    leader.preferred.node = NodeId();
    EXPECT_EQ(leader.wait(), 100);
}

TEST(HandOver, AnInterruptionStartsTheTenSecondsAnew) {
    bool PreferredView::* const goods[] = {&PreferredView::connected, &PreferredView::caught_up};
    for (const auto good : goods) {
        Leader leader;
        EXPECT_EQ(leader.wait(9), 9);
        leader.preferred.*good = false;
        EXPECT_FALSE(leader.look());
        leader.preferred.*good = true;
        EXPECT_EQ(leader.wait(), 10);
    }
}

TEST(HandOver, NotToANodeThatIsStoppingAndNotFromOne) {
    Leader to;
    to.preferred.stopping = true;
    EXPECT_EQ(to.wait(), 100);
    Leader from;
    from.stopping = true;
    EXPECT_EQ(from.wait(), 100);
}

TEST(HandOver, AnotherPreferredNodeHasItsOwnTenSeconds) {
    Leader leader;
    EXPECT_EQ(leader.wait(9), 9);
    leader.preferred.node = NodeId(3);
    EXPECT_EQ(leader.wait(), 10);
}

TEST(HandOver, WhoLosesAndRegainsLeadershipWaitsAgain) {
    Leader leader;
    EXPECT_EQ(leader.wait(9), 9);
    leader.leads = false;
    EXPECT_FALSE(leader.look());
    leader.leads = true;
    EXPECT_EQ(leader.wait(), 10);
}

TEST(HandOver, AnAttemptThatFailedIsRepeatedAfterTenSeconds) {
    Leader leader;
    EXPECT_EQ(leader.wait(), 10);
    EXPECT_EQ(leader.wait(), 9);  // the look at the hand-over itself was the first
}

TEST(Starvation, ALateTickSaysForHowLong) {
    Starvation starvation;
    const Instant start{};
    EXPECT_FALSE(starvation.tick(start + 1h, 150ms));  // the first
    EXPECT_FALSE(starvation.tick(start + 1h + 10ms, 150ms));
    EXPECT_FALSE(starvation.tick(start + 1h + 160ms, 150ms));
    EXPECT_EQ(starvation.tick(start + 1h + 311ms, 150ms), 151ms);
    EXPECT_FALSE(starvation.tick(start + 1h + 320ms, 150ms));
}

}  // namespace
}  // namespace kv
