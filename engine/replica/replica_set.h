#pragma once

/// ReplicaSet: the replicas of one core and the WAL they share; the only door to them. It carries
/// the effects of all groups of a turn into one WAL batch, and what becomes durable back into the
/// groups. Owner core only.
///
///     propose() ... end of turn: close batches -> entries -> WAL -> durable -> commit -> apply ->
///     handler

#include <deque>
#include <memory>
#include <vector>

#include "engine/replica/placement.h"
#include "engine/replica/replica.h"
#include "engine/replica/snapshots.h"
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
    Configuration configuration;  ///< the first entry of every group
    wal::WalOptions wal;
    std::string snapshot_directory;  ///< of the node, for all cores; exists
    Retention::Limits snapshot_limits;
    SnapshotPermit* permit = nullptr;  ///< null: this core is the only one of the node
};

/// Told when the log has failed: nothing is acknowledged any more, and the process is to end.
class FailureHandler {
public:
    virtual void on_storage_failed(const Error& error) noexcept = 0;

protected:
    ~FailureHandler() = default;
};

class ReplicaSet final : private consensus::LogStore,
                         private wal::WalClient,
                         private wal::RecoverySink,
                         private io::TurnHook {
public:
    ReplicaSet(io::Reactor& reactor, ReplicaSetOptions options, FailureHandler& failures);
    ~ReplicaSet();

    /// Loads the snapshots, recovers the log behind them, applies it, campaigns, and returns once
    /// every group is ready. Errors: those of recovery (`damaged`, `foreign`), `no_space`, `io`.
    io::Task<Result<wal::RecoveryReport>> open();
    /// Refuses new commands, waits for those taken, and stops the log cleanly.
    io::Task<void> stop();

    void set_handler(AppliedHandler* handler) noexcept;

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
    /// Replica::read_behind_pending, of `shard`.
    bool read_behind_pending(ShardId shard, Waiter reader, std::uint64_t hash) {
        return mutable_replica(shard).read_behind_pending(reader, hash);
    }
    /// Commands that were taken and not yet applied.
    std::uint64_t pending() const noexcept;

    /// The newest segment when open() returned: it is durable. Later ones may not be yet.
    SegmentSeq opened_segment() const noexcept { return opened_segment_; }

    const wal::Wal& log() const noexcept { return wal_; }
    wal::Wal& log() noexcept { return wal_; }
    /// How far open() has come.
    const LoadProgress& load_progress() const noexcept { return snapshots_.progress(); }
    SnapshotFacts snapshot_facts() const { return snapshots_.facts(); }
    /// Takes a snapshot of every shard of this core. False: that is under way already.
    bool take_snapshots() { return snapshots_.ask_all(); }
    const Slab& slab() const noexcept { return slab_; }
    /// Of the slab's live bytes, those that flushes gave up and that are being freed.
    std::size_t flushed_bytes() const noexcept;
    /// Memory of commands that are not applied yet: Replica::buffer_bytes of all.
    std::size_t buffer_bytes() const noexcept;
    /// Keys of all shards of this core.
    std::uint64_t keys() const noexcept;

private:
    // consensus::LogStore
    void save(GroupId group, const HardState& state) noexcept override;
    void append(GroupId group, const Entry& entry) noexcept override;
    std::optional<Errc> refusal(std::size_t bytes) const noexcept override;
    // wal::WalClient
    void on_durable(wal::Ticket ticket) noexcept override;
    void stage_rotation() noexcept override;
    void on_failed(const Error& error) noexcept override;
    // wal::RecoverySink
    void on_progress(std::uint64_t bytes_done, std::uint64_t bytes_total) override {
        snapshots_.note_log_read(bytes_done, bytes_total);
    }
    Status on_record(const wal::Record& record, Lsn lsn, SegmentSeq segment) override;
    // io::TurnHook
    void at_turn_end() override;

    SnapshotOptions snapshot_options() const;
    template <typename AnyCommand>
    std::optional<Errc> propose_any(ShardId shard, const AnyCommand& command, Waiter waiter);
    void apply_durable() noexcept;
    void stage_hard_state(GroupId group, const HardState& state) noexcept;
    std::uint64_t now_ms() noexcept;
    Replica& mutable_replica(ShardId shard) noexcept { return *replicas_[shard.value()]; }

    /// Entries of one group in one WAL batch.
    struct Staged {
        wal::Ticket ticket = 0;
        ShardId shard;
        LogPosition last;
        std::uint64_t bytes = 0;
    };

    io::Reactor& reactor_;
    const ReplicaSetOptions options_;
    FailureHandler& failures_;
    Placement placement_;
    Slab slab_;
    wal::Wal wal_;
    std::vector<std::unique_ptr<Replica>> replicas_;  ///< by shard; null: of another core
    std::vector<Replica*> own_;                       ///< those that are here
    Snapshots snapshots_;
    std::vector<ShardId> open_batches_;  ///< shards with commands of this turn
    std::uint64_t turn_ms_ = 0;          ///< wall time when the first of them opened
    std::deque<Staged> staged_;          ///< in the order of the log
    std::size_t durable_ = 0;            ///< of staged_, from its front: in the log, to be applied
    /// Bytes of entries that one turn applies: some half a millisecond's worth. The rest is for the
    /// next ones.
    std::size_t apply_bytes_max() const noexcept;
    static constexpr std::size_t apply_bytes_default = std::size_t{256} << 10;
    std::size_t applied_bytes_ = 0;  ///< in this turn
    struct ApplyTimer : io::Timer {
        explicit ApplyTimer(ReplicaSet& s) noexcept
            : Timer([](io::Timer& t) noexcept { static_cast<ApplyTimer&>(t).set.apply_durable(); }),
              set(s) {}
        ReplicaSet& set;
    };
    ApplyTimer apply_timer_;
    io::Event progress_;
    SegmentSeq opened_segment_;
    bool reclaiming_ = false;
    bool stopping_ = false;
    bool failed_ = false;
};

}  // namespace kv
