#pragma once

/// Which key a request is about: uniformly drawn, by Zipf's law, or one after the other.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/base/prng.h"

namespace kv::bench {

struct KeyDistribution {
    enum class Kind : std::uint8_t { uniform, zipf, sequential };
    Kind kind = Kind::uniform;
    double exponent = 0;  ///< of Zipf's law: 0 < exponent <= exponent_max

    static constexpr double exponent_max = 10;
    bool operator==(const KeyDistribution&) const = default;
};

/// "uniform", "sequential", "zipf" (0.99) or "zipf:1.2".
std::optional<KeyDistribution> parse_key_distribution(std::string_view text) noexcept;
/// What parse_key_distribution() reads back.
std::string name(const KeyDistribution& distribution);

/// Ranks 1..n, of which k is drawn in proportion to k^-exponent. Rejection-inversion after
/// W. Hoermann and G. Derflinger (1996): exact, constant time, no tables.
class ZipfSampler {
public:
    ZipfSampler(std::uint64_t n, double exponent) noexcept;
    std::uint64_t draw(Prng& prng) const noexcept;

private:
    double h(double x) const noexcept;
    double h_integral(double x) const noexcept;
    double h_integral_inverse(double x) const noexcept;

    double n_;
    double exponent_;
    double first_;  ///< h_integral(1.5) - 1
    double last_;   ///< h_integral(n + 0.5)
    double accept_;
};

/// What all connections share. Numbers of keys are 0..keys-1.
class KeySpace {
public:
    /// `keys` > 0.
    KeySpace(std::uint64_t keys, const KeyDistribution& distribution) noexcept;

    std::uint64_t keys() const noexcept { return keys_; }
    KeyDistribution::Kind kind() const noexcept { return kind_; }
    const ZipfSampler& zipf() const noexcept { return zipf_; }
    /// The key that has rank `rank` (0..keys-1) by Zipf's law: a permutation, so that popular keys
    /// are not neighbours.
    std::uint64_t scatter(std::uint64_t rank) const noexcept;

private:
    std::uint64_t keys_;
    KeyDistribution::Kind kind_;
    ZipfSampler zipf_;
    std::uint64_t stride_;  ///< without a common factor with keys_
};

/// The keys of one connection.
class KeyPicker {
public:
    /// `first`: where a sequential walk begins; it goes round for ever.
    KeyPicker(const KeySpace& space, Prng prng, std::uint64_t first) noexcept
        : space_(space), prng_(prng), next_(first % space.keys()) {}

    std::uint64_t next() noexcept {
        switch (space_.kind()) {
            case KeyDistribution::Kind::uniform: return prng_.below(space_.keys());
            case KeyDistribution::Kind::zipf: return space_.scatter(space_.zipf().draw(prng_) - 1);
            case KeyDistribution::Kind::sequential: break;
        }
        const std::uint64_t key = next_;
        next_ = key + 1 == space_.keys() ? 0 : key + 1;
        return key;
    }

private:
    const KeySpace& space_;
    Prng prng_;
    std::uint64_t next_;
};

}  // namespace kv::bench
