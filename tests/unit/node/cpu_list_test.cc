#include "engine/node/cpu_list.h"

#include <gtest/gtest.h>

namespace kv {
namespace {

TEST(CpuList, RangesAndSingleOnesInTheirOrder) {
    EXPECT_EQ(*parse_cpu_list("0"), (std::vector<int>{0}));
    EXPECT_EQ(*parse_cpu_list("0-3,6"), (std::vector<int>{0, 1, 2, 3, 6}));
    EXPECT_EQ(*parse_cpu_list("7,2-2,0"), (std::vector<int>{7, 2, 0}));
    EXPECT_EQ(*parse_cpu_list("4095"), (std::vector<int>{4095}));
}

TEST(CpuList, WhatIsNoListIsRefusedWithItsReason) {
    for (const char* text :
         {"", ",", "0,", "-1", "1-", "3-1", "a", "0 1", "0x1", "4096", "1-2-3"}) {
        const auto parsed = parse_cpu_list(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code, Errc::config);
        EXPECT_NE(parsed.error().text().find("is no CPU"), std::string::npos) << text;
    }
    const auto twice = parse_cpu_list("0-2,1");
    ASSERT_FALSE(twice);
    EXPECT_NE(twice.error().text().find("CPU 1 is named twice"), std::string::npos);
}

}  // namespace
}  // namespace kv
