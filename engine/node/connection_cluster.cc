// Requests of a Connection about the cluster: CLUSTER. Jobs as those of connection_node.cc.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/node/cluster_view.h"
#include "engine/node/connection.h"
#include "io/await.h"
#include "io/call.h"
#include "proto/base/integer.h"

namespace kv {

namespace {

/// Index segments that one turn of a walk through a slot visits, as KEYS does.
constexpr int slot_segments_per_turn = 4;
/// Between looks at whether a shard has its new leader.
constexpr Duration transfer_look_period = 5ms;

constexpr std::string_view alone_reason = "This instance has cluster support disabled";

constexpr std::int64_t slot_last = 16383;

/// What a cluster of one node answers, too: it is no Redis cluster, but our own clients ask it.
bool is_for_any_cluster(Verb verb) noexcept {
    return verb == Verb::cluster_map || verb == Verb::cluster_transfer;
}

}  // namespace

bool Connection::concerns_cluster(Verb verb) noexcept {
    return verb >= Verb::cluster_info && verb <= Verb::cluster_transfer &&
           verb != Verb::cluster_help;
}

io::Task<void> Connection::run_cluster_job(const Job& job, std::string& out) {
    ReplyWriter reply(job.protocol, job.request_id, out);
    if (services_.replicas.alone() && !is_for_any_cluster(job.verb)) {
        co_return reply.error(Errc::unsupported, alone_reason);
    }
    switch (job.verb) {
        case Verb::cluster_keyslot: co_return reply.integer(slot_of(job.args[0]).value());
        case Verb::cluster_countkeysinslot:
        case Verb::cluster_getkeysinslot: co_return co_await list_slot(job, out);
        case Verb::cluster_transfer: co_return co_await transfer_shard(job, out);
        default: break;
    }
    const std::vector<CoreFacts> cores = co_await gather_facts();
    const ReplicaSet& replicas = services_.replicas;
    const Configuration& members = replicas.configuration();
    ShardMap map = make_shard_map(replicas.self(), members, replicas.placement(), cores);
    switch (job.verb) {
        case Verb::cluster_info: co_return reply.verbatim(render_cluster_info(map));
        case Verb::cluster_nodes:
            session_.note_topology();
            name_latest_leaders(map, cores);
            co_return reply.verbatim(render_cluster_nodes(map, members));
        case Verb::cluster_slots:
            session_.note_topology();
            name_latest_leaders(map, cores);
            co_return reply.compose(
                [&](resp::Writer& writer) { write_cluster_slots(map, members, writer); });
        case Verb::cluster_shards:
            session_.note_topology();
            name_latest_leaders(map, cores);
            co_return reply.compose(
                [&](resp::Writer& writer) { write_cluster_shards(map, members, writer); });
        case Verb::cluster_myid:
        case Verb::cluster_myshardid:
            co_return reply.bulk(cluster_node_name(*replicas.member(replicas.self())));
        default: break;
    }
    KV_ASSERT(job.verb == Verb::cluster_map);
    std::string bytes;
    encode_shard_map(map, bytes);
    reply.bulk(bytes);
}

/// What this node has of one slot, whoever leads it, as Redis counts it.
io::Task<void> Connection::list_slot(const Job& job, std::string& out) {
    ReplyWriter reply(job.protocol, job.request_id, out);
    const bool lists = job.verb == Verb::cluster_getkeysinslot;
    const auto number = parse_integer(job.args[0]);
    const auto most = lists ? parse_integer(job.args[1]) : 0;
    if (!number || !most) co_return reply.error(Errc::not_integer);
    if (*number < 0 || *number > slot_last || *most < 0) {
        co_return reply.error(Errc::syntax,
                              lists ? "Invalid slot or number of keys" : "Invalid slot");
    }
    const SlotId slot(static_cast<std::uint16_t>(*number));
    const std::uint64_t wanted = std::min<std::uint64_t>(static_cast<std::uint64_t>(*most),
                                                         services_.config.limits.keys_reply_max);
    const ShardId shard = services_.replicas.placement().shard_of(slot);
    const CoreId core = services_.replicas.placement().core_of(shard);
    const std::size_t bytes_max = services_.config.limits.reply_bytes_max;
    std::vector<std::string> found;
    std::size_t bytes = 0;
    std::int64_t count = 0;
    Cursor cursor(0);
    auto slice = [&](io::Reactor&) {
        const Store& store = services_.on(core).replicas.store(shard);
        for (int i = 0; i < slot_segments_per_turn; ++i) {
            cursor = store.scan(cursor, [&](std::string_view key, std::string_view, Revision) {
                if (slot_of(key) != slot) return;
                ++count;
                if (!lists || found.size() >= wanted || bytes > bytes_max) return;
                found.emplace_back(key);
                bytes += key.size();
            });
            if (cursor == Cursor(0)) break;
        }
    };
    do {
        co_await io::call_on(services_.reactor, core, slice);
        co_await io::NextTurn(services_.reactor);
    } while (cursor != Cursor(0) && !(lists && found.size() >= wanted) && bytes <= bytes_max &&
             !closed_);
    if (!lists) co_return reply.integer(count);
    if (bytes > bytes_max) {
        co_return refuse_long_reply("CLUSTER GETKEYSINSLOT", bytes_max, reply);
    }
    const std::vector<std::string_view> keys(found.begin(), found.end());
    reply.strings(keys);
}

/// Answers once the other node leads, or it did not come to that.
io::Task<void> Connection::transfer_shard(const Job& job, std::string& out) {
    ReplyWriter reply(job.protocol, job.request_id, out);
    const Placement& placement = services_.replicas.placement();
    const auto number = parse_integer(job.args[0]);
    if (!number || *number < 0 || *number >= placement.shards()) {
        co_return reply.error(Errc::syntax,
                              fmt::format("there are shards 0 to {}", placement.shards() - 1));
    }
    const auto id = parse_integer(job.args[1]);
    const NodeId to(id && *id > 0 ? static_cast<std::uint64_t>(*id) : 0);
    if (services_.replicas.member(to) == nullptr) {
        co_return reply.error(Errc::syntax, "there is no such node in the cluster");
    }
    const ShardId shard(static_cast<std::uint16_t>(*number));
    const CoreId core = placement.core_of(shard);
    std::optional<Refused> refusal;
    std::string_view why = "the other node does not answer";
    NodeId leader;
    auto hand_over = [&](io::Reactor& there) -> io::Task<void> {
        ReplicaSet& replicas = services_.on(core).replicas;
        leader = replicas.leader(shard);
        if (leader == to) co_return;
        if (!replicas.replica(shard).group().ready()) {
            refusal = refusal_of(replicas, shard, Errc::no_leader);
            co_return;
        }
        // To find out would hold up the clients of the shard for an election timeout.
        if (!replicas.hears(shard, to)) co_return;
        const bool under_way = replicas.transfer(shard, to);
        why = under_way ? "the other node did not take the shard over in time"
                        : "the shard is being handed over already";
        const Instant until = there.now() + 2 * services_.on(core).config.raft.election_timeout;
        while (under_way && leader != to && there.now() < until) {
            co_await io::SleepAwaiter(there, transfer_look_period);
            leader = replicas.leader(shard);
        }
    };
    co_await io::call_on(services_.reactor, core, hand_over);
    if (refusal) {
        co_return answer_refusal(*refusal, placement.first_slot(shard), services_.replicas,
                                 job.protocol, reply);
    }
    if (leader == to) co_return reply.ok();
    reply.error(Errc::busy, why);
}

}  // namespace kv
