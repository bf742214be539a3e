// Requests of a Connection over many keys of any shards: MGET, EXISTS, TOUCH, and long DEL, UNLINK
// and MSET. Such a request is at the front of the pipeline, and nothing behind it has begun. Its
// parts, one for each key, are begun in slices, so that a million keys hold up nobody.

#include <fmt/format.h>

#include <algorithm>

#include "engine/node/connection.h"
#include "engine/node/key_read.h"
#include "engine/node/router.h"
#include "proto/command_table.h"

namespace kv {

/// 0: it is no request over keys.
std::size_t Connection::parts_of(Verb verb, std::size_t args) noexcept {
    switch (verb) {
        case Verb::mget:
        case Verb::exists:
        case Verb::touch:
        case Verb::del:
        case Verb::unlink: return args;
        case Verb::mset: return args / 2;
        default: return 0;
    }
}

void Connection::begin_wide(Slot& slot) {
    slot.state = Slot::State::wide;
    wide_ = {};
    // FLUSHALL has a part for each shard.
    wide_.parts = is_flush(slot.verb) ? services_.replicas.shards()
                                      : parts_of(slot.verb, parked_args_.size());
    if (slot.verb == Verb::mget) wide_.values.resize(wide_.parts);
}

/// All that is asked for may arrive at once, copied on the way.
std::size_t Connection::parts_in_flight_max(Verb verb) const noexcept {
    if (verb != Verb::mget) return wide_parts_in_flight_max;
    const Config::Limits& limits = services_.config.limits;
    const std::size_t values =
        limits.reply_bytes_max / std::max<std::size_t>(1, limits.value_bytes_max);
    return std::clamp(values, wide_values_in_flight_min, wide_parts_in_flight_max);
}

void Connection::advance_wide(Slot& slot) {
    if (awaits_leader_) return;
    const std::size_t in_flight_max = parts_in_flight_max(slot.verb);
    for (std::size_t i = 0; i < wide_parts_per_turn && wide_.begun < wide_.parts; ++i) {
        if (wide_.reads_in_flight + slot.parts_left >= in_flight_max) break;
        if (services_.router.congested() || services_.forwarder.full()) break;
        begin_part(slot, wide_.begun++);
    }
    const std::size_t in_flight = wide_.reads_in_flight + slot.parts_left;
    if (wide_.begun == wide_.parts) {
        if (in_flight == 0) finish_wide(slot);
    } else if (in_flight < in_flight_max && !services_.router.congested() &&
               !services_.forwarder.full()) {
        services_.mark(*this);  // else an answer brings it back here, or the end of the congestion
    }
}

std::string_view Connection::key_of_part(Verb verb, std::size_t part) const noexcept {
    return parked_args_[verb == Verb::mset ? 2 * part : part];
}

ShardId Connection::shard_of_part(const Slot& slot, std::size_t part) const noexcept {
    if (is_flush(slot.verb)) return ShardId(static_cast<std::uint16_t>(part));
    return services_.replicas.placement().shard_of(key_of_part(slot.verb, part));
}

Command Connection::command_of_part(const Slot& slot, std::size_t part) const {
    Command command;
    if (is_flush(slot.verb)) {
        command.kind = CommandKind::flush;
        return command;
    }
    command.kind = slot.verb == Verb::mset ? CommandKind::put : CommandKind::del;
    command.key = key_of_part(slot.verb, part);
    if (slot.verb == Verb::mset) command.value = parked_args_[2 * part + 1];
    return command;
}

void Connection::begin_part(Slot& slot, std::size_t part) {
    const std::uint64_t number = pipeline_.head();
    const Waiter waiter{this, number, static_cast<std::uint32_t>(part), services_.reactor.core()};
    const ShardId shard = shard_of_part(slot, part);
    if (command_class(slot.verb) == CommandClass::write) {
        const auto refusal = offer(waiter, shard, command_of_part(slot, part));
        if (refusal) refuse_part(slot, part, *refusal);
        return;
    }
    const std::string_view key = key_of_part(slot.verb, part);
    const bool unconfirmed = reads_here();
    // What was written before has been answered: there is nothing to wait for.
    if (services_.replicas.has(shard)) {
        const Store& store = services_.replicas.store(shard);
        const std::uint64_t hash = store.hash(key);
        if (unconfirmed) return take_part(slot, part, store.get(key, hash));
        switch (services_.replicas.begin_read(shard, waiter, hash, false)) {
            case ReadTurn::now: return take_part(slot, part, store.get(key, hash));
            case ReadTurn::later: break;
            case ReadTurn::never:
                return refuse_part(slot, part,
                                   refusal_of(services_.replicas, shard, Errc::no_leader));
        }
    } else {
        const bool wants_value = needs_value(slot.verb);
        services_.router.read(shard, key, {.wants_value = wants_value, .unconfirmed = unconfirmed},
                              waiter);
    }
    ++wide_.reads_in_flight;
    ++outstanding_;
}

void Connection::take_part(Slot& slot, std::size_t part, const std::optional<Store::Found>& found) {
    ++(found ? services_.counters.hits : services_.counters.misses);
    if (!found || wide_.too_large || wide_.refusal) return;
    ++wide_.found;
    if (slot.verb != Verb::mget) return;
    wide_.bytes += found->value.size();
    if (wide_.bytes > services_.config.limits.reply_bytes_max) {
        wide_.too_large = true;
        wide_.begun = wide_.parts;
        std::vector<std::optional<std::string>>().swap(wide_.values);
        return;
    }
    wide_.values[part].emplace(found->value);
}

/// Nobody but a client that is sent to the leader need know which node leads what.
bool Connection::gathers_parts(Protocol protocol) const noexcept {
    return forwards() || (!is_resp(protocol) && services_.forwarder.connected());
}

/// A part that another node leads is asked of it. A read of which one part is refused is refused as
/// a whole: no further part is begun.
void Connection::refuse_part(Slot& slot, std::size_t part, Refused refusal) {
    const bool writes = command_class(slot.verb) == CommandClass::write;
    if (refusal.reason == Errc::not_leader && gathers_parts(slot.protocol)) {
        const auto unsent = forward_part(slot, part, refusal.leader);
        if (!unsent) {
            writes ? ++slot.parts_left : ++wide_.reads_in_flight;
            return;
        }
        refusal = {reason_of(*unsent), NodeId()};
    }
    if (writes) return slot.refuse(refusal);
    if (wide_.refusal) return;
    wide_.refusal = refusal;
    wide_.refused_slot = slot_of(key_of_part(slot.verb, part));
    wide_.begun = wide_.parts;
}

/// Nothing: on_forwarded() will be told.
std::optional<Refused> Connection::forward_part(const Slot& slot, std::size_t part, NodeId leader) {
    ForwardRequest request;
    request.wants_value = needs_value(slot.verb);
    std::string command;
    if (command_class(slot.verb) == CommandClass::write) {
        request.kind = ForwardKind::apply;
        encode_command(command, command_of_part(slot, part));
        request.content = command;
    } else {
        request.content = key_of_part(slot.verb, part);
    }
    const Waiter waiter{this, pipeline_.head(), static_cast<std::uint32_t>(part),
                        services_.reactor.core()};
    return ask_leader(leader, shard_of_part(slot, part), request, services_.config.commit_timeout,
                      waiter);
}

void Connection::finish_wide(Slot& slot) {
    if (wide_.refusal && may_wait(slot, *wide_.refusal)) {  // a read: all of it, once more
        begin_wide(slot);
        return await_leader();
    }
    parked_ = false;
    if (!is_flush(slot.verb)) slot.key_slot = slot_of(parked_args_[0]);
    parked_args_.clear();
    slot.state = Slot::State::done;
    if (command_class(slot.verb) == CommandClass::write) return;  // its outcome is in the slot
    slot.rendered = true;
    ReplyWriter reply(slot.protocol, slot.request_id, slot.bytes);
    if (wide_.refusal) {
        return answer_refusal(slot.shown(*wide_.refusal), wide_.refused_slot, services_.replicas,
                              slot.protocol, reply);
    }
    if (slot.verb != Verb::mget) return reply.integer(wide_.found);
    if (wide_.too_large) {
        return refuse_long_reply("MGET", services_.config.limits.reply_bytes_max, reply);
    }
    const std::vector<std::optional<std::string_view>> values(wide_.values.begin(),
                                                              wide_.values.end());
    reply.values(values);
    wide_ = {};
}

}  // namespace kv
