#include "engine/node/forward_codec.h"

#include "proto/base/bytes.h"

namespace kv {

namespace {

constexpr std::uint8_t version = 2;
constexpr std::uint16_t flag_wants_value = 1;
constexpr std::uint16_t flag_has_pattern = 2;
constexpr std::uint16_t flag_found = 1;
constexpr std::uint16_t no_error = 0xffff;

bool is_kind(std::uint8_t kind) noexcept {
    return kind >= static_cast<std::uint8_t>(ForwardKind::read) &&
           kind <= static_cast<std::uint8_t>(ForwardKind::list);
}

bool is_known(std::uint16_t error) noexcept {
    return error <= static_cast<std::uint16_t>(errc_last);
}

}  // namespace

void encode_forward_request(const ForwardRequest& request, std::string& out) {
    char header[forward_request_bytes] = {};
    std::uint16_t flags = 0;
    if (request.wants_value) flags |= flag_wants_value;
    if (request.has_pattern) flags |= flag_has_pattern;
    header[0] = static_cast<char>(version);
    header[1] = static_cast<char>(request.kind);
    store_le(header + 2, flags);
    store_le(header + 8, request.cursor);
    out.append(header, sizeof header).append(request.content);
}

Result<ForwardRequest> decode_forward_request(Bytes bytes) {
    if (bytes.size() < forward_request_bytes) return fail(Errc::truncated);
    const auto kind = load_le<std::uint8_t>(bytes.data() + 1);
    const auto flags = load_le<std::uint16_t>(bytes.data() + 2);
    const bool known = load_le<std::uint8_t>(bytes.data()) == version && is_kind(kind) &&
                       (flags & ~(flag_wants_value | flag_has_pattern)) == 0;
    if (!known) return fail(Errc::unsupported);
    ForwardRequest request;
    request.kind = static_cast<ForwardKind>(kind);
    request.wants_value = (flags & flag_wants_value) != 0;
    request.has_pattern = (flags & flag_has_pattern) != 0;
    request.cursor = load_le<std::uint64_t>(bytes.data() + 8);
    request.content = as_text(bytes.subspan(forward_request_bytes));
    return request;
}

ForwardKind forward_kind(Bytes request) noexcept {
    const auto kind =
        request.size() < 2 ? std::uint8_t{0} : load_le<std::uint8_t>(request.data() + 1);
    return is_kind(kind) ? static_cast<ForwardKind>(kind) : ForwardKind::read;
}

void encode_forward_reply(const ForwardReply& reply, std::string& out) {
    char header[forward_reply_bytes] = {};
    header[0] = static_cast<char>(version);
    header[1] = static_cast<char>(reply.kind);
    store_le(header + 2, reply.error ? static_cast<std::uint16_t>(*reply.error) : no_error);
    store_le(header + 4, static_cast<std::uint16_t>(reply.found ? flag_found : 0));
    store_le(header + 8, reply.number);
    store_le(header + 16, reply.error ? reply.leader.value() : reply.revision.value());
    out.append(header, sizeof header).append(reply.content);
}

Result<ForwardReply> decode_forward_reply(Bytes bytes) {
    if (bytes.size() < forward_reply_bytes) return fail(Errc::truncated);
    const auto kind = load_le<std::uint8_t>(bytes.data() + 1);
    const auto error = load_le<std::uint16_t>(bytes.data() + 2);
    const auto flags = load_le<std::uint16_t>(bytes.data() + 4);
    const bool known = load_le<std::uint8_t>(bytes.data()) == version && is_kind(kind) &&
                       (flags & ~flag_found) == 0 && (error == no_error || is_known(error));
    if (!known) return fail(Errc::unsupported);
    ForwardReply reply;
    reply.kind = static_cast<ForwardKind>(kind);
    reply.found = (flags & flag_found) != 0;
    reply.number = load_le<std::uint64_t>(bytes.data() + 8);
    const auto last = load_le<std::uint64_t>(bytes.data() + 16);
    if (error != no_error) {
        reply.error = static_cast<Errc>(error);
        reply.leader = NodeId(last);
    } else {
        reply.revision = Revision(last);
    }
    reply.content = as_text(bytes.subspan(forward_reply_bytes));
    return reply;
}

void append_listed(std::string& out, std::string_view key) {
    char bytes[4];
    store_le(bytes, static_cast<std::uint32_t>(key.size()));
    out.append(bytes, sizeof bytes).append(key);
}

std::optional<std::string_view> take_listed(std::string_view& list) noexcept {
    if (list.size() < 4) return std::nullopt;
    const std::size_t bytes = load_le<std::uint32_t>(list.data());
    if (list.size() - 4 < bytes) return std::nullopt;
    const std::string_view key = list.substr(4, bytes);
    list.remove_prefix(4 + bytes);
    return key;
}

}  // namespace kv
