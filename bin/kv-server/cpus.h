#pragma once

/// Which CPU each core of the node is bound to. Pure.

#include <span>
#include <vector>

#include "engine/node/config.h"

namespace kv {

/// One element for each core (io/cores.h). `usable`: the CPUs that this process may use. Error
/// `config`, a sentence: a CPU of the list is not among them.
Result<std::vector<int>> choose_cpus(const Config::Reactor& config, std::span<const int> usable);

}  // namespace kv
