#include "bin/kv-server/cpus.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/node/cpu_list.h"
#include "engine/node/data_directory.h"
#include "io/cores.h"

namespace kv {

Result<std::vector<int>> choose_cpus(const Config::Reactor& config, std::span<const int> usable) {
    std::vector<int> cpus(usable.begin(), usable.end());
    const bool listed = config.cpus != "auto" && config.cpus != "none";
    if (listed) {
        KV_TRY(cpus, parse_cpu_list(config.cpus));
        for (const int cpu : cpus) {
            if (std::ranges::find(usable, cpu) != usable.end()) continue;
            std::string others;
            for (const int one : usable) others += fmt::format(" {}", one);
            return fail(
                Errc::config,
                fmt::format("reactor.cpus: this process may not use CPU {}, only:{}", cpu, others));
        }
    }
    const std::size_t wanted = config.cores == 0 ? cpus.size() : config.cores;
    const std::size_t cores = std::clamp<std::size_t>(wanted, 1, cores_max);
    const bool bound = config.cpus != "none" && cores <= cpus.size();
    if (!bound) cpus.assign(cores, io::CoresOptions::not_bound);
    cpus.resize(cores);
    return cpus;
}

}  // namespace kv
