#pragma once

/// What a client codec is: a resumable parser that takes requests from the front of a byte stream,
/// and functions that append replies to an output buffer. Pure; one parser per connection.
///
/// A parser class offers
///
///     ParseResult next(std::string_view input, Request& out);
///
/// `input` starts with the first byte that no earlier call consumed. The result does not depend on
/// how the stream was cut: after need_more the caller calls again with the same bytes (perhaps
/// moved to another address) and more behind them. Work already done is not repeated, so a request
/// that comes in many pieces costs time linear in its length. `out.args` is valid until the next
/// call. Lengths are checked against RequestLimits as soon as they are read, before the bytes they
/// announce.

#include <cstddef>
#include <string>
#include <string_view>

#include "proto/command.h"

namespace kv {

enum class ParseStatus : std::uint8_t {
    request,    ///< `out` is a request, perhaps Verb::invalid; `consumed` bytes are done with
    nothing,    ///< `consumed` bytes held no request (an empty line); call again with the rest
    need_more,  ///< nothing consumed; not before `needed` bytes are there can there be a request
    fatal,      ///< the stream cannot be followed any further: send out.error_text, then close
};

struct ParseResult {
    ParseStatus status;
    std::size_t consumed = 0;
    std::size_t needed = 0;
};

}  // namespace kv
