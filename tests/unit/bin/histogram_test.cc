#include "bin/kv-bench/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "proto/base/prng.h"

namespace kv::bench {
namespace {

/// The smallest value that `percent` of `sorted` do not exceed.
std::uint64_t exact(const std::vector<std::uint64_t>& sorted, double percent) {
    const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()));
    return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

void expect_within_one_percent(std::uint64_t got, std::uint64_t want, double percent) {
    const double error = std::abs(static_cast<double>(got) - static_cast<double>(want));
    EXPECT_LE(error, 0.01 * static_cast<double>(want))
        << "p" << percent << ": " << got << ", not " << want;
}

TEST(Histogram, PercentilesAreWithinOnePercentOfTheExactOnes) {
    Prng prng(11);
    for (const double octaves : {4.0, 12.0, 20.0, 36.0}) {
        Histogram histogram;
        std::vector<std::uint64_t> values;
        for (int i = 0; i < 20'000; ++i) {
            const auto value = static_cast<std::uint64_t>(std::exp2(prng.unit() * octaves));
            values.push_back(value);
            histogram.record(value);
        }
        std::ranges::sort(values);
        for (const double percent : {0.0, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
            expect_within_one_percent(histogram.percentile(percent), exact(values, percent),
                                      percent);
        }
        EXPECT_EQ(histogram.max(), values.back());
        EXPECT_EQ(histogram.min(), values.front());
        EXPECT_EQ(histogram.total(), values.size());
    }
}

TEST(Histogram, SmallValuesAreExact) {
    Histogram histogram;
    for (std::uint64_t value = 0; value < Histogram::sub_buckets; ++value) histogram.record(value);
    EXPECT_EQ(histogram.percentile(50), 63);
    EXPECT_EQ(histogram.percentile(100), 127);
    EXPECT_EQ(histogram.percentile(0), 0);
}

TEST(Histogram, EveryPowerOfTwoAndItsNeighboursAreWithinOnePercent) {
    for (unsigned bit = 1; bit < Histogram::value_bits_max; ++bit) {
        for (const std::int64_t offset : {-1, 0, 1}) {
            const std::uint64_t value =
                (std::uint64_t{1} << bit) + static_cast<std::uint64_t>(offset);
            Histogram histogram;
            histogram.record(value, 2);
            histogram.record(value * 4);  // so that max() does not answer for it
            expect_within_one_percent(histogram.percentile(50), value, 50);
        }
    }
}

TEST(Histogram, ACountIsThatManyObservations) {
    Histogram histogram;
    histogram.record(1000, 99);
    histogram.record(5000, 1);
    EXPECT_EQ(histogram.total(), 100);
    expect_within_one_percent(histogram.percentile(99), 1000, 99);
    EXPECT_EQ(histogram.percentile(99.9), 5000);
    EXPECT_DOUBLE_EQ(histogram.mean(), 1040);
}

TEST(Histogram, MergedIsAsIfRecordedInOne) {
    Histogram one, a, b;
    Prng prng(5);
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t value = prng.below(1'000'000);
        one.record(value);
        (i % 3 == 0 ? a : b).record(value);
    }
    a.merge(b);
    for (const double percent : {0.0, 10.0, 50.0, 99.0, 100.0}) {
        EXPECT_EQ(a.percentile(percent), one.percentile(percent));
    }
    EXPECT_EQ(a.min(), one.min());
    EXPECT_EQ(a.max(), one.max());
    EXPECT_EQ(a.total(), one.total());
}

TEST(Histogram, AnEmptyOneIsAllZero) {
    const Histogram histogram;
    EXPECT_EQ(histogram.percentile(50), 0);
    EXPECT_EQ(histogram.min(), 0);
    EXPECT_EQ(histogram.max(), 0);
    EXPECT_EQ(histogram.mean(), 0);
}

TEST(Histogram, AValueBeyondTheRangeKeepsItsMaximum) {
    Histogram histogram;
    histogram.record(Histogram::value_max * 16);
    EXPECT_EQ(histogram.max(), Histogram::value_max * 16);
    EXPECT_EQ(histogram.percentile(100), Histogram::value_max * 16);
}

}  // namespace
}  // namespace kv::bench
