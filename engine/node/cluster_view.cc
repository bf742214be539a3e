#include "engine/node/cluster_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "proto/base/assert.h"

namespace kv {

namespace {

constexpr std::uint32_t slots_count = 16384;

/// Slots next to each other that one node leads.
struct Range {
    SlotId first;
    SlotId last;
    NodeId leader;
};

std::vector<Range> ranges_of(const ShardMap& map) {
    std::vector<Range> ranges;
    for (const ShardMap::Shard& shard : map.shards) {
        if (shard.leader == NodeId()) continue;
        const bool goes_on = !ranges.empty() && ranges.back().leader == shard.leader &&
                             ranges.back().last.value() + 1 == shard.first_slot.value();
        if (goes_on) {
            ranges.back().last = shard.last_slot;
        } else {
            ranges.push_back({shard.first_slot, shard.last_slot, shard.leader});
        }
    }
    return ranges;
}

const Member& member_of(const Configuration& configuration, NodeId node) {
    const auto found = std::ranges::find(configuration.members, node, &Member::node);
    KV_ASSERT(found != configuration.members.end());
    return *found;
}

Term newest_term(const ShardMap& map, NodeId leader) {
    Term newest;
    for (const ShardMap::Shard& shard : map.shards) {
        if (leader == NodeId() || shard.leader == leader) newest = std::max(newest, shard.term);
    }
    return newest;
}

void add_pair(std::string_view name, std::string_view value, resp::Writer& out) {
    out.bulk(name);
    out.bulk(value);
}

void write_shard_node(const ShardMap::Shard& shard, const ShardMap::Node& node,
                      const Configuration& configuration, resp::Writer& out) {
    const bool leads = shard.leader == node.node;
    out.map(7);
    add_pair("id", cluster_node_name(member_of(configuration, node.node)), out);
    out.bulk("port");
    out.integer(node.client_port);
    add_pair("ip", node.host, out);
    add_pair("endpoint", node.host, out);
    add_pair("role", leads ? "master" : "replica", out);
    out.bulk("replication-offset");
    Index match = shard.commit;
    for (const ShardMap::Follower& follower : shard.followers) {
        if (follower.node == node.node) match = std::min(follower.match, shard.commit);
    }
    out.integer(static_cast<std::int64_t>(match.value()));
    add_pair("health", node.state == ShardMap::NodeState::away ? "fail" : "online", out);
}

}  // namespace

ShardMap make_shard_map(NodeId self, const Configuration& configuration, const Placement& placement,
                        std::span<const CoreFacts> cores) {
    ShardMap map;
    map.self = self;
    for (const Member& member : configuration.members) {
        ShardMap::Node& node = map.nodes.emplace_back();
        node.node = member.node;
        node.host = member.host;
        node.peer_port = member.peer_port;
        node.client_port = member.client_port;
        const bool connected = std::ranges::any_of(cores, [&](const CoreFacts& core) {
            return std::ranges::any_of(core.peers, [&](const PeerFacts& peer) {
                return peer.node == member.node && peer.connected;
            });
        });
        if (member.node == self) {
            node.state = ShardMap::NodeState::self;
        } else if (connected) {
            node.state = ShardMap::NodeState::connected;
        }
    }
    map.shards.resize(placement.shards());
    for (std::uint16_t i = 0; i < placement.shards(); ++i) {
        const bool is_last = i + 1 == placement.shards();
        const std::uint32_t next =
            is_last ? slots_count
                    : placement.first_slot(ShardId(static_cast<std::uint16_t>(i + 1))).value();
        map.shards[i].first_slot = placement.first_slot(ShardId(i));
        map.shards[i].last_slot = SlotId(static_cast<std::uint16_t>(next - 1));
    }
    for (const CoreFacts& core : cores) {
        for (const ShardFacts& facts : core.shards) {
            ShardMap::Shard& shard = map.shards[facts.shard.value()];
            // Who is about to lead, but may not answer yet, would send clients nowhere.
            const bool known = map.find(facts.leader) != nullptr;
            shard.leader = known ? facts.leader : NodeId();
            shard.term = facts.term;
            shard.commit = facts.commit;
            shard.applied = facts.applied;
            for (const ShardFacts::Follower& follower : facts.followers) {
                if (map.find(follower.node) == nullptr) continue;
                shard.followers.push_back({follower.node, follower.heard, follower.match});
            }
        }
    }
    return map;
}

void name_latest_leaders(ShardMap& map, std::span<const CoreFacts> cores) {
    for (const CoreFacts& core : cores) {
        for (const ShardFacts& facts : core.shards) {
            ShardMap::Shard& shard = map.shards[facts.shard.value()];
            if (shard.leader != NodeId() || map.find(facts.led_last) == nullptr) continue;
            shard.leader = facts.led_last;
        }
    }
}

std::string cluster_node_name(const Member& member) {
    return fmt::format("{:016x}{:016x}{:08x}", member.store.high, member.store.low,
                       static_cast<std::uint32_t>(member.node.value()));
}

std::string render_cluster_info(const ShardMap& map) {
    std::uint32_t served = 0;
    std::vector<NodeId> leaders;
    for (const ShardMap::Shard& shard : map.shards) {
        if (shard.leader == NodeId()) continue;
        served += shard.last_slot.value() - shard.first_slot.value() + 1u;
        if (std::ranges::find(leaders, shard.leader) == leaders.end()) {
            leaders.push_back(shard.leader);
        }
    }
    return fmt::format(
        "cluster_state:{}\r\ncluster_slots_assigned:{}\r\ncluster_slots_ok:{}\r\n"
        "cluster_slots_pfail:0\r\ncluster_slots_fail:{}\r\ncluster_known_nodes:{}\r\n"
        "cluster_size:{}\r\ncluster_current_epoch:{}\r\ncluster_my_epoch:{}\r\n",
        served == slots_count ? "ok" : "fail", slots_count, served, slots_count - served,
        map.nodes.size(), leaders.size(), newest_term(map, NodeId()).value(),
        newest_term(map, map.self).value());
}

std::string render_cluster_nodes(const ShardMap& map, const Configuration& configuration) {
    const std::vector<Range> ranges = ranges_of(map);
    std::string out;
    for (const ShardMap::Node& node : map.nodes) {
        const bool away = node.state == ShardMap::NodeState::away;
        fmt::format_to(std::back_inserter(out), "{} {}:{}@{} {}master{} - 0 0 {} {}",
                       cluster_node_name(member_of(configuration, node.node)), node.host,
                       node.client_port, node.peer_port, node.node == map.self ? "myself," : "",
                       away ? ",fail?" : "", newest_term(map, node.node).value(),
                       away ? "disconnected" : "connected");
        for (const Range& range : ranges) {
            if (range.leader != node.node) continue;
            fmt::format_to(std::back_inserter(out), " {}-{}", range.first.value(),
                           range.last.value());
        }
        out += '\n';
    }
    return out;
}

void write_cluster_slots(const ShardMap& map, const Configuration& configuration,
                         resp::Writer& out) {
    const std::vector<Range> ranges = ranges_of(map);
    out.array(ranges.size());
    for (const Range& range : ranges) {
        const Member& leader = member_of(configuration, range.leader);
        out.array(3);
        out.integer(range.first.value());
        out.integer(range.last.value());
        out.array(4);
        out.bulk(leader.host);
        out.integer(leader.client_port);
        out.bulk(cluster_node_name(leader));
        out.map(0);
    }
}

void write_cluster_shards(const ShardMap& map, const Configuration& configuration,
                          resp::Writer& out) {
    out.array(map.shards.size());
    for (const ShardMap::Shard& shard : map.shards) {
        out.map(2);
        out.bulk("slots");
        out.array(2);
        out.integer(shard.first_slot.value());
        out.integer(shard.last_slot.value());
        out.bulk("nodes");
        out.array(map.nodes.size());
        for (const ShardMap::Node& node : map.nodes) {
            write_shard_node(shard, node, configuration, out);
        }
    }
}

}  // namespace kv
