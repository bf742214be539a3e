#include "proto/raft/entry.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "proto/base/checksum.h"

namespace kv {
namespace {

const GroupId group(3);

std::string sealed(std::string_view payload, EntryKind kind = EntryKind::commands) {
    std::string bytes(entry_header_bytes, '\0');
    bytes.append(payload);
    seal_entry({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}, group, Term(5),
               Index(0x0102030405060708), 0x1112131415161718, kind);
    return bytes;
}

/// From a heap block of exactly its size, so that a sanitizer sees every read behind it.
Result<Entry> decode_exactly(std::string_view bytes, GroupId of = group) {
    const std::unique_ptr<std::byte[]> block(new std::byte[bytes.size()]);
    std::memcpy(block.get(), bytes.data(), bytes.size());
    return decode_entry({block.get(), bytes.size()}, of);
}

TEST(Entry, TheHeaderHasTheDocumentedBytes) {
    const std::string bytes = sealed("pay");
    EXPECT_EQ(bytes.substr(0, 32), std::string("\5\0\0\0\0\0\0\0"
                                               "\x08\7\6\5\4\3\2\1"
                                               "\x18\x17\x16\x15\x14\x13\x12\x11"
                                               "\2\1\0\0\3\0\0\0",
                                               32));
    const std::string_view all = bytes;
    const std::uint64_t sum =
        checksum(as_bytes(all.substr(0, 32)), mix_seed(checksum(as_bytes("pay")), group.value()));
    EXPECT_EQ(load_le<std::uint64_t>(bytes.data() + 32), sum);
}

TEST(Entry, RoundTripLeavesAloneWhatIsBehind) {
    for (const EntryKind kind : {EntryKind::noop, EntryKind::commands, EntryKind::configuration}) {
        for (const std::size_t size : {0u, 1u, 7u, 4096u}) {
            const std::string payload(size, 'p');
            const std::string bytes = sealed(payload, kind) + "behind";
            const auto entry = decode_entry(as_bytes(bytes), group);
            ASSERT_TRUE(entry.has_value());
            EXPECT_EQ(entry->term, Term(5));
            EXPECT_EQ(entry->index, Index(0x0102030405060708));
            EXPECT_EQ(entry->time_ms, 0x1112131415161718u);
            EXPECT_EQ(entry->kind, kind);
            EXPECT_EQ(as_text(entry->payload), payload);
            EXPECT_EQ(entry->bytes.size(), entry_header_bytes + size);
            EXPECT_EQ(entry->bytes.data(), as_bytes(bytes).data());
        }
    }
}

TEST(Entry, EveryPrefixIsTruncatedAndNoBitMayFlip) {
    const std::string bytes = sealed("payload");
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto entry = decode_exactly(std::string_view(bytes).substr(0, size));
        ASSERT_FALSE(entry.has_value());
        EXPECT_EQ(entry.error().code, Errc::truncated) << size << " bytes";
    }
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        std::string flipped = bytes;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        EXPECT_FALSE(decode_exactly(flipped).has_value()) << "bit " << bit;
    }
}

TEST(Entry, AnEntryOfAnotherGroupIsCorrupt) {
    const auto entry = decode_exactly(sealed("payload"), GroupId(4));
    ASSERT_FALSE(entry.has_value());
    EXPECT_EQ(entry.error().code, Errc::corrupt);
}

TEST(Entry, WhatThisVersionDoesNotKnowIsUnsupportedNotCorrupt) {
    struct Case {
        const char* name;
        std::size_t at;
        char value;
    };
    const Case cases[] = {
        {"kind 0", 24, 0},    {"kind 4", 24, 4}, {"version 0", 25, 0},
        {"version 2", 25, 2}, {"flag 0", 26, 1}, {"flag 15", 27, '\x80'},
    };
    for (const Case& c : cases) {
        std::string bytes = sealed("payload");
        bytes[c.at] = c.value;
        const std::string_view all = bytes;
        store_le<std::uint64_t>(bytes.data() + 32,
                                checksum(as_bytes(all.substr(0, 32)),
                                         mix_seed(checksum(as_bytes("payload")), group.value())));
        const auto entry = decode_exactly(bytes);
        ASSERT_FALSE(entry.has_value()) << c.name;
        EXPECT_EQ(entry.error().code, Errc::unsupported) << c.name;
    }
}

TEST(HardState, RoundTripAndSize) {
    const HardState state{Term(7), NodeId(2), Index(9)};
    std::byte bytes[hard_state_bytes];
    encode_hard_state(state, bytes);
    EXPECT_EQ(as_text(bytes),
              std::string_view("\7\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0", 24));
    const auto decoded = decode_hard_state(bytes);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(*decoded, state);
    for (const std::size_t size : {0u, 23u}) {
        const auto cut = decode_hard_state(Bytes(bytes).first(size));
        ASSERT_FALSE(cut.has_value());
        EXPECT_EQ(cut.error().code, Errc::corrupt);
    }
}

}  // namespace
}  // namespace kv
