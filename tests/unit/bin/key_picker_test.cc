#include "bin/kv-bench/key_picker.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace kv::bench {
namespace {

using Kind = KeyDistribution::Kind;

std::vector<double> zipf_probabilities(std::uint64_t n, double exponent) {
    std::vector<double> probabilities;
    double sum = 0;
    for (std::uint64_t k = 1; k <= n; ++k) {
        probabilities.push_back(std::pow(static_cast<double>(k), -exponent));
        sum += probabilities.back();
    }
    for (double& each : probabilities) each /= sum;
    return probabilities;
}

/// Six standard deviations of a binomial count: with a fixed seed, and even without, never missed.
void expect_count(double count, double draws, double probability, std::uint64_t what) {
    const double sigma = std::sqrt(draws * probability * (1 - probability));
    EXPECT_NEAR(count, draws * probability, 6 * sigma + 1) << what;
}

TEST(ZipfSampler, RanksHaveTheirExactProbabilities) {
    constexpr int draws = 200'000;
    for (const double exponent : {0.1, 0.5, 0.99, 1.0, 1.3, 3.0}) {
        for (const std::uint64_t n : {1u, 2u, 3u, 10u, 1000u}) {
            SCOPED_TRACE(testing::Message() << "exponent " << exponent << ", n " << n);
            const ZipfSampler sampler(n, exponent);
            Prng prng(7);
            std::vector<int> counts(n);
            for (int i = 0; i < draws; ++i) {
                const std::uint64_t rank = sampler.draw(prng);
                ASSERT_GE(rank, 1);
                ASSERT_LE(rank, n);
                ++counts[rank - 1];
            }
            const std::vector<double> exact = zipf_probabilities(n, exponent);
            for (std::size_t k = 0; k < n; ++k) expect_count(counts[k], draws, exact[k], k);
        }
    }
}

TEST(ZipfSampler, HugeRangesHaveTheRightHead) {
    // The harmonic number of 10^12 with exponent 0.99, by its integral.
    constexpr std::uint64_t n = 1'000'000'000'000;
    const double sum = 0.5772 + (std::pow(static_cast<double>(n), 0.01) - 1) / 0.01;
    const ZipfSampler sampler(n, 0.99);
    Prng prng(3);
    constexpr int draws = 200'000;
    int first = 0;
    for (int i = 0; i < draws; ++i) first += sampler.draw(prng) == 1 ? 1 : 0;
    EXPECT_NEAR(first, draws / sum, 0.1 * draws / sum);
}

TEST(KeySpace, ScatterIsAPermutation) {
    for (const std::uint64_t keys : {1u, 2u, 3u, 4u, 10u, 97u, 1000u, 65'536u}) {
        const KeySpace space(keys, {.kind = Kind::zipf, .exponent = 0.99});
        std::set<std::uint64_t> seen;
        for (std::uint64_t rank = 0; rank < keys; ++rank) {
            EXPECT_LT(space.scatter(rank), keys);
            seen.insert(space.scatter(rank));
        }
        EXPECT_EQ(seen.size(), keys);
    }
}

TEST(KeySpace, PopularKeysAreNotNeighbours) {
    for (const std::uint64_t keys : {std::uint64_t{1'000'000}, std::uint64_t{1} << 40}) {
        const KeySpace space(keys, {.kind = Kind::zipf, .exponent = 0.99});
        for (std::uint64_t rank = 1; rank < 100; ++rank) {
            const auto gap =
                static_cast<std::int64_t>(space.scatter(rank) - space.scatter(rank - 1));
            EXPECT_GT(std::abs(gap), static_cast<std::int64_t>(keys / 4));
        }
    }
}

TEST(KeyPicker, ZipfsMostPopularKeyIsThatOfRankOne) {
    const KeySpace space(1000, {.kind = Kind::zipf, .exponent = 1});
    KeyPicker picker(space, Prng(1), 0);
    constexpr int draws = 100'000;
    std::vector<int> counts(1000);
    for (int i = 0; i < draws; ++i) ++counts[picker.next()];
    const std::vector<double> exact = zipf_probabilities(1000, 1);
    for (std::uint64_t rank = 0; rank < 1000; ++rank) {
        expect_count(counts[space.scatter(rank)], draws, exact[rank], rank);
    }
}

TEST(KeyPicker, UniformIsEven) {
    const KeySpace space(50, {});
    KeyPicker picker(space, Prng(1), 0);
    std::vector<int> counts(50);
    for (int i = 0; i < 50'000; ++i) ++counts[picker.next()];
    for (std::size_t key = 0; key < 50; ++key) expect_count(counts[key], 50'000, 0.02, key);
}

TEST(KeyPicker, SequentialGoesRoundFromItsBeginning) {
    const KeySpace space(5, {.kind = Kind::sequential});
    KeyPicker picker(space, Prng(1), 3);
    std::vector<std::uint64_t> seen;
    for (int i = 0; i < 7; ++i) seen.push_back(picker.next());
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{3, 4, 0, 1, 2, 3, 4}));
}

TEST(KeyDistribution, IsReadAndNamed) {
    for (const char* text : {"uniform", "sequential", "zipf:0.99", "zipf:2"}) {
        const auto parsed = parse_key_distribution(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_EQ(name(*parsed), text);
    }
    EXPECT_EQ(parse_key_distribution("zipf"), parse_key_distribution("zipf:0.99"));
    for (const char* text : {"", "zipf:", "zipf:0", "zipf:-1", "zipf:11", "zipf:1x", "zipf:nan",
                             "gauss", "uniform "}) {
        EXPECT_FALSE(parse_key_distribution(text)) << text;
    }
}

}  // namespace
}  // namespace kv::bench
