#pragma once

/// Who a data directory belongs to: the files `identity` and `members`, byte by byte. Both are
/// replaced as a whole (io::replace_file), so that a crash leaves the old one or the new one.
/// Pure; engine/node/data_directory.h reads and writes them.
///
/// identity, little-endian, 4096 bytes:
///
///     0  u64  magic         "KVSTORE1"
///     8  u16  version       2
///    10  u16  0
///    12  u32  shards        of the cluster; fixed when it was formed
///    16  u64  cluster id, high     24  u64  cluster id, low    zero while it is empty
///    32  u64  store id, high       40  u64  store id, low    random, made with the directory
///    48  u64  node id
///    56  u64  boot          one more at each start; the WAL's epoch
///    64  u64  hash secret   of the cluster; seeds the key hash
///    72  u64  features      bits that a reader must know; unknown ones are refused:
///                           1, of a cluster of several nodes
///    80  u64  generation    of the WAL files: one core count each
///    88  u32  cores
///    92  u32  membership    0 member, 1 empty, 2 forming; a cluster of one is a member at once
///    96  u64  segment       for each core: newest of its log when the node last became ready;
///                           0: it never did
///        zeros
///  4088  u64  checksum      XXH3-64 of bytes 0..4087
///
/// members, little-endian; written before the identity says `forming`, and without meaning until
/// then; a cluster of one has none:
///
///     0  u64  magic         "KVMEMBER"
///     8  u16  version       1
///    10  u16  pins          1 to 64
///    12  u32  bytes         of the configuration
///    16  u64  cluster id, high     24  u64  cluster id, low
///    32  configuration      proto/raft/configuration.h: as formed, with all store ids
///        for each pin, by ascending node id:
///        u64  node id       u64 high, u64 low of its store id
///        u64  checksum      XXH3-64 of everything before

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "proto/raft/configuration.h"

namespace kv {

/// What a data directory is in its cluster; engine/node/forming.h says how it changes. It only ever
/// goes forward, and only a member votes.
enum class Membership : std::uint8_t {
    member,   ///< of the cluster that `cluster` names, for good
    empty,    ///< has no cluster and has promised nothing
    forming,  ///< holds which nodes with which disks are to be it; has promised nothing yet
};
/// "member", "empty", "forming".
std::string_view name(Membership membership) noexcept;

struct Identity {
    StoreId cluster;  ///< clients never see it: the hash secret follows from it
    StoreId store;
    NodeId node;
    std::uint32_t shards = 0;
    std::uint64_t boot = 0;
    std::uint64_t hash_secret = 0;
    std::uint64_t features = 0;
    std::uint64_t generation = 1;
    Membership membership = Membership::member;
    std::vector<SegmentSeq> segments = std::vector<SegmentSeq>(1);  ///< by core

    std::uint16_t cores() const noexcept { return static_cast<std::uint16_t>(segments.size()); }
};

/// Bit of Identity::features: the node is one of several.
inline constexpr std::uint64_t feature_cluster = 1;

inline constexpr std::size_t identity_bytes = 4096;
/// Of a node.
inline constexpr std::uint16_t cores_max = 256;
std::string encode_identity(const Identity& identity);
/// Errors, with a sentence that says what to do: `damaged`; `foreign`, a newer version or an
/// unknown feature.
Result<Identity> decode_identity(std::string_view bytes, const std::string& path);

/// Which data directory a node has: another one under its id has lost what the first one promised.
struct Pin {
    NodeId node;
    StoreId store;
    bool operator==(const Pin&) const = default;
};

struct Members {
    StoreId cluster;
    /// As the cluster was formed: the first entry in the log of each shard, equal on all nodes.
    Configuration formed;
    std::vector<Pin> pins;  ///< of everybody in `formed`, and of whom DataDirectory::pin() added

    bool operator==(const Members&) const = default;
};

inline constexpr std::size_t pins_max = 64;
inline constexpr std::size_t members_bytes_max = std::size_t{128} << 10;
std::string encode_members(const Members& members);
/// Errors as decode_identity.
Result<Members> decode_members(std::string_view bytes, const std::string& path);

}  // namespace kv
