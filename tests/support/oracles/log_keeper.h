#pragma once

/// Nothing vanishes from a log: an entry that a node once had goes only where another one takes its
/// place, or where a snapshot covers it; and of what was durable that holds over starts, too. A
/// snapshot that contradicts the log leaves nothing of what is behind it.
///
/// Terms stand for entries: two logs that have the same term at an index have the same entries up
/// to there (RaftInvariants::check_logs).

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/oracles/raft_invariants.h"

namespace kv::sim {

class LogKeeper {
public:
    /// What is wrong with the log of this node now, a sentence; nothing: all is well. To be called
    /// after each turn that changed it. O(what changed).
    std::optional<std::string> observe(const GroupFacts& facts);
    /// The node has an empty disk.
    void forget(NodeId node);

private:
    struct Log {
        std::uint64_t life = 0;  ///< 0: nothing is known yet
        Index base;              ///< of the first of `terms`; no entry, the one before the first
        std::vector<Term> terms;
        Index durable;

        Index last() const noexcept { return Index(base.value() + terms.size() - 1); }
        Term at(Index index) const { return terms[index.value() - base.value()]; }
    };
    static void take_over(const GroupFacts& facts, Log& log);

    std::map<std::pair<NodeId, GroupId>, Log> logs_;
};

}  // namespace kv::sim
