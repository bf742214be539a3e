// Requests of one key of a Connection whose client need not know which node leads what ([client]
// on_follower): begun here when this node leads the shard, else asked of the leader, many at once.
//
// Requests of one connection for one shard take effect in the order in which they were sent. What
// is begun on one way keeps its order: here it is the order of the shard's log, and to another node
// that of Forwarder::ask(). So a request goes on its way at once only if nothing else for its shard
// is under way on another one: after a change of leader, or of the connection between the nodes.
// Else it is held: nothing behind it begins, and it begins when all before it are settled.
//
// Who does not lead the shard refuses, and says who does. Such a request is held, too, to be begun
// there, a few times at most: it is known not to have been applied. But one behind it may have been
// taken meanwhile, because leadership came back: then it is too late for it, and it is refused for
// good. So none is begun again before all others of the connection are settled.
//
// While nobody leads, as for some milliseconds when leadership is handed over and for an election
// when a leader is lost, it waits, too, and is begun again a little later: a client that knows
// nothing of leaders would have to tell its user of something that is over by then.
//
// What is lost on the way to the leader, or on the way back, is settled: a command is unknown, and
// may take effect later, as any command of unknown outcome; a read has failed.

#include <algorithm>
#include <vector>

#include "engine/node/connection.h"
#include "engine/node/key_read.h"
#include "engine/node/router.h"
#include "engine/node/write_command.h"
#include "io/await.h"
#include "proto/command_table.h"

namespace kv {

namespace {

/// How often a request is begun again where it is said to belong.
constexpr std::uint8_t tries_max = 3;

bool writes(const Slot& slot) noexcept {
    return command_class(slot.verb) == CommandClass::write;
}

/// Whether a request that is answered may have had its turn: a later place in the order of its
/// shard is taken.
bool had_its_turn(const Slot& slot) noexcept {
    if (!slot.refused || slot.parts_applied != 0) return true;
    switch (slot.refusal.reason) {
        case Errc::not_leader:
        case Errc::no_leader:
        case Errc::busy:
        case Errc::out_of_memory: return false;
        default: return true;
    }
}

}  // namespace

/// Whether this node asks the leader in the client's place.
bool Connection::forwards() const noexcept {
    if (!services_.forwarder.connected()) return false;
    switch (services_.config.client.on_follower) {
        case OnFollower::redirect: return false;
        case OnFollower::forward: return true;
        case OnFollower::automatic: break;
    }
    return std::holds_alternative<resp::RespParser>(parser_) && !session_.knows_topology();
}

/// The same, or it did so a moment ago: what is under way has its place in the order.
bool Connection::routes() const noexcept {
    return forwards() || (away_ != nullptr && away_->in_flight != 0);
}

/// Whether the client takes the cluster for one server, so that requests over all shards are about
/// all of them. (Clients of a Redis cluster ask each node for what it leads.)
bool Connection::sees_whole(Protocol protocol) const noexcept {
    if (!services_.forwarder.connected()) return false;
    return !is_resp(protocol) || (forwards() && !session_.knows_topology());
}

/// Whether something for `shard` is under way on another way than to `leader`; 0: than here.
bool Connection::crosses_ways(ShardId shard, NodeId leader) const noexcept {
    const std::uint64_t bit = shard_bit(shard);
    const bool away = away_ != nullptr && (away_->shards & bit) != 0;
    if (leader == NodeId()) return away;
    if (((here_shards_ | written_shards_) & bit) != 0) return true;
    return away &&
           away_->ways[shard.value() % 64] != Way{leader, services_.forwarder.way_to(leader)};
}

void Connection::begin_routed(const Request& request, KeyPlace where) {
    const std::uint64_t number = pipeline_.tail();
    Slot& slot = push(request);
    slot.key_slot = where.slot;
    slot.shard = where.shard;
    slot.kept = true;
    if (writes(slot)) {
        const Command command = command_of(request, services_.limits);
        slot.command_flags = command.flags;
        encode_command(slot.bytes, command);
    } else {
        keep_key_read(request, slot.bytes);
    }
    pipeline_.add_charge(slot, slot.bytes.size());
    const NodeId leader = slot.plain ? services_.forwarder.leader_elsewhere(where.shard) : NodeId();
    if (crosses_ways(where.shard, leader)) return hold(slot);
    begin_kept(number, leader);
}

/// Nothing behind `slot` begins before it.
void Connection::hold(Slot& slot) noexcept {
    slot.state = Slot::State::held;
    ++held_;
    services_.mark(*this);
}

/// Whether `slot`, which was refused, may be begun again in a moment. A leader that hands over is
/// `busy` when no more may wait for the next one.
bool Connection::may_wait(const Slot& slot, Refused refusal) const noexcept {
    const Duration took = services_.reactor.now().time_since_epoch() - Duration(slot.begun_ns);
    return (refusal.reason == Errc::no_leader || refusal.reason == Errc::busy) && slot.plain &&
           took < leader_wait_elections * services_.config.raft.election_timeout;
}

/// What is held begins later.
void Connection::await_leader() {
    if (awaits_leader_) return;
    awaits_leader_ = true;
    ++outstanding_;
    services_.reactor.spawn(wait_for_leader());
}

io::Task<void> Connection::wait_for_leader() {
    co_await io::SleepAwaiter(services_.reactor, leader_look_period);
    awaits_leader_ = false;
    called_back();
}

/// Begins what `number` has kept: here, or at `leader`.
void Connection::begin_kept(std::uint64_t number, NodeId leader) {
    Slot& slot = pipeline_.at(number);
    slot.state = writes(slot) ? Slot::State::writing : Slot::State::reading;
    const auto refusal = leader == NodeId() ? begin_here(number) : begin_away(number, leader);
    if (refusal) refuse_kept(pipeline_.at(number), *refusal);
}

std::optional<Refused> Connection::begin_here(std::uint64_t number) {
    Slot& slot = pipeline_.at(number);
    const Waiter waiter{this, number, 0, services_.reactor.core()};
    const ShardId shard = slot.shard;
    here_shards_ |= shard_bit(shard);
    if (writes(slot)) {
        Command command;
        const Result<std::size_t> bytes = decode_command(as_bytes(slot.bytes), command);
        KV_ASSERT(bytes.has_value(), "a command that was encoded here");
        return offer(waiter, shard, command);
    }
    std::array<std::string_view, key_read_args_max> args;
    const std::string_view key = restore_key_read(slot.verb, slot.bytes, args)[0];
    if (!services_.replicas.has(shard)) {
        const bool wants_value = needs_value(slot.verb);
        if (wants_value && !slot.again) pipeline_.add_charge(slot, expected_value_bytes_);
        ++outstanding_;
        services_.router.read(shard, key, {.behind_writes = true, .wants_value = wants_value},
                              waiter);
        return std::nullopt;
    }
    const Store& store = services_.replicas.store(shard);
    slot.hash = store.hash(key);
    switch (services_.replicas.begin_read(shard, waiter, slot.hash, true)) {
        case ReadTurn::never: return refusal_of(services_.replicas, shard, Errc::no_leader);
        case ReadTurn::now:
            ++outstanding_;
            on_readable(waiter, store);
            return std::nullopt;
        case ReadTurn::later: break;
    }
    const auto found = store.get(key, slot.hash);
    const std::size_t stored = found ? found->value.size() : 0;
    if (!slot.again) pipeline_.add_charge(slot, std::max(stored, written_value_bytes_max_));
    ++outstanding_;
    return std::nullopt;
}

/// How long a request may still take.
Duration Connection::time_left(const Slot& slot) const noexcept {
    const Duration begun(slot.begun_ns);
    return begun + services_.config.commit_timeout - services_.reactor.now().time_since_epoch();
}

std::optional<Refused> Connection::begin_away(std::uint64_t number, NodeId leader) {
    Slot& slot = pipeline_.at(number);
    ForwardRequest request;
    request.content = slot.bytes;
    request.kind = writes(slot) ? ForwardKind::apply : ForwardKind::read;
    request.wants_value = needs_value(slot.verb);
    std::array<std::string_view, key_read_args_max> args;
    if (!writes(slot)) request.content = restore_key_read(slot.verb, slot.bytes, args)[0];
    const auto refusal = ask_leader(leader, slot.shard, request, time_left(slot),
                                    Waiter{this, number, 0, services_.reactor.core()});
    if (refusal) return refusal;
    away_->shards |= shard_bit(slot.shard);
    away_->ways[slot.shard.value() % 64] = {leader, services_.forwarder.way_to(leader)};
    if (writes(slot)) {
        ++slot.parts_left;
    } else if (request.wants_value && !slot.again) {
        pipeline_.add_charge(slot, expected_value_bytes_);
    }
    return std::nullopt;
}

/// Nothing: on_forwarded() will be told.
std::optional<Refused> Connection::ask_leader(NodeId leader, ShardId shard,
                                              const ForwardRequest& request, Duration limit,
                                              const Waiter& waiter) {
    const auto refusal = services_.forwarder.ask(leader, shard, request, limit, waiter);
    if (refusal) return refusal;
    if (away_ == nullptr) away_ = std::make_unique<Away>();
    ++away_->in_flight;
    ++outstanding_;
    return std::nullopt;
}

void Connection::on_forwarded(const Waiter& waiter, const ForwardAnswer& answer) noexcept {
    if (--away_->in_flight == 0) away_->shards = 0;
    const bool holds = pipeline_.holds(waiter.request);
    if (!holds) return called_back();  // it was answered: outcome unknown
    const Slot& slot = pipeline_.at(waiter.request);
    if (answer.refusal) {
        // A part of a larger request is asked for once.
        const bool part = slot.state == Slot::State::wide;
        return on_refused(waiter,
                          part ? Refused{reason_of(*answer.refusal), NodeId()} : *answer.refusal);
    }
    if (writes(slot)) {
        Store::Applied result{};
        result.number = static_cast<std::int64_t>(answer.number);
        result.revision = answer.revision;
        const bool asked = (slot.command_flags & flag_return_previous) != 0;
        if (answer.found && asked) result.previous = answer.content;
        return on_applied(waiter, result);
    }
    std::optional<Store::Found> found;
    if (answer.found) found = {answer.content, answer.revision};
    on_read(waiter, found);
}

/// A request that was kept has been refused: where it was begun, nothing has become of it, or
/// nobody knows.
void Connection::refuse_kept(Slot& slot, Refused refusal) {
    if (!services_.replicas.has(slot.shard)) {
        const bool led = refusal.reason == Errc::not_leader;
        services_.forwarder.note_leader(slot.shard, led ? refusal.leader : NodeId());
    }
    const bool waits = may_wait(slot, refusal);
    const bool goes_on = refusal.reason == Errc::not_leader && slot.plain && slot.tries < tries_max;
    if (!waits && !goes_on) return refuse_for_good(slot, refusal);
    slot.tries = waits ? 0 : static_cast<std::uint8_t>(slot.tries + 1);
    slot.again = true;
    slot.refusal = refusal;
    slot.parts_left = 0;
    hold(slot);
    if (waits) await_leader();
}

void Connection::refuse_for_good(Slot& slot, Refused refusal) {
    slot.refuse(refusal);
    slot.parts_left = 0;
    slot.state = Slot::State::done;
    services_.mark(*this);
    if (writes(slot)) return;  // see answer_outcome
    slot.rendered = true;
    slot.bytes.clear();
    ReplyWriter reply(slot.protocol, slot.request_id, slot.bytes);
    answer_refusal(slot.shown(refusal), slot.key_slot, services_.replicas, slot.protocol, reply);
    pipeline_.add_charge(slot, slot.bytes.size());
}

/// Begins what is held, once everything else that has begun is settled.
void Connection::begin_held() {
    if (awaits_leader_) return;
    /// Of the held requests of one shard: all go to one place.
    struct Fate {
        ShardId shard;
        bool overtaken;  ///< one behind those that are still to be looked at has had its turn
        std::optional<NodeId> leader;
    };
    const Placement& placement = services_.replicas.placement();
    std::vector<Fate> fates;
    bool all_overtaken = false;  // FLUSHALL was
    const auto fate_of = [&](ShardId shard) -> Fate& {
        const auto found = std::ranges::find(fates, shard, &Fate::shard);
        if (found != fates.end()) return *found;
        fates.push_back({shard, false, std::nullopt});
        return fates.back();
    };
    for (std::uint64_t number = pipeline_.tail(); number-- != pipeline_.head();) {
        Slot& slot = pipeline_.at(number);
        switch (slot.state) {
            case Slot::State::writing:
            case Slot::State::reading:
            case Slot::State::wide:
            case Slot::State::running: return;
            case Slot::State::parked: break;
            case Slot::State::done:
                // Also what is not kept, of a client that has learned of leaders meanwhile: its
                // keys have one slot.
                if (!had_its_turn(slot)) break;
                if (is_flush(slot.verb)) all_overtaken = true;
                fate_of(placement.shard_of(slot.key_slot)).overtaken = true;
                break;
            case Slot::State::held: {
                Fate& fate = fate_of(slot.shard);
                if (fate.overtaken || all_overtaken) {
                    --held_;
                    refuse_for_good(slot, {});
                    break;
                }
                // What refused it last knows best who leads.
                if (slot.tries != 0 && !fate.leader) fate.leader = slot.refusal.leader;
                break;
            }
        }
    }
    const NodeId self = services_.replicas.self();
    const std::uint64_t tail = pipeline_.tail();
    for (std::uint64_t number = pipeline_.head(); number != tail; ++number) {
        if (!pipeline_.holds(number)) continue;
        Slot& slot = pipeline_.at(number);
        if (slot.state != Slot::State::held) continue;
        --held_;
        if (time_left(slot) <= Duration::zero()) {
            refuse_for_good(slot, {});
            continue;
        }
        Fate& fate = fate_of(slot.shard);
        if (!fate.leader) fate.leader = services_.forwarder.leader_elsewhere(slot.shard);
        const NodeId leader = slot.plain ? *fate.leader : NodeId();
        begin_kept(number, leader == self ? NodeId() : leader);
    }
}

}  // namespace kv
