#pragma once

/// The only source of pseudo-randomness; always built from a given seed. xoshiro256** by Blackman
/// and Vigna (public domain algorithm), seeded through SplitMix64.

#include <cstdint>
#include <string_view>

#include "proto/base/checksum.h"

namespace kv {

__extension__ typedef unsigned __int128 Uint128;

class Prng {
public:
    explicit Prng(std::uint64_t seed) noexcept {
        for (auto& word : state_) {
            seed += 0x9e3779b97f4a7c15ull;
            std::uint64_t z = seed;
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
            z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
            word = z ^ (z >> 31);
        }
    }

    /// An independent stream of its own: removing one subsystem's draws does not shift another's.
    static Prng split(std::uint64_t seed, std::string_view subsystem, std::uint64_t a = 0,
                      std::uint64_t b = 0) noexcept {
        return Prng(mix_seed(mix_seed(seed, checksum(as_bytes(subsystem))), mix_seed(a, b)));
    }

    std::uint64_t next() noexcept {
        const std::uint64_t result = rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t t = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = rotl(state_[3], 45);
        return result;
    }
    /// Uniform in [0, bound); bound > 0. Multiply-shift: the bias is below 2^-32 for small bounds.
    std::uint64_t below(std::uint64_t bound) noexcept {
        return static_cast<std::uint64_t>((static_cast<Uint128>(next()) * bound) >> 64);
    }
    /// Uniform in [low, high].
    std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
        return low + below(high - low + 1);
    }
    double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
    bool chance(double probability) noexcept { return unit() < probability; }

private:
    static constexpr std::uint64_t rotl(std::uint64_t x, int k) noexcept {
        return (x << k) | (x >> (64 - k));
    }
    std::uint64_t state_[4];
};

}  // namespace kv
