#include "bin/client/client.h"

#include <fmt/format.h>

#include <system_error>

#include "bin/client/request.h"

namespace kv::client {

Result<std::unique_ptr<Client>> Client::connect(io::Reactor& reactor, ClientOptions options) {
    KV_TRY(const std::vector<io::Endpoint> endpoints, resolve(options.host, options.port));
    KV_TRY(const Connected connected, connect_first(reactor, endpoints, options.connect_timeout));
    return std::unique_ptr<Client>(new Client(reactor, std::move(options), connected));
}

Client::Client(io::Reactor& reactor, ClientOptions options, const Connected& connected)
    : reactor_(reactor),
      options_(std::move(options)),
      endpoint_(connected.endpoint),
      stream_(reactor, connected.fd, *this),
      reader_(options_.mode) {
    stream_.receive();
}

Client::~Client() {
    stream_.close();
    while (!closed_) reactor_.turn(1s);
}

Result<Reply> Client::call(std::string_view request) {
    KV_ASSERT(!stream_.sending(), "one batch at a time");
    if (ended_) return fail(ended_error());
    sending_ = request;
    unsent_ = sending_;
    stream_.send(as_bytes(unsent_));
    return next_reply();
}

Result<Reply> Client::call(std::span<const std::string_view> words) {
    KV_TRY(const std::string request, encode_words(options_.mode, words, next_request_id()));
    return call(request);
}

Result<Reply> Client::next_reply() {
    Instant deadline = reactor_.backend().now() + options_.reply_timeout;
    std::optional<Reply> reply;
    for (;;) {
        if (!reply) {
            KV_TRY(reply, reader_.next());
        }
        if (reply && reply->kind == ReplyKind::push) {
            Reply push = std::move(*reply);
            reply.reset();
            keep(std::move(push));
            continue;
        }
        // A server may answer a request that it refuses before it has all of it.
        if (reply && (unsent_.empty() || ended_)) return *std::move(reply);
        if (ended_) return fail(ended_error());
        const Duration left = deadline - reactor_.backend().now();
        if (left <= Duration::zero()) return fail(silence_error());
        reactor_.turn(left);
        if (std::exchange(heard_, false)) {
            deadline = reactor_.backend().now() + options_.reply_timeout;
        }
    }
}

bool Client::ended() {
    reactor_.turn(Duration::zero());
    return ended_;
}

void Client::keep(Reply push) {
    if (pushes_.size() == pushes_max) pushes_.erase(pushes_.begin());
    pushes_.push_back(std::move(push));
}

Error Client::silence_error() const {
    const double seconds = std::chrono::duration<double>(options_.reply_timeout).count();
    return {Errc::io, fmt::format("no reply from {} for {} s", endpoint_.text(), seconds)};
}

Error Client::ended_error() const {
    if (end_error_ == 0) return {Errc::closed, "the server closed the connection"};
    return {Errc::closed, fmt::format("connection to {}: {}", endpoint_.text(),
                                      std::generic_category().message(end_error_))};
}

void Client::on_received(Bytes bytes) noexcept {
    heard_ = true;
    reader_.append(as_text(bytes));
}

void Client::on_sent(std::size_t bytes) noexcept {
    heard_ = true;
    unsent_.remove_prefix(bytes);
    if (!unsent_.empty()) stream_.send(as_bytes(unsent_));
}

void Client::on_ended(std::int32_t error) noexcept {
    ended_ = true;
    end_error_ = error;
}

}  // namespace kv::client
