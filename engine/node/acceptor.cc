#include "engine/node/acceptor.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "proto/base/log.h"

namespace kv {

Acceptor::Acceptor(io::Reactor& reactor, const Config& config, Server& server)
    : reactor_(reactor),
      config_(config),
      server_(server),
      listener_(reactor, *this),
      connections_of_(reactor.mailboxes().cores()),
      retry_timer_(*this),
      closed_event_(reactor) {
    server_.set_acceptor(this);
    reactor_.mailboxes().set_receiver(Server::gone_kind, this);
}

Acceptor::~Acceptor() {
    reactor_.timers().disarm(retry_timer_);
    reactor_.mailboxes().set_receiver(Server::gone_kind, nullptr);
    server_.set_acceptor(nullptr);
}

io::Task<Status> Acceptor::listen() {
    KV_CO_TRY(const io::Endpoint wanted,
              io::parse_endpoint(config_.client.bind, config_.client.port));
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

void Acceptor::on_accepted(std::int32_t fd) noexcept {
    if (stopping_ || connections_ >= config_.client.connections_max) {
        const std::string_view refusal = stopping_ ? "-ERR the server is shutting down\r\n"
                                                   : "-ERR max number of clients reached\r\n";
        server_.refuse(fd, refusal);
        return;
    }
    const auto fewest = std::ranges::min_element(connections_of_);
    const CoreId core(static_cast<std::uint16_t>(fewest - connections_of_.begin()));
    ++*fewest;
    ++connections_;
    if (core == reactor_.core()) return server_.adopt(fd);
    reactor_.mailboxes().send(core, {Server::client_kind, static_cast<std::uint32_t>(fd), nullptr});
}

void Acceptor::on_gone(CoreId core, std::uint32_t count) noexcept {
    KV_ASSERT(connections_of_[core.value()] >= count);
    connections_of_[core.value()] -= count;
    connections_ -= count;
}

void Acceptor::on_message(CoreId from, const io::Message& message) noexcept {
    on_gone(from, message.value);
}

void Acceptor::on_accept_error(std::int32_t error) noexcept {
    log::warn("accepting clients failed, trying again",
              log::field("error", std::generic_category().message(error)));
    reactor_.timers().arm(retry_timer_, reactor_.now() + retry_period);
}

void Acceptor::accept_again() {
    if (!stopping_) listener_.accept();
}

void Acceptor::on_listener_closed() noexcept {
    closed_ = true;
    closed_event_.set();
}

io::Task<void> Acceptor::stop() {
    stopping_ = true;
    if (!listening_ || closed_) co_return;
    listener_.close();
    while (!closed_) {
        closed_event_.reset();
        co_await closed_event_.wait();
    }
}

}  // namespace kv
