#include "proto/slot.h"

#include <gtest/gtest.h>

#include <string>

#include "proto/base/prng.h"

namespace kv {
namespace {

TEST(Slot, Crc16IsXmodem) {
    EXPECT_EQ(crc16("123456789"), 0x31c3);
    EXPECT_EQ(crc16(""), 0);
    EXPECT_EQ(crc16(std::string_view("\0", 1)), 0);
    EXPECT_EQ(crc16(std::string_view("\0\0\0\0\0", 5)), 0);
}

/// One bit at a time, as the polynomial says.
std::uint16_t slow_crc16(std::string_view bytes) {
    std::uint16_t crc = 0;
    for (const char c : bytes) {
        crc = static_cast<std::uint16_t>(crc ^ (static_cast<unsigned char>(c) << 8));
        for (int bit = 0; bit < 8; ++bit) {
            const bool carry = (crc & 0x8000) != 0;
            crc = static_cast<std::uint16_t>(crc << 1);
            if (carry) crc = static_cast<std::uint16_t>(crc ^ 0x1021);
        }
    }
    return crc;
}

TEST(Slot, Crc16AgreesWithTheBitwiseTwinAtEveryLength) {
    Prng prng(1);
    for (std::size_t bytes = 0; bytes < 300; ++bytes) {
        std::string text;
        for (std::size_t i = 0; i < bytes; ++i) text.push_back(static_cast<char>(prng.below(256)));
        EXPECT_EQ(crc16(text), slow_crc16(text)) << bytes << " bytes";
    }
}

TEST(Slot, SlotsAreThoseOfRedisCluster) {
    struct Case {
        std::string_view key;
        std::uint16_t slot;
    };
    const Case cases[] = {
        {"foo", 12182}, {"bar", 5061}, {"user1000", 3443}, {"123456789", 0x31c3}, {"", 0},
    };
    for (const Case& c : cases) EXPECT_EQ(slot_of(c.key).value(), c.slot) << c.key;
}

TEST(Slot, OnlyAHashTagCounts) {
    struct Case {
        std::string_view key;
        std::string_view counts;
    };
    const Case cases[] = {
        {"{user1000}.following", "user1000"},
        {"{user1000}.followers", "user1000"},
        {"a{b}c{d}", "b"},
        {"foo{}{bar}", "foo{}{bar}"},  // the first tag is empty: the whole key
        {"foo{{bar}}zap", "{bar"},
        {"foo{bar}{zap}", "bar"},
        {"}a{b}", "b"},
        {"{", "{"},
        {"}", "}"},
        {"{}", "{}"},
        {"a}{b", "a}{b"},  // no end behind the start
        {"{a", "{a"},
        {"a}", "a}"},
        {"{a}", "a"},
        {"x{ }y", " "},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(slot_of(c.key).value(), slow_crc16(c.counts) % slot_count) << c.key;
    }
    const std::string_view with_null("{\0}b", 4);
    EXPECT_EQ(slot_of(with_null).value(), 0);
}

}  // namespace
}  // namespace kv
