#pragma once

/// What the driver of a Raft group needs from durable storage. The consumer's interface:
/// engine/replica implements it over the WAL of the core. Nothing here waits: what was staged in a
/// turn becomes durable together, and the owner then calls Group::persisted().

#include <cstdint>
#include <optional>

#include "consensus/core/effects.h"
#include "proto/raft/entry.h"

namespace kv::consensus {

class LogStore {
public:
    /// Stages that the log of the group goes on behind `position`, which a snapshot covers: all its
    /// entries so far are void.
    virtual void reset(GroupId group, LogPosition position) noexcept = 0;
    /// Stages the group's hard state; durable no later than anything staged after it.
    virtual void save(GroupId group, const HardState& state) noexcept = 0;
    /// Stages one entry. It replaces any stored at or after its index. `entry.bytes` are copied.
    virtual void append(GroupId group, const Entry& entry) noexcept = 0;
    /// What was staged for the group since the last call is one hand-over: once all of it is
    /// durable, Group::persisted(mark).
    virtual void hand_over(GroupId group, PersistMark mark) noexcept = 0;
    /// Why an entry of `bytes` cannot be stored now: `read_only`, `log_full`, `shutting_down`.
    /// Asked for each command, and for what other leaders send, while constrained().
    virtual std::optional<Errc> refusal(std::size_t bytes) const noexcept = 0;
    /// No entry longer than this can ever be stored. Constant.
    std::size_t entry_bytes_max() const noexcept { return entry_bytes_max_; }
    /// False: there is nothing that could make refusal() refuse, so that the hot path need not ask.
    bool constrained() const noexcept { return constrained_; }

protected:
    ~LogStore() = default;
    /// Kept up to date by the implementation, once a turn: what is taken meanwhile waits for room.
    void set_constrained(bool constrained) noexcept { constrained_ = constrained; }

    void set_entry_bytes_max(std::size_t bytes) noexcept { entry_bytes_max_ = bytes; }

private:
    std::size_t entry_bytes_max_ = SIZE_MAX;
    bool constrained_ = true;
};

}  // namespace kv::consensus
