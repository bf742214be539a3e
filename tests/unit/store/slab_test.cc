#include "engine/store/slab.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "engine/store/poison.h"
#include "proto/base/prng.h"

namespace kv {
namespace {

struct Taken {
    unsigned char* at;
    std::size_t bytes;
    unsigned char fill;
};

Taken take(Slab& slab, std::size_t bytes, unsigned char fill) {
    auto* at = static_cast<unsigned char*>(slab.allocate(bytes));
    std::memset(at, fill, bytes);
    return {at, bytes, fill};
}

bool intact(const Taken& taken) {
    for (std::size_t i = 0; i < taken.bytes; ++i)
        if (taken.at[i] != taken.fill) return false;
    return true;
}

TEST(Slab, RoundsToEightBytesUpToTwoKiB) {
    for (std::size_t bytes = 1; bytes <= 2048; ++bytes)
        EXPECT_EQ(Slab::rounded(bytes), (bytes + 7) / 8 * 8);
    for (std::size_t bytes = 2049; bytes <= 4096; ++bytes)
        EXPECT_EQ(Slab::rounded(bytes), (bytes + 127) / 128 * 128);
    EXPECT_EQ(Slab::rounded(4097), 4097u);
}

TEST(Slab, BlocksAreAlignedToTheirClass) {
    Slab slab;
    for (const std::size_t bytes : {8u, 24u, 128u, 131u, 256u, 1000u, 2048u, 2176u, 4000u, 4096u}) {
        const std::size_t rounded = Slab::rounded(bytes);
        const std::size_t alignment = rounded & (~rounded + 1);
        std::vector<void*> blocks;
        for (int i = 0; i < 600; ++i) {
            blocks.push_back(slab.allocate(bytes));
            ASSERT_EQ(reinterpret_cast<std::uintptr_t>(blocks.back()) % alignment, 0u) << bytes;
        }
        for (void* block : blocks) slab.release(block, bytes);
    }
}

TEST(Slab, BlocksNeverOverlapAndEveryByteIsAccounted) {
    Slab slab;
    Prng prng(1);
    std::vector<Taken> taken;
    std::size_t live = 0;
    for (int i = 0; i < 200'000; ++i) {
        const bool add = taken.empty() || prng.chance(taken.size() < 3'000 ? 0.6 : 0.4);
        if (add) {
            const std::size_t bytes =
                prng.chance(0.01) ? prng.between(4'000, 20'000) : prng.between(1, 600);
            taken.push_back(take(slab, bytes, static_cast<unsigned char>(prng.next())));
            live += bytes;
        } else {
            std::swap(taken[prng.below(taken.size())], taken.back());
            ASSERT_TRUE(intact(taken.back()));
            slab.release(taken.back().at, taken.back().bytes);
            live -= taken.back().bytes;
            taken.pop_back();
        }
        ASSERT_EQ(slab.bytes_live(), live);
        ASSERT_GE(slab.bytes_reserved(), live);
    }
    for (const Taken& each : taken) slab.release(each.at, each.bytes);
    EXPECT_EQ(slab.bytes_live(), 0u);
    EXPECT_EQ(slab.bytes_reserved(), Slab::chunk_bytes);  // the one kept against thrashing
}

TEST(Slab, ReleasedBlocksAreUsedAgain) {
    Slab slab;
    std::vector<void*> blocks;
    for (int i = 0; i < 100'000; ++i) blocks.push_back(slab.allocate(128));
    const std::size_t reserved = slab.bytes_reserved();
    EXPECT_LE(reserved, 100'000 * 128 + 2 * Slab::chunk_bytes);
    for (int round = 0; round < 5; ++round) {
        for (std::size_t i = 0; i < blocks.size(); i += 2) slab.release(blocks[i], 128);
        for (std::size_t i = 0; i < blocks.size(); i += 2) blocks[i] = slab.allocate(121);
        for (std::size_t i = 0; i < blocks.size(); i += 2) slab.release(blocks[i], 121);
        for (std::size_t i = 0; i < blocks.size(); i += 2) blocks[i] = slab.allocate(128);
        EXPECT_EQ(slab.bytes_reserved(), reserved);
    }
    for (void* block : blocks) slab.release(block, 128);
}

TEST(Slab, EmptyPagesServeOtherClasses) {
    Slab slab;
    std::size_t reserved = 0;
    for (const std::size_t bytes : {16u, 40u, 128u, 1'024u, 4'096u}) {
        std::vector<void*> blocks;
        for (std::size_t i = 0; i < (8u << 20) / bytes; ++i) blocks.push_back(slab.allocate(bytes));
        reserved = std::max(reserved, slab.bytes_reserved());
        for (void* block : blocks) slab.release(block, bytes);
    }
    EXPECT_LE(reserved, (8u << 20) + 2 * Slab::chunk_bytes);
}

TEST(Slab, ResizesInPlaceWithinAClassOnly) {
    Slab slab;
    Taken taken = take(slab, 125, 7);
    EXPECT_TRUE(slab.resize(taken.at, 125, 128));
    EXPECT_EQ(slab.bytes_live(), 128u);
    EXPECT_FALSE(slab.resize(taken.at, 128, 129));
    EXPECT_FALSE(slab.resize(taken.at, 128, 120));
    EXPECT_TRUE(slab.resize(taken.at, 128, 121));
    EXPECT_EQ(slab.bytes_live(), 121u);
    taken.bytes = 121;
    EXPECT_TRUE(intact(taken));
    slab.release(taken.at, 121);

    void* large = slab.allocate(10'000);
    EXPECT_EQ(slab.bytes_reserved(), Slab::chunk_bytes + 10'000);
    EXPECT_TRUE(slab.resize(large, 10'000, 10'000));
    EXPECT_FALSE(slab.resize(large, 10'000, 10'001));
    slab.release(large, 10'000);
    EXPECT_EQ(slab.bytes_reserved(), Slab::chunk_bytes);
}

TEST(Slab, PrepareHasAChunkReadyBeforeItIsNeeded) {
    Slab slab;
    int calls = 0;
    while (slab.prepare()) ++calls;
    EXPECT_GT(calls, 1);
    EXPECT_FALSE(slab.prepare());
    EXPECT_EQ(slab.bytes_reserved(), Slab::chunk_bytes);
    std::vector<Taken> taken;
    while (slab.bytes_live() < 2 * Slab::chunk_bytes) {
        taken.push_back(take(slab, 1'000, static_cast<unsigned char>(taken.size())));
        if (taken.size() % 50 == 0) slab.prepare();  // in small steps, while the chunk is in use
    }
    while (slab.prepare()) continue;
    EXPECT_LE(slab.bytes_reserved(), 4 * Slab::chunk_bytes);
    for (const Taken& each : taken) ASSERT_TRUE(intact(each));
    for (const Taken& each : taken) slab.release(each.at, each.bytes);
    EXPECT_EQ(slab.bytes_reserved(), Slab::chunk_bytes);
    while (slab.prepare()) continue;
}

TEST(SlabDeath, ABlockReleasedAsAnotherSizeIsRefused) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            Slab slab;
            void* other = slab.allocate(64);
            void* block = slab.allocate(64);
            slab.release(block, 32);
            slab.release(other, 64);
        },
        "class");
}

TEST(SlabDeath, AForgottenBlockIsReported) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            Slab slab;
            static_cast<void>(slab.allocate(64));
        },
        "never released");
}

#ifdef KV_ASAN
TEST(SlabDeath, UseAfterReleaseIsSeenUnderAsan) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            Slab slab;
            const Taken kept = take(slab, 64, 1);
            const Taken taken = take(slab, 64, 1);
            slab.release(taken.at, 64);
            static_cast<void>(intact(taken));
            slab.release(kept.at, 64);
        },
        "use-after-poison");
}

TEST(SlabDeath, ASecondReleaseIsSeenUnderAsan) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            Slab slab;
            void* kept = slab.allocate(64);
            void* block = slab.allocate(64);
            slab.release(block, 64);
            slab.release(block, 64);
            slab.release(kept, 64);
        },
        "released twice");
}

TEST(SlabDeath, ReadingBehindABlockIsSeenUnderAsan) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            Slab slab;
            Taken taken = take(slab, 61, 1);
            ++taken.bytes;
            static_cast<void>(intact(taken));
            slab.release(taken.at, 61);
        },
        "use-after-poison");
}
#endif

}  // namespace
}  // namespace kv
