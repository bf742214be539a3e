#include "engine/node/status_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace kv {

namespace {

using Json = nlohmann::ordered_json;

double us_of(Duration duration) {
    return std::chrono::duration<double, std::micro>(duration).count();
}

Json latency_of(const NodeView& view, DurationCounts CommandTimes::Recent::* which) {
    DurationCounts all{};
    std::uint64_t count = 0;
    for (const CoreFacts& core : view.cores) {
        for (std::size_t i = 0; i < all.size(); ++i) all[i] += (core.recent.*which)[i];
    }
    for (const std::uint64_t one : all) count += one;
    return {{"count", count},
            {"p50_us", us_of(quantile(all, 0.5))},
            {"p99_us", us_of(quantile(all, 0.99))}};
}

/// Counters that the page makes rates of.
Json totals_of(const NodeView& view) {
    std::uint64_t requests = 0;
    std::uint64_t written = 0;
    Duration busy{};
    for (const CoreFacts& core : view.cores) {
        requests += core.counters.requests;
        written += core.wal.bytes;
        busy += core.reactor.busy;
    }
    return {{"requests", requests},
            {"wal_bytes", written},
            {"busy_s", std::chrono::duration<double>(busy).count()}};
}

Json node_of(const NodeView& view) {
    const NodeFacts& node = view.node;
    std::uint64_t clients = 0;
    std::uint64_t keys = 0;
    std::uint64_t log_bytes = 0;
    double rate = 0;
    bool read_only = false;
    for (const CoreFacts& core : view.cores) {
        clients += core.clients;
        rate += core.requests_per_second;
        log_bytes += core.wal_bytes;
        read_only = read_only || core.wal_read_only;
        for (const ShardFacts& shard : core.shards) keys += shard.keys;
    }
    Json out;
    out["id"] = node.server.node.value();
    out["version"] = KV_VERSION;
    out["boot"] = node.server.boot;
    out["uptime_s"] = std::chrono::duration<double>(node.uptime).count();
    out["cores"] = view.cores.size();
    out["loading"] = is_loading(view);
    out["cluster"] = !node.alone;
    out["read_only"] = read_only;
    out["clients"] = clients;
    out["keys"] = keys;
    out["wal_size_bytes"] = log_bytes;
    out["ops_per_second"] = rate;
    out["reads"] = latency_of(view, &CommandTimes::Recent::reads);
    out["writes"] = latency_of(view, &CommandTimes::Recent::writes);
    out["memory"] = {{"used", node.memory.used()},
                     {"dataset", node.memory.dataset},
                     {"max", node.memory_max},
                     {"resident", node.rss}};
    out["totals"] = totals_of(view);
    return out;
}

Json shard_of(const ShardPlace& place) {
    const ShardFacts& shard = *place.facts;
    Json out;
    out["shard"] = shard.shard.value();
    out["core"] = place.core;
    out["role"] = role_name(shard.role);
    out["ready"] = shard.ready;
    out["leader"] = shard.leader.value();
    out["term"] = shard.term.value();
    out["commit"] = shard.commit.value();
    out["applied"] = shard.applied.value();
    out["keys"] = shard.keys;
    out["log_bytes"] = shard.log_bytes;
    out["pending"] = shard.pending;
    out["followers"] = Json::array();
    for (const ShardFacts::Follower& follower : shard.followers) {
        out["followers"].push_back({{"id", follower.node.value()},
                                    {"match", follower.match.value()},
                                    {"lag", shard.last.value() - follower.match.value()},
                                    {"heard", follower.heard}});
    }
    return out;
}

}  // namespace

std::string render_status(const NodeView& view, const Config& config) {
    Json out;
    out["node"] = node_of(view);
    out["shards"] = Json::array();
    for (const ShardPlace& place : shards_of(view)) out["shards"].push_back(shard_of(place));
    out["peers"] = Json::array();
    for (const PeerFacts& peer : peers_of(view)) {
        out["peers"].push_back({{"id", peer.node.value()},
                                {"address", peer.address},
                                {"connected", peer.connected},
                                {"round_trip_us", us_of(quantile(peer.round_trips.counts, 0.5))}});
    }
    out["nodes"] = Json::array();
    for (const ClusterNode& node : config.cluster.nodes) {
        out["nodes"].push_back({{"id", node.id.value()},
                                {"address", fmt::format("{}:{}", node.host, node.client_port)},
                                {"url", node.admin_port == 0 ? "" : origin_of(node)}});
    }
    // Bytes that are no UTF-8 are replaced: nothing throws.
    return out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// Ports that HTTP has by default are not written.
std::string origin_of(const ClusterNode& node) {
    const bool v6 = node.host.find(':') != std::string::npos;
    std::string origin = fmt::format(fmt::runtime(v6 ? "http://[{}]" : "http://{}"), node.host);
    if (node.admin_port != 80) origin += fmt::format(":{}", node.admin_port);
    return origin;
}

const ClusterNode* node_of_origin(const Config& config, std::string_view origin) {
    for (const ClusterNode& node : config.cluster.nodes) {
        if (node.admin_port != 0 && origin_of(node) == origin) return &node;
    }
    return nullptr;
}

}  // namespace kv
