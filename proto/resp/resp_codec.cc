#include "proto/resp/resp_codec.h"

#include <algorithm>
#include <utility>

#include "proto/base/assert.h"
#include "proto/request_check.h"
#include "proto/resp/resp_commands.h"

namespace kv::resp {

namespace {

constexpr std::size_t words_kept_max = 4096;  // capacity that survives a request
constexpr std::size_t inline_kept_bytes_max = 4096;
constexpr std::size_t fast_digits_max = 12;

ParseResult fatal(Request& out, std::string_view text) {
    refuse(out, Errc::syntax, text);
    return {.status = ParseStatus::fatal};
}

/// The decimals Redis takes: "0", or an optional minus and digits without a leading zero.
bool parse_strictly(std::string_view text, std::int64_t& number) noexcept {
    const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
    if (digits.starts_with('0') && text != "0") return false;
    const char* const end = text.data() + text.size();
    const auto [stop, failed] = std::from_chars(text.data(), end, number);
    return failed == std::errc{} && stop == end;
}

}  // namespace

RespParser::RespParser(const RequestLimits& limits)
    : limits_(limits), word_bytes_max_(std::max(limits.key_bytes_max, limits.value_bytes_max)) {
    KV_ASSERT(limits.inline_bytes_max > fast_digits_max);
}

ParseResult RespParser::need(std::size_t bytes) const noexcept {
    return {.status = ParseStatus::need_more, .needed = bytes};
}

ParseResult RespParser::next(std::string_view input, Request& out) {
    out.protocol = Protocol::resp;
    out.request_id = out.session = out.sequence = 0;
    out.error_text.clear();
    if (discarding_) return discard(input, out);
    if (words_left_ > 0) return continue_array(input, out);
    if (input.empty()) return need(1);
    if (input[0] != '*') return parse_inline(input, out);
    const std::size_t taken = take_hot(input, out);
    if (taken != 0) return {.status = ParseStatus::request, .consumed = taken};
    return start_array(input, out);
}

/// GET, SET and DEL of one key that are there whole and within the limits: what hot clients send,
/// in one pass and with no state. Returns its length; 0: something else, and nothing was done.
std::size_t RespParser::take_hot(std::string_view input, Request& out) noexcept {
    const char* at = input.data();
    const char* const end = at + input.size();
    // The shortest is *2 $3 GET $1 k, each behind with CR LF.
    if (input.size() < 20 || at[2] != '\r' || at[3] != '\n') return 0;
    const std::size_t words = static_cast<unsigned char>(at[1]) - std::size_t{'0'};
    if (words != 2 && words != 3) return 0;
    at += 4;
    std::array<std::string_view, 3> word;
    for (std::size_t i = 0; i < words; ++i) {
        if (end - at < 4 || *at != '$') return 0;
        const char* const first = ++at;
        std::size_t length = 0;
        for (; at != end && at - first < 7; ++at) {
            const unsigned digit = static_cast<unsigned char>(*at) - unsigned{'0'};
            if (digit > 9) break;
            length = length * 10 + digit;
        }
        const bool leading_zero = *first == '0' && at - first > 1;
        const auto left = static_cast<std::size_t>(end - at);
        if (at == first || leading_zero || left < length + 4 || at[0] != '\r' || at[1] != '\n') {
            return 0;
        }
        word[i] = {at + 2, length};
        at += 2 + length;
        if (at[0] != '\r' || at[1] != '\n') return 0;
        at += 2;
    }
    if (word[0].size() != 3) return 0;
    const auto letter = [&](std::size_t i) { return static_cast<char>(word[0][i] | 0x20); };
    const bool get = letter(0) == 'g' && letter(1) == 'e' && letter(2) == 't' && words == 2;
    const bool set = letter(0) == 's' && letter(1) == 'e' && letter(2) == 't' && words == 3;
    const bool del = letter(0) == 'd' && letter(1) == 'e' && letter(2) == 'l' && words == 2;
    const auto bytes = static_cast<std::size_t>(at - input.data());
    if (!get && !set && !del) return 0;
    if (word[1].empty() || word[1].size() > limits_.key_bytes_max ||
        word[2].size() > limits_.value_bytes_max || bytes > limits_.request_bytes_max) {
        return 0;
    }
    out.verb = get ? Verb::get : set ? Verb::set : Verb::del;
    hot_args_ = {word[1], word[2]};
    out.args = std::span(hot_args_).first(words - 1);
    return bytes;
}

/// The decimal of a length line, which starts at `at` behind its kind; `end` is behind the line.
RespParser::Line RespParser::read_number(std::string_view input, std::size_t at,
                                         std::int64_t& number, std::size_t& end) noexcept {
    const char* const first = input.data() + at;
    const char* const stop = first + std::min(input.size() - at, fast_digits_max);
    const char* next = first;
    std::int64_t value = 0;
    for (; next != stop; ++next) {
        const unsigned digit = static_cast<unsigned char>(*next) - unsigned{'0'};
        if (digit > 9) break;
        value = value * 10 + digit;
    }
    const bool ends_here = next != first && stop - next >= 2 && next[0] == '\r' && next[1] == '\n';
    const bool leading_zero = *first == '0' && next - first > 1;
    if (!ends_here || leading_zero) return read_number_slowly(input, at, number, end);
    number = value;
    end = at + static_cast<std::size_t>(next - first) + 2;
    return Line::number;
}

RespParser::Line RespParser::read_number_slowly(std::string_view input, std::size_t at,
                                                std::int64_t& number, std::size_t& end) noexcept {
    const std::size_t carriage_return = input.find('\r', std::max(at, scanned_));
    const bool found = carriage_return != std::string_view::npos;
    scanned_ = found ? carriage_return : input.size();
    if (scanned_ - at > limits_.inline_bytes_max) return Line::too_long;
    if (!found || carriage_return + 1 == input.size()) return Line::need_more;
    if (input[carriage_return + 1] != '\n') return Line::bad;
    end = carriage_return + 2;
    const std::string_view text = input.substr(at, carriage_return - at);
    return parse_strictly(text, number) ? Line::number : Line::bad;
}

ParseResult RespParser::start_array(std::string_view input, Request& out) {
    if (input.size() < 3) return need(3);
    std::int64_t words = 0;
    switch (read_number(input, 1, words, at_)) {
        case Line::need_more: return need(input.size() + 1);
        case Line::bad: return fatal(out, "Protocol error: invalid multibulk length");
        case Line::too_long: return fatal(out, "Protocol error: too big mbulk count string");
        case Line::number: break;
    }
    scanned_ = 0;
    if (words > 0 && static_cast<std::size_t>(words) > limits_.args_max) {
        return fatal(out, "Protocol error: invalid multibulk length");
    }
    if (words <= 0) {
        return {.status = ParseStatus::nothing, .consumed = std::exchange(at_, 0)};
    }
    words_left_ = static_cast<std::size_t>(words);
    bulk_bytes_ = no_bulk;
    discarded_bytes_ = 0;
    slices_.clear();  // grows with what arrives, never by what is announced
    if (slices_.capacity() > words_kept_max) {
        slices_.shrink_to_fit();
        words_.clear();
        words_.shrink_to_fit();
    }
    return continue_array(input, out);
}

bool RespParser::read_bulk_header(std::string_view input, std::size_t at, std::size_t& end,
                                  ParseResult& result, Request& out) {
    if (at >= input.size()) {
        result = need(at + 1);  // which must be a dollar
        return false;
    }
    if (input[at] != '$') {
        std::string text = "Protocol error: expected '$', got '";
        text.push_back(input[at]);
        text.push_back('\'');
        result = fatal(out, text);
        return false;
    }
    if (input.size() - at < 2) {
        result = need(at + 3);  // at least $ CR LF
        return false;
    }
    std::int64_t bytes = 0;
    const Line line = read_number(input, at + 1, bytes, end);
    if (line == Line::need_more) {
        result = need(input.size() + 1);
        return false;
    }
    if (line == Line::too_long) {
        result = fatal(out, "Protocol error: too big bulk count string");
        return false;
    }
    const bool fits = line == Line::number && bytes >= 0 &&
                      static_cast<std::uint64_t>(bytes) <= limits_.request_bytes_max;
    if (!fits) {
        result = fatal(out, "Protocol error: invalid bulk length");
        return false;
    }
    scanned_ = 0;
    bulk_bytes_ = static_cast<std::size_t>(bytes);
    if (discarded_bytes_ + end + bulk_bytes_ > limits_.request_bytes_max) {
        result = fatal(out, "Protocol error: request is too long");
        return false;
    }
    return true;
}

ParseResult RespParser::continue_array(std::string_view input, Request& out) {
    while (words_left_ > 0) {
        if (bulk_bytes_ == no_bulk) {
            ParseResult result{};
            std::size_t end = 0;
            if (!read_bulk_header(input, at_, end, result, out)) return result;
            at_ = end;
            if (bulk_bytes_ > word_bytes_max_) return start_discarding(out);
        }
        if (input.size() - at_ < bulk_bytes_ + 2) return need(at_ + bulk_bytes_ + 2);
        const char* const line_end = input.data() + at_ + bulk_bytes_;
        if (line_end[0] != '\r' || line_end[1] != '\n') {
            return fatal(out, "Protocol error: expected CRLF behind a bulk string");
        }
        slices_.push_back({at_, bulk_bytes_});
        at_ += bulk_bytes_ + 2;
        bulk_bytes_ = no_bulk;
        --words_left_;
    }
    return finish_array(input, out);
}

ParseResult RespParser::finish_array(std::string_view input, Request& out) {
    words_.resize(slices_.size());
    for (std::size_t i = 0; i < slices_.size(); ++i) {
        words_[i] = {input.data() + slices_[i].offset, slices_[i].bytes};
    }
    return resolve(std::exchange(at_, 0), out);
}

ParseResult RespParser::resolve(std::size_t consumed, Request& out) {
    if (!resolve_command(words_, limits_, out)) return {.status = ParseStatus::fatal};
    return {.status = ParseStatus::request, .consumed = consumed};
}

/// Answers the array now, at the header of a word that is too long; the rest is only counted.
ParseResult RespParser::start_discarding(Request& out) {
    discarding_ = true;
    skip_bytes_ = bulk_bytes_ + 2;
    bulk_bytes_ = no_bulk;
    --words_left_;
    refuse(out, Errc::value_size, sentence(Errc::value_size));
    discarded_bytes_ = at_;
    return {.status = ParseStatus::request, .consumed = std::exchange(at_, 0)};
}

ParseResult RespParser::discard(std::string_view input, Request& out) {
    std::size_t at = 0;
    while (true) {
        const std::size_t skipped = std::min(skip_bytes_, input.size() - at);
        skip_bytes_ -= skipped;
        at += skipped;
        if (skip_bytes_ > 0 || words_left_ == 0) break;
        ParseResult result{};
        std::size_t end = 0;
        if (!read_bulk_header(input, at, end, result, out)) {
            if (result.status == ParseStatus::fatal || at == 0) return result;
            break;  // hand back what is skipped before asking for more
        }
        at = end;
        skip_bytes_ = bulk_bytes_ + 2;
        --words_left_;
    }
    bulk_bytes_ = no_bulk;
    scanned_ = 0;
    discarded_bytes_ += at;
    discarding_ = skip_bytes_ > 0 || words_left_ > 0;
    if (at == 0 && discarding_) return need(1);
    return {.status = ParseStatus::nothing, .consumed = at};
}

ParseResult RespParser::parse_inline(std::string_view input, Request& out) {
    const std::size_t end = input.find('\n', scanned_);
    const std::size_t line_bytes = end == std::string_view::npos ? input.size() : end;
    if (line_bytes > limits_.inline_bytes_max) {
        return fatal(out, "Protocol error: too big inline request");
    }
    if (end == std::string_view::npos) {
        scanned_ = input.size();
        return need(input.size() + 1);
    }
    scanned_ = 0;
    std::string_view line = input.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (inline_words_.capacity() > inline_kept_bytes_max) std::string().swap(inline_words_);
    if (!split_inline(line, inline_words_, words_)) {
        return fatal(out, "Protocol error: unbalanced quotes in request");
    }
    if (words_.empty()) return {.status = ParseStatus::nothing, .consumed = end + 1};
    return resolve(end + 1, out);
}

namespace {

bool is_space(char c) noexcept {
    return c == ' ' || (c >= '\t' && c <= '\r');
}
int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}
char unescape(char c) noexcept {
    switch (c) {
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        case 'b': return '\b';
        case 'a': return '\a';
        default: return c;
    }
}

/// Appends what a quote at line[at] encloses and moves `at` behind its end. False: no end, or one
/// that is not followed by a space.
bool take_quoted(std::string_view line, std::size_t& at, std::string& out) {
    const char quote = line[at++];
    while (at < line.size() && line[at] != quote) {
        const bool escaped = line[at] == '\\' && at + 1 < line.size();
        if (quote == '\'' && escaped && line[at + 1] == '\'') {
            out.push_back('\'');
            at += 2;
        } else if (quote == '"' && escaped && line[at + 1] == 'x' && at + 3 < line.size() &&
                   hex_digit(line[at + 2]) >= 0 && hex_digit(line[at + 3]) >= 0) {
            out.push_back(
                static_cast<char>(hex_digit(line[at + 2]) * 16 + hex_digit(line[at + 3])));
            at += 4;
        } else if (quote == '"' && escaped) {
            out.push_back(unescape(line[at + 1]));
            at += 2;
        } else {
            out.push_back(line[at++]);
        }
    }
    if (at == line.size()) return false;
    ++at;
    return at == line.size() || is_space(line[at]);
}

}  // namespace

bool split_inline(std::string_view line, std::string& storage,
                  std::vector<std::string_view>& words) {
    words.clear();
    storage.clear();
    storage.reserve(line.size());  // unquoting never lengthens, so the views stay valid
    std::size_t at = 0;
    while (true) {
        while (at < line.size() && is_space(line[at])) ++at;
        if (at == line.size()) return true;
        const std::size_t start = storage.size();
        bool quoted = false;  // a closing quote ends the word
        while (!quoted && at < line.size()) {
            const char c = line[at];
            if (c == ' ' || c == '\t' || c == '\r' || c == '\n') break;
            quoted = c == '"' || c == '\'';
            if (!quoted) {
                storage.push_back(c);
                ++at;
            } else if (!take_quoted(line, at, storage)) {
                return false;
            }
        }
        words.push_back(std::string_view(storage).substr(start));
    }
}

std::string_view error_prefix(Errc error) noexcept {
    if (error == Errc::commit_timeout) return "TIMEOUT ";
    if (error == Errc::no_leader || error == Errc::not_leader) return "CLUSTERDOWN ";
    if (error == Errc::cross_slot) return "CROSSSLOT ";
    if (error == Errc::read_only) return "MISCONF ";
    if (error == Errc::busy || error == Errc::log_full) return "BUSY ";
    if (error == Errc::out_of_memory) return "OOM ";
    if (error == Errc::loading) return "LOADING ";
    if (error == Errc::no_protocol) return "NOPROTO ";
    return "ERR ";
}

void append_error(std::string& out, Errc error, std::string_view text) {
    const std::string_view prefix = error_prefix(error);
    out.push_back('-');
    if (!text.starts_with(prefix)) out.append(prefix);
    append_one_line(out, text);
    out.append("\r\n", 2);
}

void append_moved(std::string& out, std::uint16_t slot, std::string_view address) {
    out.append("-MOVED ");
    append_decimal(out, slot);
    out.push_back(' ');
    append_one_line(out, address);
    out.append("\r\n", 2);
}

}  // namespace kv::resp
