#include "bin/kv-cli/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "bin/kv-cli/json.h"
#include "proto/base/assert.h"
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

std::string raw_form(const Reply& reply);

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
        // What the text protocol has no words for.
        case ReplyKind::boolean:
        case ReplyKind::real:
        case ReplyKind::big_number:
        case ReplyKind::verbatim: return "VALUE " + raw_form(reply);
        case ReplyKind::attribute: return text_form(reply.items.back());
        case ReplyKind::array:
        case ReplyKind::map:
        case ReplyKind::set:
        case ReplyKind::push: break;
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
        case ReplyKind::boolean: return reply.integer != 0 ? "(true)" : "(false)";
        case ReplyKind::value:
        case ReplyKind::status:
        case ReplyKind::error:
        case ReplyKind::redirect:
        case ReplyKind::real:
        case ReplyKind::big_number:
        case ReplyKind::verbatim: return reply.text;
        case ReplyKind::attribute: return raw_form(reply.items.back());
        case ReplyKind::keys:
        case ReplyKind::array:
        case ReplyKind::map:
        case ReplyKind::set:
        case ReplyKind::push: break;
    }
    const bool map = reply.kind == ReplyKind::map;
    std::string lines;
    for (std::size_t i = 0; i < reply.items.size(); ++i) {
        if (i > 0) lines.push_back(map && i % 2 == 1 ? ' ' : '\n');
        lines += raw_form(reply.items[i]);
    }
    return lines;
}

/// `indent`: columns already taken to the left, for the second and later lines.
std::string quoted_form(const Reply& reply, std::size_t indent);

/// How the elements of an aggregate are numbered, and what stands for none of them.
struct Listing {
    char mark;
    const char* empty;
};

/// A numbered line for each element, or for each pair of a map: "1# key => value".
std::string quoted_list(const Reply& reply, Listing listing, std::size_t indent) {
    if (reply.items.empty()) return listing.empty;
    const std::size_t step = reply.kind == ReplyKind::map ? 2 : 1;
    const std::size_t width = fmt::formatted_size("{}", reply.items.size());
    const std::size_t inner = indent + width + 2;
    std::string lines;
    for (std::size_t i = 0; i < reply.items.size(); i += step) {
        if (i > 0) lines.append("\n").append(indent, ' ');
        fmt::format_to(std::back_inserter(lines), "{:>{}}{} ", i / step + 1, width, listing.mark);
        lines += quoted_form(reply.items[i], inner);
        if (step == 2) lines.append(" => ").append(quoted_form(reply.items[i + 1], inner));
    }
    return lines;
}

/// The attributes as a map, then the value they are about.
std::string quoted_attribute(const Reply& reply, std::size_t indent) {
    Reply attributes;
    attributes.kind = ReplyKind::map;
    attributes.items.assign(reply.items.begin(), reply.items.end() - 1);
    return quoted_list(attributes, {'|', "(no attributes)"}, indent) + "\n" +
           std::string(indent, ' ') + quoted_form(reply.items.back(), indent);
}

std::string quoted_form(const Reply& reply, std::size_t indent) {
    switch (reply.kind) {
        case ReplyKind::ok: return "OK";
        case ReplyKind::pong: return "PONG";
        case ReplyKind::deleted: return "(integer) 1";
        case ReplyKind::absent: return "(nil)";
        case ReplyKind::value: return quote(reply.text);
        case ReplyKind::integer: return fmt::format("(integer) {}", reply.integer);
        case ReplyKind::boolean: return reply.integer != 0 ? "(true)" : "(false)";
        case ReplyKind::real: return "(double) " + reply.text;
        case ReplyKind::big_number: return "(big number) " + reply.text;
        case ReplyKind::verbatim:
        case ReplyKind::status: return reply.text;
        case ReplyKind::error:
        case ReplyKind::redirect: return "(error) " + reply.text;
        case ReplyKind::keys:
        case ReplyKind::array: return quoted_list(reply, {')', "(empty array)"}, indent);
        case ReplyKind::map: return quoted_list(reply, {'#', "(empty hash)"}, indent);
        case ReplyKind::set: return quoted_list(reply, {'~', "(empty set)"}, indent);
        case ReplyKind::push: return quoted_list(reply, {'>', "(empty push)"}, indent);
        case ReplyKind::attribute: return quoted_attribute(reply, indent);
    }
    KV_UNREACHABLE("all kinds are listed");
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
        case Style::json: return json(reply) + "\n";
    }
    KV_UNREACHABLE("all styles are listed");
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
