#pragma once

/// Replies as a person reads them.

#include <string>
#include <string_view>

#include "bin/client/reply.h"

namespace kv::cli {

/// How replies are printed.
enum class Style : std::uint8_t {
    text,    ///< the words of the text protocol: "VALUE x", "NOT_FOUND"
    quoted,  ///< like redis-cli on a terminal: "x", (nil), (integer) 1, numbered arrays
    raw,     ///< like redis-cli into a pipe: the bytes alone, one element a line
    json,    ///< one JSON value a line (json.h)
};

/// The lines of `reply`, each ended.
std::string render(const client::Reply& reply, Style style);

/// Commands whose answer is a report of many lines: it is printed raw on a terminal too.
bool answers_report(std::string_view line);

/// `text` in double quotes, with escapes for what a terminal would not show.
std::string quote(std::string_view text);

}  // namespace kv::cli
