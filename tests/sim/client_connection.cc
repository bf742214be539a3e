#include "tests/sim/client_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace kv::sim {

std::optional<std::size_t> moved_to(std::string_view error, std::span<const io::Endpoint> servers) {
    const std::string_view address = error.substr(error.rfind(' ') + 1);
    const std::size_t colon = address.rfind(':');
    if (colon == address.npos) return std::nullopt;
    std::uint16_t port = 0;
    std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
    const auto endpoint = io::parse_endpoint(address.substr(0, colon), port);
    const auto found = endpoint ? std::ranges::find(servers, *endpoint) : servers.end();
    if (found == servers.end()) return std::nullopt;
    return static_cast<std::size_t>(found - servers.begin());
}

ClientConnection::ClientConnection(io::Reactor& reactor, io::Endpoint server, io::Event& wake)
    : reactor_(reactor), server_(server), wake_(&wake), changed_(reactor) {}

io::Task<void> ClientConnection::live(std::shared_ptr<ClientConnection> self) {
    const Result<std::int32_t> fd = co_await io::connect_to(self->reactor_, self->server_);
    if (!fd) {
        self->broken_ = true;
        self->tell();
        co_return;
    }
    io::Stream::Handler& handler = *self;
    self->stream_ = std::make_unique<io::Stream>(self->reactor_, *fd, handler);
    self->stream_->receive();
    self->send_rest();
    while (!self->broken_) {
        self->changed_.reset();
        co_await self->changed_.wait();
    }
    self->stream_->close();
    while (!self->closed_) {
        self->changed_.reset();
        co_await self->changed_.wait();
    }
}

void ClientConnection::send(std::string request) {
    queued_ += request;
    if (stream_ != nullptr) send_rest();
}

/// A reply may come before the completion of the send that asked for it.
void ClientConnection::send_rest() noexcept {
    if (broken_ || stream_->sending()) return;
    if (sent_ == sending_.size()) {
        sending_ = std::exchange(queued_, {});
        sent_ = 0;
    }
    if (sent_ < sending_.size()) stream_->send(as_bytes(std::string_view(sending_).substr(sent_)));
}

void ClientConnection::next() {
    received_.erase(0, reply_bytes_);
    received_ += std::exchange(later_, {});
    has_reply_ = false;
    decode();
}

void ClientConnection::decode() {
    if (has_reply_ || broken_) return;
    DecodeResult next = decoder_.next(received_);
    for (; oks_left_ != 0 && next.status == DecodeStatus::reply; --oks_left_) {
        const resp::Node& node = decoder_.nodes()[0];
        if (node.kind != resp::NodeKind::simple || node.text != "OK") {
            problem_ = fmt::format("OK was expected, not {}", node.text);
            broken_ = true;
            return;
        }
        received_.erase(0, next.consumed);
        next = decoder_.next(received_);
    }
    if (next.status == DecodeStatus::malformed) {
        problem_ = decoder_.problem();
        broken_ = true;
    }
    if (next.status != DecodeStatus::reply) return;
    has_reply_ = true;
    reply_bytes_ = next.consumed;
}

void ClientConnection::abandon() noexcept {
    wake_ = nullptr;
    broken_ = true;
    changed_.set();
}

void ClientConnection::tell() noexcept {
    if (wake_ != nullptr) wake_->set();
    changed_.set();
}

void ClientConnection::on_received(Bytes bytes) noexcept {
    if (has_reply_ && !many_) {
        problem_ = "a reply that nobody asked for";
        broken_ = true;
    }
    // The reply that is there views what was received.
    (has_reply_ ? later_ : received_).append(as_text(bytes));
    decode();
    tell();
}

void ClientConnection::on_sent(std::size_t bytes) noexcept {
    sent_ += bytes;
    send_rest();
}

void ClientConnection::on_ended(std::int32_t) noexcept {
    broken_ = true;
    tell();
}

void ClientConnection::on_closed() noexcept {
    closed_ = true;
    changed_.set();
}

}  // namespace kv::sim
