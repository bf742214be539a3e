#pragma once

/// The data directory of a node: who it belongs to, and that nobody else uses it.
///
///     <data_dir>/LOCK       locked while a process uses the directory
///     <data_dir>/identity   below; replaced as a whole at each start
///     <data_dir>/wal/       segments (engine/wal/segment.h)
///
/// The identity file, little-endian, 4096 bytes:
///
///     0  u64  magic         "KVSTORE1"
///     8  u16  version       2
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
///    96  u64  segment       for each core: newest of its log when the node last became ready;
///                           0: it never did
///        zeros
///  4088  u64  checksum      XXH3-64 of bytes 0..4087

#include <cstdint>
#include <string>
#include <vector>

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
    std::vector<SegmentSeq> segments = std::vector<SegmentSeq>(1);  ///< by core

    std::uint16_t cores() const noexcept { return static_cast<std::uint16_t>(segments.size()); }
};

inline constexpr std::size_t identity_bytes = 4096;
/// Of a node.
inline constexpr std::uint16_t cores_max = 256;
std::string encode_identity(const Identity& identity);
/// Errors: `damaged`; `foreign`, a newer version or an unknown feature.
Result<Identity> decode_identity(std::string_view bytes, const std::string& path);

class DataDirectory {
public:
    /// Makes the directory if there is none, locks it, reads its identity or makes a new one with
    /// `node`, `shards` and `cores`, and counts the start. An identity that was made with another
    /// number of cores keeps it: its log is to be brought into a new generation. Files of other
    /// generations are removed: a crash left them. Errors, each one sentence that says what to do:
    /// `locked`; `foreign`, another node id or version; `damaged`; `no_space`; `io`.
    io::Task<Status> open(io::Reactor& reactor, std::string path, NodeId node, std::uint32_t shards,
                          std::uint16_t cores);
    /// Locks a directory that is there and reads its identity; writes nothing. Errors: `locked`,
    /// `not_found`, `foreign`, `damaged`, `io`.
    io::Task<Status> open_to_look(io::Reactor& reactor, std::string path);
    /// Remembers that the logs have reached `segments`, by core: should one be gone at a later
    /// start, the log has lost acknowledged data.
    io::Task<Status> note_segments(io::Reactor& reactor, std::vector<SegmentSeq> segments);
    /// From now on the files of the next generation are the log, and those before it are removed.
    /// There is one log for each of `segments`. After an error either generation may be the log.
    io::Task<Status> note_generation(io::Reactor& reactor, std::vector<SegmentSeq> segments);
    io::Task<void> close();

    const Identity& identity() const noexcept { return identity_; }
    std::string wal_directory() const { return path_ + "/wal"; }
    std::string snapshot_directory() const { return path_ + "/snapshots"; }
    bool created() const noexcept { return created_; }

private:
    io::Task<Status> take(io::Reactor& reactor, NodeId node, std::uint32_t shards,
                          std::uint16_t cores);
    io::Task<Status> lock(io::Reactor& reactor, std::uint32_t open_flags);
    io::Task<Status> make_new(io::Reactor& reactor, NodeId node, std::uint32_t shards,
                              std::uint16_t cores);

    std::string path_;
    io::File lock_;
    Identity identity_;
    bool created_ = false;
};

}  // namespace kv
