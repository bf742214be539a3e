#include "proto/raft/message_codec.h"

#include <fmt/format.h>

namespace kv {

namespace {

constexpr std::uint8_t message_version = 1;
constexpr std::size_t append_fixed_bytes = 32;

template <typename... Words>
void append_words(std::string& out, Words... words) {
    const std::uint64_t all[] = {words...};
    const std::size_t at = out.size();
    out.resize(at + sizeof all);
    for (std::size_t i = 0; i < sizeof...(words); ++i) {
        store_le<std::uint64_t>(out.data() + at + 8 * i, all[i]);
    }
}

struct Encoder {
    std::string& out;

    std::uint8_t flags(const VoteRequest& body) const noexcept {
        return static_cast<std::uint8_t>((body.pre ? message_pre : 0) |
                                         (body.transfer ? message_transfer : 0));
    }
    std::uint8_t flags(const VoteReply& body) const noexcept {
        return static_cast<std::uint8_t>((body.pre ? message_pre : 0) |
                                         (body.granted ? message_granted : 0));
    }
    std::uint8_t flags(const AppendReply& body) const noexcept {
        return body.rejected ? message_rejected : 0;
    }
    template <typename Body>
    std::uint8_t flags(const Body&) const noexcept {
        return 0;
    }

    void body(const VoteRequest& b) const {
        append_words(out, b.last.term.value(), b.last.index.value());
    }
    void body(const VoteReply&) const {}
    void body(const AppendRequest& b) const {
        append_words(out, b.previous.term.value(), b.previous.index.value(), b.commit.value(),
                     std::uint64_t{b.entries.size()});
        for (const Bytes entry : b.entries) out.append(as_text(entry));
    }
    void body(const AppendReply& b) const {
        append_words(out, b.match.value(), b.hint.term.value(), b.hint.index.value());
    }
    void body(const HeartbeatRequest& b) const { append_words(out, b.commit.value(), b.read); }
    void body(const HeartbeatReply& b) const { append_words(out, b.read); }
    void body(const SnapshotRequest& b) const {
        append_words(out, b.position.term.value(), b.position.index.value());
    }
    void body(const TimeoutNow&) const {}
};

struct Kind {
    std::size_t body_bytes;  ///< of an append request: before its entries
    std::uint8_t flags;
};

/// Null: unknown.
const Kind* find_kind(std::uint8_t number) noexcept {
    static constexpr Kind kinds[] = {
        {16, message_pre | message_transfer},
        {0, message_pre | message_granted},
        {append_fixed_bytes, 0},
        {24, message_rejected},
        {16, 0},
        {8, 0},
        {16, 0},
        {0, 0},
    };
    return number >= 1 && number <= std::size(kinds) ? &kinds[number - 1] : nullptr;
}

std::uint64_t word(Bytes bytes, std::size_t number) noexcept {
    return load_le<std::uint64_t>(bytes.data() + 8 * number);
}
LogPosition position(Bytes bytes, std::size_t number) noexcept {
    return {Term(word(bytes, number)), Index(word(bytes, number + 1))};
}

Status decode_append(Bytes body, GroupId group, AppendRequest& out) {
    out.previous = position(body, 0);
    out.commit = Index(word(body, 2));
    const std::uint64_t count = word(body, 3);
    body = body.subspan(append_fixed_bytes);
    if (count > body.size() / entry_header_bytes) {
        return fail(Errc::corrupt, "a peer sends fewer entries than it says");
    }
    out.entries.reserve(count);
    LogPosition last = out.previous;
    for (std::uint64_t i = 0; i < count; ++i) {
        KV_TRY(const Entry entry, decode_entry(body, group));
        if (entry.index != last.index.next() || entry.term < last.term) {
            return fail(Errc::corrupt,
                        fmt::format("a peer sends entry {} of term {} behind {} of term {}",
                                    entry.index.value(), entry.term.value(), last.index.value(),
                                    last.term.value()));
        }
        last = {entry.term, entry.index};
        out.entries.push_back(entry.bytes);
        body = body.subspan(entry.bytes.size());
    }
    if (!body.empty()) return fail(Errc::corrupt, "bytes behind the entries of a peer message");
    return {};
}

}  // namespace

std::size_t encoded_bytes(const Message& message) noexcept {
    const auto kind = static_cast<std::uint8_t>(message.body.index() + 1);
    std::size_t bytes = message_header_bytes + find_kind(kind)->body_bytes;
    if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
        for (const Bytes entry : append->entries) bytes += entry.size();
    }
    return bytes;
}

void encode_message(const Message& message, std::string& out) {
    static_assert(std::is_same_v<std::variant_alternative_t<7, MessageBody>, TimeoutNow>);
    const std::size_t bytes = encoded_bytes(message);
    KV_ASSERT(bytes <= message_bytes_max, "{} bytes", bytes);
    const Encoder encoder{out};
    const std::uint8_t flags =
        std::visit([&](const auto& body) { return encoder.flags(body); }, message.body);
    const std::uint64_t front = bytes | std::uint64_t{message.body.index() + 1} << 32 |
                                std::uint64_t{message_version} << 40 | std::uint64_t{flags} << 48;
    append_words(out, front, message.group.value(), message.term.value(), message.boot,
                 message.sequence);
    std::visit([&](const auto& body) { encoder.body(body); }, message.body);
}

Result<MessageExtent> measure_message(Bytes bytes) {
    if (bytes.size() < message_header_bytes) return fail(Errc::truncated);
    const std::size_t all = load_le<std::uint32_t>(bytes.data());
    if (all < message_header_bytes || all > message_bytes_max) {
        return fail(Errc::corrupt, fmt::format("a peer message of {} bytes", all));
    }
    if (bytes.size() < all) return fail(Errc::truncated);
    return MessageExtent{all, GroupId(word(bytes, 1))};
}

Status decode_message(Bytes bytes, Route route, Message& out, std::vector<Bytes> memory) {
    KV_TRY(const MessageExtent extent, measure_message(bytes));
    if (extent.bytes != bytes.size()) return fail(Errc::corrupt, "bytes behind a peer message");
    const auto number = load_le<std::uint8_t>(bytes.data() + 4);
    const auto version = load_le<std::uint8_t>(bytes.data() + 5);
    const auto flags = load_le<std::uint8_t>(bytes.data() + 6);
    const auto reserved = load_le<std::uint8_t>(bytes.data() + 7);
    const Kind* const kind = find_kind(number);
    if (kind == nullptr || version != message_version || (flags & ~kind->flags) != 0 ||
        reserved != 0) {
        return fail(Errc::unsupported,
                    fmt::format("peer message of kind {}, version {}, flags {:#x}", number, version,
                                flags));
    }
    const Bytes body = bytes.subspan(message_header_bytes);
    const auto message_kind = static_cast<MessageKind>(number);
    if (message_kind == MessageKind::append_request ? body.size() < kind->body_bytes
                                                    : body.size() != kind->body_bytes) {
        return fail(Errc::corrupt,
                    fmt::format("peer message of kind {} with {} bytes", number, body.size()));
    }
    out.group = extent.group;
    out.from = route.from;
    out.to = route.to;
    out.term = Term(word(bytes, 2));
    out.boot = word(bytes, 3);
    out.sequence = word(bytes, 4);
    const auto has = [&](MessageFlag flag) { return (flags & flag) != 0; };
    switch (message_kind) {
        case MessageKind::vote_request:
            out.body = VoteRequest{position(body, 0), has(message_pre), has(message_transfer)};
            return {};
        case MessageKind::vote_reply:
            out.body = VoteReply{has(message_pre), has(message_granted)};
            return {};
        case MessageKind::append_request: {
            AppendRequest& append = out.body.emplace<AppendRequest>();
            append.entries = std::move(memory);
            append.entries.clear();
            return decode_append(body, out.group, append);
        }
        case MessageKind::append_reply:
            out.body = AppendReply{has(message_rejected), Index(word(body, 0)), position(body, 1)};
            return {};
        case MessageKind::heartbeat_request:
            out.body = HeartbeatRequest{Index(word(body, 0)), word(body, 1)};
            return {};
        case MessageKind::heartbeat_reply: out.body = HeartbeatReply{word(body, 0)}; return {};
        case MessageKind::snapshot_request:
            out.body = SnapshotRequest{position(body, 0)};
            return {};
        case MessageKind::timeout_now: out.body = TimeoutNow{}; return {};
    }
    KV_UNREACHABLE("message kind {}", number);
}

}  // namespace kv
