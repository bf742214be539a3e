#pragma once

/// Raft groups without io: one core for each node, a list of messages that are under way, and a
/// model of each node's disk, on which only what was made durable survives a crash. Nothing happens
/// but what a test asks for. After each input to a node everything that must hold is checked, of
/// that node and of the cluster; the first fault is kept in `fault`.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "consensus/core/invariants.h"

namespace kv::consensus {

struct NetOptions {
    std::size_t nodes = 3;     ///< voters, with the ids 1, 2, ...
    std::size_t learners = 0;  ///< with the ids behind
    std::uint64_t seed = 1;
    RaftOptions raft;               ///< all but group, self, boot and seed
    bool instant_disk = true;       ///< what is handed over is durable within the same turn
    bool instant_snapshots = true;  ///< their bytes arrive with the offer; else: finish_snapshot()
    std::uint8_t first_role = 0;    ///< other roles of node 1, if not 0
};

/// A message under way, with the bytes of its entries.
struct Packet {
    Message message;
    std::vector<std::string> entries;
    std::uint64_t number = 0;
};

class RaftNet {
public:
    explicit RaftNet(NetOptions options);

    // --- scenes ----------------------------------------------------------------------------------
    Raft& at(std::uint64_t node) { return *nodes_[node - 1].raft; }
    std::size_t size() const noexcept { return nodes_.size(); }
    bool up(std::uint64_t node) const { return nodes_[node - 1].raft != nullptr; }
    Instant now() const noexcept { return now_; }
    /// Time passes, in ticks of 10 ms; messages stay under way.
    void pass(Duration time);
    /// Delivers all messages, and those that they cause, until none is left.
    void settle();
    /// Time passes and messages arrive within each tick.
    void run(Duration time);
    /// `node` campaigns now: asked by the leader that it follows, or, without one, by timeouts of
    /// its own until pre-votes let it, for at most 2 s.
    void campaign(std::uint64_t node);
    /// The same, and settles. Says whether it leads.
    bool elect(std::uint64_t node);
    /// A turn of `node` that proposes `text`. False: it refuses.
    bool propose(std::uint64_t node, std::string_view text);
    bool propose_and_settle(std::uint64_t node, std::string_view text);
    /// A turn of `node` that asks for a round of reads; its number.
    std::uint64_t read(std::uint64_t node);
    /// The newest round that was confirmed to `node`, and at which index.
    ReadReady confirmed(std::uint64_t node) const { return nodes_[node - 1].confirmed; }
    void turn(std::uint64_t node);  ///< flush and carry out
    void step(const Packet& packet);
    void tick(std::uint64_t node);
    bool transfer(std::uint64_t from, std::uint64_t to);
    void stall(std::uint64_t node, bool stalled);
    /// The state machine of `node` makes a snapshot of what it has applied.
    void snapshot(std::uint64_t node);
    /// The bytes of the oldest snapshot that was offered to `node` are complete. False: none was.
    bool finish_snapshot(std::uint64_t node);

    // --- the network -----------------------------------------------------------------------------
    std::vector<Packet>& packets() noexcept { return packets_; }
    /// Delivers the packet at `position` of the list; a copy stays when it is `duplicated`.
    void deliver(std::size_t position, bool duplicated = false);
    void drop(std::size_t position);
    /// Drops what is under way between `from` and `to`.
    void drop_between(std::uint64_t from, std::uint64_t to);
    /// From now on nothing arrives from `from` at `to`.
    void cut(std::uint64_t from, std::uint64_t to) { cut_.insert({from, to}); }
    void isolate(std::uint64_t node);
    /// `node` learns that its connection to `peer` is gone.
    void disconnect(std::uint64_t node, std::uint64_t peer);
    void heal() { cut_.clear(); }

    // --- disks and processes ---------------------------------------------------------------------
    void hold_disk(std::uint64_t node, bool held);
    /// From now on all disks answer at once, and snapshots arrive with their offers.
    void instant_disks();
    /// The oldest hand-over of `node` becomes durable. False: there is none.
    bool persist(std::uint64_t node);
    void persist_all(std::uint64_t node);
    /// What was handed over and is not durable is lost, but for the first `kept` records of it: a
    /// write may end anywhere between two records.
    void crash(std::uint64_t node, std::size_t kept = 0);
    void restart(std::uint64_t node);
    /// Records that are handed over and not durable.
    std::size_t records_pending(std::uint64_t node) const;
    /// `node` starts again, in `term` and without a vote, with a durable log of entries of `terms`;
    /// the first is the configuration that all begin with.
    void rewrite(std::uint64_t node, Term term, const std::vector<Term>& terms);

    // --- what happened ---------------------------------------------------------------------------
    std::string fault;  ///< empty: everything has held so far
    std::uint64_t elections = 0;
    std::uint64_t installs = 0;
    std::uint64_t fetches = 0;
    Index committed() const noexcept { return Index(committed_.size()); }
    /// Terms of the entries of `node` from 1 on ("1 2 2"), from behind what it gave up.
    std::string terms(std::uint64_t node);
    const Configuration& first_configuration() const noexcept { return configuration_; }
    /// Payloads of applied commands of `node`, with a space between.
    std::string applied(std::uint64_t node) const;
    std::uint64_t leader() const;  ///< the leader of the highest term; 0: none
    std::uint64_t reads = 0;       ///< rounds that were confirmed

private:
    struct Fact {  ///< what identifies an entry
        Term term;
        std::uint64_t checksum = 0;
        bool operator==(const Fact&) const = default;
    };
    /// What a request asks to be made durable: an answer vouches for exactly that.
    struct Asked {
        std::uint64_t by = 0;
        std::uint64_t boot = 0;
        std::uint64_t sequence = 0;
        auto operator<=>(const Asked&) const = default;
    };
    struct Snapshot {
        LogPosition position;
        std::uint64_t time_ms = 0;
        Configuration configuration;
        std::vector<std::string> applied;  ///< payloads of commands
    };
    /// An installed snapshot, and the reset that goes with it if the log does not go on from it.
    struct Install {
        Snapshot snapshot;
        std::optional<LogPosition> reset;
    };
    using Record = std::variant<HardState, std::string, LogPosition, Install>;
    struct Write {
        PersistMark mark;
        std::vector<Record> records;
    };
    struct Node {
        std::unique_ptr<Raft> raft;
        Effects effects;
        std::uint64_t boot = 0;
        bool disk_held = false;
        std::deque<Write> writes;                         ///< handed over, not durable
        std::vector<Record> log;                          ///< durable, as written
        Snapshot snapshot;                                ///< durable
        std::optional<Snapshot> pending;                  ///< installed, goes with the next write
        std::deque<std::pair<Message, Snapshot>> offers;  ///< whose bytes are under way
        HardState state;                                  ///< durable
        std::map<Index, Term> entries;                    ///< durable, behind the snapshot
        std::vector<std::string> applied;
        std::uint64_t applied_time_ms = 0;
        Configuration applied_configuration;
        ReadReady confirmed;
        std::map<std::uint64_t, Index> asked;  ///< rounds: what was committed when they were asked
    };

    Node& node(std::uint64_t id) { return nodes_[id - 1]; }
    std::uint64_t id(const Node& node) const {
        return static_cast<std::uint64_t>(&node - nodes_.data()) + 1;
    }
    void boot(Node& node);
    void carry_out(Node& node);
    void make_durable(Node& node, const Record& record);
    void note_written(const Node& node, const Entry& entry, Term before);
    void apply(Node& node);
    void release(Node& node);
    void send(Node& node, Message message);
    void end_snapshot(const Message& request, bool arrived);
    void receive_snapshot(Node& node, const Message& request);
    void install(Node& node, const Message& request, const Snapshot& snapshot);
    void check(Node& node, const Observed& before);
    void note_asked(const Node& node, const Message& message);
    void check_sent(Node& node, const Message& message);
    void check_promise(Node& node, const Message& message, const AppendReply& reply);
    void check_commit(Node& node);
    void check_leader(Node& node);
    void blame(const Node& node, std::string_view what);
    bool durable_at(const Node& node, LogPosition position) const;

    template <typename Input>
    void input(Node& node, const Input& run) {
        const Observed before = observe(*node.raft);
        run(*node.raft, node.effects);
        check(node, before);
    }

    NetOptions options_;
    Configuration configuration_;
    std::vector<Node> nodes_;
    Instant now_{std::chrono::seconds(1)};
    std::vector<Packet> packets_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> cut_;
    std::uint64_t packet_number_ = 0;

    std::map<Term, std::uint64_t> leaders_;
    std::map<std::pair<std::uint64_t, Term>, NodeId> votes_;
    std::map<LogPosition, std::pair<Fact, Term>> written_;  ///< and the term of the entry before
    std::map<Asked, LogPosition> asked_;
    std::vector<Fact> committed_;  ///< entry 1 is the first
};

}  // namespace kv::consensus
