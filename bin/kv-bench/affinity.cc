#include "bin/kv-bench/affinity.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "io/cores.h"

namespace kv::bench {

Status check_cpus(std::span<const unsigned> cpus) {
    const std::vector<int> usable = io::usable_cpus();
    for (const unsigned cpu : cpus) {
        if (std::ranges::any_of(usable, [&](int each) { return std::cmp_equal(each, cpu); })) {
            continue;
        }
        std::string all;
        for (const int each : usable) all.append(" ").append(std::to_string(each));
        return fail(Errc::config,
                    fmt::format("--cpu {}: this process may not use that CPU, only:{}", cpu, all));
    }
    return {};
}

Status pin_to(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) == 0) return {};
    return fail(Errc::io, fmt::format("--cpu {}: {}", cpu, std::generic_category().message(errno)));
}

}  // namespace kv::bench
