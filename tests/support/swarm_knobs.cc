#include "tests/support/swarm_knobs.h"

#include <string_view>

namespace kv {

namespace {

/// Draws for one class of trouble.
class Draw {
public:
    Draw(std::uint64_t seed, std::string_view name) : prng_(Prng::split(seed, name)) {
        on_ = seed % 10 == 1 || (seed % 10 != 0 && prng_.below(2) == 0);
    }
    bool on() const noexcept { return on_; }
    std::uint64_t between(std::uint64_t low, std::uint64_t high) {
        const io::Latency spread{Duration(static_cast<std::int64_t>(low)),
                                 Duration(static_cast<std::int64_t>(high))};
        return static_cast<std::uint64_t>(spread.draw(prng_).count());
    }
    std::uint32_t small(std::uint32_t low, std::uint32_t high) {
        return static_cast<std::uint32_t>(between(low, high));
    }
    Duration time(Duration low, Duration high) { return io::Latency{low, high}.draw(prng_); }

private:
    Prng prng_;
    bool on_;
};

void draw_network(std::uint64_t seed, io::SimNetworkKnobs& knobs) {
    if (Draw d(seed, "knobs.delay"); d.on()) {
        knobs.delay.max = d.time(100us, 20ms);
        knobs.extra.mean = d.time(10us, 5ms);
    }
    if (Draw d(seed, "knobs.link tails"); d.on()) {
        knobs.tail_per_million = d.small(10, 10'000);
        knobs.tail.max = d.time(10ms, 5s);
    }
    if (Draw d(seed, "knobs.bandwidth"); d.on())
        knobs.bytes_per_second = d.between(1 << 18, 1 << 27);
    if (Draw d(seed, "knobs.segments"); d.on()) {
        knobs.segment_bytes_max = d.small(16, 64 * 1024);
        knobs.window_bytes_min = d.small(512, 16 * 1024);
        knobs.window_bytes_max = knobs.window_bytes_min * 4;
    }
    if (Draw d(seed, "knobs.resets"); d.on()) knobs.reset_per_million = d.small(1, 2'000);
    if (Draw d(seed, "knobs.holes"); d.on()) knobs.blackhole_per_million = d.small(1, 500);
    if (Draw d(seed, "knobs.syns"); d.on()) knobs.lost_syn_per_million = d.small(1'000, 300'000);
    if (Draw d(seed, "knobs.power"); d.on()) knobs.silent_power_per_million = 500'000;
    if (Draw d(seed, "knobs.mends"); d.on()) {
        knobs.mend_reset_per_million = d.small(10'000, 600'000);
        knobs.mend_silent_per_million = d.small(10'000, 600'000);
    }
}

void draw_disk(std::uint64_t seed, io::SimDiskKnobs& knobs) {
    if (Draw d(seed, "knobs.disk"); d.on()) {
        knobs.write.max = d.time(100us, 10ms);
        knobs.sync.max = d.time(100us, 30ms);
    }
    if (Draw d(seed, "knobs.disk tails"); d.on()) {
        knobs.tail_per_million = d.small(100, 20'000);
        knobs.tail.max = d.time(10ms, 1s);
    }
}

void draw_core(std::uint64_t seed, io::SimCoreKnobs& knobs) {
    if (Draw d(seed, "knobs.stalls"); d.on()) {
        knobs.stall_per_million = d.small(10, 2'000);
        knobs.stall.max = d.time(1ms, 500ms);
    }
    if (Draw d(seed, "knobs.doorbells"); d.on()) knobs.doorbell.max = d.time(1us, 10ms);
    if (Draw d(seed, "knobs.multishot"); d.on())
        knobs.multishot_end_per_million = d.small(1'000, 300'000);
}

}  // namespace

io::SimKnobs swarm_knobs(std::uint64_t seed) {
    io::SimKnobs knobs;
    if (seed % 10 == 0) {
        knobs.disk.tail_per_million = 0;
        knobs.network.mend_reset_per_million = knobs.network.mend_silent_per_million = 0;
    }
    draw_network(seed, knobs.network);
    draw_disk(seed, knobs.disk);
    draw_core(seed, knobs.core);
    if (Draw d(seed, "knobs.clocks"); d.on()) knobs.mono_base_max = 10'000h;
    return knobs;
}

}  // namespace kv
