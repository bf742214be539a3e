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

/// A time of the given mean, mostly shorter and now and then many times longer: exponential, but
/// uniform between the points at which the odds halve. A mean of zero: always zero.
struct Exponential {
    Duration mean{};

    Duration draw(Prng& prng) const noexcept {
        if (mean <= Duration::zero()) return {};
        // Doublings by coin tosses, uniform within one: 1.5 of them on average.
        const int doublings = std::countl_zero(prng.next() | 1);
        const auto step = static_cast<std::uint64_t>(mean.count()) * 2 / 3;
        return Duration(static_cast<std::int64_t>(static_cast<std::uint64_t>(doublings) * step +
                                                  prng.below(step + 1)));
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
    Exponential slow{};  ///< on top, for every operation: a disk that is slow as a whole
    std::uint32_t short_per_million = 50'000;        ///< reads and writes that stop early
    std::uint32_t interrupted_per_million = 10'000;  ///< -EINTR or -EAGAIN
    std::uint32_t cancel_per_million = 250'000;      ///< cancellations that win against the disk
    std::uint64_t capacity_bytes = std::uint64_t{1} << 40;
};

struct SimNetworkKnobs {
    // Of a direction between two nodes, until SimNetwork::link() changes it.
    Latency delay{5us, 500us};  ///< one way, per segment
    Exponential extra{};        ///< on top of `delay`
    std::uint32_t tail_per_million = 0;
    Latency tail{10ms, 1s};
    std::uint64_t bytes_per_second = 0;  ///< 0: no limit

    Latency reset_after_power{1ms, 200ms};        ///< until peers learn that a machine lost power
    std::uint32_t segment_bytes_max = 64 * 1024;  ///< drawn from 1 up to this per connection
    std::uint32_t segments_max = 12;              ///< of one send; the last takes the rest
    std::uint32_t window_bytes_min = 2 * 1024;    ///< in transit and unread, per direction
    std::uint32_t window_bytes_max = 256 * 1024;
    std::uint32_t short_per_million = 50'000;
    std::uint32_t interrupted_per_million = 10'000;
    std::uint32_t reset_per_million = 0;         ///< sends that break the connection
    std::uint32_t blackhole_per_million = 0;     ///< sends with which it falls silent for good
    std::uint32_t lost_syn_per_million = 0;      ///< attempts to connect that must be repeated
    std::uint32_t silent_power_per_million = 0;  ///< power losses of which no peer is told
    // What becomes of a connection that has lost something in a blackhole when that ends: it
    // breaks, or stays silent for good, or else goes on after a while.
    std::uint32_t mend_reset_per_million = 100'000;
    std::uint32_t mend_silent_per_million = 50'000;
    Latency retransmit{1ms, 2s};
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
    /// What the monotonic clock of a node reads at first; drawn per node up to this.
    Duration mono_base_max{};
    std::int64_t wall_base_ns = 1'750'000'000'000'000'000;
};

}  // namespace kv::io
