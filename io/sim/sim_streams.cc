/// The simulated network's connections: how bytes, ends and resets travel.

#include <algorithm>
#include <cerrno>

#include "io/sim/sim_network.h"
#include "io/sim/sim_world.h"

namespace kv::io {

/// When what is sent now will be there: behind everything sent before it.
Instant SimNetwork::in_order(Socket& to, std::size_t bytes) {
    to.last_arrival = std::max(to.last_arrival, to.line->arrival(world_.now(), bytes));
    return to.last_arrival;
}

std::int32_t SimNetwork::send(std::uint32_t number, Bytes bytes, SimFlight flight) {
    Socket& from = sockets_[number];
    if (from.broken) return -EPIPE;
    Socket& to = peer_of(from);
    Prng& shapes = to.line->shapes;
    if (odds(shapes, knobs_.interrupted_per_million))
        return shapes.below(2) == 0 ? -EINTR : -EAGAIN;
    if (to.line->cut == SimCut::reset || odds(to.line->resets, knobs_.reset_per_million)) {
        reset(from.peer);
        on_reset(number, true);
        return -ECONNRESET;
    }
    if (odds(to.line->holes, knobs_.blackhole_per_million)) silence(from);
    if (to.room() == 0) {
        from.sender = flight;
        return 0;
    }
    std::size_t taken = std::min(bytes.size(), to.room());
    if (taken > 1 && odds(shapes, knobs_.short_per_million))
        taken = static_cast<std::size_t>(shapes.between(1, taken - 1));
    if (to.in_start > 0 && to.in_start >= to.unread()) {
        to.in.erase(to.in.begin(), to.in.begin() + static_cast<std::ptrdiff_t>(to.in_start));
        to.in_start = 0;
    }
    if (to.closed) {
        to.withheld += taken;  // nobody will make room for more
    } else {
        to.in.insert(to.in.end(), bytes.begin(),
                     bytes.begin() + static_cast<std::ptrdiff_t>(taken));
        if (std::optional<std::uint64_t>& flip = to.line->flip_in) {
            if (*flip < taken) to.in[to.in.size() - taken + *flip] ^= std::byte{1};
            flip = *flip < taken ? std::nullopt : std::optional(*flip - taken);
        }
    }
    hand_over(from.peer, taken);
    return static_cast<std::int32_t>(taken);
}

/// Cuts `bytes` on their way to the socket `number` into segments.
void SimNetwork::hand_over(std::uint32_t number, std::size_t bytes) {
    Socket& to = sockets_[number];
    for (std::uint32_t i = 1; bytes > 0; ++i) {
        const std::size_t segment =
            i >= knobs_.segments_max
                ? bytes
                : std::min(bytes, static_cast<std::size_t>(
                                      to.line->shapes.between(1, to.segment_bytes_max)));
        schedule(SimEventKind::segment, in_order(to, segment), number, segment);
        bytes -= segment;
    }
}

void SimNetwork::stop_sending(std::uint32_t socket) {
    sockets_[socket].sender = SimFlight{};
}

std::int32_t SimNetwork::end_sending(std::uint32_t number) {
    Socket& socket = sockets_[number];
    if (socket.broken) return -ENOTCONN;
    if (!socket.sent_fin) schedule(SimEventKind::fin, in_order(peer_of(socket), 0), socket.peer);
    socket.sent_fin = true;
    return 0;
}

bool SimNetwork::has_news(std::uint32_t number) const noexcept {
    const Socket& socket = sockets_[number];
    return socket.arrived > 0 || socket.at_end() || socket.broken;
}

std::int32_t SimNetwork::receive(std::uint32_t number, MutableBytes to, SimFlight flight) {
    Socket& socket = sockets_[number];
    if (socket.broken) return -ECONNRESET;
    if (socket.arrived == 0) {
        if (socket.at_end()) return 0;
        KV_ASSERT(!socket.receiver.exists() || socket.receiver == flight, "one receive at a time");
        socket.receiver = flight;
        return -EAGAIN;
    }
    std::size_t bytes = std::min(to.size(), socket.arrived);
    Prng& shapes = socket.line->shapes;
    if (bytes > 1 && odds(shapes, knobs_.short_per_million))
        bytes = static_cast<std::size_t>(shapes.between(1, bytes - 1));
    std::memcpy(to.data(), socket.in.data() + socket.in_start, bytes);
    socket.in_start += bytes;
    socket.arrived -= bytes;
    Socket& peer = peer_of(socket);
    if (peer.stopped()) {
        socket.withheld += bytes;
    } else if (peer.sender.exists()) {
        schedule(SimEventKind::window, world_.now() + peer.line->draw_delay(), socket.peer);
    }
    return static_cast<std::int32_t>(bytes);
}

void SimNetwork::stop_receiving(std::uint32_t socket) {
    sockets_[socket].receiver = SimFlight{};
}

void SimNetwork::on_segment(std::uint32_t number, std::uint64_t bytes) {
    Socket& socket = sockets_[number];
    if (socket.stopped() || (socket.closed && off_.contains(socket.node))) {
        ++counters_.stopped;
        socket.held += static_cast<std::size_t>(bytes);
        return;
    }
    if (socket.closed) return reset(socket.peer);
    if (socket.broken) return;
    // Bytes cut off by a power loss never come.
    socket.arrived += std::min(static_cast<std::size_t>(bytes), socket.unread() - socket.arrived);
    tell(socket.receiver);
}

void SimNetwork::on_fin(std::uint32_t number) {
    Socket& socket = sockets_[number];
    if (socket.stopped()) {
        ++counters_.stopped;
        socket.held_fin = true;
        return;
    }
    socket.fin = true;
    tell(socket.receiver);
}

/// Sends a reset to `number`.
void SimNetwork::reset(std::uint32_t number) {
    Socket& socket = sockets_[number];
    schedule(SimEventKind::reset, world_.now() + socket.line->draw_delay(), number);
}

/// Both ends are told, whatever lies between them.
void SimNetwork::break_connection(std::uint32_t number) {
    for (const std::uint32_t end : {number, sockets_[number].peer}) {
        SimLine& line = *sockets_[end].line;
        const Duration delay = line.link.delay.draw(line.breaks);
        schedule(SimEventKind::reset, world_.now() + delay, end, 1);
    }
}

void SimNetwork::on_reset(std::uint32_t number, bool forced) {
    Socket& socket = sockets_[number];
    if (socket.closed || socket.broken) return;
    if (socket.stopped() && !forced) return;
    ++counters_.resets;
    socket.broken = true;
    socket.in.clear();
    socket.in_start = socket.arrived = socket.held = 0;
    tell(socket.receiver);
    tell(socket.sender);
}

void SimNetwork::silence(Socket& socket) {
    if (socket.silent) return;
    ++counters_.fell_silent;
    socket.silent = peer_of(socket).silent = true;
}

void SimNetwork::release(Socket& socket) {
    if (socket.closed) return;
    socket.closed = true;
    socket.in = {};
    socket.in_start = socket.arrived = socket.withheld = 0;
    socket.receiver = socket.sender = SimFlight{};
    --open_sockets_;
}

void SimNetwork::close_socket(std::uint32_t number) {
    end(number, sockets_[number].arrived > 0);
}

void SimNetwork::end(std::uint32_t number, bool by_reset) {
    Socket& socket = sockets_[number];
    if (socket.closed) return;
    Socket& peer = peer_of(socket);
    // A sender at the other end that waits for room must learn that none will come: it sends into
    // the closed socket and meets the reset.
    if (peer.sender.exists() && !peer.stopped())
        schedule(SimEventKind::window, world_.now() + peer.line->draw_delay(), socket.peer);
    if (!socket.broken) {
        if (by_reset) {
            reset(socket.peer);
        } else if (!socket.sent_fin) {
            schedule(SimEventKind::fin, in_order(peer, 0), socket.peer);
        }
    }
    release(socket);
}

void SimNetwork::reset_connections(NodeId a, NodeId b) {
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        const Socket& socket = sockets_[i];
        if (!socket.closed && socket.node == a && peer_of(socket).node == b) break_connection(i);
    }
}

void SimNetwork::end_sending(NodeId from, NodeId to) {
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        const Socket& socket = sockets_[i];
        const bool open = !socket.closed && !socket.broken && socket.node == from;
        if (open && peer_of(socket).node == to) end_sending(i);
    }
}

}  // namespace kv::io
