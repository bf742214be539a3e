#include "engine/wal/segment.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <new>

#include "proto/base/checksum.h"

namespace kv::wal {

namespace {

constexpr std::uint64_t segment_magic = 0x4745534c4157564bull;  // "KVWALSEG"
constexpr std::uint16_t segment_version = 1;
constexpr std::size_t checksum_at = segment_header_bytes - 8;

std::uint64_t header_checksum(Bytes block, StoreId store, std::uint64_t segment) noexcept {
    return checksum(block.first(checksum_at), mix_seed(mix_seed(store.high, store.low), segment));
}

/// Takes a decimal number off the front of `text`; false when there is none.
bool take_number(std::string_view& text, std::uint64_t& out) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool take_text(std::string_view& text, std::string_view expected) noexcept {
    if (!text.starts_with(expected)) return false;
    text.remove_prefix(expected.size());
    return true;
}

}  // namespace

void encode_segment_header(const SegmentHeader& header, MutableBytes block) noexcept {
    KV_ASSERT(block.size() == segment_header_bytes);
    std::memset(block.data(), 0, block.size());
    std::byte* out = block.data();
    store_le<std::uint64_t>(out, segment_magic);
    store_le<std::uint16_t>(out + 8, segment_version);
    store_le<std::uint16_t>(out + 10, 0);
    store_le<std::uint32_t>(out + 12, header.core);
    store_le<std::uint64_t>(out + 16, header.store.high);
    store_le<std::uint64_t>(out + 24, header.store.low);
    store_le<std::uint64_t>(out + 32, header.generation);
    store_le<std::uint64_t>(out + 40, header.segment.value());
    store_le<std::uint64_t>(out + 48, header.first_lsn.value());
    store_le<std::uint64_t>(out + 56, header.epoch.value());
    store_le<std::uint64_t>(out + 64, header.predecessor.value());
    store_le<std::uint64_t>(out + 72, header.predecessor_end);
    store_le<std::uint64_t>(out + 80, header.previous);
    store_le<std::uint64_t>(out + 88, header.first_segment.value());
    store_le<std::uint64_t>(out + 96, header.segment_bytes);
    store_le<std::uint64_t>(out + checksum_at,
                            header_checksum(block, header.store, header.segment.value()));
}

Result<SegmentHeader> decode_segment_header(Bytes block) {
    if (block.size() < segment_header_bytes) return fail(Errc::truncated);
    const std::byte* in = block.data();
    if (load_le<std::uint64_t>(in) != segment_magic) {
        return fail(Errc::corrupt, "no segment header");
    }
    SegmentHeader header;
    header.store = StoreId{load_le<std::uint64_t>(in + 16), load_le<std::uint64_t>(in + 24)};
    header.segment = SegmentSeq(load_le<std::uint64_t>(in + 40));
    if (load_le<std::uint64_t>(in + checksum_at) !=
        header_checksum(block, header.store, header.segment.value())) {
        return fail(Errc::corrupt, "the checksum of a segment header disagrees");
    }
    const auto version = load_le<std::uint16_t>(in + 8);
    if (version != segment_version || load_le<std::uint16_t>(in + 10) != 0) {
        return fail(Errc::unsupported, fmt::format("WAL segment of version {}", version));
    }
    header.core = load_le<std::uint32_t>(in + 12);
    header.generation = load_le<std::uint64_t>(in + 32);
    header.first_lsn = Lsn(load_le<std::uint64_t>(in + 48));
    header.epoch = Epoch(load_le<std::uint64_t>(in + 56));
    header.predecessor = SegmentSeq(load_le<std::uint64_t>(in + 64));
    header.predecessor_end = load_le<std::uint64_t>(in + 72);
    header.previous = load_le<std::uint64_t>(in + 80);
    header.first_segment = SegmentSeq(load_le<std::uint64_t>(in + 88));
    header.segment_bytes = load_le<std::uint64_t>(in + 96);
    return header;
}

std::string SegmentFile::name() const {
    return fmt::format("g{:04}-c{:02}-{:06}.wal", generation, core, number);
}

std::optional<SegmentFile> SegmentFile::parse(std::string_view name) {
    SegmentFile file;
    std::uint64_t core = 0;
    std::string_view rest = name;
    if (!take_text(rest, "g") || !take_number(rest, file.generation) || !take_text(rest, "-c") ||
        !take_number(rest, core) || !take_text(rest, "-") || !take_number(rest, file.number) ||
        rest != ".wal" || core > 0xffff) {
        return std::nullopt;
    }
    file.core = static_cast<std::uint32_t>(core);
    if (file.name() != name) return std::nullopt;
    return file;
}

io::Task<Result<io::File>> open_segment(io::Reactor& reactor, std::string path, SyncMode mode,
                                        bool create) {
    std::uint32_t flags = io::open_write;
    if (create) flags |= io::open_create;
    if (mode == SyncMode::dsync) flags |= io::open_direct;
    co_return co_await io::File::open(reactor, std::move(path), flags);
}

io::Task<Status> fill_segment(io::Reactor& reactor, const io::File& file,
                              std::uint64_t segment_bytes) {
    KV_CO_CHECK(co_await file.allocate(segment_bytes));
    // Reserved is not enough: the first write to a reserved block is a journal transaction and a
    // second flush. Written zeros make every later write an overwrite in place.
    AlignedBuffer zeros(std::min<std::uint64_t>(fill_piece_bytes, segment_bytes));
    std::memset(zeros.data(), 0, zeros.capacity());
    for (std::uint64_t at = 0; at < segment_bytes; at += zeros.capacity()) {
        const auto bytes = std::min<std::uint64_t>(zeros.capacity(), segment_bytes - at);
        const MutableBytes piece = zeros.first(bytes);
        KV_CO_CHECK(co_await file.write_at(at, piece, false));
        co_await io::NextTurn(reactor);
    }
    co_return co_await file.sync();
}

}  // namespace kv::wal
