#include "bin/kv-bench/worker.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <time.h>

#include <system_error>

#include "bin/client/connect.h"
#include "io/uring/uring_backend.h"

namespace kv::bench {

namespace {

/// How often a thread that hears nothing looks at the clock and at Shared.
constexpr Duration look_around_every = 100ms;
/// A lost connection is tried again this often, each time for this long.
constexpr Duration reconnect_every = 50ms;
constexpr Duration reconnect_patience = 250ms;
/// After an interrupt replies are awaited for this long.
constexpr Duration interrupt_patience = 1s;
/// Receive buffers: replies to many connections in one turn, 2 MiB in all.
constexpr io::UringOptions ring_options{.buffers = 256, .buffer_bytes = 8192};

Duration thread_cpu() noexcept {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

Instant after(Instant start, Duration duration) noexcept {
    return duration < Instant::max() - start ? start + duration : Instant::max();
}

}  // namespace

Worker::Worker(const Options& options, const Workload& workload, Shared& shared,
               HistoryFile* history, MapKeeper* keeper, std::size_t first_connection,
               std::size_t connections)
    : options_(options),
      workload_(workload),
      shared_(shared),
      history_(history),
      first_connection_(first_connection),
      connections_wanted_(connections),
      keeper_(keeper) {}

Worker::~Worker() = default;

void Worker::connect(const std::vector<io::Endpoint>& endpoints) {
    // An open loop sleeps until a request is due: by default the kernel adds 50 us to that.
    prctl(PR_SET_TIMERSLACK, 1);
    auto backend = io::UringBackend::create(ring_options);
    if (!backend) return shared_.fail(backend.error().text());
    backend_ = std::move(*backend);
    reactor_.emplace(*backend_);
    for (std::size_t i = 0; i < connections_wanted_; ++i) {
        connections_.push_back(
            std::make_unique<Connection>(*this, first_connection_ + i, history_));
    }
    if (keeper_ != nullptr) cluster_.emplace(*this, *keeper_, connections_);
    std::vector<io::Endpoint> candidates = endpoints;
    for (const auto& connection : connections_) {
        if (shared_.failed()) return;
        if (cluster_) candidates = {cluster_->endpoint(*connection)};
        const auto connected = client::connect_first(*reactor_, candidates);
        if (!connected) return shared_.fail(connected.error().text());
        endpoint_ = connected->endpoint;
        candidates = {endpoint_};  // the name's other addresses may be other servers
        attach(*connection, connected->fd);
    }
}

void Worker::attach(Connection& connection, std::int32_t fd) {
    connection.attach(fd);
    ++open_;
    if (closing_) {
        connection.close();
    } else if (cluster_) {
        connection.greet();
    }
}

void Worker::run(const Phase& phase, Measured& measured, Monitor& monitor) {
    const bool interrupted = shared_.interrupted.load(std::memory_order_relaxed);
    if (shared_.failed() || interrupted || stopped_) return monitor.leave();
    const Duration cpu_before = thread_cpu();
    begin(phase, measured, monitor);
    if (cluster_) {
        cluster_->begin_phase(start_);
    } else {
        for (const auto& connection : connections_) {
            if (connection->open()) offer(*connection, start_);
        }
    }
    Instant now = start_;
    const auto goes_on = [&] {
        // An open loop lasts as long as it should, though its last request is answered before.
        const bool waits = cluster_ && cluster_->waiting() > 0;
        return busy_ > 0 || waits || !over(now) || (paced() && now < planned_end_ && timed());
    };
    while (!shared_.failed() && !stopped_ && goes_on()) {
        reactor_->turn(wait_max(now));
        now = reactor_->now();
        if (cluster_) {
            cluster_->look_around(now);
        } else if (paced()) {
            offer_to_idle(now);
        }
        look_around(now);
    }
    if (paced() && timed()) {
        measured.finished = std::max(measured.finished, now);
        measured.not_sent += requests_left_;
    }
    finish_interval(clock());
    if (cluster_) measured.longest_gaps = cluster_->longest_gaps(clock());
    monitor.leave();
    measured.cpu += thread_cpu() - cpu_before;
    measured_ = &ignored_;
}

void Worker::begin(const Phase& phase, Measured& measured, Monitor& monitor) {
    phase_ = phase;
    measured_ = &measured;
    monitor_ = &monitor;
    start_ = clock();
    planned_end_ = after(start_, phase.duration);
    deadline_ = planned_end_;
    requests_left_ = phase.requests;
    if (paced()) {
        pacer_.start(start_, phase.rate);
        if (timed()) {
            requests_left_ = pacer_.due(planned_end_ - 1ns);
            deadline_ = after(planned_end_, phase.duration);
        }
    }
    taken_ = 0;
    busy_ = 0;
    idle_front_ = idle_back_ = nullptr;
    idle_ = 0;
    for (const auto& connection : connections_) connection->listed = false;
    last_reply_ = start_;
    measured.started = start_;
    latency_.clear();
    interval_ = 0;
    interval_start_ = start_;
    errors_before_ = 0;
}

/// `among`: how many connections could take what is due.
Batch Worker::next_batch(Instant now, std::size_t among) noexcept {
    if (over(now) || shared_.failed()) return {};
    std::uint64_t count = std::min<std::uint64_t>(options_.pipeline, requests_left_);
    if (paced()) {
        count = std::min<std::uint64_t>(count, (due_and_not_taken(now) + among - 1) / among);
    }
    return take(static_cast<std::size_t>(count), now);
}

std::uint64_t Worker::due_and_not_taken(Instant now) const noexcept {
    const std::uint64_t due = pacer_.due(now);
    return due > taken_ ? due - taken_ : 0;
}

Batch Worker::take(std::size_t most, Instant now) noexcept {
    if (over(now) || shared_.failed()) return {};
    std::uint64_t count = std::min<std::uint64_t>(most, requests_left_);
    if (paced()) count = std::min(count, due_and_not_taken(now));
    const Batch batch{phase_.load ? phase_.first_key + taken_ : taken_,
                      static_cast<std::size_t>(count), phase_.load};
    taken_ += count;
    requests_left_ -= count;
    return batch;
}

bool Worker::drops_unsent(Instant now) const noexcept {
    return now >= deadline_ || shared_.interrupted.load(std::memory_order_relaxed);
}

void Worker::began_batch(Instant now) noexcept {
    if (busy_++ == 0) last_reply_ = std::max(last_reply_, now);
}

/// Gives an idle connection a batch, or notes that it waits for one.
void Worker::offer(Connection& connection, Instant now) {
    const Batch batch = next_batch(now, idle_ + 1);
    if (batch.count > 0) {
        began_batch(now);
        connection.send(batch);
    } else if (paced()) {
        push_idle(connection);
    }
}

void Worker::push_idle(Connection& connection) noexcept {
    if (connection.listed) return;  // lost while it waited, and made again
    connection.listed = true;
    connection.next_idle = nullptr;
    (idle_front_ == nullptr ? idle_front_ : idle_back_->next_idle) = &connection;
    idle_back_ = &connection;
    ++idle_;
}

/// In turn, the longest idle first. One that was lost meanwhile, or found work, drops out.
void Worker::offer_to_idle(Instant now) {
    while (idle_front_ != nullptr) {
        Connection& connection = *idle_front_;
        if (connection.open() && !connection.busy()) {
            const Batch batch = next_batch(now, idle_);
            if (batch.count == 0) return;
            began_batch(now);
            connection.send(batch);
        }
        idle_front_ = connection.next_idle;
        connection.listed = false;
        --idle_;
    }
}

void Worker::paced_replies(const Batch& batch, std::size_t first, std::size_t count,
                           Instant now) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        record_latency(now - pacer_.intended(batch.first + first + i));
    }
}

void Worker::record_latency(Duration latency, std::uint64_t requests) noexcept {
    const Duration shown = std::max(latency, Duration::zero());
    latency_.record(static_cast<std::uint64_t>(shown.count()), requests);
}

void Worker::finished(Connection& connection, Instant sent, Instant now, std::size_t requests) {
    if (cluster_) requests = std::exchange(connection.place.answered, 0);
    if (!paced()) record_latency(now - sent, requests);
    measured_->finished = std::max(measured_->finished, now);
    last_reply_ = now;
    --busy_;
    if (cluster_) {
        cluster_->offer(connection, now);
    } else {
        offer(connection, now);
    }
}

Duration Worker::wait_max(Instant now) const noexcept {
    if (cluster_) {
        const Duration most = std::min(look_around_every, cluster_->wait_max());
        return paced() && !over(now) ? std::min(most, pacer_.until(taken_, now)) : most;
    }
    if (!paced() || idle_ == 0 || over(now)) return look_around_every;
    return std::min(look_around_every, pacer_.until(taken_, now));
}

/// What is looked at once a turn.
void Worker::look_around(Instant now) {
    // The interval around the planned end runs on: what comes behind it is too little for one.
    const bool at_end = std::chrono::abs(planned_end_ - now) < options_.interval / 2;
    if (now - interval_start_ >= options_.interval && !at_end) finish_interval(now);
    if (!lost_.empty() && now >= reconnect_at_) reconnect(now);
    if (busy_ > 0 && !cluster_) check_silence(now);
    if (!shared_.interrupted.load(std::memory_order_relaxed)) return;
    requests_left_ = 0;
    planned_end_ = std::min(planned_end_, now);
    interrupted_at_ = std::min(interrupted_at_, now);
    if (now - interrupted_at_ < interrupt_patience) return;
    stopped_ = true;
    for (const auto& connection : connections_) {
        if (!connection->busy()) continue;
        if (cluster_) {
            cluster_->lost(*connection, interrupted_text, {}, now);
        } else {
            give_up(*connection, interrupted_text, {});
        }
    }
    if (cluster_) cluster_->abandon();
}

void Worker::finish_interval(Instant now) {
    const std::uint64_t errors = measured_->counts.errors.total();
    monitor_->deliver(interval_++, now - start_, now - interval_start_, latency_,
                      errors - errors_before_);
    measured_->latency.merge(latency_);
    latency_.clear();
    interval_start_ = now;
    errors_before_ = errors;
}

/// Without reconnecting, silence of all ends the run; with it, that of one ends its connection.
void Worker::check_silence(Instant now) {
    if (now - last_reply_ > options_.timeout && !options_.reconnect) {
        return shared_.fail(fmt::format(
            "no reply from {} for {} s: it hangs, or does not speak {} (see --protocol)",
            endpoint_.text(), std::chrono::duration<double>(options_.timeout).count(),
            name(options_.workload.wire)));
    }
    if (!options_.reconnect || now < silence_check_at_) return;
    silence_check_at_ = now + look_around_every;
    for (const auto& connection : connections_) {
        if (!connection->busy() || now - connection->sent_at() <= options_.timeout) continue;
        give_up(*connection, timed_out_text, "no reply in time");
        connection->close();
    }
}

void Worker::misunderstood(const Connection& connection, std::string_view what) {
    shared_.fail(fmt::format("{} sent {}: check --protocol (this run: {})",
                             endpoint(connection).text(), what, name(options_.workload.wire)));
}

std::string Worker::lost_text(const Connection& connection, int error) const {
    const std::string server = endpoint(connection).text();
    if (error == 0) return server + " closed a connection: the server's log says why";
    std::string text =
        fmt::format("connection to {} failed: {}", server, std::generic_category().message(error));
    if (const auto hint = client::advice(error); !hint.empty()) text.append(". ").append(hint);
    return text;
}

void Worker::ended(Connection& connection, int error) {
    if (cluster_) {
        return cluster_->lost(connection, connection_lost_text, lost_text(connection, error),
                              clock());
    }
    if (!options_.reconnect || phase_.load) return shared_.fail(lost_text(connection, error));
    if (connection.busy()) give_up(connection, connection_lost_text, lost_text(connection, error));
    connection.close();
}

void Worker::give_up(Connection& connection, std::string_view kind, std::string_view why) {
    if (connection.awaited() > 0) measured_->counts.errors.add(kind, why, connection.awaited());
    measured_->unanswered += connection.awaited();
    connection.give_up();
    --busy_;
}

void Worker::closed(Connection& connection) {
    --open_;
    if (closing_) return;
    if (cluster_) {
        cluster_->closed(connection);
    } else {
        lost_.push_back(&connection);
    }
}

void Worker::reconnect(Instant now) {
    while (!lost_.empty() && !shared_.failed()) {
        const auto connected = client::connect_first(*reactor_, {endpoint_}, reconnect_patience);
        if (!connected) {
            reconnect_at_ = now + reconnect_every;
            return;
        }
        // Others may have been lost meanwhile: this takes whichever is first.
        Connection& connection = *lost_.front();
        lost_.erase(lost_.begin());
        connection.detach();
        attach(connection, connected->fd);
        offer(connection, reactor_->now());
    }
}

void Worker::close() {
    closing_ = true;
    for (const auto& connection : connections_) {
        if (connection->connecting()) {
            connection->cancel_connect();
        } else if (connection->open()) {
            connection->close();
        }
    }
    while (open_ > 0 || (cluster_ && cluster_->connecting() > 0)) {
        reactor_->turn(look_around_every);
    }
    cluster_.reset();
    connections_.clear();
}

}  // namespace kv::bench
