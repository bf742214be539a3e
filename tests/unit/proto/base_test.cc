#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "proto/base/bytes.h"
#include "proto/base/copy.h"
#include "proto/base/errc.h"
#include "proto/base/prng.h"
#include "proto/base/result.h"
#include "proto/line.h"

namespace kv {
namespace {

TEST(Bytes, IntegersHaveTheirByteOrder) {
    std::array<unsigned char, 9> bytes{};
    store_be<std::uint32_t>(bytes.data() + 1, 0x01020304);  // unaligned
    EXPECT_EQ(bytes, (std::array<unsigned char, 9>{0, 1, 2, 3, 4, 0, 0, 0, 0}));
    EXPECT_EQ(load_be<std::uint32_t>(bytes.data() + 1), 0x01020304u);
    EXPECT_EQ(load_le<std::uint32_t>(bytes.data() + 1), 0x04030201u);
    store_le<std::int64_t>(bytes.data() + 1, -2);
    EXPECT_EQ(bytes[1], 0xfe);
    EXPECT_EQ(load_le<std::int64_t>(bytes.data() + 1), -2);
    EXPECT_EQ(byteswap<std::uint16_t>(0x0102), 0x0201);
    EXPECT_EQ(byteswap<std::uint8_t>(7), 7);
}

TEST(Bytes, CopyExactTakesNothingAndAssertsRoom) {
    std::array<std::byte, 2> to{};
    copy_exact(to, as_bytes(""));
    copy_exact(to, as_bytes("ab"));
    EXPECT_EQ(as_text(to), "ab");
    EXPECT_DEATH(copy_exact(to, as_bytes("abc")), "3 bytes into 2");
}

TEST(Copy, CopyShortCopiesAllAndNoMore) {
    std::string from(70, ' ');
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<char>('0' + i);
    for (std::size_t bytes = 0; bytes <= from.size(); ++bytes) {
        std::string to(72, '.');
        copy_short(to.data() + 1, std::string_view(from).substr(0, bytes));
        std::string wanted(72, '.');
        wanted.replace(1, bytes, from, 0, bytes);
        EXPECT_EQ(to, wanted) << bytes;
    }
    copy_short(nullptr, {});
}

TEST(Prng, SameSeedSameNumbersOtherSeedOthers) {
    Prng a(1);
    Prng b(1);
    Prng c(2);
    const std::uint64_t first = a.next();
    EXPECT_EQ(first, b.next());
    EXPECT_NE(first, c.next());
    EXPECT_NE(Prng::split(1, "disk").next(), Prng::split(1, "net").next());
    EXPECT_NE(Prng::split(1, "disk", 1).next(), Prng::split(1, "disk", 2).next());
}

TEST(Prng, StaysInItsBoundsAndReachesThem) {
    Prng prng(3);
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 1000; ++i) {
        seen.insert(prng.between(5, 8));
        const double unit = prng.unit();
        ASSERT_GE(unit, 0.0);
        ASSERT_LT(unit, 1.0);
    }
    EXPECT_EQ(seen, (std::set<std::uint64_t>{5, 6, 7, 8}));
    EXPECT_FALSE(prng.chance(0));
    EXPECT_TRUE(prng.chance(1));
}

Result<int> half(int value) {
    if (value % 2 != 0) return fail(Errc::syntax, "odd");
    return value / 2;
}
Result<int> quarter(int value) {
    KV_TRY(const int first, half(value));
    KV_TRY(const int second, half(first));
    return second;
}

TEST(Result, TryPassesTheValueOrTheError) {
    EXPECT_EQ(quarter(8).value(), 2);
    const Result<int> failed = quarter(6);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Errc::syntax);
    EXPECT_EQ(failed.error().text(), "odd");
    EXPECT_EQ(Error{Errc::busy}.text(), sentence(Errc::busy));
}

TEST(Errc, EveryErrorHasANameAndASentence) {
    std::set<std::string_view> names;
    for (unsigned i = 0; i <= static_cast<unsigned>(Errc::closed); ++i) {
        EXPECT_TRUE(names.insert(name(static_cast<Errc>(i))).second);
        EXPECT_FALSE(sentence(static_cast<Errc>(i)).empty());
    }
}

TEST(Errc, OnlyATimeOutLeavesTheOutcomeOpen) {
    for (unsigned i = 0; i <= static_cast<unsigned>(Errc::closed); ++i) {
        const Errc code = static_cast<Errc>(i);
        EXPECT_EQ(outcome(code),
                  code == Errc::commit_timeout ? Outcome::unknown : Outcome::not_applied);
    }
}

TEST(Line, DecimalsAndOneLine) {
    std::string out;
    append_decimal(out, INT64_MIN);
    append_decimal(out, UINT64_MAX);
    EXPECT_EQ(out, "-922337203685477580818446744073709551615");
    out = "\r";  // what was there stays
    append_one_line(out, "a\r\nb");
    EXPECT_EQ(out, "\ra  b");
}

TEST(Line, ParsePositiveTakesDigitsOnly) {
    EXPECT_EQ(parse_positive("1", 5), 1u);
    EXPECT_EQ(parse_positive("5", 5), 5u);
    for (const std::string_view text :
         {"", "0", "6", "-1", "+1", " 1", "1 ", "1x", "0x1", "99999999999999999999999"}) {
        EXPECT_EQ(parse_positive(text, 5), std::nullopt) << text;
    }
}

}  // namespace
}  // namespace kv
