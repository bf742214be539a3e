// What a Connection does with a write: its commands, and what became of them.

#include <algorithm>

#include "engine/node/connection.h"
#include "engine/node/refusal.h"
#include "engine/node/router.h"
#include "engine/node/write_command.h"
#include "proto/command_table.h"

namespace kv {

namespace {

/// Whether the write may need memory: what Redis calls denyoom.
bool may_grow(Verb verb) noexcept {
    switch (verb) {
        case Verb::del:
        case Verb::unlink:
        case Verb::getdel:
        case Verb::delex:
        case Verb::flushall:
        case Verb::flushdb: return false;
        default: return true;
    }
}

}  // namespace

void Connection::write(const Request& request, KeyPlace where) {
    const std::span<const std::string_view> args = request.args;
    if (services_.memory.full() && may_grow(request.verb)) [[unlikely]]
        return refuse(request);
    const std::size_t parts = parts_of(request.verb, args.size());
    if (parts > wide_parts_per_turn) return park(request);
    if (is_flush(request.verb)) {
        if (sees_whole(request.protocol)) return park(request);
    } else if (parts > 1 || request.verb == Verb::mset) {
        if (!services_.replicas.alone() && gathers_parts(request.protocol)) return park(request);
    } else if (routes()) {
        return begin_routed(request, where);
    }
    const std::uint64_t number = pipeline_.tail();
    Slot& pushed = push(request);
    pushed.state = Slot::State::writing;
    pushed.key_slot = where.slot;
    const Placement& placement = services_.replicas.placement();
    Command command;
    command.session = request.session;
    command.sequence = request.sequence;
    // Others of one key: see command_of().
    switch (request.verb) {
        case Verb::mset:
            pipeline_.at(number).key_slot = slot_of(args[0]);
            for (std::size_t i = 0; i + 1 < args.size(); i += 2) {
                command.key = args[i];
                command.value = args[i + 1];
                propose(number, placement.shard_of(command.key), command);
            }
            break;
        case Verb::del:
        case Verb::unlink:
            command.kind = CommandKind::del;
            pipeline_.at(number).key_slot = slot_of(args[0]);
            for (const std::string_view key : args) {
                command.key = key;
                propose(number, placement.shard_of(key), command);
            }
            break;
        case Verb::flushall:
        case Verb::flushdb:
            command.kind = CommandKind::flush;
            for (std::uint16_t i = 0; i < placement.shards(); ++i) {
                propose(number, ShardId(i), command);
            }
            break;
        default:
            command = command_of(request, services_.limits);
            pipeline_.at(number).command_flags = command.flags;
            propose(number, where.shard, command);
            break;
    }
    Slot& slot = pipeline_.at(number);
    if (slot.parts_left != 0) return;
    slot.state = Slot::State::done;
    services_.mark(*this);
}

/// The reply to a write that is over.
void Connection::answer_outcome(const Slot& slot, std::string& out) {
    ReplyWriter reply(slot.protocol, slot.request_id, out);
    if (!slot.refused) return answer_write(slot, reply);
    if (outcome(slot.refusal.reason) == Outcome::unknown) return reply.error(slot.refusal.reason);
    // Refused in one shard and applied in another: the whole is neither.
    if (slot.parts_applied != 0) {
        const bool led_only = slot.refusal.reason == Errc::not_leader && is_resp(slot.protocol) &&
                              (slot.verb == Verb::flushall || slot.verb == Verb::flushdb);
        if (led_only) return answer_write(slot, reply);
        return reply.error(Errc::commit_timeout,
                           "some keys were written and others refused, outcome unknown");
    }
    answer_refusal(slot.shown(slot.refusal), slot.key_slot, services_.replicas, slot.protocol,
                   reply);
}

/// Out of memory: nothing is begun, on any core, and nothing is logged.
void Connection::refuse(const Request& request) {
    Slot& slot = push(request);
    slot.refuse({Errc::out_of_memory, NodeId()});
    services_.mark(*this);
}

void Connection::propose(std::uint64_t number, ShardId shard, const Command& command) {
    const Waiter waiter{this, number, 0, services_.reactor.core()};
    if (const auto refusal = offer(waiter, shard, command)) pipeline_.at(number).refuse(*refusal);
}

/// One command of a request that waits. Nothing: its outcome will be told.
std::optional<Refused> Connection::offer(const Waiter& waiter, ShardId shard,
                                         const Command& command) {
    if (services_.replicas.has(shard)) {
        if (const auto refusal = services_.replicas.propose(shard, command, waiter)) {
            return refusal_of(services_.replicas, shard, *refusal);
        }
    } else {
        services_.router.propose(shard, command, waiter);
    }
    ++pipeline_.at(waiter.request).parts_left;
    ++outstanding_;
    written_shards_ |= shard_bit(shard);
    written_value_bytes_max_ = std::max(written_value_bytes_max_, command.value.size());
    return std::nullopt;
}

void Connection::on_applied(const Waiter& waiter, const Store::Applied& result) noexcept {
    called_back();
    if (!pipeline_.holds(waiter.request)) return;  // it was answered: outcome unknown
    Slot& slot = pipeline_.at(waiter.request);
    if (slot.state != Slot::State::writing && slot.state != Slot::State::wide) return;
    slot.number += result.number;
    if (result.refused) {
        slot.refuse({*result.refused, NodeId()});
    } else {
        ++slot.parts_applied;
    }
    if (result.previous) {
        slot.has_previous = true;
        slot.bytes.assign(*result.previous);
        pipeline_.add_charge(slot, slot.bytes.size());
    }
    part_done(slot);
}

void Connection::on_refused(const Waiter& waiter, Refused refusal) noexcept {
    called_back();
    if (!pipeline_.holds(waiter.request)) return;
    Slot& slot = pipeline_.at(waiter.request);
    const bool waits = slot.state == Slot::State::reading || slot.state == Slot::State::writing;
    if (slot.kept && waits) return refuse_kept(slot, refusal);
    if (slot.state == Slot::State::reading) {
        slot.refuse(refusal);
        slot.state = Slot::State::done;
        slot.rendered = true;
        slot.bytes.clear();
        ReplyWriter reply(slot.protocol, slot.request_id, slot.bytes);
        answer_refusal(refusal, slot.key_slot, services_.replicas, slot.protocol, reply);
        return pipeline_.add_charge(slot, slot.bytes.size());
    }
    if (slot.state != Slot::State::writing && slot.state != Slot::State::wide) return;
    if (slot.state == Slot::State::wide) {
        command_class(slot.verb) == CommandClass::write ? --slot.parts_left
                                                        : --wide_.reads_in_flight;
        return refuse_part(slot, waiter.part, refusal);
    }
    slot.refuse(refusal);
    part_done(slot);
}

/// A wide request is done when its last part is begun, too.
void Connection::part_done(Slot& slot) noexcept {
    const bool last = --slot.parts_left == 0;
    if (last && slot.state == Slot::State::writing) slot.state = Slot::State::done;
}

}  // namespace kv
