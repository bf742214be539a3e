#pragma once

/// Replica: one shard on this node: its Raft group, its store, the batch of commands that is being
/// gathered, and who waits for what. Owner core only; the ReplicaSet of the core is the only door
/// to it.
///
/// Nobody is refused for an election. While the leadership of the group is being handed over, and
/// while nobody is known to lead it, commands stay in the open batch and reads in their queue. Once
/// this replica leads, both go on; once another one does, both are dropped, nothing of them having
/// become of effect, and their clients are sent there. Bounds: one entry of commands; and
/// `leaderless_max` election timeouts since the last leader was lost, from when on everything is
/// refused at once.

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "consensus/drive/group.h"
#include "engine/store/store.h"
#include "proto/command_codec.h"

namespace kv {

/// Who waits for a command: opaque to the engine, small, copied around.
struct Waiter {
    void* owner = nullptr;      ///< null: nobody
    std::uint64_t request = 0;  ///< which of the owner's requests
    std::uint32_t part = 0;     ///< which part of that request
    CoreId core;                ///< where the owner lives
};

/// What became of one command.
struct Applied {
    Waiter waiter;
    Store::Applied result;  ///< its views are valid during the call that brings it
};

class Replica;

/// Takes what was applied for local waiters, an entry's worth at a time and in the order of the
/// log.
class AppliedHandler {
public:
    virtual void on_applied(std::span<const Applied> applied) noexcept = 0;
    /// Commands that were taken and that this node can do nothing more for: `no_leader`, they have
    /// had no effect and will have none; `commit_timeout`, nobody knows.
    virtual void on_dropped(const Replica& replica, std::span<const Waiter> waiters,
                            Errc reason) noexcept = 0;
    /// Reads that waited and will not be served here: `no_leader`.
    virtual void on_reads_dropped(const Replica& replica, std::span<const Waiter> readers,
                                  Errc reason) noexcept = 0;
    /// Reads that waited for the commands before them may look into the store of `replica` now, and
    /// only during the call: the next command is not applied yet.
    virtual void on_readable(const Replica& replica, std::span<const Waiter> readers) noexcept = 0;

protected:
    ~AppliedHandler() = default;
};

/// When a read may look into the store.
enum class ReadTurn : std::uint8_t {
    now,
    later,  ///< the handler will hear of it
    never,  ///< this node does not lead the shard, or not yet
};

class Replica final : private consensus::StateMachine {
public:
    /// An entry is closed before it passes this size; a larger command gets an entry of its own.
    static constexpr std::size_t entry_bytes_max = std::size_t{1} << 20;
    /// An election takes up to two election timeouts from the last sign of a leader; now and then
    /// the first one elects nobody.
    static constexpr int leaderless_max = 4;

    /// `entry_bytes_limit`: what the log can hold in one piece.
    Replica(consensus::RaftOptions options, consensus::LogStore& log, consensus::GroupOwner& owner,
            Slab& slab, std::uint64_t hash_secret, std::size_t entry_bytes_limit);
    Replica(const Replica&) = delete;
    Replica& operator=(const Replica&) = delete;

    bool touched = false;    ///< in the list of its owner of those with effects
    bool committed = false;  ///< in the list of its owner of those with entries to apply
    HardState logged;        ///< the newest that is durable in the log, whatever comes with it
    Instant opened{};        ///< the turn in which the open batch began

    consensus::Group& group() noexcept { return group_; }
    const consensus::Group& group() const noexcept { return group_; }
    const Store& store() const noexcept { return store_; }
    /// For snapshots, which fill it or read a cut of it.
    Store& mutable_store() noexcept { return store_; }
    void set_handler(AppliedHandler* handler) noexcept { handler_ = handler; }

    /// Encodes `command` straight into the open batch; `waiter` hears of it when it is applied.
    /// Nothing: taken. Otherwise the reason, and nothing was done: `too_large`, the log cannot hold
    /// it; or the group's.
    std::optional<Errc> propose(const Command& command, Waiter waiter, std::uint64_t now_ms);
    /// The same with a command that encode_command wrote on another core.
    std::optional<Errc> propose(Bytes encoded, Waiter waiter, std::uint64_t now_ms);
    /// Begins a linearizable read. `behind_own`: it is to see the commands that its client gave
    /// before. A read that is later comes right behind all commands that were taken so far, and
    /// before any later one.
    ReadTurn begin_read(Waiter reader, std::uint64_t hash, bool behind_own) {
        if (group_.alone() && group_.ready() && !(behind_own && pending() != 0)) [[likely]] {
            return ReadTurn::now;
        }
        return queue_read(reader, hash);
    }
    /// Closes the open batch into one entry. At the end of a turn; nothing while it is paused().
    void close_batch(std::uint64_t now_ms);
    /// Commands or reads wait for a leader, or for what settle() does for them.
    bool waits() const noexcept {
        return has_open_batch() || (!readers_.empty() && readers_.back().round == unasked);
    }
    /// Has what waits go on, or drops it. Behind Group::flush(). True: the group has effects again.
    bool settle(std::uint64_t now_ms);
    bool has_open_batch() const noexcept { return !waiters_.empty(); }
    /// Commands that were taken, not yet applied, and may still be.
    std::uint64_t pending() const noexcept { return taken_ - done_; }

    /// Whether the next committed entry may be applied: not while a read that comes before one of
    /// its commands is not confirmed.
    bool may_apply() const noexcept;
    /// Applies the next committed entry; returns its bytes. Errors: Group::apply_next().
    Result<std::size_t> apply_next();
    /// When the batch that became the newest applied entry began; nothing: on another node, or it
    /// has no commands.
    const std::optional<Instant>& applied_since() const noexcept { return applied_since_; }
    /// Commands that were taken and came to nothing here, ever; of some nobody knows.
    std::uint64_t dropped() const noexcept { return dropped_; }
    /// Rounds of reads up to `ready.round` are confirmed.
    void reads_confirmed(const consensus::ReadReady& ready);
    /// The connection to `peer` was lost. If it leads, it is not known to until it is heard again.
    void disconnected(NodeId peer) noexcept;
    void heard(NodeId from) noexcept {
        if (from == lost_leader_) lost_leader_ = {};
    }
    /// Counts how long no leader is known. At every tick, and when the role has changed.
    void look_for_leader(Instant now) noexcept;
    /// Reads that were begun as leader begin anew.
    void role_changed(Instant now);
    /// The store of a snapshot of `position` takes the place of what is stored. `store` is emptied.
    void replaced(LogPosition position, Store& store);

    /// Memory of commands that are not applied yet, and of what is kept for further ones. Costs a
    /// walk over all entries under way.
    std::size_t buffer_bytes() const noexcept;

    /// Frees what a flush has put aside, in slices; true while work remains.
    bool reclaim(std::size_t entries_max) noexcept { return store_.reclaim(entries_max); }

private:
    /// Nothing is proposed now, but will be or not within a bounded time.
    bool paused() const noexcept { return awaits_leader() || group_.raft().handing_over(); }
    bool leaderless() const noexcept;
    bool awaits_leader() const noexcept { return !gave_up_ && leaderless(); }
    std::optional<Errc> make_room(std::size_t bytes, std::uint64_t now_ms);
    void took(Waiter waiter);
    ReadTurn queue_read(Waiter reader, std::uint64_t hash);
    void drop_overtaken(LogPosition applied);
    void drop_voided();
    void drop(std::vector<Waiter> waiters, Errc reason);
    void ask_readers();
    void drop_readers();
    void keep_waiters(std::vector<Waiter> waiters);
    Status apply(const Entry& entry) noexcept override;
    Status apply_commands(Bytes payload, bool own) noexcept;
    void keep_previous();
    void show_previous() noexcept;
    void prefetch_readers() const noexcept;
    void serve_readers();

    struct Proposed {
        LogPosition position;
        std::vector<Waiter> waiters;  ///< of its commands, in order
        Instant at{};
    };

    const std::size_t entry_bytes_limit_;
    Store store_;
    consensus::Group group_;
    AppliedHandler* handler_ = nullptr;
    struct Reader {
        std::uint64_t behind = 0;  ///< number of the command that it waits for
        std::uint64_t hash = 0;
        std::uint64_t round = 0;  ///< of reads, to be confirmed; 0: it was, for `index`
        Index index;              ///< to be applied before
        Waiter waiter;
    };

    std::string batch_;            ///< the open entry: room for its header, then commands
    std::vector<Waiter> waiters_;  ///< of the commands in batch_
    std::deque<Proposed> proposed_;
    std::vector<std::vector<Waiter>> free_waiters_;
    std::vector<Applied> applied_;
    struct Previous {
        std::size_t applied = 0;
        std::size_t at = 0;
        std::size_t bytes = 0;
    };
    std::vector<Previous> previous_;  ///< which of applied_ return a value, of previous_values_
    std::string previous_values_;
    std::deque<Reader> readers_;                          ///< by `behind`, and by `round`
    static constexpr std::uint64_t unasked = UINT64_MAX;  ///< a Reader's round: behind all others
    Term leads_;          ///< the term in which this replica leads; 0: it does not
    NodeId lost_leader_;  ///< 0: none
    std::optional<Instant> leaderless_since_;
    bool gave_up_ = false;  ///< it has been so for too long
    std::vector<Waiter> readable_;
    std::uint64_t taken_ = 0;  ///< commands proposed here, ever
    std::uint64_t done_ = 0;   ///< of those, applied or dropped
    std::uint64_t dropped_ = 0;
    std::optional<Instant> applied_since_;
};

}  // namespace kv
