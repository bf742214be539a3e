#include "consensus/core/log_view.h"

#include <gtest/gtest.h>

#include "proto/base/prng.h"

namespace kv::consensus {
namespace {

std::string entry(std::uint64_t term, std::uint64_t index) {
    std::string bytes(entry_header_bytes, '\0');
    seal_entry({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}, GroupId(1), Term(term),
               Index(index), 0, EntryKind::noop);
    return bytes;
}

/// R11: the write of entries that were replaced ends late, and vouches for none of the new ones.
TEST(LogView, AStaleHandOverVouchesForNothing) {
    LogView log;
    std::vector<Entry> out;
    log.append(entry(1, 1));
    log.append(entry(1, 2));
    const PersistMark old = log.hand_over(out);
    log.truncate(Index(2));
    log.append(entry(2, 2));
    const PersistMark fresh = log.hand_over(out);
    log.persisted(old);
    EXPECT_EQ(log.durable_index(), Index(0));
    log.persisted(fresh);
    EXPECT_EQ(log.durable_index(), Index(2));
}

TEST(LogView, KnowsTheTermsOfWhatItNoLongerHasInMemory) {
    LogView log;
    for (const std::uint64_t i : {1u, 2u, 3u, 4u, 5u, 6u}) log.append(entry((i + 1) / 2, i));
    log.recovered();
    log.trim(Index(5), 0);
    EXPECT_EQ(log.in_memory(), Index(6));
    EXPECT_EQ(log.term_at(Index(2)), Term(1));
    EXPECT_EQ(log.at_most(Index(6), Term(2)), (LogPosition{Term(2), Index(4)}));
    log.compact({Term(2), Index(3)});
    EXPECT_EQ(log.term_at(Index(4)), Term(2));
    EXPECT_EQ(log.at_most(Index(4), Term(1)), std::nullopt);
}

/// Short entries come in buffers that long ones have left: what is kept is their memory, not their
/// length.
TEST(LogView, WhatIsKeptIsBoundedInMemory) {
    constexpr std::size_t long_bytes = 64 << 10;
    constexpr std::size_t kept = std::size_t{4} << 20;
    constexpr std::size_t free_buffers_max = 8;
    Prng prng(1);
    LogView log;
    for (std::uint64_t i = 1; i <= 10'000; ++i) {
        std::string bytes = log.take_buffer(0);
        bytes.append(entry(1, i));
        bytes.append(prng.below(i % 2 == 0 ? 100 : long_bytes), 'x');
        log.append(std::move(bytes));
        log.recovered();
        log.trim(Index(i), kept);
        ASSERT_LE(log.memory_bytes(), kept + free_buffers_max * 2 * long_bytes) << i;
    }
}

}  // namespace
}  // namespace kv::consensus
