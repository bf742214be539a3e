#pragma once

/// The frames of a connection that carries a snapshot (purpose `snapshot`, proto/raft/handshake.h),
/// in this order. Sender and receiver may both have been there before: the receiver says from where
/// it wants the bytes. Payloads, little-endian:
///
///     begin   from the sender      u64 snapshot   names these very bytes: a receiver that has the
///                                                 front of others begins anew
///                                  u64 size
///                                  u32 configuration_bytes    u32 0
///                                  configuration              proto/raft/configuration.h
///                                  message                    the snapshot request
///     resume  from the receiver    u64 offset     what it has already; at most the size
///     chunk   from the sender      u64 offset     bytes: at least one
///     end     from the sender      u64 snapshot   as in begin: these were all bytes
///
/// What the bytes mean is engine/snapshot's; they bring their own checksums.

#include "proto/raft/configuration.h"
#include "proto/raft/frame.h"

namespace kv {

struct SnapshotBegin {
    std::uint64_t snapshot = 0;
    std::uint64_t size = 0;
    Configuration configuration;
    Message request;  ///< its body is a SnapshotRequest
};

struct SnapshotChunk {
    std::uint64_t offset = 0;
    Bytes bytes;  ///< views the frame; at most snapshot_chunk_bytes_max
};

inline constexpr std::size_t snapshot_chunk_bytes_max = frame_payload_bytes_max - 8;

/// Each appends one frame, not sealed yet. Error: `too_large`, a configuration beyond a frame.
Status encode_snapshot_begin(const SnapshotBegin& begin, std::string& out);
void encode_snapshot_resume(std::uint64_t offset, std::string& out);
void encode_snapshot_chunk(const SnapshotChunk& chunk, std::string& out);
void encode_snapshot_end(std::uint64_t checksum, std::string& out);

/// Errors of all: `corrupt`, also for a frame of another kind; `unsupported`.
Result<SnapshotBegin> decode_snapshot_begin(const Frame& frame, Route route);
Result<std::uint64_t> decode_snapshot_resume(const Frame& frame);
Result<SnapshotChunk> decode_snapshot_chunk(const Frame& frame);
Result<std::uint64_t> decode_snapshot_end(const Frame& frame);

}  // namespace kv
