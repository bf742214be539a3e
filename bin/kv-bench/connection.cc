#include "bin/kv-bench/connection.h"

#include "bin/kv-bench/worker.h"

namespace kv::bench {

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
    stream_->receive();
}

void Connection::send(const Batch& batch) {
    KV_DCHECK(!busy() && open());
    batch_ = batch;
    awaited_ = batch.count;
    unsent_ = batch.load ? writer_.load(batch.first, batch.count) : writer_.next(batch.count);
    sent_at_ = worker_.clock();
    if (history_) history_->sent(writer_.issued(), sent_at_);
    stream_->send(as_bytes(unsent_));
}

void Connection::give_up() {
    batch_ = {};
    awaited_ = 0;
    unsent_ = {};
    if (history_) history_->given_up();
}

void Connection::on_received(Bytes bytes) noexcept {
    if (stream_->closing()) return;
    const std::size_t done = counter_.feed(as_text(bytes), worker_.counts());
    if (counter_.broken()) return worker_.misunderstood("an answer that is not of this protocol");
    if (done > awaited_) return worker_.misunderstood("more replies than requests");
    // In a closed loop only the end of a batch counts, and the clock is read once for it.
    const bool last = done > 0 && done == awaited_;
    if (last || history_ || worker_.paced()) replied_at_ = worker_.clock();
    if (history_ && !history_->received(as_text(bytes), replied_at_)) {
        return worker_.misunderstood("an answer that is not of this protocol");
    }
    if (worker_.paced()) worker_.paced_replies(batch_, batch_.count - awaited_, done, replied_at_);
    awaited_ -= done;
    if (last && unsent_.empty()) finish_batch(replied_at_);
}

void Connection::on_sent(std::size_t bytes) noexcept {
    if (stream_->closing()) return;
    unsent_.remove_prefix(bytes);
    if (!unsent_.empty()) {
        stream_->send(as_bytes(unsent_));
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
