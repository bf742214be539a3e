#include "io/socket.h"

#include <cerrno>
#include <utility>

#include "io/await.h"
#include "io/file.h"

namespace kv::io {

Stream::Stream(Reactor& reactor, std::int32_t fd, Handler& handler) noexcept
    : reactor_(reactor),
      fd_(fd),
      handler_(handler),
      receive_(*this, &Stream::received),
      send_(*this, &Stream::sent),
      close_(*this, &Stream::closed) {}

void Stream::receive() {
    if (ended_ || closing_) return;
    paused_ = false;
    if (receive_.in_flight()) return;  // a pause that has not taken effect yet: see received()
    OpRequest request;
    request.code = OpCode::receive;
    request.fd = fd_;
    receive_.set_request(request);
    reactor_.backend().submit(receive_);
}

void Stream::pause() noexcept {
    if (paused_) return;
    paused_ = true;
    reactor_.backend().cancel(receive_);
}

void Stream::received(Op& op, std::int32_t result, Completion completion) noexcept {
    Stream& self = static_cast<StreamOp&>(op).stream;
    if (completion.has_buffer) {
        Backend& backend = self.reactor_.backend();
        if (result > 0 && !self.closing_ && !self.ended_) {
            const Bytes bytes(backend.buffer(completion.buffer_id),
                              static_cast<std::size_t>(result));
            self.handler_.on_received(bytes);
        }
        backend.recycle(completion.buffer_id);
    }
    if (completion.more) return;
    if (self.closing_) {
        self.finish_close();
        return;
    }
    const bool stays = result > 0 || result == -ECANCELED || result == -ENOBUFS ||
                       result == -EINTR || result == -EAGAIN;
    if (!stays) {
        self.ended_ = true;
        self.handler_.on_ended(-result);
        return;
    }
    // The buffers ran out, the kernel ended the multishot, or a pause was withdrawn: arm again.
    if (!self.paused_) self.receive();
}

void Stream::send(Bytes bytes) noexcept {
    KV_ASSERT(!closing_ && !bytes.empty());
    OpRequest request;
    request.code = OpCode::send;
    request.fd = fd_;
    request.data = const_cast<std::byte*>(bytes.data());
    request.bytes = static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size(), 1u << 30));
    send_.set_request(request);
    reactor_.backend().submit(send_);
}

void Stream::end_sending() noexcept {
    KV_ASSERT(!closing_);
    OpRequest request;
    request.code = OpCode::end_sending;
    request.fd = fd_;
    send_.set_request(request);
    reactor_.backend().submit(send_);
}

void Stream::sent(Op& op, std::int32_t result, Completion) noexcept {
    Stream& self = static_cast<StreamOp&>(op).stream;
    if (self.closing_) {
        self.finish_close();
        return;
    }
    if (result == -EINTR || result == -EAGAIN) {
        self.reactor_.backend().submit(op);
        return;
    }
    if (result < 0) {
        self.ended_ = true;
        self.handler_.on_ended(-result);
        return;
    }
    if (op.request().code == OpCode::end_sending) return;
    self.handler_.on_sent(static_cast<std::size_t>(result));
}

void Stream::close() noexcept {
    if (closing_) return;
    closing_ = true;
    reactor_.backend().cancel(receive_);
    reactor_.backend().cancel(send_);
    finish_close();
}

void Stream::detach() noexcept {
    if (closing_) return;
    detaching_ = true;
    close();
}

void Stream::finish_close() noexcept {
    if (receive_.in_flight() || send_.in_flight() || close_.in_flight()) return;
    if (detaching_) {
        // Once: detach() may have been called by what the last completion brought.
        if (!std::exchange(detached_, true)) handler_.on_closed();
        return;
    }
    OpRequest request;
    request.code = OpCode::close;
    request.fd = fd_;
    close_.set_request(request);
    reactor_.backend().submit(close_);
}

void Stream::closed(Op& op, std::int32_t, Completion) noexcept {
    static_cast<StreamOp&>(op).stream.handler_.on_closed();
}

Listener::Listener(Reactor& reactor, Handler& handler) noexcept
    : reactor_(reactor),
      handler_(handler),
      accept_(*this, &Listener::accepted),
      close_(*this, &Listener::closed) {}

Task<Result<Endpoint>> Listener::listen(Endpoint endpoint) {
    OpRequest request;
    request.code = OpCode::listen;
    request.endpoint = &endpoint;
    const Instant until = reactor_.now() + address_patience;
    std::int32_t result = co_await OpAwaiter(reactor_, request);
    while (result == -EADDRINUSE && reactor_.now() < until) {
        co_await SleepAwaiter(reactor_, address_retry);
        result = co_await OpAwaiter(reactor_, request);
    }
    if (result < 0) co_return fail(io_error(result, "listen on", endpoint.text()));
    fd_ = result;
    co_return endpoint;
}

void Listener::accept() noexcept {
    if (closing_ || fd_ < 0 || accept_.in_flight()) return;
    OpRequest request;
    request.code = OpCode::accept;
    request.fd = fd_;
    accept_.set_request(request);
    reactor_.backend().submit(accept_);
}

void Listener::accepted(Op& op, std::int32_t result, Completion completion) noexcept {
    Listener& self = static_cast<ListenerOp&>(op).listener;
    if (result >= 0) self.handler_.on_accepted(result);
    if (completion.more) return;
    if (self.closing_) {
        self.finish_close();
    } else if (result >= 0 || result == -EINTR || result == -EAGAIN || result == -ECONNABORTED) {
        self.accept();
    } else {
        self.handler_.on_accept_error(-result);
    }
}

void Listener::close() noexcept {
    if (closing_) return;
    closing_ = true;
    if (fd_ < 0) {
        handler_.on_listener_closed();
        return;
    }
    reactor_.backend().cancel(accept_);
    finish_close();
}

void Listener::finish_close() noexcept {
    if (accept_.in_flight() || close_.in_flight()) return;
    OpRequest request;
    request.code = OpCode::close;
    request.fd = fd_;
    close_.set_request(request);
    reactor_.backend().submit(close_);
}

void Listener::closed(Op& op, std::int32_t, Completion) noexcept {
    Listener& self = static_cast<ListenerOp&>(op).listener;
    self.fd_ = -1;
    self.handler_.on_listener_closed();
}

Task<Result<std::int32_t>> connect_to(Reactor& reactor, Endpoint endpoint) {
    OpRequest request;
    request.code = OpCode::connect;
    request.endpoint = &endpoint;
    const std::int32_t result = co_await OpAwaiter(reactor, request);
    if (result < 0) co_return fail(io_error(result, "connect to", endpoint.text()));
    co_return result;
}

}  // namespace kv::io
