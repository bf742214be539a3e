#pragma once

/// PeerAcceptor: the listener of a node for other nodes, apart from that for clients. It reads and
/// judges the handshake, before any byte of Raft; who is refused gets a sentence, who is accepted
/// is handed to the core `sender's core % cores` of this node, where a Transport answers. Nothing
/// is expected from a peer between its question and the answer. Owner core only.

#include <memory>
#include <vector>

#include "consensus/drive/transport.h"

namespace kv::consensus {

class PeerAcceptor final : private io::Listener::Handler {
public:
    class Taker {
    public:
        /// A connected descriptor of an accepted peer: for Transport::adopt() on `core`, or for
        /// whoever receives snapshots there (`theirs.purpose`).
        virtual void take(std::int32_t fd, const Handshake& theirs, CoreId core) noexcept = 0;

    protected:
        ~Taker() = default;
    };

    /// Handshakes that are under way at a time; beyond, connections are closed at once.
    static constexpr std::size_t pending_max = 256;

    PeerAcceptor(io::Reactor& reactor, PeerBook& book, Taker& taker, LinkLimits limits = {});
    PeerAcceptor(const PeerAcceptor&) = delete;
    ~PeerAcceptor();

    /// Errors: `io` with the reason.
    io::Task<Result<io::Endpoint>> listen(io::Endpoint endpoint);
    io::Task<void> stop();
    std::size_t pending() const noexcept { return pending_.size(); }

    struct Counters {
        std::uint64_t accepted = 0;   ///< handed to a core
        std::uint64_t refused = 0;    ///< with a sentence
        std::uint64_t malformed = 0;  ///< no handshake, or none in time
        std::uint64_t crowded = 0;    ///< beyond pending_max
    };
    const Counters& counters() const noexcept { return counters_; }

private:
    static constexpr Duration retry_period = 250ms;
    static constexpr Duration tick_period = 100ms;

    class Greeting;
    struct TickTimer : io::Timer {
        explicit TickTimer(PeerAcceptor& a) noexcept
            : Timer([](io::Timer& timer) noexcept {
                  static_cast<TickTimer&>(timer).acceptor.tick();
              }),
              acceptor(a) {}
        PeerAcceptor& acceptor;
    };
    void on_accepted(std::int32_t fd) noexcept override;
    void on_accept_error(std::int32_t error) noexcept override;
    void on_listener_closed() noexcept override;
    void tick();
    void on_malformed(const std::string& why);
    /// Returns why not.
    std::optional<Refusal> judge_question(const Handshake& theirs, Handshake& own);

    io::Reactor& reactor_;
    PeerBook& book_;
    Taker& taker_;
    const LinkLimits limits_;
    io::Listener listener_;
    std::vector<std::unique_ptr<Greeting>> pending_;
    TickTimer tick_timer_;
    io::Event changed_;
    LogRate malformed_rate_;
    LogRate refusal_rate_;
    Instant accept_again_{};
    bool accept_failed_ = false;
    bool listening_ = false;
    bool closed_ = false;
    bool stopping_ = false;
    Counters counters_;
};

}  // namespace kv::consensus
