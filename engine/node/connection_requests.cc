// What a Connection does with a request: the second half of its implementation.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/node/connection.h"
#include "engine/node/glob.h"
#include "engine/node/key_read.h"
#include "engine/node/scan.h"
#include "engine/node/write_command.h"
#include "proto/command_table.h"

namespace kv {

namespace {

/// Index segments that one turn of a KEYS job visits: some thousand keys, well below a millisecond.
constexpr int scan_segments_per_turn = 4;
/// Comparisons that its pattern may cost in one turn, some ten milliseconds: far more than keys of
/// usual length ever need. Beyond, KEYS is an error, so that nobody can hold up the others.
constexpr std::uint64_t match_steps_per_turn = 10'000'000;

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

/// Adds a request to the batch, or executes it behind the batch.
void Connection::stage(const Request& request, std::string_view input) {
    ++services_.counters.requests;
    const bool batched = is_batched(request, input);
    if (!batched) execute_batch();
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
    pending.shard = services_.replicas.placement().shard_of(pending.args[0]);
    if (request.verb == Verb::get) {
        const Store& store = services_.replicas.store(pending.shard);
        pending.hash = store.hash(pending.args[0]);
        store.prefetch(pending.hash);
    }
    if (batch_.size >= RequestBatch::ahead) {
        prefetch_block(batch_.requests[batch_.size - RequestBatch::ahead]);
    }
    if (++batch_.size == batch_.requests.size() || !batched) execute_batch();
}

void Connection::execute_alone(const Request& request) {
    const CommandClass kind = command_class(request.verb);
    const bool one_key =
        is_key_read(request) || (kind == CommandClass::write && has_one_key(request));
    const ShardId shard =
        one_key ? services_.replicas.placement().shard_of(request.args[0]) : ShardId();
    const bool reads = one_key && kind != CommandClass::write;
    execute(request, reads ? services_.replicas.store(shard).hash(request.args[0]) : 0, shard);
}

void Connection::prefetch_block(const PendingRequest& pending) const noexcept {
    if (pending.request.verb != Verb::get) return;
    services_.replicas.store(pending.shard).prefetch_block(pending.hash);
}

void Connection::execute_batch() {
    const std::size_t size = std::exchange(batch_.size, 0);
    for (std::size_t i = size - std::min(size, RequestBatch::ahead); i < size; ++i) {
        prefetch_block(batch_.requests[i]);
    }
    for (std::size_t i = 0; i < size; ++i) {
        const PendingRequest& pending = batch_.requests[i];
        execute(pending.request, pending.hash, pending.shard);
    }
}

Slot& Connection::push(const Request& request) {
    return pipeline_.push(request, charge_of(request.args),
                          services_.reactor.now().time_since_epoch().count());
}

void Connection::execute(const Request& request, std::uint64_t hash, ShardId shard) {
    session_.last = request.verb;
    if (session_.replies != Session::Replies::on) [[unlikely]] {
        return execute_silently(request, hash, shard);
    }
    begin(request, hash, shard);
}

/// CLIENT REPLY OFF or SKIP: what the request answers, now or later, is dropped, unless it is the
/// one that turns replies on again.
void Connection::execute_silently(const Request& request, std::uint64_t hash, ShardId shard) {
    const bool silent = session_.begin_request();
    const std::size_t output_bytes = output_.size();
    const std::uint64_t number = pipeline_.tail();
    begin(request, hash, shard);
    const bool turned_on = session_.replies == Session::Replies::on;
    session_.end_request();
    if (!silent || turned_on) return;
    if (pipeline_.tail() != number) {
        pipeline_.at(number).silent = true;
    } else {
        output_.resize(output_bytes);
    }
}

void Connection::begin(const Request& request, std::uint64_t hash, ShardId shard) {
    const CommandClass kind = command_class(request.verb);
    if (kind == CommandClass::write) {
        write(request, shard);
    } else if (request.verb == Verb::get || is_key_read(request)) {
        read(request, hash, shard);
    } else if (request.verb == Verb::keys ||
               (kind == CommandClass::wide_read && !pipeline_.empty())) {
        Slot& slot = push(request);
        slot.state = Slot::State::parked;
        KV_ASSERT(!parked_);
        parked_args_.assign(request.args.begin(), request.args.end());
        parked_ = true;
    } else if (pipeline_.empty()) {
        answer(request, output_);
    } else {
        Slot& slot = push(request);
        slot.rendered = true;
        answer(request, slot.bytes);
        pipeline_.add_charge(slot, slot.bytes.size());
    }
    // Nothing behind QUIT is begun.
    if (request.verb == Verb::quit) finish();
}

/// A read takes effect behind this connection's writes to its shard, and before its later ones.
void Connection::read(const Request& request, std::uint64_t hash, ShardId shard) {
    const std::string_view key = request.args[0];
    if (pipeline_.empty()) {
        answer_read(request, services_.replicas.store(shard), hash, output_);
        return;
    }
    const std::uint64_t number = pipeline_.tail();
    Slot& slot = push(request);
    slot.hash = hash;
    const bool wrote = (written_shards_ & shard_bit(shard)) != 0;
    const Waiter waiter{this, number};
    const Store& store = services_.replicas.store(shard);
    if (wrote && services_.replicas.read_behind_pending(shard, waiter, hash)) {
        slot.state = Slot::State::reading;
        keep_key_read(request, slot.bytes);
        ++outstanding_;
        // As long as the reply will be, unless another client changes the value meanwhile.
        const auto found = store.get(key, hash);
        const std::size_t stored = found ? found->value.size() : 0;
        pipeline_.add_charge(slot, std::max(stored, written_value_bytes_max_));
        return;
    }
    slot.rendered = true;
    answer_read(request, store, hash, slot.bytes);
    pipeline_.add_charge(slot, slot.bytes.size());
}

void Connection::on_readable(std::uint64_t number, const Store& store) noexcept {
    --outstanding_;
    services_.mark(*this);
    if (!pipeline_.holds(number)) return;
    Slot& slot = pipeline_.at(number);
    if (slot.state != Slot::State::reading) return;  // it was answered: timed out
    const std::string kept = std::exchange(slot.bytes, {});
    std::array<std::string_view, key_read_args_max> args;
    Request request;
    request.verb = slot.verb;
    request.protocol = slot.protocol;
    request.request_id = slot.request_id;
    request.args = restore_key_read(slot.verb, kept, args);
    slot.rendered = true;
    slot.state = Slot::State::done;
    answer_read(request, store, slot.hash, slot.bytes);
}

void Connection::answer_read(const Request& request, const Store& store, std::uint64_t hash,
                             std::string& out) {
    const auto found = store.get(request.args[0], hash);
    ++(found ? services_.counters.hits : services_.counters.misses);
    ReplyWriter reply = writer_for(request, out);
    if (request.verb != Verb::get) return answer_key_read(request, found, reply);
    found ? reply.value(found->value) : reply.absent();
}

void Connection::write(const Request& request, ShardId shard) {
    const std::span<const std::string_view> args = request.args;
    const std::uint64_t number = pipeline_.tail();
    push(request).state = Slot::State::writing;
    const Placement& placement = services_.replicas.placement();
    Command command;
    command.session = request.session;
    command.sequence = request.sequence;
    // Others of one key: see command_of().
    switch (request.verb) {
        case Verb::mset:
            for (std::size_t i = 0; i + 1 < args.size(); i += 2) {
                command.key = args[i];
                command.value = args[i + 1];
                propose(number, placement.shard_of(command.key), command);
            }
            break;
        case Verb::del:
        case Verb::unlink:
            command.kind = CommandKind::del;
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
            propose(number, shard, command);
            break;
    }
    Slot& slot = pipeline_.at(number);
    if (slot.parts_left != 0) return;
    slot.state = Slot::State::done;
    services_.mark(*this);
}

void Connection::propose(std::uint64_t number, ShardId shard, const Command& command) {
    const auto refusal = services_.replicas.propose(shard, command, Waiter{this, number});
    Slot& slot = pipeline_.at(number);
    if (refusal) {
        slot.refused = true;
        slot.error = *refusal;
        return;
    }
    ++slot.parts_left;
    ++outstanding_;
    written_shards_ |= shard_bit(shard);
    written_value_bytes_max_ = std::max(written_value_bytes_max_, command.value.size());
}

void Connection::on_applied(std::uint64_t number, const Store::Applied& result) noexcept {
    if (--outstanding_ == 0) written_shards_ = written_value_bytes_max_ = 0;
    services_.mark(*this);
    if (!pipeline_.holds(number)) return;  // it was answered: outcome unknown
    Slot& slot = pipeline_.at(number);
    if (slot.state != Slot::State::writing) return;
    slot.number += result.number;
    if (result.refused) {
        slot.refused = true;
        slot.error = *result.refused;
    } else {
        ++slot.parts_applied;
    }
    if (result.previous) {
        slot.has_previous = true;
        slot.bytes.assign(*result.previous);
        pipeline_.add_charge(slot, slot.bytes.size());
    }
    if (--slot.parts_left == 0) slot.state = Slot::State::done;
}

/// Everything that needs no log but reads of one key, and KEYS, which is a job.
void Connection::answer(const Request& request, std::string& out) {
    if (command_class(request.verb) == CommandClass::session) {
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
        case Verb::scan: return answer_scan(request, reply);
        case Verb::randomkey: {
            const auto key = random_key(replicas, services_.prng);
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
                if (bytes <= bytes_max) continue;
                const std::string why = fmt::format(
                    "MGET would answer more than limits.reply_bytes_max = {} bytes", bytes_max);
                return reply.error(Errc::too_large, why);
            }
            return reply.values(values);
        }
        case Verb::dbsize: return reply.integer(static_cast<std::int64_t>(replicas.keys()));
        default: return services_.answer_node(request, *this, reply);
    }
}

void Connection::answer_scan(const Request& request, ReplyWriter& reply) {
    const auto options = parse_scan_options(request.args);
    KV_ASSERT(options.has_value(), "options are checked before they are used");
    ScanPage page;
    const std::uint64_t cursor = scan(services_.replicas, *options, page);
    const std::vector<std::string_view> keys(page.keys.begin(), page.keys.end());
    reply.scanned(cursor, keys);
}

// --- KEYS ----------------------------------------------------------------------------------------

void Connection::start_keys(std::uint64_t number, std::string pattern, bool all) {
    Slot& slot = pipeline_.at(number);
    slot.state = Slot::State::running;
    ++outstanding_;
    services_.reactor.spawn(
        collect_keys(number, slot.protocol, slot.request_id, std::move(pattern), all));
}

io::Task<void> Connection::collect_keys(std::uint64_t number, Protocol protocol,
                                        std::uint64_t request_id, std::string pattern, bool all) {
    const Config::Limits& limits = services_.config.limits;
    std::vector<std::string> keys;
    std::size_t bytes = 0;
    std::uint64_t steps_of_turn = 0;
    const auto within_limits = [&] {
        return keys.size() <= limits.keys_reply_max && bytes <= limits.reply_bytes_max &&
               steps_of_turn <= match_steps_per_turn;
    };
    for (std::uint16_t shard = 0; shard < services_.replicas.shards() && within_limits(); ++shard) {
        const Store& store = services_.replicas.store(ShardId(shard));
        Cursor cursor(0);
        do {
            steps_of_turn = 0;
            for (int i = 0; i < scan_segments_per_turn; ++i) {
                cursor = store.scan(cursor, [&](std::string_view key, std::string_view, Revision) {
                    if (!within_limits()) return;
                    if (!all && !glob_match(pattern, key, false, &steps_of_turn)) return;
                    keys.emplace_back(key);
                    bytes += key.size();
                });
                if (cursor == Cursor(0)) break;
            }
            co_await io::NextTurn(services_.reactor);
        } while (cursor != Cursor(0) && within_limits() && !closed_);
    }
    std::string text;
    ReplyWriter reply(protocol, request_id, text);
    std::string why;
    if (keys.size() > limits.keys_reply_max) {
        why = fmt::format("KEYS matches more than limits.keys_reply_max = {} keys",
                          limits.keys_reply_max);
    } else if (bytes > limits.reply_bytes_max) {
        why = fmt::format("KEYS would answer more than limits.reply_bytes_max = {} bytes",
                          limits.reply_bytes_max);
    } else if (!within_limits()) {
        why = "KEYS: this pattern takes too long to match these keys";
    }
    if (!why.empty()) {
        reply.error(Errc::too_large, why);
    } else {
        const std::vector<std::string_view> views(keys.begin(), keys.end());
        reply.keys(views);
    }
    --outstanding_;
    parked_ = false;
    services_.mark(*this);
    if (!pipeline_.holds(number)) co_return;
    Slot& slot = pipeline_.at(number);
    slot.bytes = std::move(text);
    slot.rendered = true;
    slot.state = Slot::State::done;
}

}  // namespace kv
