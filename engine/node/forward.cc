#include "engine/node/forward.h"

#include <array>

#include "engine/node/glob.h"
#include "proto/command_codec.h"

namespace kv {

namespace {

/// Leaves room in a number for a place and a core.
std::uint64_t random_round(io::Reactor& reactor) noexcept {
    std::array<std::byte, 8> bytes;
    reactor.backend().fill_entropy(bytes);
    return (load_le<std::uint64_t>(bytes.data()) >> 24) + 1;
}

/// Whether `content` is one whole command for `shard`.
bool is_command_for(const Placement& placement, ShardId shard, std::string_view content) {
    Command command;
    const Result<std::size_t> bytes = decode_command(as_bytes(content), command);
    if (!bytes || *bytes != content.size()) return false;
    const bool flush = command.kind == CommandKind::flush;
    return flush == command.key.empty() && (flush || placement.shard_of(command.key) == shard);
}

}  // namespace

Forwarder::Forwarder(io::Reactor& reactor, ReplicaSet& replicas)
    : reactor_(reactor),
      replicas_(replicas),
      leaders_(replicas.shards()),
      round_(random_round(reactor)) {}

Forwarder::~Forwarder() {
    for (Asked& asked : all_asked_) reactor_.timers().disarm(asked);
}

// --- asking --------------------------------------------------------------------------------------

NodeId Forwarder::leader_elsewhere(ShardId shard) const noexcept {
    if (!replicas_.has(shard)) return leaders_[shard.value()];
    const NodeId leader = replicas_.leader(shard);
    return leader == replicas_.self() ? NodeId() : leader;
}

void Forwarder::note_leader(ShardId shard, NodeId leader) noexcept {
    leaders_[shard.value()] = leader == replicas_.self() ? NodeId() : leader;
}

ForwardAnswer Forwarder::lost(ForwardKind kind) {
    ForwardAnswer answer;
    const bool writes = kind == ForwardKind::apply;
    answer.refusal = Refused{writes ? Errc::commit_timeout : Errc::no_leader, NodeId()};
    return answer;
}

std::optional<Refused> Forwarder::ask(NodeId leader, ShardId shard, const ForwardRequest& request,
                                      Duration limit, const Waiter& waiter) {
    return send(leader, shard, request, limit, waiter, nullptr);
}

io::Task<ForwardAnswer> Forwarder::ask(NodeId leader, ShardId shard, ForwardRequest request,
                                       Duration limit) {
    Waiting waiting(reactor_);
    const auto refusal = send(leader, shard, request, limit, {}, &waiting);
    if (refusal) {
        waiting.answer.refusal = refusal;
        co_return std::move(waiting.answer);
    }
    co_await waiting.over.wait();
    co_return std::move(waiting.answer);
}

std::optional<Refused> Forwarder::send(NodeId leader, ShardId shard, const ForwardRequest& request,
                                       Duration limit, const Waiter& waiter, Waiting* waiting) {
    if (sender_ == nullptr) return Refused{};
    if (asked_ >= asked_max) return Refused{Errc::busy, NodeId()};
    if (free_asked_.empty()) {
        free_asked_.push_back(all_asked_.size());
        all_asked_.emplace_back(*this, all_asked_.size());
    }
    Asked& asked = all_asked_[free_asked_.back()];
    const std::uint16_t cores = replicas_.placement().cores();
    const std::uint64_t number =
        (++round_ * asked_max + asked.place) * cores + reactor_.core().value();
    out_.clear();
    encode_forward_request(request, out_);
    Forward forward;
    forward.group = Placement::group_of(shard);
    forward.request = number;
    forward.content = as_bytes(out_);
    if (!sender_->send_forward(leader, forward)) {
        if (!replicas_.has(shard)) note_leader(shard, NodeId());
        return Refused{};  // it is known not to have been applied
    }
    free_asked_.pop_back();
    ++asked_;
    asked.number = number;
    asked.leader = leader;
    asked.shard = shard;
    asked.kind = request.kind;
    asked.bytes = out_.size();
    asked.waiter = waiter;
    asked.waiting = waiting;
    asked_bytes_ += asked.bytes;
    if (asked_ >= asked_pause || asked_bytes_ >= asked_bytes_pause) full_ = true;
    reactor_.timers().arm(asked, reactor_.now() + limit);
    return std::nullopt;
}

/// Its place is free for another one.
void Forwarder::end(Asked& asked, const ForwardAnswer& answer) {
    reactor_.timers().disarm(asked);
    asked.number = 0;
    free_asked_.push_back(asked.place);
    --asked_;
    asked_bytes_ -= asked.bytes;
    // What refuses may know who leads; what is lost may be so because nobody leads there any more.
    if (answer.refusal && !replicas_.has(asked.shard)) {
        const bool led = answer.refusal->reason == Errc::not_leader;
        note_leader(asked.shard, led ? answer.refusal->leader : NodeId());
    }
    if (full_ && asked_ < asked_pause / 2 && asked_bytes_ < asked_bytes_pause / 2) {
        full_ = false;
        handler_->on_uncongested();
    }
    if (asked.waiting == nullptr) return handler_->on_forwarded(asked.waiter, answer);
    asked.waiting->answer = answer;
    asked.waiting->over.set();
}

void Forwarder::on_reply(NodeId from, const Forward& reply) {
    const std::uint16_t cores = replicas_.placement().cores();
    const std::size_t place = reply.request / cores % asked_max;
    if (place >= all_asked_.size()) return;
    Asked& asked = all_asked_[place];
    if (asked.number != reply.request || asked.leader != from) return;
    const Result<ForwardReply> decoded = decode_forward_reply(reply.content);
    if (!decoded || decoded->kind != asked.kind) return;
    // What contradicts itself stays lost: a command is unknown, not refused.
    const Outcome said = decoded->error ? outcome(*decoded->error) : Outcome::applied;
    if (said != reply.outcome) return end(asked, lost(asked.kind));
    answer_.refusal.reset();
    if (decoded->error) answer_.refusal = Refused{*decoded->error, decoded->leader};
    answer_.found = decoded->found;
    answer_.number = decoded->number;
    answer_.revision = decoded->revision;
    answer_.content.assign(decoded->content);
    end(asked, answer_);
    if (answer_.content.capacity() > page_bytes_max) release(answer_.content);
}

void Forwarder::disconnected(NodeId peer) {
    for (Asked& asked : all_asked_) {
        if (asked.number != 0 && asked.leader == peer) end(asked, lost(asked.kind));
    }
    reactor_.want_turn();  // this may be its end
}

// --- serving -------------------------------------------------------------------------------------

void Forwarder::on_request(NodeId from, const Forward& forward) {
    if (free_served_.empty()) free_served_.push_back(&all_served_.emplace_back(*this));
    Served& served = *free_served_.back();
    free_served_.pop_back();
    ++served_;
    served.from = from;
    served.group = forward.group;
    served.number = forward.request;
    const Result<ForwardRequest> request = decode_forward_request(forward.content);
    // Who asks in words of a later version is told, whatever it asked.
    if (!request) {
        served.request.kind = forward_kind(forward.content);
        return refuse(served, {Errc::unsupported, NodeId()});
    }
    served.request = *request;
    served.content.assign(request->content);
    served.request.content = served.content;
    ShardId shard;
    const bool here = replicas_.placement().shard_of(forward.group, shard) && replicas_.has(shard);
    if (!here) return refuse(served, {});
    if (served_ > served_max) return refuse(served, {Errc::busy, NodeId()});
    serve(served, shard);
}

void Forwarder::serve(Served& served, ShardId shard) {
    const std::string_view content = served.content;
    if (served.request.kind == ForwardKind::apply) {
        if (!is_command_for(replicas_.placement(), shard, content)) {
            return refuse(served, {Errc::syntax, NodeId()});
        }
        auto refused = replicas_.propose(shard, as_bytes(content), served.waiter());
        // That this node is about to stop is nothing to a client of another one.
        if (refused == Errc::shutting_down) refused = Errc::no_leader;
        if (refused) refuse(served, refusal_of(replicas_, shard, *refused));
        return;
    }
    const Store& store = replicas_.store(shard);
    const std::uint64_t hash = served.request.kind == ForwardKind::read ? store.hash(content) : 0;
    switch (replicas_.begin_read(shard, served.waiter(), hash, false)) {
        case ReadTurn::now: return answer_read(served, store);
        case ReadTurn::later: return;
        case ReadTurn::never: return refuse(served, refusal_of(replicas_, shard, Errc::no_leader));
    }
}

void Forwarder::Served::on_readable(const Waiter&, const Store& store) noexcept {
    forwarder.answer_read(*this, store);
}

void Forwarder::Served::on_refused(const Waiter&, Refused refusal) noexcept {
    forwarder.refuse(*this, refusal);
}

void Forwarder::Served::on_applied(const Waiter&, const Store::Applied& result) noexcept {
    if (result.refused) return forwarder.refuse(*this, {*result.refused, NodeId()});
    ForwardReply reply;
    reply.number = static_cast<std::uint64_t>(result.number);
    reply.revision = result.revision;
    reply.found = result.previous.has_value();
    if (reply.found) reply.content = *result.previous;
    forwarder.answer(*this, reply);
}

void Forwarder::answer_read(Served& served, const Store& store) {
    ForwardReply reply;
    std::string listed;
    switch (served.request.kind) {
        case ForwardKind::read: {
            const auto found = store.get(served.content, store.hash(served.content));
            reply.found = found.has_value();
            if (found) reply.revision = found->revision;
            if (found && served.request.wants_value) reply.content = found->value;
            break;
        }
        case ForwardKind::count: reply.number = store.size(); break;
        case ForwardKind::list: {
            Cursor cursor(served.request.cursor);
            std::size_t keys = 0;
            std::uint64_t steps = 0;
            do {
                cursor = store.scan(cursor, [&](std::string_view key, std::string_view, Revision) {
                    ++keys;
                    const bool wanted = !served.request.has_pattern ||
                                        glob_match(served.content, key, false, &steps);
                    if (wanted) append_listed(listed, key);
                });
            } while (cursor != Cursor(0) && keys < page_keys_max &&
                     listed.size() < page_bytes_max && steps < page_match_steps_max);
            reply.number = cursor.value();
            reply.content = listed;
            break;
        }
        case ForwardKind::apply: KV_UNREACHABLE();
    }
    answer(served, reply);
}

void Forwarder::refuse(Served& served, Refused refusal) {
    ForwardReply reply;
    reply.error = refusal.reason;
    reply.leader = refusal.leader;
    answer(served, reply);
}

void Forwarder::answer(Served& served, ForwardReply& reply) {
    reply.kind = served.request.kind;
    out_.clear();
    encode_forward_reply(reply, out_);
    Forward forward;
    forward.group = served.group;
    forward.request = served.number;
    forward.outcome = reply.error ? outcome(*reply.error) : Outcome::applied;
    forward.content = as_bytes(out_);
    if (sender_ != nullptr) static_cast<void>(sender_->send_forward_reply(served.from, forward));
    if (served.content.capacity() > page_bytes_max) release(served.content);
    --served_;
    free_served_.push_back(&served);
}

}  // namespace kv
