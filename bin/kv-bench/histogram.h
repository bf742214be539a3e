#pragma once

/// Latencies as counts in log-linear buckets: 128 buckets per power of two, so a percentile is off
/// by less than 1 %. Fixed memory, no allocation after construction. Not thread-safe: one per
/// thread, merged at the end.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kv::bench {

class Histogram {
public:
    static constexpr unsigned sub_bucket_bits = 7;
    static constexpr std::uint64_t sub_buckets = 1u << sub_bucket_bits;
    static constexpr unsigned value_bits_max = 40;  ///< in nanoseconds: 18 minutes
    static constexpr std::uint64_t value_max = (std::uint64_t{1} << value_bits_max) - 1;
    static constexpr std::size_t bucket_count =
        static_cast<std::size_t>(value_bits_max - sub_bucket_bits + 1) * sub_buckets;

    Histogram() : counts_(bucket_count) {}

    /// Adds `count` observations of `value`; values above value_max count as value_max in the
    /// percentiles, while max() stays exact.
    void record(std::uint64_t value, std::uint64_t count = 1) noexcept {
        counts_[bucket_of(value < value_max ? value : value_max)] += count;
        total_ += count;
        sum_ += value * count;
        if (count > 0 && value > max_) max_ = value;
        if (count > 0 && value < min_) min_ = value;
    }

    void merge(const Histogram& other) noexcept;
    void clear() noexcept;
    /// Calls take(value, count) for each bucket that is not empty, in order, with its middle.
    template <typename Take>
    void each(Take take) const {
        for (std::size_t i = 0; i < bucket_count; ++i) {
            if (counts_[i] > 0) take(middle_of(i), counts_[i]);
        }
    }

    std::uint64_t total() const noexcept { return total_; }
    std::uint64_t max() const noexcept { return max_; }
    std::uint64_t min() const noexcept { return total_ == 0 ? 0 : min_; }
    double mean() const noexcept {
        return total_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(total_);
    }
    /// The smallest value (of its bucket: the middle) that `percent` of the observations do not
    /// exceed; 0 when there are none. 0 <= percent <= 100.
    std::uint64_t percentile(double percent) const noexcept;

private:
    /// Values below sub_buckets have a bucket each. Above, the top bits select the bucket: the
    /// octave by the position of the highest bit, then the sub_bucket_bits bits below it.
    static std::size_t bucket_of(std::uint64_t value) noexcept {
        if (value < sub_buckets) return static_cast<std::size_t>(value);
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - sub_bucket_bits;
        return static_cast<std::size_t>((shift + 1) * sub_buckets +
                                        ((value >> shift) - sub_buckets));
    }
    static std::uint64_t middle_of(std::size_t bucket) noexcept;

    std::vector<std::uint64_t> counts_;
    std::uint64_t total_ = 0;
    std::uint64_t sum_ = 0;
    std::uint64_t max_ = 0;
    std::uint64_t min_ = ~std::uint64_t{0};
};

}  // namespace kv::bench
