#pragma once

/// Link: one connection between two nodes, from its handshake to its end. Both directions carry
/// frames (proto/raft/frame.h). It gathers what is to be sent, has one send under way, checks what
/// arrives and hands on whole frames; it knows nothing of what they hold. Owner core only.
///
/// A link that hears nothing for silence_max is closed, as is one whose peer takes no bytes for
/// stall_max: each end that has nothing to say says so within idle_after. So a connection that is
/// half open does not live long.

#include <memory>
#include <string>

#include "io/socket.h"
#include "proto/raft/frame_queue.h"
#include "proto/raft/handshake.h"

namespace kv::consensus {

struct LinkLimits {
    std::size_t queued_bytes_max = std::size_t{16} << 20;  ///< to one node, not yet with the kernel
    Duration connect_timeout = 2s;
    Duration handshake_timeout = 2s;  ///< from the connection to the last byte of the handshake
    Duration idle_after = 500ms;      ///< without a frame sent, an idle one is
    Duration silence_max = 3s;
    Duration stall_max = 10s;
    Duration backoff_min = 50ms;
    Duration backoff_max = 2s;
};

class Link final : private io::Stream::Handler {
public:
    class Owner {
    public:
        /// Whoever asked has an answer: `theirs` is to be judged. False: not to be spoken to; the
        /// owner closes the link. Not called on the side that was asked, which judged before.
        virtual bool on_answer(Link& link, const Handshake& theirs) noexcept = 0;
        /// Views the receive buffer, during the call only. An error closes the link.
        virtual Status on_frame(Link& link, const Frame& frame) noexcept = 0;
        /// The link is of no use any more; why, for people. close() was called; what was queued
        /// is lost. Not called for a close() from outside.
        virtual void on_broken(Link& link, const std::string& why) noexcept = 0;
        /// The last call: may be destroyed, but not during it.
        virtual void on_gone(Link& link) noexcept = 0;

    protected:
        ~Owner() = default;
    };

    /// Takes over the connected descriptor.
    Link(io::Reactor& reactor, std::int32_t fd, Owner& owner, const LinkLimits& limits) noexcept;
    Link(const Link&) = delete;

    /// Of the side that connected: sends `own` and waits for the answer.
    void ask(const Handshake& own);
    /// Of the side that was asked, and accepts: frames may be sent at once.
    void answer(const Handshake& own, const Handshake& theirs);

    FrameQueue& queue() noexcept { return queue_; }
    /// Sends what is queued, unless a send is under way: then it follows by itself.
    void flush();
    void close() noexcept;
    void pause() noexcept { stream_.pause(); }
    void resume();
    /// To be called a few times within idle_after: time-outs, and the sign of life.
    void tick(Instant now);

    bool open() const noexcept { return state_ == State::open; }
    bool closing() const noexcept { return state_ == State::closing; }
    /// The handshake of the other end; not before open() or on_answer().
    const Handshake& theirs() const noexcept { return theirs_; }
    bool asked() const noexcept { return asked_; }
    std::uint64_t bytes_sent() const noexcept { return bytes_sent_; }
    std::uint64_t bytes_received() const noexcept { return bytes_received_; }

private:
    enum class State : std::uint8_t { made, asking, open, closing };

    void on_received(Bytes bytes) noexcept override;
    void on_sent(std::size_t bytes) noexcept override;
    void on_ended(std::int32_t error) noexcept override;
    void on_closed() noexcept override;

    std::size_t take(Bytes bytes);
    std::size_t take_answer(Bytes bytes);
    std::size_t take_frames(Bytes bytes);
    void begin(const Handshake& theirs);
    void send_handshake(const Handshake& own);
    void send_more();
    void break_off(const std::string& why);

    io::Reactor& reactor_;
    Owner& owner_;
    const LinkLimits& limits_;
    io::Stream stream_;
    State state_ = State::made;
    bool asked_ = false;  ///< this side connected
    std::uint64_t own_nonce_ = 0;
    Handshake theirs_;
    FrameSeal send_seal_;
    FrameSeal receive_seal_;
    FrameQueue queue_;
    std::string sending_;  ///< what the kernel is being given
    std::size_t sent_ = 0;
    std::string input_;  ///< the front of a frame that is not whole yet
    std::size_t input_needed_ = 0;
    Instant begun_;
    Instant last_received_;
    Instant last_progress_;  ///< of sending; or nothing was to be sent
    Instant last_frame_;     ///< when a send began
    std::uint64_t bytes_sent_ = 0;
    std::uint64_t bytes_received_ = 0;
};

}  // namespace kv::consensus
