#include "proto/text/text_codec.h"

#include <algorithm>
#include <vector>

#include "proto/line.h"
#include "proto/request_check.h"

namespace kv::text {

namespace {

constexpr std::size_t line_slack_bytes = 64;  // verb, spaces, line end
constexpr std::size_t echo_bytes_max = 128;   // of a client's own bytes in an error

/// Splits at the first space; without one everything is head.
struct Split {
    explicit Split(std::string_view text) noexcept {
        const std::size_t space = text.find(' ');
        head = text.substr(0, space);
        if (space != std::string_view::npos) rest = text.substr(space + 1);
    }
    std::string_view head;
    std::string_view rest;
};

bool is_http(std::string_view line) noexcept {
    return equals_ignoring_case(line.substr(0, 5), "post ") ||
           equals_ignoring_case(line.substr(0, 5), "host:");
}

/// What a verb with one argument says about too few and too many.
struct OneArgument {
    Verb verb;
    std::string_view none;
    std::string_view several;
};

/// Fills out.args from `rest`, in `args`, or refuses.
void take_one(Request& out, std::string_view rest, std::array<std::string_view, 4>& args,
              const OneArgument& expected) {
    if (rest.empty()) return refuse(out, Errc::wrong_arity, expected.none);
    const Split split(rest);
    if (!split.rest.empty()) return refuse(out, Errc::wrong_arity, expected.several);
    args[0] = split.head;
    out.verb = expected.verb;
    out.args = {args.data(), 1};
}

void take_set(Request& out, std::string_view rest, std::array<std::string_view, 4>& args) {
    if (rest.empty()) return refuse(out, Errc::wrong_arity, "SET requires a key and a value");
    const Split split(rest);
    if (split.head.empty()) {
        return refuse(out, Errc::key_size, "SET: key must not be empty after tokenisation");
    }
    if (split.rest.empty()) return refuse(out, Errc::wrong_arity, "SET requires a value");
    args[0] = split.head;
    args[1] = split.rest;
    out.verb = Verb::set;
    out.args = {args.data(), 2};
}

void take_add_server(Request& out, std::string_view rest, std::array<std::string_view, 4>& args) {
    for (std::string_view& arg : args) {
        if (rest.empty()) {
            return refuse(out, Errc::wrong_arity,
                          "ADDSERVER requires: id host raft_port client_port");
        }
        const Split split(rest);
        arg = split.head;
        rest = split.rest;
    }
    if (!rest.empty()) return refuse(out, Errc::wrong_arity, "ADDSERVER takes exactly 4 arguments");
    out.verb = Verb::add_server;
    out.args = args;
}

void take_none(Request& out, std::string_view rest, Verb verb, std::string_view complaint) {
    if (!rest.empty()) return refuse(out, Errc::wrong_arity, complaint);
    out.verb = verb;
    out.args = {};
}

void refuse_unknown(Request& out, std::string_view verb) {
    std::string text = "unknown command: ";
    text.append(verb.substr(0, echo_bytes_max));
    refuse(out, Errc::unknown_command, text);
}

void parse_line(std::string_view line, Request& out, std::array<std::string_view, 4>& args) {
    if (line.empty()) return refuse(out, Errc::syntax, "empty command");
    const Split split(line);
    if (split.head == "GET") {
        return take_one(out, split.rest, args,
                        {Verb::get, "GET requires a key", "GET takes exactly one argument"});
    }
    if (split.head == "SET") return take_set(out, split.rest, args);
    if (split.head == "DEL") {
        return take_one(out, split.rest, args,
                        {Verb::del, "DEL requires a key", "DEL takes exactly one argument"});
    }
    if (split.head == "PING") {
        return take_none(out, split.rest, Verb::ping, "PING takes no arguments");
    }
    if (split.head == "KEYS") {
        return take_none(out, split.rest, Verb::keys, "KEYS takes no arguments");
    }
    if (split.head == "ADDSERVER") return take_add_server(out, split.rest, args);
    if (split.head == "REMOVESERVER") {
        return take_one(out, split.rest, args,
                        {Verb::remove_server, "REMOVESERVER requires a node id",
                         "REMOVESERVER takes exactly one argument"});
    }
    refuse_unknown(out, split.head);
}

}  // namespace

TextParser::TextParser(const RequestLimits& limits) noexcept
    : limits_(limits),
      line_bytes_max_(limits.key_bytes_max + limits.value_bytes_max + line_slack_bytes) {}

ParseResult TextParser::next(std::string_view input, Request& out) {
    out.protocol = Protocol::text;
    out.request_id = out.session = out.sequence = 0;
    out.error_text.clear();
    const std::size_t end = input.find('\n', scanned_);
    const std::size_t line_bytes = end == std::string_view::npos ? input.size() : end;
    if (line_bytes > line_bytes_max_) {
        refuse(out, Errc::too_large, "line is too long");
        return {.status = ParseStatus::fatal};
    }
    if (end == std::string_view::npos) {
        scanned_ = input.size();
        return {.status = ParseStatus::need_more, .needed = input.size() + 1};
    }
    scanned_ = 0;
    std::string_view line = input.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    parse_line(line, out, args_);
    if (out.verb != Verb::invalid) {
        check_request(out, limits_);
    } else if (is_http(line)) {
        refuse(out, Errc::syntax, "HTTP is not served here");
        return {.status = ParseStatus::fatal};
    }
    return {.status = ParseStatus::request, .consumed = end + 1};
}

void append_error(std::string& out, std::string_view text) {
    constexpr std::string_view prefix = "ERROR ";
    if (!text.starts_with(prefix)) out.append(prefix);
    append_one_line(out, text);
    out.push_back('\n');
}

void append_value_error(std::string& out, std::string_view value) {
    append_error(out, value.empty()
                          ? "the value is empty, which the text protocol cannot carry: use the "
                            "binary protocol or RESP"
                          : "the value holds a line end, which the text protocol cannot carry: use "
                            "the binary protocol or RESP");
}

void append_redirect(std::string& out, std::string_view address) {
    out.append("REDIRECT ");
    append_one_line(out, address);
    out.push_back('\n');
}

void append_keys(std::string& out, std::span<const std::string_view> keys) {
    std::size_t bytes = 5;
    for (const std::string_view key : keys) {
        if (key.find_first_of(" \r\n") != std::string_view::npos) {
            return append_error(out,
                                "a key holds a space or a line end, which the text protocol cannot "
                                "carry: use the binary protocol or RESP");
        }
        bytes += key.size() + 1;
    }
    std::vector<std::string_view> sorted(keys.begin(), keys.end());
    std::ranges::sort(sorted);
    out.reserve(out.size() + bytes);
    out.append("KEYS");
    for (const std::string_view key : sorted) {
        out.push_back(' ');
        out.append(key);
    }
    out.push_back('\n');
}

}  // namespace kv::text
