#include "engine/node/admin_server.h"

#include <fmt/format.h>

#include <system_error>

#include "engine/node/admin_pages.h"
#include "proto/base/log.h"

namespace kv {

/// One client: head, answer, head, answer ...
class AdminServer::Connection final : private io::Stream::Handler {
public:
    Connection(AdminServer& server, std::int32_t fd)
        : server_(server), stream_(server.reactor_, fd, *this) {
        wait();
    }

    void start() { stream_.receive(); }
    void close() noexcept {
        if (!stream_.closing()) stream_.close();
    }
    /// May be destroyed.
    bool gone() const noexcept { return closed_ && !answering_; }
    void tick(Instant now) noexcept {
        if (now >= deadline_) close();
    }

private:
    /// For what a client still sends while it reads the last answer: to close before would reset
    /// the connection, and lose that.
    static constexpr Duration linger_max = 1s;

    void on_received(Bytes bytes) noexcept override {
        if (last_) return;
        in_.append(as_text(bytes));
        if (!busy()) next();
    }
    void on_sent(std::size_t bytes) noexcept override {
        sent_ += bytes;
        if (sent_ != out_.size()) return send();
        out_.clear();
        if (last_) return linger();
        wait();
        next();
    }
    void on_ended(std::int32_t error) noexcept override {
        ended_ = true;
        // Who has closed his half may still read.
        if (error != 0 || last_ || !busy()) close();
    }
    void on_closed() noexcept override {
        closed_ = true;
        server_.changed_.set();
    }

    bool busy() const noexcept { return answering_ || !out_.empty(); }
    void wait() noexcept { deadline_ = server_.reactor_.now() + patience; }

    void next() {
        if (stream_.closing()) return;
        const http::Parsed parsed = http::parse_request(in_, request_);
        switch (parsed.status) {
            case http::Parsed::Status::need_more:
                if (ended_) return close();
                if (stream_.paused()) stream_.receive();
                return;
            case http::Parsed::Status::refused:
                last_ = true;
                return reply(http::sentence(parsed.code, parsed.why), false);
            case http::Parsed::Status::request: break;
        }
        in_.erase(0, parsed.consumed);
        stream_.pause();
        answering_ = true;
        wait();
        server_.reactor_.spawn(answer());
    }

    io::Task<void> answer() {
        const http::Response response = co_await server_.pages_.answer(request_);
        answering_ = false;
        if (stream_.closing()) {
            server_.changed_.set();  // it may be gone by now
            co_return;
        }
        last_ = !request_.keep_alive || server_.stopping_;
        reply(response, request_.head);
    }

    void reply(const http::Response& response, bool head) {
        http::write_response(response, head, !last_, out_);
        sent_ = 0;
        wait();
        send();
    }
    void send() noexcept { stream_.send(as_bytes(std::string_view(out_).substr(sent_))); }

    void linger() noexcept {
        if (ended_) return close();
        deadline_ = server_.reactor_.now() + linger_max;
        in_.clear();
        stream_.end_sending();
        if (stream_.paused()) stream_.receive();
    }

    AdminServer& server_;
    io::Stream stream_;
    Instant deadline_{};
    std::string in_;         ///< behind the request that is being answered
    http::Request request_;  ///< the one that is
    std::string out_;
    std::size_t sent_ = 0;    ///< of out_
    bool answering_ = false;  ///< a coroutine uses this
    bool last_ = false;       ///< behind this answer, the connection ends
    bool ended_ = false;      ///< the client has closed its half
    bool closed_ = false;
};

AdminServer::AdminServer(io::Reactor& reactor, const Config& config, AdminPages& pages)
    : reactor_(reactor),
      config_(config),
      pages_(pages),
      listener_(reactor, *this),
      tick_timer_(*this),
      changed_(reactor) {}

AdminServer::~AdminServer() {
    reactor_.timers().disarm(tick_timer_);
}

io::Task<Status> AdminServer::listen() {
    KV_CO_TRY(const io::Endpoint wanted,
              io::parse_endpoint(config_.admin.bind, config_.admin.port));
    auto bound = co_await listener_.listen(wanted);
    if (!bound) {
        co_return fail(Errc::io, fmt::format("{}: stop what uses the address, or choose another "
                                             "(admin.bind, admin.port)",
                                             bound.error().text()));
    }
    endpoint_ = *bound;
    if (!endpoint_.loopback()) {
        log::warn("whoever reaches the admin port may read metrics and the names of nodes",
                  log::field("address", endpoint_.text()));
    }
    listening_ = true;
    listener_.accept();
    reactor_.timers().arm(tick_timer_, reactor_.now() + tick_period);
    co_return Status{};
}

void AdminServer::on_accepted(std::int32_t fd) noexcept {
    sweep();
    connections_.push_back(std::make_unique<Connection>(*this, fd));
    // Also a connection that is one too many is closed through its stream.
    if (stopping_ || connections_.size() > connections_max) {
        connections_.back()->close();
    } else {
        connections_.back()->start();
    }
}

void AdminServer::on_accept_error(std::int32_t error) noexcept {
    log::warn("accepting on the admin port failed, trying again",
              log::field("error", std::generic_category().message(error)));
    accept_failed_ = true;
}

void AdminServer::on_listener_closed() noexcept {
    closed_ = true;
    changed_.set();
}

void AdminServer::sweep() {
    std::erase_if(connections_, [](const auto& one) { return one->gone(); });
}

void AdminServer::tick() {
    for (const auto& connection : connections_) connection->tick(reactor_.now());
    sweep();
    if (std::exchange(accept_failed_, false) && !stopping_) listener_.accept();
    reactor_.timers().arm(tick_timer_, reactor_.now() + tick_period);
}

io::Task<void> AdminServer::stop() {
    stopping_ = true;
    if (!listening_) co_return;
    if (!closed_) listener_.close();
    for (const auto& connection : connections_) connection->close();
    sweep();
    while (!closed_ || !connections_.empty()) {
        changed_.reset();
        co_await changed_.wait();
        sweep();
    }
    reactor_.timers().disarm(tick_timer_);
}

}  // namespace kv
