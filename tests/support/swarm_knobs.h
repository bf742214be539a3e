#pragma once

/// What the machines and the network of a simulated world are like, drawn from a seed: each class
/// of trouble is there or not, and rates and times are spread evenly over their powers of two.

#include "io/sim/sim_knobs.h"

namespace kv {

/// Seeds whose number ends in 0 are calm: nothing goes wrong, so that a test that fails under them
/// cannot blame the world. In those that end in 1 everything goes wrong.
io::SimKnobs swarm_knobs(std::uint64_t seed);

}  // namespace kv
