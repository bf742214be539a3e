#include "consensus/drive/snapshot_link.h"

#include <system_error>

#include "io/await.h"

namespace kv::consensus {

SnapshotLink::SnapshotLink(io::Reactor& reactor, PeerBook& book, LinkLimits limits)
    : reactor_(reactor),
      book_(book),
      limits_(limits),
      connect_(*this),
      tick_timer_(*this),
      changed_(reactor) {}

SnapshotLink::~SnapshotLink() {
    reactor_.timers().disarm(tick_timer_);
}

Handshake SnapshotLink::introduce(ShardId shard, std::uint16_t shards, NodeId expected) {
    Handshake own = book_.introduce();
    own.purpose = Purpose::snapshot;
    own.core = CoreId(shard.value());
    own.cores = shards;
    own.expected = expected;
    reactor_.backend().fill_entropy({reinterpret_cast<std::byte*>(&own.nonce), sizeof own.nonce});
    return own;
}

void SnapshotLink::hold(std::int32_t fd) {
    Link::Owner& owner = *this;
    link_ = std::make_unique<Link>(reactor_, fd, owner, limits_);
    reactor_.timers().arm(tick_timer_, reactor_.now() + tick_period);
}

Status SnapshotLink::state() const {
    if (why_.empty()) return {};
    return fail(Errc::io, why_);
}

io::Task<Status> SnapshotLink::connect(PeerAddress peer, ShardId shard, std::uint16_t shards) {
    own_ = introduce(shard, shards, peer.node);
    endpoint_ = peer.endpoint;
    give_up_ = reactor_.now() + limits_.connect_timeout;
    io::OpRequest request;
    request.code = io::OpCode::connect;
    request.endpoint = &endpoint_;
    connect_.set_request(request);
    reactor_.timers().arm(tick_timer_, reactor_.now() + tick_period);
    reactor_.backend().submit(connect_);
    while (connect_.in_flight()) {
        changed_.reset();
        co_await changed_.wait();
    }
    if (connect_result_ < 0) {
        if (why_.empty()) why_ = std::generic_category().message(-connect_result_);
        co_return state();
    }
    hold(connect_result_);
    link_->ask(own_);
    while (why_.empty() && !link_->open()) {
        changed_.reset();
        co_await changed_.wait();
    }
    co_return state();
}

void SnapshotLink::connected(io::Op& op, std::int32_t result, io::Completion) noexcept {
    SnapshotLink& self = static_cast<ConnectOp&>(op).link;
    self.connect_result_ = result;
    self.changed_.set();
}

void SnapshotLink::adopt(std::int32_t fd, const Handshake& theirs) {
    own_ = introduce(ShardId(theirs.core.value()), theirs.cores, theirs.node);
    own_.verdict = verdict_accepted;
    theirs_ = theirs;
    hold(fd);
    link_->answer(own_, theirs);
}

bool SnapshotLink::on_answer(Link&, const Handshake& theirs) noexcept {
    const auto refusal = judge(own_, theirs, book_.know(theirs.node));
    changed_.set();
    if (theirs.verdict == verdict_accepted && !refusal) {
        theirs_ = theirs;
        return true;
    }
    why_ = refusal ? refusal_sentence(*refusal, own_, theirs) : theirs.sentence;
    if (why_.empty()) why_ = "refused";
    return false;
}

Status SnapshotLink::on_frame(Link& link, const Frame& frame) noexcept {
    if (frame.kind == FrameKind::idle) return {};
    inbox_.push_back({frame.kind, std::string(as_text(frame.payload))});
    inbox_bytes_ += frame.payload.size();
    if (inbox_bytes_ >= inbox_bytes_max) link.pause();
    changed_.set();
    return {};
}

void SnapshotLink::on_broken(Link&, const std::string& why) noexcept {
    break_off(why.empty() ? "the connection ended" : why);
}

void SnapshotLink::on_gone(Link&) noexcept {
    gone_ = true;
    if (why_.empty()) why_ = "the connection ended";
    changed_.set();
}

void SnapshotLink::break_off(std::string why) {
    if (why_.empty()) why_ = std::move(why);
    changed_.set();
}

void SnapshotLink::tick() {
    reactor_.timers().arm(tick_timer_, reactor_.now() + tick_period);
    const bool late = reactor_.now() >= give_up_ || !why_.empty();
    if (connect_.in_flight()) {
        if (late) reactor_.backend().cancel(connect_);
        return;
    }
    if (link_ && !gone_) link_->tick(reactor_.now());
    if (reactor_.now() >= receive_until_) break_off("it says nothing of use");
}

io::Task<Status> SnapshotLink::send(std::string frames) {
    while (why_.empty() && link_->queue().bytes() >= queued_bytes_max) {
        co_await io::SleepAwaiter(reactor_, send_check_period);
    }
    if (why_.empty()) {
        link_->queue().add_frames(std::move(frames));
        link_->flush();
    }
    co_return state();
}

io::Task<Result<SnapshotLink::Received>> SnapshotLink::receive() {
    receive_until_ = reactor_.now() + receive_wait_max;
    while (inbox_.empty()) {
        if (!why_.empty()) co_return fail(Errc::io, why_);
        changed_.reset();
        co_await changed_.wait();
    }
    receive_until_ = Instant::max();
    Received received = std::move(inbox_.front());
    inbox_.pop_front();
    const bool was_full = inbox_bytes_ >= inbox_bytes_max;
    inbox_bytes_ -= received.payload.size();
    if (was_full && inbox_bytes_ < inbox_bytes_max && why_.empty()) link_->resume();
    co_return received;
}

io::Task<void> SnapshotLink::close(bool flush) {
    const Instant until = reactor_.now() + close_wait_max;
    while (flush && why_.empty() && link_ && !link_->queue().empty() && reactor_.now() < until) {
        co_await io::SleepAwaiter(reactor_, send_check_period);
    }
    break_off("closed");
    if (link_) link_->close();
    while (link_ && !gone_) {
        changed_.reset();
        co_await changed_.wait();
    }
    reactor_.timers().disarm(tick_timer_);
}

}  // namespace kv::consensus
