#include "engine/node/identity.h"

#include <gtest/gtest.h>

#include "proto/base/bytes.h"
#include "proto/base/checksum.h"

namespace kv {
namespace {

TEST(Identity, EveryFieldSurvives) {
    Identity identity;
    identity.cluster = {1, 2};
    identity.store = {3, 4};
    identity.node = NodeId(5);
    identity.shards = 6;
    identity.boot = 7;
    identity.hash_secret = 8;
    identity.generation = 9;
    identity.segments = {SegmentSeq(10), SegmentSeq(0), SegmentSeq(12)};
    const std::string bytes = encode_identity(identity);
    EXPECT_EQ(bytes.size(), identity_bytes);
    EXPECT_EQ(bytes.substr(0, 16), std::string("KVSTORE1\2\0\0\0\6\0\0\0", 16));
    const Result<Identity> decoded = decode_identity(bytes, "x");
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(decoded->cluster, identity.cluster);
    EXPECT_EQ(decoded->store, identity.store);
    EXPECT_EQ(decoded->node, identity.node);
    EXPECT_EQ(decoded->shards, identity.shards);
    EXPECT_EQ(decoded->boot, identity.boot);
    EXPECT_EQ(decoded->hash_secret, identity.hash_secret);
    EXPECT_EQ(decoded->generation, identity.generation);
    EXPECT_EQ(decoded->segments, identity.segments);
    EXPECT_EQ(decoded->cores(), 3);
    EXPECT_EQ(decoded->features, 0u);
    EXPECT_EQ(decoded->membership, Membership::member);
}

/// With the checksum that belongs to it: what a program, and no disk, got wrong.
std::string sealed(std::string bytes) {
    const std::size_t summed = bytes.size() - 8;
    store_le<std::uint64_t>(bytes.data() + summed,
                            checksum(as_bytes(std::string_view(bytes).substr(0, summed))));
    return bytes;
}

TEST(Identity, MembershipSurvivesAndAMemberIsWhatItAlwaysWas) {
    Identity identity;
    identity.node = NodeId(1);
    identity.shards = 1;
    const struct {
        Membership membership;
        StoreId cluster;
        char byte;
    } cases[] = {{Membership::member, {1, 2}, 0},
                 {Membership::empty, {}, 1},
                 {Membership::forming, {1, 2}, 2}};
    for (const auto& c : cases) {
        identity.membership = c.membership;
        identity.cluster = c.cluster;
        identity.features = feature_cluster;
        std::string bytes = encode_identity(identity);
        EXPECT_EQ(bytes[92], c.byte);
        const Result<Identity> decoded = decode_identity(bytes, "x");
        ASSERT_TRUE(decoded) << decoded.error().text();
        EXPECT_EQ(decoded->membership, c.membership) << name(c.membership);
        EXPECT_EQ(decoded->cluster, c.cluster);
        EXPECT_EQ(decoded->features, feature_cluster);
        // A cluster id belongs to everybody but the empty.
        store_le<std::uint64_t>(bytes.data() + 24, c.membership == Membership::empty ? 1 : 0);
        store_le<std::uint64_t>(bytes.data() + 16, 0);
        EXPECT_EQ(decode_identity(sealed(bytes), "x").error().code, Errc::damaged);
        bytes[92] = 3;
        const Result<Identity> unknown = decode_identity(sealed(bytes), "x");
        EXPECT_EQ(unknown.error().text(),
                  "x makes no sense: its membership and its cluster id contradict each other");
    }
}

Members some_members() {
    Members members;
    members.cluster = {7, 8};
    for (const std::uint64_t node : {1u, 2u, 5u}) {
        Member member;
        member.node = NodeId(node);
        member.store = {node, 100 + node};
        member.host = "10.0.0." + std::to_string(node);
        member.peer_port = 7001;
        member.client_port = 6379;
        members.pins.push_back({member.node, member.store});
        members.formed.members.push_back(std::move(member));
    }
    members.pins.push_back({NodeId(9), {9, 109}});
    return members;
}

TEST(Members, EveryFieldSurvives) {
    const Members members = some_members();
    const std::string bytes = encode_members(members);
    EXPECT_EQ(bytes.substr(0, 12), std::string("KVMEMBER\1\0\4\0", 12));
    const Result<Members> decoded = decode_members(bytes, "x");
    ASSERT_TRUE(decoded) << decoded.error().text();
    EXPECT_EQ(*decoded, members);
}

TEST(Members, ADamagedFileIsRefusedWhicheverByteItIs) {
    const std::string good = encode_members(some_members());
    for (std::size_t size = 0; size < good.size(); ++size)
        EXPECT_EQ(decode_members(good.substr(0, size), "x").error().code, Errc::damaged) << size;
    EXPECT_EQ(decode_members(good + good, "x").error().code, Errc::damaged);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
        const Result<Members> decoded = decode_members(bad, "x");
        ASSERT_FALSE(decoded) << bit;
        EXPECT_EQ(decoded.error().text(),
                  "x is damaged: restore it from a backup, or move the data directory away to "
                  "start empty");
    }
}

TEST(Members, AnyBytesWithTheRightChecksumAreAnswered) {
    const std::string good = encode_members(some_members());
    for (std::size_t byte = 8; byte < good.size() - 8; ++byte) {
        for (const int value : {0, 1, 2, 0x41, 0x7f, 0xff}) {
            std::string other = good;
            other[byte] = static_cast<char>(value);
            const Result<Members> decoded = decode_members(sealed(other), "x");
            if (decoded) {
                EXPECT_EQ(encode_members(*decoded).size(), good.size());
                continue;
            }
            const Errc code = decoded.error().code;
            EXPECT_TRUE(code == Errc::damaged || code == Errc::foreign) << byte;
            EXPECT_TRUE(decoded.error().text().starts_with("x ")) << decoded.error().text();
        }
    }
    std::string newer = good;
    newer[8] = 2;
    EXPECT_EQ(decode_members(sealed(newer), "x").error().code, Errc::foreign);
    std::string roles = good;
    roles[32 + 4 + 24] = 64;
    EXPECT_EQ(decode_members(sealed(roles), "x").error().code, Errc::foreign);
}

TEST(Members, PinsInAnotherOrderAreRefused) {
    Members members = some_members();
    std::swap(members.pins[0], members.pins[1]);
    EXPECT_EQ(decode_members(encode_members(members), "x").error().text(),
              "x makes no sense: its pins are out of order");
    members.pins[0] = members.pins[1];
    EXPECT_EQ(decode_members(encode_members(members), "x").error().code, Errc::damaged);
}

}  // namespace
}  // namespace kv
