#pragma once

/// Raft: one group's protocol, pure. Messages, time and completions in; effects out. It knows no
/// clock, file, socket or log line. Raft (Ongaro, dissertation 2014) with pre-vote (9.6),
/// check-quorum and leader stickiness (6.2, 4.2.3), a no-op on election, pipelined replication,
/// ReadIndex (6.4), leadership transfer (3.10), and disk writes beside replication (10.2.1).
///
/// Owner core only. Total: any message from any peer is legal input and never stops the process.
/// What contradicts the committed log is not believed, whoever says it: to follow would be to lose
/// or to fork acknowledged data (Effects::contradicted).
/// What stays true is in consensus/core/invariants.h.

#include <span>
#include <string>
#include <vector>

#include "consensus/core/effects.h"
#include "consensus/core/log_view.h"
#include "consensus/core/membership.h"
#include "consensus/core/progress.h"
#include "consensus/core/read_index.h"
#include "proto/base/mutant.h"
#include "proto/base/prng.h"
#include "proto/base/result.h"
#include "proto/base/units.h"

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
    std::size_t cached_bytes_max = std::size_t{4} << 20;        ///< applied, kept for followers
};

class Raft {
public:
    explicit Raft(RaftOptions options);
    Raft(const Raft&) = delete;
    Raft& operator=(const Raft&) = delete;

    // --- recovery: restore() first, then what the log holds, in its order, then start(). commit()
    // grows meanwhile: what it covers may be applied, and applied() said, before more is recovered
    /// The state machine holds everything up to `last`, whose stamp is `time_ms`.
    void restore(LogPosition last, std::uint64_t time_ms, const Configuration& configuration);
    /// Errors of recovery: `damaged`, it does not join what came before; `corrupt` and
    /// `unsupported`, a configuration cannot be read.
    Status recover(const HardState& state);
    /// One at an index that is there already replaces it and all behind it.
    Status recover(const Entry& entry);
    /// Effects::reset: all entries so far are void.
    Status recover(LogPosition reset);
    /// An empty log begins with `first` as its entry 1, of term 1, equal on all nodes. A sole voter
    /// campaigns at once; others are followers with a fresh timeout. Error: `damaged`, entries that
    /// were committed are missing.
    Status start(const Configuration& first, Instant now, Effects& effects);

    // --- inputs ----------------------------------------------------------------------------------
    void step(const Message& message, Instant now, Effects& effects);
    /// To be called at least every 10 ms of time, after all messages that had arrived by `now`.
    void tick(Instant now, Effects& effects);
    /// Everything handed over up to `mark` is durable.
    void persisted(PersistMark mark, Instant now, Effects& effects);
    /// Ends a turn: hands over what is to be durable, requests for followers, rounds of reads. Only
    /// after it are effects carried out.
    void flush(Instant now, Effects& effects);

    /// Why nothing of `bytes` can be proposed now: `no_leader` (also: not the leader), `busy` (also
    /// while leadership is handed over).
    std::optional<Errc> refusal(std::size_t bytes) const noexcept {
        if (!ready()) return Errc::no_leader;
        const bool fits = uncommitted_bytes_ + bytes <= options_.uncommitted_bytes_max;
        if (!(fits || uncommitted_bytes_ == 0) || transfer_ || stalled_) return Errc::busy;
        return std::nullopt;
    }
    /// Appends an entry of commands, or of nothing, to the log. `entry` has room for the header in
    /// front of its payload; its bytes are sealed here, once. The caller has asked refusal().
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
    /// later, or cannot be read; a snapshot will do. What they view stays until `effects` are
    /// carried out.
    void fetched(NodeId to, std::uint64_t number, std::span<const Entry> entries, Instant now,
                 Effects& effects);
    /// The SnapshotSend of `request` has ended; false: it failed and is to be tried again. Nothing,
    /// if another one has taken its place since.
    void snapshot_sent(const Message& request, bool received, Instant now);
    /// The snapshot that was to be received is complete on disk, and `commit()` was behind it. Says
    /// whether it is installed: then the state machine takes it over before anything is applied,
    /// and what makes it the state to recover from is made durable in one piece with the next
    /// hand-over, which has a Effects::reset unless the log goes on from it.
    bool installed(const Message& request, std::uint64_t time_ms,
                   const Configuration& configuration, Instant now, Effects& effects);

    /// Hands leadership to `to`, a voter, once it has the whole log; given up after one election
    /// timeout. False: not the leader, or another transfer is under way.
    bool transfer(NodeId to, Instant now);
    /// Leads, and has begun to hand that over: it proposes nothing meanwhile.
    bool handing_over() const noexcept { return transfer_.has_value(); }
    /// The disk has not answered for an election timeout, or does again. While it does not, a
    /// leader sends no heartbeats and hands over, and nobody campaigns.
    void set_disk_stalled(bool stalled, Instant now);
    /// The connection to `peer` was lost: what was outstanding on it will not be answered.
    void disconnected(NodeId peer);

    // --- state -----------------------------------------------------------------------------------
    Role role() const noexcept { return role_; }
    Term term() const noexcept { return term_; }
    NodeId vote() const noexcept { return vote_; }
    NodeId leader() const noexcept { return leader_; }  ///< 0: none known
    /// Leads, and has committed an entry of its term: may take writes and reads.
    bool ready() const noexcept {
        const bool led = mutant(Mutant::m10_leads_for_ever) && first_of_term_.value() != 0;
        return (role_ == Role::leader || led) &&
               (commit_ >= first_of_term_ || mutant(Mutant::m29_early_read));
    }
    /// Committed, and durable here: applied <= commit <= durable <= last.
    Index commit() const noexcept { return commit_; }
    Index applied_index() const noexcept { return applied_; }
    LogPosition last() const noexcept { return log_.last(); }
    LogPosition durable() const noexcept { return log_.durable(); }
    /// Up to which the log was given up for a snapshot.
    LogPosition compacted() const noexcept { return log_.compacted(); }
    /// Term of the entry at `index`, from compacted().index to last().index.
    Term term_at(Index index) const noexcept { return log_.term_at(index); }
    /// The log holds the entry at `position`, or begins right behind it.
    bool holds(LogPosition position) const noexcept { return log_.holds(position); }
    /// An entry in memory: all that are not applied are.
    Entry entry(Index index) const noexcept { return log_.entry(index); }
    /// The first entry in memory; behind last() when none is.
    Index in_memory() const noexcept { return log_.in_memory(); }
    const Configuration& configuration() const noexcept { return membership_.current(); }
    const Voters& voters() const noexcept { return membership_.voters(); }
    std::size_t uncommitted_bytes() const noexcept { return uncommitted_bytes_; }
    std::size_t buffer_bytes() const noexcept { return log_.memory_bytes(); }
    /// What a leader believes of its followers; empty for others.
    std::span<const Progress> followers() const noexcept { return followers_; }
    /// The newest term and vote that are durable.
    const HardState& durable_state() const noexcept { return durable_state_; }
    bool disk_stalled() const noexcept { return stalled_; }  ///< as set_disk_stalled() was told
    const RaftOptions& options() const noexcept { return options_; }

private:
    /// Keeps back what promises something that is not durable yet.
    struct Held {
        Message message;
        std::uint64_t number;  ///< the hand-over of the term and vote that it rests on
        Index durable;         ///< the entry that it vouches for
    };
    struct Transfer {
        NodeId to;
        Instant until;
        bool asked = false;  ///< TimeoutNow was sent
    };

    // Roles and terms (raft.cc).
    void become_follower(Term term, NodeId leader, Instant now, Effects& effects);
    void follow(const Message& request, Instant now, Effects& effects);
    bool accept_request(const Message& message, MessageBody stale, Instant now, Effects& effects);
    bool accept_reply(const Message& message, Instant now, Effects& effects);
    Message message(NodeId to, MessageBody body) const;
    static Message answer(const Message& request, Term term, MessageBody body);
    void send(Message message, Effects& effects, Index durable = {});
    void release(Effects& effects);
    void save(Term term, NodeId vote);
    void append(std::string entry, EntryKind kind, std::uint64_t now_ms, Term term);
    void hand_over(Effects& effects);
    void set_commit(Index index, Effects& effects);

    // Elections (election.cc).
    void campaign(bool pre, bool transfer, Instant now, Effects& effects);
    void count(Instant now, Effects& effects);
    void become_leader(Instant now, Effects& effects);
    void restart_timeout(Instant now);
    bool sticky(Instant now) const noexcept;
    bool may_campaign() const noexcept;
    void lead(Instant now, Effects& effects);
    void ask_to_campaign(Effects& effects);
    void on(const Message& message, const VoteRequest& request, Instant now, Effects& effects);
    void on(const Message& message, const VoteReply& reply, Instant now, Effects& effects);
    void on(const Message& message, const TimeoutNow& request, Instant now, Effects& effects);

    // Replication (replication.cc).
    void on(const Message& message, const AppendRequest& request, Instant now, Effects& effects);
    void on(const Message& message, const AppendReply& reply, Instant now, Effects& effects);
    bool take_entries(const Message& message, const AppendRequest& request, Effects& effects);
    void learn_commit(Index index, Effects& effects);
    void count_commit(Effects& effects);
    void replicate(Instant now, Effects& effects);
    void replicate_to(Progress& follower, Instant now, Effects& effects);
    void send_append(Progress& follower, std::vector<Bytes> entries, Index end, Instant now,
                     Effects& effects);
    Progress* find(NodeId node) noexcept;
    void trim();

    // Heartbeats and reads (heartbeat.cc).
    void on(const Message& message, const HeartbeatRequest& request, Instant now, Effects& effects);
    void on(const Message& message, const HeartbeatReply& reply, Instant now, Effects& effects);
    void send_heartbeats(Instant now, Effects& effects);
    void confirm_reads(Effects& effects);

    // Snapshots (snapshots.cc).
    void on(const Message& message, const SnapshotRequest& request, Instant now, Effects& effects);
    void send_snapshot(Progress& follower, Effects& effects);
    void install(LogPosition position, std::uint64_t time_ms, const Configuration& configuration);

    RaftOptions options_;
    Prng prng_;

    // What is durable, or about to be.
    Term term_;
    NodeId vote_;
    bool unsaved_ = false;            ///< term, vote or an installed snapshot: to be handed over
    std::uint64_t state_number_ = 0;  ///< hand-over that brought the newest term and vote
    std::deque<std::pair<std::uint64_t, HardState>> saving_;  ///< handed over, not durable yet
    HardState durable_state_;
    LogView log_;
    Membership membership_;
    std::optional<LogPosition> reset_;  ///< to be handed over
    Index saved_commit_;                ///< the newest that was handed over, or was recovered
    std::size_t unsaved_commit_bytes_ = 0;
    std::vector<Held> held_;

    // What is known.
    Role role_ = Role::follower;
    NodeId leader_;
    Index commit_;
    Index known_commit_;  ///< commit_, and what will be committed here once it is durable
    Index applied_;
    std::uint64_t last_time_ms_ = 0;  ///< stamps never fall
    std::uint64_t sequence_ = 0;      ///< of the last request, whatever its kind and peer
    LogPosition covered_;             ///< recovery: last entry that the snapshot includes
    bool contradicted_ = false;       ///< recovery: the log disagrees with the snapshot
    bool stalled_ = false;

    // Elections. Instants are valid once start() was called.
    Instant ticked_{};
    Instant heard_{};     ///< when the leader was last heard of
    Instant election_{};  ///< when to campaign
    Ballot ballot_;
    std::uint64_t campaign_ = 0;  ///< sequence of the requests of the ballot
    bool voted_self_ = false;     ///< the own vote is durable, and counted

    // Leaders only.
    Index first_of_term_;
    std::size_t uncommitted_bytes_ = 0;
    std::vector<Progress> followers_;  ///< all members but this node
    ReadIndex reads_;
    Instant heartbeat_{};  ///< when the next ones are due
    std::optional<Transfer> transfer_;
    std::uint64_t fetch_ = 0;
};

}  // namespace kv::consensus
