#include "engine/node/forward.h"

#include <array>

#include "engine/node/glob.h"
#include "proto/command_codec.h"

namespace kv {

namespace {

std::uint64_t random_number(io::Reactor& reactor) noexcept {
    std::array<std::byte, 8> bytes;
    reactor.backend().fill_entropy(bytes);
    return load_le<std::uint64_t>(bytes.data()) >> 1;
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
    : reactor_(reactor), replicas_(replicas), numbers_(random_number(reactor)) {}

Forwarder::~Forwarder() {
    for (const auto& [number, asked] : asked_) reactor_.timers().disarm(*asked);
}

// --- asking --------------------------------------------------------------------------------------

ForwardAnswer Forwarder::lost(ForwardKind kind) {
    ForwardAnswer answer;
    const bool writes = kind == ForwardKind::apply;
    answer.refusal = Refused{writes ? Errc::commit_timeout : Errc::no_leader, NodeId()};
    return answer;
}

io::Task<ForwardAnswer> Forwarder::ask(NodeId leader, ShardId shard, ForwardRequest request,
                                       Duration limit) {
    Asked asked(reactor_, leader, request.kind);
    asked.answer.refusal = Refused{};
    if (sender_ == nullptr) co_return std::move(asked.answer);
    if (asked_.size() >= asked_max) {
        asked.answer.refusal = Refused{Errc::busy, NodeId()};
        co_return std::move(asked.answer);
    }
    const std::uint16_t cores = replicas_.placement().cores();
    const std::uint64_t number = ++numbers_ / cores * cores + reactor_.core().value();
    numbers_ = number + cores - 1;
    out_.clear();
    encode_forward_request(request, out_);
    Forward forward;
    forward.group = Placement::group_of(shard);
    forward.request = number;
    forward.content = as_bytes(out_);
    const bool sent = sender_->send_forward(leader, forward);
    if (!sent) co_return std::move(asked.answer);  // it is known not to have been applied
    asked.answer = lost(request.kind);
    asked_.emplace(number, &asked);
    reactor_.timers().arm(asked, reactor_.now() + limit);
    co_await asked.over.wait();
    asked_.erase(number);
    reactor_.timers().disarm(asked);
    co_return std::move(asked.answer);
}

void Forwarder::on_reply(NodeId from, const Forward& reply) {
    const auto found = asked_.find(reply.request);
    if (found == asked_.end() || found->second->leader != from) return;
    Asked& asked = *found->second;
    const Result<ForwardReply> decoded = decode_forward_reply(reply.content);
    if (!decoded || decoded->kind != asked.kind || asked.over.is_set()) return;
    // What this version does not understand stays lost: a command is unknown, not refused.
    const Outcome said = decoded->error ? outcome(*decoded->error) : Outcome::applied;
    if (said != reply.outcome) return asked.over.set();
    asked.answer.refusal.reset();
    if (decoded->error) asked.answer.refusal = Refused{*decoded->error, decoded->leader};
    asked.answer.found = decoded->found;
    asked.answer.number = decoded->number;
    asked.answer.revision = decoded->revision;
    asked.answer.content.assign(decoded->content);
    asked.over.set();
}

void Forwarder::disconnected(NodeId peer) {
    for (const auto& [number, asked] : asked_) {
        if (asked->leader == peer) asked->over.set();
    }
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
        const auto refused = replicas_.propose(shard, as_bytes(content), served.waiter());
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
