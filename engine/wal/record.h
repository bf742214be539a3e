#pragma once

/// What a WAL segment is made of: batches, and the records in them. All integers little-endian.
///
/// A batch starts on a block boundary (4096 bytes), is written by one write, and fills whole
/// blocks; an acknowledged block is never written again before its segment is recycled.
///
///     0  u32  magic            "KVB1"
///     4  u16  version          1
///     6  u16  flags            BatchFlag
///     8  u64  store id, high
///    16  u64  store id, low
///    24  u64  segment          sequence number of the segment that holds it
///    32  u64  lsn              number of the batch in the log of this core, from 1, without gaps
///    40  u64  synced_lsn       every batch up to here was durable when this one was made
///    48  u64  epoch            life of the log: the boot that wrote it
///    56  u64  previous         `checksum` of the batch before; 0 for the first of a log
///    64  u32  payload_bytes    records, without padding
///    68  u32  records          how many
///    72  u64  payload_checksum XXH3-64 of everything behind the header, padding included, seeded
///    80  u64  first_segment    oldest segment that the log still needs
///    88  u64  checksum         XXH3-64 of bytes 0..87, seeded; being chained, it names the past
///    96  records, then zeros up to the next block boundary
///
/// The seed mixes store id, segment and file offset: a batch of an earlier use of a recycled file,
/// a misplaced write or a copied file never validates.
///
/// A record, aligned to 8 bytes within the batch:
///
///     0  u32  bytes            of the payload
///     4  u8   kind             RecordKind
///     5  u8   version          1
///     6  u16  flags            0
///     8  u64  group            0: the log itself
///    16  payload, then zeros up to a multiple of 8
///
/// A kind, version or flag that this version does not know stops the replica of its group.

#include <cstdint>
#include <string>

#include "io/op.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "proto/base/units.h"

namespace kv::wal {

enum BatchFlag : std::uint16_t {
    batch_marker = 1,  ///< no records of clients: proves what was synced (idle), or ends a life
    batch_clean = 2,   ///< with batch_marker: the log was stopped cleanly here
    // Others are of a newer version.
};

enum class RecordKind : std::uint8_t {
    /// One or more entries (proto/raft/entry.h), ascending; they replace any at or after the first.
    entries = 1,
    /// proto/raft/entry.h, HardState.
    hard_state = 2,
    /// u64 index, u64 term, u64 snapshot number: entries up to index are covered.
    snapshot_mark = 3,
    /// u64 index, u64 term: the group's log starts anew behind this position.
    log_reset = 4,
};

inline constexpr std::size_t batch_header_bytes = 96;
inline constexpr std::size_t record_header_bytes = 16;
inline constexpr std::uint32_t batch_magic = 0x3142564b;  // "KVB1"
inline constexpr std::uint16_t batch_version = 1;
inline constexpr std::uint8_t record_version = 1;

struct BatchHeader {
    std::uint16_t flags = 0;
    StoreId store;
    SegmentSeq segment;
    Lsn lsn;
    Lsn synced_lsn;
    Epoch epoch;
    std::uint64_t previous = 0;
    std::uint32_t payload_bytes = 0;
    std::uint32_t records = 0;
    std::uint64_t payload_checksum = 0;
    SegmentSeq first_segment;
    std::uint64_t checksum = 0;

    /// On disk: header, payload and padding.
    std::size_t total_bytes() const noexcept {
        return round_up(batch_header_bytes + payload_bytes, io::block_bytes);
    }
};

/// Where a batch begins.
struct BatchPlace {
    SegmentSeq segment;
    std::uint64_t offset = 0;
    bool operator==(const BatchPlace&) const noexcept = default;
};

struct Record {
    RecordKind kind = RecordKind::entries;
    GroupId group;
    Bytes payload;
};

/// Completes a batch in place: `batch` is a whole number of blocks with the records behind the room
/// for the header. Fills the padding, both checksums and the header; returns `checksum`.
std::uint64_t seal_batch(MutableBytes batch, BatchHeader header, std::uint64_t offset) noexcept;

/// The header at the front of `bytes`, which was read at `offset` of a segment of `store`. Its own
/// checksum has been verified with the segment it names; nothing is known of the payload.
/// Errors: `truncated`; `corrupt`; `unsupported`, a newer version or an unknown flag.
Result<BatchHeader> decode_batch_header(Bytes bytes, StoreId store, std::uint64_t offset);

/// The payload that belongs to `header`, verified; a view into `bytes`. Errors: `truncated`,
/// `corrupt`.
Result<Bytes> decode_batch_payload(Bytes bytes, const BatchHeader& header, std::uint64_t offset);

/// Appends one record to a batch under construction, whose size is a multiple of 8.
std::size_t record_bytes(std::size_t payload_bytes) noexcept;
void write_record(MutableBytes to, RecordKind kind, GroupId group, Bytes payload) noexcept;

/// Takes the record at the front of `payload` and moves `payload` behind it. Errors: `corrupt`;
/// `unsupported`, with the group in `out`.
Status take_record(Bytes& payload, Record& out);

}  // namespace kv::wal
