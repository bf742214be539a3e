#pragma once

/// The data directory of a node: who it belongs to, and that nobody else uses it.
///
///     <data_dir>/LOCK       locked while a process uses the directory
///     <data_dir>/identity   whose it is (engine/node/identity.h); replaced at each start
///     <data_dir>/members    of a cluster of several nodes: with whom (same header)
///     <data_dir>/wal/       segments (engine/wal/segment.h)
///     <data_dir>/snapshots/ snapshots (engine/snapshot/format.h)

#include <memory>
#include <string>
#include <vector>

#include "engine/node/identity.h"
#include "io/file.h"
#include "io/semaphore.h"

namespace kv {

/// Whether other nodes are listed beside this one.
enum class Company : std::uint8_t { alone, cluster };

class DataDirectory {
public:
    /// Makes the directory if there is none, locks it, reads its identity or makes a new one with
    /// `node`, `shards` and `cores`, and counts the start. A new one that is alone is the member of
    /// a cluster of its own at once; one of several is empty until form(). An identity that was
    /// made with another number of cores keeps it: its log is to be brought into a new generation.
    /// Files of other generations are removed: a crash left them. Errors, each one sentence that
    /// says what to do: `locked`; `foreign`, another node id, version or company; `damaged`;
    /// `no_space`; `io`.
    io::Task<Status> open(io::Reactor& reactor, std::string path, NodeId node, std::uint32_t shards,
                          std::uint16_t cores, Company company = Company::alone);
    /// Locks a directory that is there and reads its identity; writes nothing. Errors: `locked`,
    /// `not_found`, `foreign`, `damaged`, `io`.
    io::Task<Status> open_to_look(io::Reactor& reactor, std::string path);
    /// The empty directory is to be part of `cluster` with the others of `formed`, whose stores it
    /// pins. Durable on return; after an error it may or may not be. `formed` has this node.
    io::Task<Status> form(StoreId cluster, Configuration formed);
    /// What is forming has formed: from now on this node votes. As durable as form().
    io::Task<Status> become_member();
    /// Pins the store of a node that came later. Durable on return. Errors: `foreign`, another one
    /// is pinned; `too_large`, pins_max are; `no_space`, `io`: nothing is pinned yet.
    io::Task<Status> pin(NodeId node, StoreId store);
    /// The one store under which `node` may take part; nothing: none was pinned.
    std::optional<StoreId> pinned(NodeId node) const noexcept;
    /// Of a directory that is forming or member of a cluster of several nodes; else without any.
    const Members& members() const noexcept { return members_; }

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
    /// The directory is one of several nodes', whatever its membership.
    bool is_of_cluster() const noexcept { return (identity_.features & feature_cluster) != 0; }

private:
    io::Task<Status> take(io::Reactor& reactor, NodeId node, std::uint32_t shards,
                          std::uint16_t cores, Company company);
    io::Task<Status> read_members();
    io::Task<Status> pin_alone(NodeId node, StoreId store);
    /// Makes `identity` durable, and then the one in force.
    io::Task<Status> write_identity(Identity identity);
    io::Task<Status> lock(io::Reactor& reactor, std::uint32_t open_flags);
    io::Task<Status> make_new(io::Reactor& reactor, NodeId node, std::uint32_t shards,
                              std::uint16_t cores, Company company);

    io::Reactor* reactor_ = nullptr;
    std::string path_;
    io::File lock_;
    Identity identity_;
    Members members_;
    std::unique_ptr<io::Semaphore> one_pin_;  ///< at a time: each replaces the file
    bool created_ = false;
};

}  // namespace kv
