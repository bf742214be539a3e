#pragma once

/// SnapshotLink: a connection of its own that carries one snapshot (proto/raft/snapshot_frame.h),
/// for coroutines: the sender connects, the receiver adopts what the acceptor found in order. What
/// waits is bounded in both directions. Owner core only; one send() or receive() at a time.
///
/// In the handshake `core` is the shard and `cores` how many shards there are: so the acceptor's
/// rule, core % cores of the node, finds the core that has the shard, whatever the sender's is.

#include <deque>
#include <memory>
#include <string>

#include "consensus/drive/transport.h"
#include "proto/raft/snapshot_frame.h"

namespace kv::consensus {

/// Where the others are, and how nodes introduce themselves. The engine's; one for each core.
class SnapshotRoutes {
public:
    virtual PeerBook& book() noexcept = 0;
    /// Nothing: it is not known now.
    virtual std::optional<io::Endpoint> endpoint_of(NodeId node) noexcept = 0;

protected:
    ~SnapshotRoutes() = default;
};

class SnapshotLink final : private Link::Owner {
public:
    /// Of frames that arrived and were not taken; beyond, the peer meets back-pressure.
    static constexpr std::size_t inbox_bytes_max = std::size_t{1} << 20;
    /// Of frames that wait to be sent.
    static constexpr std::size_t queued_bytes_max = std::size_t{512} << 10;
    static constexpr Duration receive_wait_max = 30s;

    struct Received {
        FrameKind kind = FrameKind::idle;
        std::string payload;
        Frame frame() const noexcept { return {kind, as_bytes(payload)}; }
    };

    SnapshotLink(io::Reactor& reactor, PeerBook& book, LinkLimits limits = {});
    SnapshotLink(const SnapshotLink&) = delete;
    /// After close(), or when the simulator has crashed the process.
    ~SnapshotLink();

    /// Connects to `peer` and shakes hands. Error: `io`, in words.
    io::Task<Status> connect(PeerAddress peer, ShardId shard, std::uint16_t shards);
    /// Takes over a connection whose question was accepted, and answers it.
    void adopt(std::int32_t fd, const Handshake& theirs);
    /// Sends frames that are ended and not sealed, once less than queued_bytes_max wait. Error:
    /// `io`, the connection is gone.
    io::Task<Status> send(std::string frames);
    /// The next frame but idle ones. Error: `io`, the connection is gone, or has brought none for
    /// receive_wait_max: who only says that it lives holds up what others wait for.
    io::Task<Result<Received>> receive();
    /// Lets go what send() or receive() waits for.
    void break_off(std::string why);
    /// Ends the connection. With `flush`, what waits is sent before, within a second.
    io::Task<void> close(bool flush = false);

    /// The connection is of no use any more.
    bool broken() const noexcept { return !why_.empty(); }
    const Handshake& theirs() const noexcept { return theirs_; }

private:
    static constexpr Duration tick_period = 50ms;
    static constexpr Duration send_check_period = 1ms;
    static constexpr Duration close_wait_max = 1s;

    struct ConnectOp : io::Op {
        explicit ConnectOp(SnapshotLink& l) noexcept : Op(&SnapshotLink::connected), link(l) {}
        SnapshotLink& link;
    };
    struct TickTimer : io::Timer {
        explicit TickTimer(SnapshotLink& l) noexcept
            : Timer([](io::Timer& timer) noexcept { static_cast<TickTimer&>(timer).link.tick(); }),
              link(l) {}
        SnapshotLink& link;
    };
    static void connected(io::Op& op, std::int32_t result, io::Completion) noexcept;
    bool on_answer(Link& link, const Handshake& theirs) noexcept override;
    Status on_frame(Link& link, const Frame& frame) noexcept override;
    void on_broken(Link& link, const std::string& why) noexcept override;
    void on_gone(Link& link) noexcept override;
    void tick();
    void hold(std::int32_t fd);
    Handshake introduce(ShardId shard, std::uint16_t shards, NodeId expected);
    Status state() const;

    io::Reactor& reactor_;
    PeerBook& book_;
    const LinkLimits limits_;
    std::unique_ptr<Link> link_;
    ConnectOp connect_;
    TickTimer tick_timer_;
    io::Event changed_;
    io::Endpoint endpoint_;
    Instant give_up_{};                       ///< connecting
    Instant receive_until_ = Instant::max();  ///< while receive() waits
    std::int32_t connect_result_ = 0;
    Handshake own_;
    Handshake theirs_;
    std::deque<Received> inbox_;
    std::size_t inbox_bytes_ = 0;
    std::string why_;  ///< it ended; empty: it has not
    bool gone_ = false;
};

}  // namespace kv::consensus
