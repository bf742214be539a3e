#pragma once

/// Whether a history can be true: for each key there is one order of its operations that agrees
/// with every result and with real time (one that ended before another began comes first).
/// Linearizability is local: keys are checked one by one.
///
/// The search is that of Wing and Gong with Lowe's memory of what was tried: depth first over the
/// operations that may come next, and never twice from one set of done operations in one state.
/// Sets are known by 128 bits of hash; should two collide, a good history might be called a bad
/// one, never the other way round.
///
/// Operations of unknown outcome are tried when nothing else fits, and only where what comes behind
/// can tell: right before a write that does not look they would as well not have happened.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tests/support/history.h"
#include "tests/support/register_model.h"

namespace kv::test {

enum class Verdict : std::uint8_t { linearizable, not_linearizable, undecided };

struct CheckLimits {
    std::uint64_t steps_max = 20'000'000;  ///< of one key; beyond it is undecided
    /// Each client is one connection, whose operations on a key take effect in the order in which
    /// they were sent (in which they stand in the history, if they began at one instant): also
    /// those that are under way together. A stronger demand, and with pipelines a shorter search.
    bool clients_in_order = false;
};

struct KeyVerdict {
    Verdict verdict = Verdict::linearizable;
    std::uint64_t steps = 0;
};

/// `operations` are all those of one key, which begins absent; in any order.
KeyVerdict check_key(std::span<const Operation> operations, const CheckLimits& limits = {});

struct CheckReport {
    std::size_t keys = 0;
    std::size_t operations = 0;
    std::uint64_t steps = 0;
    std::vector<std::string> wrong;      ///< keys
    std::vector<std::string> undecided;  ///< keys
    std::string drawing;  ///< of the first wrong key: the smallest part that shows it

    bool good() const noexcept { return wrong.empty() && undecided.empty(); }
};

CheckReport check(const History& history, const CheckLimits& limits = {});

/// The smallest part of a key's failing history that is still impossible, as text: what the key
/// could hold before it, its operations, and when they were under way.
std::string explain(std::span<const Operation> operations, const CheckLimits& limits = {});

}  // namespace kv::test
