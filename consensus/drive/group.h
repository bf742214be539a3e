#pragma once

/// Group: one Raft group on this core. It hands inputs to the protocol (consensus/core/raft.h) and
/// carries out what they ask for, in the order that consensus/core/effects.h gives:
///
///     step, tick, propose ... flush -> log store, messages -> persisted -> commit -> apply
///
/// Owner core only. What stays true: applied <= commit <= durable <= last; entries are applied once
/// each, in the order of the log, and only when committed.

#include <string>

#include "consensus/core/raft.h"
#include "consensus/drive/log_rate.h"
#include "consensus/drive/log_store.h"
#include "consensus/drive/state_machine.h"

namespace kv::consensus {

/// Where what a group asks for goes, besides its log and its state machine. None of these may call
/// back into the group.
class GroupOwner {
public:
    /// To message.to; views are valid during the call. What is lost is sent again by the protocol.
    virtual void send(const Message& message) noexcept = 0;
    /// Ends with Group::fetched(), perhaps after many turns.
    virtual void fetch(GroupId group, const Fetch& fetch) noexcept = 0;
    /// Ends with Group::snapshot_sent().
    virtual void send_snapshot(GroupId group, const SnapshotSend& send) noexcept = 0;
    /// Ends with Group::installed(), or with nothing: it is offered again.
    virtual void receive_snapshot(GroupId group, const Message& offer) noexcept = 0;
    /// The rounds of reads up to `ready.round` are confirmed.
    virtual void on_reads_confirmed(GroupId group, const ReadReady& ready) noexcept = 0;
    /// Role, term, leader or ready() have changed.
    virtual void on_role_changed(GroupId group) noexcept = 0;
    /// A peer contradicted what is committed here, and was not believed.
    virtual void on_contradicted(GroupId group) noexcept = 0;

protected:
    ~GroupOwner() = default;
};

class Group {
public:
    Group(RaftOptions options, LogStore& log, StateMachine& machine, GroupOwner& owner)
        : raft_(options), log_(log), machine_(machine), owner_(owner) {}
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    // Recovery: as Raft's. What is known to be committed is applied as it comes. Further error: the
    // state machine's.
    void restore(LogPosition last, std::uint64_t time_ms, const Configuration& configuration);
    Status recover(const HardState& state);
    Status recover(const Entry& entry);
    Status recover(LogPosition reset);
    Status start(const Configuration& first, Instant now) {
        return raft_.start(first, now, effects_);
    }

    // Inputs. Each is carried out by the next flush(), but for reads that a message confirms: they
    // are told at once, and wait for nothing but what is to be applied before.
    /// Of entries of a leader only those for which the log has room are taken: or what makes a log
    /// that is full shorter could not be written. The leader sends the others again.
    void step(const Message& message, Instant now);
    void tick(Instant now) { raft_.tick(now, effects_); }
    void persisted(PersistMark mark, Instant now) { raft_.persisted(mark, now, effects_); }
    void disconnected(NodeId peer) { raft_.disconnected(peer); }
    bool transfer(NodeId to, Instant now) { return raft_.transfer(to, now); }
    void set_disk_stalled(bool stalled, Instant now) { raft_.set_disk_stalled(stalled, now); }
    /// Sends what was read at once: its views are the caller's.
    void fetched(NodeId to, std::uint64_t number, std::span<const Entry> entries, Instant now);
    void snapshot_sent(const Message& request, bool received, Instant now) {
        raft_.snapshot_sent(request, received, now);
    }
    /// True: the state machine is to take the snapshot over now.
    bool installed(const Message& request, std::uint64_t time_ms,
                   const Configuration& configuration, Instant now);
    std::uint64_t request_read() { return raft_.request_read(); }
    void compacted(LogPosition position) { raft_.compacted(position); }

    /// Why nothing of `bytes` can be proposed now: `no_leader` (also: another node leads), `busy`,
    /// or what the log says.
    std::optional<Errc> refusal(std::size_t bytes) const noexcept {
        const auto refused = raft_.refusal(bytes);
        if (refused || !log_.constrained()) return refused;
        return log_.refusal(bytes);
    }
    /// Appends an entry of commands. `entry` starts with room for the header. The caller has asked
    /// refusal().
    LogPosition propose(std::string entry, std::uint64_t now_ms) {
        return raft_.propose(std::move(entry), EntryKind::commands, now_ms);
    }
    /// A buffer for the next entry: room for its header, with memory of earlier ones.
    std::string take_buffer() noexcept { return raft_.take_buffer(); }

    /// Ends a turn: hands over what is to be durable, sends messages.
    void flush(Instant now);

    bool has_committed() const noexcept { return raft_.commit() > applied_.index; }
    /// Applies the next committed entry, and returns its bytes. Error: the state machine's.
    Result<std::size_t> apply_next();

    GroupId id() const noexcept { return raft_.options().group; }
    const Raft& raft() const noexcept { return raft_; }
    bool ready() const noexcept { return raft_.ready(); }
    /// No other node has a vote: what this one knows is all there is to know.
    bool alone() const noexcept { return raft_.voters().is_only(raft_.options().self); }
    Index applied() const noexcept { return applied_.index; }
    /// The last applied entry, and its stamp.
    LogPosition applied_position() const noexcept { return applied_; }
    std::uint64_t applied_time_ms() const noexcept { return applied_time_ms_; }
    /// As of the last applied entry.
    const Configuration& configuration() const noexcept { return configuration_; }
    std::size_t buffer_bytes() const noexcept { return raft_.buffer_bytes(); }

private:
    void take(const Message& message, Instant now);
    void answer_reads();
    std::size_t entries_with_room(const AppendRequest& request) const noexcept;
    void log_too_long(Instant now) noexcept;
    Status apply(const Entry& entry);

    Raft raft_;
    LogStore& log_;
    StateMachine& machine_;
    GroupOwner& owner_;
    Effects effects_;
    LogPosition applied_;
    std::uint64_t applied_time_ms_ = 0;
    Configuration configuration_;
    LogRate too_long_rate_;
};

}  // namespace kv::consensus
