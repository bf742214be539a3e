#include "bin/kv-bench/operation.h"

#include <gtest/gtest.h>

namespace kv::bench {
namespace {

TEST(Mix, WeightsBecomeShares) {
    const auto mix = Mix::parse("get=80,set=15,del=4,incr=1");
    ASSERT_TRUE(mix);
    EXPECT_DOUBLE_EQ(mix->share(Operation::get), 0.8);
    EXPECT_DOUBLE_EQ(mix->share(Operation::set), 0.15);
    EXPECT_DOUBLE_EQ(mix->share(Operation::del), 0.04);
    EXPECT_DOUBLE_EQ(mix->share(Operation::incr), 0.01);
    EXPECT_FALSE(mix->single());
    EXPECT_EQ(mix->text(), "80 % GET, 15 % SET, 4 % DEL, 1 % INCR");
}

TEST(Mix, AnOperationAloneWeighsOne) {
    EXPECT_EQ(Mix::parse("get,set"), Mix::of_reads(0.5));
    EXPECT_EQ(Mix::parse("del"), Mix(Operation::del));
    EXPECT_EQ(Mix::parse("del")->single(), Operation::del);
    EXPECT_EQ(Mix::parse("set,get=0")->single(), Operation::set);
    EXPECT_FALSE(Mix::parse("get,get=0")->has(Operation::set));
}

TEST(Mix, ReadsAreGetAndTheRestSet) {
    EXPECT_EQ(Mix::of_reads(0), Mix(Operation::set));
    EXPECT_EQ(Mix::of_reads(1), Mix(Operation::get));
    EXPECT_DOUBLE_EQ(Mix::of_reads(0.25).share(Operation::set), 0.75);
}

TEST(Mix, WhatIsNoMixIsRefused) {
    for (const char* text : {"", ",", "get=", "get=x", "get=1x", "get=-1", "scan", "get;set",
                             "get=0", "get=1,,set=1", "GET", "get=nan", "get=inf"}) {
        EXPECT_FALSE(Mix::parse(text)) << text;
    }
}

}  // namespace
}  // namespace kv::bench
