#include "bin/client/reply.h"

#include <span>
#include <utility>

namespace kv::client {

namespace {

Reply make(ReplyKind kind, std::string_view text = {}) {
    Reply reply;
    reply.kind = kind;
    reply.text = text;
    return reply;
}

/// The words of a KEYS line, behind the verb.
Reply make_keys(std::string_view words) {
    Reply reply = make(ReplyKind::keys);
    while (!words.empty()) {
        words.remove_prefix(1);  // the space before each
        const std::size_t end = std::min(words.find(' '), words.size());
        reply.items.push_back(make(ReplyKind::value, words.substr(0, end)));
        words.remove_prefix(end);
    }
    return reply;
}

Reply from_line(std::string_view line) {
    if (line == "OK") return make(ReplyKind::ok);
    if (line == "PONG") return make(ReplyKind::pong);
    if (line == "NOT_FOUND") return make(ReplyKind::absent);
    if (line == "DELETED") return make(ReplyKind::deleted);
    if (line.starts_with("VALUE ")) return make(ReplyKind::value, line.substr(6));
    if (line.starts_with("ERROR ")) return make(ReplyKind::error, line.substr(6));
    if (line.starts_with("REDIRECT ")) return make(ReplyKind::redirect, line.substr(9));
    if (line == "KEYS" || line.starts_with("KEYS ")) return make_keys(line.substr(4));
    return make(ReplyKind::status, line);
}

Reply from_binary(const binary::Reply& reply) {
    switch (reply.kind) {
        case binary::Kind::ok:
            if (reply.status == binary::ReplyStatus::pong) return make(ReplyKind::pong);
            if (reply.status == binary::ReplyStatus::deleted) return make(ReplyKind::deleted);
            return make(ReplyKind::ok);
        case binary::Kind::value: return make(ReplyKind::value, reply.text);
        case binary::Kind::absent: return make(ReplyKind::absent);
        case binary::Kind::integer: {
            Reply out = make(ReplyKind::integer);
            out.integer = reply.integer;
            return out;
        }
        case binary::Kind::array: {
            const bool keys = reply.status == binary::ReplyStatus::keys;
            Reply out = make(keys ? ReplyKind::keys : ReplyKind::array);
            out.items.reserve(reply.items.size());
            for (const auto& item : reply.items) {
                out.items.push_back(item ? make(ReplyKind::value, *item) : make(ReplyKind::absent));
            }
            return out;
        }
        case binary::Kind::error: return make(ReplyKind::error, reply.text);
        case binary::Kind::redirect: return make(ReplyKind::redirect, reply.text);
    }
    KV_UNREACHABLE("the decoder knows the kinds");
}

/// Takes one value and all that is inside it off the front of `nodes`; their depth is bounded by
/// resp::reply_depth_max.
Reply from_nodes(std::span<const resp::Node>& nodes);

Reply with_items(ReplyKind kind, std::int64_t count, std::span<const resp::Node>& nodes) {
    Reply out = make(kind);
    for (std::int64_t i = 0; i < count; ++i) out.items.push_back(from_nodes(nodes));
    return out;
}

Reply with_integer(ReplyKind kind, std::int64_t integer) {
    Reply out = make(kind);
    out.integer = integer;
    return out;
}

Reply from_nodes(std::span<const resp::Node>& nodes) {
    const resp::Node& node = nodes.front();
    nodes = nodes.subspan(1);
    switch (node.kind) {
        case resp::NodeKind::simple: return make(ReplyKind::status, node.text);
        case resp::NodeKind::error: return make(ReplyKind::error, node.text);
        case resp::NodeKind::bulk: return make(ReplyKind::value, node.text);
        case resp::NodeKind::nil: return make(ReplyKind::absent);
        case resp::NodeKind::real: return make(ReplyKind::real, node.text);
        case resp::NodeKind::big_number: return make(ReplyKind::big_number, node.text);
        case resp::NodeKind::verbatim: return make(ReplyKind::verbatim, node.text);
        case resp::NodeKind::integer: return with_integer(ReplyKind::integer, node.integer);
        case resp::NodeKind::boolean: return with_integer(ReplyKind::boolean, node.integer);
        case resp::NodeKind::array: return with_items(ReplyKind::array, node.integer, nodes);
        case resp::NodeKind::map: return with_items(ReplyKind::map, node.integer, nodes);
        case resp::NodeKind::set: return with_items(ReplyKind::set, node.integer, nodes);
        case resp::NodeKind::push: return with_items(ReplyKind::push, node.integer, nodes);
        case resp::NodeKind::attribute:
            return with_items(ReplyKind::attribute, node.integer, nodes);
    }
    KV_UNREACHABLE("the decoder knows the kinds");
}

}  // namespace

std::string_view name(Mode mode) noexcept {
    switch (mode) {
        case Mode::text: return "text";
        case Mode::binary: return "binary";
        case Mode::resp: return "resp";
    }
    return "";
}

Result<std::optional<Reply>> ReplyReader::next() {
    switch (mode_) {
        case Mode::text: return next_text();
        case Mode::binary: return next_binary();
        case Mode::resp: return next_resp();
    }
    KV_UNREACHABLE("three modes");
}

Result<std::optional<Reply>> ReplyReader::next_text() {
    const std::size_t end = input_.find('\n', scanned_);
    if (end == std::string::npos) {
        scanned_ = input_.size();
        if (input_.size() > reply_bytes_max_default) {
            return fail(Errc::corrupt, "text response: the line is beyond the limit");
        }
        return std::nullopt;
    }
    Reply reply = from_line(std::string_view(input_).substr(0, end));
    input_.erase(0, end + 1);
    scanned_ = 0;
    return reply;
}

Result<std::optional<Reply>> ReplyReader::next_binary() {
    const DecodeResult decoded = binary::decode_reply(input_, binary_);
    switch (decoded.status) {
        case DecodeStatus::need_more: return std::nullopt;
        case DecodeStatus::malformed: return fail(Errc::corrupt, binary_.problem);
        case DecodeStatus::reply: break;
    }
    Reply reply = from_binary(binary_);
    input_.erase(0, decoded.consumed);
    return reply;
}

Result<std::optional<Reply>> ReplyReader::next_resp() {
    const DecodeResult decoded = resp_.next(input_);
    switch (decoded.status) {
        case DecodeStatus::need_more: return std::nullopt;
        case DecodeStatus::malformed: return fail(Errc::corrupt, std::string(resp_.problem()));
        case DecodeStatus::reply: break;
    }
    std::span<const resp::Node> nodes = resp_.nodes();
    Reply reply = from_nodes(nodes);
    input_.erase(0, decoded.consumed);
    return reply;
}

}  // namespace kv::client
