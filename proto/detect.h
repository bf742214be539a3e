#pragma once

/// Which protocol a connection speaks, decided once from its first bytes:
///
///     first byte               family
///     0x00..0x1F               binary, but for CR and LF
///     '*' '+' '-' '$' ':'      RESP
///     anything else, CR, LF    a line. Ended by CRLF: RESP (an inline command); by LF alone: text
///
/// CR and LF cannot be frame types (the highest is 0x1F, but 0x0A and 0x0D are not assigned and
/// never will be): a connection that starts with them is a person or a health check that pressed
/// enter. The empty line then decides like any other, and is left in the stream: RESP skips it,
/// the text protocol answers it with an error.
///
/// LineProtocol replaces the rule for lines, for clients whose lines end the other way. A first
/// line longer than inline_bytes_max is text; that parser knows longer lines, or refuses it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kv {

enum class Family : std::uint8_t { text, binary, resp };

/// Configuration: [client] line_protocol = "auto" / "text" / "resp".
enum class LineProtocol : std::uint8_t { automatic, text, resp };

/// One per connection. Pure.
class Detector {
public:
    Detector(LineProtocol lines, std::size_t inline_bytes_max) noexcept
        : lines_(lines), inline_bytes_max_(inline_bytes_max) {}

    /// `input` is all the connection has sent, of which nothing is consumed. Nothing: more bytes
    /// are needed. Bytes seen by earlier calls are not looked at again.
    std::optional<Family> next(std::string_view input) noexcept;

private:
    LineProtocol lines_;
    std::size_t inline_bytes_max_;
    std::size_t scanned_ = 0;  // no LF before this offset
};

}  // namespace kv
