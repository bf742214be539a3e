#pragma once

/// SimCluster: n whole nodes in one simulated world, each with its own disk, and a machine for
/// clients; the words of which scenes are made; and everything that the oracles look at, after each
/// event of the world. The first thing that is wrong is kept (wrong()); the world goes on.
///
/// Its calls let the world run, so they are made from outside of any turn.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/node/node.h"
#include "io/sim/sim_partition.h"
#include "io/sim/sim_process.h"
#include "tests/support/fault_player.h"
#include "tests/support/oracles/ack_durability.h"
#include "tests/support/oracles/durable_log.h"
#include "tests/support/oracles/liveness.h"
#include "tests/support/oracles/log_keeper.h"
#include "tests/support/oracles/message_books.h"
#include "tests/support/oracles/raft_invariants.h"
#include "tests/support/oracles/silence.h"

namespace kv::sim {

struct ClusterOptions {
    std::uint64_t seed = 1;
    std::uint16_t nodes = 3;
    std::uint16_t cores = 1;  ///< of each first process
    std::uint16_t shards = 4;
    io::SimKnobs knobs;
    /// Somebody speaks in the name of a node: answers are not judged by who has asked.
    bool impostor = false;
    /// What every node has in its file, but for its id, its addresses and the list of nodes.
    Config config;
};

/// Small segments and values.
Config cluster_config();

class SimCluster final : public FaultHost {
public:
    static constexpr NodeId client_node{100};
    static constexpr std::uint16_t client_port = 6379;
    static constexpr std::uint16_t peer_port = 7001;

    explicit SimCluster(ClusterOptions options);
    ~SimCluster();

    const io::SimNodes& nodes() const noexcept { return nodes_; }
    std::uint16_t shards() const noexcept { return options_.shards; }
    std::vector<io::Endpoint> endpoints() const;
    io::SimProcess& clients() noexcept { return clients_; }

    // Time. The oracles look after every event.
    void play(Duration time);
    bool play_until(const std::function<bool()>& done, Duration limit);

    // Processes.
    void start(NodeId node, std::uint16_t cores = 0);
    void start_all();
    /// An orderly stop, and the end of the process.
    bool stop(NodeId node, Duration limit = 60s);
    void crash(NodeId node, io::Crash kind = io::Crash::process) override;
    void restart(NodeId node, std::uint16_t cores) override { start(node, cores); }
    void replace_disk(NodeId node) override;
    /// When that has happened the node is to say so and to end: its process is started again. What
    /// goes on as if nothing had been is wrong.
    void fail_disk(NodeId node, const io::SimFault& fault) override;
    /// One bit of what is behind proof: a segment that others follow, or a snapshot. A start may be
    /// as good as before, or refuse and say where: then the node stays away.
    void rot(NodeId node, std::uint64_t seed) override;
    /// A process runs there, and its start has succeeded.
    bool up(NodeId node);
    Node& node(NodeId node) { return *houses_.at(node).node; }
    std::uint16_t cores(NodeId node) const { return houses_.at(node).cores; }
    io::SimProcess& process(NodeId node) { return *houses_.at(node).process; }
    /// On the core that has `shard`; `node` is up.
    ReplicaSet& replicas(NodeId node, ShardId shard) { return replicas(houses_.at(node), shard); }
    const consensus::Raft& raft(NodeId node, ShardId shard) {
        return raft(houses_.at(node), shard);
    }
    /// Sees every message that a node gives to the connections to others, as it does.
    std::function<void(NodeId from, const Message& message)> on_message;

    // Leaders.
    /// Who leads `shard` and may take writes, of several the one with the highest term.
    std::optional<NodeId> leader(ShardId shard);
    std::optional<NodeId> await_leader(ShardId shard, Duration limit = 30s);
    /// Each shard has a leader.
    bool await_leaders(Duration limit = 30s);
    /// Another one than `but`.
    std::optional<NodeId> await_other_leader(ShardId shard, NodeId but, Duration limit = 30s);

    // The network, without the machine of the clients.
    std::uint32_t isolate(NodeId node);
    std::uint32_t split(const io::SimNodes& left, const io::SimNodes& right);
    std::uint32_t cut(io::SimPairs pairs) { return world.network().cut(std::move(pairs)); }
    void heal() { world.network().heal(); }

    /// Fair weather from now on: the ends of what the knobs allow are such that whoever is up can
    /// serve. What has come about until then stays.
    void calm();

    /// Every node is up and has applied the same, and nothing is under way.
    bool settle(Duration limit = 60s);

    // What the oracles know.
    struct Wrong {
        std::string oracle;
        std::string text;
        Instant at{};
    };
    const std::optional<Wrong>& wrong() const noexcept { return wrong_; }
    void complain(std::string oracle, std::string text);
    /// A client was told that its put is done.
    void acknowledged(std::string_view key, std::string_view value);
    /// Compares the logs of all nodes.
    void check_logs();
    /// Whether what was ever committed is there, on every node; after settle().
    void check_nothing_lost();
    /// With faults: watches liveness by its books. Null: not.
    void watch(FaultPlayer* player, Duration limit);

    struct Counters {
        std::uint64_t starts = 0;
        std::uint64_t elections = 0;
        std::uint64_t durability_checks = 0;
        std::uint64_t disk_errors = 0;  ///< that have ended a process
        std::uint64_t refusals = 0;     ///< starts on a disk that had rotted
        std::uint64_t messages = 0;     ///< between nodes
    };
    Counters counters() const;

    /// What happened last, a line each; all of it, as it happens, with `trace`.
    const std::deque<std::string>& events() const noexcept { return events_; }
    void note(std::string text);
    bool trace = false;

    io::SimWorld world;

private:
    static constexpr std::size_t events_max = 120;
    /// Beyond twice an election timeout, of a leader that hears nobody: what its kernel had, and
    /// stalls.
    static constexpr Duration silence_max = 2s;

    /// What was seen of one group at the last look.
    struct Seen {
        consensus::Role role = consensus::Role::follower;
        Term term;
        NodeId vote;
        Index commit;
        Index applied;
        LogPosition last;
        Index durable;
        bool stalled = false;
        bool operator==(const Seen&) const = default;
    };
    /// Sees what a core of a node says to the others, before it leaves.
    struct Tap final : PeerSender {
        Tap(SimCluster& c, NodeId i, PeerSender& n) : cluster(c), id(i), next(n) {}
        void send(const Message& message) noexcept override {
            cluster.on_sent(id, message);
            next.send(message);
        }
        void flush() noexcept override { next.flush(); }
        SimCluster& cluster;
        NodeId id;
        PeerSender& next;
    };
    struct House {
        std::unique_ptr<io::SimProcess> process;
        std::unique_ptr<Node> node;
        std::optional<Result<StartReport>> report;
        std::vector<std::unique_ptr<Tap>> taps;  ///< by core
        std::vector<Seen> seen;                  ///< by shard
        std::uint64_t life = 0;
        std::uint16_t cores = 1;
        bool ready = false;   ///< its groups may be looked at
        bool wiped = false;   ///< it has lost what it had, or has refused it: it does not count
        bool rotten = false;  ///< a start may refuse
        bool away = false;    ///< a start has
        std::vector<std::size_t> disk_faults;  ///< numbers
        std::uint64_t disk_hits = 0;           ///< that an earlier process has met
        std::optional<Instant> struck;         ///< when this one met one
    };

    static io::SimWorld& with_nodes(io::SimWorld& world, const ClusterOptions& options);
    static io::Task<void> start_node(Node* node, std::optional<Result<StartReport>>* report);
    static io::Task<void> stop_node(Node* node, bool* stopped);
    Config config_of(NodeId node) const;
    void clear(House& house);
    void look();
    void look_at(NodeId id, House& house);
    void look_for_start(NodeId id, House& house);
    void look_at_liveness();
    void look_for_silence();
    void look_for_disk_errors();
    std::uint64_t disk_hits(NodeId id, const House& house);
    void end_failed(NodeId id, House& house, const std::string& text);
    void judge(NodeId id, const Message& message);
    static ReplicaSet& replicas(const House& house, ShardId shard);
    static const consensus::Raft& raft(const House& house, ShardId shard);
    /// What each node holds of the groups, a line each, among the events.
    void note_groups();
    GroupFacts facts(NodeId id, const House& house, ShardId shard) const;
    void on_sent(NodeId id, const Message& message);
    void refresh(NodeId node);

    ClusterOptions options_;
    io::SimNodes nodes_;
    io::SimProcess clients_;
    std::map<NodeId, House> houses_;
    std::map<NodeId, DurableLog> logs_;
    RaftInvariants invariants_;
    LogKeeper keeper_;
    MessageBooks books_;
    AckDurability durability_;
    Liveness liveness_;
    FaultPlayer* player_ = nullptr;
    Silence silence_;
    std::uint32_t cuts_ = 0;  ///< that had been made at the last look
    Instant next_check_{};
    std::optional<Wrong> wrong_;
    std::deque<std::string> events_;
    Counters counters_;
};

}  // namespace kv::sim
