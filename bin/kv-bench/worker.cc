#include "bin/kv-bench/worker.h"

#include <fmt/format.h>
#include <time.h>

#include <cerrno>
#include <limits>
#include <system_error>

#include "bin/client/connect.h"
#include "io/uring/uring_backend.h"

namespace kv::bench {

namespace {

/// How often a thread that hears nothing looks at the clock and at Shared.
constexpr Duration look_around = 100ms;
/// Receive buffers: replies to many connections in one turn, 2 MiB in all.
constexpr io::UringOptions ring_options{.buffers = 256, .buffer_bytes = 8192};

Duration thread_cpu() noexcept {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

void Shared::fail(std::string text) {
    const std::lock_guard lock(mutex_);
    if (failed_.load(std::memory_order_relaxed)) return;
    failure_ = std::move(text);
    failed_.store(true, std::memory_order_release);
}

std::string Shared::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

void Measured::merge(const Measured& other) {
    started = std::min(started, other.started);
    finished = std::max(finished, other.finished);
    latency.merge(other.latency);
    counts.merge(other.counts);
    cpu += other.cpu;
}

/// Closed loop: a batch is sent when the one before is sent and answered whole.
class Connection final : public io::Stream::Handler {
public:
    Connection(Worker& worker, std::int32_t fd, std::uint64_t number)
        : worker_(worker),
          stream_(*worker.reactor_, fd, *this),
          writer_(worker.workload_, worker.options_.pipeline, number),
          counter_(worker.options_.workload.wire) {
        stream_.receive();
    }
    virtual ~Connection() = default;

    /// False: the phase has nothing more to send.
    bool start_batch(Instant now) {
        std::uint64_t first_key = 0;
        batch_ = worker_.next_batch(now, first_key);
        if (batch_ == 0) return false;
        awaited_ = batch_;
        unsent_ = worker_.phase_.load ? writer_.load(first_key, batch_) : writer_.random(batch_);
        sent_at_ = worker_.backend_->now();
        stream_.send(as_bytes(unsent_));
        return true;
    }

    void close() noexcept { stream_.close(); }

private:
    void on_received(Bytes bytes) noexcept override {
        const std::size_t done = counter_.feed(as_text(bytes), worker_.measured_->counts);
        if (counter_.broken()) return fail("an answer that is not of this protocol");
        if (done > awaited_) return fail("more replies than requests");
        awaited_ -= done;
        if (done > 0 && awaited_ == 0) finish_batch();
    }
    void on_sent(std::size_t bytes) noexcept override {
        unsent_.remove_prefix(bytes);
        if (!unsent_.empty()) {
            stream_.send(as_bytes(unsent_));
        } else if (awaited_ == 0) {
            continue_phase(replied_at_);  // the replies were noticed before the send's completion
        }
    }
    void on_ended(std::int32_t error) noexcept override { fail("", error); }
    void on_closed() noexcept override { --worker_.open_; }

    void finish_batch() noexcept {
        replied_at_ = worker_.backend_->now();
        worker_.batch_done(sent_at_, replied_at_, batch_);
        if (!stream_.sending()) continue_phase(replied_at_);
    }
    void continue_phase(Instant now) noexcept {
        if (worker_.shared_.failed() || !start_batch(now)) --worker_.busy_;
    }
    void fail(std::string_view reason, int error = 0) noexcept {
        worker_.fail_connection(*this, reason, error);
    }

    Worker& worker_;
    io::Stream stream_;
    BatchWriter writer_;
    ReplyCounter counter_;
    std::string_view unsent_;
    std::size_t batch_ = 0;    ///< requests of the batch in flight
    std::size_t awaited_ = 0;  ///< of them, not yet answered
    Instant sent_at_;
    Instant replied_at_;
};

Worker::Worker(const Options& options, const Workload& workload, Shared& shared,
               std::size_t first_connection, std::size_t connections)
    : options_(options),
      workload_(workload),
      shared_(shared),
      first_connection_(first_connection),
      connections_wanted_(connections) {}

Worker::~Worker() = default;

void Worker::open(const std::vector<io::Endpoint>& endpoints) {
    auto backend = io::UringBackend::create(ring_options);
    if (!backend) return shared_.fail(backend.error().text());
    backend_ = std::move(*backend);
    reactor_.emplace(*backend_);
    std::vector<io::Endpoint> candidates = endpoints;
    for (std::size_t i = 0; i < connections_wanted_ && !shared_.failed(); ++i) {
        const auto connected = client::connect_first(*reactor_, candidates);
        if (!connected) return shared_.fail(connected.error().text());
        endpoint_ = connected->endpoint;
        candidates = {endpoint_};  // the name's other addresses may be other servers
        connections_.push_back(
            std::make_unique<Connection>(*this, connected->fd, first_connection_ + i));
        ++open_;
    }
}

void Worker::run(const Phase& phase, Measured& measured) {
    if (shared_.failed()) return;
    phase_ = phase;
    measured_ = &measured;
    requests_left_ = phase.requests;
    const Duration cpu_before = thread_cpu();
    const Instant start = backend_->now();
    deadline_ = phase.duration < Instant::max() - start ? start + phase.duration : Instant::max();
    last_reply_ = start;
    busy_ = 0;
    for (const auto& connection : connections_) {
        if (connection->start_batch(start)) ++busy_;
    }
    if (busy_ > 0) measured.started = start;
    while (busy_ > 0 && !shared_.failed()) {
        reactor_->turn(look_around);
        if (shared_.interrupted.load(std::memory_order_relaxed)) requests_left_ = 0;
        if (reactor_->now() - last_reply_ > options_.timeout) {
            shared_.fail(fmt::format(
                "no reply from {} for {} s: it hangs, or does not speak {} (see --protocol)",
                endpoint_.text(), std::chrono::duration<double>(options_.timeout).count(),
                name(options_.workload.wire)));
        }
    }
    measured.cpu += thread_cpu() - cpu_before;
    measured_ = &ignored_;
}

std::size_t Worker::next_batch(Instant now, std::uint64_t& first_key) noexcept {
    if (requests_left_ == 0 || now >= deadline_) return 0;
    const auto batch = std::min<std::uint64_t>(options_.pipeline, requests_left_);
    first_key = phase_.first_key;
    phase_.first_key += batch;
    requests_left_ -= batch;
    return static_cast<std::size_t>(batch);
}

void Worker::batch_done(Instant sent, Instant now, std::size_t requests) noexcept {
    measured_->latency.record(static_cast<std::uint64_t>((now - sent).count()), requests);
    measured_->finished = std::max(measured_->finished, now);
    last_reply_ = now;
}

void Worker::fail_connection(const Connection&, std::string_view reason, int error) {
    if (!reason.empty()) {
        return shared_.fail(fmt::format("{} sent {}: check --protocol (this run: {})",
                                        endpoint_.text(), reason, name(options_.workload.wire)));
    }
    if (error == 0) {
        return shared_.fail(
            fmt::format("{} closed a connection: the server's log says why", endpoint_.text()));
    }
    std::string text = fmt::format("connection to {} failed: {}", endpoint_.text(),
                                   std::generic_category().message(error));
    if (const auto hint = client::advice(error); !hint.empty()) text.append(". ").append(hint);
    shared_.fail(std::move(text));
}

void Worker::close() {
    for (const auto& connection : connections_) connection->close();
    while (open_ > 0) reactor_->turn(look_around);
    connections_.clear();
}

}  // namespace kv::bench
