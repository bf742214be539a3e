#include "io/sim/sim_network.h"

#include <algorithm>
#include <cerrno>

#include "io/sim/sim_world.h"

namespace kv::io {

namespace {

constexpr std::uint32_t connect_tries_max = 6;
constexpr Duration connect_retry = 1s;
constexpr std::uint16_t first_free_port = 20'000;

bool any_address(const Endpoint& endpoint) noexcept {
    return std::all_of(endpoint.address.begin(), endpoint.address.end(),
                       [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

SimNetwork::SimNetwork(SimWorld& world, std::uint64_t seed, const SimNetworkKnobs& knobs)
    : world_(world), seed_(seed), knobs_(knobs) {}

SimLine& SimNetwork::line(NodeId from, NodeId to) {
    const SimPair pair{from, to};
    const auto found = lines_.find(pair);
    if (found != lines_.end()) return found->second;
    SimLink link{knobs_.delay, knobs_.extra, knobs_.tail_per_million, knobs_.tail,
                 knobs_.bytes_per_second};
    return lines_.try_emplace(pair, seed_, pair, link).first->second;
}

void SimNetwork::add_address(NodeId node, const Endpoint& address) {
    const auto [at, added] = addresses_.try_emplace({address.v6, address.address}, node);
    KV_ASSERT(added, "{} belongs to node {}", address.text(), at->second.value());
}

void SimNetwork::schedule(SimEventKind kind, Instant at, std::uint32_t number,
                          std::uint64_t bytes) {
    SimEvent event;
    event.at = at;
    event.kind = kind;
    event.number = number;
    event.bytes = bytes;
    world_.schedule(event);
}

void SimNetwork::tell(SimFlight& flight) {
    if (flight.exists()) world_.flight_due(std::exchange(flight, SimFlight{}));
}

// Listening.

std::uint32_t SimNetwork::find_listener(NodeId node, const Endpoint& endpoint) const noexcept {
    const auto found = bound_.find({node, endpoint.port});
    if (found == bound_.end()) return no_socket;
    for (const std::uint32_t number : found->second) {
        const Endpoint& bound = listeners_[number].endpoint;
        if (any_address(bound) || any_address(endpoint) || bound == endpoint) return number;
    }
    return no_socket;
}

std::uint16_t SimNetwork::free_port(NodeId node) {
    std::uint16_t& next = next_port_.try_emplace(node, first_free_port).first->second;
    while (bound_.contains({node, next})) ++next;
    return next++;
}

std::int32_t SimNetwork::listen(NodeId node, Endpoint& endpoint, SimFds& fds) {
    const auto owner = addresses_.find({endpoint.v6, endpoint.address});
    const bool here = owner != addresses_.end() && owner->second == node;
    if (!here && !endpoint.loopback() && !any_address(endpoint)) return -EADDRNOTAVAIL;
    if (endpoint.port == 0) endpoint.port = free_port(node);
    if (find_listener(node, endpoint) != no_socket) return -EADDRINUSE;
    const auto number = static_cast<std::uint32_t>(listeners_.size());
    Listener& listener = listeners_.emplace_back();
    listener.node = node;
    listener.endpoint = endpoint;
    bound_[{node, endpoint.port}].push_back(number);
    SimFd fd;
    fd.kind = SimFd::Kind::listener;
    fd.number = number;
    return fds.add(std::move(fd));
}

std::int32_t SimNetwork::accept(std::uint32_t number, SimFlight flight, SimFds& fds) {
    Listener& listener = listeners_[number];
    if (listener.backlog.empty()) {
        KV_ASSERT(!listener.acceptor.exists() || listener.acceptor == flight,
                  "one accept at a time");
        listener.acceptor = flight;
        return -EAGAIN;
    }
    SimFd fd;
    fd.kind = SimFd::Kind::socket;
    fd.number = listener.backlog.front();
    listener.backlog.pop_front();
    return fds.add(std::move(fd));
}

void SimNetwork::stop_accepting(std::uint32_t listener) {
    listeners_[listener].acceptor = SimFlight{};
}

void SimNetwork::close_listener(std::uint32_t number) {
    Listener& listener = listeners_[number];
    if (listener.closed) return;
    listener.closed = true;
    const auto bound = bound_.find({listener.node, listener.endpoint.port});
    std::erase(bound->second, number);
    if (bound->second.empty()) bound_.erase(bound);
    for (const std::uint32_t socket : listener.backlog) {
        reset(sockets_[socket].peer);
        release(sockets_[socket]);
    }
    listener.backlog.clear();
}

// Connecting.

void SimNetwork::connect(NodeId node, const Endpoint& to, SimFlight flight) {
    const std::uint32_t number = attempts_made_++;
    Attempt& attempt = attempts_[number];
    attempt.from = node;
    attempt.to = to;
    attempt.flight = flight;
    const auto owner = addresses_.find({to.v6, to.address});
    if (to.loopback()) {
        attempt.target = node;
    } else if (owner != addresses_.end()) {
        attempt.target = owner->second;
    }
    const Duration delay = line(node, attempt.target).draw_delay();
    schedule(SimEventKind::arrive, world_.now() + delay, number);
}

void SimNetwork::cancel_connect(SimFlight flight) {
    for (auto& [number, attempt] : attempts_) {
        if (attempt.flight == flight) attempt.flight = SimFlight{};
    }
}

std::uint32_t SimNetwork::add_socket(NodeId node, NodeId peer) {
    const auto number = static_cast<std::uint32_t>(sockets_.size());
    Socket& socket = sockets_.emplace_back();
    socket.node = node;
    socket.line = &line(peer, node);
    Prng& prng = socket.line->shapes;
    socket.window_bytes =
        static_cast<std::size_t>(prng.between(knobs_.window_bytes_min, knobs_.window_bytes_max));
    const Latency segment{Duration(1), Duration(knobs_.segment_bytes_max)};
    socket.segment_bytes_max = static_cast<std::uint32_t>(segment.draw(prng).count());
    ++open_sockets_;
    return number;
}

/// As a kernel does that hears nothing. What was asked for in vain is forgotten.
void SimNetwork::try_again(std::uint32_t number, Attempt& attempt, SimEventKind kind) {
    ++counters_.repeated_attempts;
    const Duration wait = connect_retry * (1 << attempt.tries);
    if (++attempt.tries > connect_tries_max) {
        attempt.error = -ETIMEDOUT;
        kind = SimEventKind::answer;
    }
    schedule(kind, world_.now() + wait, number);
}

void SimNetwork::join(std::uint32_t number, Attempt& attempt, Listener& listener) {
    if (listener.backlog.size() >= knobs_.backlog_max)
        return try_again(number, attempt, SimEventKind::arrive);
    const std::uint32_t near = add_socket(attempt.from, attempt.target);
    const std::uint32_t far = add_socket(attempt.target, attempt.from);
    sockets_[near].peer = far;
    sockets_[far].peer = near;
    attempt.socket = near;
    ++counters_.connections;
    listener.backlog.push_back(far);
    tell(listener.acceptor);
    const Duration delay = sockets_[near].line->draw_delay();
    schedule(SimEventKind::answer, world_.now() + delay, number);
}

void SimNetwork::on_arrive(std::uint32_t number) {
    Attempt& attempt = attempts_.at(number);
    if (attempt.tries > 0 && world_.live_fds(attempt.from, attempt.flight) == nullptr) {
        attempts_.erase(number);  // nobody asks any more
        return;
    }
    SimLine& there = line(attempt.from, attempt.target);
    SimLine& back = line(attempt.target, attempt.from);
    const bool lost = there.stops() || back.stops() || off_.contains(attempt.target);
    if (lost || odds(there.lost_syns, knobs_.lost_syn_per_million))
        return try_again(number, attempt, SimEventKind::arrive);
    const std::uint32_t found = find_listener(attempt.target, attempt.to);
    const bool refused = there.cut == SimCut::reset || back.cut == SimCut::reset;
    if (attempt.target == NodeId(0)) {
        attempt.error = -EHOSTUNREACH;
    } else if (refused || found == no_socket) {
        attempt.error = -ECONNREFUSED;
    } else {
        return join(number, attempt, listeners_[found]);
    }
    schedule(SimEventKind::answer, world_.now() + back.draw_delay(), number);
}

void SimNetwork::on_answer(std::uint32_t number) {
    Attempt& attempt = attempts_.at(number);
    SimFds* fds = world_.live_fds(attempt.from, attempt.flight);
    const bool arrives = attempt.error == -ETIMEDOUT || !line(attempt.target, attempt.from).stops();
    if (fds != nullptr && !arrives) return try_again(number, attempt, SimEventKind::answer);
    std::int32_t result = attempt.error;
    if (fds != nullptr && result == 0) {
        SimFd fd;
        fd.kind = SimFd::Kind::socket;
        fd.number = attempt.socket;
        result = fds->add(std::move(fd));
    } else if (attempt.socket != no_socket) {
        close_socket(attempt.socket);  // the one who asked is gone, or has given up
    }
    const SimFlight flight = attempt.flight;
    attempts_.erase(number);
    if (fds != nullptr) world_.flight_done(flight, result);
}

// Events and crashes.

void SimNetwork::handle(const SimEvent& event) {
    const std::uint32_t number = event.number;
    const bool of_attempt =
        event.kind == SimEventKind::arrive || event.kind == SimEventKind::answer;
    const NodeId node = of_attempt ? attempts_.at(number).from : sockets_[number].node;
    world_.trace(node, CoreId(0), trace_network + static_cast<std::uint64_t>(event.kind), number,
                 event.bytes);
    switch (event.kind) {
        case SimEventKind::arrive: return on_arrive(number);
        case SimEventKind::answer: return on_answer(number);
        case SimEventKind::segment: return on_segment(number, event.bytes);
        case SimEventKind::reset: return on_reset(number, event.bytes != 0);
        case SimEventKind::window: return tell(sockets_[number].sender);
        case SimEventKind::fin: return on_fin(number);
        case SimEventKind::look:
        case SimEventKind::effect:
        case SimEventKind::cancel:
        case SimEventKind::callback:
        case SimEventKind::doorbell: break;
    }
    KV_UNREACHABLE("not an event of the network");
}

void SimNetwork::crash(NodeId node, Crash kind) {
    for (std::uint32_t i = 0; i < listeners_.size(); ++i) {
        if (listeners_[i].node == node) close_listener(i);
    }
    for (auto& [number, attempt] : attempts_) {
        if (attempt.from == node) attempt.flight = SimFlight{};
    }
    Prng& own = line(node, node).breaks;
    const bool silent = kind != Crash::process && odds(own, knobs_.silent_power_per_million);
    if (silent) off_.insert(node);
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        Socket& socket = sockets_[i];
        if (socket.node != node || socket.closed) continue;
        if (kind == Crash::process) {
            end(i, socket.arrived > 0 || peer_of(socket).line->breaks.below(2) == 0);
        } else {
            lose_power(i, silent);
        }
    }
}

void SimNetwork::lose_power(std::uint32_t number, bool silent) {
    Socket& socket = sockets_[number];
    Socket& peer = peer_of(socket);
    Prng& prng = peer.line->breaks;
    const std::size_t in_transit = peer.unread() - peer.arrived;
    peer.in.resize(peer.in.size() - static_cast<std::size_t>(prng.below(in_transit + 1)));
    const Duration until_reset = knobs_.reset_after_power.draw(prng);
    if (!silent) schedule(SimEventKind::reset, world_.now() + until_reset, socket.peer);
    release(socket);
}

void SimNetwork::boot(NodeId node) {
    if (off_.erase(node) == 0) return;
    // What was sent into the void is sent again, and answered by a reset.
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        Socket& socket = sockets_[i];
        if (socket.node == node && socket.held > 0 && !socket.stopped())
            go_on(i, knobs_.retransmit.draw(socket.line->mends));
    }
}

}  // namespace kv::io
