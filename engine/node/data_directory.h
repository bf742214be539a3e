#pragma once

/// The data directory of a node: who it belongs to, and that nobody else uses it.
///
///     <data_dir>/LOCK       locked while a process uses the directory
///     <data_dir>/identity   below; replaced as a whole at each start
///     <data_dir>/wal/       segments (engine/wal/segment.h)
///
/// The identity file, little-endian, 128 bytes:
///
///     0  u64  magic         "KVSTORE1"
///     8  u16  version       1
///    10  u16  0
///    12  u32  shards        of the cluster; fixed when it was formed
///    16  u64  cluster id, high     24  u64  cluster id, low
///    32  u64  store id, high       40  u64  store id, low    random, made with the directory
///    48  u64  node id
///    56  u64  boot          one more at each start; the WAL's epoch
///    64  u64  hash secret   of the cluster; seeds the key hash
///    72  u64  features      bits that a reader must know; unknown ones are refused
///    80  u64  generation    of the WAL files: one core count each
///    88  u32  cores
///    92  u32  0
///    96  u64  segment       newest of the log when the node last became ready; 0: it never did
///   104  zeros
///   120  u64  checksum      XXH3-64 of bytes 0..119

#include <cstdint>
#include <string>

#include "io/file.h"
#include "proto/base/ids.h"

namespace kv {

struct Identity {
    StoreId cluster;
    StoreId store;
    NodeId node;
    std::uint32_t shards = 0;
    std::uint64_t boot = 0;
    std::uint64_t hash_secret = 0;
    std::uint64_t features = 0;
    std::uint64_t generation = 1;
    std::uint32_t cores = 1;
    SegmentSeq segment;
};

inline constexpr std::size_t identity_bytes = 128;
std::string encode_identity(const Identity& identity);
/// Errors: `damaged`; `foreign`, a newer version or an unknown feature.
Result<Identity> decode_identity(std::string_view bytes, const std::string& path);

class DataDirectory {
public:
    /// Makes the directory if there is none, locks it, reads its identity or makes a new one with
    /// `node` and `shards`, and counts the start. Errors, each one sentence that says what to do:
    /// `locked`; `foreign`, another node id or version; `damaged`; `no_space`; `io`.
    io::Task<Status> open(io::Reactor& reactor, std::string path, NodeId node,
                          std::uint32_t shards);
    /// Remembers that the log has reached `segment`: should that be gone at a later start, the log
    /// has lost acknowledged data.
    io::Task<Status> note_segment(io::Reactor& reactor, SegmentSeq segment);
    io::Task<void> close();

    const Identity& identity() const noexcept { return identity_; }
    std::string wal_directory() const { return path_ + "/wal"; }
    std::string snapshot_directory() const { return path_ + "/snapshots"; }
    bool created() const noexcept { return created_; }

private:
    io::Task<Status> take(io::Reactor& reactor, NodeId node, std::uint32_t shards);
    io::Task<Status> make_new(io::Reactor& reactor, NodeId node, std::uint32_t shards);

    std::string path_;
    io::File lock_;
    Identity identity_;
    bool created_ = false;
};

}  // namespace kv
