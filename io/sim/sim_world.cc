#include "io/sim/sim_world.h"

#include <algorithm>
#include <bit>

#include "io/sim/sim_node.h"

namespace kv::io {

SimWorld::SimWorld(std::uint64_t seed, const SimKnobs& knobs)
    : seed_(seed), knobs_(knobs), network_(*this, seed, knobs.network) {}

SimWorld::~SimWorld() = default;

void SimWorld::trace(NodeId node, CoreId core, std::uint64_t kind, std::int64_t result,
                     std::uint64_t payload) noexcept {
    const std::uint64_t words[] = {trace_hash_,
                                   static_cast<std::uint64_t>(now_.time_since_epoch().count()),
                                   node.value() << 16 | core.value(),
                                   kind,
                                   static_cast<std::uint64_t>(result),
                                   payload};
    trace_hash_ = XXH3_64bits(words, sizeof words);
}

// Machines.

SimNode& SimWorld::find(NodeId node) {
    const auto found = nodes_.find(node);
    KV_ASSERT(found != nodes_.end(), "no node {}", node.value());
    return *found->second;
}

void SimWorld::add_node(NodeId node, std::initializer_list<std::string_view> addresses) {
    const auto [at, added] = nodes_.try_emplace(node);
    KV_ASSERT(added, "node {} exists", node.value());
    at->second = std::make_unique<SimNode>(seed_, node, knobs_);
    for (const std::string_view address : addresses) {
        const Result<Endpoint> endpoint = parse_endpoint(address, 0);
        KV_ASSERT(endpoint.has_value(), "not an address: {}", address);
        network_.add_address(node, *endpoint);
    }
}

SimDisk& SimWorld::disk(NodeId node) {
    return find(node).disk;
}

SimBackend& SimWorld::add_core(NodeId id, CoreId core) {
    SimNode& node = find(id);
    KV_ASSERT(!node.dying, "its last turn is not over");
    if (!node.up) {
        node.up = true;
        ++node.boots;
        network_.boot(id);
        trace(id, core, trace_boot, static_cast<std::int64_t>(node.boots), 0);
    }
    const auto number = static_cast<std::uint32_t>(cores_.size());
    cores_.emplace_back(new SimBackend(*this, node, core, number, seed_));
    node.cores.push_back(cores_.back().get());
    return *cores_.back();
}

void SimWorld::attach(SimBackend& backend, Reactor& reactor) {
    KV_ASSERT(&reactor.backend() == &backend);
    backend.reactor_ = &reactor;
}

void SimWorld::remove_core(SimBackend& backend) {
    SimNode& node = backend.node_;
    KV_ASSERT(&backend != running_ && backend.in_flight() == 0);
    backend.abandon_all();
    backend.reactor_ = nullptr;
    if (std::erase(node.cores, &backend) != 0 && node.cores.empty()) stop(node, Crash::process);
    cores_[backend.number_].reset();
}

std::size_t SimWorld::draw_mailbox_slots(NodeId id) {
    Prng prng = Prng::split(seed_, "mailboxes", id.value(), find(id).boots);
    const SimCoreKnobs& core = knobs_.core;
    const auto low = static_cast<std::uint64_t>(std::countr_zero(core.mailbox_slots_min));
    const auto high = static_cast<std::uint64_t>(std::countr_zero(core.mailbox_slots_max));
    return std::size_t{1} << prng.between(low, high);
}

void SimWorld::wipe_disk(NodeId node) {
    KV_ASSERT(down(node), "node {} is running", node.value());
    trace(node, CoreId(0), trace_wipe, 0, 0);
    find(node).disk.wipe();
}

void SimWorld::hang_disk(NodeId id, Duration time) {
    SimNode& node = find(id);
    trace(id, CoreId(0), trace_hang, time.count(), 0);
    node.disk_hangs_until = std::max(node.disk_hangs_until, now_ + time);
    at(node.disk_hangs_until, [this, id] {
        if (!disk_hangs(id)) release_disk(id);
    });
}

void SimWorld::release_disk(NodeId id) {
    SimNode& node = find(id);
    node.disk_hangs_until = now_;
    constexpr Latency scatter{1us, 1ms};
    for (const SimFlight flight : node.hanging) {
        SimEvent event;
        event.at = now_ + scatter.draw(node.releases);
        event.kind = SimEventKind::effect;
        event.flight = flight;
        schedule(event);
    }
    node.hanging.clear();
}

bool SimWorld::disk_hangs(NodeId node) {
    return find(node).disk_hangs(now_);
}

// Clocks and pauses.

std::int32_t SimWorld::drift_ppm(NodeId node) {
    return find(node).mono.drift_ppm();
}

void SimWorld::set_drift(NodeId node, std::int32_t ppm) {
    trace(node, CoreId(0), trace_clock, ppm, 0);
    find(node).mono.set_drift(now_, ppm);
    look_at_all();
}

void SimWorld::set_wall_drift(NodeId node, std::int32_t ppm) {
    trace(node, CoreId(0), trace_clock, ppm, 1);
    find(node).wall.set_drift(now_, ppm);
}

void SimWorld::jump_wall(NodeId node, Duration by) {
    trace(node, CoreId(0), trace_clock, by.count(), 2);
    find(node).wall.jump(by);
}

void SimWorld::set_pause(SimBackend& backend, Instant until) {
    trace(backend.node(), backend.core(), trace_pause, (until - now_).count(), 0);
    backend.paused_until_ = until;
}

void SimWorld::pause(NodeId node, Duration time) {
    for (SimBackend* core : find(node).cores)
        set_pause(*core, std::max(core->paused_until_, now_ + time));
}

void SimWorld::pause_core(NodeId node, CoreId number, Duration time) {
    for (SimBackend* core : find(node).cores) {
        if (core->core() == number) set_pause(*core, std::max(core->paused_until_, now_ + time));
    }
}

void SimWorld::resume(NodeId node) {
    for (SimBackend* core : find(node).cores) {
        if (core->paused_until_ <= now_) continue;
        set_pause(*core, now_);
        core->look_at(now_);
    }
}

bool SimWorld::paused(NodeId node) {
    const auto& cores = find(node).cores;
    return std::any_of(cores.begin(), cores.end(),
                       [&](const SimBackend* core) { return core->paused_until_ > now_; });
}

bool SimWorld::down(NodeId node) {
    const SimNode& found = find(node);
    return !found.up && !found.dying;
}

// Crashes.

void SimWorld::crash_at(NodeId node, std::uint64_t point, Crash kind,
                        std::function<void()> callback) {
    find(node).plan = SimNode::Plan{point, kind, std::move(callback), true};
}

void SimWorld::cancel_crash(NodeId node) {
    find(node).plan = {};
}

bool SimWorld::crash_before_io_point(SimNode& node) {
    if (node.plan.armed && node.disk.io_points() == node.plan.point) {
        const Crash kind = node.plan.kind;
        node.after_crash = std::move(node.plan.callback);
        node.plan = {};
        stop(node, kind);
        return true;
    }
    static_cast<void>(node.disk.count_io_point());
    return false;
}

void SimWorld::crash(NodeId id, Crash kind) {
    SimNode& node = find(id);
    if (!node.up) return;
    stop(node, kind);
}

/// The instant of the crash: fixes what the disk and the peers will see.
void SimWorld::stop(SimNode& node, Crash kind) {
    if (!node.up) return;
    trace(node.id, CoreId(0), trace_crash, static_cast<std::int64_t>(kind), 0);
    node.up = false;
    std::vector<std::pair<std::uint64_t, SimDisk::InFlight>> numbered;
    for (SimBackend* core : node.cores) {
        for (SimBackend::Flight& flight : core->flights_) {
            // A clock of 0: the crash came just before its submission.
            const bool open = flight.op != nullptr && flight.on_disk && !flight.done;
            if (!open || flight.ticket.clock == 0) continue;
            core->check_bytes(flight, "before a crash");
            numbered.push_back({flight.number, {&flight.op->request(), &flight.ticket}});
        }
        core->stop();
    }
    std::sort(numbered.begin(), numbered.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<SimDisk::InFlight> in_flight;
    for (const auto& [number, op] : numbered) in_flight.push_back(op);
    node.disk.crash(kind, in_flight, node.fds);
    network_.crash(node.id, kind);
    const bool in_turn = running_ != nullptr && &running_->node_ == &node;
    node.dying = in_turn;
    if (!in_turn) bury(node);
}

/// Once no code of the process is running: nothing of it may refer to the world any more.
void SimWorld::bury(SimNode& node) {
    node.dying = false;
    for (SimBackend* core : node.cores) core->abandon_all();
    for (SimBackend* core : node.cores) {
        if (core->reactor_ != nullptr) core->reactor_->abandon();
        core->reactor_ = nullptr;
    }
    node.cores.clear();
    if (const auto callback = std::exchange(node.after_crash, {})) callback();
}

// Time.

SimFds* SimWorld::live_fds(NodeId node, SimFlight flight) {
    if (!flight.exists() || cores_[flight.core] == nullptr) return nullptr;
    return cores_[flight.core]->find(flight) == nullptr ? nullptr : &find(node).fds;
}

void SimWorld::flight_due(SimFlight flight) {
    if (cores_[flight.core] != nullptr) cores_[flight.core]->mark_due(flight);
}

void SimWorld::flight_done(SimFlight flight, std::int32_t result) {
    if (cores_[flight.core] != nullptr) cores_[flight.core]->finish(flight, result);
}

void SimWorld::at(Instant when, std::function<void()> callback) {
    SimEvent event;
    event.at = std::max(when, now_);
    event.kind = SimEventKind::callback;
    event.number = static_cast<std::uint32_t>(callbacks_.size());
    callbacks_.push_back(std::move(callback));
    schedule(event);
}

/// Gives `backend` its turn if it has a reason for one, and schedules the next look.
void SimWorld::look(SimBackend& backend) {
    if (backend.dead() || backend.reactor_ == nullptr) return;
    Reactor& reactor = *backend.reactor_;
    if (now_ >= backend.free_at() &&
        (backend.has_due() || reactor.idle_time() == Duration::zero())) {
        trace(backend.node(), backend.core(), trace_turn, 0, 0);
        backend.asleep_ = false;
        running_ = &backend;
        reactor.turn(Duration::zero());
        running_ = nullptr;
        backend.busy_until_ = now_ + std::max(backend.turn_time(), Duration(1));
        if (backend.node_.dying) {
            bury(backend.node_);
            return;
        }
    }
    schedule_look(backend);
}

/// The next look: at once when there is something to do. A core with others is looked at once more
/// when its turn is over: then it goes to sleep, unless messages have come meanwhile; from then on
/// they ring.
void SimWorld::schedule_look(SimBackend& backend) {
    Reactor& reactor = *backend.reactor_;
    if (backend.has_due() || reactor.has_ready()) return backend.look_at(now_);
    if (reactor.mailboxes().cores() > 1 && !backend.asleep_) {
        if (now_ < backend.free_at()) return backend.look_at(now_);
        backend.asleep_ = reactor.try_sleep();
        backend.rung_ = !backend.asleep_;
        if (backend.rung_) return backend.look_at(now_);
    }
    if (const auto next = reactor.timers().next()) backend.look_at_local(*next);
}

void SimWorld::look_at_all() {
    for (const auto& core : cores_) {
        if (core == nullptr || core->dead() || core->reactor_ == nullptr) continue;
        schedule_look(*core);
    }
}

void SimWorld::handle(const SimEvent& event) {
    switch (event.kind) {
        case SimEventKind::look: {
            SimBackend* core = cores_[event.number].get();
            if (core == nullptr) return;
            core->looks_.pop_back();
            return look(*core);
        }
        case SimEventKind::effect:
            if (SimBackend* core = cores_[event.flight.core].get()) core->on_effect(event.flight);
            return;
        case SimEventKind::cancel:
            if (SimBackend* core = cores_[event.flight.core].get()) core->on_cancel(event.flight);
            return;
        case SimEventKind::doorbell:
            if (SimBackend* core = cores_[event.number].get()) core->on_doorbell();
            return;
        case SimEventKind::callback:
            if (const auto call = std::exchange(callbacks_[event.number], {})) call();
            return look_at_all();
        case SimEventKind::arrive:
        case SimEventKind::answer:
        case SimEventKind::segment:
        case SimEventKind::fin:
        case SimEventKind::reset:
        case SimEventKind::window: network_.handle(event); return;
    }
}

bool SimWorld::step() {
    if (events_.empty()) return false;
    const SimEvent event = events_.pop();
    KV_ASSERT(event.at >= now_);
    now_ = event.at;
    ++events_handled_;
    handle(event);
    return true;
}

bool SimWorld::run_until(const std::function<bool()>& done, Duration limit) {
    const Instant end = now_ + limit;
    look_at_all();
    while (!done()) {
        if (events_.empty()) return false;
        if (events_.next() > end) {
            now_ = end;
            return false;
        }
        static_cast<void>(step());
    }
    return true;
}

void SimWorld::run_for(Duration time) {
    const Instant end = now_ + time;
    static_cast<void>(run_until([] { return false; }, time));
    now_ = end;
}

Task<void> SimWorld::watch(Task<void> task, std::shared_ptr<bool> ended) {
    co_await task;
    *ended = true;
}

bool SimWorld::run(Reactor& reactor, Task<void> task, Duration limit) {
    const NodeId node = static_cast<SimBackend&>(reactor.backend()).node();
    const auto ended = std::make_shared<bool>(false);
    reactor.spawn(watch(std::move(task), ended));
    // Until the frames are gone, too: they hold the other reference.
    const auto over = [&] { return ended.use_count() == 1 || down(node); };
    static_cast<void>(run_until(over, limit));
    return *ended && ended.use_count() == 1;
}

}  // namespace kv::io
