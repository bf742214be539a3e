#include "bin/kv-cli/cluster_status.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace kv::cli {
namespace {

/// What node `self` of three says of one shard that `leader` leads.
ShardMap map_of(std::uint64_t self, std::uint64_t leader, std::uint64_t term) {
    ShardMap map;
    map.self = NodeId(self);
    for (std::uint64_t i = 1; i <= 3; ++i) {
        ShardMap::Node& node = map.nodes.emplace_back();
        node.node = NodeId(i);
        node.host = fmt::format("10.0.0.{}", i);
        node.client_port = 6379;
    }
    ShardMap::Shard& shard = map.shards.emplace_back();
    shard.last_slot = SlotId(16383);
    shard.leader = NodeId(leader);
    shard.term = Term(term);
    shard.commit = Index(100);
    shard.applied = Index(99);
    if (self != leader) return map;
    for (std::uint64_t i = 1; i <= 3; ++i) {
        if (i != self) shard.followers.push_back({NodeId(i), true, Index(100)});
    }
    return map;
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

TEST(ClusterStatus, OfAHealthyClusterIsTwoTables) {
    ShardMap leader = map_of(2, 2, 7);
    leader.shards[0].followers[1].match = Index(88);
    const ClusterStatus status = combine(std::vector{map_of(1, 2, 7), leader, map_of(3, 2, 7)});
    EXPECT_TRUE(status.serves());
    EXPECT_EQ(render(status),
              "NODE  ADDRESS        STATE    LEADS\n"
              "1     10.0.0.1:6379  answers  0\n"
              "2     10.0.0.2:6379  answers  1\n"
              "3     10.0.0.3:6379  answers  0\n"
              "\n"
              "SHARD  SLOTS    LEADER  TERM  COMMIT  APPLIED  ENTRIES BEHIND\n"
              "0      0-16383  2       7     100     99       1: 0, 3: 12\n"
              "\n"
              "All 1 shards have a leader and a majority.\n");
}

TEST(ClusterStatus, SaysLoudlyWhatIsMissing) {
    ShardMap alone = map_of(2, 2, 7);
    for (ShardMap::Follower& follower : alone.shards[0].followers) follower.answers = false;
    const struct {
        std::vector<ShardMap> answers;
        std::string_view said;
        bool serves;
    } cases[] = {
        {{map_of(1, 0, 7), map_of(3, 0, 8)}, "\nNO LEADER: shard 0\n", false},
        {{map_of(1, 2, 7), map_of(3, 2, 7)}, "\nLEADER DOES NOT ANSWER: shard 0\n", false},
        {{map_of(1, 0, 7), alone}, "\nNO MAJORITY: shard 0\n", false},
        {{map_of(2, 2, 7)}, "\n1     10.0.0.1:6379  NO ANSWER  0\n", true},
    };
    for (const auto& c : cases) {
        const ClusterStatus status = combine(c.answers);
        EXPECT_EQ(status.serves(), c.serves) << c.said;
        EXPECT_TRUE(contains(render(status), c.said)) << render(status);
    }
}

TEST(ClusterStatus, ALeaderThatAnswersIsNotSaidToBeSilent) {
    const ClusterStatus moving =
        combine(std::vector{map_of(1, 2, 8), map_of(2, 0, 8), map_of(3, 2, 8)});
    EXPECT_TRUE(moving.in_motion());
    EXPECT_FALSE(moving.serves());
    EXPECT_TRUE(contains(render(moving), "\nLEADER IS NOT READY: shard 0\n"));
    EXPECT_FALSE(contains(render(moving), "DOES NOT ANSWER"));
    EXPECT_FALSE(combine(std::vector{map_of(1, 2, 8), map_of(3, 2, 8)}).in_motion());
    EXPECT_FALSE(combine(std::vector{map_of(1, 0, 8), map_of(3, 0, 8)}).in_motion());
    EXPECT_FALSE(combine(std::vector{map_of(1, 2, 8), map_of(2, 2, 8)}).in_motion());
}

TEST(ClusterStatus, BelievesTheNewerOfTwoLeaders) {
    for (const bool older_first : {false, true}) {
        std::vector<ShardMap> answers{map_of(3, 3, 8), map_of(1, 1, 7), map_of(2, 0, 9)};
        if (older_first) std::swap(answers[0], answers[1]);
        const ClusterStatus status = combine(answers);
        EXPECT_EQ(status.shards[0].leader, NodeId(3));
        EXPECT_EQ(status.shards[0].term, Term(8));
        EXPECT_TRUE(status.shards[0].confirmed);
    }
}

TEST(ClusterStatus, AFollowerMayBeAheadOfWhatIsCommitted) {
    ShardMap leader = map_of(1, 1, 3);
    leader.shards[0].followers[0].match = Index(105);
    const ClusterStatus status = combine(std::vector{leader});
    EXPECT_EQ(status.shards[0].followers[0].lag, 0u);
}

TEST(ClusterStatus, ProgramsGetAllOfItAsOneLineOfJson) {
    ShardMap leader = map_of(2, 2, 7);
    leader.shards[0].followers[1] = {NodeId(3), false, Index(40)};
    const std::string text = render_json(combine(std::vector{leader, map_of(1, 2, 7)}));
    EXPECT_EQ(text.find('\n'), text.size() - 1);
    const auto json = nlohmann::json::parse(text);
    EXPECT_EQ(json["serves"], true);
    EXPECT_EQ(json["nodes"].size(), 3u);
    EXPECT_EQ(json["nodes"][2]["answers"], false);
    EXPECT_EQ(json["nodes"][1]["leads"], 1);
    const auto& shard = json["shards"][0];
    EXPECT_EQ(shard["leader"], 2);
    EXPECT_EQ(shard["last_slot"], 16383);
    EXPECT_EQ(shard["followers"][1]["node"], 3);
    EXPECT_EQ(shard["followers"][1]["lag"], 60);
    EXPECT_EQ(shard["followers"][1]["answers"], false);
    const auto leaderless =
        nlohmann::json::parse(render_json(combine(std::vector{map_of(1, 0, 7)})));
    EXPECT_EQ(leaderless["shards"][0]["leader"], nullptr);
    EXPECT_EQ(leaderless["serves"], false);
}

}  // namespace
}  // namespace kv::cli
