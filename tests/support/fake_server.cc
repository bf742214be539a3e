#include "tests/support/fake_server.h"

#include <charconv>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "io/socket.h"
#include "io/uring/uring_backend.h"

namespace kv::test {

namespace {

constexpr Duration look_at_stop = 20ms;

Spoken spoken_by(char first) noexcept {
    if (static_cast<unsigned char>(first) < 0x20) return Spoken::binary;
    return first == '*' ? Spoken::resp : Spoken::text;
}

/// The number of a line `*12\r\n` at `at`, which moves behind it; nothing: incomplete.
std::optional<std::size_t> take_number(std::string_view input, std::size_t& at) noexcept {
    const std::size_t end = input.find('\n', at);
    if (end == std::string_view::npos) return std::nullopt;
    std::size_t number = 0;
    std::from_chars(input.data() + at + 1, input.data() + end, number);
    at = end + 1;
    return number;
}

std::size_t resp_bytes(std::string_view input) noexcept {
    std::size_t at = 0;
    const auto words = take_number(input, at);
    if (!words) return 0;
    for (std::size_t i = 0; i < *words; ++i) {
        const auto bytes = take_number(input, at);
        if (!bytes || input.size() - at < *bytes + 2) return 0;
        at += *bytes + 2;
    }
    return at;
}

class Client;

class Server : public io::Listener::Handler {
public:
    Server(io::Reactor& on, const Answer& with) noexcept;
    virtual ~Server();
    void on_accepted(std::int32_t fd) noexcept override;
    void on_accept_error(std::int32_t) noexcept override {}
    void on_listener_closed() noexcept override { listening = false; }

    io::Reactor& reactor;
    const Answer& answer;
    io::Listener listener;
    bool listening = true;
    bool stopping = false;  ///< what is accepted still is closed at once
    std::size_t open = 0;
    std::vector<std::unique_ptr<Client>> clients;
};

class Client : public io::Stream::Handler {
public:
    Client(Server& server, std::int32_t fd) : server_(server), stream_(server.reactor, fd, *this) {
        stream_.receive();
    }
    virtual ~Client() = default;
    void close() noexcept { stream_.close(); }

private:
    void on_received(Bytes bytes) noexcept override {
        if (closing_) return;
        std::string_view input = as_text(bytes);
        const bool continued = !rest_.empty();
        if (continued) input = rest_.append(input);
        if (!spoken_) spoken_ = spoken_by(input.front());
        std::size_t taken = 0;
        while (!closing_) {
            const std::string_view request = first_request(*spoken_, input.substr(taken));
            if (request.empty()) break;
            taken += request.size();
            closing_ = !server_.answer(*spoken_, request, waiting_);
        }
        if (continued) {
            rest_.erase(0, taken);
        } else {
            rest_.assign(input.substr(taken));
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
    void on_closed() noexcept override { --server_.open; }

    void send_more() noexcept {
        if (stream_.closing() || stream_.sending()) return;
        if (waiting_.empty()) {
            if (closing_) stream_.close();
            return;
        }
        sending_.swap(waiting_);
        waiting_.clear();
        sent_ = 0;
        stream_.send(as_bytes(sending_));
    }

    Server& server_;
    io::Stream stream_;
    std::optional<Spoken> spoken_;
    std::string rest_;     // an incomplete request
    std::string sending_;  // from sent_ on
    std::string waiting_;
    std::size_t sent_ = 0;
    bool closing_ = false;
};

Server::Server(io::Reactor& on, const Answer& with) noexcept
    : reactor(on), answer(with), listener(on, *this) {}

Server::~Server() = default;

void Server::on_accepted(std::int32_t fd) noexcept {
    clients.push_back(std::make_unique<Client>(*this, fd));
    ++open;
    if (stopping) clients.back()->close();
}

io::Task<void> start(Server& server, io::Endpoint endpoint, Result<io::Endpoint>& bound,
                     bool& done) {
    bound = co_await server.listener.listen(endpoint);
    done = true;
}

}  // namespace

std::string_view first_request(Spoken spoken, std::string_view input) {
    switch (spoken) {
        case Spoken::binary: {
            if (input.size() < 5) return {};
            const std::size_t bytes = 5 + std::size_t{load_be<std::uint32_t>(input.data() + 1)};
            return input.size() < bytes ? std::string_view() : input.substr(0, bytes);
        }
        case Spoken::resp: return input.substr(0, resp_bytes(input));
        case Spoken::text: return input.substr(0, input.find('\n') + 1);
    }
    return {};
}

bool answer_ok(Spoken spoken, std::string_view, std::string& out) {
    switch (spoken) {
        case Spoken::binary: out.append(5, '\0'); break;
        case Spoken::resp: out.append("+OK\r\n"); break;
        case Spoken::text: out.append("OK\n"); break;
    }
    return true;
}

Status serve(std::uint16_t port, const Answer& answer, const std::atomic<bool>& stop,
             const std::function<void(std::uint16_t)>& on_listening) {
    KV_TRY(const auto backend, io::UringBackend::create({}));
    io::Reactor reactor(*backend);
    Server server(reactor, answer);
    KV_TRY(const io::Endpoint endpoint, io::parse_endpoint("127.0.0.1", port));
    Result<io::Endpoint> bound = endpoint;
    bool done = false;
    reactor.spawn(start(server, endpoint, bound, done));
    while (!done) reactor.turn(look_at_stop);
    if (!bound) return fail(std::move(bound.error()));
    server.listener.accept();
    on_listening(bound->port);
    while (!stop.load(std::memory_order_acquire)) reactor.turn(look_at_stop);
    server.stopping = true;
    server.listener.close();
    for (const auto& client : server.clients) client->close();
    while (server.open > 0 || server.listening) reactor.turn(look_at_stop);
    return {};
}

FakeServer::FakeServer(Answer answer) : answer_(std::move(answer)) {
    std::promise<std::uint16_t> listening;
    thread_ = std::jthread([this, &listening] {
        const Status served =
            serve(0, answer_, stop_, [&](std::uint16_t port) { listening.set_value(port); });
        KV_ASSERT(served.has_value(), "{}", served.error().text());
    });
    port_ = listening.get_future().get();
}

FakeServer::~FakeServer() {
    stop_.store(true, std::memory_order_release);
}

}  // namespace kv::test
