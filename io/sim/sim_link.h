#pragma once

/// How bytes travel from one node to another: the knobs of one direction, and what may cut it.

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "io/sim/sim_knobs.h"
#include "proto/base/ids.h"

namespace kv::io {

/// One direction between two nodes. May be changed at any time; what is under way keeps its time.
struct SimLink {
    Latency delay;
    Exponential extra;                   ///< on top, for every segment
    std::uint32_t tail_per_million = 0;  ///< segments that take `tail` on top
    Latency tail;
    /// Of all connections together; 0: no limit.
    std::uint64_t bytes_per_second = 0;
};

/// What becomes of bytes and of attempts to connect that would go through a cut. Of several cuts of
/// one direction the last one named here counts.
enum class SimCut : std::uint8_t {
    none,
    clog,       ///< they wait, and go on when it ends
    blackhole,  ///< they vanish; when it ends each connection goes on, breaks, or stays silent
    reset,      ///< connections break when it begins, and attempts are refused
};

/// One direction. Lists of them are what partitions are made of (io/sim/sim_partition.h).
struct SimPair {
    NodeId from;
    NodeId to;
    auto operator<=>(const SimPair&) const noexcept = default;
};
using SimPairs = std::vector<SimPair>;

/// One direction as the network keeps it. Each kind of draw has a stream of its own.
struct SimLine {
    SimLine(std::uint64_t seed, SimPair p, const SimLink& l) : pair(p), link(l) {
        std::uint64_t number = 0;
        for (Prng* prng :
             {&timing, &extras, &tails, &shapes, &breaks, &resets, &holes, &lost_syns, &mends}) {
            const std::uint64_t nodes = p.from.value() << 32 | p.to.value();
            *prng = Prng::split(seed, "link", nodes, number++);
        }
    }

    Duration draw_delay() noexcept {
        Duration delay = link.delay.draw(timing) + link.extra.draw(extras);
        if (odds(tails, link.tail_per_million)) delay += link.tail.draw(tails);
        return delay;
    }
    /// When `bytes` that are sent now will have arrived.
    Instant arrival(Instant now, std::size_t bytes) noexcept {
        if (link.bytes_per_second == 0) return now + draw_delay();
        const std::uint64_t took = bytes * std::uint64_t{1'000'000'000} / link.bytes_per_second;
        free_at = std::max(free_at, now) + Duration(static_cast<std::int64_t>(took));
        return free_at + draw_delay();
    }
    /// Whether bytes that come to its end now are stopped there.
    bool stops() const noexcept { return cut == SimCut::clog || cut == SimCut::blackhole; }

    SimPair pair;
    SimLink link;
    SimCut cut = SimCut::none;
    Instant free_at{};                     ///< of a limited link
    std::optional<std::uint64_t> flip_in;  ///< the byte to be damaged, so many from now on
    Prng timing{0};
    Prng extras{0};
    Prng tails{0};
    Prng shapes{0};  ///< windows and segments
    Prng breaks{0};  ///< how connections end
    Prng resets{0};
    Prng holes{0};
    Prng lost_syns{0};
    Prng mends{0};  ///< what becomes of connections after a cut
};

}  // namespace kv::io
