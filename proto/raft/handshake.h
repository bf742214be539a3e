#pragma once

/// The first bytes of a connection between nodes, in both directions: who asks says who it is, who
/// is asked says who it is and what it decided. Both judge, by the same rules, before any byte of
/// Raft. Little-endian:
///
///     0  u32  magic            "KVPH"
///     4  u16  bytes            of all of it, these and the checksum included
///     6  u8   purpose          Purpose; an unknown one is refused
///     7  u8   state            NodeState
///     8  u16  lowest version   u16 highest version    of the frames that this node speaks
///    12  u16  core             that has this end      u16 cores    of the node
///    16  u64  cluster id high  u64 low                zero: there is none yet
///    32  u64  node id
///    40  u64  store id high    u64 low
///    56  u64  boot             of the data directory
///    64  u64  features         bits; what both have may be used
///    72  u64  expected node    whom the sender believes to speak to; 0: not known
///    80  u64  members digest   of the configured members, so that lists which differ are found;
///                              0: none
///    88  u64  nonce            random; seeds the frames (proto/raft/frame.h)
///    96  u16  verdict          0: a question; 1: accepted; else a Refusal
///    98  u16  sentence_bytes   at most handshake_sentence_bytes_max
///   100  u32  0
///   104  sentence              why it was refused, for people
///        ...                   what later versions add; passed over
///        u64  checksum         XXH3-64 of all bytes before
///
/// The layout never changes: nodes of all versions must be able to refuse each other.

#include <optional>
#include <string>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace kv {

/// Random 128-bit identity of a cluster, minted when it is formed. All zero is "none".
struct ClusterId {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    constexpr bool operator==(const ClusterId&) const noexcept = default;
    constexpr bool none() const noexcept { return high == 0 && low == 0; }
};

enum class Purpose : std::uint8_t { raft = 1, snapshot = 2 };

enum class NodeState : std::uint8_t {
    empty = 1,    ///< a new data directory, or one that was lost
    forming = 2,  ///< holds the id of the cluster that it forms with others
    member = 3,   ///< of the cluster whose id it names
};

/// Numbers are on the wire: new ones come behind.
enum class Refusal : std::uint16_t {
    version = 2,     ///< no version of the protocol in common
    self = 3,        ///< the same node id at both ends
    wrong_node = 4,  ///< the address leads to another node than the sender believes
    cluster = 5,     ///< of another cluster
    membership = 6,  ///< not among the members
    store = 7,       ///< the node id is known with another data directory
    boot = 8,        ///< an earlier life of that data directory: a copy, or bytes that were late
    members = 9,     ///< while forming: the lists of members differ
    busy = 10,       ///< shutting down, or too many handshakes
};

inline constexpr std::uint16_t protocol_version_lowest = 1;
inline constexpr std::uint16_t protocol_version_highest = 1;
inline constexpr std::size_t handshake_bytes_min = 112;
inline constexpr std::size_t handshake_bytes_max = 1024;
inline constexpr std::size_t handshake_sentence_bytes_max = 512;

struct Handshake {
    Purpose purpose = Purpose::raft;
    NodeState state = NodeState::empty;
    std::uint16_t version_lowest = protocol_version_lowest;
    std::uint16_t version_highest = protocol_version_highest;
    CoreId core;
    std::uint16_t cores = 1;
    ClusterId cluster;
    NodeId node;
    StoreId store;
    std::uint64_t boot = 0;
    std::uint64_t features = 0;
    NodeId expected;
    std::uint64_t members_digest = 0;
    std::uint64_t nonce = 0;
    std::uint16_t verdict = 0;  ///< 0: a question; 1: accepted; else a Refusal, perhaps unknown
    std::string sentence;
    bool operator==(const Handshake&) const = default;
};

inline constexpr std::uint16_t verdict_question = 0;
inline constexpr std::uint16_t verdict_accepted = 1;

/// Appends it. A sentence beyond its bound is cut.
void encode_handshake(const Handshake& handshake, std::string& out);

/// The handshake at the front of `bytes`, and its length in `consumed`. Errors: `truncated`, more
/// bytes must come, never more than handshake_bytes_max in all; `corrupt`, this is no handshake;
/// `unsupported`, an unknown purpose or state.
Result<Handshake> decode_handshake(Bytes bytes, std::size_t& consumed);

/// What is known of the node that speaks from the other end.
struct Acquaintance {
    bool member = false;     ///< of the configuration that holds, or of the list to form with
    StoreId store;           ///< as pinned; zero: not pinned yet
    std::uint64_t boot = 0;  ///< the newest that was seen
};

/// Whether frames may flow: nullopt, or why not. Pure.
std::optional<Refusal> judge(const Handshake& own, const Handshake& theirs,
                             const Acquaintance& known) noexcept;

/// The version to speak, of two that were found to agree.
std::uint16_t common_version(const Handshake& own, const Handshake& theirs) noexcept;

/// For people: what is wrong and what to do, from the side that refuses.
std::string refusal_sentence(Refusal refusal, const Handshake& own, const Handshake& theirs);
/// For logs and tests, lower-case ("wrong_node").
std::string_view name(Refusal refusal) noexcept;

}  // namespace kv
