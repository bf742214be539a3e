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

/// Keys of the shards of one core that may be read.
std::uint64_t count_here(const ReplicaSet& replicas, const std::vector<bool>& readable) {
    std::uint64_t keys = 0;
    for (std::uint16_t i = 0; i < replicas.shards(); ++i) {
        if (replicas.has(ShardId(i)) && readable[i]) keys += replicas.store(ShardId(i)).size();
    }
    return keys;
}

/// The start of the first shard from `shard` on that may be read; else behind the last one.
ScanPosition start_of(std::size_t shard, const std::vector<bool>& readable) {
    while (shard < readable.size() && !readable[shard]) ++shard;
    return {static_cast<std::uint16_t>(shard), Cursor(0)};
}

}  // namespace

/// What KEYS has found so far.
struct Connection::Keys {
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
Cursor Connection::collect_slice(const Store& store, Cursor cursor, const std::string* pattern,
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

void Connection::start_job(Slot& slot) {
    slot.state = Slot::State::running;
    ++outstanding_;
    services_.reactor.spawn(
        run_job({pipeline_.head(), slot.verb, slot.protocol, slot.request_id,
                 sees_whole(slot.protocol), slot.plain, std::exchange(parked_args_, {})}));
}

Connection::Work Connection::work_of(Verb verb) noexcept {
    switch (verb) {
        case Verb::keys: return &Connection::collect_keys;
        case Verb::scan: return &Connection::scan_page;
        case Verb::randomkey: return &Connection::pick_key;
        case Verb::dbsize: return &Connection::count_keys;
        default: break;
    }
    if (concerns_cluster(verb)) return &Connection::run_cluster_job;
    KV_ASSERT(concerns_all_cores(verb));
    return &Connection::run_node_job;
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

/// Also waits for leaders, if the client is one that would not try again.
io::Task<void> Connection::reach_shards(Reach* reach, const Job& job) {
    const io::Reactor& reactor = services_.reactor;
    const Duration wait = leader_wait_elections * services_.config.raft.election_timeout;
    const Instant until = reactor.now() + wait;
    bool again = true;
    while (again) {
        *reach = Reach();
        co_await look_at_shards(reach, job.whole);
        again = job.plain && !closed_ && reactor.now() < until && reach->refusal &&
                reach->refusal->reason != Errc::not_leader;
        if (!again) break;
        co_await io::SleepAwaiter(services_.reactor, leader_look_period);
    }
}

/// All shards at once, core after core. In a cluster of one node there is nothing to confirm, and
/// who may be told what is old is told what is here.
io::Task<void> Connection::look_at_shards(Reach* reach, bool whole) {
    const Placement& placement = services_.replicas.placement();
    reach->readable.assign(placement.shards(), true);
    reach->leaders.assign(placement.shards(), NodeId());
    reach->any = true;
    const bool here = whole && services_.config.reads == ReadMode::local;
    if (services_.replicas.alone() || here) co_return;
    reach->any = false;
    for (std::uint16_t i = 0; i < placement.cores(); ++i) {
        const CoreId core(i);
        std::vector<ReadGate::Verdict> verdicts;
        for (std::uint16_t shard = 0; shard < placement.shards(); ++shard) {
            if (placement.core_of(ShardId(shard)) != core) continue;
            verdicts.push_back({ShardId(shard), std::nullopt});
        }
        auto pass = [&](io::Reactor&) {
            return services_.on(core).gate.pass(verdicts, services_.config.commit_timeout);
        };
        co_await io::call_on(services_.reactor, core, pass);
        for (const ReadGate::Verdict& verdict : verdicts) {
            reach->readable[verdict.shard.value()] = !verdict.refusal;
            reach->any |= !verdict.refusal;
            if (!verdict.refusal) continue;
            reach->leaders[verdict.shard.value()] = verdict.refusal->leader;
            const bool leaderless = verdict.refusal->reason != Errc::not_leader;
            const bool worse =
                leaderless && reach->refusal && reach->refusal->reason == Errc::not_leader;
            if (reach->refusal && !worse) continue;
            reach->refusal = verdict.refusal;
            reach->refused_shard = verdict.shard.value();
        }
    }
}

/// Clients of a Redis cluster ask each node for the keys of the shards that it leads. Everybody
/// else gets what the whole cluster has. A shard that nobody leads is an error: never a part
/// without a word.
bool Connection::refuse_beyond(const Reach& reach, const Job& job, std::string& out) {
    if (!reach.refusal) return false;
    // The rest is asked of the other leaders; a node that leads nothing sends the client to one, if
    // the client may be sent.
    const bool rest_is_reached = job.whole || is_resp(job.protocol);
    const bool begins = reach.any || (job.whole && job.plain);
    if (begins && reach.refusal->reason == Errc::not_leader && rest_is_reached) return false;
    const SlotId slot = services_.replicas.placement().first_slot(ShardId(reach.refused_shard));
    ReplyWriter reply(job.protocol, job.request_id, out);
    const Refused refusal = job.plain ? without_leader(*reach.refusal) : *reach.refusal;
    answer_refusal(refusal, slot, services_.replicas, job.protocol, reply);
    return true;
}

/// Those of a shard that `leader` leads. Nothing: all, or more than fit.
io::Task<std::optional<Errc>> Connection::list_elsewhere(NodeId leader, ShardId shard,
                                                         const std::string* pattern, Keys* keys) {
    ForwardRequest request;
    request.kind = ForwardKind::list;
    request.has_pattern = pattern != nullptr;
    if (pattern != nullptr) request.content = *pattern;
    do {
        const ForwardAnswer page = co_await services_.forwarder.ask(
            leader, shard, request, services_.config.commit_timeout);
        if (page.refusal) co_return reason_of(*page.refusal);
        std::string_view rest = page.content;
        while (const auto key = take_listed(rest)) {
            keys->found.emplace_back(*key);
            keys->bytes += key->size();
        }
        request.cursor = page.number;
    } while (request.cursor != 0 && keys->fits(services_.config.limits) && !closed_);
    co_return std::nullopt;
}

io::Task<void> Connection::collect_keys(const Job& job, std::string& out) {
    const Config::Limits& limits = services_.config.limits;
    const std::string* const pattern = job.args.empty() ? nullptr : &job.args[0];
    const Placement& placement = services_.replicas.placement();
    Reach reach;
    co_await reach_shards(&reach, job);
    if (refuse_beyond(reach, job, out)) co_return;
    Keys keys;
    for (std::uint16_t i = 0; i < placement.shards() && keys.fits(limits) && !closed_; ++i) {
        const ShardId shard(i);
        if (!reach.readable[i] && !job.whole) continue;
        if (!reach.readable[i]) {
            const auto refusal = co_await list_elsewhere(reach.leaders[i], shard, pattern, &keys);
            if (!refusal) continue;
            ReplyWriter reply(job.protocol, job.request_id, out);
            co_return reply.error(*refusal);
        }
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

/// The next page of the shard at `at`, which `leader` leads. Nothing: `at` is behind it.
io::Task<std::optional<Errc>> Connection::scan_elsewhere(NodeId leader, ScanPosition* at,
                                                         const ScanOptions& options,
                                                         ScanPage* page) {
    ForwardRequest request;
    request.kind = ForwardKind::list;
    request.cursor = at->cursor.value();
    request.has_pattern = options.has_pattern;
    if (options.has_pattern) request.content = options.pattern;
    const ForwardAnswer answer = co_await services_.forwarder.ask(
        leader, ShardId(at->shard), request, services_.config.commit_timeout);
    if (answer.refusal) co_return reason_of(*answer.refusal);
    page->visited += Forwarder::page_keys_max;  // or as many as are left
    std::string_view rest = answer.content;
    while (const auto key = take_listed(rest)) {
        if (!scans_strings(options)) continue;
        page->keys.emplace_back(*key);
        page->bytes += key->size();
    }
    at->cursor = cut_scan_cursor(Cursor(answer.number));
    if (answer.number != 0 && at->cursor == Cursor(0)) co_return Errc::unsupported;
    co_return std::nullopt;
}

io::Task<void> Connection::scan_page(const Job& job, std::string& out) {
    const std::vector<std::string_view> args(job.args.begin(), job.args.end());
    const ScanOptions options = scan_options(args);
    const Placement& placement = services_.replicas.placement();
    ScanPosition at = decode_scan_cursor(options.cursor);
    ScanPage page;
    Reach reach;
    co_await reach_shards(&reach, job);
    if (refuse_beyond(reach, job, out)) co_return;
    const std::vector<bool> visited =
        job.whole ? std::vector<bool>(placement.shards(), true) : reach.readable;
    // A shard that another node has come to lead: the client finds the rest of it there.
    const bool gone = at.shard < placement.shards() && !visited[at.shard];
    if (gone) at = start_of(at.shard, visited);
    while (at.shard < placement.shards() && !scan_is_enough(page, options)) {
        if (!reach.readable[at.shard]) {
            const auto refusal =
                co_await scan_elsewhere(reach.leaders[at.shard], &at, options, &page);
            if (refusal) {
                ReplyWriter reply(job.protocol, job.request_id, out);
                co_return reply.error(*refusal);
            }
            if (at.cursor == Cursor(0)) at = start_of(at.shard + 1u, visited);
            continue;
        }
        const CoreId core = placement.core_of(ShardId(at.shard));
        auto slice = [&](io::Reactor&) {
            const Store& store = services_.on(core).replicas.store(ShardId(at.shard));
            do {
                at.cursor = scan_store(store, at.cursor, options, page);
            } while (at.cursor != Cursor(0) && !scan_is_enough(page, options));
        };
        co_await io::call_on(services_.reactor, core, slice);
        if (at.cursor == Cursor(0)) at = start_of(at.shard + 1u, visited);
    }
    const std::uint64_t cursor = at.shard < placement.shards() ? encode_scan_cursor(at) : 0;
    ReplyWriter reply(job.protocol, job.request_id, out);
    answer_page(page, cursor, reply);
}

io::Task<void> Connection::count_keys(const Job& job, std::string& out) {
    Reach reach;
    co_await reach_shards(&reach, job);
    if (refuse_beyond(reach, job, out)) co_return;
    std::uint64_t keys = 0;
    for (std::uint16_t i = 0; i < services_.replicas.placement().cores(); ++i) {
        const CoreId core(i);
        auto count = [&](io::Reactor&) {
            return count_here(services_.on(core).replicas, reach.readable);
        };
        const std::uint64_t there = co_await io::call_on(services_.reactor, core, count);
        keys += there;
    }
    for (std::uint16_t i = 0; i < reach.readable.size() && job.whole; ++i) {
        if (reach.readable[i]) continue;
        ForwardRequest request;
        request.kind = ForwardKind::count;
        const ForwardAnswer there = co_await services_.forwarder.ask(
            reach.leaders[i], ShardId(i), request, services_.config.commit_timeout);
        if (there.refusal) {
            ReplyWriter reply(job.protocol, job.request_id, out);
            co_return reply.error(reason_of(*there.refusal));
        }
        keys += there.number;
    }
    ReplyWriter(job.protocol, job.request_id, out).integer(static_cast<std::int64_t>(keys));
}

/// From a random shard on, one of the first keys of the first shard elsewhere that has any. That
/// there is none is for certain only if all have said so.
io::Task<std::optional<Errc>> Connection::pick_elsewhere(const Reach& reach,
                                                         std::optional<std::string>* picked) {
    std::optional<Errc> refusal;
    const std::size_t shards = reach.readable.size();
    const std::uint64_t first = services_.prng.below(shards);
    for (std::size_t i = 0; i < shards; ++i) {
        const std::size_t shard = (first + i) % shards;
        if (reach.readable[shard]) continue;
        ForwardRequest request;
        request.kind = ForwardKind::list;
        const ForwardAnswer answer = co_await services_.forwarder.ask(
            reach.leaders[shard], ShardId(static_cast<std::uint16_t>(shard)), request,
            services_.config.commit_timeout);
        if (answer.refusal) {
            refusal = reason_of(*answer.refusal);
            continue;
        }
        std::string_view rest = answer.content;
        std::uint64_t seen = 0;
        std::string chosen;
        while (const auto key = take_listed(rest)) {
            if (services_.prng.below(++seen) == 0) chosen.assign(*key);
        }
        if (seen == 0) continue;
        *picked = std::move(chosen);
        co_return std::nullopt;
    }
    co_return refusal;
}

/// From a random core on, the first that has one.
io::Task<void> Connection::pick_key(const Job& job, std::string& out) {
    const std::uint16_t cores = services_.replicas.placement().cores();
    Reach reach;
    co_await reach_shards(&reach, job);
    if (refuse_beyond(reach, job, out)) co_return;
    const std::uint64_t first = services_.prng.below(cores);
    std::optional<std::string> key;
    for (std::uint16_t i = 0; i < cores && !key; ++i) {
        const CoreId core(static_cast<std::uint16_t>((first + i) % cores));
        auto pick = [&](io::Reactor&) {
            Services& there = services_.on(core);
            key = random_key(there.replicas, reach.readable, there.prng);
        };
        co_await io::call_on(services_.reactor, core, pick);
    }
    ReplyWriter reply(job.protocol, job.request_id, out);
    if (!key && job.whole) {
        const std::optional<Errc> refusal = co_await pick_elsewhere(reach, &key);
        if (refusal) co_return reply.error(*refusal);
    }
    key ? reply.bulk(*key) : reply.absent();
}

}  // namespace kv
