#pragma once

/// What the driver of a Raft group needs from the thing that applies.

#include "proto/raft/entry.h"

namespace kv::consensus {

class StateMachine {
public:
    /// Applies a committed entry. Called once for each, in the order of the log; must be
    /// deterministic. An entry that cannot be understood is an error: the replica must stop, not
    /// pass over it.
    virtual Status apply(const Entry& entry) noexcept = 0;

protected:
    ~StateMachine() = default;
};

}  // namespace kv::consensus
