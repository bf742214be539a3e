#include "engine/node/info.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "engine/node/session.h"
#include "proto/command_table.h"
#include "proto/request_check.h"

namespace kv {

namespace {

using Out = std::back_insert_iterator<std::string>;
using Cores = std::span<const CoreFacts>;

template <typename T>
void line(std::string& out, std::string_view name, const T& value) {
    fmt::format_to(Out(out), "{}:{}\r\n", name, value);
}

/// "1.50M", as Redis writes it.
std::string human_bytes(std::size_t bytes) {
    constexpr std::string_view units = "BKMGTP";
    if (bytes < 1024) return fmt::format("{}B", bytes);
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
    return fmt::format("{:.2f}{}", value, units[unit]);
}

std::string hex_of(StoreId id) {
    return fmt::format("{:016x}{:016x}", id.high, id.low);
}

/// f(core) of all cores together.
template <typename F>
auto sum(Cores cores, F&& f) {
    decltype(f(cores[0])) total{};
    for (const CoreFacts& core : cores) total += f(core);
    return total;
}
template <typename F>
bool any(Cores cores, F&& f) {
    return std::any_of(cores.begin(), cores.end(), f);
}
/// The same of a counter that Counters or WalCounters has.
std::uint64_t sum(Cores cores, std::uint64_t Counters::* counter) {
    return sum(cores, [&](const CoreFacts& core) { return core.counters.*counter; });
}
std::uint64_t sum(Cores cores, std::uint64_t wal::WalCounters::* counter) {
    return sum(cores, [&](const CoreFacts& core) { return core.wal.*counter; });
}

bool is_loading(Cores cores) {
    return any(cores, [](const CoreFacts& core) { return core.loading; });
}

std::uint64_t keys_of(Cores cores) {
    return sum(cores, [](const CoreFacts& core) {
        std::uint64_t keys = 0;
        for (const ShardFacts& shard : core.shards) keys += shard.keys;
        return keys;
    });
}

void add_server(const NodeFacts& node, Cores, std::string& out) {
    const ServerFacts& server = node.server;
    line(out, "redis_version", redis_version);
    line(out, "redis_mode", node.alone ? "standalone" : "cluster");
    line(out, "kv_version", KV_VERSION);
    line(out, "os", "Linux");
    line(out, "arch_bits", 64);
    line(out, "io_backend", server.backend);
    line(out, "process_id", server.process_id);
    line(out, "run_id", hex_of(server.store) + "00000000");
    line(out, "tcp_port", server.port);
    line(out, "server_time_usec", node.wall_ns / 1000);
    line(out, "uptime_in_seconds", node.uptime / 1s);
    line(out, "uptime_in_days", node.uptime / 24h);
    line(out, "node_id", server.node.value());
    line(out, "shards", server.shards);
    line(out, "cores", server.cores);
}

void add_clients(const NodeFacts& node, Cores cores, std::string& out) {
    line(out, "connected_clients", sum(cores, [](const CoreFacts& core) { return core.clients; }));
    line(out, "maxclients", node.connections_max);
    line(out, "blocked_clients", 0);
    line(out, "tracking_clients", 0);
    line(out, "stalled_clients_closed", sum(cores, &Counters::connections_stalled));
}

void add_memory(const NodeFacts& node, Cores, std::string& out) {
    const MemoryFacts& facts = node.memory;
    const auto both = [&](const std::string& name, std::uint64_t bytes) {
        line(out, name, bytes);
        line(out, name + "_human", human_bytes(bytes));
    };
    both("used_memory", facts.used());
    both("used_memory_rss", node.rss);
    both("used_memory_peak", node.memory_peak);
    both("used_memory_rss_peak", node.rss_peak);
    line(out, "used_memory_overhead", facts.overhead());
    line(out, "used_memory_dataset", facts.dataset);
    line(out, "used_memory_reserved", facts.reserved);
    line(out, "used_memory_being_freed", facts.flushed);
    line(out, "mem_wal_buffers", facts.log);
    line(out, "mem_pending_entries", facts.pending);
    line(out, "mem_clients", facts.clients);
    both("maxmemory", node.memory_max);
    line(out, "maxmemory_policy", "noeviction");
    const double ratio =
        facts.used() == 0 ? 1.0 : static_cast<double>(node.rss) / static_cast<double>(facts.used());
    line(out, "mem_fragmentation_ratio", fmt::format("{:.2f}", ratio));
    line(out, "mem_allocator", "slab");
}

void add_loading(const NodeFacts& node, Cores cores, std::string& out) {
    std::vector<LoadProgress> progress;
    for (const CoreFacts& core : cores) progress.push_back(core.load);
    const LoadEstimate estimate = estimate_load(progress, node.uptime);
    line(out, "loading_start_time", node.server.started_s);
    line(out, "loading_total_bytes", estimate.bytes_total);
    line(out, "loading_loaded_bytes", estimate.bytes_done);
    line(out, "loading_loaded_perc", fmt::format("{:.2f}", estimate.percent));
    line(out, "loading_eta_seconds", estimate.eta_s);
}

void add_snapshots(const NodeFacts& node, Cores cores, std::string& out) {
    const bool running = any(cores, [](const CoreFacts& core) {
        return core.snapshots.running || core.snapshots.asked;
    });
    const bool failed =
        any(cores, [](const CoreFacts& core) { return !core.snapshots.last_error.empty(); });
    Duration last{};
    for (const CoreFacts& core : cores) last = std::max(last, core.snapshots.last_duration);
    line(out, "rdb_changes_since_last_save", 0);
    line(out, "rdb_bgsave_in_progress", running ? 1 : 0);
    line(out, "rdb_last_save_time", last_save_s(node.server, cores));
    line(out, "rdb_last_bgsave_status", failed ? "err" : "ok");
    line(out, "snapshots_taken",
         sum(cores, [](const CoreFacts& core) { return core.snapshots.completed; }));
    line(out, "snapshots_given_up",
         sum(cores, [](const CoreFacts& core) { return core.snapshots.given_up; }));
    line(out, "snapshots_failed",
         sum(cores, [](const CoreFacts& core) { return core.snapshots.failures; }));
    line(out, "snapshot_last_ms", last / 1ms);
}

void add_persistence(const NodeFacts& node, Cores cores, std::string& out) {
    const bool loading = is_loading(cores);
    const bool read_only = any(cores, [](const CoreFacts& core) { return core.wal_read_only; });
    const bool dsync = !any(cores, [](const CoreFacts& core) { return !core.wal_dsync; });
    line(out, "loading", loading ? 1 : 0);
    if (loading) add_loading(node, cores, out);
    add_snapshots(node, cores, out);
    line(out, "aof_enabled", 1);
    line(out, "aof_rewrite_in_progress", 0);
    line(out, "aof_last_bgrewrite_status", "ok");
    line(out, "aof_last_write_status", read_only ? "err" : "ok");
    line(out, "wal_sync", dsync ? "dsync" : "fdatasync");
    line(out, "wal_read_only", read_only ? 1 : 0);
    line(out, "wal_segments", sum(cores, [](const CoreFacts& core) { return core.wal_segments; }));
    line(out, "wal_bytes", sum(cores, [](const CoreFacts& core) { return core.wal_bytes; }));
    line(out, "wal_batches", sum(cores, &wal::WalCounters::batches));
    line(out, "wal_records", sum(cores, &wal::WalCounters::records));
    line(out, "wal_written_bytes", sum(cores, &wal::WalCounters::bytes));
    line(out, "wal_rotations", sum(cores, &wal::WalCounters::rotations));
    line(out, "wal_idle_markers", sum(cores, &wal::WalCounters::markers));
    line(out, "wal_full_disk_alarms", sum(cores, &wal::WalCounters::full_disk_alarms));
}

void add_stats(const NodeFacts&, Cores cores, std::string& out) {
    const double rate = sum(cores, [](const CoreFacts& core) { return core.requests_per_second; });
    line(out, "total_connections_received", sum(cores, &Counters::connections_received));
    line(out, "total_commands_processed", sum(cores, &Counters::requests));
    line(out, "instantaneous_ops_per_sec", static_cast<std::uint64_t>(rate));
    line(out, "total_net_input_bytes", sum(cores, &Counters::bytes_in));
    line(out, "total_net_output_bytes", sum(cores, &Counters::bytes_out));
    line(out, "rejected_connections", sum(cores, &Counters::connections_rejected));
    line(out, "expired_keys", 0);
    line(out, "evicted_keys", 0);
    line(out, "keyspace_hits", sum(cores, &Counters::hits));
    line(out, "keyspace_misses", sum(cores, &Counters::misses));
    line(out, "commit_timeouts", sum(cores, &Counters::timeouts));
    line(out, "sends", sum(cores, &Counters::sends));
    line(out, "reactor_turns",
         sum(cores, [](const CoreFacts& core) { return core.reactor.turns; }));
    Duration cpu_max{};
    for (const CoreFacts& core : cores) cpu_max = std::max(cpu_max, core.reactor.cpu_max);
    line(out, "turn_cpu_max_us", cpu_max / 1us);
    line(out, "turns_over_2ms_cpu",
         sum(cores, [](const CoreFacts& core) { return core.reactor.cpu_long_turns; }));
}

void add_replication(const NodeFacts& node, Cores cores, std::string& out) {
    line(out, "role", "master");
    line(out, "connected_slaves", 0);
    line(out, "master_replid", hex_of(node.server.store) + "00000000");
    line(out, "master_repl_offset", sum(cores, &wal::WalCounters::batches));
}

void add_cpu(const NodeFacts& node, Cores, std::string& out) {
    line(out, "used_cpu_sys", node.cpu_system);
    line(out, "used_cpu_user", node.cpu_user);
}

/// Only how often: time is not measured for each.
void add_commandstats(const NodeFacts&, Cores cores, std::string& out) {
    for (const CommandRow& row : command_rows()) {
        if (row.verb == Verb::invalid) continue;
        const auto verb = static_cast<std::size_t>(row.verb);
        const auto calls =
            sum(cores, [&](const CoreFacts& core) { return core.counters.calls[verb]; });
        if (calls != 0) fmt::format_to(Out(out), "cmdstat_{}:calls={}\r\n", row.name, calls);
    }
}

/// A peer counts as connected when every core has a connection with it.
void add_cluster(const NodeFacts& node, Cores cores, std::string& out) {
    line(out, "cluster_enabled", node.alone ? 0 : 1);
    if (node.alone) return;
    std::uint64_t led = 0;
    std::uint64_t leaderless = 0;
    for (const CoreFacts& core : cores) {
        for (const ShardFacts& shard : core.shards) {
            led += shard.ready ? 1 : 0;
            leaderless += shard.leader == NodeId() ? 1 : 0;
        }
    }
    line(out, "cluster_shards_led", led);
    line(out, "cluster_shards_without_leader", leaderless);
    const std::vector<PeerFacts>& peers = cores.front().peers;
    const auto connected = [&](const PeerFacts& peer) {
        return std::ranges::all_of(cores, [&](const CoreFacts& core) {
            const auto same = std::ranges::find(core.peers, peer.node, &PeerFacts::node);
            return same != core.peers.end() && same->connected;
        });
    };
    line(out, "cluster_peers", peers.size());
    line(out, "cluster_peers_connected", std::ranges::count_if(peers, connected));
    for (const PeerFacts& peer : peers) {
        fmt::format_to(Out(out), "node{}:address={},connected={}\r\n", peer.node.value(),
                       peer.address, connected(peer) ? 1 : 0);
    }
}

void add_keyspace(const NodeFacts&, Cores cores, std::string& out) {
    const std::uint64_t keys = keys_of(cores);
    if (keys != 0) fmt::format_to(Out(out), "db0:keys={},expires=0,avg_ttl=0\r\n", keys);
}

void add_raft(const NodeFacts&, Cores cores, std::string& out) {
    struct Row {
        const ShardFacts* facts;
        std::size_t core;
    };
    std::vector<Row> rows;
    for (std::size_t core = 0; core < cores.size(); ++core) {
        for (const ShardFacts& shard : cores[core].shards) rows.push_back({&shard, core});
    }
    std::ranges::sort(rows, {}, [](const Row& row) { return row.facts->shard.value(); });
    for (const auto& [shard, core] : rows) {
        fmt::format_to(Out(out),
                       "shard{}:role={},term={},commit_index={},applied_index={},log_bytes={},"
                       "snapshot_index={},keys={},core={},leader={}\r\n",
                       shard->shard.value(), role_name(shard->role), shard->term.value(),
                       shard->commit.value(), shard->applied.value(), shard->log_bytes,
                       shard->snapshot.value(), shard->keys, core, shard->leader.value());
    }
}

/// "1us=10,2us=3": what is counted below each bound; the last class has none.
std::string class_counts(std::span<const std::uint64_t> classes) {
    std::string out;
    for (std::size_t i = 0; i < classes.size(); ++i) {
        if (classes[i] == 0) continue;
        if (!out.empty()) out.push_back(',');
        if (i + 1 == classes.size()) {
            fmt::format_to(Out(out), "more={}", classes[i]);
        } else {
            fmt::format_to(Out(out), "{}us={}", std::uint64_t{1} << i, classes[i]);
        }
    }
    return out;
}

double per(std::uint64_t amount, std::uint64_t count) {
    return count == 0 ? 0 : static_cast<double>(amount) / static_cast<double>(count);
}

void add_reactor(const NodeFacts&, Cores cores, std::string& out) {
    for (std::size_t i = 0; i < cores.size(); ++i) {
        const CoreFacts& core = cores[i];
        const auto& turns = core.reactor.busy_turns;
        const auto& syncs = core.wal.syncs.counts;
        fmt::format_to(Out(out),
                       "core{}:turns={},busy_us={},requests_per_turn={:.2f},batch_bytes={:.0f},"
                       "turn_p50_us={},turn_p99_us={},turn_max_us={},sync_p50_us={},"
                       "sync_p99_us={},sync_max_us={},messages_sent={},messages_received={},"
                       "doorbells={},full_rings={},sleeps={}\r\n",
                       i, core.reactor.turns, core.reactor.busy / 1us,
                       per(core.counters.requests, core.reactor.turns),
                       per(core.wal.bytes, core.wal.batches), class_bound(turns, 0.5),
                       class_bound(turns, 0.99), class_bound(turns, 1), class_bound(syncs, 0.5),
                       class_bound(syncs, 0.99), class_bound(syncs, 1), core.mailboxes.sent,
                       core.mailboxes.received, core.mailboxes.doorbells, core.mailboxes.full_rings,
                       core.mailboxes.sleeps);
        line(out, fmt::format("core{}_turns_below", i), class_counts(turns));
        line(out, fmt::format("core{}_syncs_below", i), class_counts(syncs));
    }
}

struct Section {
    std::string_view title;
    void (*add)(const NodeFacts& node, Cores cores, std::string& out);
    bool by_default = true;
};
/// Their order is that of Redis.
constexpr Section sections[] = {
    {"Server", add_server},    {"Clients", add_clients},
    {"Memory", add_memory},    {"Persistence", add_persistence},
    {"Stats", add_stats},      {"Replication", add_replication},
    {"CPU", add_cpu},          {"Commandstats", add_commandstats, false},
    {"Cluster", add_cluster},  {"Keyspace", add_keyspace},
    {"Raft", add_raft, false}, {"Reactor", add_reactor, false},
};

bool names(const Section& section, std::string_view wanted) {
    if (equals_ignoring_case(wanted, "all") || equals_ignoring_case(wanted, "everything")) {
        return true;
    }
    if (equals_ignoring_case(wanted, "default")) return section.by_default;
    return equals_ignoring_case(section.title, wanted);
}

}  // namespace

std::string render_info(const NodeFacts& node, std::span<const CoreFacts> cores,
                        std::span<const std::string_view> wanted) {
    std::string out;
    for (const Section& section : sections) {
        const bool is_wanted = wanted.empty()
                                   ? section.by_default
                                   : std::ranges::any_of(wanted, [&](std::string_view word) {
                                         return names(section, word);
                                     });
        if (!is_wanted) continue;
        if (!out.empty()) out += "\r\n";
        fmt::format_to(Out(out), "# {}\r\n", section.title);
        section.add(node, cores, out);
    }
    return out;
}

std::string_view role_name(consensus::Role role) noexcept {
    switch (role) {
        case consensus::Role::leader: return "leader";
        case consensus::Role::follower: return "follower";
        case consensus::Role::candidate:
        case consensus::Role::pre_candidate: return "candidate";
    }
    KV_UNREACHABLE();
}

std::int64_t last_save_s(const ServerFacts& server, std::span<const CoreFacts> cores) noexcept {
    std::uint64_t newest_ms = 0;
    for (const CoreFacts& core : cores) {
        newest_ms = std::max(newest_ms, core.snapshots.saved_ms);
        for (const ShardFacts& shard : core.shards) {
            newest_ms = std::max(newest_ms, shard.snapshot_ms);
        }
    }
    return newest_ms == 0 ? server.started_s : static_cast<std::int64_t>(newest_ms / 1000);
}

std::uint64_t class_bound(std::span<const std::uint64_t> classes, double share) noexcept {
    std::uint64_t all = 0;
    for (const std::uint64_t count : classes) all += count;
    if (all == 0) return 0;
    const double wanted = share * static_cast<double>(all);
    std::uint64_t below = 0;
    std::size_t i = 0;
    for (; i + 1 < classes.size(); ++i) {
        below += classes[i];
        if (static_cast<double>(below) >= wanted) break;
    }
    return std::uint64_t{1} << i;
}

LoadEstimate estimate_load(std::span<const LoadProgress> cores,
                           std::chrono::milliseconds elapsed) noexcept {
    LoadEstimate out;
    for (const LoadProgress& core : cores) {
        out.bytes_total += core.bytes_total + core.log_files_total;
        out.bytes_done += core.bytes_done + core.log_files_done;
    }
    out.bytes_total = std::max(out.bytes_total, out.bytes_done);
    if (out.bytes_done == 0) return out;
    const double share = static_cast<double>(out.bytes_done) / static_cast<double>(out.bytes_total);
    const double seconds = std::chrono::duration<double>(elapsed).count();
    out.percent = 100 * share;
    out.eta_s = std::max<std::int64_t>(1, static_cast<std::int64_t>(seconds / share - seconds));
    return out;
}

}  // namespace kv
