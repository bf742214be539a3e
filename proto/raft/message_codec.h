#pragma once

/// Peer messages <-> bytes. Little-endian, unaligned:
///
///     0  u32  bytes       of the whole message, these four included
///     4  u8   kind        MessageKind
///     5  u8   version     of the body's format; 1
///     6  u8   flags       MessageFlag bits that the kind has; others are refused
///     7  u8   0
///     8  u64  group
///    16  u64  term
///    24  u64  boot        u64 sequence
///    40  body
///
///     1  vote request        u64 last term       u64 last index     flags: pre, transfer
///     2  vote reply          empty                                  flags: pre, granted
///     3  append request      u64 previous term   u64 previous index  u64 commit
///                            u64 entries
///                            entries             as they are (proto/raft/entry.h), back to back
///     4  append reply        u64 match           u64 hint term      u64 hint index
///                                                                   flags: rejected
///     5  heartbeat request   u64 commit          u64 read
///     6  heartbeat reply     u64 read
///     7  snapshot request    u64 term            u64 index
///     8  timeout now         empty
///
/// From whom and to whom is not in it: both ends of a connection are known from its handshake, and
/// nobody speaks for another node.

#include <string>
#include <vector>

#include "proto/raft/message.h"

namespace kv {

enum class MessageKind : std::uint8_t {
    vote_request = 1,
    vote_reply = 2,
    append_request = 3,
    append_reply = 4,
    heartbeat_request = 5,
    heartbeat_reply = 6,
    snapshot_request = 7,
    timeout_now = 8,
};

enum MessageFlag : std::uint8_t {
    message_pre = 1,
    message_transfer = 2,
    message_granted = 4,
    message_rejected = 8,
};

inline constexpr std::size_t message_header_bytes = 40;
/// Of one message: an entry has at most about 16 MiB, and is sent alone when it is that long.
inline constexpr std::size_t message_bytes_max = std::size_t{32} << 20;

/// What encode_message() will append.
std::size_t encoded_bytes(const Message& message) noexcept;
/// Appends the bytes of `message`, which has at most message_bytes_max of them.
void encode_message(const Message& message, std::string& out);

/// The length of the message at the front of `bytes`, and its group, for those who pass it on.
/// Errors: `truncated`; `corrupt`, no message is that long or that short.
struct MessageExtent {
    std::size_t bytes = 0;
    GroupId group;
};
Result<MessageExtent> measure_message(Bytes bytes);

/// The ends of the connection that brought a message.
struct Route {
    NodeId from;
    NodeId to;
};

/// Decodes the message that `bytes` are, and nothing else, into `out`. Entries view `bytes`; their
/// checksums, their order and that they follow `previous` are verified. `memory`, emptied, is what
/// the list of entries is made in. Errors: `truncated`, `corrupt`, `unsupported`; `out` is then
/// anything.
Status decode_message(Bytes bytes, Route route, Message& out, std::vector<Bytes> memory = {});

}  // namespace kv
