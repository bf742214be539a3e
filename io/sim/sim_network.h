#pragma once

/// The simulated network: byte streams between the addresses of machines.
///
/// Model. A connection attempt travels one way, finds a listener or not, and its outcome travels
/// back; the accepting side sees the connection when it accepts. Bytes of one direction arrive in
/// order, cut into segments of any size, each with its own delay. A direction holds at most a
/// window of bytes that are in transit or unread: send takes what fits, and waits when nothing
/// does. close() ends both halves: the peer still gets everything sent, then the end of the stream;
/// what it sends afterwards comes back as a reset. A close with unread bytes resets at once. A
/// reset destroys what had arrived but was not read. When a process dies its kernel closes its
/// connections (end or reset, by chance); when a machine loses power, bytes in transit from it are
/// cut anywhere and peers learn by a reset later. Listeners go at once.
///
/// The link table has one row per ordered pair of nodes.

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/endpoint.h"
#include "io/sim/sim_event.h"
#include "io/sim/sim_fds.h"
#include "io/sim/sim_knobs.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace kv::io {

class SimWorld;

/// How bytes travel from one node to another.
struct SimLink {
    Latency delay;
};

class SimNetwork {
public:
    SimNetwork(SimWorld& world, std::uint64_t seed, const SimNetworkKnobs& knobs);

    SimNetworkKnobs& knobs() noexcept { return knobs_; }
    /// Made on first use with the delay of the knobs.
    SimLink& link(NodeId from, NodeId to);
    void add_address(NodeId node, const Endpoint& address);
    /// Breaks every connection between the two; for tests.
    void reset_connections(NodeId a, NodeId b);
    /// Ends the direction from `from` of every connection to `to`, as shutdown() does: `to` gets
    /// what was sent, then the end; the other direction goes on. For tests; nothing may be sent
    /// afterwards.
    void end_sending(NodeId from, NodeId to);
    std::size_t open_sockets() const noexcept { return open_sockets_; }

    // For SimBackend. A flight that waits is told through SimWorld::flight_due, and asks again.
    std::int32_t listen(NodeId node, Endpoint& endpoint, SimFds& fds);
    void connect(NodeId node, const Endpoint& to, SimFlight flight);
    void cancel_connect(SimFlight flight);
    /// -EAGAIN: `flight` waits.
    std::int32_t accept(std::uint32_t listener, SimFlight flight, SimFds& fds);
    void stop_accepting(std::uint32_t listener);
    /// -EAGAIN: `flight` waits; 0: the end.
    std::int32_t receive(std::uint32_t socket, MutableBytes to, SimFlight flight);
    void stop_receiving(std::uint32_t socket);
    /// Whether receive() would say something else than -EAGAIN.
    bool has_news(std::uint32_t socket) const noexcept;
    std::int32_t send(std::uint32_t socket, Bytes bytes, SimFlight flight);
    void stop_sending(std::uint32_t socket);
    std::int32_t end_sending(std::uint32_t socket);
    void close_socket(std::uint32_t socket);
    void close_listener(std::uint32_t listener);

    // For SimWorld.
    void handle(const SimEvent& event);
    void crash(NodeId node, Crash kind);

private:
    static constexpr std::uint32_t no_socket = ~std::uint32_t{0};

    struct Socket {
        NodeId node;
        std::uint32_t peer = no_socket;
        // The direction towards this socket.
        std::vector<std::byte> in;  ///< sent to it and not read, from `in_start`
        std::size_t in_start = 0;
        std::size_t arrived = 0;  ///< so many of them can be read
        std::size_t window_bytes = 0;
        Instant last_arrival{};
        std::uint32_t segment_bytes_max = 0;
        bool fin = false;
        bool sent_fin = false;
        bool broken = false;
        bool closed = false;
        SimFlight receiver;
        SimFlight sender;

        std::size_t unread() const noexcept { return in.size() - in_start; }
    };
    struct Listener {
        NodeId node;
        Endpoint endpoint;
        std::deque<std::uint32_t> backlog;  ///< sockets
        SimFlight acceptor;
        bool closed = false;
    };
    struct Attempt {
        NodeId from;
        Endpoint to;
        SimFlight flight;
        std::uint32_t socket = no_socket;  ///< the asking side's, once there is one
        std::int32_t error = 0;
        std::uint32_t tries = 0;
    };

    Duration delay(NodeId from, NodeId to);
    std::uint32_t add_socket(NodeId node);
    std::uint32_t find_listener(NodeId node, const Endpoint& endpoint) const noexcept;
    std::uint16_t free_port(NodeId node);
    void schedule(SimEventKind kind, Instant at, std::uint32_t number, std::uint64_t bytes = 0);
    /// At the end of what travels towards `socket`.
    Instant in_order(std::uint32_t socket);
    void reset(std::uint32_t socket, Duration after);
    void tell(SimFlight& flight);
    void on_arrive(std::uint32_t number);
    void on_answer(std::uint32_t number);
    void on_segment(std::uint32_t number, std::uint64_t bytes);
    void on_reset(std::uint32_t number);
    void end(std::uint32_t number, bool by_reset);
    void release(Socket& socket);

    SimWorld& world_;
    SimNetworkKnobs knobs_;
    Prng prng_;
    std::map<std::pair<NodeId, NodeId>, SimLink> links_;
    std::map<std::pair<bool, std::array<std::uint8_t, 16>>, NodeId> addresses_;
    std::map<NodeId, std::uint16_t> next_port_;
    // Never reused: an event may still name a socket that is closed.
    std::deque<Socket> sockets_;
    std::deque<Listener> listeners_;
    std::deque<Attempt> attempts_;
    std::map<std::pair<NodeId, std::uint16_t>, std::vector<std::uint32_t>> bound_;
    std::size_t open_sockets_ = 0;
};

}  // namespace kv::io
