#pragma once

/// The line protocol. A request is one line that ends in LF; one CR before it is dropped. Words are
/// separated by exactly one space; verbs are upper case.
///
///     request                                    reply
///     PING                                       PONG
///     SET <key> <value: the rest of the line>    OK
///     GET <key>                                  VALUE <value>, or NOT_FOUND
///     DEL <key>                                  DELETED, or NOT_FOUND
///     KEYS                                       KEYS <key> <key>..., sorted; KEYS when there is
///     none ADDSERVER <id> <host> <raft_port> <client_port>    OK REMOVESERVER <id> OK anything
///     ERROR <text>, or REDIRECT <host>:<port>
///
/// Every reply is one line that ends in LF. What a line cannot carry - an empty value, a value with
/// LF in it or CR at its end, a key with a space - is an ERROR that says so, never a wrong reply.
/// Even an empty line is answered (`ERROR empty command`): ParseStatus::nothing does not occur.
///
/// A line has at most key_bytes_max + value_bytes_max + 64 bytes. A longer one is fatal: where it
/// ends is unknown, and waiting for it would let one client hold a connection and a buffer for
/// ever. So is a line that starts with `POST ` or `Host:`: a browser made to speak HTTP to this
/// port must not get the lines of its body executed.

#include <array>
#include <string>
#include <string_view>

#include "proto/codec.h"

namespace kv::text {

/// See proto/codec.h. One per connection; not to be called again after `fatal`.
class TextParser {
public:
    explicit TextParser(const RequestLimits& limits) noexcept;
    ParseResult next(std::string_view input, Request& out);

private:
    RequestLimits limits_;
    std::size_t line_bytes_max_;
    std::size_t scanned_ = 0;  // no LF before this offset of the input
    std::array<std::string_view, 4> args_;
};

/// Whether `value` survives the way through a line.
inline bool carries_value(std::string_view value) noexcept {
    return !value.empty() && value.back() != '\r' && value.find('\n') == std::string_view::npos;
}

// Replies, each one line.
inline void append_ok(std::string& out) {
    out.append("OK\n", 3);
}
inline void append_pong(std::string& out) {
    out.append("PONG\n", 5);
}
inline void append_not_found(std::string& out) {
    out.append("NOT_FOUND\n", 10);
}
inline void append_deleted(std::string& out) {
    out.append("DELETED\n", 8);
}
/// `text` without "ERROR "; CR and LF in it become spaces.
void append_error(std::string& out, std::string_view text);
/// The ERROR for a value that carries_value refuses.
void append_value_error(std::string& out, std::string_view value);
inline void append_value(std::string& out, std::string_view value) {
    if (!carries_value(value)) return append_value_error(out, value);
    out.append("VALUE ", 6);
    out.append(value);
    out.push_back('\n');
}
void append_redirect(std::string& out, std::string_view address);
/// Sorted by bytes. A key with a space, CR or LF in it makes the whole reply an ERROR.
void append_keys(std::string& out, std::span<const std::string_view> keys);

}  // namespace kv::text
