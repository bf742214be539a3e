#include "bin/kv-bench/stub.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "bin/kv-bench/affinity.h"
#include "io/socket.h"
#include "io/uring/uring_backend.h"

namespace kv::bench {

namespace {

constexpr Duration look_at_stop = 100ms;
constexpr io::UringOptions ring_options{.buffers = 128, .buffer_bytes = 16384};

std::string_view ok(Wire wire) noexcept {
    switch (wire) {
        case Wire::binary: return {"\0\0\0\0\0", 5};
        case Wire::resp: return "+OK\r\n";
        case Wire::text: break;
    }
    return "OK\n";
}

/// The number of a line such as `$12\r\n` at `at`, which moves behind it. False: incomplete.
bool take_number(std::string_view input, std::size_t& at, std::size_t& number) noexcept {
    number = 0;
    for (++at; at < input.size(); ++at) {
        const char c = input[at];
        if (c == '\n') {
            ++at;
            return true;
        }
        if (c >= '0' && c <= '9') number = 10 * number + static_cast<std::size_t>(c - '0');
    }
    return false;
}

class Server;

class Client final : public io::Stream::Handler {
public:
    Client(Server& server, io::Reactor& reactor, std::int32_t fd)
        : server_(server), stream_(reactor, fd, *this) {
        stream_.receive();
    }
    virtual ~Client() = default;
    void close() noexcept { stream_.close(); }

private:
    void on_received(Bytes bytes) noexcept override {
        const std::size_t requests = counter_.feed(as_text(bytes));
        if (requests == 0) return;
        const std::string_view reply = ok(counter_.wire());
        const std::size_t before = waiting_.size();
        waiting_.resize(before + requests * reply.size());
        for (std::size_t i = 0; i < requests; ++i) {
            std::memcpy(waiting_.data() + before + i * reply.size(), reply.data(), reply.size());
        }
        send_more();
    }
    void on_sent(std::size_t bytes) noexcept override {
        sent_ += bytes;
        if (sent_ < sending_.size()) {
            stream_.send(as_bytes(sending_).subspan(sent_));
            return;
        }
        sending_.clear();
        send_more();
    }
    void on_ended(std::int32_t) noexcept override { stream_.close(); }
    void on_closed() noexcept override;

    void send_more() noexcept {
        if (waiting_.empty() || stream_.closing() || stream_.sending()) return;
        sending_.swap(waiting_);
        waiting_.clear();
        sent_ = 0;
        stream_.send(as_bytes(sending_));
    }

    Server& server_;
    io::Stream stream_;
    RequestCounter counter_;
    std::string sending_;  ///< from sent_ on
    std::string waiting_;
    std::size_t sent_ = 0;
};

class Server final : public io::Listener::Handler {
public:
    explicit Server(io::Reactor& on) noexcept : reactor(on), listener(on, *this) {}
    virtual ~Server() = default;

    void forget(const Client* client) {
        gone.push_back(client);  // it is still on the stack
    }
    void bury() {
        for (const Client* each : gone) {
            std::erase_if(clients, [each](const auto& client) { return client.get() == each; });
        }
        gone.clear();
    }

    io::Reactor& reactor;
    io::Listener listener;
    bool listening = true;
    std::vector<std::unique_ptr<Client>> clients;
    std::vector<const Client*> gone;

private:
    void on_accepted(std::int32_t fd) noexcept override {
        clients.push_back(std::make_unique<Client>(*this, reactor, fd));
    }
    void on_accept_error(std::int32_t) noexcept override {}
    void on_listener_closed() noexcept override { listening = false; }
};

void Client::on_closed() noexcept {
    server_.forget(this);
}

io::Task<void> start(Server& server, io::Endpoint endpoint, Result<io::Endpoint>& bound,
                     bool& done) {
    bound = co_await server.listener.listen(endpoint);
    done = true;
}

}  // namespace

std::size_t RequestCounter::request_bytes(std::string_view input) const noexcept {
    switch (wire_) {
        case Wire::binary:
            return input.size() < 5 ? 0 : 5 + load_be<std::uint32_t>(input.data() + 1);
        case Wire::resp: {
            std::size_t at = 0;
            std::size_t words = 0;
            if (!take_number(input, at, words)) return 0;
            for (std::size_t bytes = 0; words > 0; --words, at += bytes + 2) {
                if (at >= input.size() || !take_number(input, at, bytes)) return 0;
            }
            return at;
        }
        case Wire::text: break;
    }
    return input.find('\n') + 1;
}

std::size_t RequestCounter::feed(std::string_view bytes) {
    if (bytes.empty()) return 0;
    if (!known_) {
        known_ = true;
        const bool binary = static_cast<unsigned char>(bytes.front()) < 0x20;
        wire_ = binary ? Wire::binary : bytes.front() == '*' ? Wire::resp : Wire::text;
    }
    std::size_t done = 0;
    if (skip_ > 0) {
        const std::size_t skipped = std::min(skip_, bytes.size());
        skip_ -= skipped;
        bytes.remove_prefix(skipped);
        if (skip_ > 0) return 0;
        ++done;
    }
    const bool joined = !front_.empty();
    std::string_view input = joined ? std::string_view(front_.append(bytes)) : bytes;
    while (!input.empty()) {
        const std::size_t size = request_bytes(input);
        if (size == 0) break;
        if (size > input.size()) {
            skip_ = size - input.size();
            input = {};
            break;
        }
        input.remove_prefix(size);
        ++done;
    }
    if (joined) {
        front_.erase(0, front_.size() - input.size());
    } else {
        front_.assign(input);
    }
    return done;
}

Status run_stub(const StubOptions& options, const std::atomic<bool>& stop,
                const std::function<void(std::uint16_t)>& on_listening) {
    if (options.cpu >= 0) KV_CHECK(pin_to(static_cast<unsigned>(options.cpu)));
    KV_TRY(const auto backend, io::UringBackend::create(ring_options));
    io::Reactor reactor(*backend);
    Server server(reactor);
    KV_TRY(const io::Endpoint endpoint, io::parse_endpoint("127.0.0.1", options.port));
    Result<io::Endpoint> bound = endpoint;
    bool done = false;
    reactor.spawn(start(server, endpoint, bound, done));
    // NOLINTNEXTLINE(bugprone-infinite-loop): start() sets it
    while (!done) reactor.turn(look_at_stop);
    if (!bound) return fail(std::move(bound.error()));
    server.listener.accept();
    on_listening(bound->port);
    while (!stop.load(std::memory_order_acquire)) {
        reactor.turn(look_at_stop);
        server.bury();
    }
    server.listener.close();
    for (const auto& client : server.clients) client->close();
    while (!server.clients.empty() || server.listening) {
        reactor.turn(look_at_stop);
        server.bury();
    }
    return {};
}

}  // namespace kv::bench
