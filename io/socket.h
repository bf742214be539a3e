#pragma once

/// Listeners and streams over the backend's operations, for hot paths: completions call a handler
/// once per received buffer, never a coroutine. Owner core only.

#include <string>

#include "io/reactor.h"
#include "proto/base/bytes.h"
#include "proto/base/result.h"

namespace kv::io {

/// A connected byte stream: multishot receive into provided buffers, one send in flight. The owner
/// keeps it until on_closed(), which is the last call.
class Stream {
public:
    class Handler {
    public:
        /// `bytes` are valid during the call only.
        virtual void on_received(Bytes bytes) noexcept = 0;
        /// The kernel took `bytes` of what send() was given, from its front.
        virtual void on_sent(std::size_t bytes) noexcept = 0;
        /// The peer has ended its half (`error` 0) or the stream failed (errno). Nothing more
        /// arrives. A failure may follow the end: then nothing can be sent either.
        virtual void on_ended(std::int32_t error) noexcept = 0;
        /// After close(): no operation is in flight any more; the stream may be destroyed.
        virtual void on_closed() noexcept = 0;

    protected:
        ~Handler() = default;
    };

    /// Takes over the connected descriptor `fd`.
    Stream(Reactor& reactor, std::int32_t fd, Handler& handler) noexcept;
    Stream(const Stream&) = delete;

    /// Starts or resumes receiving.
    void receive();
    /// Asks the kernel to stop receiving; buffers that are already filled still arrive. The peer
    /// meets TCP's back-pressure.
    void pause() noexcept;
    bool paused() const noexcept { return paused_; }

    /// Sends the front of `bytes`, which stay in place until on_sent(). One at a time.
    void send(Bytes bytes) noexcept;
    bool sending() const noexcept { return send_.in_flight(); }
    /// Nothing more will be sent: the peer gets what was, and then the end of the stream. Not while
    /// sending(). Receiving goes on.
    void end_sending() noexcept;

    /// Cancels what is in flight and closes the descriptor; ends with on_closed().
    void close() noexcept;
    bool closing() const noexcept { return closing_; }
    /// As close(), but the descriptor stays open and is no more the stream's: for another core.
    /// on_closed() may come during the call.
    /// What arrives meanwhile may be lost: the peer is to wait for an answer.
    void detach() noexcept;
    std::int32_t fd() const noexcept { return fd_; }

private:
    struct StreamOp : Op {
        StreamOp(Stream& s, Complete complete) noexcept : Op(complete), stream(s) {}
        Stream& stream;
    };
    static void received(Op& op, std::int32_t result, Completion completion) noexcept;
    static void sent(Op& op, std::int32_t result, Completion completion) noexcept;
    static void closed(Op& op, std::int32_t result, Completion completion) noexcept;
    void finish_close() noexcept;

    Reactor& reactor_;
    std::int32_t fd_;
    Handler& handler_;
    StreamOp receive_;
    StreamOp send_;
    StreamOp close_;
    bool paused_ = true;
    bool ended_ = false;
    bool closing_ = false;
    bool detaching_ = false;
    bool detached_ = false;
};

/// Accepts connections until closed.
class Listener {
public:
    class Handler {
    public:
        virtual void on_accepted(std::int32_t fd) noexcept = 0;
        /// Accepting failed for now (too many descriptors, say); it is tried again by resume().
        virtual void on_accept_error(std::int32_t error) noexcept = 0;
        virtual void on_listener_closed() noexcept = 0;

    protected:
        ~Handler() = default;
    };

    /// An address in use is waited for: what listened there may have ended just now, and the kernel
    /// takes a while to take the ring of a process down that was killed.
    static constexpr Duration address_patience = 2s;
    static constexpr Duration address_retry = 10ms;

    Listener(Reactor& reactor, Handler& handler) noexcept;
    Listener(const Listener&) = delete;

    /// Binds and listens; port 0 is replaced by the port the system chose. Errors: `io` with the
    /// reason (address in use, permission).
    Task<Result<Endpoint>> listen(Endpoint endpoint);
    /// Starts or resumes accepting.
    void accept() noexcept;
    void close() noexcept;

private:
    struct ListenerOp : Op {
        ListenerOp(Listener& l, Complete complete) noexcept : Op(complete), listener(l) {}
        Listener& listener;
    };
    static void accepted(Op& op, std::int32_t result, Completion completion) noexcept;
    static void closed(Op& op, std::int32_t result, Completion completion) noexcept;
    void finish_close() noexcept;

    Reactor& reactor_;
    Handler& handler_;
    std::int32_t fd_ = -1;
    ListenerOp accept_;
    ListenerOp close_;
    bool closing_ = false;
};

/// Connects; returns the descriptor for a Stream. Errors: `io` with the reason.
Task<Result<std::int32_t>> connect_to(Reactor& reactor, Endpoint endpoint);

}  // namespace kv::io
