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
    wide_.parts = parts_of(slot.verb, parked_args_.size());
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
    const std::size_t in_flight_max = parts_in_flight_max(slot.verb);
    for (std::size_t i = 0; i < wide_parts_per_turn && wide_.begun < wide_.parts; ++i) {
        if (wide_.reads_in_flight + slot.parts_left >= in_flight_max) break;
        if (services_.router.congested()) break;
        begin_part(slot, wide_.begun++);
    }
    const std::size_t in_flight = wide_.reads_in_flight + slot.parts_left;
    if (wide_.begun == wide_.parts) {
        if (in_flight == 0) finish_wide(slot);
    } else if (in_flight < in_flight_max && !services_.router.congested()) {
        services_.mark(*this);  // else an answer brings it back here, or the end of the congestion
    }
}

void Connection::begin_part(Slot& slot, std::size_t part) {
    const std::uint64_t number = pipeline_.head();
    const bool pairs = slot.verb == Verb::mset;
    const std::string_view key = parked_args_[pairs ? 2 * part : part];
    const ShardId shard = services_.replicas.placement().shard_of(key);
    if (command_class(slot.verb) == CommandClass::write) {
        Command command;
        command.kind = pairs ? CommandKind::put : CommandKind::del;
        command.key = key;
        if (pairs) command.value = parked_args_[2 * part + 1];
        return propose(number, shard, command);
    }
    if (services_.replicas.has(shard)) {
        const Store& store = services_.replicas.store(shard);
        return take_part(slot, part, store.get(key, store.hash(key)));
    }
    ++wide_.reads_in_flight;
    ++outstanding_;
    // What was written before has been answered: there is nothing to wait for.
    services_.router.read(shard, key, {false, needs_value(slot.verb)},
                          Waiter{this, number, static_cast<std::uint32_t>(part), {}});
}

void Connection::take_part(Slot& slot, std::size_t part, const std::optional<Store::Found>& found) {
    ++(found ? services_.counters.hits : services_.counters.misses);
    if (!found || wide_.too_large) return;
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

void Connection::finish_wide(Slot& slot) {
    parked_ = false;
    parked_args_.clear();
    slot.state = Slot::State::done;
    if (command_class(slot.verb) == CommandClass::write) return;  // its outcome is in the slot
    slot.rendered = true;
    ReplyWriter reply(slot.protocol, slot.request_id, slot.bytes);
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
