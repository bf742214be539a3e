#include "tests/support/oracles/liveness.h"

#include <fmt/format.h>

#include <algorithm>

namespace kv::sim {

std::optional<std::string> Liveness::check(std::optional<Instant> since, Instant now) const {
    if (!since) return std::nullopt;
    for (std::size_t shard = 0; shard < led_.size(); ++shard) {
        const Duration without = now - std::max(*since, led_[shard]);
        if (without <= limit_) continue;
        return fmt::format(
            "shard {} has had no leader for {} ms, and a healthy majority all the "
            "time",
            shard, without / 1ms);
    }
    return std::nullopt;
}

}  // namespace kv::sim
