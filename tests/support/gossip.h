#pragma once

/// A program that does nothing but tell others that it lives, and notes when it heard of whom: what
/// a simulated network is tried out with. One object per core. It beats at a fixed period on one
/// connection to each peer; each beat is echoed, and a connection without an echo for a second is
/// given up for a new one.

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "io/reactor.h"
#include "io/socket.h"

namespace kv::io {

class Gossip final : private Listener::Handler {
public:
    struct Peer {
        NodeId node;
        Endpoint endpoint;
    };
    static constexpr Duration patience = 1s;

    Gossip(Reactor& reactor, NodeId self, const Endpoint& own, const std::vector<Peer>& peers,
           Duration period = 50ms);
    /// Its process has been killed by then.
    ~Gossip();

    struct Heard {
        Instant last{};  ///< of this node's clock
        std::uint64_t beats = 0;
        std::uint64_t sequence = 0;  ///< the highest
        std::uint64_t late = 0;      ///< beats behind one that was sent after them
        std::uint64_t echoes = 0;
    };
    const Heard& heard(NodeId node) { return heard_[node]; }
    std::uint64_t connects() const noexcept { return connects_; }
    std::uint64_t given_up() const noexcept { return given_up_; }
    /// Beats that made no sense.
    std::uint64_t garbage() const noexcept { return garbage_; }

private:
    struct Incoming;
    struct Outgoing;
    struct BeatTimer : Timer {
        explicit BeatTimer(Gossip& g) noexcept
            : Timer([](Timer& t) noexcept { static_cast<BeatTimer&>(t).gossip.beat(); }),
              gossip(g) {}
        Gossip& gossip;
    };
    /// Node, sequence, checksum of both.
    using Beat = std::array<std::uint64_t, 3>;

    static Task<void> listen(Gossip* self, Endpoint own);
    void on_accepted(std::int32_t fd) noexcept override;
    void on_accept_error(std::int32_t) noexcept override {}
    void on_listener_closed() noexcept override {}
    void beat();
    void note(const Beat& beat);

    Reactor& reactor_;
    NodeId self_;
    Duration period_;
    Listener listener_;
    BeatTimer timer_;
    std::map<std::uint64_t, std::unique_ptr<Incoming>> incoming_;
    std::vector<std::unique_ptr<Outgoing>> outgoing_;
    std::map<NodeId, Heard> heard_;
    std::uint64_t sequence_ = 0;
    std::uint64_t accepted_ = 0;
    std::uint64_t connects_ = 0;
    std::uint64_t given_up_ = 0;
    std::uint64_t garbage_ = 0;
};

}  // namespace kv::io
