#pragma once

/// What a leader believes of one follower, and what it has asked it and not heard about. Lives as
/// long as the leadership.
///
///     probe      one request at a time, until the logs agree somewhere
///     replicate  requests go out without waiting, within a window of bytes and requests
///     snapshot   nothing goes out until the snapshot has ended
///
/// A reply counts once, and only for a request that is outstanding here: what was given up, sent in
/// another term or by another life of this node is answered in vain (verification R9, R14).

#include <deque>
#include <optional>

#include "consensus/core/effects.h"
#include "proto/base/units.h"

namespace kv::consensus {

class Progress {
public:
    enum class State : std::uint8_t { probe, replicate, snapshot };

    /// An AppendRequest that was sent: its answer says something about (previous, end].
    struct Request {
        std::uint64_t sequence = 0;
        Index previous;
        Index end;
        std::size_t bytes = 0;
        Instant sent;
    };

    Progress(NodeId follower, Index first, Instant now) : node(follower), next(first), heard(now) {}

    const NodeId node;
    State state = State::probe;
    Index match;              ///< durable at the follower, and the same as here
    Index next;               ///< first entry of the next request; beyond match
    Instant heard;            ///< when the last answer came
    Instant not_before{};     ///< nothing is asked earlier: a snapshot failed, or there was no room
    std::uint64_t read = 0;   ///< newest round of reads that it has confirmed
    std::uint64_t fetch = 0;  ///< number of the outstanding Fetch; 0: none

    /// Whether another append may go out now.
    bool has_room(std::size_t bytes_max, std::size_t requests_max, Instant now) const noexcept;
    void sent(const Request& request);
    /// Takes the outstanding request of that number, if there is one. Accepted: those before it
    /// are answered with it.
    std::optional<Request> take(std::uint64_t sequence, bool accepted);

    void heartbeat_sent(std::uint64_t sequence, std::uint64_t round);
    /// The heartbeat of that number is answered. False: it is not outstanding with that round.
    bool take_heartbeat(std::uint64_t sequence, std::uint64_t round);

    /// Back to probing from `from`; what is outstanding is given up.
    void probe(Index from);
    void replicate();
    void begin_snapshot(std::uint64_t sequence, Index floor);
    /// Whether `sequence` is that of the snapshot that is under way.
    bool sends_snapshot(std::uint64_t sequence) const noexcept {
        return state == State::snapshot && sequence == snapshot_;
    }
    /// Whether `sequence` is the snapshot's and may end at `position`.
    bool is_snapshot(std::uint64_t sequence, Index position) const noexcept;
    /// The snapshot has arrived: its answer is due like that of a request sent now.
    void snapshot_delivered(Instant now) { snapshot_delivered_ = now; }
    /// Whether something has been unanswered since before `limit`.
    bool silent_since(Instant limit) const noexcept;
    /// What is outstanding will not be answered: probes where the logs are known to agree, or may.
    void give_up() { probe(state == State::replicate ? match.next() : next); }
    /// The connection is gone, and with it all answers. A snapshot has a connection of its own.
    void disconnected();

    std::size_t outstanding() const noexcept { return requests_.size(); }
    std::size_t outstanding_bytes() const noexcept { return bytes_; }

private:
    struct Heartbeat {
        std::uint64_t sequence;
        std::uint64_t round;
    };

    std::deque<Request> requests_;  ///< ascending in sequence and in end
    std::size_t bytes_ = 0;         ///< of requests_
    std::deque<Heartbeat> heartbeats_;
    std::uint64_t snapshot_ = 0;  ///< sequence of its request
    Index snapshot_floor_;        ///< it covers at least this
    std::optional<Instant> snapshot_delivered_;
};

}  // namespace kv::consensus
