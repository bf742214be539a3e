#include "io/sim/sim_backend.h"

#include <algorithm>
#include <cerrno>

#include "io/reactor.h"
#include "io/sim/sim_node.h"
#include "io/sim/sim_world.h"

namespace kv::io {

namespace {

bool on_socket(OpCode code) noexcept {
    return code >= OpCode::listen;
}

std::uint64_t sum_of(const OpRequest& request) noexcept {
    return checksum(Bytes(request.data, request.bytes));
}

bool gives_bytes(OpCode code) noexcept {
    return code == OpCode::write || code == OpCode::send;
}

}  // namespace

SimBackend::SimBackend(SimWorld& world, SimNode& node, CoreId core, std::uint32_t number,
                       std::uint64_t seed)
    : world_(world),
      node_(node),
      core_(core),
      number_(number),
      prng_(Prng::split(seed, "core", node.id.value(), node.boots << 16 | core.value())),
      chances_(Prng::split(seed, "chances", node.id.value(), node.boots << 16 | core.value())),
      turns_(Prng::split(seed, "turns", node.id.value(), node.boots << 16 | core.value())),
      stalls_(Prng::split(seed, "stalls", node.id.value(), node.boots << 16 | core.value())),
      entropy_(Prng::split(seed, "entropy", node.id.value(), node.boots << 16 | core.value())) {
    const SimCoreKnobs& knobs = world.knobs().core;
    const std::uint64_t count = prng_.between(knobs.buffers_min, knobs.buffers_max);
    buffer_bytes_ =
        static_cast<std::uint32_t>(prng_.between(knobs.buffer_bytes_min, knobs.buffer_bytes_max));
    buffers_.resize(static_cast<std::size_t>(count));
    for (std::size_t i = buffers_.size(); i > 0; --i)
        free_buffers_.push_back(static_cast<std::uint16_t>(i - 1));
}

NodeId SimBackend::node() const noexcept {
    return node_.id;
}
Instant SimBackend::now() noexcept {
    return Instant(Duration(node_.mono.read(world_.now())));
}
std::int64_t SimBackend::wall_ns() noexcept {
    return node_.wall.read(world_.now());
}

void SimBackend::fill_entropy(MutableBytes out) noexcept {
    while (!out.empty()) {
        const std::uint64_t word = entropy_.next();
        const std::size_t bytes = std::min(out.size(), sizeof word);
        std::memcpy(out.data(), &word, bytes);
        out = out.subspan(bytes);
    }
}

// Provided buffers. Each is a block of its own, and is spoilt when it is given back: a use too late
// or too long shows.

std::byte* SimBackend::buffer(std::uint16_t id) noexcept {
    return buffers_[id].get();
}

void SimBackend::recycle(std::uint16_t id) noexcept {
    KV_DCHECK(std::find(free_buffers_.begin(), free_buffers_.end(), id) == free_buffers_.end(),
              "a buffer is recycled twice");
    KV_ASSERT(free_buffers_.size() < buffers_.size(), "a buffer is recycled twice");
    std::memset(buffers_[id].get(), 0xdd, buffer_bytes_);
    free_buffers_.push_back(id);
}

std::int32_t SimBackend::take_buffer() {
    if (free_buffers_.empty()) return -1;
    const std::uint16_t id = free_buffers_.back();
    free_buffers_.pop_back();
    if (buffers_[id] == nullptr)
        buffers_[id] = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes_);
    return id;
}

// Operations in flight.

std::uint32_t SimBackend::take_place(Op& op) {
    if (free_places_.empty()) {
        free_places_.push_back(static_cast<std::uint32_t>(flights_.size()));
        flights_.emplace_back();
    }
    const std::uint32_t place = free_places_.back();
    free_places_.pop_back();
    Flight& flight = flights_[place];
    const std::uint64_t use = flight.use + 1;
    flight = Flight{};
    flight.op = &op;
    flight.use = use;
    flight.number = world_.next_flight_number();
    slot(op) = place;
    ++in_flight_;
    return place;
}

void SimBackend::free_place(std::uint32_t place) {
    Flight& flight = flights_[place];
    flight.op = nullptr;
    flight.ticket = SimDiskTicket{};
    free_places_.push_back(place);
    --in_flight_;
}

SimFlight SimBackend::name_of(std::uint32_t place) const noexcept {
    return SimFlight{number_, place, flights_[place].use};
}

SimBackend::Flight* SimBackend::find(SimFlight name) noexcept {
    if (dead_ || name.place >= flights_.size()) return nullptr;
    Flight& flight = flights_[name.place];
    return flight.op != nullptr && flight.use == name.use ? &flight : nullptr;
}

Duration SimBackend::kernel_time() {
    return world_.knobs().core.kernel.draw(prng_);
}

void SimBackend::after(SimEventKind kind, Duration delay, SimFlight name) {
    SimEvent event;
    event.at = world_.now() + std::max(delay, Duration(1));
    event.kind = kind;
    event.flight = name;
    world_.schedule(event);
}

void SimBackend::start(Op& op) {
    if (abandoned_) {
        abandon(op);
        return;
    }
    const OpRequest& request = op.request();
    const SimFd* fd = request.fd >= 0 ? node_.fds.find(request.fd) : nullptr;
    const bool closes_file = fd == nullptr || fd->kind == SimFd::Kind::file;
    const std::uint32_t place = take_place(op);
    Flight& flight = flights_[place];
    flight.on_disk = request.code == OpCode::close ? closes_file : !on_socket(request.code);
    if (dead_) return;
    // Before it counts as in flight: a crash at this point happens before the submission.
    if (flight.on_disk && world_.crash_before_io_point(node_)) return;
    if (gives_bytes(request.code)) flight.sum = sum_of(request);
    if (flight.on_disk) {
        const Duration latency = node_.disk.submit(request, flight.ticket, node_.fds);
        after(SimEventKind::effect, latency, name_of(place));
        return;
    }
    if (fd != nullptr) flight.target = fd->number;
    const bool wants_fd = request.code != OpCode::listen && request.code != OpCode::connect;
    if (wants_fd && fd == nullptr) {
        flight.result = -EBADF;
        flight.done = true;
    }
    after(SimEventKind::effect, kernel_time(), name_of(place));
}

void SimBackend::request_cancel(Op& op) {
    const auto place = static_cast<std::uint32_t>(slot(op));
    if (dead_) return;
    after(SimEventKind::cancel, kernel_time(), name_of(place));
}

void SimBackend::on_effect(SimFlight name) {
    Flight* flight = find(name);
    if (flight == nullptr) return;
    if (flight->done) {  // canceled, or refused at once
        mark_due(name);
        return;
    }
    const OpRequest& request = flight->op->request();
    if (flight->on_disk) {
        if (node_.disk_hangs(world_.now())) {
            node_.hanging.push_back(name);
            return;
        }
        check_bytes(*flight, "before its use");
        finish(name, node_.disk.take_effect(request, flight->ticket, node_.fds));
        return;
    }
    switch (request.code) {
        case OpCode::listen:
            finish(name, world_.network().listen(node_.id, *request.endpoint, node_.fds));
            return;
        case OpCode::connect: world_.network().connect(node_.id, *request.endpoint, name); return;
        case OpCode::accept:
        case OpCode::receive: mark_due(name); return;
        case OpCode::send: try_send(*flight, name); return;
        case OpCode::end_sending:
            finish(name, world_.network().end_sending(flight->target));
            return;
        case OpCode::close: {
            const SimFd* fd = node_.fds.find(request.fd);
            if (fd == nullptr || fd->number != flight->target) return finish(name, -EBADF);
            if (fd->kind == SimFd::Kind::socket) world_.network().close_socket(fd->number);
            if (fd->kind == SimFd::Kind::listener) world_.network().close_listener(fd->number);
            node_.fds.remove(request.fd);
            return finish(name, 0);
        }
        case OpCode::open:
        case OpCode::read:
        case OpCode::write:
        case OpCode::sync:
        case OpCode::allocate:
        case OpCode::punch:
        case OpCode::rename:
        case OpCode::unlink:
        case OpCode::make_directory:
        case OpCode::list:
        case OpCode::stat:
        case OpCode::lock: break;
    }
    KV_UNREACHABLE("not an operation on a socket");
}

void SimBackend::try_send(Flight& flight, SimFlight name) {
    check_bytes(flight, "before its use");
    const OpRequest& request = flight.op->request();
    const Bytes bytes(request.data, request.bytes);
    const std::int32_t result = world_.network().send(flight.target, bytes, name);
    if (result != 0) finish(name, result);  // else it waits for room
}

void SimBackend::on_cancel(SimFlight name) {
    Flight* flight = find(name);
    if (flight == nullptr || flight->done) return;  // lost the race
    SimNetwork& network = world_.network();
    const OpCode code = flight->op->request().code;
    if (code == OpCode::accept || code == OpCode::receive) {
        flight->canceled = true;
        if (code == OpCode::accept) network.stop_accepting(flight->target);
        if (code == OpCode::receive) network.stop_receiving(flight->target);
        mark_due(name);
    } else if (code == OpCode::send) {
        network.stop_sending(flight->target);
        finish(name, -ECANCELED);
    } else if (code == OpCode::connect) {
        network.cancel_connect(name);
        finish(name, -ECANCELED);
    } else if (flight->on_disk && code != OpCode::close && !node_.disk_hangs(world_.now()) &&
               odds(chances_, node_.disk.knobs().cancel_per_million)) {
        finish(name, -ECANCELED);
    }
}

void SimBackend::finish(SimFlight name, std::int32_t result) {
    Flight* flight = find(name);
    if (flight == nullptr) return;
    KV_ASSERT(!flight->done);
    flight->result = result;
    flight->done = true;
    mark_due(name);
}

void SimBackend::mark_due(SimFlight name) {
    Flight* flight = find(name);
    if (flight == nullptr || flight->due) return;
    if (flight->op->request().code == OpCode::send && !flight->done) {
        try_send(*flight, name);  // there may be room now
        return;
    }
    flight->due = true;
    due_.push_back(name.place);
    look_at(world_.now());
}

// Completions.

std::size_t SimBackend::poll(Duration, Instant& time) {
    if (dead_) return 0;
    time = now();
    rung_ = false;
    gathering_.swap(due_);
    due_.clear();
    for (std::size_t i = gathering_.size(); i > 1; --i)
        std::swap(gathering_[i - 1], gathering_[static_cast<std::size_t>(prng_.below(i))]);
    deliveries_.clear();
    // Buffers are filled before the program sees any of them: that is how they run out.
    for (const std::uint32_t place : gathering_) gather(place);
    gathering_.clear();
    for (std::size_t i = 0; i < deliveries_.size() && !dead_; ++i) deliver(deliveries_[i]);
    return deliveries_.size();
}

void SimBackend::gather(std::uint32_t place) {
    Flight& flight = flights_[place];
    flight.due = false;
    if (flight.done) {
        deliveries_.push_back({place, flight.result, {}});
    } else if (flight.op->request().code == OpCode::receive) {
        gather_received(flight, name_of(place));
    } else {
        KV_ASSERT(flight.op->request().code == OpCode::accept);
        gather_accepted(flight, name_of(place));
    }
}

void SimBackend::gather_received(Flight& flight, SimFlight name) {
    SimNetwork& network = world_.network();
    Delivery delivery{name.place, 0, {}};
    while (!flight.done && network.has_news(flight.target)) {
        // A cancellation overtakes what has arrived, or not.
        if (flight.canceled && chances_.below(2) == 0) break;
        const std::int32_t id = take_buffer();
        if (id < 0) {
            delivery.result = -ENOBUFS;
            delivery.completion = {};
            flight.done = true;
            break;
        }
        const auto buffer_id = static_cast<std::uint16_t>(id);
        delivery.result = network.receive(flight.target, {buffer(buffer_id), buffer_bytes_}, name);
        if (delivery.result <= 0) {
            recycle(buffer_id);
            delivery.completion = {};
            flight.done = true;
            break;
        }
        flight.done = odds(chances_, world_.knobs().core.multishot_end_per_million);
        delivery.completion = {!flight.done, true, buffer_id};
        if (flight.done) break;
        deliveries_.push_back(delivery);
    }
    if (!flight.done && flight.canceled) {
        delivery.result = -ECANCELED;
        delivery.completion = {};
        flight.done = true;
    }
    if (flight.done) {
        deliveries_.push_back(delivery);
    } else {
        static_cast<void>(network.receive(flight.target, {}, name));  // tell me when there is more
    }
}

void SimBackend::gather_accepted(Flight& flight, SimFlight name) {
    SimNetwork& network = world_.network();
    while (!flight.done) {
        Delivery delivery{name.place, 0, {}};
        if (flight.canceled) {
            delivery.result = -ECANCELED;
            flight.done = true;
        } else {
            delivery.result = network.accept(flight.target, name, node_.fds);
            if (delivery.result == -EAGAIN) return;
            flight.done = odds(chances_, world_.knobs().core.multishot_end_per_million);
            delivery.completion.more = !flight.done;
        }
        deliveries_.push_back(delivery);
    }
}

void SimBackend::deliver(const Delivery& delivery) {
    Flight& flight = flights_[delivery.place];
    Op& op = *flight.op;
    const OpRequest& request = op.request();
    if (flight.on_disk) {
        if (world_.crash_before_io_point(node_)) return;
        if (delivery.result >= 0) node_.disk.acknowledge(flight.ticket);
    }
    check_bytes(flight, "before its completion");
    std::uint64_t payload = flight.sum;
    if (delivery.completion.has_buffer) {
        payload = checksum({buffers_[delivery.completion.buffer_id].get(),
                            static_cast<std::size_t>(delivery.result)});
    } else if (request.code == OpCode::read && delivery.result > 0) {
        payload = checksum({request.data, static_cast<std::size_t>(delivery.result)});
    }
    world_.trace(node_.id, core_, static_cast<std::uint64_t>(request.code), delivery.result,
                 payload);
    if (!delivery.completion.more) free_place(delivery.place);
    complete(op, delivery.result, delivery.completion);
}

void SimBackend::check_bytes(const Flight& flight, const char* when) const {
    const OpRequest& request = flight.op->request();
    if (!gives_bytes(request.code)) return;
    KV_ASSERT(sum_of(request) == flight.sum,
              "buffer changed in flight, {}: {} of {} bytes at offset {} on descriptor {}", when,
              request.code == OpCode::write ? "write" : "send", request.bytes, request.offset,
              request.fd);
}

// Turns.

void SimBackend::wake(CoreId core) {
    if (dead_) return;
    const auto found = std::find_if(node_.cores.begin(), node_.cores.end(),
                                    [&](const SimBackend* peer) { return peer->core_ == core; });
    KV_ASSERT(found != node_.cores.end(), "no core {}", core.value());
    SimEvent event;
    event.at = world_.now() + world_.knobs().core.doorbell.draw(prng_);
    event.kind = SimEventKind::doorbell;
    event.number = (*found)->number_;
    world_.schedule(event);
}

void SimBackend::on_doorbell() {
    if (dead_) return;
    rung_ = true;
    look_at(world_.now());
}

/// Has the world look at this core at `when`, or as soon as it is free.
void SimBackend::look_at(Instant when) {
    when = std::max(when, free_at());
    if (!looks_.empty() && looks_.back() <= when) return;  // that look will schedule the next
    looks_.push_back(when);
    SimEvent event;
    event.at = when;
    event.kind = SimEventKind::look;
    event.number = number_;
    world_.schedule(event);
}

/// The same for a point of this machine's monotonic clock.
void SimBackend::look_at_local(Instant when) {
    const Instant at = node_.mono.when(when.time_since_epoch().count());
    look_at(std::max(at, world_.now()));
}

Duration SimBackend::turn_time() {
    const SimCoreKnobs& knobs = world_.knobs().core;
    const Duration turn = knobs.turn.draw(turns_);
    return odds(stalls_, knobs.stall_per_million) ? knobs.stall.draw(stalls_) : turn;
}

void SimBackend::abandon_all() noexcept {
    dead_ = true;
    abandoned_ = true;
    for (Flight& flight : flights_) {
        if (flight.op != nullptr) abandon(*flight.op);
        flight = Flight{};
    }
    in_flight_ = 0;
    due_.clear();
}

}  // namespace kv::io
