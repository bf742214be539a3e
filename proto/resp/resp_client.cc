#include "proto/resp/resp_client.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "proto/resp/resp_codec.h"

namespace kv::resp {

namespace {

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
    std::int64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, failed] = std::from_chars(text.data(), end, value);
    if (failed != std::errc{} || stop != end) return std::nullopt;
    return value;
}

bool is_real(std::string_view text) noexcept {
    double value = 0;
    const char* const end = text.data() + text.size();
    return std::from_chars(text.data(), end, value).ptr == end && !text.empty();
}

bool is_big_number(std::string_view text) noexcept {
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

constexpr std::size_t format_bytes = 4;  // "txt:" in front of a verbatim string
constexpr std::int64_t pairs_max = std::numeric_limits<std::int64_t>::max() / 2 - 1;

NodeKind bulk_kind(char mark) noexcept {
    if (mark == '!') return NodeKind::error;
    return mark == '=' ? NodeKind::verbatim : NodeKind::bulk;
}

NodeKind aggregate_kind(char mark) noexcept {
    switch (mark) {
        case '%': return NodeKind::map;
        case '~': return NodeKind::set;
        case '>': return NodeKind::push;
        case '|': return NodeKind::attribute;
        default: return NodeKind::array;
    }
}

}  // namespace

void encode_command(std::string& out, std::span<const std::string_view> words) {
    append_array_header(out, words.size());
    for (const std::string_view word : words) append_bulk(out, word);
}

DecodeResult ReplyDecoder::next(std::string_view input) {
    if (at_ == 0 && bulk_bytes_ == no_bulk) {
        nodes_.clear();
        texts_.clear();
        open_.clear();
    }
    do {
        const std::size_t open_before = open_.size();
        switch (take_value(input)) {
            case Step::malformed: return {.status = DecodeStatus::malformed};
            case Step::need_more: return {.status = DecodeStatus::need_more, .needed = needed_};
            case Step::value: break;
        }
        if (open_.size() > open_before) continue;  // an array with elements to come
        while (!open_.empty() && --open_.back() == 0) open_.pop_back();
    } while (!open_.empty());
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        nodes_[i].text = input.substr(texts_[i].offset, texts_[i].bytes);
    }
    scanned_ = 0;
    return {.status = DecodeStatus::reply, .consumed = std::exchange(at_, 0)};
}

ReplyDecoder::Step ReplyDecoder::malformed(std::string_view problem) noexcept {
    problem_ = problem;
    return Step::malformed;
}

/// next() points the texts to their bytes once the reply is complete and moves no more.
void ReplyDecoder::add(NodeKind kind, std::size_t offset, std::size_t bytes, std::int64_t integer) {
    nodes_.push_back({kind, {}, integer});
    texts_.push_back({offset, bytes});
}

ReplyDecoder::Step ReplyDecoder::take_line(std::string_view input, std::string_view& line) {
    const std::size_t end = input.find('\n', std::max(at_, scanned_));
    const bool found = end != std::string_view::npos;
    scanned_ = found ? end : input.size();
    if (scanned_ - at_ > reply_line_bytes_max) return malformed("a line is too long");
    if (!found) {
        needed_ = std::max(input.size() + 1, at_ + 3);
        return Step::need_more;
    }
    if (end < at_ + 2 || input[end - 1] != '\r') return malformed("a line does not end in CRLF");
    line = input.substr(at_, end - 1 - at_);
    return Step::value;
}

ReplyDecoder::Step ReplyDecoder::take_value(std::string_view input) {
    if (bulk_bytes_ != no_bulk) return take_bulk(input, {});
    if (nodes_.size() == reply_nodes_max) return malformed("too many values");
    std::string_view line;
    if (const Step step = take_line(input, line); step != Step::value) return step;
    const std::size_t line_end = at_ + line.size() + 2;
    if (line_end > reply_bytes_max_) return malformed("reply is too long");
    switch (line[0]) {
        case '$':
        case '!':
        case '=': return take_bulk(input, line);
        case '*':
        case '%':
        case '~':
        case '>':
        case '|': return take_array(line);
        default: break;
    }
    if (const Step step = take_scalar(line); step != Step::value) return step;
    at_ = line_end;
    return Step::value;
}

/// A value that is one line; at_ is still at its start.
ReplyDecoder::Step ReplyDecoder::take_scalar(std::string_view line) {
    const std::string_view text = line.substr(std::min<std::size_t>(line.size(), 1));
    const auto add_text = [&](NodeKind kind) { add(kind, at_ + 1, text.size(), 0); };
    switch (line[0]) {
        case '+': add_text(NodeKind::simple); break;
        case '-': add_text(NodeKind::error); break;
        case ':': {
            const auto integer = parse_integer(text);
            if (!integer) return malformed("not an integer");
            add(NodeKind::integer, at_, 0, *integer);
            break;
        }
        case '_':
            if (!text.empty()) return malformed("a null is not empty");
            add(NodeKind::nil, at_, 0, 0);
            break;
        case '#':
            if (text != "t" && text != "f") return malformed("not a boolean");
            add(NodeKind::boolean, at_, 0, text == "t" ? 1 : 0);
            break;
        case ',':
            if (!is_real(text)) return malformed("not a double");
            add_text(NodeKind::real);
            break;
        case '(':
            if (!is_big_number(text)) return malformed("not a big number");
            add_text(NodeKind::big_number);
            break;
        default: return malformed("unknown kind of value");
    }
    return Step::value;
}

ReplyDecoder::Step ReplyDecoder::take_bulk(std::string_view input, std::string_view line) {
    if (bulk_bytes_ == no_bulk) {
        const auto bytes = parse_integer(line.substr(1));
        if (!bytes || *bytes < -1) return malformed("invalid bulk length");
        at_ += line.size() + 2;
        if (*bytes == -1) {
            if (line[0] != '$') return malformed("invalid bulk length");
            add(NodeKind::nil, at_, 0, 0);
            return Step::value;
        }
        bulk_kind_ = bulk_kind(line[0]);
        if (bulk_kind_ == NodeKind::verbatim && static_cast<std::size_t>(*bytes) < format_bytes) {
            return malformed("a verbatim string has no format");
        }
        if (static_cast<std::uint64_t>(*bytes) > reply_bytes_max_ - at_) {
            return malformed("reply is too long");
        }
        bulk_bytes_ = static_cast<std::size_t>(*bytes);
    }
    if (input.size() - at_ < bulk_bytes_ + 2) {
        needed_ = at_ + bulk_bytes_ + 2;
        return Step::need_more;
    }
    if (input[at_ + bulk_bytes_] != '\r' || input[at_ + bulk_bytes_ + 1] != '\n') {
        return malformed("a bulk string is not followed by CRLF");
    }
    const std::size_t skipped = bulk_kind_ == NodeKind::verbatim ? format_bytes : 0;
    add(bulk_kind_, at_ + skipped, bulk_bytes_ - skipped, 0);
    at_ += std::exchange(bulk_bytes_, no_bulk) + 2;
    return Step::value;
}

ReplyDecoder::Step ReplyDecoder::take_array(std::string_view line) {
    const auto announced = parse_integer(line.substr(1));
    if (!announced || *announced < -1) return malformed("invalid array length");
    at_ += line.size() + 2;
    const NodeKind kind = aggregate_kind(line[0]);
    if (*announced == -1) {
        if (kind != NodeKind::array) return malformed("invalid array length");
        add(NodeKind::nil, at_, 0, 0);
        return Step::value;
    }
    std::int64_t elements = *announced;
    if (kind == NodeKind::map || kind == NodeKind::attribute) {
        if (elements > pairs_max) return malformed("invalid array length");
        elements = 2 * elements + (kind == NodeKind::attribute ? 1 : 0);
    }
    add(kind, at_, 0, elements);
    if (elements == 0) return Step::value;
    if (open_.size() == reply_depth_max) return malformed("arrays are nested too deeply");
    open_.push_back(elements);
    return Step::value;
}

}  // namespace kv::resp
