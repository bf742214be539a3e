#pragma once

/// What a simulated world may do: how long things take and how often they go wrong. Draws use
/// integers only, so that every compiler and every library gives the same run.

#include <array>
#include <bit>
#include <cstdint>

#include "proto/base/prng.h"
#include "proto/base/units.h"

namespace kv::io {

/// How a node stops. What each leaves behind: see io/sim/sim_disk.h.
enum class Crash : std::uint8_t {
    process,               ///< kill -9: the page cache survives
    power_lose_all,        ///< nothing but what was synced
    power_prefix,          ///< a prefix of the volatile changes, the last one cut at a sector
    power_subset_torn,     ///< any subset in any order, with torn sectors
    power_directory_lost,  ///< names since the last sync of their directory; data may survive
};
inline constexpr std::array<Crash, 5> all_crashes = {Crash::process, Crash::power_lose_all,
                                                     Crash::power_prefix, Crash::power_subset_torn,
                                                     Crash::power_directory_lost};

/// A time from `min` to `max`, each power of two between them equally likely: mostly short.
struct Latency {
    Duration min{};
    Duration max{};

    Duration draw(Prng& prng) const noexcept {
        const auto low = static_cast<std::uint64_t>(min.count());
        const auto high = static_cast<std::uint64_t>(max.count());
        if (high <= low) return min;
        const auto bits =
            static_cast<int>(prng.between(static_cast<std::uint64_t>(std::bit_width(low | 1)),
                                          static_cast<std::uint64_t>(std::bit_width(high))));
        const std::uint64_t half = std::uint64_t{1} << (bits - 1);
        const std::uint64_t value = half + prng.below(half);
        return Duration(static_cast<std::int64_t>(value < low ? low : value > high ? high : value));
    }
};

/// True `per_million` times in a million. Draws only when it can be true.
inline bool odds(Prng& prng, std::uint32_t per_million) noexcept {
    return per_million != 0 && prng.below(1'000'000) < per_million;
}

struct SimDiskKnobs {
    Latency read{10us, 1ms};
    Latency write{10us, 1ms};
    Latency sync{50us, 5ms};
    Latency name{2us, 200us};  ///< open, rename, unlink, list and the like
    /// A slow operation among fast ones.
    std::uint32_t tail_per_million = 1'000;
    Latency tail{10ms, 100ms};
    std::uint32_t short_per_million = 50'000;        ///< reads and writes that stop early
    std::uint32_t interrupted_per_million = 10'000;  ///< -EINTR or -EAGAIN
    std::uint32_t cancel_per_million = 250'000;      ///< cancellations that win against the disk
    std::uint64_t capacity_bytes = std::uint64_t{1} << 40;
};

struct SimNetworkKnobs {
    Latency delay{5us, 500us};                    ///< one way, per segment
    Latency reset_after_power{1ms, 200ms};        ///< until peers learn that a machine lost power
    std::uint32_t segment_bytes_max = 64 * 1024;  ///< drawn from 1 up to this per connection
    std::uint32_t segments_max = 12;              ///< of one send; the last takes the rest
    std::uint32_t window_bytes_min = 2 * 1024;    ///< in transit and unread, per direction
    std::uint32_t window_bytes_max = 256 * 1024;
    std::uint32_t short_per_million = 50'000;
    std::uint32_t interrupted_per_million = 10'000;
    std::uint32_t reset_per_million = 0;  ///< sends that break the connection
    std::uint32_t backlog_max = 128;
};

struct SimCoreKnobs {
    Latency turn{200ns, 50us};
    std::uint32_t stall_per_million = 0;  ///< turns that take `stall` instead
    Latency stall{1ms, 10ms};
    Latency kernel{300ns, 20us};  ///< an operation that waits for no device
    Latency doorbell{1us, 1ms};   ///< until a core that sleeps hears another one
    /// Slots of the rings between cores, a power of two; drawn per process.
    std::uint32_t mailbox_slots_min = 2;
    std::uint32_t mailbox_slots_max = 1024;
    /// Provided buffers; drawn per core.
    std::uint32_t buffers_min = 4;
    std::uint32_t buffers_max = 64;
    std::uint32_t buffer_bytes_min = 16;
    std::uint32_t buffer_bytes_max = 4096;
    std::uint32_t multishot_end_per_million = 20'000;  ///< completions after which one must re-arm
};

struct SimKnobs {
    SimDiskKnobs disk;
    SimNetworkKnobs network;
    SimCoreKnobs core;
    std::int64_t wall_base_ns = 1'750'000'000'000'000'000;
};

}  // namespace kv::io
