#include "bin/kv-cli/cluster_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "bin/client/route.h"
#include "proto/base/assert.h"

namespace kv::cli {

namespace {

using Shard = ClusterStatus::Shard;

/// What the leader of shard `number` says of it, or else whoever knows of the newest term.
Shard combine_shard(std::span<const ShardMap> answers, std::size_t number) {
    const ShardMap::Shard* best = nullptr;
    Shard out;
    for (const ShardMap& map : answers) {
        const ShardMap::Shard& seen = map.shards[number];
        const bool confirmed = seen.leader != NodeId() && seen.leader == map.self;
        // Who knows of a newer term, but not of a leader, may just have been cut off.
        const auto rank = [](bool leads, const ShardMap::Shard& shard) {
            return std::tuple(leads, shard.leader != NodeId(), shard.term);
        };
        if (best != nullptr && rank(confirmed, seen) <= rank(out.confirmed, *best)) continue;
        best = &seen;
        out.confirmed = confirmed;
    }
    KV_ASSERT(best != nullptr);
    out.first_slot = best->first_slot;
    out.last_slot = best->last_slot;
    out.leader = best->leader;
    out.term = best->term;
    out.commit = best->commit;
    out.applied = best->applied;
    if (!out.confirmed) return out;
    std::size_t together = 1;
    for (const ShardMap::Follower& follower : best->followers) {
        const std::uint64_t lag =
            best->commit > follower.match ? best->commit - follower.match : std::uint64_t{0};
        out.followers.push_back({follower.node, follower.answers, lag});
        together += follower.answers ? 1u : 0u;
    }
    out.majority = 2 * together > best->followers.size() + 1;
    return out;
}

std::string followers_text(const Shard& shard) {
    if (!shard.confirmed) return "unknown";
    std::string text;
    for (const ClusterStatus::Follower& follower : shard.followers) {
        text += fmt::format("{}{}: {}{}", text.empty() ? "" : ", ", follower.node.value(),
                            follower.lag, follower.answers ? "" : " NO ANSWER");
    }
    return text.empty() ? "-" : text;
}

/// Its leader answers, but does not say that it leads.
bool is_not_ready(const ClusterStatus& status, const Shard& shard) noexcept {
    const auto leader = std::ranges::find(status.nodes, shard.leader, &ClusterStatus::Node::node);
    return !shard.confirmed && leader != status.nodes.end() && leader->answers;
}

using Row = std::vector<std::string>;

/// Columns as wide as their widest cell.
std::string table(const std::vector<Row>& rows) {
    std::vector<std::size_t> widths(rows.front().size());
    for (const Row& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string out;
    for (const Row& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += row[i];
            line.append(widths[i] - row[i].size() + 2, ' ');
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

/// "NO LEADER: shards 1, 4"; empty when no shard is `bad`.
template <typename Bad>
std::string complaint(const ClusterStatus& status, std::string_view what, Bad bad) {
    std::string numbers;
    std::size_t count = 0;
    for (std::size_t i = 0; i < status.shards.size(); ++i) {
        if (bad(status.shards[i])) numbers += (count++ == 0 ? " " : ", ") + std::to_string(i);
    }
    if (count == 0) return {};
    return fmt::format("{}: shard{}{}\n", what, count == 1 ? "" : "s", numbers);
}

}  // namespace

bool ClusterStatus::serves() const noexcept {
    return std::ranges::all_of(shards, &Shard::majority);
}

bool ClusterStatus::in_motion() const noexcept {
    return std::ranges::any_of(shards, [&](const Shard& s) { return is_not_ready(*this, s); });
}

ClusterStatus combine(std::span<const ShardMap> answers) {
    KV_ASSERT(!answers.empty());
    const ShardMap& first = answers.front();
    ClusterStatus status;
    for (std::size_t i = 0; i < first.shards.size(); ++i) {
        status.shards.push_back(combine_shard(answers, i));
    }
    for (const ShardMap::Node& node : first.nodes) {
        ClusterStatus::Node& out = status.nodes.emplace_back();
        out.node = node.node;
        out.address = client::Address{node.host, node.client_port}.text();
        out.answers = std::ranges::find(answers, node.node, &ShardMap::self) != answers.end();
        out.leads =
            static_cast<std::size_t>(std::ranges::count_if(status.shards, [&](const Shard& shard) {
                return shard.confirmed && shard.leader == node.node;
            }));
    }
    return status;
}

std::string render(const ClusterStatus& status) {
    std::vector<Row> nodes{{"NODE", "ADDRESS", "STATE", "LEADS"}};
    for (const ClusterStatus::Node& node : status.nodes) {
        nodes.push_back({std::to_string(node.node.value()), node.address,
                         node.answers ? "answers" : "NO ANSWER", std::to_string(node.leads)});
    }
    std::vector<Row> shards{
        {"SHARD", "SLOTS", "LEADER", "TERM", "COMMIT", "APPLIED", "ENTRIES BEHIND"}};
    for (std::size_t i = 0; i < status.shards.size(); ++i) {
        const Shard& shard = status.shards[i];
        const bool led = shard.leader != NodeId();
        shards.push_back(
            {std::to_string(i),
             fmt::format("{}-{}", shard.first_slot.value(), shard.last_slot.value()),
             led ? fmt::format("{}{}", shard.leader.value(), shard.confirmed ? "" : "?") : "NONE",
             std::to_string(shard.term.value()), std::to_string(shard.commit.value()),
             std::to_string(shard.applied.value()), followers_text(shard)});
    }
    std::string out = table(nodes) + "\n" + table(shards) + "\n";
    out +=
        complaint(status, "NO LEADER", [](const Shard& shard) { return shard.leader == NodeId(); });
    out += complaint(status, "LEADER DOES NOT ANSWER", [&](const Shard& shard) {
        return shard.leader != NodeId() && !shard.confirmed && !is_not_ready(status, shard);
    });
    out += complaint(status, "LEADER IS NOT READY",
                     [&](const Shard& shard) { return is_not_ready(status, shard); });
    out += complaint(status, "NO MAJORITY",
                     [](const Shard& shard) { return shard.confirmed && !shard.majority; });
    if (status.serves()) {
        out += fmt::format("All {} shards have a leader and a majority.\n", status.shards.size());
    }
    return out;
}

std::string render_json(const ClusterStatus& status) {
    using Json = nlohmann::ordered_json;
    Json nodes = Json::array();
    for (const ClusterStatus::Node& node : status.nodes) {
        nodes.push_back({{"id", node.node.value()},
                         {"address", node.address},
                         {"answers", node.answers},
                         {"leads", node.leads}});
    }
    Json shards = Json::array();
    for (std::size_t i = 0; i < status.shards.size(); ++i) {
        const Shard& shard = status.shards[i];
        Json followers = Json::array();
        for (const ClusterStatus::Follower& follower : shard.followers) {
            followers.push_back({{"node", follower.node.value()},
                                 {"answers", follower.answers},
                                 {"lag", follower.lag}});
        }
        const bool led = shard.leader != NodeId();
        shards.push_back({{"shard", i},
                          {"first_slot", shard.first_slot.value()},
                          {"last_slot", shard.last_slot.value()},
                          {"leader", led ? Json(shard.leader.value()) : Json(nullptr)},
                          {"confirmed", shard.confirmed},
                          {"majority", shard.majority},
                          {"term", shard.term.value()},
                          {"commit", shard.commit.value()},
                          {"applied", shard.applied.value()},
                          {"followers", followers}});
    }
    const Json all{{"serves", status.serves()}, {"nodes", nodes}, {"shards", shards}};
    return all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace kv::cli
