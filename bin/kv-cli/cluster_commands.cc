#include "bin/kv-cli/cluster_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "bin/client/request.h"
#include "bin/client/shard_map.h"
#include "bin/kv-cli/cluster_status.h"
#include "bin/kv-cli/options.h"

namespace kv::cli {

namespace {

using client::Address;
using client::ClusterOptions;

/// For a node to accept, and again for it to answer.
constexpr Duration node_timeout = 1s;
/// For the new leader to say that it leads, and between two looks.
constexpr Duration transfer_timeout = 5s;
constexpr Duration transfer_look_period = 20ms;

/// Looks at a cluster whose nodes contradict each other, and the time between two.
constexpr int looks_max = 3;
constexpr Duration status_look_period = 50ms;

void print(std::FILE* to, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), to);
    std::fflush(to);
}

Result<ShardMap> ask(io::Reactor& reactor, const Address& address) {
    client::ClientOptions options;
    options.host = address.host;
    options.port = address.port;
    options.connect_timeout = node_timeout;
    options.reply_timeout = node_timeout;
    return client::fetch_shard_map(reactor, std::move(options));
}

/// Of the first node that answers.
Result<ShardMap> ask_any(io::Reactor& reactor, const ClusterOptions& options) {
    Result<ShardMap> map = fail(Errc::not_found);
    for (const Address& address : options.nodes) {
        map = ask(reactor, address);
        if (map) break;
    }
    return map;
}

int refuse(const Error& error) {
    const bool no_map = error.code == Errc::unsupported;
    print(stderr, fmt::format("kv-cli: {}{}\n", no_map ? "this server has no shard map: " : "",
                              error.text()));
    return no_map ? exit_error_reply : exit_connect;
}

Address address_of(const ShardMap& map, NodeId node) {
    const ShardMap::Node* const found = map.find(node);
    KV_ASSERT(found != nullptr, "the map names its nodes");
    return {found->host, found->client_port};
}

/// Whether `node` says itself that it leads `shard`, before patience ends.
bool wait_until_leads(io::Reactor& reactor, const Address& address, NodeId node,
                      std::uint16_t shard) {
    const Instant deadline = reactor.backend().now() + transfer_timeout;
    for (;;) {
        const Result<ShardMap> map = ask(reactor, address);
        if (map && shard < map->shards.size() && map->shards[shard].leader == node) return true;
        if (reactor.backend().now() >= deadline) return false;
        client::pause(reactor, transfer_look_period);
    }
}

/// Asks the leader. The error: why it does not.
Status ask_leader(io::Reactor& reactor, ClusterOptions options, const ShardMap& map,
                  std::uint16_t shard, NodeId node) {
    options.mode = client::Mode::binary;
    options.resp3 = false;
    options.follow = true;
    KV_TRY(const auto client, client::ClusterClient::connect(reactor, options));
    client->learn();
    const std::string shard_text = std::to_string(shard);
    const std::string node_text = std::to_string(node.value());
    const std::array<std::string_view, 4> words{"CLUSTER", "TRANSFER", shard_text, node_text};
    KV_TRY(std::string bytes, encode_words(options.mode, words, client->next_request_id()));
    std::array<client::Exchange, 1> batch{client::Exchange(options.mode, std::move(bytes))};
    // It is for who leads the shard, as a request with a key of it would be.
    batch.front().route.slot = map.shards[shard].first_slot;
    KV_CHECK(client->run(batch, [](client::Exchange&) {}));
    const client::Reply& reply = batch.front().reply;
    // What was lost may have arrived: the new leader will tell.
    if (!reply.refused() || outcome_unknown(reply)) return {};
    return fail(Errc::busy, reply.text);
}

/// What all nodes that answer say now. Errors: none does.
Result<ClusterStatus> look(io::Reactor& reactor, const ClusterOptions& options) {
    KV_TRY(ShardMap first, ask_any(reactor, options));
    std::vector<ShardMap> answers{std::move(first)};
    for (const ShardMap::Node& node : std::vector(answers.front().nodes)) {
        if (node.node == answers.front().self) continue;
        Result<ShardMap> map = ask(reactor, {node.host, node.client_port});
        // Another cluster may listen there.
        if (!map || map->self != node.node || map->shards.size() != answers.front().shards.size()) {
            continue;
        }
        answers.push_back(*std::move(map));
    }
    return combine(answers);
}

}  // namespace

int show_cluster_status(io::Reactor& reactor, const ClusterOptions& options, bool json) {
    Result<ClusterStatus> status = look(reactor, options);
    // Nodes are asked one after the other, and one that is silent takes its time: by then others
    // may lead than those said that were asked before.
    for (int i = 1; i < looks_max && status && status->in_motion(); ++i) {
        client::pause(reactor, status_look_period);
        status = look(reactor, options);
    }
    if (!status) return refuse(status.error());
    print(stdout, json ? render_json(*status) : render(*status));
    return status->serves() ? exit_answered : exit_error_reply;
}

int transfer_shard(io::Reactor& reactor, ClusterOptions options, std::uint16_t shard, NodeId node) {
    const Result<ShardMap> map = ask_any(reactor, options);
    if (!map) return refuse(map.error());
    const auto refuse_because = [&](std::string_view why) {
        print(stderr, fmt::format("kv-cli: shard {} stays where it is: {}\n", shard, why));
        return exit_error_reply;
    };
    if (shard >= map->shards.size()) {
        return refuse_because(fmt::format("there are shards 0 to {}", map->shards.size() - 1));
    }
    if (map->find(node) == nullptr) {
        return refuse_because(fmt::format("the cluster has no node {}", node.value()));
    }
    const ShardMap::Shard& before = map->shards[shard];
    const std::string what = fmt::format("shard {} (slots {}-{})", shard, before.first_slot.value(),
                                         before.last_slot.value());
    if (before.leader == node && map->self == node) {
        print(stdout, fmt::format("Node {} leads {} already.\n", node.value(), what));
        return exit_answered;
    }
    const Status asked = ask_leader(reactor, std::move(options), *map, shard, node);
    if (!asked) return refuse_because(asked.error().text());
    if (!wait_until_leads(reactor, address_of(*map, node), node, shard)) {
        print(stderr, fmt::format("kv-cli: node {} does not say that it leads {}: look at `kv-cli "
                                  "cluster status`\n",
                                  node.value(), what));
        return exit_error_reply;
    }
    const bool known = before.leader != NodeId() && before.leader != node;
    print(stdout, fmt::format("Node {} leads {} now{}.\n", node.value(), what,
                              known ? fmt::format(", instead of node {}", before.leader.value())
                                    : std::string()));
    return exit_answered;
}

}  // namespace kv::cli
