#pragma once

/// A simulated world: machines with disks and addresses, the cores of the processes on them, and
/// one virtual clock. Everything that happens follows from the seed, on one thread.
///
/// A core has a turn when a completion is due, work is ready, a timer is due, or another core of
/// its process has rung for it; a turn takes virtual time, drawn, during which others go on. When
/// it is over the core goes to sleep, unless messages lie there; a doorbell reaches it after a time
/// that is drawn, too.
///
/// Draws: each subsystem, core, disk and ordered pair of nodes has streams of its own, one for each
/// class of faults, so that leaving a class out does not shift what else is drawn.
///
/// A crash stops all cores of a process in one instant. It can strike in the middle of a turn: from
/// that instant nothing the turn does reaches the world, and when it has ended the reactors' tasks
/// are destroyed and their timers disarmed, so that the program's objects can be destroyed in their
/// usual order. A new process starts with add_core() on the same node.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "io/reactor.h"
#include "io/sim/sim_backend.h"
#include "io/sim/sim_disk.h"
#include "io/sim/sim_event.h"
#include "io/sim/sim_knobs.h"
#include "io/sim/sim_network.h"
#include "proto/base/ids.h"

namespace kv::io {

struct SimNode;

class SimWorld {
public:
    explicit SimWorld(std::uint64_t seed, const SimKnobs& knobs = {});
    SimWorld(const SimWorld&) = delete;
    /// The reactors are gone by now.
    ~SimWorld();

    std::uint64_t seed() const noexcept { return seed_; }
    /// Those of cores may change at any time. A disk takes a copy when its node is made, the
    /// network at the start: change theirs through disk(node).knobs() and network().knobs().
    SimKnobs& knobs() noexcept { return knobs_; }
    Instant now() const noexcept { return now_; }
    std::uint64_t events() const noexcept { return events_handled_; }
    /// Over every event so far: equal seeds, equal programs, equal hashes.
    std::uint64_t trace_hash() const noexcept { return trace_hash_; }

    // Machines.
    void add_node(NodeId node, std::initializer_list<std::string_view> addresses);
    SimDisk& disk(NodeId node);
    SimNetwork& network() noexcept { return network_; }
    /// A core of the process on `node`; the first one after a crash starts a new process. Lives
    /// until remove_core or the end of the world, and longer than its reactor.
    SimBackend& add_core(NodeId node, CoreId core = CoreId(0));
    void attach(SimBackend& backend, Reactor& reactor);
    /// An orderly end: nothing is in flight. With its last core the process exits.
    void remove_core(SimBackend& backend);
    /// For the rings between the cores of the next process on `node`.
    std::size_t draw_mailbox_slots(NodeId node);
    /// No process runs there.
    void wipe_disk(NodeId node);
    /// From now on nothing the disk was told to do takes effect, or can be canceled, for `time`;
    /// then all of it does.
    void hang_disk(NodeId node, Duration time);
    void release_disk(NodeId node);
    bool disk_hangs(NodeId node);

    // Clocks. A node's monotonic clock is what its reactors see; all other times in this interface
    // are the world's. Drifts are in parts per million, 0 at first, at most
    // SimClock::drift_ppm_max.
    void set_drift(NodeId node, std::int32_t ppm);
    void set_wall_drift(NodeId node, std::int32_t ppm);
    void jump_wall(NodeId node, Duration by);
    std::int32_t drift_ppm(NodeId node);

    // Pauses, as by SIGSTOP: no turns for a while, then everything that has come meanwhile at once.
    // The kernel goes on: disks, connections, doorbells. A pause of one that is paused extends it.
    void pause(NodeId node, Duration time);
    void pause_core(NodeId node, CoreId core, Duration time);
    void resume(NodeId node);
    /// Whether any of its cores is.
    bool paused(NodeId node);

    // Time.
    /// Handles events until `done()` or for `limit`. False: the limit, or nothing left to happen.
    bool run_until(const std::function<bool()>& done, Duration limit);
    void run_for(Duration time);
    /// Handles one event. False: there is none.
    bool step();
    /// Spawns `task` and runs until it has ended. False: the limit, a crash of its node, or nothing
    /// left to happen.
    bool run(Reactor& reactor, Task<void> task, Duration limit = 1h);
    /// Calls `callback` at `when`, outside of any turn.
    void at(Instant when, std::function<void()> callback);

    // Crashes.
    /// Stops the process on `node` now, even in the middle of one of its turns.
    void crash(NodeId node, Crash kind);
    /// Stops it just before I/O point `point` of its disk (counted from the making of the world);
    /// `callback` runs when the turn that met the point is over. One plan per node.
    void crash_at(NodeId node, std::uint64_t point, Crash kind,
                  std::function<void()> callback = {});
    void cancel_crash(NodeId node);
    /// No process: crashed, exited, or never started.
    bool down(NodeId node);

    // For the parts of the simulator.
    void schedule(const SimEvent& event) { events_.push(event); }
    void trace(NodeId node, CoreId core, std::uint64_t kind, std::int64_t result,
               std::uint64_t payload) noexcept;
    std::uint64_t next_flight_number() noexcept { return ++flights_; }
    bool crash_before_io_point(SimNode& node);
    void flight_due(SimFlight flight);
    void flight_done(SimFlight flight, std::int32_t result);
    /// The descriptors for a completion of `flight`; null: it has ended, or its process has.
    SimFds* live_fds(NodeId node, SimFlight flight);

private:
    SimNode& find(NodeId node);
    void stop(SimNode& node, Crash kind);
    void bury(SimNode& node);
    void look(SimBackend& backend);
    void schedule_look(SimBackend& backend);
    void set_pause(SimBackend& backend, Instant until);
    void look_at_all();
    void handle(const SimEvent& event);
    static Task<void> watch(Task<void> task, std::shared_ptr<bool> ended);

    std::uint64_t seed_;
    SimKnobs knobs_;
    Instant now_{};
    SimEvents events_;
    SimNetwork network_;
    std::map<NodeId, std::unique_ptr<SimNode>> nodes_;
    std::vector<std::unique_ptr<SimBackend>> cores_;  ///< null: removed
    std::vector<std::function<void()>> callbacks_;
    SimBackend* running_ = nullptr;  ///< whose turn it is
    std::uint64_t trace_hash_ = 0;
    std::uint64_t events_handled_ = 0;
    std::uint64_t flights_ = 0;
};

}  // namespace kv::io
