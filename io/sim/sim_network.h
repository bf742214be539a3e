#pragma once

/// The simulated network: byte streams between the addresses of machines.
///
/// Model. A connection attempt travels one way, finds a listener or not, and its outcome travels
/// back; the accepting side sees the connection when it accepts. Where nothing answers, or the
/// backlog is full, it is repeated after 1 s, 2 s, 4 s ... and fails after two minutes. Bytes of
/// one direction arrive in order, cut into segments of any size, each with its own delay. A
/// direction holds at most a window of bytes that are in transit or unread: send takes what fits,
/// and waits when nothing does. close() ends both halves: the peer still gets everything sent, then
/// the end of the stream; what it sends afterwards comes back as a reset. A close with unread bytes
/// resets at once. A reset destroys what had arrived but was not read. Bytes of a connection that
/// was closed may arrive long after those of the next one.
///
/// When a process dies its kernel closes its connections (end or reset, by chance); when a machine
/// loses power, bytes in transit from it are cut anywhere and peers learn by a reset later, or, if
/// it is a silent one, only when they send something after it has come back. Listeners go at once.
///
/// Cuts. Each direction between two nodes may be cut (SimCut, io/sim/sim_partition.h). In a clog or
/// a blackhole nothing arrives: no bytes, ends, resets or attempts; and since acknowledgements do
/// not arrive either, the other direction stalls, too, when its window is full. When the cut ends,
/// a connection that has lost bytes or its end goes on, by repetition; after a blackhole it may
/// also break or be silent for good, as knobs say. A lost reset is not repeated: a peer may be half
/// open until it sends something. A connection may also fall silent without a cut.
///
/// The link table has one row per ordered pair of nodes.

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "io/endpoint.h"
#include "io/sim/sim_event.h"
#include "io/sim/sim_fds.h"
#include "io/sim/sim_knobs.h"
#include "io/sim/sim_link.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace kv::io {

class SimWorld;

class SimNetwork {
public:
    SimNetwork(SimWorld& world, std::uint64_t seed, const SimNetworkKnobs& knobs);

    SimNetworkKnobs& knobs() noexcept { return knobs_; }
    /// Made on first use from the knobs.
    SimLink& link(NodeId from, NodeId to) { return line(from, to).link; }
    void add_address(NodeId node, const Endpoint& address);

    /// Cuts all of `pairs`; the result names the cut. Cuts may overlap.
    std::uint32_t cut(SimPairs pairs, SimCut kind = SimCut::blackhole);
    /// Ends that cut, if it has not ended yet.
    void mend(std::uint32_t cut);
    /// Ends all cuts.
    void heal();
    /// Nothing cuts this direction.
    bool flows(NodeId from, NodeId to) { return line(from, to).cut == SimCut::none; }
    /// So far, also those that were mended.
    std::uint32_t cuts_made() const noexcept { return cuts_made_; }

    /// Breaks every connection between the two.
    void reset_connections(NodeId a, NodeId b);
    /// Ends the direction from `from` of every connection to `to`, as shutdown() does: `to` gets
    /// what was sent, then the end; the other direction goes on. For tests; nothing may be sent
    /// afterwards.
    void end_sending(NodeId from, NodeId to);
    /// Damages one bit of what `from` sends to `to`, in the byte behind the next `bytes`: what
    /// checksums of a real network would let through once in a long while. For tests.
    void flip_bit(NodeId from, NodeId to, std::uint64_t bytes) { line(from, to).flip_in = bytes; }
    std::size_t open_sockets() const noexcept { return open_sockets_; }

    /// What has happened so far.
    struct Counters {
        std::uint64_t connections = 0;
        std::uint64_t repeated_attempts = 0;
        std::uint64_t resets = 0;   ///< connections that broke, each end for itself
        std::uint64_t stopped = 0;  ///< segments and ends that a cut or a hole has swallowed
        std::uint64_t went_on = 0;  ///< directions that did after a cut
        std::uint64_t broken = 0;   ///< connections that did not
        std::uint64_t fell_silent = 0;
    };
    const Counters& counters() const noexcept { return counters_; }

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
    /// A process starts on `node`: its kernel answers again.
    void boot(NodeId node);

private:
    static constexpr std::uint32_t no_socket = ~std::uint32_t{0};

    struct Socket {
        NodeId node;
        std::uint32_t peer = no_socket;
        // The direction towards this socket.
        SimLine* line = nullptr;
        std::vector<std::byte> in;  ///< sent to it and not read, from `in_start`
        std::size_t in_start = 0;
        std::size_t arrived = 0;   ///< so many of them can be read
        std::size_t held = 0;      ///< so many did not get here and will be sent again
        std::size_t withheld = 0;  ///< read, but the peer does not know
        std::size_t window_bytes = 0;
        Instant last_arrival{};
        std::uint32_t segment_bytes_max = 0;
        bool held_fin = false;
        bool fin = false;
        bool sent_fin = false;
        bool broken = false;
        bool closed = false;
        bool silent = false;  ///< for good
        SimFlight receiver;
        SimFlight sender;

        std::size_t unread() const noexcept { return in.size() - in_start; }
        bool at_end() const noexcept { return fin && unread() == 0; }
        std::size_t room() const noexcept {
            const std::size_t used = unread() + withheld;
            return window_bytes > used ? window_bytes - used : 0;
        }
        /// Nothing that is sent to it gets here now.
        bool stopped() const noexcept { return silent || line->stops(); }
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
        NodeId target;  ///< 0: nobody has the address
        Endpoint to;
        SimFlight flight;
        std::uint32_t socket = no_socket;  ///< the asking side's, once there is one
        std::int32_t error = 0;
        std::uint32_t tries = 0;
    };
    struct Cut {
        SimPairs pairs;
        SimCut kind;
    };

    SimLine& line(NodeId from, NodeId to);
    Socket& peer_of(const Socket& socket) noexcept { return sockets_[socket.peer]; }
    std::uint32_t find_listener(NodeId node, const Endpoint& endpoint) const noexcept;
    std::uint16_t free_port(NodeId node);
    void schedule(SimEventKind kind, Instant at, std::uint32_t number, std::uint64_t bytes = 0);
    void tell(SimFlight& flight);

    // Connecting.
    std::uint32_t add_socket(NodeId node, NodeId peer);
    void try_again(std::uint32_t number, Attempt& attempt, SimEventKind kind);
    void join(std::uint32_t number, Attempt& attempt, Listener& listener);
    void on_arrive(std::uint32_t number);
    void on_answer(std::uint32_t number);

    // Streams.
    Instant in_order(Socket& to, std::size_t bytes);
    void hand_over(std::uint32_t number, std::size_t bytes);
    void reset(std::uint32_t socket);
    void break_connection(std::uint32_t socket);
    void silence(Socket& socket);
    void on_segment(std::uint32_t number, std::uint64_t bytes);
    void on_fin(std::uint32_t number);
    void on_reset(std::uint32_t number, bool forced);
    void end(std::uint32_t number, bool by_reset);
    void release(Socket& socket);

    // Cuts.
    void recut(const SimPairs& pairs);
    void let_go(SimLine& line, SimCut ended);
    void go_on(std::uint32_t socket, Duration after);
    void lose_power(std::uint32_t socket, bool silent);

    SimWorld& world_;
    std::uint64_t seed_;
    SimNetworkKnobs knobs_;
    std::map<SimPair, SimLine> lines_;
    std::map<std::pair<bool, std::array<std::uint8_t, 16>>, NodeId> addresses_;
    std::map<NodeId, std::uint16_t> next_port_;
    std::set<NodeId> off_;  ///< lost power without anybody being told, and did not start again
    // Never reused: an event may still name a socket that is closed.
    std::deque<Socket> sockets_;
    std::deque<Listener> listeners_;
    std::map<std::uint32_t, Attempt> attempts_;
    std::uint32_t attempts_made_ = 0;
    std::map<std::pair<NodeId, std::uint16_t>, std::vector<std::uint32_t>> bound_;
    std::map<std::uint32_t, Cut> cuts_;
    std::uint32_t cuts_made_ = 0;
    std::size_t open_sockets_ = 0;
    Counters counters_;
};

}  // namespace kv::io
