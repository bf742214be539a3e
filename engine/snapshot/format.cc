#include "engine/snapshot/format.h"

#include <fmt/format.h>

#include <charconv>

#include "proto/base/checksum.h"

namespace kv::snapshot {

namespace {

constexpr std::uint32_t frame_magic = 0x3146564b;            // "KVF1"
constexpr std::uint64_t head_magic = 0x485350414e53564bull;  // "KVSNAPSH"
constexpr std::uint64_t known_features = 0;
constexpr std::size_t checksum_at = 24;
constexpr std::uint16_t known_flags = frame_critical;
constexpr std::size_t number_digits = 20;
constexpr std::size_t group_digits_min = 6;

std::uint64_t frame_seed(StoreId store, GroupId group, std::uint64_t offset) noexcept {
    return mix_seed(mix_seed(store.high, store.low), mix_seed(group.value(), offset));
}

std::uint64_t frame_checksum(Bytes frame, std::uint64_t seed) noexcept {
    return checksum(frame.subspan(frame_header_bytes), checksum(frame.first(checksum_at), seed));
}

bool take_number(std::string_view& text, std::uint64_t& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool take_text(std::string_view& text, std::string_view expected) {
    if (!text.starts_with(expected)) return false;
    text.remove_prefix(expected.size());
    return true;
}

}  // namespace

void encode_head(const Head& head, MutableBytes out) noexcept {
    KV_ASSERT(out.size() >= head_bytes);
    std::byte* at = out.data();
    store_le<std::uint64_t>(at, head_magic);
    store_le<std::uint16_t>(at + 8, snapshot_version);
    store_le<std::uint16_t>(at + 10, 0);
    store_le<std::uint32_t>(at + 12, 0);
    store_le<std::uint64_t>(at + 16, head.store.high);
    store_le<std::uint64_t>(at + 24, head.store.low);
    store_le<std::uint64_t>(at + 32, head.group.value());
    store_le<std::uint64_t>(at + 40, head.index.value());
    store_le<std::uint64_t>(at + 48, head.term.value());
    store_le<std::uint64_t>(at + 56, head.time_ms);
    store_le<std::uint64_t>(at + 64, head.revision.value());
    store_le<std::uint64_t>(at + 72, head.keys);
    store_le<std::uint64_t>(at + 80, 0);
}

Result<Head> decode_head(Bytes payload) {
    if (payload.size() < 16 || load_le<std::uint64_t>(payload.data()) != head_magic) {
        return fail(Errc::corrupt, "it does not begin as a snapshot");
    }
    const std::byte* at = payload.data();
    const auto version = load_le<std::uint16_t>(at + 8);
    const auto flags = load_le<std::uint16_t>(at + 10);
    if (version != snapshot_version || flags != 0) {
        return fail(Errc::unsupported,
                    fmt::format("a snapshot of version {}, flags {:#x}", version, flags));
    }
    if (payload.size() != head_bytes) {
        return fail(Errc::corrupt, fmt::format("a head of {} bytes", payload.size()));
    }
    const auto features = load_le<std::uint64_t>(at + 80);
    if ((features & ~known_features) != 0) {
        return fail(Errc::unsupported, fmt::format("a snapshot with features {:#x}", features));
    }
    Head head;
    head.store = StoreId{load_le<std::uint64_t>(at + 16), load_le<std::uint64_t>(at + 24)};
    head.group = GroupId(load_le<std::uint64_t>(at + 32));
    head.index = Index(load_le<std::uint64_t>(at + 40));
    head.term = Term(load_le<std::uint64_t>(at + 48));
    head.time_ms = load_le<std::uint64_t>(at + 56);
    head.revision = Revision(load_le<std::uint64_t>(at + 64));
    head.keys = load_le<std::uint64_t>(at + 72);
    return head;
}

void encode_end(const End& end, MutableBytes out) noexcept {
    KV_ASSERT(out.size() >= end_bytes);
    store_le<std::uint64_t>(out.data(), end.frames);
    store_le<std::uint64_t>(out.data() + 8, end.entries_bytes);
    store_le<std::uint64_t>(out.data() + 16, end.keys);
}

Result<End> decode_end(Bytes payload) {
    if (payload.size() != end_bytes) {
        return fail(Errc::corrupt, fmt::format("an end of {} bytes", payload.size()));
    }
    return End{load_le<std::uint64_t>(payload.data()), load_le<std::uint64_t>(payload.data() + 8),
               load_le<std::uint64_t>(payload.data() + 16)};
}

void seal_frame(MutableBytes frame, std::size_t payload_bytes, SectionTag section, StoreId store,
                GroupId group, FramePosition& at) noexcept {
    KV_ASSERT(payload_bytes > 0 && payload_bytes <= payload_bytes_max, "{}", payload_bytes);
    KV_ASSERT(frame.size() == frame_total_bytes(payload_bytes));
    std::byte* out = frame.data();
    const std::size_t used = frame_header_bytes + payload_bytes;
    std::memset(out + used, 0, frame.size() - used);
    store_le<std::uint32_t>(out, frame_magic);
    store_le<std::uint16_t>(out + 4, static_cast<std::uint16_t>(section));
    store_le<std::uint16_t>(out + 6, frame_critical);
    store_le<std::uint32_t>(out + 8, static_cast<std::uint32_t>(payload_bytes));
    store_le<std::uint32_t>(out + 12, at.number);
    store_le<std::uint64_t>(out + 16, at.previous);
    const std::uint64_t sum = frame_checksum(frame, frame_seed(store, group, at.offset));
    store_le<std::uint64_t>(out + checksum_at, sum);
    at = {at.offset + frame.size(), at.number + 1, sum};
}

Result<Frame> decode_frame(Bytes bytes, StoreId store, GroupId group, FramePosition& at) {
    if (bytes.size() < frame_header_bytes) return fail(Errc::truncated, "the file ends too early");
    const std::byte* in = bytes.data();
    if (load_le<std::uint32_t>(in) != frame_magic) {
        return fail(Errc::corrupt, "no frame begins here");
    }
    const std::size_t payload_bytes = load_le<std::uint32_t>(in + 8);
    if (payload_bytes == 0 || payload_bytes > payload_bytes_max) {
        return fail(Errc::corrupt, fmt::format("a frame of {} bytes", payload_bytes));
    }
    const std::size_t total = frame_total_bytes(payload_bytes);
    if (bytes.size() < total) return fail(Errc::truncated, "the file ends within a frame");
    bytes = bytes.first(total);
    const auto sum = load_le<std::uint64_t>(in + checksum_at);
    // Before any other field counts.
    if (sum != frame_checksum(bytes, frame_seed(store, group, at.offset))) {
        return fail(Errc::corrupt, "the checksum of a frame disagrees");
    }
    if (load_le<std::uint32_t>(in + 12) != at.number ||
        load_le<std::uint64_t>(in + 16) != at.previous) {
        return fail(Errc::corrupt, "a frame is not the one that follows");
    }
    const auto flags = load_le<std::uint16_t>(in + 6);
    if ((flags & ~known_flags) != 0) {
        return fail(Errc::unsupported, fmt::format("a frame with flags {:#x}", flags));
    }
    at = {at.offset + total, at.number + 1, sum};
    Frame frame;
    frame.section = load_le<std::uint16_t>(in + 4);
    frame.critical = (flags & frame_critical) != 0;
    frame.payload = bytes.subspan(frame_header_bytes, payload_bytes);
    frame.checksum = sum;
    frame.total_bytes = total;
    return frame;
}

std::string SnapshotFile::name() const {
    return fmt::format("s{:0{}}-{:0{}}.snap", group.value(), group_digits_min, number.value(),
                       number_digits);
}

std::optional<SnapshotFile> SnapshotFile::parse(std::string_view name) {
    std::uint64_t group = 0;
    std::uint64_t number = 0;
    std::string_view rest = name;
    if (!take_text(rest, "s") || !take_number(rest, group) || !take_text(rest, "-") ||
        !take_number(rest, number) || rest != ".snap") {
        return std::nullopt;
    }
    const SnapshotFile file{GroupId(group), Index(number)};
    if (file.name() != name) return std::nullopt;
    return file;
}

}  // namespace kv::snapshot
