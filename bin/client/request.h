#pragma once

/// From what a person types, or a program passes as words, to the bytes of one request.

#include <span>
#include <string>
#include <string_view>

#include "bin/client/reply.h"

namespace kv::client {

/// `words` are a command and its arguments, taken as they are: they may hold spaces. Binary: the
/// seed's five commands as plain frames, all others as extended frames tagged `request_id`.
/// Errors: `syntax` and the other Errc of requests, with the sentence to print.
Result<std::string> encode_words(Mode mode, std::span<const std::string_view> words,
                                 std::uint64_t request_id);

/// `line` as typed, without its end. In text mode it is sent as it is and the server judges it. In
/// binary mode it is a text command: upper-case verb, single spaces, the value is the rest of the
/// line. In RESP mode it is split like redis-cli does, quotes included, with one exception: the
/// value of an upper-case SET is the rest of the line when it holds several words, no quotes, and
/// does not continue with an option of SET. KEYS alone asks for all keys.
Result<std::string> encode_line(Mode mode, std::string_view line, std::uint64_t request_id);

}  // namespace kv::client
