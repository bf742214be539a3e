#include "bin/kv-bench/histogram.h"

#include <algorithm>
#include <cmath>

namespace kv::bench {

void Histogram::merge(const Histogram& other) noexcept {
    for (std::size_t i = 0; i < bucket_count; ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
    min_ = std::min(min_, other.min_);
}

void Histogram::clear() noexcept {
    std::ranges::fill(counts_, 0);
    total_ = sum_ = max_ = 0;
    min_ = ~std::uint64_t{0};
}

std::uint64_t Histogram::middle_of(std::size_t bucket) noexcept {
    if (bucket < sub_buckets) return bucket;
    const std::uint64_t shift = bucket / sub_buckets - 1;
    const std::uint64_t low = (sub_buckets + bucket % sub_buckets) << shift;
    return low + ((std::uint64_t{1} << shift) >> 1);
}

std::uint64_t Histogram::percentile(double percent) const noexcept {
    if (total_ == 0) return 0;
    const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_)));
    // The last observation is known exactly.
    if (wanted >= total_) return max_;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < bucket_count; ++i) {
        seen += counts_[i];
        if (seen >= std::max<std::uint64_t>(wanted, 1)) {
            return std::clamp(middle_of(i), min_, max_);
        }
    }
    return max_;
}

}  // namespace kv::bench
