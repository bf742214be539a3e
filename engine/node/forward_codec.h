#pragma once

/// What one node asks of the leader of a shard for a request of its own client, and what it
/// answers: the contents of Forward (proto/raft/frame.h), which names the group.
/// One key or one command each; the transport packs those of a turn into one frame. Little-endian.
///
///     request:  0  u8   version   2: in replies of version 1 an apply had no value before
///               1  u8   kind      ForwardKind
///               2  u16  flags     1: the value is wanted (read); 2: there is a pattern (list)
///               4  u32  0
///               8  u64  cursor    list: where to go on; 0: at the start
///              16  ..   key (read), command (apply: proto/command_codec.h), pattern (list)
///
///     reply:    0  u8   version   2
///               1  u8   kind      as asked
///               2  u16  error     Errc, 0xffff: none
///               4  u16  flags     1: something was found (read), or was before (apply)
///               6  u16  0
///               8  u64  number    Store::Applied (apply), keys (count), cursor to go on (list)
///              16  u64  revision  of what was found or applied; of an error: the node that leads
///              24  ..   value (read), or the one before, of commands that ask for it (apply);
///                        for each key u32 bytes, key (list)
///
/// Whether the command was applied is in the frame (Outcome) and follows from the error: both are
/// believed only if they agree.

#include <optional>
#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/errc.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace kv {

enum class ForwardKind : std::uint8_t {
    read = 1,   ///< the value of one key
    apply = 2,  ///< one command
    count = 3,  ///< keys of the shard
    list = 4,   ///< some keys of the shard
};

struct ForwardRequest {
    ForwardKind kind = ForwardKind::read;
    bool wants_value = true;
    bool has_pattern = false;
    std::uint64_t cursor = 0;
    std::string_view content;  ///< views the frame
};

struct ForwardReply {
    ForwardKind kind = ForwardKind::read;
    std::optional<Errc> error;
    NodeId leader;  ///< of an error
    bool found = false;
    std::uint64_t number = 0;
    Revision revision;
    std::string_view content;  ///< views the frame
};

inline constexpr std::size_t forward_request_bytes = 16;
inline constexpr std::size_t forward_reply_bytes = 24;

void encode_forward_request(const ForwardRequest& request, std::string& out);
void encode_forward_reply(const ForwardReply& reply, std::string& out);
/// Errors: `truncated`; `unsupported`, an unknown version, kind, flag or error.
Result<ForwardRequest> decode_forward_request(Bytes bytes);
Result<ForwardReply> decode_forward_reply(Bytes bytes);
/// What a request that cannot be decoded seems to ask, so that whoever asked knows the answer.
ForwardKind forward_kind(Bytes request) noexcept;

/// A key of a list.
void append_listed(std::string& out, std::string_view key);
/// Takes the key at the front of `list`; nothing: it is cut short.
std::optional<std::string_view> take_listed(std::string_view& list) noexcept;

}  // namespace kv
