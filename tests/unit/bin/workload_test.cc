#include "bin/kv-bench/workload.h"

#include <gtest/gtest.h>

#include <set>

#include "proto/binary/binary_codec.h"
#include "proto/resp/resp_codec.h"
#include "proto/text/text_codec.h"

namespace kv::bench {
namespace {

struct Seen {
    Verb verb;
    std::string key;
    std::string value;
};

/// What the server's own parser makes of `bytes`.
template <typename Parser>
std::vector<Seen> parse_with(std::string_view bytes) {
    const RequestLimits limits;
    Parser parser(limits);
    std::vector<Seen> seen;
    while (!bytes.empty()) {
        Request request;
        const ParseResult result = parser.next(bytes, request);
        EXPECT_EQ(result.status, ParseStatus::request);
        if (result.status != ParseStatus::request) break;
        EXPECT_NE(request.verb, Verb::invalid) << request.error_text;
        if (request.verb == Verb::invalid) break;
        seen.push_back({request.verb, std::string(request.args[0]),
                        request.args.size() > 1 ? std::string(request.args[1]) : ""});
        bytes.remove_prefix(result.consumed);
    }
    return seen;
}

std::vector<Seen> parse(Wire wire, std::string_view bytes) {
    switch (wire) {
        case Wire::binary: return parse_with<binary::BinaryParser>(bytes);
        case Wire::resp: return parse_with<resp::RespParser>(bytes);
        case Wire::text: return parse_with<text::TextParser>(bytes);
    }
    return {};
}

class EachWire : public testing::TestWithParam<Wire> {};
INSTANTIATE_TEST_SUITE_P(All, EachWire, testing::Values(Wire::binary, Wire::resp, Wire::text),
                         [](const auto& each) { return std::string(name(each.param)); });

TEST_P(EachWire, TheServersParserReadsWhatIsSent) {
    for (const double reads : {0.0, 0.5, 1.0}) {
        const Workload workload({.wire = GetParam(),
                                 .keys = 1000,
                                 .key_bytes = 16,
                                 .value_bytes = {37, 37},
                                 .mix = Mix::of_reads(reads)});
        BatchWriter writer(workload, 64, 0, 4);
        for (const std::size_t count : {64u, 1u, 16u}) {
            const std::vector<Seen> seen = parse(GetParam(), writer.next(count));
            ASSERT_EQ(seen.size(), count);
            for (const Seen& each : seen) {
                EXPECT_EQ(each.key.size(), 16);
                EXPECT_EQ(each.key.substr(0, 13), "key:000000000");
                EXPECT_EQ(each.value.size(), each.verb == Verb::set ? 37 : 0);
            }
        }
    }
}

TEST_P(EachWire, TheShareOfReadsIsTheOneAskedFor) {
    for (const double reads : {0.0, 0.1, 0.5, 0.95, 1.0}) {
        const Workload workload({.wire = GetParam(), .mix = Mix::of_reads(reads)});
        BatchWriter writer(workload, 100, 3, 4);
        double gets = 0;
        for (int i = 0; i < 200; ++i) {
            for (const Seen& each : parse(GetParam(), writer.next(100))) {
                gets += each.verb == Verb::get ? 1 : 0;
            }
        }
        EXPECT_NEAR(gets / 20'000, reads, 0.015);
        if (reads == 0 || reads == 1) {
            EXPECT_EQ(gets, reads * 20'000);
        }
    }
}

TEST_P(EachWire, LoadWritesEachKeyOnce) {
    const Workload workload({.wire = GetParam(), .keys = 1005, .mix = Mix::of_reads(0.5)});
    BatchWriter writer(workload, 16, 0, 4);
    std::set<std::string> keys;
    std::size_t requests = 0;
    for (std::uint64_t first = 0; first < 1005; first += 16) {
        writer.next(16);  // a phase of reads and writes between must not show
        const std::size_t count = std::min<std::uint64_t>(16, 1005 - first);
        for (const Seen& each : parse(GetParam(), writer.load(first, count))) {
            EXPECT_EQ(each.verb, Verb::set);
            keys.insert(each.key);
            ++requests;
        }
    }
    EXPECT_EQ(requests, 1005);
    EXPECT_EQ(keys.size(), 1005);
    EXPECT_TRUE(keys.contains("key:000000001004"));
}

TEST(Workload, KeysCoverTheirRangeEvenly) {
    const Workload workload(
        {.wire = Wire::text, .keys = 10, .key_bytes = 1, .mix = Mix(Operation::get)});
    BatchWriter writer(workload, 100, 0, 4);
    std::map<std::string, int> counts;
    for (int i = 0; i < 100; ++i) {
        for (const Seen& each : parse(Wire::text, writer.next(100))) ++counts[each.key];
    }
    EXPECT_EQ(counts.size(), 10);
    for (const auto& [key, count] : counts) EXPECT_NEAR(count, 1000, 150) << key;
}

TEST(Workload, KeysHaveTheirWidthWhateverTheirNumber) {
    for (const std::uint64_t keys : {1ull, 10ull, 11ull, 99'999ull, 1'000'000'000'000ull}) {
        for (const std::size_t bytes : {std::size_t{key_digits(keys)}, std::size_t{40}}) {
            const Workload workload({.wire = Wire::resp, .keys = keys, .key_bytes = bytes});
            BatchWriter writer(workload, 4, 0, 4);
            for (const Seen& each : parse(Wire::resp, writer.load(keys - 1, 1))) {
                EXPECT_EQ(each.key.size(), bytes);
                EXPECT_TRUE(each.key.ends_with(std::to_string(keys - 1))) << each.key;
            }
        }
    }
}

TEST(Workload, DigitsOfTheLargestKey) {
    EXPECT_EQ(key_digits(1), 1);
    EXPECT_EQ(key_digits(10), 1);
    EXPECT_EQ(key_digits(11), 2);
    EXPECT_EQ(key_digits(1'000'000), 6);
    EXPECT_EQ(key_digits(1'000'001), 7);
}

/// The first batches that two writers send.
std::pair<std::string, std::string> two_streams(std::uint64_t seed_a, std::uint64_t stream_a,
                                                std::uint64_t seed_b, std::uint64_t stream_b) {
    const Workload a({.mix = Mix::of_reads(0.5), .seed = seed_a});
    const Workload b({.mix = Mix::of_reads(0.5), .seed = seed_b});
    BatchWriter writer_a(a, 50, stream_a, 4);
    BatchWriter writer_b(b, 50, stream_b, 4);
    return {std::string(writer_a.next(50)), std::string(writer_b.next(50))};
}

TEST(Workload, TheSeedDecidesWhatIsSent) {
    const auto same = two_streams(7, 1, 7, 1);
    EXPECT_EQ(same.first, same.second);
    const auto other_seed = two_streams(7, 1, 8, 1);
    EXPECT_NE(other_seed.first, other_seed.second);
    const auto other_connection = two_streams(7, 1, 7, 2);
    EXPECT_NE(other_connection.first, other_connection.second);
}

TEST_P(EachWire, RangesOfValuesAndMixesAreReadByTheServersParser) {
    const Workload workload({.wire = GetParam(),
                             .keys = 100,
                             .value_bytes = {5, 300},
                             .mix = *Mix::parse("get,set=2,del")});
    BatchWriter writer(workload, 50, 0, 1);
    std::map<Verb, int> verbs;
    std::set<std::size_t> lengths;
    for (int i = 0; i < 100; ++i) {
        for (const Seen& each : parse(GetParam(), writer.next(50))) {
            ++verbs[each.verb];
            EXPECT_EQ(each.key.size(), 16);
            if (each.verb == Verb::set) lengths.insert(each.value.size());
        }
    }
    EXPECT_NEAR(verbs[Verb::get], 1250, 200);
    EXPECT_NEAR(verbs[Verb::set], 2500, 200);
    EXPECT_NEAR(verbs[Verb::del], 1250, 200);
    EXPECT_EQ(*lengths.begin(), 5);
    EXPECT_EQ(*lengths.rbegin(), 300);
    EXPECT_GT(lengths.size(), 280);
}

TEST_P(EachWire, WhatIsIssuedIsWhatIsSent) {
    const Workload workload({.wire = GetParam(),
                             .keys = 100,
                             .value_bytes = {unique_bytes, 40},
                             .mix = *Mix::parse("get,set,del"),
                             .unique_values = true});
    std::set<std::string> values;
    std::size_t sets = 0;
    for (const std::uint64_t stream : {0u, 1u}) {
        BatchWriter writer(workload, 30, stream, 2);
        for (int i = 0; i < 20; ++i) {
            const std::vector<Seen> seen =
                parse(GetParam(), i % 2 == 0 ? writer.next(30) : writer.load(7, 30));
            ASSERT_EQ(writer.issued().size(), seen.size());
            for (std::size_t k = 0; k < seen.size(); ++k) {
                const Issued& issued = writer.issued()[k];
                EXPECT_EQ(issued.key, seen[k].key);
                EXPECT_EQ(issued.value, seen[k].value);
                if (seen[k].verb != Verb::set) continue;
                ++sets;
                values.insert(seen[k].value.substr(0, unique_bytes));
            }
        }
    }
    EXPECT_EQ(values.size(), sets);
}

TEST(Workload, CountersHaveKeysOfTheirOwn) {
    const Workload workload(
        {.wire = Wire::resp, .keys = 10, .key_bytes = 6, .mix = Mix(Operation::incr)});
    BatchWriter writer(workload, 1, 0, 1);
    const std::string sent(writer.next(1));
    EXPECT_TRUE(sent.starts_with("*2\r\n$4\r\nINCR\r\n$6\r\ncnt:0")) << sent;
}

}  // namespace
}  // namespace kv::bench
