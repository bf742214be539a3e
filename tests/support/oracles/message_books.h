#pragma once

/// MessageBooks: what nodes say to each other is true, by the books of all that was said.
///
///     entries that are sent    are a piece of the sender's log, and so is what they follow
///     what is called committed the sender has committed; an offered snapshot, too
///     a vote that is granted   goes to a log that is not behind the voter's
///     a pre-vote               is not granted by a leader, nor soon after a leader was heard
///     a candidacy              has the pre-votes of a majority, or a leader has asked for it
///     a new leader             has the votes of a majority, each voter counted once
///
/// A message is judged when it leaves, at the end of a turn in which its sender may have gone on:
/// what may have changed since is left alone.

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "proto/base/units.h"
#include "proto/raft/message.h"
#include "tests/support/oracles/raft_invariants.h"

namespace kv::sim {

/// Who says something, at the end of its turn.
struct Speaker {
    const GroupFacts& facts;
    /// Before the turn.
    consensus::Role role_before = consensus::Role::follower;
    LogPosition last_before;
    /// Its disk does not answer, or did not before the turn: it wants another leader.
    bool stalled = false;
};

class MessageBooks {
public:
    MessageBooks(std::size_t nodes, Duration election_timeout)
        : majority_(nodes / 2 + 1), election_timeout_(election_timeout) {}

    /// Before it leaves. What is wrong, a sentence; nothing: all is well.
    std::optional<std::string> said(const Message& message, const Speaker& speaker, Instant now);
    /// A node has begun to lead.
    std::optional<std::string> elected(const GroupFacts& leader) const;

private:
    using Wrong = std::optional<std::string>;
    /// Of a request: group, sender, its boot, sequence.
    using Request = std::tuple<GroupId, NodeId, std::uint64_t, std::uint64_t>;
    using Candidacy = std::tuple<GroupId, Term, NodeId>;
    struct Heartbeat {
        std::uint64_t boot = 0;
        std::uint64_t sequence = 0;
        Term term;
        Instant at{};
    };
    struct Heard {
        std::uint64_t life = 0;
        Term term;
        Instant at{};  ///< or later
    };
    static constexpr std::size_t heartbeats_max = 8;  ///< kept, of a pair

    static Wrong judge_entries(const Message& message, const GroupFacts& sender);
    Wrong judge_request(const Message& message, const VoteRequest& request);
    Wrong judge_reply(const Message& message, const VoteReply& reply, const Speaker& speaker,
                      Instant now);
    void note_reply(const Message& message, const GroupFacts& sender);

    const std::size_t majority_;
    const Duration election_timeout_;
    std::map<Request, LogPosition> candidates_;
    std::map<Candidacy, std::set<NodeId>> votes_;
    std::map<Candidacy, std::set<NodeId>> pre_votes_;
    std::map<std::tuple<GroupId, NodeId, NodeId>, std::array<Heartbeat, heartbeats_max>> beats_;
    std::map<std::pair<GroupId, NodeId>, Heard> heard_;
};

}  // namespace kv::sim
