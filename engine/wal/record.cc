#include "engine/wal/record.h"

#include <fmt/format.h>

#include "proto/base/checksum.h"
#include "proto/base/mutant.h"

namespace kv::wal {

namespace {

constexpr std::size_t checksum_at = 88;
constexpr std::size_t record_alignment = 8;
constexpr unsigned known_flags = batch_marker | batch_clean;

std::uint64_t batch_seed(StoreId store, SegmentSeq segment, std::uint64_t offset) noexcept {
    const std::uint64_t place = mutant(Mutant::m60_misplaced_accepted) ? 0 : offset;
    return mix_seed(mix_seed(store.high, store.low), mix_seed(segment.value(), place));
}

}  // namespace

std::uint64_t seal_batch(MutableBytes batch, BatchHeader header, std::uint64_t offset) noexcept {
    KV_ASSERT(batch.size() == header.total_bytes());
    const std::size_t end = batch_header_bytes + header.payload_bytes;
    std::memset(batch.data() + end, 0, batch.size() - end);
    const std::uint64_t seed = batch_seed(header.store, header.segment, offset);
    std::byte* out = batch.data();
    store_le<std::uint32_t>(out, batch_magic);
    store_le<std::uint16_t>(out + 4, batch_version);
    store_le<std::uint16_t>(out + 6, header.flags);
    store_le<std::uint64_t>(out + 8, header.store.high);
    store_le<std::uint64_t>(out + 16, header.store.low);
    store_le<std::uint64_t>(out + 24, header.segment.value());
    store_le<std::uint64_t>(out + 32, header.lsn.value());
    store_le<std::uint64_t>(out + 40, header.synced_lsn.value());
    store_le<std::uint64_t>(out + 48, header.epoch.value());
    store_le<std::uint64_t>(out + 56, header.previous);
    store_le<std::uint32_t>(out + 64, header.payload_bytes);
    store_le<std::uint32_t>(out + 68, header.records);
    store_le<std::uint64_t>(out + 72, checksum(batch.subspan(batch_header_bytes), seed));
    store_le<std::uint64_t>(out + 80, header.first_segment.value());
    const std::uint64_t sum = checksum(batch.first(checksum_at), seed);
    store_le<std::uint64_t>(out + checksum_at, sum);
    return sum;
}

Result<BatchHeader> decode_batch_header(Bytes bytes, StoreId store, std::uint64_t offset) {
    if (bytes.size() < batch_header_bytes) return fail(Errc::truncated);
    const std::byte* in = bytes.data();
    if (load_le<std::uint32_t>(in) != batch_magic) return fail(Errc::corrupt, "no batch here");
    BatchHeader header;
    header.segment = SegmentSeq(load_le<std::uint64_t>(in + 24));
    header.checksum = load_le<std::uint64_t>(in + checksum_at);
    const std::uint64_t seed = batch_seed(store, header.segment, offset);
    // Before any field counts.
    if (checksum(bytes.first(checksum_at), seed) != header.checksum) {
        return fail(Errc::corrupt, "the checksum of a batch header disagrees");
    }
    const auto version = load_le<std::uint16_t>(in + 4);
    header.flags = load_le<std::uint16_t>(in + 6);
    if (version != batch_version || (header.flags & ~known_flags) != 0) {
        return fail(Errc::unsupported,
                    fmt::format("WAL batch of version {}, flags {:#x}", version, header.flags));
    }
    header.store = StoreId{load_le<std::uint64_t>(in + 8), load_le<std::uint64_t>(in + 16)};
    header.lsn = Lsn(load_le<std::uint64_t>(in + 32));
    header.synced_lsn = Lsn(load_le<std::uint64_t>(in + 40));
    header.epoch = Epoch(load_le<std::uint64_t>(in + 48));
    header.previous = load_le<std::uint64_t>(in + 56);
    header.payload_bytes = load_le<std::uint32_t>(in + 64);
    header.records = load_le<std::uint32_t>(in + 68);
    header.payload_checksum = load_le<std::uint64_t>(in + 72);
    header.first_segment = SegmentSeq(load_le<std::uint64_t>(in + 80));
    return header;
}

Result<Bytes> decode_batch_payload(Bytes bytes, const BatchHeader& header, std::uint64_t offset) {
    if (bytes.size() < header.total_bytes()) return fail(Errc::truncated);
    const Bytes padded =
        bytes.subspan(batch_header_bytes, header.total_bytes() - batch_header_bytes);
    const std::uint64_t seed = batch_seed(header.store, header.segment, offset);
    if (checksum(padded, seed) != header.payload_checksum && !mutant(Mutant::m54_unchecked_batch)) {
        return fail(Errc::corrupt, "the checksum of a batch disagrees");
    }
    return padded.first(header.payload_bytes);
}

std::size_t record_bytes(std::size_t payload_bytes) noexcept {
    return round_up(record_header_bytes + payload_bytes, record_alignment);
}

void write_record(MutableBytes to, RecordKind kind, GroupId group, Bytes payload) noexcept {
    KV_ASSERT(to.size() == record_bytes(payload.size()));
    std::byte* out = to.data();
    store_le<std::uint32_t>(out, static_cast<std::uint32_t>(payload.size()));
    store_le<std::uint8_t>(out + 4, static_cast<std::uint8_t>(kind));
    store_le<std::uint8_t>(out + 5, record_version);
    store_le<std::uint16_t>(out + 6, 0);
    store_le<std::uint64_t>(out + 8, group.value());
    copy_exact(to.subspan(record_header_bytes), payload);
    const std::size_t end = record_header_bytes + payload.size();
    std::memset(out + end, 0, to.size() - end);
}

Status take_record(Bytes& payload, Record& out) {
    if (payload.size() < record_header_bytes) return fail(Errc::corrupt, "a record is cut off");
    const std::byte* in = payload.data();
    const std::size_t bytes = load_le<std::uint32_t>(in);
    const auto kind = load_le<std::uint8_t>(in + 4);
    const auto version = load_le<std::uint8_t>(in + 5);
    const auto flags = load_le<std::uint16_t>(in + 6);
    out.group = GroupId(load_le<std::uint64_t>(in + 8));
    if (payload.size() < record_bytes(bytes)) return fail(Errc::corrupt, "a record is cut off");
    out.payload = payload.subspan(record_header_bytes, bytes);
    payload = payload.subspan(record_bytes(bytes));
    if (kind < 1 || kind > 4 || version != record_version || flags != 0) {
        return fail(Errc::unsupported,
                    fmt::format("WAL record of kind {}, version {}, flags {:#x} for group {}", kind,
                                version, flags, out.group.value()));
    }
    out.kind = static_cast<RecordKind>(kind);
    return {};
}

}  // namespace kv::wal
