// What a Connection does with a request: the second half of its implementation.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/node/connection.h"
#include "engine/node/key_read.h"
#include "engine/node/router.h"
#include "engine/node/scan.h"
#include "engine/node/write_command.h"
#include "proto/command_table.h"
#include "proto/request_check.h"

namespace kv {

namespace {

ReplyWriter writer_for(const Request& request, std::string& out) noexcept {
    return ReplyWriter(request.protocol, request.request_id, out);
}

/// What a request counts against the connection's limit.
std::size_t charge_of(std::span<const std::string_view> args) noexcept {
    std::size_t bytes = sizeof(Slot);
    for (const std::string_view arg : args) bytes += arg.size();
    return bytes;
}

/// GET, and SET without options.
bool is_plain(const Request& request) noexcept {
    return request.verb == Verb::get || (request.verb == Verb::set && request.args.size() == 2);
}

/// Requests that are gathered so that the memory of many is fetched at once. Their arguments must
/// outlive the next call of the parser: those of an inline command lie in the parser, not in
/// `input`.
bool is_batched(const Request& request, std::string_view input) noexcept {
    if (!is_plain(request)) return false;
    const auto at = reinterpret_cast<std::uintptr_t>(request.args[0].data());
    const auto begin = reinterpret_cast<std::uintptr_t>(input.data());
    return at >= begin && at < begin + input.size();
}

/// Whether the write becomes one command for the key that is its first argument.
bool has_one_key(const Request& request) noexcept {
    switch (request.verb) {
        case Verb::mset:
        case Verb::flushall:
        case Verb::flushdb: return false;
        case Verb::del:
        case Verb::unlink: return request.args.size() == 1;
        default: return true;
    }
}

}  // namespace

/// Until all replicas of the node are recovered, only what Redis flags so is answered. (Not PING:
/// who asks wants to know whether it can begin.)
void Connection::refuse_while_loading(Request& request) {
    if (request.verb == Verb::invalid || command_row(request.verb).has_flag("loading")) return;
    const bool resp = is_resp(request.protocol);
    kv::refuse(request, Errc::loading,
               resp ? "Redis is loading the dataset in memory" : sentence(Errc::loading));
}

/// Adds a request to the batch, or executes it behind the batch.
void Connection::stage(const Request& request, std::string_view input) {
    ++services_.counters.requests;
    ++services_.counters.calls[static_cast<std::size_t>(request.verb)];
    // What other nodes may have to be asked for may have to wait, and then so has what is behind.
    const bool routed = routes();
    const bool batched = !routed && is_batched(request, input);
    if (!batched) execute_batch();
    if (routed && is_plain(request)) return execute(request, 0, place_of(request.args[0]));
    if (!is_plain(request)) {
        execute_alone(request);
        return;
    }
    PendingRequest& pending = batch_.requests[batch_.size];
    pending.request.verb = request.verb;
    pending.request.protocol = request.protocol;
    pending.request.request_id = request.request_id;
    pending.request.session = request.session;
    pending.request.sequence = request.sequence;
    std::copy(request.args.begin(), request.args.end(), pending.args.begin());
    pending.request.args = std::span(pending.args).first(request.args.size());
    pending.place = place_of(pending.args[0]);
    bool much = false;
    if (request.verb == Verb::get) {
        const ShardId shard = pending.place.shard;
        if (services_.replicas.has(shard)) {
            const Store& store = services_.replicas.store(shard);
            pending.hash = store.hash(pending.args[0]);
            store.prefetch(pending.hash);
        } else {
            // Once begun they count, and no more are taken.
            batch_.expected_bytes += expected_value_bytes_;
            much = pipeline_.charge() + batch_.expected_bytes >=
                   services_.config.client.pipeline_bytes_max;
        }
    }
    if (batch_.size >= RequestBatch::ahead) {
        prefetch_block(batch_.requests[batch_.size - RequestBatch::ahead]);
    }
    if (++batch_.size == batch_.requests.size() || !batched || much) execute_batch();
}

KeyPlace Connection::place_of(std::string_view key) const noexcept {
    const SlotId slot = slot_of(key);
    return {slot, services_.replicas.placement().shard_of(slot)};
}

/// What clients of a Redis cluster never ask, and expect to be told. In a cluster of one node, in
/// other protocols, and from clients that take the cluster for one server, keys of all slots may be
/// in one request.
bool Connection::crosses_slots(const Request& request) const noexcept {
    if (services_.replicas.alone() || !is_resp(request.protocol) || forwards()) return false;
    const std::size_t step = request.verb == Verb::mset ? 2 : 1;
    if (parts_of(request.verb, request.args.size()) < 2) return false;
    const SlotId first = slot_of(request.args[0]);
    for (std::size_t i = step; i < request.args.size(); i += step) {
        if (slot_of(request.args[i]) != first) return true;
    }
    return false;
}

void Connection::execute_alone(const Request& request) {
    if (crosses_slots(request)) [[unlikely]] {
        Request refused = request;
        kv::refuse(refused, Errc::cross_slot, sentence(Errc::cross_slot));
        return execute(refused, 0, {});
    }
    const CommandClass kind = command_class(request.verb);
    const bool one_key =
        is_key_read(request) || (kind == CommandClass::write && has_one_key(request));
    const KeyPlace where = one_key ? place_of(request.args[0]) : KeyPlace{};
    const ShardId shard = where.shard;
    const bool reads = one_key && kind != CommandClass::write && services_.replicas.has(shard);
    const std::uint64_t waiting = pipeline_.tail();
    const Instant begun = services_.reactor.backend().now();
    execute(request, reads ? services_.replicas.store(shard).hash(request.args[0]) : 0, where);
    if (pipeline_.tail() != waiting || request.verb == Verb::invalid)
        return;  // see release_answered
    const Duration took = services_.reactor.backend().now() - begun;
    if (is_slow(took, services_.config)) note_slow(took, slow_words(request.verb, request.args));
}

void Connection::prefetch_block(const PendingRequest& pending) const noexcept {
    if (pending.request.verb != Verb::get || !services_.replicas.has(pending.place.shard)) return;
    services_.replicas.store(pending.place.shard).prefetch_block(pending.hash);
}

void Connection::execute_batch() {
    const std::size_t size = std::exchange(batch_.size, 0);
    batch_.expected_bytes = 0;
    for (std::size_t i = size - std::min(size, RequestBatch::ahead); i < size; ++i) {
        prefetch_block(batch_.requests[i]);
    }
    for (std::size_t i = 0; i < size; ++i) {
        const PendingRequest& pending = batch_.requests[i];
        execute(pending.request, pending.hash, pending.place);
    }
}

Slot& Connection::push(const Request& request) {
    Slot& slot = pipeline_.push(request, charge_of(request.args),
                                services_.reactor.now().time_since_epoch().count());
    slot.plain = forwards();
    return slot;
}

void Connection::execute(const Request& request, std::uint64_t hash, KeyPlace where) {
    session_.last = request.verb;
    if (session_.replies != Session::Replies::on) [[unlikely]] {
        return execute_silently(request, hash, where);
    }
    begin(request, hash, where);
}

/// CLIENT REPLY OFF or SKIP: what the request answers, now or later, is dropped, unless it is the
/// one that turns replies on again.
void Connection::execute_silently(const Request& request, std::uint64_t hash, KeyPlace where) {
    const bool silent = session_.begin_request();
    const std::uint64_t number = pipeline_.tail();
    const bool first = pipeline_.empty();
    std::string& ready = first ? output_ : pipeline_.ready();
    const std::size_t ready_bytes = ready.size();
    begin(request, hash, where);
    const bool turned_on = session_.replies == Session::Replies::on;
    session_.end_request();
    if (!silent || turned_on) return;
    if (pipeline_.tail() != number) {
        pipeline_.at(number).silent = true;
    } else if (first) {
        output_.resize(ready_bytes);
    } else {
        pipeline_.drop_ready(ready_bytes);
    }
}

void Connection::begin(const Request& request, std::uint64_t hash, KeyPlace where) {
    const CommandClass kind = command_class(request.verb);
    const bool one_key = request.verb == Verb::get || is_key_read(request);
    if (one_key && reads_here()) [[unlikely]] {
        read_here(request, hash, where);
    } else if (one_key && routes()) {
        begin_routed(request, where);
    } else if (kind == CommandClass::write) {
        write(request, where);
    } else if (one_key) {
        read(request, hash, where);
    } else if ((kind == CommandClass::wide_read && !can_answer_at_once(request)) ||
               concerns_all_cores(request.verb) || concerns_cluster(request.verb)) {
        park(request);
    } else {
        answer_at_once(request.verb, [&](std::string& out) { answer(request, out); });
    }
    // Nothing behind QUIT is begun.
    if (request.verb == Verb::quit) finish();
}

/// A reply that is there already leaves behind those of all that were begun before.
template <typename Write>
void Connection::answer_at_once(Verb verb, Write write) {
    services_.times.add_at_once(verb);
    if (pipeline_.empty()) return write(output_);
    write(pipeline_.ready());
    pipeline_.add_ready();
}

/// Lets nothing begin behind `request`, which begins when all before it are answered.
void Connection::park(const Request& request) {
    push(request).state = Slot::State::parked;
    KV_ASSERT(!parked_);
    parked_args_.assign(request.args.begin(), request.args.end());
    parked_ = true;
    services_.mark(*this);
}

/// Of requests over many keys: nothing is before it, and all it needs is here and little.
bool Connection::can_answer_at_once(const Request& request) const noexcept {
    return pipeline_.empty() && services_.replicas.placement().cores() == 1 &&
           services_.replicas.alone() && request.verb != Verb::keys &&
           request.args.size() <= wide_parts_per_turn;
}

/// Whether what this node has answers reads, without asking whether it is the newest. A node that
/// is alone has the newest anyway.
bool Connection::reads_here() const noexcept {
    const bool wanted = session_.readonly || services_.config.reads == ReadMode::local;
    return wanted && !services_.replicas.alone();
}

void Connection::read_here(const Request& request, std::uint64_t hash, KeyPlace where) {
    const ShardId shard = where.shard;
    if (services_.replicas.has(shard)) {
        const Store& store = services_.replicas.store(shard);
        if (hash == 0) hash = store.hash(request.args[0]);
        return answer_at_once(request.verb,
                              [&](std::string& out) { answer_read(request, store, hash, out); });
    }
    const std::uint64_t number = pipeline_.tail();
    Slot& slot = push(request);
    slot.state = Slot::State::reading;
    slot.key_slot = where.slot;
    if (request.verb != Verb::get) keep_key_read(request, slot.bytes);
    ++outstanding_;
    const bool wants_value = needs_value(request.verb);
    if (wants_value) pipeline_.add_charge(slot, expected_value_bytes_);
    services_.router.read(shard, request.args[0], {.wants_value = wants_value, .unconfirmed = true},
                          Waiter{this, number, 0, {}});
}

/// A read takes effect behind this connection's writes to its shard, and before its later ones.
void Connection::read(const Request& request, std::uint64_t hash, KeyPlace where) {
    const std::string_view key = request.args[0];
    const ShardId shard = where.shard;
    const bool wrote = (written_shards_ & shard_bit(shard)) != 0;
    if (!services_.replicas.has(shard)) {
        const std::uint64_t number = pipeline_.tail();
        Slot& slot = push(request);
        slot.state = Slot::State::reading;
        slot.key_slot = where.slot;
        // The answer to a GET depends on what is found alone.
        if (request.verb != Verb::get) keep_key_read(request, slot.bytes);
        ++outstanding_;
        const bool wants_value = needs_value(request.verb);
        if (wants_value) pipeline_.add_charge(slot, expected_value_bytes_);
        here_shards_ |= shard_bit(shard);
        return services_.router.read(shard, key,
                                     {.behind_writes = wrote, .wants_value = wants_value},
                                     Waiter{this, number, 0, {}});
    }
    const Store& store = services_.replicas.store(shard);
    const Waiter waiter{this, pipeline_.tail(), 0, services_.reactor.core()};
    const ReadTurn turn = services_.replicas.begin_read(shard, waiter, hash, wrote);
    if (turn == ReadTurn::never) {
        return answer_at_once(request.verb, [&](std::string& out) {
            ReplyWriter reply = writer_for(request, out);
            const Refused refusal = refusal_of(services_.replicas, shard, Errc::no_leader);
            answer_refusal(refusal, where.slot, services_.replicas, request.protocol, reply);
        });
    }
    if (turn == ReadTurn::later) {
        Slot& slot = push(request);
        slot.state = Slot::State::reading;
        slot.key_slot = where.slot;
        slot.hash = hash;
        keep_key_read(request, slot.bytes);
        ++outstanding_;
        here_shards_ |= shard_bit(shard);
        // As long as the reply will be, unless another client changes the value meanwhile.
        const auto found = store.get(key, hash);
        const std::size_t stored = found ? found->value.size() : 0;
        pipeline_.add_charge(slot, std::max(stored, written_value_bytes_max_));
        return;
    }
    answer_at_once(request.verb, [&](std::string& out) { answer_read(request, store, hash, out); });
}

/// One of what is outstanding is over. Once all is, nothing of this connection is pending anywhere.
void Connection::called_back() noexcept {
    if (--outstanding_ == 0) written_shards_ = here_shards_ = written_value_bytes_max_ = 0;
    services_.mark(*this);
}

void Connection::on_readable(const Waiter& waiter, const Store& store) noexcept {
    std::optional<Store::Found> found;
    if (pipeline_.holds(waiter.request)) {
        const Slot& slot = pipeline_.at(waiter.request);
        std::array<std::string_view, key_read_args_max> args;
        if (slot.state == Slot::State::reading) {
            found = store.get(restore_key_read(slot.verb, slot.bytes, args)[0], slot.hash);
        } else if (slot.state == Slot::State::wide) {
            const std::string_view key = key_of_part(slot.verb, waiter.part);
            found = store.get(key, store.hash(key));
        }
    }
    on_read(waiter, found);
}

void Connection::on_read(const Waiter& waiter, const std::optional<Store::Found>& found) noexcept {
    called_back();
    if (!pipeline_.holds(waiter.request)) return;
    Slot& slot = pipeline_.at(waiter.request);
    if (slot.state == Slot::State::wide) {
        --wide_.reads_in_flight;
        return take_part(slot, waiter.part, found);
    }
    if (slot.state != Slot::State::reading) return;  // it was answered: timed out
    slot.state = Slot::State::done;
    expect_values_like(found ? found->value.size() : 0);
    // The next reply to leave is written where it leaves from.
    const bool next = waiter.request == pipeline_.head() && !slot.silent;
    std::string& out = next ? output_ : slot.bytes;
    if (slot.verb == Verb::get) {
        slot.bytes.clear();
        ++(found ? services_.counters.hits : services_.counters.misses);
        ReplyWriter reply(slot.protocol, slot.request_id, out);
        found ? reply.value(found->value) : reply.absent();
    } else {
        Request request;
        request.verb = slot.verb;
        request.protocol = slot.protocol;
        request.request_id = slot.request_id;
        const std::string kept = std::exchange(slot.bytes, {});
        std::array<std::string_view, key_read_args_max> args;
        request.args = restore_key_read(slot.verb, kept, args);
        answer_found(request, found, out);
    }
    if (next) return retire(slot);
    slot.rendered = true;
    pipeline_.add_charge(slot, slot.bytes.size());
}

/// Of other cores: how long they will be is not known before. As long as the longest one lately.
void Connection::expect_values_like(std::size_t bytes) noexcept {
    expected_value_bytes_ -= expected_value_bytes_ / 16;
    expected_value_bytes_ = std::max(expected_value_bytes_, bytes);
}

void Connection::answer_read(const Request& request, const Store& store, std::uint64_t hash,
                             std::string& out) {
    answer_found(request, store.get(request.args[0], hash), out);
}

void Connection::answer_found(const Request& request, const std::optional<Store::Found>& found,
                              std::string& out) {
    ++(found ? services_.counters.hits : services_.counters.misses);
    ReplyWriter reply = writer_for(request, out);
    if (request.verb != Verb::get) return answer_key_read(request, found, reply);
    found ? reply.value(found->value) : reply.absent();
}

void Connection::refuse_long_reply(std::string_view command, std::size_t bytes_max,
                                   ReplyWriter& reply) {
    reply.error(Errc::too_large,
                fmt::format("{} would answer more than limits.reply_bytes_max = {} bytes", command,
                            bytes_max));
}

/// Everything that needs no log but reads of one key, and KEYS, which is a job.
void Connection::answer(const Request& request, std::string& out) {
    if (command_class(request.verb) == CommandClass::session) {
        session_.cluster = services_.loading ? services_.config.cluster.nodes.size() > 1
                                             : !services_.replicas.alone();
        return answer_session(request, session_, out);
    }
    ReplyWriter reply = writer_for(request, out);
    ReplicaSet& replicas = services_.replicas;
    const auto find = [&](std::string_view key) {
        const Store& store = replicas.store(replicas.placement().shard_of(key));
        return store.get(key, store.hash(key));
    };
    switch (request.verb) {
        case Verb::invalid: return reply.error(request.error, request.error_text);
        case Verb::ping:
            if (request.args.empty()) return reply.pong();
            return reply.pong(request.args[0]);
        case Verb::echo: return reply.bulk(request.args[0]);
        case Verb::exists:
        case Verb::touch: {
            std::int64_t count = 0;
            for (const std::string_view key : request.args) count += find(key) ? 1 : 0;
            return reply.integer(count);
        }
        case Verb::scan: {
            ScanPage page;
            const std::uint64_t cursor = scan(replicas, scan_options(request.args), page);
            return answer_page(page, cursor, reply);
        }
        case Verb::randomkey: {
            const std::vector<bool> readable(replicas.shards(), true);
            const auto key = random_key(replicas, readable, services_.prng);
            return key ? reply.bulk(*key) : reply.absent();
        }
        case Verb::mget: {
            const std::size_t bytes_max = services_.config.limits.reply_bytes_max;
            std::vector<std::optional<std::string_view>> values;
            values.reserve(request.args.size());
            std::size_t bytes = 0;
            for (const std::string_view key : request.args) {
                const auto found = find(key);
                ++(found ? services_.counters.hits : services_.counters.misses);
                values.push_back(found ? std::optional(found->value) : std::nullopt);
                // A short request may name a long value over and over.
                bytes += found ? found->value.size() : 0;
                if (bytes > bytes_max) return refuse_long_reply("MGET", bytes_max, reply);
            }
            return reply.values(values);
        }
        case Verb::dbsize: return reply.integer(static_cast<std::int64_t>(replicas.keys()));
        default: return services_.answer_node(request, *this, reply);
    }
}

}  // namespace kv
