#pragma once

/// What inputs to a Raft group ask of its driver. Inputs only add to it. Raft::flush() ends the
/// turn; the driver then carries all of it out in this order, and clears it. Groups of a core may
/// be merged: one write, one frame per peer.
///
///     1. make durable, in one piece or in this order: `reset`, `hard_state`, `append`; later say
///        Raft::persisted(`mark`)
///     2. send `messages`: all of them may leave now, beside the write. What promises anything that
///        is not durable yet is not here: the group keeps it until persisted()
///     3. apply entries up to Raft::commit(), then say Raft::applied()
///     4. answer `reads`, start `fetches` and `snapshots`
///
/// `reads` may be answered at any time before, too: each names what is to be applied first.
///
/// What is to be made durable and what views entries is added by flush() alone (and by fetched(),
/// whose views are of the caller's memory). Views are valid until the next input to the group.

#include <optional>
#include <vector>

#include "proto/raft/message.h"

namespace kv::consensus {

/// Names what was handed over to be made durable. Truncation begins a new epoch: a completion of an
/// older one must not vouch for entries that took the place of others (verification: ABA).
struct PersistMark {
    std::uint64_t number = 0;  ///< of the hand-over, ascending within the group's life; 0: none
    std::uint64_t epoch = 0;
    bool operator==(const PersistMark&) const noexcept = default;
};

/// A round of reads is confirmed: they may be served once `index` is applied.
struct ReadReady {
    std::uint64_t round = 0;  ///< of Raft::request_read; all rounds up to it
    Index index;
};

/// `to` needs entries from `first` on that are not in memory any more: to be read from the log on
/// disk, at most `bytes_max`, at least one, and given to Raft::fetched().
struct Fetch {
    NodeId to;
    std::uint64_t number = 0;
    Index first;
    Index last;
    std::size_t bytes_max = 0;
};

/// `to` needs a snapshot: the log does not reach back far enough, or cannot be read. `request` goes
/// ahead of it on the connection that carries it; the driver fills in its position. Ends with
/// Raft::snapshot_sent().
struct SnapshotSend {
    NodeId to;
    Message request;
    Index covers;  ///< one that ends before it would leave `to` where it is
};

struct Effects {
    /// A snapshot at this position was installed that the log contradicts, or does not reach: all
    /// entries stored so far are void, and the log goes on behind the position. Recovery brings it
    /// back at its place in the log (Raft::recover).
    std::optional<LogPosition> reset;
    std::optional<HardState> hard_state;
    /// Entries; they replace any stored at or after the first's index.
    std::vector<Entry> append;
    PersistMark mark;  ///< number 0: there is nothing to make durable
    std::vector<Message> messages;
    std::vector<ReadReady> reads;
    std::vector<Fetch> fetches;
    std::vector<SnapshotSend> snapshots;
    /// A snapshot that a leader offered and that is to be received: position and whom from.
    std::optional<Message> receive_snapshot;
    /// Role, term, leader or ready() have changed: the driver looks at them. Unless it leads in the
    /// same term as before, reads that were not answered never will be, and commands that were not
    /// committed may be lost.
    bool role_changed = false;
    /// A peer contradicted what is committed here; it was not believed. The protocol was broken
    /// somewhere: in its memory or program, or in these. For people to hear of.
    bool contradicted = false;

    void clear() noexcept {
        reset.reset();
        hard_state.reset();
        append.clear();
        mark = {};
        messages.clear();
        reads.clear();
        fetches.clear();
        snapshots.clear();
        receive_snapshot.reset();
        role_changed = false;
        contradicted = false;
    }
};

}  // namespace kv::consensus
