#include "proto/raft/handshake.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/base/checksum.h"

namespace kv {

namespace {

constexpr std::uint32_t handshake_magic = 0x4850564b;  // "KVPH"
constexpr std::size_t sentence_at = 104;
constexpr std::size_t checksum_bytes = 8;
static_assert(handshake_bytes_min == sentence_at + checksum_bytes);
static_assert(handshake_bytes_min + handshake_sentence_bytes_max <= handshake_bytes_max);

}  // namespace

void encode_handshake(const Handshake& handshake, std::string& out) {
    const std::string_view sentence =
        std::string_view(handshake.sentence).substr(0, handshake_sentence_bytes_max);
    const std::size_t bytes = handshake_bytes_min + sentence.size();
    const std::size_t at = out.size();
    out.resize(at + sentence_at);
    char* const to = out.data() + at;
    store_le<std::uint32_t>(to, handshake_magic);
    store_le<std::uint16_t>(to + 4, static_cast<std::uint16_t>(bytes));
    store_le<std::uint8_t>(to + 6, static_cast<std::uint8_t>(handshake.purpose));
    store_le<std::uint8_t>(to + 7, static_cast<std::uint8_t>(handshake.state));
    store_le<std::uint16_t>(to + 8, handshake.version_lowest);
    store_le<std::uint16_t>(to + 10, handshake.version_highest);
    store_le<std::uint16_t>(to + 12, handshake.core.value());
    store_le<std::uint16_t>(to + 14, handshake.cores);
    const std::uint64_t words[] = {
        handshake.cluster.high, handshake.cluster.low,      handshake.node.value(),
        handshake.store.high,   handshake.store.low,        handshake.boot,
        handshake.features,     handshake.expected.value(), handshake.members_digest,
        handshake.nonce,
    };
    for (std::size_t i = 0; i < std::size(words); ++i) store_le(to + 16 + 8 * i, words[i]);
    store_le<std::uint16_t>(to + 96, handshake.verdict);
    store_le<std::uint16_t>(to + 98, static_cast<std::uint16_t>(sentence.size()));
    store_le<std::uint32_t>(to + 100, 0);
    out.append(sentence);
    char sum[checksum_bytes];
    store_le<std::uint64_t>(sum, checksum(as_bytes(out).subspan(at)));
    out.append(sum, sizeof sum);
}

Result<Handshake> decode_handshake(Bytes bytes, std::size_t& consumed) {
    if (bytes.size() < 6) return fail(Errc::truncated);
    const std::byte* const at = bytes.data();
    const std::size_t all = load_le<std::uint16_t>(at + 4);
    if (load_le<std::uint32_t>(at) != handshake_magic || all < handshake_bytes_min ||
        all > handshake_bytes_max) {
        return fail(Errc::corrupt, "what connects is no node of a cluster");
    }
    if (bytes.size() < all) return fail(Errc::truncated);
    const std::size_t summed = all - checksum_bytes;
    if (load_le<std::uint64_t>(at + summed) != checksum(bytes.first(summed))) {
        return fail(Errc::corrupt, "the checksum of a handshake disagrees");
    }
    const std::size_t sentence_bytes = load_le<std::uint16_t>(at + 98);
    if (sentence_bytes > handshake_sentence_bytes_max || sentence_at + sentence_bytes > summed) {
        return fail(Errc::corrupt, "the sentence of a handshake is too long");
    }
    const auto purpose = load_le<std::uint8_t>(at + 6);
    const auto state = load_le<std::uint8_t>(at + 7);
    if (purpose < 1 || purpose > 2 || state < 1 || state > 3) {
        return fail(Errc::unsupported,
                    fmt::format("a handshake of purpose {}, state {}", purpose, state));
    }
    const auto word = [&](std::size_t number) {
        return load_le<std::uint64_t>(at + 16 + 8 * number);
    };
    Handshake out;
    out.purpose = static_cast<Purpose>(purpose);
    out.state = static_cast<NodeState>(state);
    out.version_lowest = load_le<std::uint16_t>(at + 8);
    out.version_highest = load_le<std::uint16_t>(at + 10);
    out.core = CoreId(load_le<std::uint16_t>(at + 12));
    out.cores = load_le<std::uint16_t>(at + 14);
    out.cluster = {word(0), word(1)};
    out.node = NodeId(word(2));
    out.store = {word(3), word(4)};
    out.boot = word(5);
    out.features = word(6);
    out.expected = NodeId(word(7));
    out.members_digest = word(8);
    out.nonce = word(9);
    out.verdict = load_le<std::uint16_t>(at + 96);
    out.sentence = std::string(as_text(bytes.subspan(sentence_at, sentence_bytes)));
    // Who has no cluster is empty, and who is empty has none.
    if ((out.state == NodeState::empty) != out.cluster.none() || out.node == NodeId(0) ||
        out.core.value() >= out.cores || out.version_lowest > out.version_highest) {
        return fail(Errc::corrupt, "a handshake that contradicts itself");
    }
    consumed = all;
    return out;
}

std::optional<Refusal> judge(const Handshake& own, const Handshake& theirs,
                             const Acquaintance& known) noexcept {
    if (theirs.version_lowest > own.version_highest ||
        own.version_lowest > theirs.version_highest) {
        return Refusal::version;
    }
    if (theirs.node == own.node) return Refusal::self;
    const bool misled = theirs.expected != NodeId(0) && theirs.expected != own.node;
    const bool astray = own.expected != NodeId(0) && own.expected != theirs.node;
    if (misled || astray) return Refusal::wrong_node;
    const bool both_have_one = !own.cluster.none() && !theirs.cluster.none();
    if (both_have_one && own.cluster != theirs.cluster) return Refusal::cluster;
    if (!known.member) return Refusal::membership;
    if (known.store != StoreId{} && known.store != theirs.store) return Refusal::store;
    if (theirs.boot < known.boot) return Refusal::boot;
    // Once there is a cluster, its log says who belongs to it; the lists only begin it.
    const bool forming = own.cluster.none() && theirs.cluster.none();
    if (forming && own.members_digest != theirs.members_digest) return Refusal::members;
    return std::nullopt;
}

std::uint16_t common_version(const Handshake& own, const Handshake& theirs) noexcept {
    return std::min(own.version_highest, theirs.version_highest);
}

std::string refusal_sentence(Refusal refusal, const Handshake& own, const Handshake& theirs) {
    const auto me = own.node.value();
    const auto you = theirs.node.value();
    switch (refusal) {
        case Refusal::version:
            return fmt::format(
                "node {} speaks versions {} to {} of the peer protocol, node {} "
                "versions {} to {}: upgrade the older one",
                me, own.version_lowest, own.version_highest, you, theirs.version_lowest,
                theirs.version_highest);
        case Refusal::self:
            return fmt::format("two nodes have the id {}: each needs one of its own", me);
        case Refusal::wrong_node:
            return own.expected != NodeId(0) && own.expected != theirs.node
                       ? fmt::format("this is the address of node {}, not of node {}", you,
                                     own.expected.value())
                       : fmt::format("this is the address of node {}, not of node {}", me,
                                     theirs.expected.value());
        case Refusal::cluster:
            return fmt::format("node {} belongs to another cluster than node {}", you, me);
        case Refusal::membership:
            return fmt::format("node {} is not a member as far as node {} knows", you, me);
        case Refusal::store:
            return fmt::format(
                "node {} has another data directory than the one that belongs to "
                "the cluster: a lost disk comes back as a new node",
                you);
        case Refusal::boot:
            return fmt::format("node {} was seen in a later life: is its data directory a copy?",
                               you);
        case Refusal::members:
            return fmt::format("nodes {} and {} are configured with different members", me, you);
        case Refusal::busy: return fmt::format("node {} takes no connections now", me);
    }
    KV_UNREACHABLE("refusal {}", static_cast<unsigned>(refusal));
}

std::string_view name(Refusal refusal) noexcept {
    switch (refusal) {
        case Refusal::version: return "version";
        case Refusal::self: return "self";
        case Refusal::wrong_node: return "wrong_node";
        case Refusal::cluster: return "cluster";
        case Refusal::membership: return "membership";
        case Refusal::store: return "store";
        case Refusal::boot: return "boot";
        case Refusal::members: return "members";
        case Refusal::busy: return "busy";
    }
    KV_UNREACHABLE("refusal {}", static_cast<unsigned>(refusal));
}

}  // namespace kv
