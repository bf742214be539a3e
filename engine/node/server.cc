#include "engine/node/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "io/await.h"
#include "proto/base/log.h"

namespace kv {

Server::Server(io::Reactor& r, const Config& c, ReplicaSet& set, ServerFacts facts)
    : Services(r, c, set),
      facts_(std::move(facts)),
      listener_(r, *this),
      tick_timer_(*this),
      changed_(r),
      started_(r.now()) {
    reactor.add_turn_hook(*this, io::Reactor::Phase::answer);
    replicas.set_handler(this);
    reactor.timers().arm(tick_timer_, reactor.now() + tick_period);
}

Server::~Server() {
    reactor.timers().disarm(tick_timer_);
    replicas.set_handler(nullptr);
    reactor.remove_turn_hook(*this);
}

io::Task<Status> Server::listen() {
    KV_CO_TRY(const io::Endpoint wanted,
              io::parse_endpoint(config.client.bind, config.client.port));
    auto bound = co_await listener_.listen(wanted);
    if (!bound) {
        co_return fail(Errc::io, fmt::format("{}: stop what uses the address, or choose another "
                                             "(client.bind, client.port)",
                                             bound.error().text()));
    }
    endpoint_ = *bound;
    if (!endpoint_.loopback()) {
        log::warn("clients are not authenticated: whoever reaches this address may read and write",
                  log::field("address", endpoint_.text()));
    }
    listening_ = true;
    listener_.accept();
    co_return Status{};
}

void Server::on_accepted(std::int32_t fd) noexcept {
    ++counters.connections_received;
    std::string_view refusal;
    if (stopping || connections_.size() >= config.client.connections_max) {
        refusal = stopping ? "-ERR the server is shutting down\r\n"
                           : "-ERR max number of clients reached\r\n";
        ++counters.connections_rejected;
    }
    connections_.push_back(std::make_unique<Connection>(*this, fd, refusal));
    connections_.back()->start();
}

void Server::on_accept_error(std::int32_t error) noexcept {
    log::warn("accepting clients failed, trying again",
              log::field("error", std::generic_category().message(error)));
    accept_again_ = true;
}

void Server::on_listener_closed() noexcept {
    listener_closed_ = true;
    changed_.set();
}

void Server::mark(Connection& connection) noexcept {
    if (connection.marked) return;
    connection.marked = true;
    marked_.push_back(&connection);
}

void Server::on_gone(Connection& connection) noexcept {
    mark(connection);
}

void Server::on_applied(std::span<const Applied> applied) noexcept {
    for (const Applied& one : applied) {
        if (one.waiter.owner == nullptr) continue;
        static_cast<Connection*>(one.waiter.owner)->on_applied(one.waiter.request, one.result);
    }
}

void Server::on_readable(const Replica& replica, std::span<const Waiter> readers) noexcept {
    for (const Waiter& reader : readers) {
        static_cast<Connection*>(reader.owner)->on_readable(reader.request, replica.store());
    }
}

void Server::at_turn_end() {
    marked_before_.swap(marked_);
    for (Connection* connection : marked_before_) {
        connection->marked = false;
        connection->end_turn();
        if (connection->gone()) ++gone_;
    }
    marked_before_.clear();
    // What was marked meanwhile has something to do in the next turn.
    if (!marked_.empty()) reactor.want_turn();
    if (gone_ != 0) sweep_gone();
}

void Server::sweep_gone() {
    gone_ = 0;
    connections_.remove_if([](const auto& c) { return c->gone() && !c->marked; });
    changed_.set();
}

void Server::tick() {
    for (const auto& connection : connections_) connection->check_time(reactor.now());
    if (accept_again_) {
        accept_again_ = false;
        listener_.accept();
    }
    const double seconds = std::chrono::duration<double>(tick_period).count();
    const auto fresh = static_cast<double>(counters.requests - requests_at_tick_) / seconds;
    requests_per_second_ = 0.75 * requests_per_second_ + 0.25 * fresh;
    requests_at_tick_ = counters.requests;
    changed_.set();
    reactor.timers().arm(tick_timer_, reactor.now() + tick_period);
}

io::Task<void> Server::stop() {
    if (listening_) {
        listener_.close();
        while (!listener_closed_) {
            changed_.reset();
            co_await changed_.wait();
        }
    }
    stopping = true;
    for (const auto& connection : connections_) connection->finish();
    const Instant deadline = reactor.now() + drain_timeout;
    bool forced = false;
    // Writes that a full disk holds back never call their connection: it is not waited for.
    while (!connections_.empty() && reactor.now() < deadline + close_timeout) {
        if (!forced && reactor.now() >= deadline) {
            forced = true;
            log::warn("closing connections that take no replies",
                      log::field("connections", connections_.size()));
            for (const auto& connection : connections_) connection->close();
        }
        changed_.reset();
        co_await changed_.wait();
    }
}

}  // namespace kv
