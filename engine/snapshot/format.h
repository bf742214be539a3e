#pragma once

/// A snapshot: one file with the whole state of one group at one position of its log,
/// <directory>/s<group>-<number>.snap, for instance s000007-00000000000000000042.snap. The number
/// is the index of the last entry that it includes: states of one group at one index are equal. A
/// snapshot is written under its name with .tmp behind it, synced, renamed, and the directory
/// synced: a file without .tmp is whole, and whatever is wrong with it is damage.
///
/// All integers little-endian. A file is a sequence of frames, each on a block boundary (4096):
///
///     0  u32  magic          "KVF1"
///     4  u16  section        SectionTag
///     6  u16  flags          FrameFlag
///     8  u32  payload_bytes  1..262112 behind the frame header, without padding
///    12  u32  number         of the frame in its file, from 0
///    16  u64  previous       `checksum` of the frame before; 0 for the first
///    24  u64  checksum       XXH3-64 of everything behind the frame header, padding included;
///                            seeded with the XXH3-64 of bytes 0..23, which is seeded with
///                            mix(store id, group, file offset): a misplaced frame or a copied file
///                            never validates
///    32  payload, then zeros up to the next block boundary
///
/// A frame is at most 262144 bytes. A section is one frame, except for `entries`: none or more. A
/// section that is unknown is passed over when it is not critical, and stops the replica when it
/// is. The sections of this version, in the order of the file:
///
///     1  head           critical
///            0  u64  magic       "KVSNAPSH"
///            8  u16  version     1
///           10  u16  flags       0
///           12  u32  0
///           16  u64  store id, high
///           24  u64  store id, low
///           32  u64  group
///           40  u64  index       of the last entry included
///           48  u64  term        of that entry
///           56  u64  time_ms     leader's time in that entry
///           64  u64  revision    of the shard
///           72  u64  keys        how many
///           80  u64  features    bits that a reader must know; none so far
///     2  slots          critical; of the shard: for each run u16 first, u16 last; ascending
///     3  configuration  critical; of the group (proto/raft/configuration.h)
///     4  sessions       critical; reserved, not written yet
///     5  entries        critical; the payloads of its frames together are the stream of
///                       engine/store/cut.h
///     6  end            critical; the last frame, where the file ends
///            0  u64  frames      before this one
///            8  u64  entries_bytes  of the payloads of all `entries`
///           16  u64  keys        as in the head
///
/// The chain of checksums up to a last frame that counts: a file that was cut or spliced never
/// passes.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "io/op.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "proto/base/units.h"

namespace kv::snapshot {

enum class SectionTag : std::uint16_t {
    head = 1,
    slots = 2,
    configuration = 3,
    sessions = 4,
    entries = 5,
    end = 6,
};

enum FrameFlag : std::uint16_t {
    frame_critical = 1,  ///< who does not know the section cannot read the file
};

inline constexpr std::size_t frame_header_bytes = 32;
inline constexpr std::size_t frame_bytes_max = std::size_t{256} << 10;
inline constexpr std::size_t payload_bytes_max = frame_bytes_max - frame_header_bytes;
inline constexpr std::size_t head_bytes = 88;
inline constexpr std::size_t end_bytes = 24;
inline constexpr std::uint16_t snapshot_version = 1;

/// What a snapshot is of.
struct Head {
    StoreId store;
    GroupId group;
    Index index;
    Term term;
    std::uint64_t time_ms = 0;
    Revision revision;
    std::uint64_t keys = 0;
    bool operator==(const Head&) const noexcept = default;
};

/// The totals of the last frame.
struct End {
    std::uint64_t frames = 0;
    std::uint64_t entries_bytes = 0;
    std::uint64_t keys = 0;
};

void encode_head(const Head& head, MutableBytes out) noexcept;
/// Errors: `corrupt`; `unsupported`, a newer version, or a feature that this one does not know.
Result<Head> decode_head(Bytes payload);
void encode_end(const End& end, MutableBytes out) noexcept;
Result<End> decode_end(Bytes payload);

/// Where the next frame of a file stands and what it must follow.
struct FramePosition {
    std::uint64_t offset = 0;
    std::uint32_t number = 0;
    std::uint64_t previous = 0;
};

struct Frame {
    std::uint16_t section = 0;
    bool critical = false;
    Bytes payload;
    std::uint64_t checksum = 0;
    std::size_t total_bytes = 0;  ///< header, payload and padding
};

constexpr std::size_t frame_total_bytes(std::size_t payload_bytes) noexcept {
    return round_up(frame_header_bytes + payload_bytes, io::block_bytes);
}

/// Completes a frame in place: `frame` has frame_total_bytes(payload_bytes), with the payload
/// behind the room for the header. Fills padding and header and moves `at` behind the frame.
void seal_frame(MutableBytes frame, std::size_t payload_bytes, SectionTag section, StoreId store,
                GroupId group, FramePosition& at) noexcept;

/// The frame at the front of `bytes`, verified; its payload views `bytes`. Moves `at` behind it.
/// Errors: `truncated`, `corrupt`; `unsupported`, a flag that this version does not know.
Result<Frame> decode_frame(Bytes bytes, StoreId store, GroupId group, FramePosition& at);

struct SnapshotFile {
    GroupId group;
    Index number;

    std::string name() const;
    /// Nothing when `name` is not a snapshot's.
    static std::optional<SnapshotFile> parse(std::string_view name);
    bool operator==(const SnapshotFile&) const noexcept = default;
};
inline constexpr std::string_view temporary_suffix = ".tmp";
/// In front of it: of one that arrives from another node.
inline constexpr std::string_view arriving_suffix = ".arriving";

}  // namespace kv::snapshot
