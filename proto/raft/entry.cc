#include "proto/raft/entry.h"

#include <fmt/format.h>

#include "proto/base/checksum.h"

namespace kv {

namespace {

constexpr std::size_t checksum_at = 32;

std::uint64_t entry_checksum(Bytes header, Bytes payload, GroupId group) noexcept {
    return checksum(header.first(checksum_at), mix_seed(checksum(payload), group.value()));
}

}  // namespace

void seal_entry(MutableBytes entry, GroupId group, Term term, Index index, std::uint64_t time_ms,
                EntryKind kind) noexcept {
    KV_ASSERT(entry.size() >= entry_header_bytes && entry.size() <= 0xffffffff);
    std::byte* out = entry.data();
    store_le<std::uint64_t>(out, term.value());
    store_le<std::uint64_t>(out + 8, index.value());
    store_le<std::uint64_t>(out + 16, time_ms);
    store_le<std::uint8_t>(out + 24, static_cast<std::uint8_t>(kind));
    store_le<std::uint8_t>(out + 25, entry_version);
    store_le<std::uint16_t>(out + 26, 0);
    store_le<std::uint32_t>(out + 28,
                            static_cast<std::uint32_t>(entry.size() - entry_header_bytes));
    store_le<std::uint64_t>(out + checksum_at,
                            entry_checksum(entry, entry.subspan(entry_header_bytes), group));
}

Result<Entry> decode_entry(Bytes bytes, GroupId group) {
    if (bytes.size() < entry_header_bytes) return fail(Errc::truncated);
    const std::size_t payload_bytes = load_le<std::uint32_t>(bytes.data() + 28);
    if (bytes.size() - entry_header_bytes < payload_bytes) return fail(Errc::truncated);
    const Bytes payload = bytes.subspan(entry_header_bytes, payload_bytes);
    // Before any other field counts.
    if (load_le<std::uint64_t>(bytes.data() + checksum_at) !=
        entry_checksum(bytes, payload, group)) {
        return fail(Errc::corrupt, "the checksum of a log entry disagrees");
    }
    const auto kind = load_le<std::uint8_t>(bytes.data() + 24);
    const auto version = load_le<std::uint8_t>(bytes.data() + 25);
    const auto flags = load_le<std::uint16_t>(bytes.data() + 26);
    if (kind < 1 || kind > 3 || version != entry_version || flags != 0) {
        return fail(Errc::unsupported, fmt::format("log entry of kind {}, version {}, flags {:#x}",
                                                   kind, version, flags));
    }
    return view_entry(bytes.first(entry_header_bytes + payload_bytes));
}

Entry view_entry(Bytes bytes) noexcept {
    KV_ASSERT(bytes.size() >= entry_header_bytes);
    Entry entry;
    entry.term = Term(load_le<std::uint64_t>(bytes.data()));
    entry.index = Index(load_le<std::uint64_t>(bytes.data() + 8));
    entry.time_ms = load_le<std::uint64_t>(bytes.data() + 16);
    entry.kind = static_cast<EntryKind>(load_le<std::uint8_t>(bytes.data() + 24));
    entry.payload = bytes.subspan(entry_header_bytes);
    entry.bytes = bytes;
    return entry;
}

void encode_hard_state(const HardState& state, MutableBytes out) noexcept {
    KV_ASSERT(out.size() >= hard_state_bytes);
    store_le<std::uint64_t>(out.data(), state.term.value());
    store_le<std::uint64_t>(out.data() + 8, state.vote.value());
    store_le<std::uint64_t>(out.data() + 16, state.commit.value());
}

Result<HardState> decode_hard_state(Bytes bytes) {
    if (bytes.size() != hard_state_bytes) {
        return fail(Errc::corrupt, fmt::format("hard state of {} bytes", bytes.size()));
    }
    return HardState{Term(load_le<std::uint64_t>(bytes.data())),
                     NodeId(load_le<std::uint64_t>(bytes.data() + 8)),
                     Index(load_le<std::uint64_t>(bytes.data() + 16))};
}

}  // namespace kv
