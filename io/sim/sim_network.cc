#include "io/sim/sim_network.h"

#include <algorithm>
#include <cerrno>

#include "io/sim/sim_world.h"

namespace kv::io {

namespace {

constexpr std::uint32_t connect_tries_max = 5;
constexpr Duration connect_retry = 1s;
constexpr std::uint16_t first_free_port = 20'000;

bool any_address(const Endpoint& endpoint) noexcept {
    return std::all_of(endpoint.address.begin(), endpoint.address.end(),
                       [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

SimNetwork::SimNetwork(SimWorld& world, std::uint64_t seed, const SimNetworkKnobs& knobs)
    : world_(world), knobs_(knobs), prng_(Prng::split(seed, "network")) {}

SimLink& SimNetwork::link(NodeId from, NodeId to) {
    return links_.try_emplace({from, to}, SimLink{knobs_.delay}).first->second;
}

Duration SimNetwork::delay(NodeId from, NodeId to) {
    return link(from, to).delay.draw(prng_);
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

// Listening and connecting.

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

void SimNetwork::connect(NodeId node, const Endpoint& to, SimFlight flight) {
    const auto number = static_cast<std::uint32_t>(attempts_.size());
    Attempt& attempt = attempts_.emplace_back();
    attempt.from = node;
    attempt.to = to;
    attempt.flight = flight;
    const auto owner = addresses_.find({to.v6, to.address});
    const NodeId target = to.loopback()               ? node
                          : owner == addresses_.end() ? NodeId(0)
                                                      : owner->second;
    schedule(SimEventKind::arrive, world_.now() + delay(node, target), number);
}

void SimNetwork::cancel_connect(SimFlight flight) {
    for (Attempt& attempt : attempts_) {
        if (attempt.flight == flight) attempt.flight = SimFlight{};
    }
}

std::uint32_t SimNetwork::add_socket(NodeId node) {
    const auto number = static_cast<std::uint32_t>(sockets_.size());
    Socket& socket = sockets_.emplace_back();
    socket.node = node;
    socket.window_bytes =
        static_cast<std::size_t>(prng_.between(knobs_.window_bytes_min, knobs_.window_bytes_max));
    const Latency segment{Duration(1), Duration(knobs_.segment_bytes_max)};
    socket.segment_bytes_max = static_cast<std::uint32_t>(segment.draw(prng_).count());
    ++open_sockets_;
    return number;
}

void SimNetwork::on_arrive(std::uint32_t number) {
    Attempt& attempt = attempts_[number];
    const auto owner = addresses_.find({attempt.to.v6, attempt.to.address});
    NodeId target = attempt.from;
    if (!attempt.to.loopback()) {
        if (owner == addresses_.end()) attempt.error = -EHOSTUNREACH;
        if (owner != addresses_.end()) target = owner->second;
    }
    const std::uint32_t found = find_listener(target, attempt.to);
    if (attempt.error == 0 && found == no_socket) attempt.error = -ECONNREFUSED;
    if (attempt.error == 0) {
        Listener& listener = listeners_[found];
        if (listener.backlog.size() >= knobs_.backlog_max) {
            if (++attempt.tries < connect_tries_max) {
                schedule(SimEventKind::arrive, world_.now() + connect_retry, number);
                return;
            }
            attempt.error = -ETIMEDOUT;
        } else {
            const std::uint32_t near = add_socket(attempt.from);
            const std::uint32_t far = add_socket(target);
            sockets_[near].peer = far;
            sockets_[far].peer = near;
            attempt.socket = near;
            listener.backlog.push_back(far);
            tell(listener.acceptor);
        }
    }
    schedule(SimEventKind::answer, world_.now() + delay(target, attempt.from), number);
}

void SimNetwork::on_answer(std::uint32_t number) {
    Attempt& attempt = attempts_[number];
    SimFds* fds = world_.live_fds(attempt.from, attempt.flight);
    if (fds == nullptr) {  // the one who asked is gone, or has changed its mind
        if (attempt.socket != no_socket) close_socket(attempt.socket);
        return;
    }
    std::int32_t result = attempt.error;
    if (result == 0) {
        SimFd fd;
        fd.kind = SimFd::Kind::socket;
        fd.number = attempt.socket;
        result = fds->add(std::move(fd));
    }
    world_.flight_done(std::exchange(attempt.flight, SimFlight{}), result);
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
    std::erase(bound_[{listener.node, listener.endpoint.port}], number);
    if (bound_[{listener.node, listener.endpoint.port}].empty())
        bound_.erase({listener.node, listener.endpoint.port});
    for (const std::uint32_t socket : listener.backlog) {
        reset(sockets_[socket].peer, delay(listener.node, sockets_[sockets_[socket].peer].node));
        release(sockets_[socket]);
    }
    listener.backlog.clear();
}

// Streams.

Instant SimNetwork::in_order(std::uint32_t number) {
    Socket& to = sockets_[number];
    const Instant at = world_.now() + delay(sockets_[to.peer].node, to.node);
    to.last_arrival = std::max(to.last_arrival, at);
    return to.last_arrival;
}

std::int32_t SimNetwork::send(std::uint32_t number, Bytes bytes, SimFlight flight) {
    Socket& from = sockets_[number];
    if (from.broken) return -EPIPE;
    if (odds(prng_, knobs_.interrupted_per_million)) return prng_.below(2) == 0 ? -EINTR : -EAGAIN;
    if (odds(prng_, knobs_.reset_per_million)) {
        reset(from.peer, delay(from.node, sockets_[from.peer].node));
        on_reset(number);
        return -ECONNRESET;
    }
    Socket& to = sockets_[from.peer];
    const std::size_t room = to.window_bytes > to.unread() ? to.window_bytes - to.unread() : 0;
    if (room == 0) {
        from.sender = flight;
        return 0;
    }
    std::size_t taken = std::min(bytes.size(), room);
    if (taken > 1 && odds(prng_, knobs_.short_per_million))
        taken = static_cast<std::size_t>(prng_.between(1, taken - 1));
    if (to.in_start > 0 && to.in_start >= to.unread()) {
        to.in.erase(to.in.begin(), to.in.begin() + static_cast<std::ptrdiff_t>(to.in_start));
        to.in_start = 0;
    }
    if (!to.closed) {
        to.in.insert(to.in.end(), bytes.begin(),
                     bytes.begin() + static_cast<std::ptrdiff_t>(taken));
    }
    std::size_t left = taken;
    for (std::uint32_t i = 1; left > 0; ++i) {
        const std::size_t segment =
            i >= knobs_.segments_max
                ? left
                : std::min(left, static_cast<std::size_t>(prng_.between(1, to.segment_bytes_max)));
        schedule(SimEventKind::segment, in_order(from.peer), from.peer, segment);
        left -= segment;
    }
    return static_cast<std::int32_t>(taken);
}

void SimNetwork::stop_sending(std::uint32_t socket) {
    sockets_[socket].sender = SimFlight{};
}

std::int32_t SimNetwork::end_sending(std::uint32_t number) {
    Socket& socket = sockets_[number];
    if (socket.broken) return -ENOTCONN;
    if (!socket.sent_fin) schedule(SimEventKind::fin, in_order(socket.peer), socket.peer);
    socket.sent_fin = true;
    return 0;
}

bool SimNetwork::has_news(std::uint32_t number) const noexcept {
    const Socket& socket = sockets_[number];
    return socket.arrived > 0 || socket.fin || socket.broken;
}

std::int32_t SimNetwork::receive(std::uint32_t number, MutableBytes to, SimFlight flight) {
    Socket& socket = sockets_[number];
    if (socket.broken) return -ECONNRESET;
    if (socket.arrived == 0) {
        if (socket.fin) return 0;
        KV_ASSERT(!socket.receiver.exists() || socket.receiver == flight, "one receive at a time");
        socket.receiver = flight;
        return -EAGAIN;
    }
    std::size_t bytes = std::min(to.size(), socket.arrived);
    if (bytes > 1 && odds(prng_, knobs_.short_per_million))
        bytes = static_cast<std::size_t>(prng_.between(1, bytes - 1));
    std::memcpy(to.data(), socket.in.data() + socket.in_start, bytes);
    socket.in_start += bytes;
    socket.arrived -= bytes;
    const Socket& peer = sockets_[socket.peer];
    if (peer.sender.exists())
        schedule(SimEventKind::window, world_.now() + delay(socket.node, peer.node), socket.peer);
    return static_cast<std::int32_t>(bytes);
}

void SimNetwork::stop_receiving(std::uint32_t socket) {
    sockets_[socket].receiver = SimFlight{};
}

void SimNetwork::on_segment(std::uint32_t number, std::uint64_t bytes) {
    Socket& socket = sockets_[number];
    if (socket.closed) {
        reset(socket.peer, delay(socket.node, sockets_[socket.peer].node));
        return;
    }
    if (socket.broken) return;
    // Bytes cut off by a power loss never come.
    socket.arrived += std::min(static_cast<std::size_t>(bytes), socket.unread() - socket.arrived);
    tell(socket.receiver);
}

void SimNetwork::reset(std::uint32_t number, Duration after) {
    schedule(SimEventKind::reset, world_.now() + after, number);
}

void SimNetwork::on_reset(std::uint32_t number) {
    Socket& socket = sockets_[number];
    if (socket.closed || socket.broken) return;
    socket.broken = true;
    socket.in.clear();
    socket.in_start = socket.arrived = 0;
    tell(socket.receiver);
    tell(socket.sender);
}

void SimNetwork::release(Socket& socket) {
    if (socket.closed) return;
    socket.closed = true;
    socket.in = {};
    socket.in_start = socket.arrived = 0;
    socket.receiver = socket.sender = SimFlight{};
    --open_sockets_;
}

void SimNetwork::close_socket(std::uint32_t number) {
    end(number, sockets_[number].arrived > 0);
}

void SimNetwork::end(std::uint32_t number, bool by_reset) {
    Socket& socket = sockets_[number];
    if (socket.closed) return;
    // A sender at the other end that waits for room must learn that none will come: it sends into
    // the closed socket and meets the reset.
    if (sockets_[socket.peer].sender.exists())
        schedule(SimEventKind::window,
                 world_.now() + delay(socket.node, sockets_[socket.peer].node), socket.peer);
    if (!socket.broken) {
        if (by_reset) {
            reset(socket.peer, delay(socket.node, sockets_[socket.peer].node));
        } else if (!socket.sent_fin) {
            schedule(SimEventKind::fin, in_order(socket.peer), socket.peer);
        }
    }
    release(socket);
}

void SimNetwork::handle(const SimEvent& event) {
    switch (event.kind) {
        case SimEventKind::arrive: return on_arrive(event.number);
        case SimEventKind::answer: return on_answer(event.number);
        case SimEventKind::segment: return on_segment(event.number, event.bytes);
        case SimEventKind::reset: return on_reset(event.number);
        case SimEventKind::window: return tell(sockets_[event.number].sender);
        case SimEventKind::fin:
            sockets_[event.number].fin = true;
            return tell(sockets_[event.number].receiver);
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
    for (Attempt& attempt : attempts_) {
        if (attempt.from == node) attempt.flight = SimFlight{};
    }
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        Socket& socket = sockets_[i];
        if (socket.node != node || socket.closed) continue;
        if (kind == Crash::process) {
            end(i, socket.arrived > 0 || prng_.below(2) == 0);
            continue;
        }
        Socket& peer = sockets_[socket.peer];
        const std::size_t in_transit = peer.unread() - peer.arrived;
        peer.in.resize(peer.in.size() - static_cast<std::size_t>(prng_.below(in_transit + 1)));
        reset(socket.peer, knobs_.reset_after_power.draw(prng_));
        release(socket);
    }
}

void SimNetwork::reset_connections(NodeId a, NodeId b) {
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        const Socket& socket = sockets_[i];
        if (socket.closed || socket.node != a || sockets_[socket.peer].node != b) continue;
        reset(i, delay(b, a));
        reset(socket.peer, delay(a, b));
    }
}

void SimNetwork::end_sending(NodeId from, NodeId to) {
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        const Socket& socket = sockets_[i];
        const bool open = !socket.closed && !socket.broken && socket.node == from;
        if (open && sockets_[socket.peer].node == to) end_sending(i);
    }
}

}  // namespace kv::io
