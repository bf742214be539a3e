#include "engine/node/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "proto/command_table.h"

namespace kv {

namespace {

/// Turns longer than that make clients of the core wait: from the class of 32.768 ms on.
constexpr std::size_t stall_class = 16;

/// Writes families of metrics: their name, then one sample for each set of labels.
class Writer {
public:
    void counter(std::string_view name, std::string_view help) { begin(name, "counter", help); }
    void gauge(std::string_view name, std::string_view help) { begin(name, "gauge", help); }
    void histogram(std::string_view name, std::string_view help) { begin(name, "histogram", help); }

    /// `labels`: as `shard="3"`; empty: none.
    template <typename Value>
    void sample(std::string_view labels, const Value& value) {
        line("", labels, value);
    }
    void sample(std::string_view labels, const DurationHistogram& durations) {
        std::uint64_t below = 0;
        const std::string comma = labels.empty() ? "" : ",";
        for (std::size_t i = 0; i + 1 < duration_classes; ++i) {
            below += durations.counts[i];
            const double bound = static_cast<double>(std::uint64_t{1} << i) / 1e6;
            line("_bucket", fmt::format("{}{}le=\"{}\"", labels, comma, bound), below);
        }
        below += durations.counts.back();
        line("_bucket", fmt::format("{}{}le=\"+Inf\"", labels, comma), below);
        line("_sum", labels, std::chrono::duration<double>(durations.sum).count());
        line("_count", labels, below);
    }
    std::string take() { return std::move(out_); }

private:
    void begin(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        fmt::format_to(std::back_inserter(out_), "# HELP kv_{0} {2}\n# TYPE kv_{0} {1}\n", name,
                       type, help);
    }
    template <typename Value>
    void line(std::string_view end, std::string_view labels, const Value& value) {
        const auto out = std::back_inserter(out_);
        if (labels.empty()) {
            fmt::format_to(out, "kv_{}{} {}\n", name_, end, value);
        } else {
            fmt::format_to(out, "kv_{}{}{{{}}} {}\n", name_, end, labels, value);
        }
    }
    std::string out_;
    std::string_view name_;
};

/// `value(core)` of each.
template <typename Value>
void by_core(Writer& out, const NodeView& view, Value value) {
    for (std::size_t i = 0; i < view.cores.size(); ++i) {
        out.sample(fmt::format("core=\"{}\"", i), value(view.cores[i]));
    }
}
template <typename Value>
void count_by_core(Writer& out, const NodeView& view, std::string_view name, std::string_view help,
                   Value value) {
    out.counter(name, help);
    by_core(out, view, value);
}

void add_node(Writer& out, const NodeView& view) {
    const NodeFacts& node = view.node;
    out.gauge("build_info", "1; the version is a label.");
    out.sample("version=\"" KV_VERSION "\"", 1);
    out.gauge("node_id", "Id of this node.");
    out.sample("", node.server.node.value());
    out.gauge("node_uptime_seconds", "Since the process serves or loads.");
    out.sample("", std::chrono::duration<double>(node.uptime).count());
    out.counter("node_boots_total", "How often its data directory was opened.");
    out.sample("", node.server.boot);
    out.gauge("node_loading", "1 while data are read from disk.");
    out.sample("", is_loading(view) ? 1 : 0);
    out.counter("process_cpu_seconds_total", "CPU time, with the kernel's part.");
    out.sample("mode=\"system\"", node.cpu_system);
    out.sample("mode=\"user\"", node.cpu_user);
    out.gauge("memory_used_bytes", "Data and buffers: what maxmemory is about.");
    out.sample("", node.memory.used());
    out.gauge("memory_dataset_bytes", "Of these, keys and values with their index.");
    out.sample("", node.memory.dataset);
    out.gauge("memory_peak_bytes", "The most that was used.");
    out.sample("", node.memory_peak);
    out.gauge("memory_max_bytes", "limits.maxmemory; 0: there is no limit.");
    out.sample("", node.memory_max);
    out.gauge("memory_resident_bytes", "Of the process, as the system says.");
    out.sample("", node.rss);
}

void add_clients(Writer& out, const NodeView& view) {
    out.gauge("clients_connected", "Clients that are connected.");
    by_core(out, view, [](const CoreFacts& core) { return core.clients; });
    out.gauge("clients_max", "client.connections_max.");
    out.sample("", view.node.connections_max);
    const auto count = [&](std::string_view name, std::string_view help,
                           std::uint64_t Counters::* counter) {
        count_by_core(out, view, name, help,
                      [&](const CoreFacts& core) { return core.counters.*counter; });
    };
    count("clients_accepted_total", "Connections, with those that were refused.",
          &Counters::connections_received);
    count("clients_rejected_total", "Connections beyond client.connections_max.",
          &Counters::connections_rejected);
    count("clients_stalled_total", "Connections closed because they took no replies.",
          &Counters::connections_stalled);
    count("clients_received_bytes_total", "From clients.", &Counters::bytes_in);
    count("clients_sent_bytes_total", "To clients.", &Counters::bytes_out);
    count("commands_timeouts_total", "Writes answered with outcome unknown, after commit_timeout.",
          &Counters::timeouts);
    count("keyspace_hits_total", "Reads that found their key.", &Counters::hits);
    count("keyspace_misses_total", "Reads that did not.", &Counters::misses);
}

/// Those that were ever used.
void add_commands(Writer& out, const NodeView& view) {
    const auto each = [&](auto sample) {
        for (const CommandRow& row : command_rows()) {
            const auto verb = static_cast<std::size_t>(row.verb);
            if (row.verb == Verb::invalid) continue;
            std::uint64_t calls = 0;
            for (const CoreFacts& core : view.cores) calls += core.counters.calls[verb];
            if (calls != 0) sample(fmt::format("cmd=\"{}\"", row.name), verb, calls);
        }
    };
    out.counter("commands_total", "Commands, by name.");
    each([&](const std::string& label, std::size_t, std::uint64_t calls) {
        out.sample(label, calls);
    });
    out.histogram("commands_duration_seconds", "From the receipt of a command to its reply.");
    each([&](const std::string& label, std::size_t verb, std::uint64_t) {
        DurationHistogram all;
        for (const CoreFacts& core : view.cores) {
            if (verb < core.times.size()) all.add(core.times[verb]);
        }
        out.sample(label, all);
    });
}

void add_reactor(Writer& out, const NodeView& view) {
    out.histogram("reactor_turn_duration_seconds",
                  "Turns of the loop without their wait; the rate of the sum is the utilization.");
    by_core(out, view, [](const CoreFacts& core) {
        return DurationHistogram{core.reactor.busy_turns, core.reactor.busy};
    });
    count_by_core(out, view, "reactor_stalls_total", "Turns of 33 ms and more.",
                  [](const CoreFacts& core) {
                      std::uint64_t stalls = 0;
                      for (std::size_t i = stall_class; i < duration_classes; ++i) {
                          stalls += core.reactor.busy_turns[i];
                      }
                      return stalls;
                  });
    count_by_core(out, view, "mailbox_sent_total", "Messages to other cores.",
                  [](const CoreFacts& core) { return core.mailboxes.sent; });
    count_by_core(out, view, "mailbox_full_total", "Messages that found no room at once.",
                  [](const CoreFacts& core) { return core.mailboxes.full_rings; });
}

void add_log(Writer& out, const NodeView& view) {
    out.histogram("wal_sync_duration_seconds", "From the start of a write of the log to its sync.");
    by_core(out, view, [](const CoreFacts& core) { return core.wal.syncs; });
    const auto count = [&](std::string_view name, std::string_view help,
                           std::uint64_t wal::WalCounters::* counter) {
        count_by_core(out, view, name, help,
                      [&](const CoreFacts& core) { return core.wal.*counter; });
    };
    count("wal_batches_total", "Writes of the log.", &wal::WalCounters::batches);
    count("wal_records_total", "Records in them.", &wal::WalCounters::records);
    count("wal_written_bytes_total", "Bytes of them.", &wal::WalCounters::bytes);
    count("wal_full_disk_alarms_total", "How often the disk was found full.",
          &wal::WalCounters::full_disk_alarms);
    out.gauge("wal_size_bytes", "What the log takes on disk.");
    by_core(out, view, [](const CoreFacts& core) { return core.wal_bytes; });
    out.gauge("wal_limit_bytes", "What the log and its spares may take; 0: no limit.");
    by_core(out, view, [](const CoreFacts& core) { return core.snapshots.log_limit; });
    out.gauge("wal_read_only", "1 while the disk is full and writes are refused.");
    by_core(out, view, [](const CoreFacts& core) { return core.wal_read_only ? 1 : 0; });
}

void add_snapshots(Writer& out, const NodeView& view) {
    const auto count = [&](std::string_view name, std::string_view help, auto value) {
        count_by_core(out, view, name, help, value);
    };
    count("snapshot_taken_total", "Snapshots of shards.",
          [](const CoreFacts& core) { return core.snapshots.completed; });
    count("snapshot_failures_total", "Snapshots that could not be written.",
          [](const CoreFacts& core) { return core.snapshots.failures; });
    count("snapshot_send_total", "Snapshots sent to other nodes.",
          [](const CoreFacts& core) { return core.snapshots_sent.sent; });
    count("snapshot_send_failures_total", "Transfers to other nodes that broke.",
          [](const CoreFacts& core) { return core.snapshots_sent.failed; });
    count("snapshot_send_bytes_total", "Of snapshots, to other nodes.",
          [](const CoreFacts& core) { return core.snapshots_sent.bytes; });
    count("snapshot_receive_total", "Snapshots of other nodes that were installed.",
          [](const CoreFacts& core) { return core.snapshots_received.installed; });
    count("snapshot_receive_failures_total", "Transfers from other nodes that broke.",
          [](const CoreFacts& core) { return core.snapshots_received.failed; });
    count("snapshot_receive_bytes_total", "Of snapshots, from other nodes.",
          [](const CoreFacts& core) { return core.snapshots_received.bytes; });
}

void add_shards(Writer& out, const NodeView& view) {
    const std::vector<ShardPlace> shards = shards_of(view);
    const auto each = [&](auto value) {
        for (const ShardPlace& place : shards) {
            out.sample(fmt::format("shard=\"{}\"", place.facts->shard.value()),
                       value(*place.facts));
        }
    };
    out.gauge("raft_has_leader", "1 when a leader of the shard is known.");
    each([](const ShardFacts& shard) { return shard.leader == NodeId() ? 0 : 1; });
    out.gauge("raft_is_leader", "1 when this node leads the shard, and may serve it.");
    each([](const ShardFacts& shard) { return shard.ready ? 1 : 0; });
    out.counter("raft_leader_changes_seen_total", "How often another leader was seen.");
    each([](const ShardFacts& shard) { return shard.leader_changes; });
    out.gauge("raft_term", "Term of the shard.");
    each([](const ShardFacts& shard) { return shard.term.value(); });
    out.counter("raft_proposals_committed_total", "Index of the last entry that is committed.");
    each([](const ShardFacts& shard) { return shard.commit.value(); });
    out.counter("raft_proposals_applied_total", "Index of the last entry that is applied.");
    each([](const ShardFacts& shard) { return shard.applied.value(); });
    out.gauge("raft_proposals_pending", "Commands that were taken and are not applied yet.");
    each([](const ShardFacts& shard) { return shard.pending; });
    out.counter("raft_proposals_failed_total",
                "Commands that were taken and lost their place, or of which nobody knows.");
    each([](const ShardFacts& shard) { return shard.failed; });
    out.gauge("raft_log_size_bytes", "Entries since the newest snapshot.");
    each([](const ShardFacts& shard) { return shard.log_bytes; });
    out.gauge("keyspace_keys", "Keys of the shard.");
    each([](const ShardFacts& shard) { return shard.keys; });
    out.histogram("raft_commit_duration_seconds",
                  "From the turn that took commands until they were applied; of entries.");
    by_core(out, view, [](const CoreFacts& core) { return core.commits; });
    out.gauge("raft_follower_lag_entries", "What a follower of this leader does not have yet.");
    for (const ShardPlace& place : shards) {
        for (const ShardFacts::Follower& follower : place.facts->followers) {
            out.sample(fmt::format("shard=\"{}\",peer=\"{}\"", place.facts->shard.value(),
                                   follower.node.value()),
                       place.facts->last.value() - follower.match.value());
        }
    }
}

void add_peers(Writer& out, const NodeView& view) {
    const std::vector<PeerFacts> peers = peers_of(view);
    const auto each = [&](auto value) {
        for (const PeerFacts& peer : peers) {
            out.sample(fmt::format("peer=\"{}\"", peer.node.value()), value(peer));
        }
    };
    out.gauge("peer_connected", "1 when every core has a connection with the node.");
    each([](const PeerFacts& peer) { return peer.connected ? 1 : 0; });
    out.histogram("peer_round_trip_seconds", "From a heartbeat to its answer.");
    each([](const PeerFacts& peer) { return peer.round_trips; });
    out.counter("peer_sent_bytes_total", "To the node, without snapshots.");
    each([](const PeerFacts& peer) { return peer.traffic.bytes_sent; });
    out.counter("peer_received_bytes_total", "From the node, without snapshots.");
    each([](const PeerFacts& peer) { return peer.traffic.bytes_received; });
    out.counter("peer_send_failures_total",
                "Messages dropped for want of a connection or of room.");
    each([](const PeerFacts& peer) { return peer.traffic.messages_dropped; });
}

}  // namespace

std::string render_metrics(const NodeView& view) {
    Writer out;
    add_node(out, view);
    add_clients(out, view);
    add_commands(out, view);
    add_reactor(out, view);
    add_log(out, view);
    add_snapshots(out, view);
    add_shards(out, view);
    add_peers(out, view);
    return out.take();
}

}  // namespace kv
