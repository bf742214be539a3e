#pragma once

/// The configuration of a node: one TOML file, every key with a default, so that no file at all
/// makes a durable single node on loopback. Config is plain data; what each key means, its unit and
/// its bounds are rows of one table (config_table.cc), from which parsing, printing, overriding and
/// the documentation all follow. conf/kv-server.toml is what print_config writes for the defaults.
///
/// Errors have code Errc::config and one line for each thing that is wrong:
///
///     conf/kv-server.toml:12: unknown key "wal.segment_byte"; did you mean "wal.segment_bytes"?
///     conf/kv-server.toml:3: client.port: expected an integer from 0 to 65535, found "http"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/replica/leaders.h"
#include "proto/base/ids.h"
#include "proto/base/log.h"
#include "proto/base/result.h"
#include "proto/base/units.h"
#include "proto/detect.h"

namespace kv {

/// What a node does with a request for a key that another node leads.
enum class OnFollower : std::uint8_t { automatic, redirect, forward };
enum class ReadMode : std::uint8_t { linearizable, lease, local };
/// How a WAL batch is made durable; automatic: dsync where the file system takes it.
enum class WalSync : std::uint8_t { automatic, dsync, fdatasync };
enum class LogFormat : std::uint8_t { logfmt, json };

/// One member of a cluster as [[cluster.nodes]] lists it.
struct ClusterNode {
    NodeId id;
    std::string host;
    std::uint16_t peer_port = 7001;
    std::uint16_t client_port = 6379;
    std::uint16_t admin_port = 0;  ///< 0: not known

    bool operator==(const ClusterNode&) const = default;
};

struct Config {
    struct Node {
        NodeId id{1};
        std::string data_dir = "./data";
        bool operator==(const Node&) const = default;
    };
    struct Client {
        std::string bind = "127.0.0.1";  ///< IPv4 or IPv6 literal
        std::uint16_t port = 6379;       ///< 0: the kernel chooses
        LineProtocol line_protocol = LineProtocol::automatic;
        OnFollower on_follower = OnFollower::automatic;
        std::size_t connections_max = 10'000;
        Duration stall_timeout = 60s;
        std::size_t output_pause_bytes = 8_MiB;
        std::size_t pipeline_max = 1024;
        std::size_t pipeline_bytes_max = 4_MiB;
        bool operator==(const Client&) const = default;
    };
    struct Cluster {
        std::uint16_t shards = 16;
        Leaders leaders = Leaders::spread;
        std::vector<ClusterNode> nodes;  ///< none, or this one alone: a cluster of one
        bool operator==(const Cluster&) const = default;
    };
    /// How the other nodes reach this one.
    struct Peer {
        std::string bind = "127.0.0.1";  ///< IPv4 or IPv6 literal
        std::uint16_t port = 7001;
        bool insecure = false;
        bool operator==(const Peer&) const = default;
    };
    /// Metrics, health and the page of the cluster, over HTTP.
    struct Admin {
        std::string bind = "127.0.0.1";  ///< IPv4 or IPv6 literal
        std::uint16_t port = 0;          ///< 0: there is no such port
        bool operator==(const Admin&) const = default;
    };
    struct Raft {
        Duration heartbeat_interval = 50ms;
        Duration election_timeout = 300ms;  ///< at least; a random one below its double
        /// Of a snapshot that is sent to another node; each core sends one at a time.
        std::size_t transfer_bytes_per_second = 64_MiB;
        bool operator==(const Raft&) const = default;
    };
    struct Limits {
        std::size_t value_bytes_max = 1_MiB;
        std::size_t request_bytes_max = 16_MiB;
        std::size_t reply_bytes_max = 64_MiB;
        std::size_t keys_reply_max = 100'000;
        std::size_t maxmemory = 0;  ///< 0: none
        bool operator==(const Limits&) const = default;
    };
    struct Wal {
        std::size_t segment_bytes = 64_MiB;
        WalSync sync = WalSync::automatic;
        std::size_t batch_bytes_max = 4_MiB;
        std::size_t bytes_max = 0;  ///< 0: derived from the data
        bool operator==(const Wal&) const = default;
    };
    struct Snapshot {
        std::size_t wal_bytes = 64_MiB;
        std::uint64_t interval_entries = 0;  ///< 0: any number
        bool operator==(const Snapshot&) const = default;
    };
    struct Reactor {
        std::uint32_t cores = 0;  ///< 0: as many as there are CPUs for
        std::string cpus = "auto";
        std::uint32_t poll_us = 0;
        bool measure_cpu = false;
        bool operator==(const Reactor&) const = default;
    };
    struct Slowlog {
        std::int64_t slower_than_us = 10'000;  ///< -1: nothing is kept
        std::size_t entries_max = 128;
        bool operator==(const Slowlog&) const = default;
    };
    struct Log {
        log::Level level = log::Level::info;
        LogFormat format = LogFormat::logfmt;
        bool operator==(const Log&) const = default;
    };

    ReadMode reads = ReadMode::linearizable;
    Duration commit_timeout = 5s;
    Node node;
    Client client;
    Cluster cluster;
    Peer peer;
    Admin admin;
    Raft raft;
    Limits limits;
    Wal wal;
    Snapshot snapshot;
    Reactor reactor;
    Slowlog slowlog;
    Log log;

    bool operator==(const Config&) const = default;
};

/// Reads and checks a file. For the start of a program only: it blocks, and it reads the file
/// without a reactor, because there is none yet. Errors: also `Errc::config` when there is no file.
Result<Config> load_config(const std::string& path);

/// Checks `toml` as load_config does; `file_name` is for messages. Pure.
Result<Config> parse_config(std::string_view toml, std::string_view file_name);

/// Sets one key from a flag or the environment, as `client.port` and `7000`: strings without
/// quotes, sizes and durations also with their unit. Checks that value alone; check_config follows
/// once all are set. [[cluster.nodes]] cannot be set this way.
Status set_key(Config& config, std::string_view dotted_key, std::string_view value);

/// The seed's flag --peers: the other nodes as "id:host:raft_port:client_port,...". Makes them and
/// this one, at client.bind, peer.port and client.port, the list of nodes; the list may have this
/// one as well, at the address that the others use. Implies cluster.leaders = "together", for a
/// client of the seed expects one leader, and that peers find this node where clients do
/// (peer.bind). Error `config`, one line; check_config follows.
Status set_peers(Config& config, std::string_view peers);

/// The value of one key as the file would have it, without quotes. Nothing: there is no such key.
std::optional<std::string> get_key(const Config& config, std::string_view dotted_key);

/// The checks that concern more than one key, and values whose meaning is not available yet.
/// load_config and parse_config have done them; after set_key the caller does.
Status check_config(const Config& config);

/// What is allowed and probably not meant, one sentence each. Pure.
std::vector<std::string> config_warnings(const Config& config);

/// Whether the configuration names other nodes. Without, the node is a cluster of one.
inline bool has_peers(const Config& config) noexcept {
    return config.cluster.nodes.size() > 1;
}

/// TOML with every key, its meaning and its bounds; parse_config makes the same Config of it.
std::string print_config(const Config& config);

/// What documentation says about one key. `expected` tells type, unit and bounds.
struct ConfigKey {
    std::string name;  ///< dotted, "wal.segment_bytes"
    std::string meaning;
    std::string expected;       ///< "a size from 16KiB to 256MiB, a multiple of 4KiB"
    std::string default_value;  ///< as TOML; empty for keys of [[cluster.nodes]] that must be given
};
/// All keys, in the order in which print_config writes them.
std::vector<ConfigKey> config_keys();

}  // namespace kv
