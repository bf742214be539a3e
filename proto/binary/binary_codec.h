#pragma once

/// The framed protocol, the server's side. All integers are big-endian. Either direction is frames:
///
///     0  u8   type (requests) or status (replies)
///     1  u32  payload_bytes
///     5  ..   payload
///
/// Requests, and the plain replies to them, strictly in the order of the requests:
///
///     type        payload                            status          payload
///     0x01 SET    u16 n, key, u32 n, value           0x00 OK         -
///     0x02 GET    u16 n, key                         0x01 VALUE      u32 n, value
///     0x03 DEL    u16 n, key                         0x02 NOT_FOUND  -
///     0x04 KEYS   ignored                            0x03 DELETED    -
///     0x05 PING   ignored                            0x04 KEYS       u32 count, (u16 n, key)...
///     0x1F        extended request, below            0x05 PONG       -
///                                                    0x10 ERROR      u16 n, text
///                                                    0x1F            extended reply, below
///                                                    0x20 REDIRECT   u16 n, "host:port"
///
/// A value may be empty. Bytes behind the fields of a plain payload are ignored. A frame that makes
/// no sense is answered with ERROR and the connection goes on behind it; only a payload longer than
/// request_bytes_max is fatal. A payload that is refused or ignored is skipped as it arrives, so a
/// reply may be ahead of the end of its request.
///
/// Extended request, payload. It reaches every verb, and carries what a client needs to match
/// replies and to repeat a write safely:
///
///     0   u8   version, 1. Offsets 0 to 8 stay what they are in every version
///     1   u64  request id, chosen by the client, echoed in the reply
///     9   u64  session, 0: none
///     17  u64  sequence within the session
///     25  u8   opcode: the number of the Verb (proto/command.h)
///     26  u16  argc
///     28  ..   argc arguments, each u32 n, n bytes; nothing behind them
///
/// Extended reply, payload. An unknown version or opcode gets one too, of kind error:
///
///     0   u8   version, 1
///     1   u64  request id, 0 when the request was too short to have one
///     9   u8   outcome: the number of the Outcome (proto/base/errc.h); `applied` but for errors
///              and redirects
///     10  u8   kind, and from 11 on the body, which ends with the frame:
///              0 ok        -
///              1 value     the bytes
///              2 absent    -
///              3 integer   i64
///              4 array     u32 count, count x (u32 n, n bytes); n = 0xFFFFFFFF: absent, no bytes
///              5 error     u16 number of the Errc, then its text
///              6 redirect  u16 slot, then "host:port"

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/codec.h"

namespace kv::binary {

inline constexpr std::size_t frame_header_bytes = 5;
inline constexpr std::size_t frame_payload_bytes_max = std::numeric_limits<std::uint32_t>::max();

enum class Type : std::uint8_t {
    set = 0x01,
    get = 0x02,
    del = 0x03,
    keys = 0x04,
    ping = 0x05,
    extended = 0x1f,
};

enum class ReplyStatus : std::uint8_t {
    ok = 0x00,
    value = 0x01,
    not_found = 0x02,
    deleted = 0x03,
    keys = 0x04,
    pong = 0x05,
    error = 0x10,
    extended = 0x1f,
    redirect = 0x20,
};

/// Kind of an extended reply.
enum class Kind : std::uint8_t {
    ok = 0,
    value = 1,
    absent = 2,
    integer = 3,
    array = 4,
    error = 5,
    redirect = 6,
};

inline constexpr std::uint8_t extended_version = 1;
inline constexpr std::size_t extended_request_bytes_min = 28;
inline constexpr std::size_t extended_reply_bytes_min = 11;
inline constexpr std::uint32_t absent_length = 0xffffffff;

/// See proto/codec.h. One per connection; not to be called again after `fatal`.
class BinaryParser {
public:
    explicit BinaryParser(const RequestLimits& limits) noexcept : limits_(limits) {}
    ParseResult next(std::string_view input, Request& out);

private:
    ParseResult parse_set(std::string_view payload, std::size_t payload_bytes, Request& out);
    ParseResult parse_key_only(std::string_view payload, std::size_t payload_bytes, Verb verb,
                               Request& out);
    ParseResult parse_extended(std::string_view payload, std::size_t payload_bytes, Request& out);
    ParseResult skip_payload(std::string_view payload, std::size_t payload_bytes);

    RequestLimits limits_;
    std::size_t skip_bytes_ = 0;  // the rest of a payload that is answered already
    std::size_t ext_at_ = 0;      // offset in an extended payload behind the lengths checked so far
    std::vector<std::string_view> args_;
};

/// Room for a header of `payload_bytes`, at most frame_payload_bytes_max.
inline void append_frame_header(std::string& out, ReplyStatus status, std::size_t payload_bytes) {
    KV_ASSERT(payload_bytes <= frame_payload_bytes_max);
    char header[frame_header_bytes];
    header[0] = static_cast<char>(status);
    store_be(header + 1, static_cast<std::uint32_t>(payload_bytes));
    out.append(header, sizeof header);
}

// Plain replies.
inline void append_empty(std::string& out, ReplyStatus status) {
    append_frame_header(out, status, 0);
}
inline void append_value(std::string& out, std::string_view value) {
    char header[frame_header_bytes + 4];
    KV_ASSERT(value.size() <= frame_payload_bytes_max - 4);
    header[0] = static_cast<char>(ReplyStatus::value);
    store_be(header + 1, static_cast<std::uint32_t>(value.size() + 4));
    store_be(header + 5, static_cast<std::uint32_t>(value.size()));
    out.append(header, sizeof header);
    out.append(value);
}
/// False, and nothing appended, when the keys do not fit into one frame, or one of them into 65,535
/// bytes.
[[nodiscard]] bool append_keys(std::string& out, std::span<const std::string_view> keys);
/// The text is cut at 65,535 bytes.
void append_error(std::string& out, std::string_view text);
void append_redirect(std::string& out, std::string_view address);

// Extended replies.
inline void append_extended_header(std::string& out, std::uint64_t request_id, Outcome outcome,
                                   Kind kind, std::size_t body_bytes) {
    constexpr std::size_t bytes = frame_header_bytes + extended_reply_bytes_min;
    KV_ASSERT(body_bytes <= frame_payload_bytes_max - extended_reply_bytes_min);
    char header[bytes];
    header[0] = static_cast<char>(ReplyStatus::extended);
    store_be(header + 1, static_cast<std::uint32_t>(extended_reply_bytes_min + body_bytes));
    header[5] = static_cast<char>(extended_version);
    store_be(header + 6, request_id);
    header[14] = static_cast<char>(outcome);
    header[15] = static_cast<char>(kind);
    out.append(header, bytes);
}
inline void append_extended_empty(std::string& out, std::uint64_t request_id, Kind kind) {
    append_extended_header(out, request_id, Outcome::applied, kind, 0);
}
inline void append_extended_value(std::string& out, std::uint64_t request_id,
                                  std::string_view value) {
    append_extended_header(out, request_id, Outcome::applied, Kind::value, value.size());
    out.append(value);
}
void append_extended_integer(std::string& out, std::uint64_t request_id, std::int64_t value);
/// False, and nothing appended, when the items do not fit into one frame.
[[nodiscard]] bool append_extended_array(std::string& out, std::uint64_t request_id,
                                         std::span<const std::string_view> items);
[[nodiscard]] bool append_extended_array(std::string& out, std::uint64_t request_id,
                                         std::span<const std::optional<std::string_view>> items);
void append_extended_error(std::string& out, std::uint64_t request_id, Errc error,
                           std::string_view text);
void append_extended_redirect(std::string& out, std::uint64_t request_id, std::uint16_t slot,
                              std::string_view address);

}  // namespace kv::binary
