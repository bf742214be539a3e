#include "proto/http/http_request.h"

#include <algorithm>

namespace kv::http {

namespace {

constexpr std::string_view line_end = "\r\n";

bool is_token(std::string_view text) noexcept {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::ranges::all_of(text, [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               marks.find(c) != marks.npos;
    });
}

bool is_same(std::string_view a, std::string_view lower) noexcept {
    return std::ranges::equal(a, lower, [](char x, char y) {
        return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + ('a' - 'A')) : x) == y;
    });
}

std::string_view trim(std::string_view text) noexcept {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

Parsed refuse(int code, std::string_view why) noexcept {
    return {Parsed::Status::refused, 0, code, why};
}
constexpr Parsed fine;

/// The front of `text` up to `end`, which is taken, too; all of it if there is none.
std::string_view cut(std::string_view& text, std::string_view end) noexcept {
    const std::size_t at = text.find(end);
    const std::string_view front = text.substr(0, at);
    text.remove_prefix(at == text.npos ? text.size() : at + end.size());
    return front;
}

Parsed take_request_line(std::string_view line, bool& old, Request& out) {
    const std::string_view method = cut(line, " ");
    const std::string_view target = cut(line, " ");
    const std::string_view version = line;
    const bool graphic = std::ranges::all_of(target, [](char c) { return c > ' ' && c < '\x7f'; });
    if (!is_token(method) || target.empty() || target.front() != '/' || !graphic)
        return refuse(400, "The first line is not METHOD /path HTTP/1.1.");
    if (version != "HTTP/1.1" && version != "HTTP/1.0")
        return refuse(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
    if (method != "GET" && method != "HEAD")
        return refuse(405, "Only GET and HEAD are answered here.");
    old = version == "HTTP/1.0";
    out.head = method == "HEAD";
    out.keep_alive = !old;
    std::string_view query = target;
    out.path = cut(query, "?");
    out.query = query;
    return fine;
}

void take_connection(std::string_view value, Request& out, bool& close) {
    while (!value.empty()) {
        const std::string_view word = trim(cut(value, ","));
        if (is_same(word, "close")) close = true;
        if (is_same(word, "keep-alive")) out.keep_alive = true;
    }
}

}  // namespace

Parsed parse_request(std::string_view input, Request& out) {
    // Another protocol is told at once, instead of waiting for the end of a head.
    if (!input.empty() && (input.front() < 'A' || input.front() > 'Z'))
        return refuse(400, "This is not HTTP.");
    const std::string_view seen = input.substr(0, head_bytes_max);
    const std::size_t end = seen.find("\r\n\r\n");
    if (end == seen.npos) {
        if (input.size() < head_bytes_max) return {};
        return refuse(431, "The head of a request has 8192 bytes at most.");
    }
    std::string_view head = seen.substr(0, end + line_end.size());
    const bool controls = std::ranges::any_of(head, [](char c) {
        const bool allowed = c == '\t' || c == '\r' || c == '\n';
        return (c >= '\0' && c < ' ' && !allowed) || c == '\x7f';
    });
    if (controls) return refuse(400, "A head has no control characters.");
    out = {};
    bool old = false;
    const Parsed first = take_request_line(cut(head, line_end), old, out);
    if (first.status == Parsed::Status::refused) return first;
    std::size_t hosts = 0;
    bool close = false;
    while (!head.empty()) {
        std::string_view value = cut(head, line_end);
        if (value.find_first_of("\r\n") != value.npos) return refuse(400, "Lines end in CRLF.");
        const bool has_colon = value.find(':') != value.npos;
        const std::string_view name = cut(value, ":");
        value = trim(value);
        if (!has_colon || !is_token(name)) return refuse(400, "A header is not Name: value.");
        if (is_same(name, "host")) ++hosts;
        if (is_same(name, "origin")) out.origin = value;
        if (is_same(name, "connection")) take_connection(value, out, close);
        if (is_same(name, "transfer-encoding") || (is_same(name, "content-length") && value != "0"))
            return refuse(400, "A request has no body here.");
    }
    if (hosts > 1 || (hosts == 0 && !old)) return refuse(400, "There is to be one Host.");
    if (close) out.keep_alive = false;
    return {Parsed::Status::request, end + 4, 0, {}};
}

bool has_parameter(std::string_view query, std::string_view name) noexcept {
    while (!query.empty()) {
        std::string_view one = cut(query, "&");
        if (cut(one, "=") == name) return true;
    }
    return false;
}

bool has_parameter(std::string_view query, std::string_view name, std::string_view value) noexcept {
    while (!query.empty()) {
        std::string_view one = cut(query, "&");
        if (cut(one, "=") == name && one == value) return true;
    }
    return false;
}

}  // namespace kv::http
