#include "bin/kv-bench/connection.h"

#include "bin/kv-bench/cluster_load.h"
#include "bin/kv-bench/worker.h"

namespace kv::bench {

namespace {

/// Allows writes, which are allowed anyway, and is a command that only cluster clients send.
constexpr std::string_view greeting = "*1\r\n$9\r\nREADWRITE\r\n";

}  // namespace

Connection::Connection(Worker& worker, std::uint64_t number, HistoryFile* history)
    : worker_(worker),
      wire_(worker.options().workload.wire),
      writer_(worker.workload(), worker.options().pipeline, number, worker.options().connections),
      counter_(wire_) {
    if (history != nullptr) history_.emplace(*history, static_cast<std::size_t>(number), wire_);
}

void Connection::attach(std::int32_t fd) {
    stream_.emplace(worker_.reactor(), fd, *this);
    counter_ = ReplyCounter(wire_);
    greeting_ = Greeting::none;
    stream_->receive();
}

void Connection::send(const Batch& batch) {
    KV_DCHECK(!busy() && open());
    batch_ = batch;
    awaited_ = batch.count;
    unsent_ = batch.load ? writer_.load(batch.first, batch.count) : writer_.next(batch.count);
    begin_send(worker_.clock());
}

void Connection::send(std::span<const OpenRequest> requests) {
    KV_DCHECK(!busy() && open());
    requests_.assign(requests.begin(), requests.end());
    batch_ = {.first = 0, .count = requests.size(), .load = false};
    awaited_ = requests.size();
    unsent_ = writer_.write(requests_);
    begin_send(worker_.clock());
}

void Connection::begin_send(Instant now) {
    sent_at_ = now;
    if (history_) history_->sent(writer_.issued(), sent_at_);
    stream_->send(as_bytes(unsent_));
}

void Connection::connect(const io::Endpoint& endpoint) {
    stream_.reset();
    connect_.endpoint = endpoint;
    io::OpRequest request;
    request.code = io::OpCode::connect;
    request.endpoint = &connect_.endpoint;
    connect_.set_request(request);
    worker_.reactor().backend().submit(connect_);
}

void Connection::cancel_connect() {
    worker_.reactor().backend().cancel(connect_);
}

void Connection::ConnectOp::connected(Op& op, std::int32_t result, io::Completion) noexcept {
    Connection& connection = static_cast<ConnectOp&>(op).connection;
    connection.worker_.cluster()->connected(connection, result);
}

void Connection::greet() {
    if (wire_ != Wire::resp) return worker_.cluster()->ready(*this);
    greeting_ = Greeting::awaited;
    unsent_ = greeting;
    stream_->send(as_bytes(unsent_));
}

/// Whatever the answer is: a server that does not know the command does not know clusters either.
void Connection::on_greeted(Bytes bytes) noexcept {
    ReplyCounts ignored;
    const std::size_t done = counter_.feed(as_text(bytes), ignored);
    if (counter_.broken() || done > 1) {
        return worker_.misunderstood(*this, "an answer that is not of this protocol");
    }
    if (done == 0) return;
    greeting_ = unsent_.empty() ? Greeting::none : Greeting::answered;
    if (greeting_ == Greeting::none) worker_.cluster()->ready(*this);
}

void Connection::give_up() {
    batch_ = {};
    awaited_ = 0;
    unsent_ = {};
    if (history_) history_->given_up();
}

void Connection::on_received(Bytes bytes) noexcept {
    if (stream_->closing()) return;
    if (greeting_ != Greeting::none) return on_greeted(bytes);
    ClusterLoad* const cluster = worker_.cluster();
    const std::size_t done = counter_.feed(as_text(bytes), worker_.counts());
    if (counter_.broken())
        return worker_.misunderstood(*this, "an answer that is not of this protocol");
    if (done > awaited_) return worker_.misunderstood(*this, "more replies than requests");
    // In a closed loop only the end of a batch counts, and the clock is read once for it.
    const bool last = done > 0 && done == awaited_;
    if (last || history_ || worker_.paced() || cluster != nullptr) replied_at_ = worker_.clock();
    if (history_ && !history_->received(as_text(bytes), replied_at_)) {
        return worker_.misunderstood(*this, "an answer that is not of this protocol");
    }
    if (cluster != nullptr) {
        cluster->replied(*this, awaited_requests().first(done), replied_at_);
    } else if (worker_.paced()) {
        worker_.paced_replies(batch_, batch_.count - awaited_, done, replied_at_);
    }
    awaited_ -= done;
    if (last && unsent_.empty()) finish_batch(replied_at_);
}

void Connection::on_sent(std::size_t bytes) noexcept {
    if (stream_->closing()) return;
    unsent_.remove_prefix(bytes);
    if (!unsent_.empty()) {
        stream_->send(as_bytes(unsent_));
    } else if (greeting_ == Greeting::answered) {
        greeting_ = Greeting::none;
        worker_.cluster()->ready(*this);
    } else if (busy() && awaited_ == 0) {
        finish_batch(replied_at_);  // the replies were noticed before the send's completion
    }
}

void Connection::finish_batch(Instant now) {
    const std::size_t count = batch_.count;
    batch_.count = 0;
    worker_.finished(*this, sent_at_, now, count);
}

void Connection::on_ended(std::int32_t error) noexcept {
    if (!stream_->closing()) worker_.ended(*this, error);
}

void Connection::on_closed() noexcept {
    worker_.closed(*this);
}

}  // namespace kv::bench
