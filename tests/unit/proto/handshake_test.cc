#include "proto/raft/handshake.h"

#include <gtest/gtest.h>

#include "proto/base/checksum.h"
#include "tests/unit/proto/peer_messages.h"

namespace kv {
namespace {

Handshake of_node(std::uint64_t node) {
    Handshake out;
    out.state = NodeState::member;
    out.core = CoreId(1);
    out.cores = 4;
    out.cluster = {5, 6};
    out.node = NodeId(node);
    out.store = {node, 7};
    out.boot = 3;
    out.features = 1;
    out.members_digest = 88;
    out.nonce = 99;
    return out;
}

std::string encoded(const Handshake& handshake) {
    std::string out;
    encode_handshake(handshake, out);
    return out;
}

TEST(Handshake, ComesBackAsItWasAndLeavesAloneWhatIsBehind) {
    Handshake sent = of_node(2);
    sent.purpose = Purpose::snapshot;
    sent.expected = NodeId(1);
    sent.verdict = static_cast<std::uint16_t>(Refusal::store);
    sent.sentence = "because";
    const std::string bytes = encoded(sent);
    std::size_t consumed = 0;
    const auto back = decode_handshake(as_bytes(bytes + "behind"), consumed);
    ASSERT_TRUE(back.has_value());
    EXPECT_TRUE(*back == sent);
    EXPECT_EQ(consumed, bytes.size());
    EXPECT_EQ(bytes.size(), handshake_bytes_min + 7);
}

TEST(Handshake, AQuestionHasTheLeastBytesAndALongSentenceIsCut) {
    EXPECT_EQ(encoded(of_node(2)).size(), handshake_bytes_min);
    Handshake wordy = of_node(2);
    wordy.sentence = std::string(5'000, 'w');
    std::size_t consumed = 0;
    const auto back = decode_handshake(as_bytes(encoded(wordy)), consumed);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->sentence.size(), handshake_sentence_bytes_max);
    EXPECT_LE(consumed, handshake_bytes_max);
}

TEST(Handshake, NoPrefixAndNoFlippedBitPasses) {
    Handshake sent = of_node(2);
    sent.sentence = "because";
    const std::string whole = encoded(sent);
    std::size_t consumed = 0;
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const auto part =
            decode_handshake(ExactBlock(std::string_view(whole).substr(0, size)), consumed);
        ASSERT_FALSE(part.has_value());
        EXPECT_EQ(part.error().code, Errc::truncated);
    }
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
        std::string flipped = whole;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        EXPECT_FALSE(decode_handshake(ExactBlock(flipped), consumed).has_value()) << bit;
    }
}

/// Of a version to come: more behind the sentence.
TEST(Handshake, WhatLaterVersionsAddIsPassedOver) {
    Handshake sent = of_node(2);
    sent.version_highest = 9;
    std::string bytes = encoded(sent);
    bytes.resize(bytes.size() - 8);
    bytes += "something new";
    store_le(bytes.data() + 4, static_cast<std::uint16_t>(bytes.size() + 8));
    char sum[8];
    store_le(sum, checksum(as_bytes(bytes)));
    bytes.append(sum, sizeof sum);
    std::size_t consumed = 0;
    const auto back = decode_handshake(as_bytes(bytes), consumed);
    ASSERT_TRUE(back.has_value());
    EXPECT_TRUE(*back == sent);
    EXPECT_EQ(consumed, bytes.size());
}

TEST(Handshake, WhatContradictsItselfIsCorrupt) {
    const auto wrong = [](auto change) {
        Handshake sent = of_node(2);
        change(sent);
        std::size_t consumed = 0;
        return decode_handshake(as_bytes(encoded(sent)), consumed);
    };
    const auto refused = [](const Result<Handshake>& result, Errc error) {
        return !result && result.error().code == error;
    };
    using H = Handshake;
    EXPECT_TRUE(refused(wrong([](H& h) { h.cluster = {}; }), Errc::corrupt));
    EXPECT_TRUE(refused(wrong([](H& h) { h.state = NodeState::empty; }), Errc::corrupt));
    EXPECT_TRUE(refused(wrong([](H& h) { h.node = NodeId(0); }), Errc::corrupt));
    EXPECT_TRUE(refused(wrong([](H& h) { h.core = CoreId(4); }), Errc::corrupt));
    EXPECT_TRUE(refused(wrong([](H& h) { h.version_lowest = 2; }), Errc::corrupt));
    EXPECT_TRUE(
        refused(wrong([](H& h) { h.purpose = static_cast<Purpose>(3); }), Errc::unsupported));
    EXPECT_TRUE(
        refused(wrong([](H& h) { h.state = static_cast<NodeState>(0); }), Errc::unsupported));
}

struct Case {
    const char* name;
    void (*change)(Handshake& own, Handshake& theirs, Acquaintance& known);
    std::optional<Refusal> verdict;
};

using H = Handshake;
using K = Acquaintance;

void form(H& own, H& theirs) {
    own.cluster = theirs.cluster = {};
    own.state = theirs.state = NodeState::forming;
}

const Case cases[] = {
    {"members", [](H&, H&, K&) {}, {}},
    {"whom they expect", [](H&, H& t, K&) { t.expected = NodeId(1); }, {}},
    {"a store that is not pinned", [](H&, H&, K& k) { k.store = {}; }, {}},
    {"a later life", [](H&, H& t, K&) { t.boot = 4; }, {}},
    {"lists that differ behind us", [](H&, H& t, K&) { t.members_digest = 1; }, {}},
    {"cores that differ", [](H&, H& t, K&) { t.cores = 9; }, {}},
    {"features that differ", [](H&, H& t, K&) { t.features = 6; }, {}},
    {"forming", [](H& o, H& t, K&) { form(o, t); }, {}},
    {"one that has not heard of the cluster yet",
     [](H& o, H& t, K&) {
         form(o, t);
         o.cluster = {5, 6};
         o.state = NodeState::member;
     },
     {}},
    {"versions that overlap",
     [](H& o, H& t, K&) {
         o.version_highest = 3;
         t.version_lowest = 3;
         t.version_highest = 7;
     },
     {}},
    {"too new", [](H&, H& t, K&) { t.version_lowest = t.version_highest = 2; }, Refusal::version},
    {"too old", [](H& o, H&, K&) { o.version_lowest = o.version_highest = 2; }, Refusal::version},
    {"our own id", [](H&, H& t, K&) { t.node = NodeId(1); }, Refusal::self},
    {"led astray", [](H&, H& t, K&) { t.expected = NodeId(3); }, Refusal::wrong_node},
    {"went astray", [](H& o, H&, K&) { o.expected = NodeId(3); }, Refusal::wrong_node},
    {"another cluster", [](H&, H& t, K&) { t.cluster = {5, 7}; }, Refusal::cluster},
    {"a stranger", [](H&, H&, K& k) { k.member = false; }, Refusal::membership},
    {"another directory", [](H&, H& t, K&) { t.store = {2, 8}; }, Refusal::store},
    {"a lost disk",
     [](H&, H& t, K&) {
         t.cluster = {};
         t.state = NodeState::empty;
         t.store = {1234, 5678};
         t.boot = 1;
     },
     Refusal::store},
    {"an earlier life", [](H&, H& t, K&) { t.boot = 2; }, Refusal::boot},
    {"forming with others",
     [](H& o, H& t, K&) {
         form(o, t);
         t.members_digest = 1;
     },
     Refusal::members},
};

TEST(Handshake, TheVerdictFollowsTheTable) {
    for (const Case& c : cases) {
        Handshake own = of_node(1);
        Handshake theirs = of_node(2);
        Acquaintance known{true, theirs.store, theirs.boot};
        c.change(own, theirs, known);
        const auto verdict = judge(own, theirs, known);
        EXPECT_EQ(verdict, c.verdict) << c.name;
        if (!verdict) continue;
        EXPECT_FALSE(refusal_sentence(*verdict, own, theirs).empty());
        EXPECT_LE(refusal_sentence(*verdict, own, theirs).size(), handshake_sentence_bytes_max);
        EXPECT_FALSE(name(*verdict).empty());
    }
}

TEST(Handshake, TheNewestCommonVersionIsSpoken) {
    Handshake own = of_node(1);
    Handshake theirs = of_node(2);
    own.version_highest = 5;
    theirs.version_highest = 3;
    EXPECT_EQ(common_version(own, theirs), 3);
    EXPECT_EQ(common_version(theirs, own), 3);
}

}  // namespace
}  // namespace kv
