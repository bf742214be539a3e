#pragma once

/// The framed protocol, the client's side; the formats are in proto/binary/binary_codec.h.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/result.h"
#include "proto/binary/binary_codec.h"
#include "proto/decode.h"

namespace kv::binary {

/// Appends a plain request: ping, set, get, del of one key, keys.
/// Errors: `unsupported`, the verb needs the extended frame; `wrong_arity`; `key_size`, the key is
/// empty or beyond 65,535 bytes; `value_size`, the payload is beyond 4 GiB. Nothing is appended.
Status encode_request(std::string& out, Verb verb, std::span<const std::string_view> args);

/// What an extended request carries beside verb and arguments.
struct RequestTags {
    std::uint64_t request_id = 0;
    std::uint64_t session = 0;
    std::uint64_t sequence = 0;
};

/// Appends an extended request. Only what the frame cannot hold is an error here (`too_large`: more
/// than 65,535 arguments or 4 GiB); the server judges the rest.
Status encode_extended(std::string& out, Verb verb, std::span<const std::string_view> args,
                       const RequestTags& tags);

/// A reply; plain ones are brought into the terms of the extended form. Views the bytes it was
/// decoded from. Reused from reply to reply, it keeps the room of `items`.
struct Reply {
    ReplyStatus status = ReplyStatus::ok;
    Kind kind = Kind::ok;
    std::uint64_t request_id = 0;        ///< extended only
    Outcome outcome = Outcome::applied;  ///< of a plain error: known by its text
    std::optional<Errc> error;           ///< extended errors, when this build knows the number
    std::int64_t integer = 0;            ///< Kind::integer
    std::uint16_t slot = 0;              ///< Kind::redirect, extended only
    std::string_view text;               ///< value, error text, or redirect address
    std::vector<std::optional<std::string_view>> items;  ///< Kind::array
    std::string problem;                                 ///< malformed: what is wrong
};

/// Decodes the reply at the front of `input`. Costs nothing per call until the frame is complete,
/// so it may be called as often as bytes arrive. Malformed: an unknown status, a payload that is
/// too short for what it announces, or one longer than `payload_bytes_max`.
DecodeResult decode_reply(std::string_view input, Reply& out,
                          std::size_t payload_bytes_max = reply_bytes_max_default);

}  // namespace kv::binary
