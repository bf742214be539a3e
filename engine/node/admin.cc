// A Server's part of what concerns the node as a whole.

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "engine/node/command_info.h"
#include "engine/node/refusal.h"
#include "engine/node/runtime_config.h"
#include "engine/node/server.h"
#include "proto/base/log.h"
#include "proto/request_check.h"

namespace kv {

void Server::answer_node(const Request& request, Connection& asker, ReplyWriter& reply) {
    switch (request.verb) {
        case Verb::command:
        case Verb::command_count:
        case Verb::command_list:
        case Verb::command_info:
        case Verb::command_docs:
        case Verb::command_getkeys:
        case Verb::command_getkeysandflags: return answer_command_info(request, reply);
        case Verb::client_info: return reply.verbatim(client_line(asker.info(reactor.now())));
        case Verb::command_help:
        case Verb::client_help:
        case Verb::cluster_help:
        case Verb::config_help:
        case Verb::object_help:
        case Verb::memory_help:
        case Verb::slowlog_help: return answer_help(request.verb, reply);
        case Verb::config_get: return answer_config_get(request, reply);
        case Verb::config_rewrite:
            return reply.error(Errc::unsupported,
                               "CONFIG REWRITE is not supported: the file belongs to its author");
        // What was acknowledged is on a quorum's disks, and goes to the others without asking.
        case Verb::wait:
            return reply.integer(
                static_cast<std::int64_t>(replicas.configuration().members.size() / 2));
        case Verb::time: {
            const std::int64_t us = reactor.wall_ns() / 1000;
            const std::string seconds = std::to_string(us / 1'000'000);
            const std::string rest = std::to_string(us % 1'000'000);
            const std::string_view both[] = {seconds, rest};
            return reply.strings(both);
        }
        case Verb::add_server:
            if (!replicas.alone()) return reply.error(Errc::static_membership);
            return reply.error(Errc::static_membership,
                               "ADDSERVER not available in standalone mode");
        case Verb::remove_server:
            if (!replicas.alone()) return reply.error(Errc::static_membership);
            return reply.error(Errc::static_membership,
                               "REMOVESERVER not available in standalone mode");
        default: break;
    }
    KV_UNREACHABLE("verb {}", static_cast<unsigned>(request.verb));
}

void Server::list_clients(const ClientFilter& filter, std::vector<ClientInfo>& out) {
    for (const auto& connection : connections_) {
        if (connection->gone()) continue;
        ClientInfo client = connection->info(reactor.now());
        if (filter.matches(client, 0)) out.push_back(std::move(client));
    }
}

std::int64_t Server::kill_clients(const ClientFilter& filter, const Connection& asker,
                                  std::uint64_t asker_id) {
    std::int64_t killed = 0;
    for (const auto& connection : connections_) {
        if (connection->gone()) continue;
        if (!filter.matches(connection->info(reactor.now()), asker_id)) continue;
        ++killed;
        if (connection.get() != &asker) connection->close();
    }
    return killed;
}

NodeFacts Server::node_facts() {
    NodeFacts facts;
    facts.server = facts_;
    facts.connections_max = config.client.connections_max;
    facts.wall_ns = reactor.wall_ns();
    facts.uptime = std::chrono::duration_cast<std::chrono::milliseconds>(reactor.now() - started_);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return fmt::format("{}.{:06}", time.tv_sec, time.tv_usec);
    };
    facts.cpu_system = seconds(usage.ru_stime);
    facts.cpu_user = seconds(usage.ru_utime);
    measure_buffers();
    measure_clients();
    publish_memory();
    facts.memory = memory.total();
    facts.memory_peak = memory.note_peak();
    // Where the system does not say, all that is held counts.
    facts.rss = memory.rss().value_or(facts.memory.reserved + facts.memory.overhead());
    facts.rss_peak = std::max(facts.rss, memory.rss_peak());
    facts.memory_max = memory.limit();
    facts.alone = loading || replicas.alone();
    return facts;
}

CoreFacts Server::core_facts() {
    const wal::Wal& log = replicas.log();
    CoreFacts facts;
    facts.loading = loading;
    facts.load = replicas.load_progress();
    facts.clients = connections_.size();
    facts.requests_per_second = requests_per_second_;
    facts.counters = counters;
    facts.reactor = reactor.counters();
    facts.mailboxes = reactor.mailboxes().counters();
    facts.times.assign(times.by_verb().begin(), times.by_verb().end());
    facts.recent = times.recent();
    if (loading) return facts;
    for (const Member& member : replicas.configuration().members) {
        if (member.node == replicas.self()) continue;
        const bool connected = peers_ != nullptr && peers_->connected(member.node);
        PeerFacts& peer = facts.peers.emplace_back();
        peer.node = member.node;
        peer.address = client_address(member, Protocol::text);
        peer.connected = connected;
        if (peers_ != nullptr) peer.traffic = peers_->traffic(member.node);
        if (const auto* trips = replicas.round_trips().times(member.node))
            peer.round_trips = *trips;
    }
    facts.commits = replicas.commit_times();
    facts.snapshots_sent = replicas.snapshot_sender().counters();
    facts.snapshots_received = replicas.snapshot_receiver().counters();
    facts.wal = log.counters();
    facts.wal_read_only = log.read_only();
    facts.wal_dsync = log.sync_mode() == wal::SyncMode::dsync;
    facts.wal_segments = log.log_segments();
    facts.wal_bytes = log.log_bytes();
    facts.snapshots = replicas.snapshot_facts();
    const std::vector<SnapshotFacts::Shard> snapshots = std::exchange(facts.snapshots.shards, {});
    for (std::uint16_t i = 0; i < replicas.shards(); ++i) {
        if (!replicas.has(ShardId(i))) continue;
        const consensus::Group& group = replicas.replica(ShardId(i)).group();
        ShardFacts& shard = facts.shards.emplace_back();
        shard.shard = ShardId(i);
        shard.ready = group.ready();
        shard.role = group.raft().role();
        shard.leader = group.raft().leader();
        shard.led_last = replicas.led_last(ShardId(i));
        shard.term = group.raft().term();
        shard.commit = group.raft().commit();
        shard.applied = group.applied();
        shard.log_bytes = snapshots[i].log_bytes;
        shard.snapshot = snapshots[i].index;
        shard.snapshot_ms = snapshots[i].taken_ms;
        shard.keys = replicas.store(ShardId(i)).size();
        shard.last = group.raft().last().index;
        shard.pending = replicas.replica(ShardId(i)).pending();
        shard.failed = replicas.replica(ShardId(i)).dropped();
        shard.leader_changes = replicas.leader_changes(ShardId(i));
        for (const consensus::Progress& one : group.raft().followers()) {
            const bool heard = reactor.now() - one.heard < config.raft.election_timeout;
            shard.followers.push_back({one.node, one.match, heard});
        }
    }
    return facts;
}

void Server::answer_config_get(const Request& request, ReplyWriter& reply) {
    const ConfigFacts facts{.port = facts_.port};
    const auto parameters = matching_parameters(config, facts, request.args);
    std::vector<std::string_view> words;
    for (const auto& [name, value] : parameters) {
        words.push_back(name);
        words.push_back(value);
    }
    reply.pairs(words);
}

/// On each core; what is read where it is used needs no more.
void Server::apply_settings(const Config& changed) {
    settings = changed;
    memory.set_limit(settings.limits.maxmemory);
    reactor.set_measure_cpu(settings.reactor.measure_cpu);
    log::set_level(settings.log.level);
}

void Server::reset_statistics() {
    counters = {};
    times.reset();
    requests_at_tick_ = 0;
}

}  // namespace kv
