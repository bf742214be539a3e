#pragma once

/// Segment files of a WAL: <directory>/g<generation>-c<core>-<number>.wal, preallocated and written
/// with zeros before use, then used again and again. `number` names the file for ever; which part
/// of the log it holds is told by the sequence number in its first block. All integers
/// little-endian:
///
///     0  u64  magic            "KVWALSEG"
///     8  u16  version          1
///    10  u16  flags            0
///    12  u32  core
///    16  u64  store id, high
///    24  u64  store id, low
///    32  u64  generation
///    40  u64  segment          sequence number of this use; never used twice
///    48  u64  first_lsn        the batch at offset 4096
///    56  u64  epoch            the boot that opened it
///    64  u64  predecessor      its sequence number; 0: this is the first of the log
///    72  u64  predecessor_end  where the predecessor's last batch ends; behind it all is void
///    80  u64  previous         checksum of that last batch; 0 for the first segment of a log
///    88  u64  first_segment    oldest segment that the log still needs
///    96  u64  segment_bytes    size of the file, which a crash does not change
///   104  zeros
///  4088  u64  checksum         XXH3-64 of bytes 0..4087, seeded with mix(store id, segment)
///
/// What files there may be:
///   after a clean stop   the segments of the log, each naming its predecessor, and spares
///   after a crash        the same; the newest segment may end in a torn batch, the header of a
///                        segment whose first write was under way may be torn
/// A segment is prepared under the name <segment>.tmp and gets its own when it is whole and
/// durable: a file that is too short is damage, whatever its header says.
///
/// A spare is a file that is not part of the log: never used (segment 0), or released. A released
/// segment is written to again, or removed, only when a batch that no longer needs it is durable
/// (first_segment). Recovery takes no notice of what is older than that, whatever it finds there: a
/// torn write in front of old batches, or some of the files and not others.

#include <cstdint>
#include <optional>
#include <string>

#include "io/aligned_buffer.h"
#include "io/file.h"
#include "proto/base/ids.h"

namespace kv::wal {

struct SegmentHeader {
    StoreId store;
    std::uint32_t core = 0;
    std::uint64_t generation = 1;
    SegmentSeq segment;
    Lsn first_lsn;
    Epoch epoch;
    SegmentSeq predecessor;
    std::uint64_t predecessor_end = 0;
    std::uint64_t previous = 0;
    SegmentSeq first_segment;
    std::uint64_t segment_bytes = 0;
};

inline constexpr std::size_t segment_header_bytes = io::block_bytes;
inline constexpr std::uint64_t segment_bytes_min = 4 * io::block_bytes;

void encode_segment_header(const SegmentHeader& header, MutableBytes block) noexcept;
/// Errors: `truncated`; `corrupt`, not a header or damaged; `unsupported`, a newer version. A
/// header of another store is decoded: whoever asks compares the store.
Result<SegmentHeader> decode_segment_header(Bytes block);

/// Which file a segment is in.
struct SegmentFile {
    std::uint64_t generation = 1;
    std::uint32_t core = 0;
    std::uint64_t number = 0;

    std::string name() const;
    /// Nothing when `name` is not a segment's.
    static std::optional<SegmentFile> parse(std::string_view name);
};

using io::AlignedBuffer;

/// How segment files are opened and made durable.
enum class SyncMode : std::uint8_t {
    dsync,      ///< direct writes with RWF_DSYNC: one operation, no kernel worker
    fdatasync,  ///< buffered writes, each followed by a sync
};

/// Opens a segment file for writing as `mode` needs it. Error `io` where direct access is refused.
io::Task<Result<io::File>> open_segment(io::Reactor& reactor, std::string path, SyncMode mode,
                                        bool create);

/// Zeros that are written at once when a segment is made. They are fresh memory each time, which
/// the kernel takes half a millisecond to back where its host is slow to give it.
inline constexpr std::size_t fill_piece_bytes = std::size_t{128} << 10;

/// Makes `file` a segment of `segment_bytes`: reserved, written with zeros, durable. Its name need
/// not be. Gives way between writes. Errors: `no_space`, `io`.
io::Task<Status> fill_segment(io::Reactor& reactor, const io::File& file,
                              std::uint64_t segment_bytes);

}  // namespace kv::wal
