#include "bin/kv-cli/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "proto/request_check.h"
#include "proto/resp/resp_codec.h"

namespace kv::cli {

namespace {

using client::Reply;
using client::ReplyKind;

/// Sorted, as the text protocol has them.
std::string keys_line(const Reply& reply) {
    std::vector<std::string_view> sorted;
    for (const Reply& item : reply.items) sorted.push_back(item.text);
    std::ranges::sort(sorted);
    std::string line = "KEYS";
    for (const std::string_view key : sorted) line.append(" ").append(key);
    return line;
}

std::string text_form(const Reply& reply) {
    switch (reply.kind) {
        case ReplyKind::ok: return "OK";
        case ReplyKind::pong: return "PONG";
        case ReplyKind::deleted: return "DELETED";
        case ReplyKind::absent: return "NOT_FOUND";
        case ReplyKind::value: return "VALUE " + reply.text;
        case ReplyKind::integer: return fmt::format("VALUE {}", reply.integer);
        case ReplyKind::status: return reply.text;
        case ReplyKind::error: return "ERROR " + reply.text;
        case ReplyKind::redirect: return "REDIRECT " + reply.text;
        case ReplyKind::keys: return keys_line(reply);
        case ReplyKind::array: break;
    }
    std::string lines;
    for (const Reply& item : reply.items) {
        if (!lines.empty()) lines.push_back('\n');
        lines += text_form(item);
    }
    return lines;
}

std::string raw_form(const Reply& reply) {
    switch (reply.kind) {
        case ReplyKind::ok: return "OK";
        case ReplyKind::pong: return "PONG";
        case ReplyKind::deleted: return "1";
        case ReplyKind::absent: return {};
        case ReplyKind::integer: return fmt::format("{}", reply.integer);
        case ReplyKind::value:
        case ReplyKind::status:
        case ReplyKind::error:
        case ReplyKind::redirect: return reply.text;
        case ReplyKind::keys:
        case ReplyKind::array: break;
    }
    std::string lines;
    for (std::size_t i = 0; i < reply.items.size(); ++i) {
        if (i > 0) lines.push_back('\n');
        lines += raw_form(reply.items[i]);
    }
    return lines;
}

/// `indent`: columns already taken to the left, for the second and later lines of an array.
std::string quoted_form(const Reply& reply, std::size_t indent) {
    switch (reply.kind) {
        case ReplyKind::ok: return "OK";
        case ReplyKind::pong: return "PONG";
        case ReplyKind::deleted: return "(integer) 1";
        case ReplyKind::absent: return "(nil)";
        case ReplyKind::value: return quote(reply.text);
        case ReplyKind::integer: return fmt::format("(integer) {}", reply.integer);
        case ReplyKind::status: return reply.text;
        case ReplyKind::error:
        case ReplyKind::redirect: return "(error) " + reply.text;
        case ReplyKind::keys:
        case ReplyKind::array: break;
    }
    if (reply.items.empty()) return "(empty array)";
    const std::size_t width = fmt::formatted_size("{}", reply.items.size());
    std::string lines;
    for (std::size_t i = 0; i < reply.items.size(); ++i) {
        if (i > 0) lines.append("\n").append(indent, ' ');
        fmt::format_to(std::back_inserter(lines), "{:>{}}) ", i + 1, width);
        lines += quoted_form(reply.items[i], indent + width + 2);
    }
    return lines;
}

}  // namespace

std::string quote(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        switch (c) {
            case '"':
            case '\\':
                out.push_back('\\');
                out.push_back(c);
                break;
            case '\n': out.append("\\n"); break;
            case '\r': out.append("\\r"); break;
            case '\t': out.append("\\t"); break;
            case '\a': out.append("\\a"); break;
            case '\b': out.append("\\b"); break;
            default: {
                const auto byte = static_cast<unsigned char>(c);
                if (byte < 0x20 || byte >= 0x7f) {
                    fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
                } else {
                    out.push_back(c);
                }
            }
        }
    }
    return out + "\"";
}

std::string render(const Reply& reply, Style style) {
    switch (style) {
        case Style::text: return text_form(reply) + "\n";
        case Style::quoted: return quoted_form(reply, 0) + "\n";
        case Style::raw: return raw_form(reply) + "\n";
    }
    return {};
}

bool answers_report(std::string_view line) {
    std::string storage;
    std::vector<std::string_view> words;
    if (!resp::split_inline(line, storage, words) || words.empty()) return false;
    if (equals_ignoring_case(words[0], "info")) return true;
    if (words.size() < 2) return false;
    struct Report {
        std::string_view command, subcommand;
    };
    constexpr std::array reports{Report{"cluster", "info"}, Report{"cluster", "nodes"},
                                 Report{"client", "info"}, Report{"client", "list"}};
    return std::ranges::any_of(reports, [&](const Report& report) {
        return equals_ignoring_case(words[0], report.command) &&
               equals_ignoring_case(words[1], report.subcommand);
    });
}

}  // namespace kv::cli
