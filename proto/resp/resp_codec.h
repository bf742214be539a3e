#pragma once

/// RESP2, the server's side: what Redis clients speak.
///
/// A request is an array of bulk strings, or an inline command, a line of words:
///
///     *<words>\r\n  then per word  $<bytes>\r\n <the bytes> \r\n
///     word word "quoted \x41\n" 'quoted \''\r\n          (the \r may be missing)
///
/// Lengths are decimals without sign, leading zero or space. Empty lines and arrays of no words
/// (`*0`, `*-1`) are skipped. Verbs are case-insensitive; proto/resp/resp_commands.h has them.
///
/// Bounds, and what is said about more. Fatal: afterwards nobody knows where a request starts.
///
///     inline line, length line    inline_bytes_max          fatal, "Protocol error: too big ..."
///     words of an array           args_max                  fatal, "... invalid multibulk length"
///     bytes of a word             request_bytes_max         fatal, "... invalid bulk length"
///     bytes of a request          request_bytes_max         fatal, "... request is too long"
///     bytes of a value            value_bytes_max           an error; its bytes are skipped as
///     they
///                                                           arrive and the connection goes on
///
/// Stricter than Redis in one point: a word that is not followed by CR LF is fatal, because the
/// lengths of client and server then disagree. POST and Host: are fatal like there: a browser made
/// to speak HTTP to this port must not get the lines of its body executed.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/errc.h"
#include "proto/codec.h"
#include "proto/line.h"

namespace kv::resp {

/// See proto/codec.h. One per connection; not to be called again after `fatal`.
class RespParser {
public:
    explicit RespParser(const RequestLimits& limits);
    ParseResult next(std::string_view input, Request& out);

private:
    /// A word by offset: between two calls the input may move.
    struct Slice {
        std::size_t offset;
        std::size_t bytes;
    };
    enum class Line : std::uint8_t { number, need_more, bad, too_long };

    Line read_number(std::string_view input, std::size_t at, std::int64_t& number,
                     std::size_t& end) noexcept;
    Line read_number_slowly(std::string_view input, std::size_t at, std::int64_t& number,
                            std::size_t& end) noexcept;
    std::size_t take_hot(std::string_view input, Request& out) noexcept;
    ParseResult start_array(std::string_view input, Request& out);
    ParseResult continue_array(std::string_view input, Request& out);
    /// Reads `$<bytes>\r\n` at `at`; true when bulk_bytes_ and `end` are set, else `result` is.
    bool read_bulk_header(std::string_view input, std::size_t at, std::size_t& end,
                          ParseResult& result, Request& out);
    ParseResult finish_array(std::string_view input, Request& out);
    ParseResult start_discarding(Request& out);
    ParseResult discard(std::string_view input, Request& out);
    ParseResult parse_inline(std::string_view input, Request& out);
    ParseResult resolve(std::size_t consumed, Request& out);
    ParseResult need(std::size_t bytes) const noexcept;

    static constexpr std::size_t no_bulk = SIZE_MAX;

    RequestLimits limits_;
    std::size_t word_bytes_max_;        // of a word that may be kept
    std::size_t at_ = 0;                // bytes of the request that are parsed
    std::size_t scanned_ = 0;           // no line end before this offset
    std::size_t words_left_ = 0;        // of the array; 0: between requests
    std::size_t bulk_bytes_ = no_bulk;  // of the word whose header is parsed
    bool discarding_ = false;           // the array is answered, its rest is skipped
    std::size_t skip_bytes_ = 0;        // discarding: of the current word and its line end
    std::size_t discarded_bytes_ = 0;   // of the array, in calls before this one
    std::vector<Slice> slices_;         // words of the array so far
    std::array<std::string_view, 2> hot_args_;
    std::vector<std::string_view> words_;  // what Request::args views otherwise
    std::string inline_words_;             // unquoted
};

/// Splits an inline line into `words`, which view `storage`. False: unbalanced quotes.
bool split_inline(std::string_view line, std::string& storage,
                  std::vector<std::string_view>& words);

// Replies.

inline void append_simple(std::string& out, std::string_view text) {
    out.push_back('+');
    append_one_line(out, text);
    out.append("\r\n", 2);
}
inline void append_ok(std::string& out) {
    out.append("+OK\r\n", 5);
}
inline void append_nil(std::string& out) {
    out.append("$-1\r\n", 5);
}
/// RESP3's.
inline void append_null(std::string& out) {
    out.append("_\r\n", 3);
}
/// `<kind><number>\r\n`
template <std::integral Integer>
void append_number(std::string& out, char kind, Integer number) {
    char line[24];
    line[0] = kind;
    char* const end = std::to_chars(line + 1, line + 21, number).ptr;
    end[0] = '\r';
    end[1] = '\n';
    out.append(line, static_cast<std::size_t>(end + 2 - line));
}
inline void append_bulk(std::string& out, std::string_view bytes) {
    append_number(out, '$', bytes.size());
    out.append(bytes);
    out.append("\r\n", 2);
}
inline void append_integer(std::string& out, std::int64_t number) {
    append_number(out, ':', number);
}
/// The elements follow.
inline void append_array_header(std::string& out, std::size_t elements) {
    append_number(out, '*', elements);
}

/// First word of the error line, which clients act on: TIMEOUT, CLUSTERDOWN, MISCONF, BUSY, ERR.
std::string_view error_prefix(Errc error) noexcept;
/// `text` without the prefix (with it, it is not doubled); CR and LF in it become spaces.
void append_error(std::string& out, Errc error, std::string_view text);
/// `-MOVED <slot> <host>:<port>`
void append_moved(std::string& out, std::uint16_t slot, std::string_view address);

}  // namespace kv::resp
