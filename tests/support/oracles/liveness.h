#pragma once

/// Liveness: while a majority of the nodes is healthy and connected, each shard has a leader that
/// may take writes, again and again within a limit. Books only; times are the world's.

#include <optional>
#include <string>
#include <vector>

#include "proto/base/ids.h"
#include "proto/base/units.h"

namespace kv::sim {

class Liveness {
public:
    Liveness(std::uint16_t shards, Duration limit) : led_(shards), limit_(limit) {}

    /// The shard has a leader now that is ready.
    void led(ShardId shard, Instant now) { led_[shard.value()] = now; }
    /// `since`: a healthy majority exists since then; nothing: there is none. What is wrong, a
    /// sentence; nothing: all is well.
    std::optional<std::string> check(std::optional<Instant> since, Instant now) const;

private:
    std::vector<Instant> led_;  ///< by shard, the last time
    Duration limit_;
};

}  // namespace kv::sim
