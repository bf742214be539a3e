#include "engine/node/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/node/glob.h"
#include "proto/base/log.h"

namespace kv {

namespace {

constexpr std::size_t kept_buffer_bytes_max = std::size_t{1} << 20;
/// Index segments that one turn of a KEYS job visits: some thousand keys, well below a millisecond.
constexpr int scan_segments_per_turn = 4;

ReplyWriter writer_for(const Request& request, std::string& out) noexcept {
    return ReplyWriter(request.protocol, request.request_id, out);
}

/// What a request counts against the connection's limit.
std::size_t charge_of(std::span<const std::string_view> args) noexcept {
    std::size_t bytes = sizeof(Slot);
    for (const std::string_view arg : args) bytes += arg.size();
    return bytes;
}

bool is_write(Verb verb) noexcept {
    return verb == Verb::set || verb == Verb::del || verb == Verb::mset || verb == Verb::flushall;
}

/// Reads that concern more than one key: behind other requests they wait until those are answered,
/// and what comes behind them waits too.
bool is_wide_read(Verb verb) noexcept {
    return verb == Verb::mget || verb == Verb::exists || verb == Verb::keys || verb == Verb::dbsize;
}

/// Requests that are gathered so that the memory of many is fetched at once. Their arguments must
/// outlive the next call of the parser: those of an inline command lie in the parser, not in
/// `input`.
bool is_batched(const Request& request, std::string_view input) noexcept {
    if (request.verb != Verb::get && request.verb != Verb::set) return false;
    const auto at = reinterpret_cast<std::uintptr_t>(request.args[0].data());
    const auto begin = reinterpret_cast<std::uintptr_t>(input.data());
    return at >= begin && at < begin + input.size();
}

}  // namespace

Connection::Connection(Services& services, std::int32_t fd, std::string_view refusal)
    : services_(services),
      stream_(services.reactor, fd, *this),
      detector_(services.config.client.line_protocol, services.limits.inline_bytes_max),
      output_(refusal),
      last_progress_(services.reactor.now()),
      finishing_(!refusal.empty()),
      refused_(!refusal.empty()) {}

void Connection::start() {
    if (!finishing_) stream_.receive();
    services_.mark(*this);
}

// --- input ---------------------------------------------------------------------------------------

void Connection::on_received(Bytes bytes) noexcept {
    services_.counters.bytes_in += bytes.size();
    last_input_ = services_.reactor.now();
    if (finishing_) return;
    if (input_.empty() && !held_back()) {
        take_input(as_text(bytes));
    } else {
        input_.append(as_text(bytes));
        if (!held_back() && input_.size() >= input_needed_) take_kept_input();
    }
    services_.mark(*this);
}

/// Parses `input`, which is all there is, and keeps what is left of it.
void Connection::take_input(std::string_view input) {
    input_needed_ = 0;
    const std::size_t consumed = parse(input);
    if (!finishing_) input_.append(input.substr(consumed));
    if (held_back()) stream_.pause();
}

/// Parses input_, and keeps what is left of it without a copy: a long request that comes in many
/// pieces must not cost its length for each of them.
void Connection::take_kept_input() {
    std::string input = std::exchange(input_, {});  // parsing may end in finish()
    input_needed_ = 0;
    const std::size_t consumed = parse(input);
    if (!finishing_) {
        input.erase(0, consumed);
        input_ = std::move(input);
    }
    if (held_back()) stream_.pause();
}

bool Connection::held_back() const noexcept {
    const Config::Client& limits = services_.config.client;
    return services_.stopping || parked_ != 0 || pipeline_.size() >= limits.pipeline_max ||
           pipeline_.charge() >= limits.pipeline_bytes_max ||
           output_.size() + sending_.size() - sent_ >= limits.output_pause_bytes;
}

ParseResult Connection::next_request(std::string_view input, Request& out) {
    if (auto* parser = std::get_if<resp::RespParser>(&parser_)) return parser->next(input, out);
    if (auto* parser = std::get_if<binary::BinaryParser>(&parser_)) return parser->next(input, out);
    return std::get<text::TextParser>(parser_).next(input, out);
}

std::size_t Connection::parse(std::string_view input) {
    if (std::holds_alternative<std::monostate>(parser_)) {
        const auto family = detector_.next(input);
        if (!family) return 0;
        switch (*family) {
            case Family::text: parser_.emplace<text::TextParser>(services_.limits); break;
            case Family::binary: parser_.emplace<binary::BinaryParser>(services_.limits); break;
            case Family::resp: parser_.emplace<resp::RespParser>(services_.limits); break;
        }
    }
    std::size_t consumed = 0;
    Request request;
    while (consumed < input.size() && !held_back() && !finishing_) {
        const ParseResult result = next_request(input.substr(consumed), request);
        if (result.status == ParseStatus::need_more) {
            input_needed_ = result.needed;
            break;
        }
        consumed += result.consumed;
        if (result.status == ParseStatus::fatal) {
            execute_batch();
            // The reply waits for its turn; behind it, the connection is closed.
            request.verb = Verb::invalid;
            execute(request, 0, ShardId());
            finish();
            break;
        }
        if (result.status == ParseStatus::request) stage(request, input);
    }
    execute_batch();
    return consumed;
}

/// Adds a request to the batch, or executes it behind the batch.
void Connection::stage(const Request& request, std::string_view input) {
    ++services_.counters.requests;
    const bool batched = is_batched(request, input);
    if (!batched) execute_batch();
    if (request.verb != Verb::get && request.verb != Verb::set) {
        execute(request, 0, ShardId());
        return;
    }
    Pending& pending = batch_[batch_size_];
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
    if (++batch_size_ == batch_max || !batched) execute_batch();
}

void Connection::execute_batch() {
    const std::size_t size = std::exchange(batch_size_, 0);
    for (std::size_t i = 0; i < size; ++i) {
        const Pending& pending = batch_[i];
        if (pending.request.verb != Verb::get) continue;
        services_.replicas.store(pending.shard).prefetch_block(pending.hash);
    }
    for (std::size_t i = 0; i < size; ++i) {
        execute(batch_[i].request, batch_[i].hash, batch_[i].shard);
    }
}

// --- execution -----------------------------------------------------------------------------------

Slot& Connection::push(const Request& request) {
    return pipeline_.push(request, charge_of(request.args),
                          services_.reactor.now().time_since_epoch().count());
}

void Connection::execute(const Request& request, std::uint64_t hash, ShardId shard) {
    if (is_write(request.verb)) {
        write(request, shard);
    } else if (request.verb == Verb::get) {
        read(request, hash, shard);
    } else if (request.verb == Verb::keys || (is_wide_read(request.verb) && !pipeline_.empty())) {
        Slot& slot = push(request);
        slot.state = Slot::State::parked;
        slot.args.assign(request.args.begin(), request.args.end());
        ++parked_;
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

/// A GET takes effect behind this connection's writes to its shard, and before its later ones.
void Connection::read(const Request& request, std::uint64_t hash, ShardId shard) {
    const std::string_view key = request.args[0];
    if (pipeline_.empty()) {
        answer_get(request, services_.replicas.store(shard), hash, output_);
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
        slot.bytes.assign(key);
        ++outstanding_;
        // As long as the reply will be, unless another client changes the value meanwhile.
        const auto found = store.get(key, hash);
        const std::size_t stored = found ? found->value.size() : 0;
        pipeline_.add_charge(slot, std::max(stored, written_value_bytes_max_));
        return;
    }
    slot.rendered = true;
    answer_get(request, store, hash, slot.bytes);
    pipeline_.add_charge(slot, slot.bytes.size());
}

void Connection::on_readable(std::uint64_t number, const Store& store) noexcept {
    --outstanding_;
    services_.mark(*this);
    if (!pipeline_.holds(number)) return;
    Slot& slot = pipeline_.at(number);
    if (slot.state != Slot::State::reading) return;  // it was answered: timed out
    const std::string key = std::exchange(slot.bytes, {});
    const std::string_view arg = key;
    Request request;
    request.verb = Verb::get;
    request.protocol = slot.protocol;
    request.request_id = slot.request_id;
    request.args = std::span(&arg, 1);
    slot.rendered = true;
    slot.state = Slot::State::done;
    answer_get(request, store, slot.hash, slot.bytes);
}

void Connection::answer_get(const Request& request, const Store& store, std::uint64_t hash,
                            std::string& out) {
    const auto found = store.get(request.args[0], hash);
    if (found) {
        ++services_.counters.hits;
        writer_for(request, out).value(found->value);
    } else {
        ++services_.counters.misses;
        writer_for(request, out).absent();
    }
}

void Connection::write(const Request& request, ShardId shard) {
    const std::span<const std::string_view> args = request.args;
    const std::uint64_t number = pipeline_.tail();
    push(request).state = Slot::State::writing;
    const Placement& placement = services_.replicas.placement();
    Command command;
    command.session = request.session;
    command.sequence = request.sequence;
    switch (request.verb) {
        case Verb::set:
            command.key = args[0];
            command.value = args[1];
            propose(number, shard, command);
            break;
        case Verb::mset:
            for (std::size_t i = 0; i + 1 < args.size(); i += 2) {
                command.key = args[i];
                command.value = args[i + 1];
                propose(number, placement.shard_of(command.key), command);
            }
            break;
        case Verb::del:
            command.kind = CommandKind::del;
            for (const std::string_view key : args) {
                command.key = key;
                propose(number, placement.shard_of(key), command);
            }
            break;
        default:
            KV_ASSERT(request.verb == Verb::flushall);
            command.kind = CommandKind::flush;
            for (std::uint16_t i = 0; i < placement.shards(); ++i) {
                propose(number, ShardId(i), command);
            }
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

void Connection::on_applied(std::uint64_t number, std::uint64_t count) noexcept {
    if (--outstanding_ == 0) written_shards_ = written_value_bytes_max_ = 0;
    services_.mark(*this);
    if (!pipeline_.holds(number)) return;  // it was answered: outcome unknown
    Slot& slot = pipeline_.at(number);
    if (slot.state != Slot::State::writing) return;
    slot.count += count;
    ++slot.parts_applied;
    if (--slot.parts_left == 0) slot.state = Slot::State::done;
}

void Connection::reply_of_write(const Slot& slot) {
    ReplyWriter reply(slot.protocol, slot.request_id, output_);
    // Refused in one shard and applied in another: the whole is neither.
    if (slot.refused && slot.parts_applied != 0) {
        return reply.error(Errc::commit_timeout,
                           "some keys were written and others refused, outcome unknown");
    }
    if (slot.refused) return reply.error(slot.error);
    if (slot.verb == Verb::del) return reply.deleted(static_cast<std::int64_t>(slot.count));
    reply.ok();
}

/// Everything that needs no log, and of KEYS, which is a job, nothing.
void Connection::answer(const Request& request, std::string& out) {
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
        case Verb::exists: {
            std::int64_t count = 0;
            for (const std::string_view key : request.args) count += find(key) ? 1 : 0;
            return reply.integer(count);
        }
        case Verb::mget: {
            std::vector<std::optional<std::string_view>> values;
            values.reserve(request.args.size());
            for (const std::string_view key : request.args) {
                const auto found = find(key);
                ++(found ? services_.counters.hits : services_.counters.misses);
                values.push_back(found ? std::optional(found->value) : std::nullopt);
            }
            return reply.values(values);
        }
        case Verb::dbsize: return reply.integer(static_cast<std::int64_t>(replicas.keys()));
        case Verb::command: return services_.answer_command(request.args, reply);
        case Verb::config_get: return services_.answer_config_get(request.args, reply);
        case Verb::info: return reply.bulk(services_.info(request.args));
        case Verb::select:  // the codec let 0 through, and nothing else
        case Verb::quit:
        case Verb::client_setinfo: return reply.ok();
        case Verb::add_server:
            return reply.error(Errc::static_membership,
                               "ADDSERVER not available in standalone mode");
        case Verb::remove_server:
            return reply.error(Errc::static_membership,
                               "REMOVESERVER not available in standalone mode");
        case Verb::get:
        case Verb::keys:
        case Verb::set:
        case Verb::del:
        case Verb::mset:
        case Verb::flushall: break;
    }
    KV_UNREACHABLE("verb {}", static_cast<unsigned>(request.verb));
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
    const std::size_t keys_max = services_.config.limits.keys_reply_max;
    std::vector<std::string> keys;
    for (std::uint16_t shard = 0; shard < services_.replicas.shards(); ++shard) {
        const Store& store = services_.replicas.store(ShardId(shard));
        Cursor cursor(0);
        do {
            for (int i = 0; i < scan_segments_per_turn; ++i) {
                cursor = store.scan(cursor, [&](std::string_view key, std::string_view, Revision) {
                    if (keys.size() > keys_max) return;
                    if (all || glob_match(pattern, key)) keys.emplace_back(key);
                });
                if (cursor == Cursor(0)) break;
            }
            co_await io::NextTurn(services_.reactor);
        } while (cursor != Cursor(0) && keys.size() <= keys_max && !closed_);
    }
    std::string text;
    ReplyWriter reply(protocol, request_id, text);
    if (keys.size() > keys_max) {
        const std::string why =
            fmt::format("KEYS matches more than limits.keys_reply_max = {} keys", keys_max);
        reply.error(Errc::too_large, why);
    } else {
        const std::vector<std::string_view> views(keys.begin(), keys.end());
        reply.keys(views);
    }
    --outstanding_;
    --parked_;
    services_.mark(*this);
    if (!pipeline_.holds(number)) co_return;
    Slot& slot = pipeline_.at(number);
    slot.bytes = std::move(text);
    slot.rendered = true;
    slot.state = Slot::State::done;
}

// --- the end of a turn ---------------------------------------------------------------------------

/// Runs the request at the front, which waited until all before it were answered.
void Connection::run_parked(Slot& slot) {
    if (slot.verb == Verb::keys) {  // what comes behind waits until the job is done, too
        const bool all = slot.args.empty();
        start_keys(pipeline_.head(), all ? std::string() : slot.args[0], all);
        return;
    }
    --parked_;
    const std::vector<std::string_view> args(slot.args.begin(), slot.args.end());
    Request request;
    request.verb = slot.verb;
    request.protocol = slot.protocol;
    request.request_id = slot.request_id;
    request.args = args;
    answer(request, slot.bytes);
    slot.rendered = true;
    slot.state = Slot::State::done;
}

void Connection::release_answered() {
    while (!pipeline_.empty()) {
        Slot& slot = pipeline_.front();
        if (slot.state == Slot::State::parked) run_parked(slot);
        if (slot.state != Slot::State::done) return;
        if (slot.rendered) {
            output_.append(slot.bytes);
        } else {
            reply_of_write(slot);
        }
        pipeline_.pop();
    }
}

void Connection::end_turn() {
    if (closed_) return;
    release_answered();
    while (!input_.empty() && !finishing_ && !held_back() && input_.size() >= input_needed_) {
        const std::size_t before = input_.size();
        take_kept_input();
        release_answered();
        if (input_.size() == before) break;  // an incomplete request
    }
    if (!finishing_ && !input_ended_) {
        // Replies that became ready together may have filled the output, too.
        if (held_back()) {
            stream_.pause();
        } else if (stream_.paused()) {
            stream_.receive();
        }
    }
    flush();
    close_if_done();
}

void Connection::flush() {
    if (stream_.sending() || stream_.closing()) return;
    if (sent_ == sending_.size()) {
        if (output_.empty()) return;
        if (sending_.capacity() > kept_buffer_bytes_max) sending_ = {};
        sending_.clear();
        sending_.swap(output_);
        sent_ = 0;
        last_progress_ = services_.reactor.now();
    }
    ++services_.counters.sends;
    stream_.send(as_bytes(std::string_view(sending_).substr(sent_)));
}

void Connection::on_sent(std::size_t bytes) noexcept {
    sent_ += bytes;
    services_.counters.bytes_out += bytes;
    last_progress_ = services_.reactor.now();
    services_.mark(*this);
}

// --- the end of a connection ---------------------------------------------------------------------

void Connection::on_ended(std::int32_t error) noexcept {
    input_ended_ = true;
    // A client may close its half and still read the replies; one that is gone will not.
    if (error != 0) {
        close();
    } else {
        services_.mark(*this);
    }
}

void Connection::finish() noexcept {
    finishing_ = true;
    input_.clear();
    stream_.pause();
    services_.mark(*this);
}

void Connection::close_if_done() noexcept {
    if (!finishing_ && !input_ended_) return;
    const bool input_left = !finishing_ && held_back() && !input_.empty();
    if (!pipeline_.empty() || input_left) return;
    if (!output_.empty() || sent_ != sending_.size()) return;
    if (input_ended_ || refused_) {
        close();
    } else {
        linger();
    }
}

/// To close while there is input that nobody has read would be a reset, which destroys the replies
/// that are still on their way. So the client is told of the end first, and what it sends is
/// dropped, until it closes too or is quiet.
void Connection::linger() noexcept {
    if (lingering_ || stream_.closing()) return;
    lingering_ = true;
    lingering_since_ = last_input_ = services_.reactor.now();
    stream_.end_sending();
    stream_.receive();
}

void Connection::close() noexcept {
    if (!stream_.closing()) stream_.close();
}

void Connection::on_closed() noexcept {
    closed_ = true;
    services_.on_gone(*this);
}

bool Connection::gone() const noexcept {
    return closed_ && outstanding_ == 0;
}

void Connection::check_time(Instant now) noexcept {
    const Config& config = services_.config;
    if (stream_.closing()) return;
    if (lingering_) {
        const bool over = now - lingering_since_ > linger_max;
        if (over || now - last_input_ > linger_quiet_max) close();
        return;
    }
    if (sent_ != sending_.size() && now - last_progress_ > config.client.stall_timeout) {
        ++services_.counters.connections_stalled;
        log::warn("a client takes no replies, closing its connection",
                  log::field("unsent_bytes", sending_.size() - sent_ + output_.size()));
        close();
        return;
    }
    // In the order in which they were begun.
    for (std::uint64_t number = pipeline_.head(); number != pipeline_.tail(); ++number) {
        Slot& slot = pipeline_.at(number);
        const Duration waited = now.time_since_epoch() - Duration(slot.begun_ns);
        if (waited <= config.commit_timeout) break;
        if (slot.state == Slot::State::writing || slot.state == Slot::State::reading) {
            expire(slot);
        }
    }
}

/// Answers a request that waits for the log; what becomes of it is no longer told.
void Connection::expire(Slot& slot) {
    ++services_.counters.timeouts;
    slot.bytes.clear();
    ReplyWriter(slot.protocol, slot.request_id, slot.bytes).error(Errc::commit_timeout);
    slot.rendered = true;
    slot.state = Slot::State::done;
    services_.mark(*this);
}

}  // namespace kv
