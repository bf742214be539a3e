#pragma once

/// Group: one Raft group of a cluster of one. Its single voter elects itself at each start, in a
/// term of its own, and an entry is committed as soon as its own log holds it durably: the rules of
/// Raft with a quorum of one. The interfaces to the log and to the state machine, the formats and
/// the order of effects are those of a group with peers.
///
///     propose -> log store (staged) -> persisted -> commit -> state machine
///
/// Owner core only. What stays true: applied <= commit <= persisted <= last; terms never fall along
/// the log; no write is accepted and no read is served before an entry of this term is committed.

#include <deque>
#include <string>

#include "consensus/drive/log_store.h"
#include "consensus/drive/state_machine.h"
#include "proto/raft/configuration.h"

namespace kv::consensus {

class Group {
public:
    /// Entries that wait to become durable may have this many bytes together; beyond: `busy`.
    static constexpr std::size_t uncommitted_bytes_max = std::size_t{16} << 20;

    Group(GroupId id, NodeId self, LogStore& log, StateMachine& machine) noexcept
        : id_(id), self_(self), log_(log), machine_(machine) {}
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    /// Recovery begins with the state of a snapshot, which the state machine holds already: all
    /// entries up to `last`, whose stamp was `time_ms`. Before any recover().
    void restore(LogPosition last, std::uint64_t time_ms, Configuration configuration) noexcept;
    // Recovery: the durable log, in its order. Entries that the snapshot includes are passed over.
    // With one voter, durable is committed, so entries are applied as they come. Errors: `damaged`,
    // the entry does not join the log before it.
    Status recover(const HardState& state) noexcept;
    Status recover(const Entry& entry) noexcept;

    /// Becomes leader of a new term: saves it with the own vote and appends an entry of that term;
    /// in an empty log, the first entry is `configuration`.
    void campaign(const Configuration& configuration, std::uint64_t now_ms) noexcept;

    /// Why nothing of `bytes` can be proposed now: `no_leader`, `busy`, `read_only`,
    /// `shutting_down`.
    std::optional<Errc> refusal(std::size_t bytes) const noexcept {
        const bool fits = uncommitted_bytes_ + bytes <= uncommitted_bytes_max;
        if (ready() && fits && !log_.constrained()) [[likely]]
            return std::nullopt;
        return look_for_refusal(bytes);
    }
    /// Appends an entry of commands. `entry` starts with room for the header; the group keeps it
    /// until it is applied. The caller has asked refusal().
    LogPosition propose(std::string entry, std::uint64_t now_ms) noexcept;

    /// The log holds everything up to and including `position` durably. A position of another term
    /// is from before and says nothing. Commits and applies. Error: the state machine's.
    Status persisted(LogPosition position) noexcept;

    /// Leads, and has committed an entry of its term.
    bool ready() const noexcept { return leading_ && commit_ >= first_of_term_; }

    GroupId id() const noexcept { return id_; }
    const HardState& hard_state() const noexcept { return hard_state_; }
    Term term() const noexcept { return hard_state_.term; }
    LogPosition last() const noexcept { return last_; }
    Index commit() const noexcept { return commit_; }
    Index applied() const noexcept { return applied_.index; }
    /// The last applied entry, and its stamp.
    LogPosition applied_position() const noexcept { return applied_; }
    std::uint64_t applied_time_ms() const noexcept { return applied_time_ms_; }
    std::size_t uncommitted_bytes() const noexcept { return uncommitted_bytes_; }
    /// Memory of entries that are not applied yet, and of buffers kept for further ones.
    std::size_t buffer_bytes() const noexcept;
    const Configuration& configuration() const noexcept { return configuration_; }

    /// A buffer for the next entry: empty, with memory of earlier ones.
    std::string take_buffer() noexcept;

private:
    std::optional<Errc> look_for_refusal(std::size_t bytes) const noexcept;
    LogPosition append(std::string entry, EntryKind kind, std::uint64_t now_ms) noexcept;
    Status apply(const Entry& entry) noexcept;

    struct Uncommitted {
        std::string bytes;
        LogPosition position;
    };

    GroupId id_;
    NodeId self_;
    LogStore& log_;
    StateMachine& machine_;
    HardState hard_state_;
    LogPosition last_;
    Index commit_;
    LogPosition applied_;
    std::uint64_t applied_time_ms_ = 0;
    LogPosition restored_;   ///< of the snapshot that recovery began with
    LogPosition recovered_;  ///< last entry that recovery brought, also one of the snapshot's
    Index first_of_term_;    ///< valid while leading
    std::uint64_t last_time_ms_ = 0;  ///< stamps never fall
    bool leading_ = false;
    Configuration configuration_;
    std::deque<Uncommitted> uncommitted_;  ///< (commit_, last_], as sealed
    std::size_t uncommitted_bytes_ = 0;
    std::vector<std::string> free_buffers_;
};

}  // namespace kv::consensus
