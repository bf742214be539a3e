#pragma once

/// What will befall a simulated cluster: a bounded list of faults with their times, made from a
/// seed, that ends with a heal. Pure data: it can be printed, thinned out and played again
/// (tests/support/fault_player.h). Each class of faults, and each fault, draws from a stream of its
/// own, so a fault that is left out changes no other one.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/sim/sim_partition.h"

namespace kv {

enum class FaultClass : std::uint8_t {
    partitions,
    links,
    crashes,
    power,
    pauses,
    disks,
    clocks,
    wipes,
    errors,
    rot,
};
inline constexpr std::size_t fault_classes = 10;

/// `nodes`, `amount` and the like are those of the fault.
enum class FaultKind : std::uint8_t {
    // Partitions.
    isolate,       ///< `nodes` from all others
    bridge,        ///< only the first of `nodes`, which are all, hears both halves of the others
    ring,          ///< each of `nodes`, which are all, hears its two neighbours
    one_way,       ///< nothing `nodes` say reaches the others
    clients_only,  ///< `nodes` from the clients
    flap,          ///< isolates `nodes`, and does not, for `amount` ns in turn
    swizzle,       ///< clogs `nodes` one by one, then unclogs them in another order
    // Links.
    slow_link,    ///< to and from the first of `nodes`: `amount` ns more, on average
    narrow_link,  ///< the same: `amount` bytes per second
    reset_links,  ///< its connections break
    // Crashes and power; the node comes back at the end with `cores` cores.
    kill,
    kill_at_point,  ///< before its `amount`-th operation on the disk from then on, or never
    power_loss,
    power_at_point,
    blackout,  ///< power loss of all nodes at once
    // Pauses.
    pause,
    pause_core,  ///< number `amount`
    freeze,      ///< a pause, and a partition that lasts `amount` ns longer: when it goes on it
                 ///< has heard nothing, and is heard by clients alone
    // Disks.
    slow_disk,  ///< `amount` ns more for each operation, on average
    hang_disk,
    // Clocks.
    drift,       ///< of the monotonic clock, `amount` ppm
    wall_drift,  ///< of the wall clock
    jump_wall,   ///< by `amount` ns; not undone
    // Wipes.
    wipe,  ///< a kill, and an empty disk
    // Errors: one operation on the log of the first of `nodes` fails, the `amount`-th from then on.
    fail_write,
    fail_sync,
    // Rot.
    rot,  ///< a kill, and a bit of what is proven to be durable is another one
};

struct Fault {
    std::uint32_t number = 0;  ///< the same in every plan of this seed
    FaultClass fault_class = FaultClass::partitions;
    FaultKind kind = FaultKind::isolate;
    Duration at{};  ///< since the plan began
    Duration lasts{};
    io::SimNodes nodes;
    bool with_clients = false;  ///< a partition that concerns the clients, too
    io::SimCut cut = io::SimCut::blackhole;
    io::Crash crash = io::Crash::process;
    std::uint16_t cores = 0;  ///< 0: as many as before
    std::int64_t amount = 0;
    std::uint64_t seed = 0;  ///< for what is drawn while it lasts

    /// "#12 at 3.250s for 1.200s isolate n1 n2, blackhole".
    std::string text() const;
};

/// Which classes there are. A swarm has each of them or not, as the seed says.
enum class FaultProfile : std::uint8_t { calm, swarm, everything, network, machines };

struct FaultKnobs {
    io::SimNodes nodes;
    io::SimNodes clients;
    Duration duration = 30s;  ///< until the heal
    std::uint32_t class_faults_max = 4;
    std::uint16_t cores_max = 1;  ///< of a process that starts again
    std::uint32_t wipes_max = 0;  ///< lost disks: keep them below a majority
    std::uint32_t rots_max = 0;   ///< the same of disks that rot
    Duration shortest = 10ms;
    Duration longest = 60s;  ///< and never beyond the heal
    Duration slow_disk_max = 100ms;
    Duration slow_link_max = 200ms;
    Duration wall_jump_max = 1h;
    std::int32_t normal_drift_ppm = 200;
    std::int32_t hostile_drift_ppm = 50'000;
};

struct FaultPlan {
    std::uint64_t seed = 0;
    FaultProfile profile = FaultProfile::calm;
    FaultKnobs knobs;
    std::vector<Fault> faults;  ///< by time

    /// A line for the plan, one for each fault, one for the heal.
    std::string text() const;
    FaultPlan without(FaultClass fault_class) const;
    /// Only the faults with these numbers.
    FaultPlan only(std::span<const std::uint32_t> numbers) const;
    bool has(FaultClass fault_class) const;
};

FaultPlan make_fault_plan(std::uint64_t seed, FaultProfile profile, const FaultKnobs& knobs);

/// A plan with as few of its faults as can be found for which `fails` still says true, with at most
/// `runs_max` questions: whole classes are left out first, then ever smaller parts of the list.
/// `plan` itself fails.
FaultPlan shrink(FaultPlan plan, const std::function<bool(const FaultPlan&)>& fails,
                 std::size_t runs_max = 200);

}  // namespace kv
