#pragma once

/// The replicated form of a command: what the payload of a log entry of kind `commands` holds, back
/// to back. Little-endian, unaligned:
///
///     0  u8   kind        CommandKind
///     1  u8   flags       bit 0: (session, sequence) follow; other bits must be 0
///     2  u16  key_bytes   1..65535; 0 for flush
///     4  u32  value_bytes
///     8  u64  session     only with flag bit 0
///    16  u64  sequence    only with flag bit 0
///     .. key, value

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/base/bytes.h"
#include "proto/base/result.h"

namespace kv {

enum class CommandKind : std::uint8_t {
    put = 1,    ///< key := value
    del = 2,    ///< remove key
    flush = 3,  ///< remove every key of the shard
};

struct Command {
    CommandKind kind = CommandKind::put;
    std::string_view key;
    std::string_view value;
    std::uint64_t session = 0;  ///< 0: none
    std::uint64_t sequence = 0;
};

inline constexpr std::size_t command_header_bytes = 8;
inline constexpr std::size_t command_session_bytes = 16;

inline std::size_t encoded_bytes(const Command& command) noexcept {
    return command_header_bytes + (command.session != 0 ? command_session_bytes : 0) +
           command.key.size() + command.value.size();
}

/// Appends `command`; the caller has checked the limits.
void encode_command(std::string& out, const Command& command);

/// Decodes the command at the front of `bytes` into `out`, whose views lie inside `bytes`, and
/// returns its length. Errors: `truncated`; `unsupported`, an unknown kind or flag.
Result<std::size_t> decode_command(Bytes bytes, Command& out);

}  // namespace kv
