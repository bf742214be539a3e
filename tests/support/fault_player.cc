#include "tests/support/fault_player.h"

#include <algorithm>
#include <bit>
#include <cerrno>

namespace kv {

namespace {

constexpr std::size_t nodes_max = 8;  // all their majorities are looked at
constexpr int flaps_max = 200;
constexpr Duration freeze_delay = 20ms;

}  // namespace

FaultPlayer::FaultPlayer(io::SimWorld& world, FaultPlan plan, FaultHost& host)
    : world_(world), plan_(std::move(plan)), host_(host) {
    KV_ASSERT(plan_.knobs.nodes.size() <= nodes_max);
}

void FaultPlayer::at(Duration since_now, std::function<void()> action) {
    world_.at(world_.now() + since_now, [this, action = std::move(action)] {
        if (!healed_) action();
        note_change();
    });
}

void FaultPlayer::begin() {
    begun_ = world_.now();
    for (const NodeId node : plan_.knobs.nodes) {
        std::int32_t& drift = normal_drift_[node];
        if (!plan_.has(FaultClass::clocks)) continue;
        const auto extent = static_cast<std::uint64_t>(plan_.knobs.normal_drift_ppm);
        Prng prng = Prng::split(plan_.seed, "fault.drift", node.value());
        drift = static_cast<std::int32_t>(prng.below(2 * extent + 1)) -
                static_cast<std::int32_t>(extent);
        world_.set_drift(node, drift);
    }
    for (Fault& fault : plan_.faults) {
        at(fault.at, [this, &fault] { begin(fault); });
        at(fault.at + fault.lasts, [this, &fault] { end(fault); });
    }
    world_.at(heal_time(), [this] { heal(); });
    note_change();
}

void FaultPlayer::begin(Fault& fault) {
    ++played_;
    const io::SimNodes& all = plan_.knobs.nodes;
    const NodeId node = fault.nodes.front();
    switch (fault.kind) {
        case FaultKind::isolate: return cut(fault, around(fault, fault.nodes));
        case FaultKind::bridge: return cut(fault, io::bridge(fault.nodes, node));
        case FaultKind::ring: return cut(fault, io::ring(fault.nodes));
        case FaultKind::one_way:
            return cut(fault, io::one_way(fault.nodes, io::all_but(all, fault.nodes)));
        case FaultKind::clients_only:
            return cut(fault, io::split(fault.nodes, plan_.knobs.clients));
        case FaultKind::flap: return begin_flap(fault);
        case FaultKind::swizzle: return begin_swizzle(fault);
        case FaultKind::slow_link:
            return set_links(node, [&](io::SimLink& l) { l.extra.mean = Duration(fault.amount); });
        case FaultKind::narrow_link:
            return set_links(node, [&](io::SimLink& l) {
                l.bytes_per_second = static_cast<std::uint64_t>(fault.amount);
            });
        case FaultKind::reset_links:
            for (const NodeId other : io::all_but(all, {node}))
                world_.network().reset_connections(node, other);
            return;
        case FaultKind::kill:
        case FaultKind::kill_at_point:
        case FaultKind::power_loss:
        case FaultKind::power_at_point:
        case FaultKind::blackout:
        case FaultKind::wipe:
        case FaultKind::rot: return stop(fault);
        case FaultKind::fail_write:
        case FaultKind::fail_sync: {
            io::SimFault error;
            error.code = fault.kind == FaultKind::fail_sync ? io::OpCode::sync : io::OpCode::write;
            error.path_part = "data/wal/";
            error.skip = static_cast<std::uint64_t>(fault.amount);
            error.error = -EIO;
            return host_.fail_disk(node, error);
        }
        case FaultKind::pause: return world_.pause(node, fault.lasts);
        case FaultKind::pause_core:
            return world_.pause_core(node, CoreId(static_cast<std::uint16_t>(fault.amount)),
                                     fault.lasts);
        case FaultKind::freeze: return begin_freeze(fault);
        case FaultKind::slow_disk:
            world_.disk(node).knobs().slow.mean = Duration(fault.amount);
            return;
        case FaultKind::hang_disk: return world_.hang_disk(node, fault.lasts);
        case FaultKind::drift:
            return world_.set_drift(node, static_cast<std::int32_t>(fault.amount));
        case FaultKind::wall_drift:
            return world_.set_wall_drift(node, static_cast<std::int32_t>(fault.amount));
        case FaultKind::jump_wall: return world_.jump_wall(node, Duration(fault.amount));
    }
}

void FaultPlayer::end(Fault& fault) {
    const NodeId node = fault.nodes.front();
    const io::SimKnobs& knobs = world_.knobs();
    switch (fault.kind) {
        case FaultKind::isolate:
        case FaultKind::bridge:
        case FaultKind::ring:
        case FaultKind::one_way:
        case FaultKind::clients_only:
        case FaultKind::flap:
        case FaultKind::swizzle:
            for (const std::uint32_t number : cuts_[fault.number]) world_.network().mend(number);
            return;
        case FaultKind::slow_link:
            return set_links(node, [&](io::SimLink& l) { l.extra = knobs.network.extra; });
        case FaultKind::narrow_link:
            return set_links(
                node, [&](io::SimLink& l) { l.bytes_per_second = knobs.network.bytes_per_second; });
        case FaultKind::kill_at_point:
        case FaultKind::power_at_point: world_.cancel_crash(node); [[fallthrough]];
        case FaultKind::kill:
        case FaultKind::power_loss:
        case FaultKind::blackout:
        case FaultKind::wipe:
        case FaultKind::rot:
            for (const NodeId stopped : fault.nodes) {
                if (--stopped_[stopped] == 0) host_.restart(stopped, fault.cores);
            }
            return;
        case FaultKind::slow_disk: world_.disk(node).knobs().slow = knobs.disk.slow; return;
        case FaultKind::drift: return world_.set_drift(node, normal_drift_[node]);
        case FaultKind::wall_drift: return world_.set_wall_drift(node, 0);
        case FaultKind::reset_links:
        case FaultKind::pause:
        case FaultKind::pause_core:
        case FaultKind::freeze:  // mends by itself, later
        case FaultKind::fail_write:
        case FaultKind::fail_sync:
        case FaultKind::hang_disk:
        case FaultKind::jump_wall: return;
    }
}

void FaultPlayer::heal() {
    // Each fault has ended by now, but for a pause or a hang that has begun at the last moment, or
    // what several of them have left of each other.
    healed_ = true;
    world_.network().heal();
    const io::SimKnobs& knobs = world_.knobs();
    for (const NodeId node : plan_.knobs.nodes) {
        world_.cancel_crash(node);
        world_.resume(node);
        world_.release_disk(node);
        world_.disk(node).knobs().slow = knobs.disk.slow;
        world_.set_drift(node, normal_drift_[node]);
        world_.set_wall_drift(node, 0);
        set_links(node, [&](io::SimLink& link) {
            link.extra = knobs.network.extra;
            link.bytes_per_second = knobs.network.bytes_per_second;
        });
        if (world_.down(node)) host_.restart(node, 0);
    }
    stopped_.clear();
    note_change();
}

// Partitions.

/// `nodes` against the others.
io::SimPairs FaultPlayer::around(const Fault& fault, const io::SimNodes& nodes) const {
    io::SimNodes everybody = plan_.knobs.nodes;
    const io::SimNodes& clients = plan_.knobs.clients;
    if (fault.with_clients) everybody.insert(everybody.end(), clients.begin(), clients.end());
    return io::isolate(everybody, nodes);
}

void FaultPlayer::cut(const Fault& fault, io::SimPairs pairs) {
    cuts_[fault.number].push_back(world_.network().cut(std::move(pairs), fault.cut));
}

void FaultPlayer::begin_flap(const Fault& fault) {
    const Duration half(fault.amount);
    cut(fault, around(fault, fault.nodes));
    for (int i = 1; i < flaps_max && half * i < fault.lasts; ++i) {
        at(half * i, [this, &fault, i] {
            if (i % 2 == 0) return cut(fault, around(fault, fault.nodes));
            world_.network().mend(cuts_[fault.number].back());
        });
    }
}

void FaultPlayer::begin_freeze(const Fault& fault) {
    world_.pause(fault.nodes.front(), fault.lasts);
    // What was said to it just before has still come.
    if (fault.lasts <= freeze_delay) return;
    at(freeze_delay, [this, &fault] {
        cut(fault, io::isolate(plan_.knobs.nodes, fault.nodes));
        const std::uint32_t number = cuts_[fault.number].back();
        const Duration until = fault.lasts + Duration(fault.amount) - freeze_delay;
        at(until, [this, number] { world_.network().mend(number); });
    });
}

void FaultPlayer::begin_swizzle(const Fault& fault) {
    Prng prng(fault.seed);
    const auto half = static_cast<std::uint64_t>(fault.lasts.count()) / 2 + 1;
    const auto within = [&] { return Duration(static_cast<std::int64_t>(prng.below(half))); };
    for (const NodeId node : fault.nodes) {
        const Duration from = within();
        const Duration to = fault.lasts - within();
        at(from, [this, &fault, node, to, from] {
            cut(fault, around(fault, {node}));
            const std::uint32_t number = cuts_[fault.number].back();
            at(to - from, [this, number] { world_.network().mend(number); });
        });
    }
}

void FaultPlayer::set_links(NodeId node, const std::function<void(io::SimLink&)>& change) {
    io::SimNodes others = io::all_but(plan_.knobs.nodes, {node});
    others.insert(others.end(), plan_.knobs.clients.begin(), plan_.knobs.clients.end());
    for (const NodeId other : others) {
        change(world_.network().link(node, other));
        change(world_.network().link(other, node));
    }
}

// Processes.

void FaultPlayer::stop(const Fault& fault) {
    for (const NodeId node : fault.nodes) ++stopped_[node];
    const NodeId node = fault.nodes.front();
    if (fault.kind == FaultKind::kill_at_point || fault.kind == FaultKind::power_at_point) {
        const std::uint64_t point =
            world_.disk(node).io_points() + static_cast<std::uint64_t>(fault.amount);
        return world_.crash_at(node, point, fault.crash, [this] { note_change(); });
    }
    for (const NodeId stopped : fault.nodes) host_.crash(stopped, fault.crash);
    if (fault.kind == FaultKind::wipe) host_.replace_disk(node);
    if (fault.kind == FaultKind::rot) host_.rot(node, fault.seed);
}

// The books.

bool FaultPlayer::healthy(NodeId node) {
    return !world_.down(node) && !world_.paused(node) && !world_.disk_hangs(node) &&
           world_.disk(node).knobs().slow.mean <= tolerance;
}

bool FaultPlayer::linked(NodeId from, NodeId to) {
    if (!world_.network().flows(from, to)) return false;
    const io::SimLink& link = world_.network().link(from, to);
    const bool wide = link.bytes_per_second == 0 ||
                      link.bytes_per_second >= static_cast<std::uint64_t>(bytes_per_second_min);
    return wide && link.extra.mean <= tolerance;
}

void FaultPlayer::note_change() {
    const io::SimNodes& nodes = plan_.knobs.nodes;
    // For each node: those it is linked with in both directions, itself among them if healthy.
    std::vector<std::uint32_t> peers(nodes.size());
    for (std::size_t a = 0; a < nodes.size(); ++a) {
        if (!healthy(nodes[a])) continue;
        for (std::size_t b = 0; b < nodes.size(); ++b) {
            if (a == b || (linked(nodes[a], nodes[b]) && linked(nodes[b], nodes[a])))
                peers[a] |= 1u << b;
        }
    }
    const auto majority = static_cast<int>(nodes.size() / 2 + 1);
    for (std::uint32_t set = 1; set < 1u << nodes.size(); ++set) {
        if (std::popcount(set) < majority) continue;
        bool whole = true;
        for (std::size_t a = 0; a < nodes.size(); ++a) {
            if ((set >> a & 1) != 0) whole = whole && (peers[a] & set) == set;
        }
        if (!whole) {
            since_.erase(set);
        } else {
            since_.try_emplace(set, world_.now());
        }
    }
}

std::optional<FaultPlayer::Majority> FaultPlayer::majority() {
    note_change();
    if (since_.empty()) return std::nullopt;
    const auto first =
        std::min_element(since_.begin(), since_.end(), [](const auto& a, const auto& b) {
            if (a.second != b.second) return a.second < b.second;
            return std::popcount(a.first) > std::popcount(b.first);
        });
    Majority out;
    out.since = first->second;
    for (std::size_t i = 0; i < plan_.knobs.nodes.size(); ++i) {
        if ((first->first >> i & 1) != 0) out.nodes.push_back(plan_.knobs.nodes[i]);
    }
    return out;
}

}  // namespace kv
