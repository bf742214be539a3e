#pragma once

/// What the replicas of one Raft group say to each other, one struct per kind (Raft, figure 2;
/// dissertation 3, 4.2.3, 6.4, 9.6). Requests and answers: whoever asks numbers the request and
/// puts in the boot of its own data directory; the answer carries both back. An answer to an
/// earlier life, an earlier term or a request that is not outstanding says nothing and is dropped.
/// proto/raft/message_codec.h has the bytes.

#include <cstdint>
#include <variant>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/raft/entry.h"

namespace kv {

/// Asks for a vote. A pre-vote asks whether a vote would be granted: its term is the one that the
/// sender would campaign in, and it changes nothing at the receiver.
struct VoteRequest {
    LogPosition last;  ///< of the sender's log
    bool pre = false;
    bool transfer = false;  ///< the leader asked for this election: a living leader is no objection
};

/// A pre-vote that is granted carries the term of its request; one that is refused carries the
/// receiver's own.
struct VoteReply {
    bool pre = false;
    bool granted = false;
};

/// Entries that follow `previous`; none: a probe whether the logs agree there.
struct AppendRequest {
    LogPosition previous;
    Index commit;                ///< the leader's; the receiver trusts it up to what it verified
    std::vector<Bytes> entries;  ///< proto/raft/entry.h, ascending without a gap
};

/// Sent when what it reports is durable.
struct AppendReply {
    bool rejected = false;
    Index match;       ///< accepted: the last index of *this* request. Rejected: its `previous`
    LogPosition hint;  ///< rejected: the highest position at or before which the logs may agree
};

/// A leader lives. Packed for all groups that a core leads: one frame per peer, core and interval.
struct HeartbeatRequest {
    Index commit;            ///< at most what the receiver is known to have
    std::uint64_t read = 0;  ///< newest round of reads that an answer confirms (ReadIndex)
};

struct HeartbeatReply {
    std::uint64_t read = 0;  ///< as asked
};

/// A snapshot of everything up to `position` is offered; its bytes come on a connection of their
/// own. Answered by an AppendReply once it is durable and installed, or at once when it is not
/// needed.
struct SnapshotRequest {
    LogPosition position;
};

/// The receiver is to campaign now (leadership transfer).
struct TimeoutNow {};

using MessageBody = std::variant<VoteRequest, VoteReply, AppendRequest, AppendReply,
                                 HeartbeatRequest, HeartbeatReply, SnapshotRequest, TimeoutNow>;

struct Message {
    GroupId group;
    NodeId from;
    NodeId to;
    Term term;
    std::uint64_t boot = 0;      ///< of whoever made the request
    std::uint64_t sequence = 0;  ///< of the request, from 1, by group and peer
    MessageBody body;
};

}  // namespace kv
