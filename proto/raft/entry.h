#pragma once

/// One Raft log entry. Its bytes are made once, by the leader, and go as they are into the WAL, to
/// the peers and into the apply loop. Little-endian, unaligned:
///
///     0  u64  term
///     8  u64  index          of the group's log; the first entry is 1
///    16  u64  time_ms        leader's time: max(wall clock, last stamp of the group), since 1970
///    24  u8   kind           EntryKind; an unknown kind stops the replica
///    25  u8   version        of the payload's format; 1
///    26  u16  flags          0; an unknown flag stops the replica
///    28  u32  payload_bytes
///    32  u64  checksum       XXH3-64 of bytes 0..31, seeded with mix(payload's XXH3-64, group)
///    40  payload             noop: empty; commands: proto/command_codec.h, back to back;
///                            configuration: proto/raft/configuration.h

#include <cstdint>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace kv {

enum class EntryKind : std::uint8_t {
    noop = 1,
    commands = 2,
    configuration = 3,
};

/// A place in the log of a group. Positions compare as Raft compares logs: by term, then index.
struct LogPosition {
    Term term;
    Index index;
    constexpr auto operator<=>(const LogPosition&) const noexcept = default;
};

inline constexpr std::size_t entry_header_bytes = 40;
inline constexpr std::uint8_t entry_version = 1;

/// A decoded entry; `payload` and `bytes` view the memory it was decoded from.
struct Entry {
    Term term;
    Index index;
    std::uint64_t time_ms = 0;
    EntryKind kind = EntryKind::noop;
    Bytes payload;
    Bytes bytes;  ///< the whole entry, header included
};

/// Writes the header into the first entry_header_bytes of `entry`, whose payload follows already.
void seal_entry(MutableBytes entry, GroupId group, Term term, Index index, std::uint64_t time_ms,
                EntryKind kind) noexcept;

/// Decodes the entry at the front of `bytes`. Errors: `truncated`; `corrupt`, the checksum
/// disagrees; `unsupported`, an unknown kind, version or flag.
Result<Entry> decode_entry(Bytes bytes, GroupId group);

/// The entry that `bytes` hold and seal_entry() made in this process: nothing is verified again.
Entry view_entry(Bytes bytes) noexcept;

/// What a node must remember of a group besides its entries (Raft, figure 2: persistent state).
/// Little-endian in the WAL: u64 term, u64 vote, u64 commit.
struct HardState {
    Term term;
    NodeId vote;   ///< 0: none in this term
    Index commit;  ///< known committed; a lower bound, never relied on to be recent
    bool operator==(const HardState&) const noexcept = default;
};

inline constexpr std::size_t hard_state_bytes = 24;
void encode_hard_state(const HardState& state, MutableBytes out) noexcept;
Result<HardState> decode_hard_state(Bytes bytes);

}  // namespace kv
