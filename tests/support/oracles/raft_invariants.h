#pragma once

/// RaftInvariants: what Raft promises about all nodes together (Ongaro, figure 3.2), looked at
/// after each change of a group on a node:
///
///     election safety        at most one leader in a term
///     leader completeness    a new leader has every entry that was committed in terms before its
///     state machine safety   what is committed at an index is the same everywhere, for good
///     own term               what a leader commits ends with an entry of its term (figure 8)
///     one vote               a vote stays while its term and its process last
///     monotony               term and commit never fall while a process lives
///     equal digests          stores that applied as much hold the same
///     log matching           logs that agree somewhere agree everywhere before (check_logs)
///
/// Facts are handed in, so that a test can make them up.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "consensus/core/raft.h"

namespace kv::sim {

/// One group on one node, at one moment.
struct GroupFacts {
    NodeId node;
    std::uint64_t life = 0;  ///< of the process
    GroupId group;
    consensus::Role role = consensus::Role::follower;
    Term term;
    NodeId vote;
    NodeId leader;  ///< 0: none known
    Index commit;
    Index applied;
    Index compacted;
    Index durable;
    LogPosition last;
    std::function<Term(Index)> term_at;     ///< from `compacted` to `last`
    std::function<std::uint64_t()> digest;  ///< of the store
};

class RaftInvariants {
public:
    /// What is wrong, a sentence; nothing: all is well.
    std::optional<std::string> observe(const GroupFacts& facts);
    /// Compares whole logs. O(entries).
    static std::optional<std::string> check_logs(const GroupFacts& a, const GroupFacts& b);

    /// The last entry of `group` that any node has held for committed.
    LogPosition committed(GroupId group) const;
    Term term_of_committed(GroupId group, Index index) const;
    std::uint64_t elections() const noexcept { return leaders_.size(); }

private:
    static constexpr std::size_t digests_max = 4096;  ///< kept, of a group

    struct Committed {
        Term term;
        Term by;  ///< the term of the node that was the first to know, or a later one
    };
    struct Life {
        std::uint64_t number = 0;
        consensus::Role role = consensus::Role::follower;
        Term term;
        NodeId vote;
        Index commit;
    };
    struct Group {
        std::vector<Committed> committed;  ///< from index 1 on
        std::map<NodeId, Life> lives;
        std::map<Index, std::uint64_t> digests;  ///< by applied index
    };
    using Wrong = std::optional<std::string>;

    Wrong observe_leader(const GroupFacts& facts, Group& group, bool elected);
    static Wrong observe_commit(const GroupFacts& facts, Group& group, Index before);
    static Wrong observe_digest(const GroupFacts& facts, Group& group);

    std::map<GroupId, Group> groups_;
    std::map<std::pair<GroupId, Term>, NodeId> leaders_;
};

}  // namespace kv::sim
