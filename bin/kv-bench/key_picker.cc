#include "bin/kv-bench/key_picker.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

namespace kv::bench {

namespace {

constexpr double zipf_exponent_default = 0.99;

/// log(1 + x) / x, and its limit at 0.
double log1p_ratio(double x) noexcept {
    return std::abs(x) > 1e-8 ? std::log1p(x) / x : 1 - x * (0.5 - x * (1.0 / 3 - 0.25 * x));
}
/// (exp(x) - 1) / x, and its limit at 0.
double expm1_ratio(double x) noexcept {
    return std::abs(x) > 1e-8 ? std::expm1(x) / x : 1 + x * 0.5 * (1 + x / 3 * (1 + 0.25 * x));
}

/// Near the golden section of `n`, and without a common factor with it.
std::uint64_t stride_of(std::uint64_t n) noexcept {
    auto stride = static_cast<std::uint64_t>(static_cast<double>(n) * 0.6180339887498949) | 1u;
    while (std::gcd(stride, n) != 1) ++stride;
    return stride;
}

}  // namespace

std::optional<KeyDistribution> parse_key_distribution(std::string_view text) noexcept {
    using Kind = KeyDistribution::Kind;
    if (text == "uniform") return KeyDistribution{};
    if (text == "sequential") return KeyDistribution{.kind = Kind::sequential};
    if (text == "zipf")
        return KeyDistribution{.kind = Kind::zipf, .exponent = zipf_exponent_default};
    if (!text.starts_with("zipf:")) return std::nullopt;
    text.remove_prefix(5);
    KeyDistribution zipf{.kind = Kind::zipf};
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), zipf.exponent);
    const bool valid = error == std::errc{} && end == text.data() + text.size() &&
                       zipf.exponent > 0 && zipf.exponent <= KeyDistribution::exponent_max;
    return valid ? std::optional(zipf) : std::nullopt;
}

std::string name(const KeyDistribution& distribution) {
    switch (distribution.kind) {
        case KeyDistribution::Kind::uniform: return "uniform";
        case KeyDistribution::Kind::zipf: return fmt::format("zipf:{}", distribution.exponent);
        case KeyDistribution::Kind::sequential: return "sequential";
    }
    return "";
}

ZipfSampler::ZipfSampler(std::uint64_t n, double exponent) noexcept
    : n_(static_cast<double>(n)),
      exponent_(exponent),
      first_(h_integral(1.5) - 1),
      last_(h_integral(n_ + 0.5)),
      accept_(2 - h_integral_inverse(h_integral(2.5) - h(2))) {}

/// x^-exponent, whose integral is h_integral() up to a constant.
double ZipfSampler::h(double x) const noexcept {
    return std::exp(-exponent_ * std::log(x));
}
double ZipfSampler::h_integral(double x) const noexcept {
    const double log_x = std::log(x);
    return expm1_ratio((1 - exponent_) * log_x) * log_x;
}
double ZipfSampler::h_integral_inverse(double x) const noexcept {
    const double t = std::max(x * (1 - exponent_), -1.0);
    return std::exp(log1p_ratio(t) * x);
}

std::uint64_t ZipfSampler::draw(Prng& prng) const noexcept {
    for (;;) {
        const double u = last_ + prng.unit() * (first_ - last_);
        const double x = h_integral_inverse(u);
        const double k = std::clamp(std::floor(x + 0.5), 1.0, n_);
        // The first test takes most draws without a logarithm more.
        if (k - x <= accept_ || u >= h_integral(k + 0.5) - h(k)) {
            return static_cast<std::uint64_t>(k);
        }
    }
}

KeySpace::KeySpace(std::uint64_t keys, const KeyDistribution& distribution) noexcept
    : keys_(keys),
      kind_(distribution.kind),
      zipf_(keys, distribution.kind == KeyDistribution::Kind::zipf ? distribution.exponent
                                                                   : zipf_exponent_default),
      stride_(stride_of(keys)) {}

std::uint64_t KeySpace::scatter(std::uint64_t rank) const noexcept {
    if (keys_ <= UINT32_MAX) return (rank + 1) * stride_ % keys_;
    return static_cast<std::uint64_t>((static_cast<Uint128>(rank) + 1) * stride_ % keys_);
}

}  // namespace kv::bench
