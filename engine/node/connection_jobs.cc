// Requests of a Connection over all shards, on whichever core they are: KEYS, SCAN, DBSIZE,
// RANDOMKEY. Such a request is at the front of the pipeline, and nothing behind it has begun. A job
// is a coroutine that visits the shards by calls to their cores, a slice at a time.

#include <fmt/format.h>

#include <utility>

#include "engine/node/connection.h"
#include "engine/node/glob.h"
#include "engine/node/scan.h"
#include "io/await.h"
#include "io/call.h"

namespace kv {

namespace {

/// Index segments that one turn of a KEYS job visits: some thousand keys, well below a millisecond.
constexpr int scan_segments_per_turn = 4;
/// Comparisons that its pattern may cost in one turn, some ten milliseconds: far more than keys of
/// usual length ever need. Beyond, KEYS is an error, so that nobody can hold up the others.
constexpr std::uint64_t match_steps_per_turn = 10'000'000;

/// What KEYS has found so far.
struct Keys {
    std::vector<std::string> found;
    std::size_t bytes = 0;
    std::uint64_t steps_of_turn = 0;

    bool fits(const Config::Limits& limits) const noexcept {
        return found.size() <= limits.keys_reply_max && bytes <= limits.reply_bytes_max &&
               steps_of_turn <= match_steps_per_turn;
    }
    /// Empty: it fits.
    std::string why_not(const Config::Limits& limits) const {
        if (fits(limits)) return {};
        if (found.size() > limits.keys_reply_max) {
            return fmt::format("KEYS matches more than limits.keys_reply_max = {} keys",
                               limits.keys_reply_max);
        }
        if (bytes > limits.reply_bytes_max) {
            return fmt::format("KEYS would answer more than limits.reply_bytes_max = {} bytes",
                               limits.reply_bytes_max);
        }
        return "KEYS: this pattern takes too long to match these keys";
    }
};

/// One turn's worth of `store`. No pattern: all keys match.
Cursor collect_slice(const Store& store, Cursor cursor, const std::string* pattern,
                     const Config::Limits& limits, Keys& keys) {
    keys.steps_of_turn = 0;
    for (int i = 0; i < scan_segments_per_turn; ++i) {
        cursor = store.scan(cursor, [&](std::string_view key, std::string_view, Revision) {
            if (!keys.fits(limits)) return;
            const bool wanted =
                pattern == nullptr || glob_match(*pattern, key, false, &keys.steps_of_turn);
            if (!wanted) return;
            keys.found.emplace_back(key);
            keys.bytes += key.size();
        });
        if (cursor == Cursor(0)) break;
    }
    return cursor;
}

}  // namespace

void Connection::start_job(Slot& slot) {
    slot.state = Slot::State::running;
    ++outstanding_;
    services_.reactor.spawn(run_job({pipeline_.head(), slot.verb, slot.protocol, slot.request_id,
                                     std::exchange(parked_args_, {})}));
}

Connection::Work Connection::work_of(Verb verb) noexcept {
    switch (verb) {
        case Verb::keys: return &Connection::collect_keys;
        case Verb::scan: return &Connection::scan_page;
        case Verb::randomkey: return &Connection::pick_key;
        case Verb::dbsize: return &Connection::count_keys;
        default: KV_ASSERT(concerns_all_cores(verb)); return &Connection::run_node_job;
    }
}

io::Task<void> Connection::run_job(Job job) {
    std::string out;
    const Work work = work_of(job.verb);
    co_await (this->*work)(job, out);
    called_back();
    parked_ = false;
    if (!pipeline_.holds(job.number)) co_return;
    Slot& slot = pipeline_.at(job.number);
    slot.bytes = std::move(out);
    slot.rendered = true;
    slot.state = Slot::State::done;
}

io::Task<void> Connection::collect_keys(const Job& job, std::string& out) {
    const Config::Limits& limits = services_.config.limits;
    const std::string* const pattern = job.args.empty() ? nullptr : &job.args[0];
    const Placement& placement = services_.replicas.placement();
    Keys keys;
    for (std::uint16_t i = 0; i < placement.shards() && keys.fits(limits) && !closed_; ++i) {
        const ShardId shard(i);
        const CoreId core = placement.core_of(shard);
        Cursor cursor(0);
        auto slice = [&](io::Reactor&) {
            const Store& store = services_.on(core).replicas.store(shard);
            cursor = collect_slice(store, cursor, pattern, limits, keys);
        };
        do {
            co_await io::call_on(services_.reactor, core, slice);
            co_await io::NextTurn(services_.reactor);
        } while (cursor != Cursor(0) && keys.fits(limits) && !closed_);
    }
    ReplyWriter reply(job.protocol, job.request_id, out);
    const std::string why = keys.why_not(limits);
    if (!why.empty()) {
        reply.error(Errc::too_large, why);
    } else {
        const std::vector<std::string_view> views(keys.found.begin(), keys.found.end());
        reply.keys(views);
    }
}

io::Task<void> Connection::scan_page(const Job& job, std::string& out) {
    const std::vector<std::string_view> args(job.args.begin(), job.args.end());
    const ScanOptions options = scan_options(args);
    const Placement& placement = services_.replicas.placement();
    ScanPosition at = decode_scan_cursor(options.cursor);
    ScanPage page;
    while (at.shard < placement.shards()) {
        const CoreId core = placement.core_of(ShardId(at.shard));
        auto slice = [&](io::Reactor&) {
            const Store& store = services_.on(core).replicas.store(ShardId(at.shard));
            do {
                at.cursor = scan_store(store, at.cursor, options, page);
            } while (at.cursor != Cursor(0) && !scan_is_enough(page, options));
        };
        co_await io::call_on(services_.reactor, core, slice);
        if (at.cursor == Cursor(0)) ++at.shard;
        if (scan_is_enough(page, options)) break;
    }
    const std::uint64_t cursor = at.shard < placement.shards() ? encode_scan_cursor(at) : 0;
    ReplyWriter reply(job.protocol, job.request_id, out);
    answer_page(page, cursor, reply);
}

io::Task<void> Connection::count_keys(const Job& job, std::string& out) {
    std::uint64_t keys = 0;
    for (std::uint16_t i = 0; i < services_.replicas.placement().cores(); ++i) {
        const CoreId core(i);
        auto count = [&](io::Reactor&) { return services_.on(core).replicas.keys(); };
        const std::uint64_t there = co_await io::call_on(services_.reactor, core, count);
        keys += there;
    }
    ReplyWriter(job.protocol, job.request_id, out).integer(static_cast<std::int64_t>(keys));
}

/// From a random core on, the first that has one.
io::Task<void> Connection::pick_key(const Job& job, std::string& out) {
    const std::uint16_t cores = services_.replicas.placement().cores();
    const std::uint64_t first = services_.prng.below(cores);
    std::optional<std::string> key;
    for (std::uint16_t i = 0; i < cores && !key; ++i) {
        const CoreId core(static_cast<std::uint16_t>((first + i) % cores));
        auto pick = [&](io::Reactor&) {
            Services& there = services_.on(core);
            key = random_key(there.replicas, there.prng);
        };
        co_await io::call_on(services_.reactor, core, pick);
    }
    ReplyWriter reply(job.protocol, job.request_id, out);
    key ? reply.bulk(*key) : reply.absent();
}

}  // namespace kv
