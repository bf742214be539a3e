#pragma once

/// What is true of a group after every input, and of its state after an input compared with the one
/// before. Tests and simulation ask after each; a sentence says what is wrong.

#include <optional>
#include <string>

#include "consensus/core/raft.h"

namespace kv::consensus {

/// What can be compared later.
struct Observed {
    Role role = Role::follower;
    Term term;
    NodeId vote;
    NodeId leader;
    Index commit;
    Index applied;
    LogPosition compacted;
    LogPosition last;
};
Observed observe(const Raft& raft) noexcept;

/// One state, and it after `before`, of the same life.
std::optional<std::string> violated(const Raft& raft);
std::optional<std::string> violated(const Observed& before, const Raft& raft);

}  // namespace kv::consensus
