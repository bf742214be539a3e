#include "engine/node/forming.h"

#include <gtest/gtest.h>

#include <functional>

namespace kv {
namespace {

constexpr std::uint32_t shards = 16;
StoreId store_of(std::uint64_t node, std::uint64_t disk = 1) {
    return {node, disk};
}

Configuration three() {
    return listed({{.id = NodeId(3), .host = "10.0.0.3"},
                   {.id = NodeId(1), .host = "10.0.0.1"},
                   {.id = NodeId(2), .host = "10.0.0.2"}});
}
/// With the first disk of each, as a cluster of the three would be formed.
Configuration formed() {
    Configuration nodes = three();
    for (Member& member : nodes.members) member.store = store_of(member.node.value());
    return nodes;
}

const StoreId cluster_a = mint_cluster_id(0xa, formed(), shards);
const StoreId cluster_b = mint_cluster_id(0xb, formed(), shards);

FormingSelf self(std::uint64_t node, Membership membership = Membership::empty,
                 StoreId cluster = cluster_a) {
    FormingSelf out;
    out.node = NodeId(node);
    out.store = store_of(node);
    out.membership = membership;
    out.shards = shards;
    out.nodes = membership == Membership::empty ? three() : formed();
    if (membership != Membership::empty) out.cluster = cluster;
    return out;
}

PeerSaid said(std::uint64_t node, Membership membership = Membership::empty,
              StoreId cluster = cluster_a) {
    PeerSaid out;
    out.node = NodeId(node);
    out.store = store_of(node);
    out.membership = membership;
    out.list = list_digest(three(), shards);
    if (membership == Membership::empty) return out;
    out.cluster = cluster;
    return out;
}

FormingDecision decide(const FormingSelf& node, const std::vector<PeerSaid>& peers) {
    return decide_forming(node, peers);
}

TEST(Forming, TheListIsSortedAndKnowsNoStore) {
    const Configuration nodes = three();
    ASSERT_EQ(nodes.members.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(nodes.members[i].node, NodeId(i + 1));
        EXPECT_EQ(nodes.members[i].host, "10.0.0." + std::to_string(i + 1));
        EXPECT_EQ(nodes.members[i].store, StoreId{});
        EXPECT_EQ(nodes.members[i].roles, role_voter);
    }
    EXPECT_EQ(nodes.members[0].peer_port, 7001);
    EXPECT_EQ(nodes.members[0].client_port, 6379);
}

TEST(Forming, AClusterIdProvesWhatItWasMintedFor) {
    EXPECT_NE(cluster_a, cluster_b);
    EXPECT_NE(mint_cluster_id(0, formed(), shards), StoreId{});
    for (const StoreId id : {cluster_a, cluster_b, mint_cluster_id(0, formed(), shards)}) {
        EXPECT_TRUE(is_cluster_of(id, formed(), shards));
        EXPECT_FALSE(is_cluster_of(id, formed(), shards + 1));
        EXPECT_FALSE(is_cluster_of({id.high, id.low + 1}, formed(), shards));
        EXPECT_FALSE(is_cluster_of({id.high + 1, id.low}, formed(), shards));
        for (std::size_t i = 0; i < 3; ++i) {
            Configuration other = formed();
            ++other.members[i].store.low;
            EXPECT_FALSE(is_cluster_of(id, other, shards));
            other = formed();
            other.members[i].host += 'x';
            EXPECT_FALSE(is_cluster_of(id, other, shards));
        }
    }
}

TEST(Forming, TheDigestSeesEveryFieldButTheStores) {
    EXPECT_EQ(list_digest(formed(), shards), list_digest(three(), shards));
    EXPECT_NE(list_digest(three(), shards), list_digest(three(), shards + 1));
    EXPECT_NE(list_digest(three(), shards), list_digest(three(), shards, Leaders::together));
    const std::function<void(Member&)> changes[] = {
        [](Member& member) { member.node = NodeId(4); }, [](Member& member) { member.host += 'x'; },
        [](Member& member) { ++member.peer_port; }, [](Member& member) { ++member.client_port; }};
    for (const auto& change : changes) {
        Configuration other = formed();
        change(other.members[2]);
        EXPECT_NE(list_digest(other, shards), list_digest(formed(), shards));
    }
}

TEST(Forming, AnEmptyNodeWaitsForEveryListedNodeAndNamesWhoIsMissing) {
    EXPECT_EQ(decide(self(1), {}).step, FormingStep::wait);
    EXPECT_TRUE(decide(self(1), {})
                    .why.ends_with("waiting for nodes 2 (10.0.0.2:7001) and 3 (10.0.0.3:7001)"));
    EXPECT_TRUE(decide(self(1), {said(2)}).why.ends_with("waiting for node 3 (10.0.0.3:7001)"));
    EXPECT_EQ(decide(self(1), {said(2)}).step, FormingStep::wait);
    EXPECT_EQ(decide(self(2), {said(1, Membership::forming)}).step, FormingStep::wait);
}

TEST(Forming, TheLowestIdMints) {
    const FormingDecision decision = decide(self(1), {said(3), said(2)});
    EXPECT_EQ(decision.step, FormingStep::mint);
    EXPECT_EQ(decision.formed, formed());
    for (const std::uint64_t other : {2u, 3u}) {
        const FormingDecision waits = decide(self(other), {said(1), said(5 - other)});
        EXPECT_EQ(waits.step, FormingStep::wait);
        EXPECT_NE(waits.why.find("waiting for node 1, which begins"), std::string::npos);
    }
}

TEST(Forming, TheOthersAdoptWhatIsForming) {
    const FormingDecision decision = decide(self(3), {said(1, Membership::forming), said(2)});
    EXPECT_EQ(decision.step, FormingStep::adopt);
    EXPECT_EQ(decision.cluster, cluster_a);
    EXPECT_EQ(decision.formed, formed());
    EXPECT_EQ(decide(self(2), {said(1, Membership::forming), said(3, Membership::forming)}).step,
              FormingStep::adopt);
}

TEST(Forming, EndsOnceEveryNodeHoldsTheId) {
    const FormingSelf node = self(1, Membership::forming);
    EXPECT_TRUE(decide(node, {}).why.ends_with(
        "waiting for nodes 2 (10.0.0.2:7001) and 3 (10.0.0.3:7001)"));
    const FormingDecision waits = decide(node, {said(2, Membership::forming), said(3)});
    EXPECT_EQ(waits.step, FormingStep::wait);
    EXPECT_TRUE(waits.why.ends_with("waiting for node 3 (10.0.0.3:7001)"));
    EXPECT_EQ(decide(node, {said(2, Membership::forming), said(3, Membership::forming)}).step,
              FormingStep::join);
}

TEST(Forming, ANodeThatCrashedWhileFormingJoinsWhatIsFormed) {
    EXPECT_EQ(decide(self(2, Membership::forming), {said(3, Membership::member)}).step,
              FormingStep::join);
}

TEST(Forming, AMemberWithAnotherStoreProvesNothing) {
    PeerSaid copy = said(3, Membership::member);
    copy.store = store_of(3, 2);
    EXPECT_EQ(decide(self(2, Membership::forming), {copy}).step, FormingStep::refuse);
}

TEST(Forming, AMemberNeedsNobody) {
    EXPECT_EQ(decide(self(2, Membership::member), {}).step, FormingStep::serve);
    EXPECT_EQ(decide(self(2, Membership::member), {said(1), said(3)}).step, FormingStep::serve);
}

TEST(Forming, ALostDiskStaysOutAndTheSentenceSaysWhatHolds) {
    FormingSelf wiped = self(3);
    wiped.store = store_of(3, 2);
    for (const auto& peers :
         {std::vector{said(1, Membership::member)},
          std::vector{said(1, Membership::forming), said(2, Membership::member)},
          std::vector{said(1), said(2, Membership::member)}}) {
        const FormingDecision decision = decide(wiped, peers);
        EXPECT_EQ(decision.step, FormingStep::stay_out);
        for (const char* part :
             {"another data directory of node 3", "this one is empty",
              "the majority of the others goes on serving", "once there are membership changes"})
            EXPECT_NE(decision.why.find(part), std::string::npos) << decision.why;
    }
}

TEST(Forming, ADiskThatWasLostWhileFormingIsNotAdopted) {
    FormingSelf wiped = self(3);
    wiped.store = store_of(3, 2);
    std::vector<PeerSaid> peers = {said(1, Membership::forming), said(2)};
    EXPECT_EQ(decide(wiped, peers).step, FormingStep::refuse);
    EXPECT_NE(decide(wiped, peers).why.find("move the data directories of all nodes away"),
              std::string::npos);
    peers[0].told = formed();
    EXPECT_EQ(decide(wiped, peers).step, FormingStep::stay_out);
    // Another empty node that has heard of the new disk does not adopt the old one, nor does who is
    // forming take the new one.
    PeerSaid third = said(3);
    third.store = wiped.store;
    EXPECT_EQ(decide(self(2), {said(1, Membership::forming), third}).step, FormingStep::refuse);
    EXPECT_EQ(decide(self(1, Membership::forming), {said(2), third}).step, FormingStep::refuse);
    // A member decides over the heads of both.
    EXPECT_EQ(decide(self(1, Membership::forming), {said(2, Membership::member), third}).step,
              FormingStep::join);
}

TEST(Forming, ListsThatDifferAreRefusedAndTheEntriesNamed) {
    const auto sentence = [](const Configuration& theirs, std::uint32_t their_shards = shards) {
        PeerSaid peer = said(2);
        peer.list = list_digest(theirs, their_shards);
        const FormingDecision blind = decide(self(1), {peer});
        EXPECT_EQ(blind.step, FormingStep::refuse);
        EXPECT_EQ(blind.why,
                  "node 2 has another [[cluster.nodes]], cluster.shards or cluster.leaders than "
                  "this node: make them equal on all nodes");
        EXPECT_EQ(decide(self(1, Membership::forming), {peer}).step, FormingStep::refuse);
        peer.told = theirs;
        return decide(self(1), {peer}).why;
    };
    Configuration theirs = three();
    theirs.members[2].host = "10.0.0.4";
    EXPECT_NE(sentence(theirs).find("(at node 2: node 3 is 10.0.0.4:7001 (clients 6379) there and "
                                    "10.0.0.3:7001 (clients 6379) here)"),
              std::string::npos)
        << sentence(theirs);
    theirs = three();
    theirs.members.pop_back();
    theirs.members[0].client_port = 1;
    EXPECT_NE(sentence(theirs).find("node 1 is 10.0.0.1:7001 (clients 1) there and 10.0.0.1:7001 "
                                    "(clients 6379) here; node 3 is not listed there"),
              std::string::npos);
    theirs = three();
    theirs.members.push_back(theirs.members[0]);
    theirs.members[3].node = NodeId(4);
    EXPECT_NE(sentence(theirs).find("node 4 is listed there only"), std::string::npos);
    EXPECT_NE(sentence(three(), 8).find("(at node 2: its cluster.shards or cluster.leaders)"),
              std::string::npos);
}

TEST(Forming, WhereLeadersAreToBeIsPartOfWhatMustBeEqual) {
    FormingSelf node = self(1);
    EXPECT_EQ(decide(node, {said(2), said(3)}).step, FormingStep::mint);
    node.leaders = Leaders::together;
    EXPECT_EQ(decide(node, {said(2), said(3)}).step, FormingStep::refuse);
}

TEST(Forming, AListThatChangedSinceIsNamed) {
    EXPECT_EQ(list_change(formed(), three()), std::nullopt);
    Configuration now = three();
    now.members[1].peer_port = 7009;
    const auto change = list_change(formed(), now);
    ASSERT_TRUE(change);
    EXPECT_NE(change->find("node 2 is 10.0.0.2:7001 (clients 6379) there and 10.0.0.2:7009 "
                           "(clients 6379) here"),
              std::string::npos)
        << *change;
}

TEST(Forming, StrangersAndDoublesAreRefused) {
    for (const Membership membership : {Membership::empty, Membership::forming}) {
        const FormingDecision stranger = decide(self(1, membership), {said(9)});
        EXPECT_EQ(stranger.step, FormingStep::refuse);
        EXPECT_NE(stranger.why.find("node 9"), std::string::npos);
        EXPECT_NE(stranger.why.find("not listed here"), std::string::npos);
        const FormingDecision twin = decide(self(1, membership), {said(1)});
        EXPECT_EQ(twin.step, FormingStep::refuse);
        EXPECT_NE(twin.why.find("node 1, too"), std::string::npos);
    }
    // A member of some other cluster that leads here by mistake says nothing about this one.
    EXPECT_EQ(decide(self(1), {said(9, Membership::member)}).step, FormingStep::refuse);
}

TEST(Forming, AnotherClusterIsRefused) {
    const FormingDecision decision =
        decide(self(1, Membership::forming), {said(2, Membership::forming, cluster_b)});
    EXPECT_EQ(decision.step, FormingStep::refuse);
    EXPECT_NE(decision.why.find("node 2 belongs to another cluster"), std::string::npos);
    EXPECT_EQ(decide(self(1, Membership::forming), {said(2, Membership::member, cluster_b)}).step,
              FormingStep::refuse);
    EXPECT_EQ(decide(self(3), {said(1, Membership::forming, cluster_a),
                               said(2, Membership::forming, cluster_b)})
                  .step,
              FormingStep::refuse);
}

TEST(Forming, OneNodeAloneFormsByItself) {
    FormingSelf node = self(1);
    node.nodes = listed({{.id = NodeId(1), .host = "a"}});
    const FormingDecision begins = decide(node, {});
    ASSERT_EQ(begins.step, FormingStep::mint);
    node.membership = Membership::forming;
    node.cluster = cluster_a;
    node.nodes = begins.formed;
    EXPECT_EQ(decide(node, {}).step, FormingStep::join);
}

TEST(Forming, OnlyAMemberWithThePinnedStoreCounts) {
    const auto why = [](const PeerSaid& peer, std::optional<StoreId> pinned = store_of(2)) {
        return objection(cluster_a, pinned, peer).value_or("");
    };
    EXPECT_EQ(why(said(2, Membership::member)), "");
    EXPECT_EQ(why(said(2, Membership::forming)), "node 2 has not joined the cluster yet");
    EXPECT_EQ(why(said(2)), "node 2 has not joined the cluster yet");
    EXPECT_EQ(why(said(2, Membership::member, cluster_b)), "node 2 is a member of another cluster");
    EXPECT_EQ(why(said(2, Membership::member), std::nullopt),
              "node 2 does not belong to this cluster");
    PeerSaid wiped = said(2);
    wiped.store = store_of(2, 2);
    EXPECT_TRUE(why(wiped).starts_with("node 2 comes with another data directory than before"));
    wiped.membership = Membership::member;
    wiped.cluster = cluster_a;
    EXPECT_TRUE(why(wiped).starts_with("node 2 comes with another data directory than before"));
}

}  // namespace
}  // namespace kv
