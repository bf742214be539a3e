#pragma once

/// One machine of a simulated world. Inside io/sim only.

#include <functional>
#include <vector>

#include "io/sim/sim_backend.h"
#include "io/sim/sim_clock.h"
#include "io/sim/sim_disk.h"
#include "io/sim/sim_fds.h"

namespace kv::io {

struct SimNode {
    SimNode(std::uint64_t seed, NodeId node, const SimKnobs& knobs)
        : id(node),
          disk(seed, node, knobs.disk),
          releases(Prng::split(seed, "disk.releases", node.value())),
          wall(knobs.wall_base_ns) {
        Prng bases = Prng::split(seed, "clock", node.value());
        const auto base_max = static_cast<std::uint64_t>(knobs.mono_base_max.count());
        if (base_max != 0) mono = SimClock(static_cast<std::int64_t>(bases.below(base_max + 1)));
    }

    bool disk_hangs(Instant now) const noexcept { return now < disk_hangs_until; }

    struct Plan {
        std::uint64_t point = 0;
        Crash kind = Crash::process;
        std::function<void()> callback;
        bool armed = false;
    };

    NodeId id;
    SimDisk disk;
    Instant disk_hangs_until{};
    std::vector<SimFlight> hanging;  ///< operations that would have taken effect meanwhile
    Prng releases;
    SimFds fds;
    std::vector<SimBackend*> cores;  ///< of the process that is running
    std::uint64_t boots = 0;
    SimClock mono;
    SimClock wall;
    bool up = false;
    bool dying = false;  ///< has crashed in the turn that is still running
    Plan plan;
    std::function<void()> after_crash;
};

}  // namespace kv::io
