#pragma once

/// The replicated form of a command: what the payload of a log entry of kind `commands` holds, back
/// to back. Little-endian, unaligned:
///
///     0  u8   kind        CommandKind
///     1  u8   flags       CommandFlag: which of the following are there, and what is asked
///     2  u16  key_bytes   1..65535; 0 for flush
///     4  u32  value_bytes
///     .. u64  session, u64 sequence         with flag_session
///     .. i64  number                        with flag_number
///     .. u64  if_revision                   with flag_if_revision
///     .. u32  if_equal_bytes                with flag_if_equal
///     .. key, value, if_equal
///
/// Every decision that a command needs is in it, limits included: replicas with other settings must
/// come to the same result.

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/base/bytes.h"
#include "proto/base/result.h"

namespace kv {

enum class CommandKind : std::uint8_t {
    put = 1,        ///< key := value
    del = 2,        ///< remove key
    flush = 3,      ///< remove every key of the shard
    append = 4,     ///< key := its value, or nothing, and behind it value; at most `number` bytes
    increment = 5,  ///< key := its value, or 0, as a decimal number, plus `number`
};

/// Conditions hold for put and del; all that are named must hold, or nothing is changed.
enum CommandFlag : std::uint8_t {
    flag_session = 1,
    flag_number = 2,
    flag_if_absent = 4,
    flag_if_present = 8,
    flag_if_equal = 16,        ///< the value is exactly `if_equal`; an absent key has none
    flag_if_revision = 32,     ///< the key's last change has this revision; 0: the key is absent
    flag_return_previous = 64  ///< tell the value that was there before
};

struct Command {
    CommandKind kind = CommandKind::put;
    std::string_view key;
    std::string_view value;
    std::uint64_t session = 0;  ///< 0: none
    std::uint64_t sequence = 0;
    std::uint8_t flags = 0;  ///< CommandFlag but flag_session, which follows from `session`
    std::int64_t number = 0;
    std::uint64_t if_revision = 0;
    std::string_view if_equal;
};

inline constexpr std::uint8_t condition_flags =
    flag_if_absent | flag_if_present | flag_if_equal | flag_if_revision;

inline constexpr std::size_t command_header_bytes = 8;
inline constexpr std::size_t command_session_bytes = 16;

inline std::size_t encoded_bytes(const Command& command) noexcept {
    std::size_t bytes = command_header_bytes + command.key.size() + command.value.size();
    if (command.session != 0) bytes += command_session_bytes;
    if (command.flags == 0) return bytes;
    if ((command.flags & flag_number) != 0) bytes += 8;
    if ((command.flags & flag_if_revision) != 0) bytes += 8;
    if ((command.flags & flag_if_equal) != 0) bytes += 4 + command.if_equal.size();
    return bytes;
}

/// Appends `command`; the caller has checked the limits.
void encode_command(std::string& out, const Command& command);

/// Decodes the command at the front of `bytes` into `out`, whose views lie inside `bytes`, and
/// returns its length. Errors: `truncated`; `unsupported`, an unknown kind or flag.
Result<std::size_t> decode_command(Bytes bytes, Command& out);

}  // namespace kv
