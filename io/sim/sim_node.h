#pragma once

/// One machine of a simulated world. Inside io/sim only.

#include <functional>
#include <vector>

#include "io/sim/sim_backend.h"
#include "io/sim/sim_disk.h"
#include "io/sim/sim_fds.h"

namespace kv::io {

struct SimNode {
    SimNode(std::uint64_t seed, NodeId node, const SimKnobs& knobs)
        : id(node), disk(seed, node, knobs.disk), wall_base_ns(knobs.wall_base_ns) {}

    struct Plan {
        std::uint64_t point = 0;
        Crash kind = Crash::process;
        std::function<void()> callback;
        bool armed = false;
    };

    NodeId id;
    SimDisk disk;
    SimFds fds;
    std::vector<SimBackend*> cores;  ///< of the process that is running
    std::uint64_t boots = 0;
    std::int64_t wall_base_ns;
    bool up = false;
    bool dying = false;  ///< has crashed in the turn that is still running
    Plan plan;
    std::function<void()> after_crash;
};

}  // namespace kv::io
