// What a Server answers about the node as a whole: INFO, CONFIG GET, COMMAND.

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "engine/node/command_info.h"
#include "engine/node/runtime_config.h"
#include "engine/node/server.h"
#include "proto/base/log.h"
#include "proto/request_check.h"

namespace kv {

namespace {

using Out = std::back_insert_iterator<std::string>;

template <typename T>
void line(std::string& out, std::string_view name, const T& value) {
    fmt::format_to(Out(out), "{}:{}\r\n", name, value);
}

/// "1.50M", as Redis writes it.
std::string human_bytes(std::size_t bytes) {
    constexpr std::string_view units = "BKMGTP";
    if (bytes < 1024) return fmt::format("{}B", bytes);
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
    return fmt::format("{:.2f}{}", value, units[unit]);
}

std::string hex_of(StoreId id) {
    return fmt::format("{:016x}{:016x}", id.high, id.low);
}

}  // namespace

void Server::answer_node(const Request& request, Connection& asker, ReplyWriter& reply) {
    switch (request.verb) {
        case Verb::command:
        case Verb::command_count:
        case Verb::command_list:
        case Verb::command_info:
        case Verb::command_docs:
        case Verb::command_getkeys:
        case Verb::command_getkeysandflags: return answer_command_info(request, reply);
        case Verb::client_list: return answer_client_list(request, reply);
        case Verb::client_info: return reply.verbatim(client_line(asker.info(reactor.now())));
        case Verb::client_kill: return answer_client_kill(request, asker, reply);
        case Verb::slowlog_get: {
            std::vector<const SlowCommand*> entries;
            for (const SlowCommand& entry : slowlog.entries()) entries.push_back(&entry);
            return answer_slowlog(request.args, std::move(entries), reply);
        }
        case Verb::slowlog_len:
            return reply.integer(static_cast<std::int64_t>(slowlog.entries().size()));
        case Verb::slowlog_reset: slowlog.clear(); return reply.ok();
        case Verb::command_help:
        case Verb::client_help:
        case Verb::config_help:
        case Verb::object_help:
        case Verb::memory_help:
        case Verb::slowlog_help: return answer_help(request.verb, reply);
        case Verb::config_get: return answer_config_get(request, reply);
        case Verb::config_set: return answer_config_set(request, reply);
        case Verb::config_resetstat: reset_statistics(); return reply.ok();
        case Verb::config_rewrite:
            return reply.error(Errc::unsupported,
                               "CONFIG REWRITE is not supported: the file belongs to its author");
        case Verb::info: return reply.verbatim(info(request.args));
        // Everything acknowledged is on disk, always; there are no replicas to wait for.
        case Verb::lastsave: return reply.integer(reactor.wall_ns() / 1'000'000'000);
        case Verb::wait: return reply.integer(0);
        case Verb::time: {
            const std::int64_t us = reactor.wall_ns() / 1000;
            const std::string seconds = std::to_string(us / 1'000'000);
            const std::string rest = std::to_string(us % 1'000'000);
            const std::string_view both[] = {seconds, rest};
            return reply.strings(both);
        }
        case Verb::role:
            return reply.compose([&](resp::Writer& out) {
                out.array(3);
                out.bulk("master");
                out.integer(static_cast<std::int64_t>(replicas.log().counters().batches));
                out.array(0);
            });
        case Verb::add_server:
            return reply.error(Errc::static_membership,
                               "ADDSERVER not available in standalone mode");
        case Verb::remove_server:
            return reply.error(Errc::static_membership,
                               "REMOVESERVER not available in standalone mode");
        default: break;
    }
    KV_UNREACHABLE("verb {}", static_cast<unsigned>(request.verb));
}

void Server::answer_client_list(const Request& request, ReplyWriter& reply) {
    const auto filter = parse_client_list(request.args);
    if (!filter) return reply.error(filter.error().code, filter.error().text());
    std::string lines;
    for (const auto& connection : connections_) {
        if (connection->gone()) continue;
        const ClientInfo client = connection->info(reactor.now());
        if (filter->matches(client, 0)) lines += client_line(client);
    }
    reply.verbatim(lines);
}

void Server::answer_client_kill(const Request& request, Connection& asker, ReplyWriter& reply) {
    const auto filter = parse_client_kill(request.args);
    if (!filter) return reply.error(filter.error().code, filter.error().text());
    const std::uint64_t asker_id = asker.info(reactor.now()).id;
    std::int64_t killed = 0;
    bool myself = false;
    for (const auto& connection : connections_) {
        const ClientInfo client = connection->info(reactor.now());
        if (connection->gone() || !filter->matches(client, asker_id)) continue;
        ++killed;
        if (connection.get() == &asker) {
            myself = true;
        } else {
            connection->close();
        }
    }
    if (!filter->old_form) {
        reply.integer(killed);
    } else if (killed != 0) {
        reply.ok();
    } else {
        reply.error(Errc::not_found, "No such client");
    }
    if (myself) asker.finish();  // with this reply
}

std::string Server::info(std::span<const std::string_view> sections) {
    const auto wants = [&](std::string_view name) {
        if (sections.empty()) return true;
        return std::any_of(sections.begin(), sections.end(), [&](std::string_view section) {
            return equals_ignoring_case(section, name) || equals_ignoring_case(section, "all") ||
                   equals_ignoring_case(section, "default") ||
                   equals_ignoring_case(section, "everything");
        });
    };
    std::string out;
    const auto begin = [&](std::string_view title) {
        if (!out.empty()) out += "\r\n";
        fmt::format_to(Out(out), "# {}\r\n", title);
    };
    const wal::Wal& log = replicas.log();
    if (wants("server")) {
        begin("Server");
        const auto uptime =
            std::chrono::duration_cast<std::chrono::seconds>(reactor.now() - started_);
        line(out, "redis_version", redis_version);
        line(out, "redis_mode", "standalone");
        line(out, "kv_version", KV_VERSION);
        line(out, "os", "Linux");
        line(out, "arch_bits", 64);
        line(out, "io_backend", facts_.backend);
        line(out, "process_id", facts_.process_id);
        line(out, "run_id", hex_of(facts_.store) + "00000000");
        line(out, "tcp_port", facts_.port);
        line(out, "server_time_usec", reactor.wall_ns() / 1000);
        line(out, "uptime_in_seconds", uptime.count());
        line(out, "uptime_in_days", uptime.count() / 86'400);
        line(out, "node_id", facts_.node.value());
        line(out, "shards", replicas.shards());
        line(out, "cores", facts_.cores);
    }
    if (wants("clients")) {
        begin("Clients");
        line(out, "connected_clients", connections_.size());
        line(out, "maxclients", config.client.connections_max);
        line(out, "blocked_clients", 0);
        line(out, "tracking_clients", 0);
        line(out, "stalled_clients_closed", counters.connections_stalled);
    }
    if (wants("memory")) {
        begin("Memory");
        const std::size_t live = replicas.slab().bytes_live();
        const std::size_t reserved = replicas.slab().bytes_reserved();
        line(out, "used_memory", live);
        line(out, "used_memory_human", human_bytes(live));
        line(out, "used_memory_rss", reserved);
        line(out, "used_memory_rss_human", human_bytes(reserved));
        line(out, "mem_fragmentation_ratio",
             fmt::format(
                 "{:.2f}",
                 live == 0 ? 1.0 : static_cast<double>(reserved) / static_cast<double>(live)));
        line(out, "maxmemory", 0);
        line(out, "maxmemory_policy", "noeviction");
    }
    if (wants("persistence")) {
        begin("Persistence");
        const wal::WalCounters& wal = log.counters();
        line(out, "loading", 0);
        line(out, "rdb_changes_since_last_save", 0);
        line(out, "rdb_bgsave_in_progress", 0);
        line(out, "rdb_last_save_time", reactor.wall_ns() / 1'000'000'000);
        line(out, "rdb_last_bgsave_status", "ok");
        line(out, "aof_enabled", 1);
        line(out, "aof_rewrite_in_progress", 0);
        line(out, "aof_last_bgrewrite_status", "ok");
        line(out, "aof_last_write_status", log.read_only() ? "err" : "ok");
        line(out, "wal_sync", log.sync_mode() == wal::SyncMode::dsync ? "dsync" : "fdatasync");
        line(out, "wal_read_only", log.read_only() ? 1 : 0);
        line(out, "wal_segments", log.log_segments());
        line(out, "wal_bytes", log.log_bytes());
        line(out, "wal_batches", wal.batches);
        line(out, "wal_records", wal.records);
        line(out, "wal_written_bytes", wal.bytes);
        line(out, "wal_rotations", wal.rotations);
        line(out, "wal_idle_markers", wal.markers);
        line(out, "wal_full_disk_alarms", wal.full_disk_alarms);
    }
    if (wants("stats")) {
        begin("Stats");
        line(out, "total_connections_received", counters.connections_received);
        line(out, "total_commands_processed", counters.requests);
        line(out, "instantaneous_ops_per_sec", static_cast<std::uint64_t>(requests_per_second_));
        line(out, "total_net_input_bytes", counters.bytes_in);
        line(out, "total_net_output_bytes", counters.bytes_out);
        line(out, "rejected_connections", counters.connections_rejected);
        line(out, "expired_keys", 0);
        line(out, "evicted_keys", 0);
        line(out, "keyspace_hits", counters.hits);
        line(out, "keyspace_misses", counters.misses);
        line(out, "commit_timeouts", counters.timeouts);
        line(out, "sends", counters.sends);
        line(out, "reactor_turns", reactor.counters().turns);
    }
    if (wants("replication")) {
        begin("Replication");
        line(out, "role", "master");
        line(out, "connected_slaves", 0);
        line(out, "master_replid", hex_of(facts_.store) + "00000000");
        line(out, "master_repl_offset", log.counters().batches);
    }
    if (wants("cpu")) {
        begin("CPU");
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        const auto seconds = [](const timeval& time) {
            return fmt::format("{}.{:06}", time.tv_sec, time.tv_usec);
        };
        line(out, "used_cpu_sys", seconds(usage.ru_stime));
        line(out, "used_cpu_user", seconds(usage.ru_utime));
    }
    if (wants("cluster")) {
        begin("Cluster");
        line(out, "cluster_enabled", 0);
    }
    if (wants("keyspace")) {
        begin("Keyspace");
        const std::uint64_t keys = replicas.keys();
        if (keys != 0) {
            fmt::format_to(Out(out), "db0:keys={},expires=0,avg_ttl=0\r\n", keys);
        }
    }
    return out;
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

void Server::answer_config_set(const Request& request, ReplyWriter& reply) {
    if (request.args.size() % 2 != 0) {
        return reply.error(Errc::wrong_arity, "wrong number of arguments for 'config|set' command");
    }
    auto changed = changed_config(config, request.args);
    if (!changed) return reply.error(changed.error().code, changed.error().text());
    apply_settings(*changed);
    for (std::size_t at = 0; at < request.args.size(); at += 2) {
        log::info("a client changed a setting", log::field("name", request.args[at]),
                  log::field("value", request.args[at + 1]));
    }
    reply.ok();
}

/// On each core; what is read where it is used needs no more.
void Server::apply_settings(const Config& changed) {
    settings = changed;
    log::set_level(settings.log.level);
}

void Server::reset_statistics() {
    counters = {};
    requests_at_tick_ = 0;
}

}  // namespace kv
