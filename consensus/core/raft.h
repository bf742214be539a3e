#pragma once

/// Raft: one group's protocol, pure. Messages, time and completions in; effects out. It knows no
/// clock, file, socket or log line. Raft (Ongaro, dissertation 2014) with pre-vote (9.6),
/// check-quorum and leader stickiness (6.2, 4.2.3), a no-op on election, pipelined replication,
/// ReadIndex (6.4), leadership transfer (3.10), and disk writes beside replication (10.2.1).
///
/// Owner core only. Total: any message from any peer is legal input and never stops the process.
/// What stays true is in consensus/core/invariants.h.

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "consensus/core/effects.h"
#include "proto/base/errc.h"
#include "proto/base/prng.h"
#include "proto/base/units.h"
#include "proto/raft/configuration.h"

namespace kv::consensus {

enum class Role : std::uint8_t { follower, pre_candidate, candidate, leader };

struct RaftOptions {
    GroupId group;
    NodeId self;
    std::uint64_t boot = 0;  ///< of the data directory; never used twice
    std::uint64_t seed = 0;  ///< of election timeouts
    Duration heartbeat_interval = 50ms;
    Duration election_timeout = 300ms;  ///< at least; a random one below its double
    std::size_t append_bytes_max = std::size_t{128} << 10;  ///< entries of one request, beyond one
    std::size_t inflight_bytes_max = std::size_t{1} << 20;  ///< unanswered, per follower
    std::size_t inflight_requests_max = 256;                ///< unanswered, per follower
    std::size_t uncommitted_bytes_max = std::size_t{16} << 20;  ///< beyond: `busy`
    std::size_t cached_bytes_max = std::size_t{4} << 20;  ///< applied entries kept for followers
};

class Raft {
public:
    explicit Raft(RaftOptions options);
    Raft(const Raft&) = delete;
    Raft& operator=(const Raft&) = delete;
    ~Raft();

    // --- recovery, in this order; nothing else before start() ------------------------------------
    /// The state machine holds everything up to `last`.
    void restore(LogPosition last, const Configuration& configuration);
    /// Errors of the next two: `damaged`, it does not join what came before.
    Status recover(const HardState& state);
    /// Durable entries in the order of the log. One at an index that is there already replaces it
    /// and all behind it.
    Status recover(const Entry& entry);
    /// An empty log begins with `first` as its entry 1, of term 1, equal on all nodes. A sole voter
    /// campaigns at once; others are followers with a fresh timeout.
    void start(const Configuration& first, Instant now, Effects& effects);

    // --- inputs ----------------------------------------------------------------------------------
    void step(const Message& message, Instant now, Effects& effects);
    /// To be called at least every 10 ms of time, after all messages that had arrived by `now`.
    void tick(Instant now, Effects& effects);
    /// Everything handed over up to `mark` is durable.
    void persisted(PersistMark mark, Instant now, Effects& effects);
    /// Ends a turn: hands over what was proposed, requests for followers, rounds of reads.
    void flush(Instant now, Effects& effects);

    /// Why nothing of `bytes` can be proposed now: `no_leader` (also: not the leader), `busy`.
    std::optional<Errc> refusal(std::size_t bytes) const noexcept;
    /// Appends an entry to the log. `entry` has room for the header in front of its payload; its
    /// bytes are sealed here, once. The caller has asked refusal().
    LogPosition propose(std::string entry, EntryKind kind, std::uint64_t now_ms);
    /// A buffer for the next entry: empty, with memory of earlier ones.
    std::string take_buffer() noexcept;

    /// The round that a read asked for now belongs to; 0: this is no leader that may serve reads.
    std::uint64_t request_read();

    /// Everything up to `index` is applied: memory up to it may go once followers have it.
    void applied(Index index);
    /// The log on disk begins behind `position`, which a snapshot covers.
    void compacted(LogPosition position);

    /// Answers a Fetch: `entries` from its first on, whole, ascending. None: the log on disk begins
    /// later, or cannot be read; a snapshot will do.
    void fetched(NodeId to, std::uint64_t number, std::vector<Entry> entries, Effects& effects);
    /// A SnapshotSend has ended; false: it failed and is to be tried again.
    void snapshot_sent(NodeId to, bool received);
    /// The snapshot that was to be received is durable and the state machine holds it.
    void installed(const Message& request, const Configuration& configuration, Instant now,
                   Effects& effects);

    /// Hands leadership to `to`, a voter, once it has the whole log; given up after one election
    /// timeout. False: not the leader, or another transfer is under way.
    bool transfer(NodeId to, Instant now, Effects& effects);
    /// The disk has not answered for an election timeout, or does again. While it does not, a
    /// leader sends no heartbeats and hands over, and nobody campaigns.
    void set_disk_stalled(bool stalled, Instant now, Effects& effects);
    /// The connection to `peer` was lost: what was outstanding on it will not be answered.
    void disconnected(NodeId peer);

    // --- state -----------------------------------------------------------------------------------
    Role role() const noexcept;
    Term term() const noexcept;
    NodeId vote() const noexcept;
    NodeId leader() const noexcept;  ///< 0: none known
    /// Leads, and has committed an entry of its term: may take writes and reads.
    bool ready() const noexcept;
    Index commit() const noexcept;
    LogPosition last() const noexcept;
    LogPosition durable() const noexcept;
    /// Up to which the log was given up for a snapshot.
    LogPosition compacted() const noexcept;
    /// Term of the entry at `index`, from compacted().index to last().index.
    Term term_at(Index index) const noexcept;
    /// An entry in memory: all that are not applied are.
    Entry entry(Index index) const noexcept;
    const Configuration& configuration() const noexcept;  ///< the newest in the log
    std::size_t uncommitted_bytes() const noexcept;
    std::size_t buffer_bytes() const noexcept;

private:
    struct State;  // to be split by topic: election, replication, log_view, progress, read_index
    std::unique_ptr<State> state_;
};

}  // namespace kv::consensus
