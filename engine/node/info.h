#pragma once

/// INFO: what each core tells about itself (CoreFacts, copied on that core), and the text made of
/// what all of them tell. Pure.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "consensus/drive/transport.h"
#include "engine/node/memory.h"
#include "engine/node/services.h"
#include "engine/replica/snapshot_receiver.h"
#include "engine/replica/snapshot_sender.h"
#include "engine/replica/snapshots.h"
#include "io/mailboxes.h"
#include "io/reactor.h"
#include "proto/base/ids.h"

namespace kv {

/// What holds for the whole node.
struct ServerFacts {
    StoreId store;
    NodeId node;
    std::string data_dir;
    std::string backend;
    std::uint64_t process_id = 0;
    std::uint16_t port = 0;
    std::uint64_t boot = 0;
    std::uint16_t cores = 1;
    std::uint16_t shards = 1;
    std::int64_t started_s = 0;  ///< wall clock
};

/// One Raft group.
struct ShardFacts {
    ShardId shard;
    bool ready = false;
    consensus::Role role = consensus::Role::follower;
    NodeId leader;    ///< as far as this node knows; 0: nobody
    NodeId led_last;  ///< the newest leader that was known; 0: none since the start
    Term term;
    Index commit;
    Index applied;
    std::uint64_t log_bytes = 0;  ///< of entries since the newest snapshot
    Index snapshot;               ///< its last entry; 0: there is none
    std::uint64_t snapshot_ms = 0;
    std::uint64_t keys = 0;
    Index last;                 ///< of the log
    std::uint64_t pending = 0;  ///< commands that were taken and not yet applied
    std::uint64_t failed = 0;   ///< commands that were taken and came to nothing here
    std::uint64_t leader_changes = 0;
    /// Of the leader, for each other member.
    struct Follower {
        NodeId node;
        Index match;
        bool heard = false;  ///< within an election timeout
    };
    std::vector<Follower> followers;
};

/// Another member of the cluster, as one core sees it.
struct PeerFacts {
    NodeId node;
    std::string address;  ///< for clients
    bool connected = false;
    consensus::PeerTraffic traffic;
    DurationHistogram round_trips;
};

/// What one core knows, at one moment.
struct CoreFacts {
    bool loading = false;  ///< then shards and keys are not looked at
    LoadProgress load;
    std::uint64_t clients = 0;
    double requests_per_second = 0;
    Counters counters;
    std::vector<DurationHistogram> times;  ///< of commands, by verb
    CommandTimes::Recent recent;
    DurationHistogram commits;       ///< of entries
    std::vector<ShardFacts> shards;  ///< of this core
    std::vector<PeerFacts> peers;
    SnapshotFacts snapshots;  ///< without its shards
    SnapshotSender::Counters snapshots_sent;
    SnapshotReceiver::Counters snapshots_received;
    wal::WalCounters wal;
    bool wal_read_only = false;
    bool wal_dsync = false;
    std::uint64_t wal_segments = 0;
    std::uint64_t wal_bytes = 0;
    io::Reactor::Counters reactor;
    io::Mailboxes::Counters mailboxes;
};

/// Of the node, when INFO was asked.
struct NodeFacts {
    ServerFacts server;
    std::uint64_t connections_max = 0;
    std::int64_t wall_ns = 0;
    std::chrono::milliseconds uptime{};
    std::string cpu_system;  ///< seconds with six digits
    std::string cpu_user;
    MemoryFacts memory;  ///< of all cores
    std::uint64_t memory_peak = 0;
    std::uint64_t memory_max = 0;  ///< limits.maxmemory
    std::uint64_t rss = 0;
    std::uint64_t rss_peak = 0;
    bool alone = true;  ///< a cluster of one
};

/// The sections that `wanted` names, in any case and order; without any, and for "default", those
/// that every client may ask for often. "all" and "everything" add those that grow with shards,
/// cores and commands.
std::string render_info(const NodeFacts& node, std::span<const CoreFacts> cores,
                        std::span<const std::string_view> wanted);

/// "leader", "follower" or "candidate".
std::string_view role_name(consensus::Role role) noexcept;

/// Wall clock, seconds: since when everything that was acknowledged is in snapshots, too; the start
/// of the node when that was not yet asked or needed.
std::int64_t last_save_s(const ServerFacts& server, std::span<const CoreFacts> cores) noexcept;

/// The bound below which `share` of what was counted lies, of classes by powers of two: [0] counts
/// what is below 1, [i] what is below 2^i. 0: nothing was counted.
std::uint64_t class_bound(std::span<const std::uint64_t> classes, double share) noexcept;

/// How loading goes, over all cores.
struct LoadEstimate {
    std::uint64_t bytes_total = 0;
    std::uint64_t bytes_done = 0;
    double percent = 0;
    std::int64_t eta_s = 1;  ///< at least 1: clients wait that long before they ask again
};
LoadEstimate estimate_load(std::span<const LoadProgress> cores,
                           std::chrono::milliseconds elapsed) noexcept;

}  // namespace kv
