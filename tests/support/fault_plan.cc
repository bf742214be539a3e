#include "tests/support/fault_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/sim/sim_clock.h"

namespace kv {

namespace {

const char* name_of(FaultKind kind) {
    switch (kind) {
        case FaultKind::isolate: return "isolate";
        case FaultKind::bridge: return "bridge";
        case FaultKind::ring: return "ring";
        case FaultKind::one_way: return "one_way";
        case FaultKind::clients_only: return "clients_only";
        case FaultKind::flap: return "flap";
        case FaultKind::swizzle: return "swizzle";
        case FaultKind::slow_link: return "slow_link";
        case FaultKind::narrow_link: return "narrow_link";
        case FaultKind::reset_links: return "reset_links";
        case FaultKind::kill: return "kill";
        case FaultKind::kill_at_point: return "kill_at_point";
        case FaultKind::power_loss: return "power_loss";
        case FaultKind::power_at_point: return "power_at_point";
        case FaultKind::blackout: return "blackout";
        case FaultKind::pause: return "pause";
        case FaultKind::pause_core: return "pause_core";
        case FaultKind::freeze: return "freeze";
        case FaultKind::slow_disk: return "slow_disk";
        case FaultKind::hang_disk: return "hang_disk";
        case FaultKind::drift: return "drift";
        case FaultKind::wall_drift: return "wall_drift";
        case FaultKind::jump_wall: return "jump_wall";
        case FaultKind::wipe: return "wipe";
        case FaultKind::fail_write: return "fail_write";
        case FaultKind::fail_sync: return "fail_sync";
        case FaultKind::rot: return "rot";
    }
    KV_UNREACHABLE("a kind of fault");
}

const char* name_of(io::SimCut cut) {
    switch (cut) {
        case io::SimCut::none: return "none";
        case io::SimCut::clog: return "clog";
        case io::SimCut::blackhole: return "blackhole";
        case io::SimCut::reset: return "reset";
    }
    KV_UNREACHABLE("a kind of cut");
}

const char* name_of(io::Crash crash) {
    switch (crash) {
        case io::Crash::process: return "process";
        case io::Crash::power_lose_all: return "lose_all";
        case io::Crash::power_prefix: return "prefix";
        case io::Crash::power_subset_torn: return "subset_torn";
        case io::Crash::power_directory_lost: return "directory_lost";
    }
    KV_UNREACHABLE("a kind of crash");
}

const char* name_of(FaultProfile profile) {
    switch (profile) {
        case FaultProfile::calm: return "calm";
        case FaultProfile::swarm: return "swarm";
        case FaultProfile::everything: return "everything";
        case FaultProfile::network: return "network";
        case FaultProfile::machines: return "machines";
    }
    KV_UNREACHABLE("a profile");
}

std::string seconds(Duration time) {
    return fmt::format("{}.{:03}s", time / 1s, time % 1s / 1ms);
}

bool in_profile(FaultProfile profile, FaultClass fault_class, std::uint64_t seed) {
    const bool network = fault_class == FaultClass::partitions || fault_class == FaultClass::links;
    switch (profile) {
        case FaultProfile::calm: return false;
        case FaultProfile::everything: return true;
        case FaultProfile::network: return network;
        case FaultProfile::machines: return !network;
        case FaultProfile::swarm:
            return Prng::split(seed, "fault.swarm", static_cast<std::uint64_t>(fault_class))
                       .below(2) == 0;
    }
    KV_UNREACHABLE("a profile");
}

constexpr Duration frozen_min = 500ms;
constexpr Duration frozen_max = 4s;

/// Makes the faults of one plan.
class Maker {
public:
    explicit Maker(FaultPlan& plan) : plan_(plan), knobs_(plan.knobs) {}

    void make(FaultClass fault_class) {
        const auto number = static_cast<std::uint64_t>(fault_class);
        std::uint64_t count = Prng::split(plan_.seed, "fault.counts", number)
                                  .between(1, std::max(1u, knobs_.class_faults_max));
        if (fault_class == FaultClass::wipes)
            count = std::min<std::uint64_t>(count, knobs_.wipes_max);
        if (fault_class == FaultClass::rot) count = std::min<std::uint64_t>(count, knobs_.rots_max);
        for (std::uint64_t i = 0; i < count; ++i) {
            prng_ = Prng::split(plan_.seed, "fault", number, i);
            Fault fault;
            fault.number = static_cast<std::uint32_t>(number * 100 + i + 1);
            fault.fault_class = fault_class;
            fault.seed = prng_.next();
            draw_times(fault);
            draw(fault);
            plan_.faults.push_back(std::move(fault));
        }
    }

private:
    /// Short times are as likely as long ones.
    void draw_times(Fault& fault) {
        const auto end = static_cast<std::uint64_t>(knobs_.duration.count());
        fault.at = Duration(static_cast<std::int64_t>(prng_.below(end)));
        fault.lasts = io::Latency{knobs_.shortest, knobs_.longest}.draw(prng_);
        fault.lasts = std::min(fault.lasts, knobs_.duration - fault.at);
    }

    void draw(Fault& fault) {
        switch (fault.fault_class) {
            case FaultClass::partitions: return draw_partition(fault);
            case FaultClass::links: return draw_link(fault);
            case FaultClass::crashes:
                fault.kind = pick({FaultKind::kill, FaultKind::kill_at_point});
                return draw_crash(fault);
            case FaultClass::power:
                fault.kind = pick({FaultKind::power_loss, FaultKind::power_at_point,
                                   FaultKind::power_loss, FaultKind::blackout});
                fault.crash = io::all_crashes[prng_.between(1, io::all_crashes.size() - 1)];
                return draw_crash(fault);
            case FaultClass::pauses: return draw_pause(fault);
            case FaultClass::disks:
                fault.kind = pick({FaultKind::slow_disk, FaultKind::hang_disk});
                fault.nodes = some(1);
                fault.amount = io::Latency{1ms, knobs_.slow_disk_max}.draw(prng_).count();
                return;
            case FaultClass::clocks: return draw_clock(fault);
            case FaultClass::wipes:
                fault.kind = FaultKind::wipe;
                fault.crash = io::Crash::power_lose_all;
                return draw_crash(fault);
            case FaultClass::errors:
                fault.kind =
                    pick({FaultKind::fail_write, FaultKind::fail_write, FaultKind::fail_sync});
                fault.nodes = some(1);
                fault.amount = static_cast<std::int64_t>(prng_.below(50));
                return;
            case FaultClass::rot: fault.kind = FaultKind::rot; return draw_crash(fault);
        }
    }

    void draw_pause(Fault& fault) {
        fault.kind =
            pick({FaultKind::pause, FaultKind::pause_core, FaultKind::freeze, FaultKind::freeze});
        fault.nodes = some(1);
        fault.amount = static_cast<std::int64_t>(prng_.below(knobs_.cores_max));
        if (fault.kind != FaultKind::freeze) return;
        fault.amount = io::Latency{10ms, 1s}.draw(prng_).count();
        // Long enough for the others to have another leader, and clients of it.
        const Duration lasts = io::Latency{frozen_min, frozen_max}.draw(prng_);
        fault.lasts = std::min(lasts, knobs_.duration - fault.at);
    }

    void draw_partition(Fault& fault) {
        const std::size_t n = knobs_.nodes.size();
        fault.kind = pick({FaultKind::isolate, FaultKind::isolate, FaultKind::bridge,
                           FaultKind::ring, FaultKind::one_way, FaultKind::clients_only,
                           FaultKind::flap, FaultKind::swizzle});
        // Of three nodes a ring cuts nothing; without clients they cannot be cut off.
        if (fault.kind == FaultKind::ring && n < 4) fault.kind = FaultKind::bridge;
        if (fault.kind == FaultKind::clients_only && knobs_.clients.empty())
            fault.kind = FaultKind::isolate;
        const bool all = fault.kind == FaultKind::bridge || fault.kind == FaultKind::ring;
        fault.nodes = some(all || n == 1 ? n : prng_.between(1, n - 1));
        fault.with_clients = prng_.below(2) == 0;
        fault.cut = pick({io::SimCut::blackhole, io::SimCut::blackhole, io::SimCut::blackhole,
                          io::SimCut::reset});
        if (fault.kind == FaultKind::swizzle) fault.cut = io::SimCut::clog;
        if (fault.kind == FaultKind::flap) fault.amount = io::Latency{10ms, 2s}.draw(prng_).count();
    }

    void draw_link(Fault& fault) {
        fault.kind = pick({FaultKind::slow_link, FaultKind::narrow_link, FaultKind::reset_links});
        fault.nodes = some(1);
        fault.amount = fault.kind == FaultKind::narrow_link
                           ? static_cast<std::int64_t>(prng_.between(2'000, 1'000'000))
                           : io::Latency{1ms, knobs_.slow_link_max}.draw(prng_).count();
    }

    void draw_crash(Fault& fault) {
        fault.nodes = some(fault.kind == FaultKind::blackout ? knobs_.nodes.size() : 1);
        fault.amount = static_cast<std::int64_t>(prng_.below(200));
        fault.cores = static_cast<std::uint16_t>(
            prng_.below(2) == 0 ? 0 : prng_.between(1, knobs_.cores_max));
    }

    void draw_clock(Fault& fault) {
        fault.kind = pick({FaultKind::drift, FaultKind::wall_drift, FaultKind::jump_wall});
        fault.nodes = some(1);
        const auto extent = fault.kind == FaultKind::jump_wall
                                ? static_cast<std::uint64_t>(knobs_.wall_jump_max.count())
                                : static_cast<std::uint64_t>(knobs_.hostile_drift_ppm);
        fault.amount = static_cast<std::int64_t>(prng_.below(2 * extent + 1)) -
                       static_cast<std::int64_t>(extent);
    }

    template <typename T>
    T pick(std::initializer_list<T> choices) {
        return choices.begin()[prng_.below(choices.size())];
    }
    /// So many of the nodes, in any order.
    io::SimNodes some(std::size_t count) {
        io::SimNodes nodes = knobs_.nodes;
        for (std::size_t i = 0; i < count; ++i)
            std::swap(nodes[i], nodes[prng_.between(i, nodes.size() - 1)]);
        nodes.resize(count);
        return nodes;
    }

    FaultPlan& plan_;
    const FaultKnobs& knobs_;
    Prng prng_{0};
};

}  // namespace

std::string Fault::text() const {
    std::string out =
        fmt::format("#{} at {} for {} {}", number, seconds(at), seconds(lasts), name_of(kind));
    for (const NodeId node : nodes) out += fmt::format(" n{}", node.value());
    switch (kind) {
        case FaultKind::isolate:
        case FaultKind::bridge:
        case FaultKind::ring:
        case FaultKind::one_way:
        case FaultKind::clients_only:
        case FaultKind::swizzle:
            out += fmt::format(", {}{}", name_of(cut), with_clients ? ", clients too" : "");
            break;
        case FaultKind::flap:
            out += fmt::format(", {}, every {}", name_of(cut), seconds(Duration(amount)));
            break;
        case FaultKind::slow_link:
        case FaultKind::slow_disk:
        case FaultKind::jump_wall: out += fmt::format(", {} ms", Duration(amount) / 1ms); break;
        case FaultKind::narrow_link: out += fmt::format(", {} bytes/s", amount); break;
        case FaultKind::kill:
        case FaultKind::power_loss:
        case FaultKind::blackout:
        case FaultKind::wipe: out += fmt::format(", {}, {} cores", name_of(crash), cores); break;
        case FaultKind::kill_at_point:
        case FaultKind::power_at_point:
            out += fmt::format(", {}, {} cores, at point {}", name_of(crash), cores, amount);
            break;
        case FaultKind::fail_write:
        case FaultKind::fail_sync: out += fmt::format(", number {}", amount); break;
        case FaultKind::pause_core: out += fmt::format(", core {}", amount); break;
        case FaultKind::freeze:
            out += fmt::format(", cut off {} ms more", amount / 1'000'000);
            break;
        case FaultKind::drift:
        case FaultKind::wall_drift: out += fmt::format(", {} ppm", amount); break;
        case FaultKind::reset_links:
        case FaultKind::pause:
        case FaultKind::rot:
        case FaultKind::hang_disk: break;
    }
    return out;
}

std::string FaultPlan::text() const {
    std::string out = fmt::format("faults: seed 0x{:x} profile {} nodes {} clients {}\n", seed,
                                  name_of(profile), knobs.nodes.size(), knobs.clients.size());
    for (const Fault& fault : faults) out += fault.text() + "\n";
    return out + fmt::format("heal at {}\n", seconds(knobs.duration));
}

bool FaultPlan::has(FaultClass fault_class) const {
    return std::any_of(faults.begin(), faults.end(),
                       [&](const Fault& fault) { return fault.fault_class == fault_class; });
}

FaultPlan FaultPlan::without(FaultClass fault_class) const {
    FaultPlan out = *this;
    std::erase_if(out.faults, [&](const Fault& f) { return f.fault_class == fault_class; });
    return out;
}

FaultPlan FaultPlan::only(std::span<const std::uint32_t> numbers) const {
    FaultPlan out = *this;
    std::erase_if(out.faults, [&](const Fault& f) {
        return std::find(numbers.begin(), numbers.end(), f.number) == numbers.end();
    });
    return out;
}

FaultPlan make_fault_plan(std::uint64_t seed, FaultProfile profile, const FaultKnobs& knobs) {
    KV_ASSERT(!knobs.nodes.empty() && knobs.duration > Duration::zero());
    FaultPlan plan{seed, profile, knobs, {}};
    Maker maker(plan);
    for (std::size_t i = 0; i < fault_classes; ++i) {
        const auto fault_class = static_cast<FaultClass>(i);
        if (in_profile(profile, fault_class, seed)) maker.make(fault_class);
    }
    std::sort(plan.faults.begin(), plan.faults.end(), [](const Fault& a, const Fault& b) {
        return a.at != b.at ? a.at < b.at : a.number < b.number;
    });
    return plan;
}

FaultPlan shrink(FaultPlan plan, const std::function<bool(const FaultPlan&)>& fails,
                 std::size_t runs_max) {
    std::size_t runs = 0;
    const auto accept = [&](FaultPlan smaller) {
        if (smaller.faults.size() == plan.faults.size() || runs == runs_max) return false;
        ++runs;
        if (!fails(smaller)) return false;
        plan = std::move(smaller);
        return true;
    };
    for (std::size_t i = 0; i < fault_classes; ++i)
        static_cast<void>(accept(plan.without(static_cast<FaultClass>(i))));
    // Ever smaller parts of the list; with single faults until none can be spared any more.
    for (std::size_t part = (plan.faults.size() + 1) / 2; part > 0 && runs < runs_max;) {
        const std::size_t before = plan.faults.size();
        for (std::size_t from = 0; from < plan.faults.size();) {
            FaultPlan without = plan;
            const auto begin = without.faults.begin() + static_cast<std::ptrdiff_t>(from);
            const std::size_t count = std::min(part, plan.faults.size() - from);
            without.faults.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
            if (!accept(std::move(without))) from += part;
        }
        if (part > 1 || plan.faults.size() == before) part /= 2;
    }
    return plan;
}

}  // namespace kv
