#include "engine/node/config_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <utility>

#include "engine/node/config_value.h"
#include "proto/base/assert.h"

namespace kv {

namespace {

template <typename T>
std::int64_t to_number(const T& value) noexcept {
    if constexpr (std::same_as<T, Duration>)
        return value.count();
    else if constexpr (std::same_as<T, NodeId>)
        return static_cast<std::int64_t>(value.value());
    else
        return static_cast<std::int64_t>(value);
}

template <typename T>
void from_number(std::int64_t number, T& value) noexcept {
    if constexpr (std::same_as<T, NodeId>)
        value = NodeId(static_cast<NodeId::Value>(number));
    else
        value = static_cast<T>(number);
}

/// A row for a number; `access` is a lambda that names the member. The row's bounds fit its type.
template <typename Target, typename Access>
constexpr ConfigRow<Target> number_key(ConfigRow<Target> row, Access) {
    row.number = [](const Target& target) { return to_number(Access{}(target)); };
    row.set_number = [](Target& target, std::int64_t value) {
        auto& member = Access{}(target);
        from_number(value, member);
        KV_ASSERT(to_number(member) == value, "a bound is wider than its member: {}", value);
    };
    return row;
}
template <typename Target, typename Access>
constexpr ConfigRow<Target> text_key(ConfigRow<Target> row, Access) {
    row.text = [](const Target& target) -> const std::string& { return Access{}(target); };
    row.set_text = [](Target& target, const std::string& value) { Access{}(target) = value; };
    return row;
}

constexpr std::string_view line_protocols[] = {"auto", "text", "resp"};
constexpr std::string_view on_follower_modes[] = {"auto", "redirect", "forward"};
constexpr std::string_view read_modes[] = {"linearizable", "lease", "local"};
constexpr std::string_view wal_syncs[] = {"auto", "dsync", "fdatasync"};
constexpr std::string_view log_levels[] = {"trace", "debug",    "info", "warn",
                                           "error", "critical", "off"};
constexpr std::string_view leader_places[] = {"spread", "together"};
constexpr std::string_view no_yes[] = {"no", "yes"};
constexpr std::string_view log_formats[] = {"logfmt", "json"};

constexpr std::int64_t ns(Duration duration) {
    return duration.count();
}
constexpr std::int64_t bytes(std::size_t size) {
    return static_cast<std::int64_t>(size);
}

#define KV_MEMBER(member) [](auto& target) -> auto& { return target.member; }

constexpr ConfigRow<Config> config_rows[] = {
    number_key<Config>({.name = "reads",
                        .meaning = "How reads are answered. linearizable: never stale, also after "
                                   "a change of leader. local:\nby any node from what it has, "
                                   "which may be old. lease is refused: it is not available yet.",
                        .kind = ConfigKind::choice,
                        .choices = read_modes},
                       KV_MEMBER(reads)),
    number_key<Config>({.name = "commit_timeout",
                        .meaning = "A write that is not known durable after this time is answered "
                                   "with \"outcome unknown\".",
                        .kind = ConfigKind::duration,
                        .min = ns(10ms),
                        .max = ns(10min)},
                       KV_MEMBER(commit_timeout)),
    number_key<Config>({.name = "node.id",
                        .meaning = "Number of this node. The data directory remembers it and is "
                                   "refused under another one.",
                        .kind = ConfigKind::integer,
                        .min = 1,
                        .max = 4'294'967'295},
                       KV_MEMBER(node.id)),
    text_key<Config>(
        {.name = "node.data_dir",
         .meaning = "Directory for everything that is kept; made when it is not there. "
                    "One process at a time.",
         .kind = ConfigKind::text,
         .min = 1,
         .max = 4096},
        KV_MEMBER(node.data_dir)),
    text_key<Config>({.name = "client.bind",
                      .meaning = "Address to listen on. There is no authentication yet: anything "
                                 "but loopback is open to its network.",
                      .kind = ConfigKind::address},
                     KV_MEMBER(client.bind)),
    number_key<Config>({.name = "client.port",
                        .meaning = "TCP port for clients of all protocols; 0 lets the system "
                                   "choose, the log tells which.",
                        .kind = ConfigKind::integer,
                        .min = 0,
                        .max = 65'535},
                       KV_MEMBER(client.port)),
    number_key<Config>({.name = "client.line_protocol",
                        .meaning = "What a first line that is not RESP and not binary belongs to. "
                                   "auto: ended by CRLF it is\na RESP inline command, by LF alone "
                                   "the text protocol.",
                        .kind = ConfigKind::choice,
                        .choices = line_protocols},
                       KV_MEMBER(client.line_protocol)),
    number_key<Config>({.name = "client.on_follower",
                        .meaning = "What a node of a cluster does with a request for a key that "
                                   "another node leads. redirect:\nit says where to go. forward: "
                                   "it asks that node and answers in its place. auto: forward,\n"
                                   "for RESP clients that never ask where shards are; else "
                                   "redirect.",
                        .kind = ConfigKind::choice,
                        .choices = on_follower_modes},
                       KV_MEMBER(client.on_follower)),
    number_key<Config>({.name = "client.connections_max",
                        .meaning = "Open client connections; further ones are refused, with "
                                   "a line in the log.",
                        .kind = ConfigKind::integer,
                        .min = 1,
                        .max = 1'000'000},
                       KV_MEMBER(client.connections_max)),
    number_key<Config>({.name = "client.stall_timeout",
                        .meaning = "A client that has replies waiting and takes no byte for this "
                                   "long is closed.",
                        .kind = ConfigKind::duration,
                        .min = ns(100ms),
                        .max = ns(24h)},
                       KV_MEMBER(client.stall_timeout)),
    number_key<Config>({.name = "client.output_pause_bytes",
                        .meaning = "Replies not yet taken by a client at which its requests are no "
                                   "longer read.",
                        .kind = ConfigKind::bytes,
                        .min = bytes(64_KiB),
                        .max = bytes(1_GiB)},
                       KV_MEMBER(client.output_pause_bytes)),
    number_key<Config>({.name = "client.pipeline_max",
                        .meaning = "Requests of one connection in work at a time; reading pauses "
                                   "beyond it, nothing is dropped.",
                        .kind = ConfigKind::integer,
                        .min = 1,
                        .max = 65'536},
                       KV_MEMBER(client.pipeline_max)),
    number_key<Config>({.name = "client.pipeline_bytes_max",
                        .meaning = "The same in bytes of requests. A single longer request is "
                                   "served alone.",
                        .kind = ConfigKind::bytes,
                        .min = bytes(4_KiB),
                        .max = bytes(1_GiB)},
                       KV_MEMBER(client.pipeline_bytes_max)),
    number_key<Config>({.name = "cluster.shards",
                        .meaning = "Parts into which the keys are divided. Stored with the data: "
                                   "it holds for a new directory only.",
                        .kind = ConfigKind::integer,
                        .min = 1,
                        .max = 1024},
                       KV_MEMBER(cluster.shards)),
    number_key<Config>({.name = "cluster.leaders",
                        .meaning = "Where the shards of a cluster have their leaders while all "
                                   "nodes are well. spread: each node leads as many as another; "
                                   "together: one node leads all, which is what clients expect "
                                   "that follow a redirect for good. Equal on all nodes.",
                        .kind = ConfigKind::choice,
                        .choices = leader_places},
                       KV_MEMBER(cluster.leaders)),
    text_key<Config>({.name = "peer.bind",
                      .meaning = "Address to listen on for the other nodes of the cluster; a "
                                 "cluster of one does not.",
                      .kind = ConfigKind::address},
                     KV_MEMBER(peer.bind)),
    number_key<Config>({.name = "peer.port",
                        .meaning = "TCP port for the other nodes; the one that [[cluster.nodes]] "
                                   "has for this node.",
                        .kind = ConfigKind::integer,
                        .min = 1,
                        .max = 65'535},
                       KV_MEMBER(peer.port)),
    number_key<Config>({.name = "peer.insecure",
                        .meaning = "Whether nodes may talk over anything but loopback, where "
                                   "nothing is encrypted and nobody proves who he is yet: true "
                                   "only on a network that nobody else can reach.",
                        .kind = ConfigKind::boolean,
                        .min = 0,
                        .max = 1},
                       KV_MEMBER(peer.insecure)),
    text_key<Config>({.name = "admin.bind",
                      .meaning = "Address to listen on for metrics, health checks and the page of "
                                 "the cluster. Whoever\nreaches it reads them; nothing can be "
                                 "changed there.",
                      .kind = ConfigKind::address},
                     KV_MEMBER(admin.bind)),
    number_key<Config>({.name = "admin.port",
                        .meaning = "TCP port for them, HTTP; 0: there is none.",
                        .kind = ConfigKind::integer,
                        .min = 0,
                        .max = 65'535},
                       KV_MEMBER(admin.port)),
    number_key<Config>({.name = "raft.heartbeat_interval",
                        .meaning = "How often a leader shows the other nodes that it lives.",
                        .kind = ConfigKind::duration,
                        .min = ns(10ms),
                        .max = ns(10s)},
                       KV_MEMBER(raft.heartbeat_interval)),
    number_key<Config>({.name = "raft.election_timeout",
                        .meaning = "Without a heartbeat for this long, or a random time up to "
                                   "twice that, a node asks to lead. At least four of "
                                   "raft.heartbeat_interval; more than the longest round trip "
                                   "between nodes.",
                        .kind = ConfigKind::duration,
                        .min = ns(40ms),
                        .max = ns(100s)},
                       KV_MEMBER(raft.election_timeout)),
    number_key<Config>({.name = "raft.transfer_bytes_per_second",
                        .meaning = "How fast each core sends a snapshot to a node that is too far "
                                   "behind for the log; it also\nwaits while the core's disk is "
                                   "slow, and is up to four times as fast when the log that the\n"
                                   "node needs next is getting too long to be kept.",
                        .kind = ConfigKind::bytes,
                        .min = bytes(64_KiB),
                        .max = bytes(64_GiB)},
                       KV_MEMBER(raft.transfer_bytes_per_second)),
    number_key<Config>({.name = "limits.value_bytes_max",
                        .meaning = "Longest value. Also at most a quarter of wal.segment_bytes.",
                        .kind = ConfigKind::bytes,
                        .min = 1,
                        .max = bytes(8_MiB)},
                       KV_MEMBER(limits.value_bytes_max)),
    number_key<Config>({.name = "limits.request_bytes_max",
                        .meaning = "Longest request, all its keys and values together. At least "
                                   "limits.value_bytes_max and 65 KiB.",
                        .kind = ConfigKind::bytes,
                        .min = bytes(64_KiB),
                        .max = bytes(64_MiB)},
                       KV_MEMBER(limits.request_bytes_max)),
    number_key<Config>({.name = "limits.reply_bytes_max",
                        .meaning = "Bytes that one MGET or KEYS may answer; with more it is an "
                                   "error.",
                        .kind = ConfigKind::bytes,
                        .min = bytes(64_KiB),
                        .max = bytes(1_GiB)},
                       KV_MEMBER(limits.reply_bytes_max)),
    number_key<Config>({.name = "limits.keys_reply_max",
                        .meaning = "Keys that one KEYS may answer; with more it is an error.",
                        .kind = ConfigKind::integer,
                        .min = 1,
                        .max = 100'000'000},
                       KV_MEMBER(limits.keys_reply_max)),
    number_key<Config>({.name = "limits.maxmemory",
                        .meaning = "Memory for data and buffers of all cores, used_memory in INFO; "
                                   "beyond it, commands that may need\nmore are refused, reading "
                                   "and deleting goes on. 0: no limit.",
                        .kind = ConfigKind::bytes,
                        .min = 0,
                        .max = config_int_max},
                       KV_MEMBER(limits.maxmemory)),
    number_key<Config>({.name = "wal.segment_bytes",
                        .meaning = "Size of one file of the write-ahead log. Each is allocated "
                                   "whole before it is used.",
                        .kind = ConfigKind::bytes,
                        .min = bytes(16_KiB),
                        .max = bytes(256_MiB),
                        .multiple = 4096},
                       KV_MEMBER(wal.segment_bytes)),
    number_key<Config>(
        {.name = "wal.sync",
         .meaning = "How a write is made durable before its reply. dsync: with the "
                    "write itself; fdatasync: by a\ncall after it; auto: dsync where "
                    "the file system takes it. All three are equally safe.",
         .kind = ConfigKind::choice,
         .choices = wal_syncs},
        KV_MEMBER(wal.sync)),
    number_key<Config>({.name = "wal.batch_bytes_max",
                        .meaning = "Writes gathered for one sync. Also at most a quarter of "
                                   "wal.segment_bytes, and at\nleast 96 bytes for each of "
                                   "cluster.shards.",
                        .kind = ConfigKind::bytes,
                        .min = bytes(4_KiB),
                        .max = bytes(64_MiB),
                        .multiple = 4096},
                       KV_MEMBER(wal.batch_bytes_max)),
    number_key<Config>({.name = "wal.bytes_max",
                        .meaning = "Room for all segments, beyond which writes are refused; at "
                                   "half of it snapshots shorten the\nlog. 0: twice the data in "
                                   "memory, and the more of 16 segments and four times "
                                   "snapshot.wal_bytes.",
                        .kind = ConfigKind::bytes,
                        .min = 0,
                        .max = config_int_max},
                       KV_MEMBER(wal.bytes_max)),
    number_key<Config>({.name = "snapshot.wal_bytes",
                        .meaning = "A shard has a snapshot when its entries since the last one "
                                   "take this much of the log, or as\nmuch as its data take of "
                                   "memory if that is more.",
                        .kind = ConfigKind::bytes,
                        .min = bytes(4_KiB),
                        .max = bytes(1024_GiB)},
                       KV_MEMBER(snapshot.wal_bytes)),
    number_key<Config>({.name = "snapshot.interval_entries",
                        .meaning = "Or when there are so many of them, each with the writes of one "
                                   "turn; 0: any number.",
                        .kind = ConfigKind::integer,
                        .min = 0,
                        .max = config_int_max},
                       KV_MEMBER(snapshot.interval_entries)),
    number_key<Config>({.name = "reactor.cores",
                        .meaning = "Threads that serve, each with its own part of the shards; 0: "
                                   "one for each CPU of reactor.cpus. May change from start to "
                                   "start: the log is then brought into a new form first.",
                        .kind = ConfigKind::integer,
                        .min = 0,
                        .max = 256},
                       KV_MEMBER(reactor.cores)),
    text_key<Config>({.name = "reactor.cpus",
                      .meaning = "CPUs that these threads are bound to, in order, as a list like "
                                 "\"0-3,6\". auto: those that the process may use, if there are "
                                 "enough of them. none: the scheduler chooses.",
                      .kind = ConfigKind::text,
                      .min = 1,
                      .max = 4096},
                     KV_MEMBER(reactor.cpus)),
    number_key<Config>({.name = "reactor.poll_us",
                        .meaning = "Microseconds that an idle event loop looks for work before it "
                                   "sleeps. Costs CPU, saves wake-up time.",
                        .kind = ConfigKind::integer,
                        .min = 0,
                        .max = 100'000},
                       KV_MEMBER(reactor.poll_us)),
    number_key<Config>({.name = "reactor.measure_cpu",
                        .meaning = "Whether INFO tells the most CPU time that one turn of an event "
                                   "loop took. Costs a system call\na turn.",
                        .kind = ConfigKind::choice,
                        .choices = no_yes},
                       KV_MEMBER(reactor.measure_cpu)),
    number_key<Config>({.name = "slowlog.slower_than_us",
                        .meaning = "Microseconds from which a command is kept for SLOWLOG; 0 keeps "
                                   "all, -1 none.",
                        .kind = ConfigKind::integer,
                        .min = -1,
                        .max = 3'600'000'000},
                       KV_MEMBER(slowlog.slower_than_us)),
    number_key<Config>({.name = "slowlog.entries_max",
                        .meaning = "Commands that SLOWLOG keeps on each core; the oldest go first.",
                        .kind = ConfigKind::integer,
                        .min = 0,
                        .max = 100'000},
                       KV_MEMBER(slowlog.entries_max)),
    number_key<Config>({.name = "log.level",
                        .meaning = "Least important level that is logged.",
                        .kind = ConfigKind::choice,
                        .choices = log_levels},
                       KV_MEMBER(log.level)),
    number_key<Config>({.name = "log.format",
                        .meaning = "One record is one line on standard error. json is refused "
                                   "until it exists.",
                        .kind = ConfigKind::choice,
                        .choices = log_formats},
                       KV_MEMBER(log.format)),
};

constexpr ConfigRow<ClusterNode> node_rows[] = {
    number_key<ClusterNode>({.name = "cluster.nodes.id",
                             .meaning = "node.id of that node.",
                             .kind = ConfigKind::integer,
                             .min = 1,
                             .max = 4'294'967'295,
                             .required = true},
                            KV_MEMBER(id)),
    text_key<ClusterNode>({.name = "cluster.nodes.host",
                           .meaning = "Where the other nodes and clients reach it.",
                           .kind = ConfigKind::address,
                           .required = true},
                          KV_MEMBER(host)),
    number_key<ClusterNode>({.name = "cluster.nodes.peer_port",
                             .meaning = "TCP port for the other nodes.",
                             .kind = ConfigKind::integer,
                             .min = 1,
                             .max = 65'535},
                            KV_MEMBER(peer_port)),
    number_key<ClusterNode>({.name = "cluster.nodes.client_port",
                             .meaning = "TCP port for clients.",
                             .kind = ConfigKind::integer,
                             .min = 1,
                             .max = 65'535},
                            KV_MEMBER(client_port)),
    number_key<ClusterNode>({.name = "cluster.nodes.admin_port",
                             .meaning = "admin.port of that node, for the page of the cluster; 0: "
                                        "the page does not show it.",
                             .kind = ConfigKind::integer,
                             .min = 0,
                             .max = 65'535},
                            KV_MEMBER(admin_port)),
};

#undef KV_MEMBER

/// Levenshtein distance: insertions, deletions and replacements of one byte.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row[b.size()];
}

}  // namespace

std::span<const ConfigRow<Config>> config_table() noexcept {
    return config_rows;
}
std::span<const ConfigRow<ClusterNode>> node_table() noexcept {
    return node_rows;
}

std::string_view last_part(std::string_view name) noexcept {
    return name.substr(name.rfind('.') + 1);  // npos + 1 is 0
}

std::string_view section_of(std::string_view name) noexcept {
    const std::size_t dot = name.rfind('.');
    return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
}

namespace {

/// Finds the key, or the section, that `name` was probably meant to be. A right key in the wrong
/// section (or in none) counts as near, whatever the section; between several the whole name
/// decides, or without a section their order.
class Nearest {
public:
    explicit Nearest(std::string_view name) : name_(name) {}

    void consider(std::string_view candidate) {
        const std::size_t whole = edit_distance(name_, candidate);
        const std::size_t part = edit_distance(last_part(name_), last_part(candidate));
        const std::pair distance{std::min(whole, part), section_of(name_).empty() ? 0 : whole};
        if (distance >= distance_) return;
        best_ = candidate;
        distance_ = distance;
    }
    std::string_view best() const noexcept { return best_; }

private:
    std::string_view name_;
    std::string_view best_;
    std::pair<std::size_t, std::size_t> distance_{~0u, ~0u};
};

}  // namespace

std::string unknown_key(std::string_view name) {
    Nearest nearest(name);
    for (const auto& key : config_table()) nearest.consider(key.name);
    nearest.consider(nodes_name);
    for (const auto& key : node_table()) nearest.consider(key.name);
    return fmt::format("unknown key {}; did you mean \"{}\"?", quoted(name), nearest.best());
}

std::string unknown_section(std::string_view name) {
    Nearest nearest(name);
    for (const auto& key : config_table())
        if (!section_of(key.name).empty()) nearest.consider(section_of(key.name));
    return fmt::format("unknown section [{}]; did you mean [{}]?", name, nearest.best());
}

}  // namespace kv
