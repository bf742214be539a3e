#pragma once

#include "proto/base/result.h"

namespace kv::bench {

/// The calling thread runs on `cpu` alone. Errors: `io` with the system's reason.
Status pin_to(unsigned cpu);

}  // namespace kv::bench
