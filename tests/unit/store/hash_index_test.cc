#include "engine/store/hash_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "proto/base/prng.h"

namespace kv {
namespace {

/// Here a reference is a key number plus one, and the hash a function of the key number.
using HashFunction = std::uint64_t (*)(std::uint64_t key);

std::uint64_t good(std::uint64_t key) {
    return mix_seed(key, 17);
}
std::uint64_t constant(std::uint64_t) {
    return 0x0123456789abcdefull;
}
std::uint64_t few_bits(std::uint64_t key) {
    return good(key) & 0x8000'0000'0001'0103ull;
}
std::uint64_t same_top_40_bits(std::uint64_t key) {
    return good(key) >> 40;
}
std::uint64_t same_low_40_bits(std::uint64_t key) {
    return good(key) << 40;
}
std::uint64_t pairs(std::uint64_t key) {
    return good(key / 2);
}
std::uint64_t two_groups(std::uint64_t key) {
    return key % 2 == 0 ? good(key) : constant(key);
}

Reference reference_of(std::uint64_t key) {
    return Reference(key + 1);
}
std::uint64_t key_of(Reference reference) {
    return reference.value() - 1;
}

/// An index and the map it must agree with. A replaced reference has bit 40 set.
class Twins {
public:
    static constexpr std::uint64_t replaced = std::uint64_t{1} << 40;

    explicit Twins(HashFunction hash) : hash_(hash) {}

    auto hash_of() const {
        return [this](Reference reference) { return hash_(key_of(reference) & ~replaced); };
    }
    HashIndex::Entry find(std::uint64_t key) const {
        return index.find(hash_(key), [&](Reference reference) {
            return (key_of(reference) & ~replaced) == key;
        });
    }
    /// Does the same to both; false if they disagree.
    bool put(std::uint64_t key) {
        const HashIndex::Entry entry = find(key);
        const auto expected = map.find(key);
        if (static_cast<bool>(entry) != (expected != map.end())) return false;
        if (!entry) {
            const std::uint64_t moved_before = index.growth().entries_moved;
            index.insert(hash_(key), reference_of(key), hash_of());
            moved_max = std::max(moved_max, index.growth().entries_moved - moved_before);
            map.emplace(key, reference_of(key));
            return true;
        }
        if (entry.reference() != expected->second) return false;
        const Reference other(((entry.reference().value() - 1) ^ replaced) + 1);
        index.replace(entry, other);
        expected->second = other;
        return true;
    }
    bool erase(std::uint64_t key) {
        const HashIndex::Entry entry = find(key);
        if (static_cast<bool>(entry) != (map.erase(key) == 1)) return false;
        if (entry) index.erase(entry);
        return true;
    }
    bool agree() const {
        if (index.size() != map.size() || !index.invariants_hold(hash_of())) return false;
        return std::all_of(map.begin(), map.end(), [&](const auto& each) {
            const HashIndex::Entry entry = find(each.first);
            return entry && entry.reference() == each.second;
        });
    }

    Slab slab;
    HashIndex index{slab};
    std::unordered_map<std::uint64_t, Reference> map;
    std::uint64_t moved_max = 0;

private:
    HashFunction hash_;
};

struct TwinCase {
    const char* name;
    HashFunction hash;
    std::uint64_t keys;  ///< so few for bad hashes, as their chains are linear
    int operations;
};

class IndexTwin : public testing::TestWithParam<TwinCase> {};

TEST_P(IndexTwin, AgreesWithAMapOverRandomOperations) {
    const TwinCase& c = GetParam();
    Twins twins(c.hash);
    Prng prng(3);
    for (int i = 0; i < c.operations; ++i) {
        // Grows for a while, then shrinks, then grows again.
        const double puts = (i / (c.operations / 5)) % 2 == 0 ? 0.7 : 0.3;
        const std::uint64_t key = prng.below(c.keys);
        ASSERT_TRUE(prng.chance(puts) ? twins.put(key) : twins.erase(key)) << i;
        if (i % (c.operations / 10) == 0) {
            ASSERT_TRUE(twins.agree()) << i;
        }
    }
    ASSERT_TRUE(twins.agree());
    for (std::uint64_t key = 0; key < c.keys; ++key) ASSERT_TRUE(twins.erase(key));
    EXPECT_EQ(twins.index.size(), 0u);
    EXPECT_EQ(twins.index.chain_buckets(), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Hashes, IndexTwin,
    testing::Values(TwinCase{"good", good, 300'000, 1'500'000},
                    TwinCase{"good_small", good, 500, 300'000},
                    TwinCase{"constant", constant, 1'500, 60'000},
                    TwinCase{"few_bits", few_bits, 5'000, 150'000},
                    TwinCase{"same_top_40_bits", same_top_40_bits, 3'000, 150'000},
                    TwinCase{"same_low_40_bits", same_low_40_bits, 20'000, 150'000},
                    TwinCase{"pairs", pairs, 100'000, 300'000},
                    TwinCase{"two_groups", two_groups, 2'500, 150'000}),
    [](const auto& each) { return std::string(each.param.name); });

TEST(HashIndex, KeepsAThousandEqualHashesAmongManyKeys) {
    Twins twins(+[](std::uint64_t key) { return key < 1'000 ? constant(key) : good(key); });
    for (std::uint64_t key = 0; key < 200'000; ++key)
        ASSERT_TRUE(twins.put(key % 200 == 0 ? key / 200 : key + 1'000));
    EXPECT_TRUE(twins.agree());
    // The chain costs memory for itself, not a directory that chases the equal bits.
    EXPECT_LE(std::size_t{1} << twins.index.depth(),
              HashIndex::directory_words_per_segment_max * twins.index.segments());
}

TEST(HashIndex, DirectoryStaysSmallWhenTopBitsNeverDiffer) {
    Twins twins(same_top_40_bits);
    for (std::uint64_t key = 0; key < 3'000; ++key) ASSERT_TRUE(twins.put(key));
    EXPECT_LE(twins.index.bytes(), 3'000u * 40);
    EXPECT_TRUE(twins.agree());
}

TEST(HashIndex, TagsAreRenewedFromTheKeysWhenTheyRunOut) {
    // The top 13 bits follow the key number: one group of keys drives the directory deeper than the
    // others need.
    Twins twins(+[](std::uint64_t key) { return (key % 8192) << 51 | good(key) >> 13; });
    for (std::uint64_t key = 0; key < 8192 * 400; ++key) ASSERT_TRUE(twins.put(key));
    for (std::uint64_t i = 400; i < 8'000; ++i) ASSERT_TRUE(twins.put(i * 8192 + 8191));
    EXPECT_GT(twins.index.depth(), 16u);
    EXPECT_GT(twins.index.growth().hashes_read, 0u);
    EXPECT_TRUE(twins.agree());
}

TEST(HashIndex, AnInsertMovesAtMostOneSegment) {
    Twins twins(good);
    for (std::uint64_t key = 0; key < 300'000; ++key) ASSERT_TRUE(twins.put(key));
    EXPECT_LE(twins.moved_max, hash::slots_per_segment);
    EXPECT_EQ(twins.index.chain_buckets(), 0u);
    const HashIndex::Growth& growth = twins.index.growth();
    EXPECT_EQ(growth.splits, twins.index.segments() - 1);
    EXPECT_LE(growth.entries_moved, 3 * twins.index.size());  // amortised
    EXPECT_EQ(growth.hashes_read, 0u);
    EXPECT_EQ(growth.doublings, twins.index.depth());
}

TEST(HashIndex, SegmentsAreWellFilledBeforeTheySplit) {
    Slab slab;
    double fill = 0;
    constexpr std::uint64_t indexes = 50;
    for (std::uint64_t i = 0; i < indexes; ++i) {
        HashIndex index(slab);
        std::uint64_t key = i << 32;
        for (; index.segments() == 1; ++key)
            index.insert(good(key), reference_of(key), [](Reference) { return std::uint64_t{0}; });
        fill += static_cast<double>(index.size() - 1) / hash::slots_per_segment / indexes;
    }
    RecordProperty("fill_percent", static_cast<int>(fill * 100));
    EXPECT_GT(fill, 0.95);
}

TEST(HashIndex, TheSameOperationsGiveTheSameScanOrder) {
    std::vector<std::vector<Reference>> orders;
    for (int round = 0; round < 2; ++round) {
        Twins twins(pairs);
        Prng prng(5);
        for (int i = 0; i < 50'000; ++i) {
            const std::uint64_t key = prng.below(20'000);
            ASSERT_TRUE(prng.chance(0.7) ? twins.put(key) : twins.erase(key));
        }
        auto& order = orders.emplace_back();
        Cursor cursor;
        do cursor = twins.index.scan(cursor, [&](Reference each) { order.push_back(each); });
        while (cursor != Cursor(0));
    }
    EXPECT_EQ(orders[0], orders[1]);
}

TEST(HashIndexScan, VisitsWhatStaysExactlyOnceWhileSegmentsSplit) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Twins twins(good);
        Prng prng(seed);
        const std::uint64_t staying = prng.between(0, 5'000);
        for (std::uint64_t key = 0; key < staying; ++key) ASSERT_TRUE(twins.put(key));
        std::map<std::uint64_t, int> visits;
        std::uint64_t next = 1'000'000;
        std::uint64_t previous = 0;
        Cursor cursor;
        do {
            cursor = twins.index.scan(cursor, [&](Reference reference) {
                const std::uint64_t hash = good(key_of(reference));
                EXPECT_GE(hash, previous);
                ++visits[key_of(reference)];
            });
            previous = cursor.value();
            for (std::uint64_t i = prng.below(1'000); i > 0; --i) ASSERT_TRUE(twins.put(next++));
            for (std::uint64_t i = prng.below(300); i > 0; --i)
                ASSERT_TRUE(twins.erase(prng.between(1'000'000, next)));
        } while (cursor != Cursor(0));
        for (std::uint64_t key = 0; key < staying; ++key) ASSERT_EQ(visits[key], 1) << key;
        for (const auto& [key, times] : visits) ASSERT_EQ(times, 1) << key;
    }
}

TEST(HashIndexScan, ACursorOfADeeperIndexMissesNothing) {
    Twins deep(good);
    for (std::uint64_t key = 0; key < 100'000; ++key) ASSERT_TRUE(deep.put(key));
    Twins shallow(good);
    for (std::uint64_t key = 0; key < 5'000; ++key) ASSERT_TRUE(shallow.put(key));
    std::map<std::uint64_t, int> visits;
    Cursor cursor;
    for (int i = 0; i < 100; ++i)
        cursor = deep.index.scan(cursor, [&](Reference each) { ++visits[key_of(each)]; });
    do cursor = shallow.index.scan(cursor, [&](Reference each) { ++visits[key_of(each)]; });
    while (cursor != Cursor(0));
    for (std::uint64_t key = 0; key < 5'000; ++key) ASSERT_GE(visits[key], 1) << key;
}

TEST(HashIndex, ClearGivesMemoryBack) {
    Twins twins(two_groups);
    const std::size_t empty_bytes = twins.index.bytes();
    const std::size_t empty_live = twins.slab.bytes_live();
    EXPECT_EQ(empty_bytes, empty_live);
    for (std::uint64_t key = 0; key < 2'500; ++key) ASSERT_TRUE(twins.put(key));
    EXPECT_EQ(twins.index.bytes(), twins.slab.bytes_live());
    twins.index.clear();
    twins.map.clear();
    EXPECT_TRUE(twins.agree());
    EXPECT_EQ(twins.index.bytes(), empty_bytes);
    EXPECT_EQ(twins.slab.bytes_live(), empty_live);
    for (std::uint64_t key = 0; key < 2'500; ++key) ASSERT_TRUE(twins.put(key));
    EXPECT_TRUE(twins.agree());
}

TEST(HashIndex, DrainHandsOutEveryEntryOnceWithinItsCost) {
    Twins twins(two_groups);
    for (std::uint64_t key = 0; key < 2'500; ++key) ASSERT_TRUE(twins.put(key));
    std::map<std::uint64_t, int> visits;
    std::size_t slice = 0;
    const auto take = [&](Reference each) {
        ++visits[key_of(each)];
        ++slice;
        return std::size_t{1};
    };
    while (twins.index.drain(7, take)) {
        ASSERT_LE(slice, 7u);
        slice = 0;
    }
    EXPECT_EQ(visits.size(), 2'500u);
    EXPECT_EQ(twins.index.size(), 0u);
    EXPECT_EQ(twins.index.segments(), 0u);
}

TEST(HashIndex, DrainCountsEmptySegments) {
    Twins twins(good);
    for (std::uint64_t key = 0; key < 20'000; ++key) ASSERT_TRUE(twins.put(key));
    for (std::uint64_t key = 0; key < 20'000; ++key) ASSERT_TRUE(twins.erase(key));
    const std::size_t segments = twins.index.segments();
    ASSERT_GT(segments, 40u);
    const auto none = [](Reference) { return std::size_t{1}; };
    EXPECT_TRUE(twins.index.drain(10 * HashIndex::drain_segment_cost, none));
    EXPECT_EQ(twins.index.segments(), segments - 10);
}

TEST(HashBucket, PortableMatchAgreesWithTheVectorOne) {
    Prng prng(9);
    for (int i = 0; i < 10'000; ++i) {
        hash::Bucket bucket{};
        for (auto& fingerprint : bucket.fingerprints)
            fingerprint = static_cast<std::uint8_t>(prng.below(4));
        bucket.state = static_cast<std::uint16_t>(prng.next());
        for (unsigned fingerprint = 0; fingerprint < 5; ++fingerprint) {
            const auto byte = static_cast<std::uint8_t>(fingerprint);
            ASSERT_EQ(bucket.match(byte), bucket.match_portable(byte));
        }
    }
}

}  // namespace
}  // namespace kv
