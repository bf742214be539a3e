#include "bin/kv-bench/affinity.h"

#include <fmt/format.h>
#include <sched.h>

#include <cerrno>
#include <system_error>

namespace kv::bench {

Status pin_to(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) == 0) return {};
    return fail(Errc::io, fmt::format("--cpu {}: {}", cpu, std::generic_category().message(errno)));
}

}  // namespace kv::bench
