#include "bin/kv-cli/advice.h"

#include <fmt/format.h>

#include "bin/kv-cli/commands.h"

namespace kv::cli {

namespace {

using client::Mode;
using client::Reply;
using client::ReplyKind;

bool has(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

std::string_view flag(Mode mode) {
    switch (mode) {
        case Mode::text: return "";
        case Mode::binary: return " -b";
        case Mode::resp: return " -r";
    }
    return "";
}

/// `address` is host:port.
std::string other_node(std::string_view address, Mode mode) {
    const std::size_t colon = address.rfind(':');
    if (colon == std::string_view::npos) return {};
    return fmt::format("Another node answers for this key: kv-cli --host {} --port {}{}",
                       address.substr(0, colon), address.substr(colon + 1), flag(mode));
}

std::string about_error(std::string_view text, Mode mode) {
    if (text.starts_with("MOVED ") || text.starts_with("ASK ")) {
        return other_node(text.substr(text.rfind(' ') + 1), mode);
    }
    if (has(text, "outcome unknown")) {
        return "The write may or may not have happened: read the key before you send it again.";
    }
    if (text.starts_with("LOADING")) {
        return "The server is still reading its data: try again; its log says how far it is.";
    }
    if (text.starts_with("CLUSTERDOWN") || has(text, "no leader")) {
        return "Nothing was applied: try again in a second. If it lasts, the log of the nodes says "
               "which of them are missing.";
    }
    if (text.starts_with("MISCONF") || has(text, "disk full")) {
        return "Make room on the server's disk; reads go on meanwhile.";
    }
    if (has(text, "wal.bytes_max")) {
        return "Nothing was applied: raise wal.bytes_max in the server's configuration.";
    }
    if (text.starts_with("BUSY") || has(text, "try again")) {
        return "Nothing was applied: send it again, and fewer at a time.";
    }
    if (text.starts_with("NOPROTO")) return "The server speaks RESP2 only: use -r and not -3.";
    if (text.starts_with("NOAUTH")) return "Begin with AUTH, or HELLO 2 AUTH <user> <password>.";
    if (mode == Mode::text && has(text, "unknown command")) {
        const std::size_t colon = text.rfind(": ");
        const std::string_view verb = colon != std::string_view::npos ? text.substr(colon + 2) : "";
        if (CommandTable(Mode::text).find(verb) != nullptr) {
            return "The text protocol wants its commands in capitals.";
        }
        if (CommandTable(Mode::resp).find(verb) != nullptr) {
            return fmt::format(
                "The text protocol has no {}: use kv-cli -r, which has all commands.", verb);
        }
    }
    return {};
}

/// A server that knows only RESP answers a line of text so.
bool looks_like_resp(std::string_view line) {
    return line.ends_with('\r') && has("+-:$*", line.substr(0, 1));
}

}  // namespace

std::string advice(const Reply& reply, Mode mode) {
    switch (reply.kind) {
        case ReplyKind::error: return about_error(reply.text, mode);
        case ReplyKind::redirect: return other_node(reply.text, mode);
        case ReplyKind::attribute: return advice(reply.items.back(), mode);
        case ReplyKind::status:
            if (mode != Mode::text || !looks_like_resp(reply.text)) return {};
            return "This server speaks RESP: use kv-cli -r.";
        case ReplyKind::ok:
        case ReplyKind::pong:
        case ReplyKind::deleted:
        case ReplyKind::absent:
        case ReplyKind::value:
        case ReplyKind::integer:
        case ReplyKind::keys:
        case ReplyKind::array:
        case ReplyKind::boolean:
        case ReplyKind::real:
        case ReplyKind::big_number:
        case ReplyKind::verbatim:
        case ReplyKind::map:
        case ReplyKind::set:
        case ReplyKind::push: return {};
    }
    return {};
}

std::string advice(const Error& error, Mode mode, std::size_t unanswered) {
    std::string out;
    if (error.code == Errc::corrupt || error.code == Errc::io) {
        out = fmt::format(
            "Does the server speak {} there? Check --port, or try another of -r, -b "
            "and text, the default.\n",
            mode == Mode::resp ? "RESP" : name(mode));
    }
    return out +
           fmt::format(
               "{} sent and not answered. If {} wrote, that may or may not have "
               "happened: read before you send it again.",
               unanswered == 1 ? "One command was" : fmt::format("{} commands were", unanswered),
               unanswered == 1 ? "it" : "they");
}

}  // namespace kv::cli
