#include "proto/command_codec.h"

#include <fmt/format.h>

namespace kv {

namespace {

constexpr std::uint8_t flags_known =
    flag_session | flag_number | condition_flags | flag_return_previous;
/// Header and everything of fixed length behind it.
constexpr std::size_t front_bytes_max = command_header_bytes + command_session_bytes + 8 + 8 + 4;

}  // namespace

void encode_command(std::string& out, const Command& command) {
    KV_ASSERT(command.key.size() <= 0xffff && command.value.size() <= 0xffffffff);
    char front[front_bytes_max];
    std::size_t at = command_header_bytes;
    const auto put = [&](std::uint64_t number) {
        store_le<std::uint64_t>(front + at, number);
        at += 8;
    };
    std::uint8_t flags = command.flags;
    if (command.session != 0) {
        flags |= flag_session;
        put(command.session);
        put(command.sequence);
    }
    if ((flags & flag_number) != 0) put(static_cast<std::uint64_t>(command.number));
    if ((flags & flag_if_revision) != 0) put(command.if_revision);
    if ((flags & flag_if_equal) != 0) {
        store_le<std::uint32_t>(front + at, static_cast<std::uint32_t>(command.if_equal.size()));
        at += 4;
    }
    store_le<std::uint8_t>(front, static_cast<std::uint8_t>(command.kind));
    store_le<std::uint8_t>(front + 1, flags);
    store_le<std::uint16_t>(front + 2, static_cast<std::uint16_t>(command.key.size()));
    store_le<std::uint32_t>(front + 4, static_cast<std::uint32_t>(command.value.size()));
    out.append(front, at);
    out.append(command.key);
    out.append(command.value);
    if ((flags & flag_if_equal) != 0) out.append(command.if_equal);
}

Result<std::size_t> decode_command(Bytes bytes, Command& out) {
    if (bytes.size() < command_header_bytes) return fail(Errc::truncated);
    const auto kind = load_le<std::uint8_t>(bytes.data());
    const auto flags = load_le<std::uint8_t>(bytes.data() + 1);
    if (kind < 1 || kind > 5) return fail(Errc::unsupported, fmt::format("command kind {}", kind));
    if ((flags & ~flags_known) != 0) {
        return fail(Errc::unsupported, fmt::format("command flags {:#x}", flags));
    }
    const std::size_t key_bytes = load_le<std::uint16_t>(bytes.data() + 2);
    const std::size_t value_bytes = load_le<std::uint32_t>(bytes.data() + 4);
    std::size_t front = command_header_bytes;
    if ((flags & flag_session) != 0) front += command_session_bytes;
    if ((flags & flag_number) != 0) front += 8;
    if ((flags & flag_if_revision) != 0) front += 8;
    if ((flags & flag_if_equal) != 0) front += 4;
    if (bytes.size() < front) return fail(Errc::truncated);
    const std::byte* at = bytes.data() + command_header_bytes;
    const auto take = [&] {
        const auto number = load_le<std::uint64_t>(at);
        at += 8;
        return number;
    };
    out.flags = static_cast<std::uint8_t>(flags & ~flag_session);
    out.session = (flags & flag_session) != 0 ? take() : 0;
    out.sequence = (flags & flag_session) != 0 ? take() : 0;
    out.number = (flags & flag_number) != 0 ? static_cast<std::int64_t>(take()) : 0;
    out.if_revision = (flags & flag_if_revision) != 0 ? take() : 0;
    const std::size_t equal_bytes =
        (flags & flag_if_equal) != 0 ? load_le<std::uint32_t>(at) : std::size_t{0};
    const std::size_t total = front + key_bytes + value_bytes + equal_bytes;
    if (bytes.size() < total) return fail(Errc::truncated);
    out.kind = static_cast<CommandKind>(kind);
    out.key = as_text(bytes.subspan(front, key_bytes));
    out.value = as_text(bytes.subspan(front + key_bytes, value_bytes));
    out.if_equal = as_text(bytes.subspan(front + key_bytes + value_bytes, equal_bytes));
    return total;
}

}  // namespace kv
