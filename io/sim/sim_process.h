#pragma once

/// One process on a simulated node: its cores with their reactors, from boot to crash or exit.
///
/// Declare what the process runs after it and destroy that first, as a program would. When the
/// process is to die with operations in flight, call kill() (or let a planned crash strike) before
/// anything above the reactors is destroyed.

#include <memory>
#include <span>
#include <vector>

#include "io/reactor.h"
#include "io/sim/sim_world.h"

namespace kv::io {

class SimProcess {
public:
    SimProcess(SimWorld& world, NodeId node, std::uint16_t cores = 1)
        : world_(world), node_(node), interconnect_(cores, world.draw_mailbox_slots(node)) {
        for (std::uint16_t i = 0; i < cores; ++i) {
            SimBackend& backend = world.add_core(node, CoreId(i));
            cores_.push_back(
                {&backend, std::make_unique<Reactor>(backend, CoreId(i), &interconnect_)});
            reactors_.push_back(cores_.back().reactor.get());
            world.attach(backend, *reactors_.back());
        }
    }
    SimProcess(const SimProcess&) = delete;
    SimProcess& operator=(const SimProcess&) = delete;
    ~SimProcess() {
        kill();
        for (Core& core : cores_) {
            core.reactor.reset();
            world_.remove_core(*core.backend);
        }
    }

    Reactor& reactor(std::size_t core = 0) { return *cores_[core].reactor; }
    /// By core.
    std::span<Reactor* const> reactors() const noexcept { return reactors_; }
    SimBackend& backend(std::size_t core = 0) { return *cores_[core].backend; }
    /// Crashed or killed.
    bool dead() const noexcept { return cores_.front().backend->dead(); }
    /// Runs `task` on the first core; see SimWorld::run.
    bool run(Task<void> task, Duration limit = 1h) {
        return world_.run(reactor(), std::move(task), limit);
    }
    /// Nothing happens if it is dead already.
    void kill(Crash kind = Crash::process) {
        if (!dead()) world_.crash(node_, kind);
    }

private:
    struct Core {
        SimBackend* backend;
        std::unique_ptr<Reactor> reactor;
    };
    SimWorld& world_;
    NodeId node_;
    Interconnect interconnect_;
    std::vector<Core> cores_;
    std::vector<Reactor*> reactors_;
};

}  // namespace kv::io
