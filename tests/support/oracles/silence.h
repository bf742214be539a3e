#pragma once

/// Check-quorum: a leader that has not been able to hear a majority for a while leads no more.
/// Books only; times are the world's. Who can be heard is judged by the network's cuts: what no cut
/// stops may have been heard.

#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>

#include "proto/base/ids.h"
#include "proto/base/units.h"

namespace kv::sim {

class Silence {
public:
    /// `limit`: how long a leader may believe that it leads; more than the election timeout by what
    /// its kernel may have for it, and by the stalls of its cores.
    explicit Silence(Duration limit) : limit_(limit) {}

    /// A majority could be heard, or the node did nothing at all.
    void heard(NodeId node, Instant now) { heard_[node] = now; }
    /// It leads now. What is wrong, a sentence; nothing: all is well.
    std::optional<std::string> leads(NodeId node, ShardId shard, Instant now) const {
        const auto found = heard_.find(node);
        if (found == heard_.end() || now - found->second <= limit_) return std::nullopt;
        return fmt::format("n{} leads shard {}, and has not heard a majority for {} ms",
                           node.value(), shard.value(), (now - found->second) / 1ms);
    }

private:
    Duration limit_;
    std::map<NodeId, Instant> heard_;  ///< the last time
};

}  // namespace kv::sim
