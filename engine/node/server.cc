#include "engine/node/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "engine/node/acceptor.h"
#include "io/await.h"
#include "proto/base/log.h"

namespace kv {

Server::Server(io::Reactor& r, const Config& c, ReplicaSet& set, NodeMemory& m, ServerFacts facts)
    : Services(r, c, set, router_, m),
      facts_(std::move(facts)),
      router_(r, set, *this),
      tick_timer_(*this),
      sweep_timer_(*this),
      changed_(r),
      started_(r.now()) {
    forwarder.set_handler(this);
    reactor.add_turn_hook(*this, io::Reactor::Phase::answer);
    reactor.timers().arm(sweep_timer_, reactor.now() + tick_period);
    reactor.timers().arm(tick_timer_, reactor.now() + tick_period);
    reactor.mailboxes().set_receiver(client_kind, this);
    reactor.set_measure_cpu(config.reactor.measure_cpu);
}

Server::~Server() {
    reactor.mailboxes().set_receiver(client_kind, nullptr);
    reactor.timers().disarm(tick_timer_);
    reactor.timers().disarm(sweep_timer_);
    reactor.remove_turn_hook(*this);
}

void Server::adopt(std::int32_t fd) {
    ++counters.connections_received;
    connections_.push_back(std::make_unique<Connection>(*this, fd));
    connections_.back()->place = connections_.size() - 1;
    connections_.back()->start();
    if (stopping) connections_.back()->finish();
}

void Server::refuse(std::int32_t fd, std::string_view reason) {
    ++counters.connections_received;
    ++counters.connections_rejected;
    connections_.push_back(std::make_unique<Connection>(*this, fd, reason));
    connections_.back()->place = connections_.size() - 1;
    connections_.back()->start();
}

void Server::on_message(CoreId, const io::Message& message) noexcept {
    adopt(static_cast<std::int32_t>(message.value));
}

void Server::mark(Connection& connection) noexcept {
    if (connection.marked) return;
    connection.marked = true;
    marked_.push_back(&connection);
    // By what the end of this turn has found out, when answers had left already.
    if (answered_turn_ == reactor.counters().turns) reactor.want_turn();
}

void Server::on_gone(Connection& connection) noexcept {
    mark(connection);
}

void Server::on_applied(const Waiter& waiter, const Store::Applied& result) noexcept {
    static_cast<Connection*>(waiter.owner)->on_applied(waiter, result);
}

void Server::on_refused(const Waiter& waiter, Refused refusal) noexcept {
    static_cast<Connection*>(waiter.owner)->on_refused(waiter, refusal);
}

void Server::on_read(const Waiter& waiter, const std::optional<Store::Found>& found) noexcept {
    static_cast<Connection*>(waiter.owner)->on_read(waiter, found);
}

void Server::on_readable(const Waiter& waiter, const Store& store) noexcept {
    static_cast<Connection*>(waiter.owner)->on_readable(waiter, store);
}

void Server::on_forwarded(const Waiter& waiter, const ForwardAnswer& answer) noexcept {
    static_cast<Connection*>(waiter.owner)->on_forwarded(waiter, answer);
}

void Server::on_uncongested() noexcept {
    for (const auto& connection : connections_) mark(*connection);
}

void Server::at_turn_end() {
    slow_notes_left = slow_notes_per_turn;
    marked_before_.swap(marked_);
    Instant now = reactor.backend().now();
    const Instant until = now + answer_max;
    for (std::size_t i = 0; i < marked_before_.size(); ++i) {
        if (i != 0) now = reactor.backend().now();
        if (i != 0 && now >= until) {
            const auto left = marked_before_.begin() + static_cast<std::ptrdiff_t>(i);
            marked_.insert(marked_.begin(), left, marked_before_.end());
            break;
        }
        Connection* const connection = marked_before_[i];
        connection->marked = false;
        connection->end_turn();
        if (connection->gone()) gone_.push_back(connection);
    }
    marked_before_.clear();
    answered_turn_ = reactor.counters().turns;
    times.end_turn(now - reactor.now());
    // What was marked meanwhile has something to do in the next turn.
    if (!marked_.empty()) reactor.want_turn();
    if (!gone_.empty()) sweep_gone();
    publish_memory();
}

void Server::publish_memory() noexcept {
    memory_.dataset = replicas.slab().bytes_live();
    memory_.flushed = replicas.flushed_bytes();
    memory_.reserved = replicas.slab().bytes_reserved();
    memory.publish(reactor.core(), memory_);
}

/// What takes a walk over all entries.
void Server::measure_buffers() noexcept {
    memory_.log = replicas.log().buffer_bytes();
    memory_.pending = replicas.buffer_bytes() + router_.buffer_bytes();
}

/// For those who want to know now.
void Server::measure_clients() noexcept {
    memory_.clients = 0;
    for (const auto& connection : connections_) memory_.clients += connection->bytes();
}

/// Looks at some more connections. One that moves to the place of another that is gone may have to
/// wait for the next sweep.
void Server::sweep() noexcept {
    const std::size_t end = std::min(swept_ + sweep_step, connections_.size());
    for (; swept_ < end; ++swept_) {
        connections_[swept_]->check_time(reactor.now());
        swept_bytes_ += connections_[swept_]->bytes();
    }
    if (swept_ >= connections_.size()) {
        memory_.clients = std::exchange(swept_bytes_, 0);
        swept_ = 0;
    }
    const std::size_t steps = connections_.size() / sweep_step + 1;
    const auto period = tick_period / static_cast<std::int64_t>(steps);
    reactor.timers().arm(sweep_timer_, reactor.now() + period);
}

void Server::sweep_gone() {
    std::uint32_t count = 0;
    for (Connection* connection : gone_) {
        if (connection->marked) continue;  // it comes again at the end of the next turn
        count += connection->refused() ? 0 : 1;
        const std::size_t place = connection->place;
        std::swap(connections_[place], connections_.back());
        connections_[place]->place = place;
        connections_.pop_back();
    }
    gone_.clear();
    changed_.set();
    if (count == 0) return;
    if (acceptor_ != nullptr) {
        acceptor_->on_gone(reactor.core(), count);
    } else if (reactor.core() != CoreId(0)) {
        reactor.mailboxes().send(CoreId(0), {gone_kind, count, nullptr});
    }
}

void Server::tick() {
    const double seconds = std::chrono::duration<double>(tick_period).count();
    const auto fresh = static_cast<double>(counters.requests - requests_at_tick_) / seconds;
    requests_per_second_ = 0.75 * requests_per_second_ + 0.25 * fresh;
    requests_at_tick_ = counters.requests;
    if (reactor.now() >= times_due_) {
        times_due_ = reactor.now() + 1s;
        times.tick();
    }
    measure_buffers();
    memory.note_peak();
    changed_.set();
    reactor.timers().arm(tick_timer_, reactor.now() + tick_period);
}

/// What became of a request that is on its way when its connection is closed, its client never
/// hears. Who follows redirects asks elsewhere once every shard has sent it there, and that is the
/// time to close.
io::Task<void> Server::see_off() {
    const Instant until = reactor.now() + see_off_max;
    const auto busy = [this](const auto& connection) {
        return connection->busy_since(reactor.now() - see_off_quiet_min);
    };
    while (reactor.now() < until && std::ranges::any_of(connections_, busy)) {
        co_await io::SleepAwaiter(reactor, see_off_period);
    }
}

io::Task<void> Server::stop() {
    if (!loading && !replicas.alone()) co_await see_off();
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
