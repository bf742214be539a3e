#pragma once

/// ReplicaSet: the replicas of one core and the WAL they share; the only door to them. It carries
/// the effects of all groups of a turn into one WAL batch and to the peers, and what becomes
/// durable back into the groups. Owner core only.
///
///     propose(), step() ... end of turn: close batches -> entries -> WAL, peers -> durable,
///     acknowledged -> commit -> apply -> handler

#include <deque>
#include <memory>
#include <vector>

#include "consensus/drive/log_rate.h"
#include "engine/replica/leaders.h"
#include "engine/replica/log_fetcher.h"
#include "engine/replica/placement.h"
#include "engine/replica/replica.h"
#include "engine/replica/round_trips.h"
#include "engine/replica/snapshot_receiver.h"
#include "engine/replica/snapshot_sender.h"
#include "engine/replica/snapshots.h"
#include "engine/replica/starvation.h"
#include "engine/wal/recovery.h"
#include "engine/wal/wal.h"
#include "io/reactor.h"

namespace kv {

struct ReplicaSetOptions {
    NodeId node;
    std::uint16_t shards = 16;  ///< of the cluster
    std::uint16_t cores = 1;    ///< of the node; this one has the shards that Placement gives it
    CoreId core;
    std::uint64_t hash_secret = 0;
    std::uint64_t boot = 0;       ///< of the data directory
    Configuration configuration;  ///< the first entry of every group
    Duration heartbeat_interval = 50ms;
    Duration election_timeout = 300ms;
    Leaders leaders = Leaders::spread;
    wal::WalOptions wal;
    std::string snapshot_directory;  ///< of the node, for all cores; exists
    Retention::Limits snapshot_limits;
    /// Of a snapshot that is sent to a follower.
    std::uint64_t transfer_bytes_per_second = SnapshotSender::bytes_per_second_default;
    SnapshotPermit* permit = nullptr;  ///< null: this core is the only one of the node
    /// Of applied entries that are kept in memory for followers: of this core, for all its groups.
    std::size_t follower_cache_bytes = std::size_t{64} << 20;
};

/// Told when the log has failed: nothing is acknowledged any more, and the process is to end.
class FailureHandler {
public:
    virtual void on_storage_failed(const Error& error) noexcept = 0;

protected:
    ~FailureHandler() = default;
};

/// What carries messages to the other nodes.
class PeerSender {
public:
    /// May be lost. Views in it are valid during the call.
    virtual void send(const Message& message) noexcept = 0;
    /// A turn ends: what was given to send() leaves.
    virtual void flush() noexcept = 0;

protected:
    ~PeerSender() = default;
};

class ReplicaSet final : private consensus::LogStore,
                         private consensus::GroupOwner,
                         private wal::WalClient,
                         private wal::RecoverySink,
                         private LogFetcher::Owner,
                         private SnapshotSender::Owner,
                         private SnapshotReceiver::Owner,
                         private io::TurnHook {
public:
    /// What each group may keep in memory for followers at least, however many there are.
    static constexpr std::size_t group_cache_bytes_min = std::size_t{16} << 10;

    ReplicaSet(io::Reactor& reactor, ReplicaSetOptions options, FailureHandler& failures);
    ~ReplicaSet();

    /// Loads the snapshots, recovers the log behind them, and applies what is known to be
    /// committed. With no other voter it leads all its groups on return; else it takes part in them
    /// from now on. Errors: those of recovery (`damaged`, `foreign`), `no_space`, `io`.
    io::Task<Result<wal::RecoveryReport>> open();
    /// Hands the groups that it leads to other voters, and gives up after an election timeout. From
    /// then on commands are refused as by any node that does not lead.
    io::Task<void> hand_over_all();
    /// Refuses new commands, waits for those taken by groups of one, and stops the log cleanly.
    /// What others would have to acknowledge stays without an answer. Nothing may come from peers
    /// any more.
    io::Task<void> stop();

    void set_handler(AppliedHandler* handler) noexcept;
    /// Before open(), unless this node is alone.
    void set_sender(PeerSender* sender) noexcept { sender_ = sender; }
    PeerSender* sender() const noexcept { return sender_; }

    /// How snapshots get to other nodes and from them. Before open(); null: they do not.
    void set_snapshot_routes(consensus::SnapshotRoutes* routes) noexcept {
        snapshot_sender_.set_routes(routes);
        snapshot_receiver_.set_routes(routes);
    }
    /// Takes over a connection of purpose `snapshot`, which the acceptor gave to this core. After
    /// open() and set_snapshot_routes().
    void adopt_snapshot(std::int32_t fd, const Handshake& theirs) {
        snapshot_receiver_.adopt(fd, theirs);
    }
    /// A message of another node to a group of this core.
    void step(const Message& message);
    /// Messages to or from `peer` were lost.
    void disconnected(NodeId peer);
    /// All that had arrived is taken in: time may pass. At least every 10 ms.
    void tick();

    const Placement& placement() const noexcept { return placement_; }
    std::uint16_t shards() const noexcept { return placement_.shards(); }
    /// Whether `shard` lives on this core; what follows is legal for such a shard only.
    bool has(ShardId shard) const noexcept { return replicas_[shard.value()] != nullptr; }
    const Replica& replica(ShardId shard) const noexcept { return *replicas_[shard.value()]; }
    const Store& store(ShardId shard) const noexcept { return replica(shard).store(); }

    /// Proposes `command` to `shard`. Nothing: taken, and the handler will hear of `waiter`.
    /// Otherwise the reason, and nothing was done.
    std::optional<Errc> propose(ShardId shard, const Command& command, Waiter waiter) {
        return propose_any(shard, command, waiter);
    }
    /// The same with a command that encode_command wrote on another core.
    std::optional<Errc> propose(ShardId shard, Bytes encoded, Waiter waiter) {
        return propose_any(shard, encoded, waiter);
    }
    /// Replica::begin_read, of `shard`.
    ReadTurn begin_read(ShardId shard, Waiter reader, std::uint64_t hash, bool behind_own) {
        const ReadTurn turn = mutable_replica(shard).begin_read(reader, hash, behind_own);
        if (turn == ReadTurn::later) touch(mutable_replica(shard));
        return turn;
    }
    /// Begins to hand `shard` over to another voter. False: it is not led here, or that is under
    /// way already. It is given up after an election timeout.
    bool transfer(ShardId shard, NodeId to);
    /// Whether `follower` has answered this leader of `shard` within an election timeout.
    bool hears(ShardId shard, NodeId follower) const noexcept;
    /// Who leads `shard`, as far as this node knows; 0: nobody.
    NodeId leader(ShardId shard) const noexcept { return replica(shard).group().raft().leader(); }
    NodeId self() const noexcept { return options_.node; }
    /// No other node has a vote in the groups of this core: what is here is all there is to know.
    bool alone() const noexcept {
        if (own_.empty()) return options_.configuration.members.size() <= 1;
        return own_.front()->group().alone();
    }
    /// Who belongs to the cluster, as far as this node knows.
    const Configuration& configuration() const noexcept;
    /// A node of the cluster, as far as this one knows; null: no such.
    const Member* member(NodeId node) const noexcept;
    /// Commands that were taken and not yet applied.
    std::uint64_t pending() const noexcept;

    /// The newest segment when open() returned: it is durable. Later ones may not be yet.
    SegmentSeq opened_segment() const noexcept { return opened_segment_; }

    const wal::Wal& log() const noexcept { return wal_; }
    wal::Wal& log() noexcept { return wal_; }
    /// How far open() has come.
    const LoadProgress& load_progress() const noexcept { return snapshots_.progress(); }
    const LogFetcher& fetcher() const noexcept { return fetcher_; }
    const SnapshotSender& snapshot_sender() const noexcept { return snapshot_sender_; }
    const SnapshotReceiver& snapshot_receiver() const noexcept { return snapshot_receiver_; }
    SnapshotFacts snapshot_facts() const { return snapshots_.facts(); }
    /// Takes a snapshot of every shard of this core. False: that is under way already.
    bool take_snapshots() { return snapshots_.ask_all(); }
    const Slab& slab() const noexcept { return slab_; }
    /// Of the slab's live bytes, those that flushes gave up and that are being freed.
    std::size_t flushed_bytes() const noexcept;
    /// Memory of commands that are not applied yet: Replica::buffer_bytes of all.
    std::size_t buffer_bytes() const noexcept;
    /// From the turn that took commands until they were applied: entries of this node.
    const DurationHistogram& commit_times() const noexcept { return commit_times_; }
    const RoundTrips& round_trips() const noexcept { return round_trips_; }
    /// How often `shard` was seen to have another leader than before.
    std::uint64_t leader_changes(ShardId shard) const noexcept {
        return leads_[shard.value()].leader_changes;
    }
    /// The newest leader that was known; 0: none since the start.
    NodeId led_last(ShardId shard) const noexcept { return leads_[shard.value()].leader; }
    /// How often another node contradicted what is committed here.
    std::uint64_t contradictions() const noexcept { return contradictions_; }
    /// Keys of all shards of this core.
    std::uint64_t keys() const noexcept;

private:
    // consensus::LogStore
    void reset(GroupId group, LogPosition position) noexcept override;
    void save(GroupId group, const HardState& state) noexcept override;
    void append(GroupId group, const Entry& entry) noexcept override;
    void hand_over(GroupId group, consensus::PersistMark mark) noexcept override;
    std::optional<Errc> refusal(std::size_t bytes) const noexcept override;
    // consensus::GroupOwner
    void send(const Message& message) noexcept override;
    void fetch(GroupId group, const consensus::Fetch& fetch) noexcept override;
    void send_snapshot(GroupId group, const consensus::SnapshotSend& send) noexcept override;
    void receive_snapshot(GroupId group, const Message& offer) noexcept override;
    void on_reads_confirmed(GroupId group, const consensus::ReadReady& ready) noexcept override;
    void on_role_changed(GroupId group) noexcept override;
    void on_contradicted(GroupId group) noexcept override;
    // wal::WalClient
    void on_durable(wal::Ticket ticket) noexcept override;
    void on_placed(wal::Ticket ticket, wal::BatchPlace place) noexcept override;
    void stage_rotation() noexcept override;
    void on_failed(const Error& error) noexcept override;
    // wal::RecoverySink
    void on_progress(std::uint64_t bytes_done, std::uint64_t bytes_total) override {
        snapshots_.note_log_read(bytes_done, bytes_total);
    }
    void on_batch(wal::BatchPlace place) override { recovering_ = place; }
    Status on_record(const wal::Record& record, Lsn lsn, SegmentSeq segment) override;
    // LogFetcher::Owner
    void on_fetched(ShardId shard, const consensus::Fetch& fetch,
                    std::span<const Entry> entries) noexcept override;
    // SnapshotSender::Owner, SnapshotReceiver::Owner
    void on_snapshot_sent(ShardId shard, const Message& request, bool received) noexcept override;
    void on_snapshot_request(const Message& request) override { step(request); }
    bool wants_snapshot(ShardId shard, Index index) const noexcept override;
    bool install(const SnapshotReceiver::Complete& complete) override;
    // io::TurnHook
    void at_turn_end() override;

    SnapshotOptions snapshot_options() const;
    std::size_t group_cache_bytes() const noexcept;
    template <typename AnyCommand>
    std::optional<Errc> propose_any(ShardId shard, const AnyCommand& command, Waiter waiter);
    void apply_committed() noexcept;
    /// `replica` has effects to be carried out at the end of this turn.
    void touch(Replica& replica);
    void look_at_disk();
    void look_at_leaders();
    PreferredView preferred_view(ShardId shard);
    NodeId most_caught_up(ShardId shard) const noexcept;
    void flush_groups();
    void note_committed(Replica& replica);
    Replica& replica_of(GroupId group) noexcept;
    void stage_hard_state(GroupId group, const HardState& state) noexcept;
    std::uint64_t now_ms() noexcept;
    Replica& mutable_replica(ShardId shard) noexcept { return *replicas_[shard.value()]; }

    /// One hard state or entry, or what ends a hand-over, in the WAL.
    struct Staged {
        wal::Ticket ticket = 0;
        ShardId shard;
        Index index;                  ///< 0: no entry
        std::uint64_t bytes = 0;      ///< of the entry
        consensus::PersistMark mark;  ///< that is durable with it; number 0: none yet
        bool reset = false;           ///< the entries before are void
        std::optional<HardState> state;
        wal::BatchPlace place;  ///< once it is durable
    };

    Staged& note_staged(GroupId group) noexcept;

    io::Reactor& reactor_;
    const ReplicaSetOptions options_;
    FailureHandler& failures_;
    Placement placement_;
    Slab slab_;
    wal::Wal wal_;
    std::vector<std::unique_ptr<Replica>> replicas_;  ///< by shard; null: of another core
    std::vector<Replica*> own_;                       ///< those that are here
    Snapshots snapshots_;
    LogIndex index_;
    LogFetcher fetcher_;
    SnapshotSender snapshot_sender_;
    SnapshotReceiver snapshot_receiver_;
    std::vector<ShardId> open_batches_;  ///< shards with commands of this turn
    std::uint64_t turn_ms_ = 0;          ///< wall time when the first of them opened
    std::deque<Staged> staged_;          ///< in the order of the log
    std::size_t placed_ = 0;             ///< of these, the first so many have their place
    wal::BatchPlace recovering_;         ///< the batch that is being recovered
    wal::Ticket staged_last_ = 0;        ///< newest ticket
    std::vector<Replica*> touched_;      ///< with effects of this turn
    std::deque<Replica*> committed_;     ///< with entries to be applied
    PeerSender* sender_ = nullptr;
    /// Of a group that this node leads, and another one should.
    struct Lead {
        HandOver hand_over;
        Index committed;     ///< at the last look
        bool leads = false;  ///< as was logged
        Term term;
        NodeId leader;  ///< the newest that was known
        std::uint64_t leader_changes = 0;
    };
    void count_leaders(ShardId shard) noexcept;
    void log_leadership(ShardId shard);
    void look_for_starvation();
    std::vector<Lead> leads_;  ///< by shard
    Instant look_at_leaders_{};
    DurationHistogram commit_times_;
    RoundTrips round_trips_;
    Starvation starvation_;
    consensus::LogRate starvation_rate_;
    bool disk_stalled_ = false;
    consensus::LogRate contradicted_rate_;
    std::uint64_t contradictions_ = 0;
    /// Bytes of entries that one turn applies: some half a millisecond's worth. The rest is for the
    /// next ones.
    std::size_t apply_bytes_max() const noexcept;
    static constexpr std::size_t apply_bytes_default = std::size_t{256} << 10;
    std::size_t applied_bytes_ = 0;  ///< in this turn
    struct ApplyTimer : io::Timer {
        explicit ApplyTimer(ReplicaSet& s) noexcept
            : Timer(
                  [](io::Timer& t) noexcept { static_cast<ApplyTimer&>(t).set.apply_committed(); }),
              set(s) {}
        ReplicaSet& set;
    };
    ApplyTimer apply_timer_;
    io::Event progress_;
    SegmentSeq opened_segment_;
    bool reclaiming_ = false;
    bool leaving_ = false;   ///< leads nothing any more, if others can
    bool stopping_ = false;  ///< takes no commands
    bool failed_ = false;
};

}  // namespace kv
