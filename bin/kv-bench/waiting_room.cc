#include "bin/kv-bench/waiting_room.h"

#include <algorithm>
#include <utility>

namespace kv::bench {

void WaitingRoom::move(const std::vector<std::uint16_t>& home, std::size_t nodes) {
    const std::vector<OpenRequest> unsent = take_unsent();
    nodes_.assign(nodes, Node());
    for (std::size_t i = 0; i < shards_.size(); ++i) {
        Shard& shard = shards_[i];
        if (shard.home != home[i]) shard.backoff = {};
        shard.home = home[i];
        nodes_[shard.home].shards.push_back(i);
        nodes_[shard.home].refused += shard.refused.size();
    }
    for (const OpenRequest& each : unsent) add(each);
}

void WaitingRoom::add(const OpenRequest& request) {
    nodes_[shards_[request.shard].home].unsent.push_back(request);
    ++unsent_;
}

void WaitingRoom::keep(const OpenRequest& request) {
    Shard& shard = shards_[request.shard];
    shard.refused.push_back(request);
    ++nodes_[shard.home].refused;
    ++refused_;
}

void WaitingRoom::refused(const OpenRequest& request, Instant now) {
    Shard& shard = shards_[request.shard];
    // A batch that is refused as a whole counts once.
    if (!shard.backs_off(now)) {
        shard.backoff = std::clamp(2 * shard.backoff, backoff_least, backoff_most);
        shard.retry_at = now + shard.backoff;
    }
    keep(request);
}

void WaitingRoom::take(std::size_t node, std::size_t count, Instant now,
                       std::vector<OpenRequest>& out) {
    Node& from = nodes_[node];
    for (std::size_t i = 0; from.refused > 0 && i < from.shards.size() && count > 0; ++i) {
        Shard& shard = shards_[from.shards[i]];
        if (shard.backs_off(now)) continue;
        for (; !shard.refused.empty() && count > 0; --count) {
            out.push_back(shard.refused.front());
            shard.refused.pop_front();
            --from.refused;
            --refused_;
        }
    }
    while (!from.unsent.empty() && count > 0) {
        const OpenRequest request = from.unsent.front();
        from.unsent.pop_front();
        --unsent_;
        if (shards_[request.shard].backs_off(now)) {
            keep(request);
            continue;
        }
        out.push_back(request);
        --count;
    }
}

std::vector<OpenRequest> WaitingRoom::take_unsent() {
    std::vector<OpenRequest> all;
    all.reserve(unsent_);
    for (Node& node : nodes_) {
        all.insert(all.end(), node.unsent.begin(), node.unsent.end());
        node.unsent.clear();
    }
    unsent_ = 0;
    return all;
}

std::vector<OpenRequest> WaitingRoom::take_older(std::size_t shard, Instant then) {
    Shard& from = shards_[shard];
    Node& node = nodes_[from.home];
    std::vector<OpenRequest> taken;
    const auto is_older = [&](const OpenRequest& each) {
        if (each.shard != shard || each.born >= then) return false;
        taken.push_back(each);
        return true;
    };
    const std::size_t refused = std::erase_if(from.refused, is_older);
    node.refused -= refused;
    refused_ -= refused;
    unsent_ -= std::erase_if(node.unsent, is_older);
    return taken;
}

}  // namespace kv::bench
