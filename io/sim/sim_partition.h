#pragma once

/// Partitions of every shape, as lists of directions to cut (SimNetwork::cut). Nodes that are named
/// nowhere are not concerned. Pure.

#include <span>

#include "io/sim/sim_link.h"

namespace kv::io {

using SimNodes = std::vector<NodeId>;

/// From each of `from` to each of `to`; the other direction flows.
SimPairs one_way(const SimNodes& from, const SimNodes& to);
/// Nobody on one side hears anybody on the other: majority and minority, clients and servers, one
/// node and the rest.
SimPairs split(const SimNodes& left, const SimNodes& right);
/// Those of `nodes` that are not in `others`.
SimNodes all_but(const SimNodes& nodes, const SimNodes& others);
/// `alone` against all other `nodes`; those in it hear each other.
SimPairs isolate(const SimNodes& nodes, const SimNodes& alone);
/// Both halves of the others hear `middle`, but not each other; the first half is the smaller one.
SimPairs bridge(const SimNodes& nodes, NodeId middle);
/// Each hears only its two neighbours in the order given.
SimPairs ring(const SimNodes& nodes);

}  // namespace kv::io
