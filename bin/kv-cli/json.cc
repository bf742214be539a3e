#include "bin/kv-cli/json.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <set>
#include <span>

#include "proto/base/assert.h"

namespace kv::cli {

namespace {

using client::Reply;
using client::ReplyKind;

void append_escaped(std::string& out, std::string_view text) {
    out.push_back('"');
    for (const char c : text) {
        switch (c) {
            case '"': out.append("\\\""); break;
            case '\\': out.append("\\\\"); break;
            case '\n': out.append("\\n"); break;
            case '\r': out.append("\\r"); break;
            case '\t': out.append("\\t"); break;
            default: {
                const auto byte = static_cast<unsigned char>(c);
                if (byte < 0x20 || byte == 0x7f) {
                    fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
                } else {
                    out.push_back(c);
                }
            }
        }
    }
    out.push_back('"');
}

std::string base64(std::string_view bytes) {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::string_view group = bytes.substr(at, 3);
        std::uint32_t bits = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0u);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            const bool filler = i > group.size();
            out.push_back(filler ? '=' : digits[bits >> (18 - 6 * i) & 0x3f]);
        }
    }
    return out;
}

void append_text(std::string& out, std::string_view text) {
    if (is_utf8(text)) return append_escaped(out, text);
    out.append("{\"base64\":\"").append(base64(text)).append("\"}");
}

/// Digits as JSON has them: no plus, no leading zeros.
void append_number(std::string& out, std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    while (text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9') {
        text.remove_prefix(1);
    }
    if (negative) out.push_back('-');
    out.append(text);
}

/// "inf", "nan", and forms such as ".5", which JSON does not know, become strings.
void append_real(std::string& out, std::string_view text) {
    const std::size_t first = text.find_first_not_of("+-");
    const bool number = first != std::string_view::npos && text[first] >= '0' && text[first] <= '9';
    if (!number || text.ends_with('.')) return append_escaped(out, text);
    append_number(out, text);
}

/// What an object may have as the name of a member.
std::optional<std::string> name_of(const Reply& key) {
    switch (key.kind) {
        case ReplyKind::value:
        case ReplyKind::status:
        case ReplyKind::verbatim:
        case ReplyKind::real:
        case ReplyKind::big_number:
            return is_utf8(key.text) ? std::optional(key.text) : std::nullopt;
        case ReplyKind::integer: return fmt::format("{}", key.integer);
        case ReplyKind::ok:
        case ReplyKind::pong:
        case ReplyKind::deleted:
        case ReplyKind::absent:
        case ReplyKind::keys:
        case ReplyKind::array:
        case ReplyKind::error:
        case ReplyKind::redirect:
        case ReplyKind::boolean:
        case ReplyKind::map:
        case ReplyKind::set:
        case ReplyKind::push:
        case ReplyKind::attribute: return std::nullopt;
    }
    KV_UNREACHABLE("all kinds are listed");
}

void append(std::string& out, const Reply& reply);

void append_array(std::string& out, std::span<const Reply> items) {
    out.push_back('[');
    for (const Reply& item : items) {
        if (&item != items.data()) out.push_back(',');
        append(out, item);
    }
    out.push_back(']');
}

void append_map(std::string& out, std::span<const Reply> items) {
    std::set<std::string> names;
    bool object = true;
    for (std::size_t i = 0; object && i < items.size(); i += 2) {
        const std::optional<std::string> name = name_of(items[i]);
        object = name && names.insert(*name).second;
    }
    out.append(object ? "{" : "{\"pairs\":[");
    for (std::size_t i = 0; i < items.size(); i += 2) {
        if (i > 0) out.push_back(',');
        if (object) {
            append_escaped(out, *name_of(items[i]));
            out.push_back(':');
            append(out, items[i + 1]);
        } else {
            append_array(out, items.subspan(i, 2));
        }
    }
    out.append(object ? "}" : "]}");
}

void append(std::string& out, const Reply& reply) {
    switch (reply.kind) {
        case ReplyKind::ok: out.append("\"OK\""); return;
        case ReplyKind::pong: out.append("\"PONG\""); return;
        case ReplyKind::deleted: out.append("\"DELETED\""); return;
        case ReplyKind::absent: out.append("null"); return;
        case ReplyKind::boolean: out.append(reply.integer != 0 ? "true" : "false"); return;
        case ReplyKind::integer: out.append(fmt::format("{}", reply.integer)); return;
        case ReplyKind::real: return append_real(out, reply.text);
        case ReplyKind::big_number: return append_number(out, reply.text);
        case ReplyKind::value:
        case ReplyKind::status:
        case ReplyKind::verbatim: return append_text(out, reply.text);
        case ReplyKind::keys:
        case ReplyKind::array:
        case ReplyKind::set: return append_array(out, reply.items);
        case ReplyKind::map: return append_map(out, reply.items);
        case ReplyKind::error:
        case ReplyKind::redirect:
            out.append("{\"error\":");
            append_text(out,
                        reply.kind == ReplyKind::redirect ? "REDIRECT " + reply.text : reply.text);
            out.push_back('}');
            return;
        case ReplyKind::push:
            out.append("{\"push\":");
            append_array(out, reply.items);
            out.push_back('}');
            return;
        case ReplyKind::attribute:
            out.append("{\"attributes\":");
            append_map(out, std::span(reply.items).first(reply.items.size() - 1));
            out.append(",\"value\":");
            append(out, reply.items.back());
            out.push_back('}');
            return;
    }
    KV_UNREACHABLE("all kinds are listed");
}

}  // namespace

std::string json(const Reply& reply) {
    std::string out;
    append(out, reply);
    return out;
}

bool is_utf8(std::string_view text) noexcept {
    for (std::size_t at = 0; at < text.size();) {
        const auto lead = static_cast<unsigned char>(text[at]);
        const std::size_t more = lead < 0x80            ? 0
                                 : lead >> 5 == 0b110   ? 1
                                 : lead >> 4 == 0b1110  ? 2
                                 : lead >> 3 == 0b11110 ? 3
                                                        : SIZE_MAX;
        if (more >= text.size() - at) return false;
        std::uint32_t point = more == 0 ? lead : lead & (0x3fu >> more);
        for (std::size_t i = 1; i <= more; ++i) {
            const auto byte = static_cast<unsigned char>(text[at + i]);
            if (byte >> 6 != 0b10) return false;
            point = point << 6 | (byte & 0x3fu);
        }
        constexpr std::uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
        const bool surrogate = point >= 0xd800 && point <= 0xdfff;
        if (point < smallest[more] || point > 0x10ffff || surrogate) return false;
        at += more + 1;
    }
    return true;
}

}  // namespace kv::cli
