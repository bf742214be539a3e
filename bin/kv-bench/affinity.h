#pragma once

#include <span>

#include "proto/base/result.h"

namespace kv::bench {

/// Whether this process may use all of `cpus`. Errors: `config`: which it may not, and all it may.
Status check_cpus(std::span<const unsigned> cpus);

/// The calling thread runs on `cpu` alone. Errors: `io` with the system's reason.
Status pin_to(unsigned cpu);

}  // namespace kv::bench
