#pragma once

/// Transport: what one core says to the other nodes, and hears from them. It moves messages and
/// knows no rule of Raft. Owner core only.
///
/// Each core opens one connection to each peer, whose acceptor (consensus/drive/peer_acceptor.h)
/// gives it to its core `sender's core % cores`. Frames flow both ways: to a peer this core sends
/// on the connection that it opened, and while there is none on one that the peer opened, so that
/// two nodes talk as long as one of them reaches the other. Answers return the same way: a core
/// sends them on its own connection. What arrives is sorted by group: for this core it is decoded
/// in place, for others copied once, into what a mailbox carries (proto/raft/frame.h).
///
/// Everything that is sent in a turn leaves at its end, in one frame and one send for each peer;
/// while a send is under way the next gathers. What waits is bounded; beyond, it is dropped and the
/// handler is told. Raft sends again what matters.

#include <memory>
#include <span>
#include <vector>

#include "consensus/drive/link.h"
#include "consensus/drive/log_rate.h"
#include "io/event.h"
#include "proto/base/prng.h"

namespace kv::consensus {

/// What a node knows of itself and of the others. The engine's; one for each core.
class PeerBook {
public:
    /// State, cluster, node, store, boot, features and digest; the rest is filled in.
    virtual Handshake introduce() noexcept = 0;
    virtual Acquaintance know(NodeId node) noexcept = 0;
    /// A handshake was accepted here, and at the other end if that was asked.
    virtual void on_met(const Handshake& theirs) noexcept = 0;
    /// It was refused: by us, or `by_them`. The number may be one that this version does not know.
    virtual void on_refused(const Handshake& theirs, std::uint16_t verdict,
                            bool by_them) noexcept = 0;

protected:
    ~PeerBook() = default;
};

/// Where what arrives goes. None of these may destroy the transport.
class PeerHandler : public FrameRoutes {
public:
    /// For this core; views the receive buffer, during the call only. Blocks of other cores have
    /// been filled before (FrameRoutes).
    virtual void on_inbox(NodeId peer, const Inbox& inbox) noexcept = 0;
    // At the end of a turn:
    /// Messages may be sent. `boot`: of the peer's data directory.
    virtual void on_connected(NodeId peer, std::uint64_t boot) noexcept = 0;
    /// A connection was lost, with what was on it in either direction. If there is another one,
    /// on_connected() follows at once.
    virtual void on_disconnected(NodeId peer) noexcept = 0;
    /// The peer takes messages too slowly: some were dropped. The connection stays.
    virtual void on_unreachable(NodeId peer) noexcept = 0;

protected:
    ~PeerHandler() = default;
};

struct PeerAddress {
    NodeId node;
    io::Endpoint endpoint;
    bool operator==(const PeerAddress&) const noexcept = default;
};

/// With one peer, over all connections that there were.
struct PeerTraffic {
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
    std::uint64_t messages_dropped = 0;  ///< for want of a connection or of room
};

class Transport final : private Link::Owner, private io::TurnHook {
public:
    /// To be made after the turn hooks that send, so that it sends in the same turn.
    Transport(io::Reactor& reactor, PeerBook& book, PeerHandler& handler, LinkLimits limits = {});
    Transport(const Transport&) = delete;
    /// After stop(), or when the simulator has crashed the process.
    ~Transport();

    /// Whom to connect to. Connections to others are closed; a changed address counts from the next
    /// attempt on.
    void set_peers(std::span<const PeerAddress> peers);
    /// Takes over a connection that the acceptor found in order; the answer is sent here.
    void adopt(std::int32_t fd, const Handshake& theirs);
    io::Task<void> stop();

    /// To `message.to`. False: it was dropped, as all messages are while there is no connection.
    bool send(const Message& message);
    bool send_forward(NodeId peer, const Forward& request);
    bool send_forward_reply(NodeId peer, const Forward& reply);
    /// Which connection carries what is sent to `peer` now: while the number stays, it arrives in
    /// the order in which it was sent.
    std::uint64_t way_to(NodeId peer) const noexcept;
    /// Sends what waits, as the end of the turn does.
    void flush();
    bool connected(NodeId peer) const noexcept;
    PeerTraffic traffic(NodeId peer) const noexcept;

    /// Back-pressure: nothing is read from any peer while the node has no room for more.
    void set_reading(bool on);
    bool reading() const noexcept { return reading_; }
    /// `peer` has said what cannot be read, which another core found out: its connections are
    /// closed, and made again.
    void break_off(NodeId peer);

    struct Counters {
        std::uint64_t connections_opened = 0;  ///< by this side, with a handshake
        std::uint64_t connections_adopted = 0;
        std::uint64_t connections_broken = 0;
        std::uint64_t refusals = 0;
        std::uint64_t messages_dropped = 0;
        std::uint64_t frames_received = 0;
    };
    const Counters& counters() const noexcept { return counters_; }

private:
    static constexpr Duration tick_period = 100ms;
    /// That one node opened and this core adopted: one for each core of the node, which has 256 at
    /// most. Beyond, the oldest is closed.
    static constexpr std::size_t adopted_max = 256;

    struct Peer;
    struct Held {
        Held(Transport& t, std::int32_t fd, Peer* p) noexcept
            : link(t.reactor_, fd, t, t.limits_), peer(p) {}
        Link link;
        Peer* peer;  ///< null: was removed
        CoreId sender_core;
        bool gone = false;
    };
    struct ConnectOp : io::Op {
        explicit ConnectOp(Peer& p) noexcept : Op(&Transport::connected_to), peer(p) {}
        Peer& peer;
    };
    struct RetryTimer : io::Timer {
        explicit RetryTimer(Peer& p) noexcept : Timer(&Transport::retry_due), peer(p) {}
        Peer& peer;
    };
    struct TickTimer : io::Timer {
        explicit TickTimer(Transport& t) noexcept
            : Timer([](io::Timer& timer) noexcept {
                  static_cast<TickTimer&>(timer).transport.tick();
              }),
              transport(t) {}
        Transport& transport;
    };
    /// Another node. Never moves.
    struct Peer {
        Peer(Transport& t, const PeerAddress& a) noexcept
            : transport(t), address(a), connect(*this), retry(*this) {}
        Transport& transport;
        PeerAddress address;
        io::Endpoint connecting_to;
        ConnectOp connect;
        RetryTimer retry;  ///< of the next attempt, or of the end of this one
        Duration backoff{};
        Link* opened = nullptr;  ///< by us; its handshake may be under way
        Link* sender = nullptr;  ///< what messages are queued on
        std::uint64_t way = 0;   ///< counts the changes of `sender`
        PeerTraffic past;        ///< of connections that are gone
        bool told_connected = false;
        bool lost = false;     ///< a connection, in this turn
        bool dropped = false;  ///< messages, in this turn
        bool removed = false;
        LogRate reach_rate;
        LogRate refusal_rate;
        LogRate end_rate;
    };

    static void connected_to(io::Op& op, std::int32_t result, io::Completion) noexcept;
    static void retry_due(io::Timer& timer) noexcept;

    bool on_answer(Link& link, const Handshake& theirs) noexcept override;
    Status on_frame(Link& link, const Frame& frame) noexcept override;
    void on_broken(Link& link, const std::string& why) noexcept override;
    void on_gone(Link& link) noexcept override;
    void at_turn_end() override { flush(); }

    void tick();
    void connect(Peer& peer);
    void retry_later(Peer& peer) noexcept;
    void detach(Held& held) noexcept;
    void make_room_for_one(const Peer& peer);
    void close_links(const Peer& peer);
    void close_earlier_links(const Peer& peer, std::uint64_t boot);
    void choose_sender(Peer& peer) noexcept;
    static void use_sender(Peer& peer, Link* link) noexcept;
    void tell(Peer& peer) noexcept;
    void sweep();
    Held& hold(std::int32_t fd, Peer* peer);
    Held& held(Link& link) noexcept;
    Peer* find(NodeId node) const noexcept;
    Handshake introduce();
    template <typename Add>
    bool queue(NodeId node, Add add);

    io::Reactor& reactor_;
    PeerBook& book_;
    PeerHandler& handler_;
    const LinkLimits limits_;
    Prng jitter_;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::vector<std::unique_ptr<Held>> links_;
    Inbox inbox_;
    TickTimer tick_timer_;
    io::Event changed_;
    NodeId self_;
    bool reading_ = true;
    bool stopping_ = false;
    bool gone_ = false;  ///< some link or peer may be destroyed
    Counters counters_;
};

}  // namespace kv::consensus
