#include "bin/kv-bench/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "proto/base/assert.h"
#include "proto/base/prng.h"
#include "proto/slot.h"

namespace kv::bench {

KeySlots::KeySlots(std::string_view zeros, unsigned digits) : zeros_(crc16(zeros)) {
    KV_ASSERT(digits <= zeros.size());
    std::string key(zeros);
    for (std::size_t end = key.size(), left = digits; left > 0;) {
        const std::size_t width = std::min<std::size_t>(left, 3);
        std::vector<std::uint16_t>& group = groups_.emplace_back(group_size);
        for (std::uint64_t number = 0; number < group_size; ++number) {
            std::uint64_t rest = number;
            for (std::size_t i = 1; i <= width; ++i, rest /= 10) {
                key[end - i] = static_cast<char>('0' + rest % 10);
            }
            // Of a shorter group only the front is used.
            group[number] = static_cast<std::uint16_t>(crc16(key) ^ zeros_);
        }
        std::fill_n(key.begin() + static_cast<std::ptrdiff_t>(end - width), width, '0');
        end -= width;
        left -= width;
    }
}

std::uint16_t Routes::position_of(const ShardMap::Node& node, bool& changed) {
    auto found = std::ranges::find(nodes, node.node, &Node::id);
    if (found == nodes.end()) {
        found = nodes.insert(found, Node{.id = node.node, .host = {}, .port = 0, .endpoint = {}});
    }
    if (found->host != node.host || found->port != node.client_port) {
        found->host = node.host;
        found->port = node.client_port;
        found->endpoint = {};
        changed = true;
    }
    return static_cast<std::uint16_t>(found - nodes.begin());
}

Result<bool> Routes::merge(const ShardMap& map) {
    bool changed = false;
    std::vector<std::uint16_t> slots(slot_count);
    for (std::uint16_t i = 0; i < slot_count; ++i) slots[i] = map.shard_of(SlotId(i)).value();
    if (shard_of_slot.empty()) {
        shard_of_slot = slots;
        home.resize(map.shards.size());
        terms.resize(map.shards.size());
        changed = true;
    } else if (shard_of_slot != slots) {
        return fail(Errc::unsupported, "the shards of the cluster have other slots than before");
    }
    for (const ShardMap::Node& node : map.nodes) position_of(node, changed);
    for (std::size_t i = 0; i < home.size(); ++i) {
        const ShardMap::Shard& shard = map.shards[i];
        if (shard.leader == NodeId() || shard.term <= terms[i]) continue;
        const std::uint16_t position = position_of(*map.find(shard.leader), changed);
        changed = changed || position != home[i] || terms[i] == Term();
        home[i] = position;
        terms[i] = shard.term;
    }
    return changed;
}

bool Routes::complete() const noexcept {
    return !terms.empty() && std::ranges::find(terms, Term()) == terms.end();
}

std::vector<std::size_t> divide(std::size_t connections, std::span<const std::uint64_t> weights) {
    const std::uint64_t sum = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
    KV_ASSERT(sum > 0);
    std::vector<std::size_t> parts(weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
        if (weights[i] == 0) continue;
        const Uint128 part = static_cast<Uint128>(weights[i]) * connections / sum;
        parts[i] = std::max<std::size_t>(1, static_cast<std::size_t>(part));
    }
    // What one connection more or less is worth to a node: its weight for each that it has.
    const auto load = [&](std::size_t i, std::size_t of) {
        return static_cast<double>(weights[i]) / static_cast<double>(of);
    };
    const auto taken = [&] { return std::accumulate(parts.begin(), parts.end(), std::size_t{0}); };
    while (taken() < connections) {
        std::size_t best = 0;
        for (std::size_t i = 1; i < parts.size(); ++i) {
            if (load(i, parts[i] + 1) > load(best, parts[best] + 1)) best = i;
        }
        ++parts[best];
    }
    while (taken() > connections) {
        // From who has most for its weight; the last one of a node only when there is no other.
        std::size_t worst = parts.size();
        const auto before = [&](std::size_t a, std::size_t b) {
            if ((parts[a] > 1) != (parts[b] > 1)) return parts[a] > 1;
            return load(a, parts[a]) < load(b, parts[b]);
        };
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (parts[i] > 0 && (worst == parts.size() || before(i, worst))) worst = i;
        }
        --parts[worst];
    }
    return parts;
}

}  // namespace kv::bench
