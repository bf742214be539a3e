#pragma once

/// Reads what a stopped node has on its disk as a start would, all of it, and changes nothing:
/// every batch, record and entry of a log, and every frame and key of a snapshot. Owner core only.

#include <map>

#include "engine/snapshot/reader.h"
#include "engine/wal/recovery.h"

namespace kv {

struct SnapshotCheck {
    snapshot::Head head;
    std::uint64_t bytes = 0;
};

/// Loads `directory`/`file` into a store of its own, which is then dropped: memory is that of one
/// shard. Errors: `damaged` (file, offset, reason); `foreign`; `not_found`, `io`.
io::Task<Result<SnapshotCheck>> check_snapshot(io::Reactor& reactor, std::string directory,
                                               snapshot::SnapshotFile file, StoreId store,
                                               std::uint64_t hash_secret);

struct LogCheck {
    wal::RecoveryReport report;
    std::uint64_t entries = 0;
    std::uint64_t entry_bytes = 0;
};

/// By group, the last entry that its newest snapshot includes.
using SnapshotIndexes = std::map<GroupId, Index>;

/// Reads the log that `options` describe. The entries of a group must follow each other and join
/// its snapshot, and a snapshot that the log relies on must be there. Errors: `damaged`, `foreign`,
/// with file and offset; `io`.
io::Task<Result<LogCheck>> check_log(io::Reactor& reactor, wal::WalOptions options,
                                     const SnapshotIndexes& snapshots);

}  // namespace kv
