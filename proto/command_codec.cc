#include "proto/command_codec.h"

#include <fmt/format.h>

namespace kv {

namespace {
constexpr std::uint8_t flag_session = 1;
}

void encode_command(std::string& out, const Command& command) {
    KV_ASSERT(command.key.size() <= 0xffff && command.value.size() <= 0xffffffff);
    char header[command_header_bytes + command_session_bytes];
    std::size_t header_bytes = command_header_bytes;
    store_le<std::uint8_t>(header, static_cast<std::uint8_t>(command.kind));
    store_le<std::uint8_t>(header + 1, command.session != 0 ? flag_session : 0);
    store_le<std::uint16_t>(header + 2, static_cast<std::uint16_t>(command.key.size()));
    store_le<std::uint32_t>(header + 4, static_cast<std::uint32_t>(command.value.size()));
    if (command.session != 0) {
        store_le<std::uint64_t>(header + 8, command.session);
        store_le<std::uint64_t>(header + 16, command.sequence);
        header_bytes += command_session_bytes;
    }
    out.append(header, header_bytes);
    out.append(command.key);
    out.append(command.value);
}

Result<std::size_t> decode_command(Bytes bytes, Command& out) {
    if (bytes.size() < command_header_bytes) return fail(Errc::truncated);
    const auto kind = load_le<std::uint8_t>(bytes.data());
    const auto flags = load_le<std::uint8_t>(bytes.data() + 1);
    if (kind < 1 || kind > 3) return fail(Errc::unsupported, fmt::format("command kind {}", kind));
    if ((flags & ~flag_session) != 0) {
        return fail(Errc::unsupported, fmt::format("command flags {:#x}", flags));
    }
    const std::size_t key_bytes = load_le<std::uint16_t>(bytes.data() + 2);
    const std::size_t value_bytes = load_le<std::uint32_t>(bytes.data() + 4);
    std::size_t at = command_header_bytes;
    out.session = out.sequence = 0;
    if ((flags & flag_session) != 0) {
        if (bytes.size() < at + command_session_bytes) return fail(Errc::truncated);
        out.session = load_le<std::uint64_t>(bytes.data() + at);
        out.sequence = load_le<std::uint64_t>(bytes.data() + at + 8);
        at += command_session_bytes;
    }
    if (bytes.size() - at < key_bytes || bytes.size() - at - key_bytes < value_bytes) {
        return fail(Errc::truncated);
    }
    out.kind = static_cast<CommandKind>(kind);
    out.key = as_text(bytes.subspan(at, key_bytes));
    out.value = as_text(bytes.subspan(at + key_bytes, value_bytes));
    return at + key_bytes + value_bytes;
}

}  // namespace kv
