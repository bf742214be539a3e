#include "bin/kv-bench/pacer.h"

#include <gtest/gtest.h>

namespace kv::bench {
namespace {

TEST(Pacer, RequestsAreDueAtTheirRateFromTheStart) {
    Pacer pacer;
    const Instant start(1'000s);
    pacer.start(start, 1000);
    EXPECT_EQ(pacer.due(start - 1ns), 0);
    EXPECT_EQ(pacer.due(start), 1);
    EXPECT_EQ(pacer.due(start + 1ms - 1ns), 1);
    EXPECT_EQ(pacer.due(start + 1ms), 2);
    EXPECT_EQ(pacer.due(start + 1s - 1ns), 1000);
    EXPECT_EQ(pacer.intended(500), start + 500ms);
    EXPECT_EQ(pacer.until(3, start + 1ms), Duration(2ms));
    EXPECT_EQ(pacer.until(3, start + 5ms), Duration(0));
}

/// due() counts exactly those whose moment has come, however awkward the rate.
TEST(Pacer, DueAndIntendedAgree) {
    for (const double rate : {0.3, 3.0, 7777.77, 1e6 / 3, 123456789.0}) {
        Pacer pacer;
        const Instant start(17ns);
        pacer.start(start, rate);
        for (std::uint64_t index : {0ull, 1ull, 2ull, 999ull, 1'000'000ull, 987'654'321ull}) {
            const Instant moment = pacer.intended(index);
            EXPECT_GE(pacer.due(moment), index + 1) << rate;
            EXPECT_LE(pacer.due(moment - 1ns), index) << rate;
        }
    }
}

}  // namespace
}  // namespace kv::bench
