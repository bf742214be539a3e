#include "bin/kv-bench/reply_counter.h"

#include <gtest/gtest.h>

#include <memory>

#include "proto/binary/binary_codec.h"

namespace kv::bench {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using Kinds = std::vector<std::pair<std::string, std::uint64_t>>;

struct Expected {
    std::size_t replies = 0;
    std::uint64_t not_found = 0;
    Kinds errors;
    bool broken = false;
    bool operator==(const Expected&) const = default;
};

void PrintTo(const Expected& e, std::ostream* out) {
    *out << e.replies << " replies, " << e.not_found << " not found, broken " << e.broken;
    for (const auto& [kind, count] : e.errors) *out << ", " << count << " x '" << kind << "'";
}

struct Case {
    const char* name;
    Wire wire;
    std::string bytes;
    Expected expected;
};

std::string frame(unsigned char status, std::string_view payload = {}) {
    std::string out(1, static_cast<char>(status));
    char length[4];
    store_be(length, static_cast<std::uint32_t>(payload.size()));
    return out.append(length, 4).append(payload);
}
std::string text_frame(unsigned char status, std::string_view text) {
    char length[2];
    store_be(length, static_cast<std::uint16_t>(text.size()));
    return frame(status, std::string(length, 2).append(text));
}
const std::string long_text(300, 'x');

const Case cases[] = {
    {"binary_ok", Wire::binary, frame(0) + frame(0), {2, 0, {}, false}},
    {"binary_values",
     Wire::binary,
     frame(1, "\0\0\0\5hello"sv) + frame(2) + frame(1, "\0\0\0\0"sv) + frame(0),
     {4, 1, {}, false}},
    {"binary_others",
     Wire::binary,
     frame(3) + frame(4, "\0\0\0\0"sv) + frame(5),
     {3, 0, {}, false}},
    {"binary_errors",
     Wire::binary,
     text_frame(0x10, "no leader available") + text_frame(0x20, "10.0.0.1:6379") +
         text_frame(0x10, "no leader available") + frame(0),
     {4, 0, {{"no leader available", 2}, {"REDIRECT", 1}}, false}},
    {"binary_long_error",
     Wire::binary,
     text_frame(0x10, long_text) + frame(0),
     {2, 0, {{long_text.substr(0, Prefix::kept_max - 2), 1}}, false}},
    {"binary_unknown_status", Wire::binary, frame(0) + "HTTP/1.1", {1, 0, {}, true}},
    {"binary_too_long", Wire::binary, "\1\xff\xff\xff\xff"s, {0, 0, {}, true}},
    {"resp_ok", Wire::resp, "+OK\r\n+OK\r\n:1\r\n", {3, 0, {}, false}},
    {"resp_values",
     Wire::resp,
     "$5\r\nhello\r\n$-1\r\n$0\r\n\r\n$4\r\n\r\n\r\n\r\n_\r\n",
     {5, 2, {}, false}},
    {"resp_long_value",
     Wire::resp,
     "$300\r\n" + long_text + "\r\n+" + long_text + "\r\n",
     {2, 0, {}, false}},
    {"resp_errors",
     Wire::resp,
     "-MOVED 7 a:1\r\n-MOVED 8 b:2\r\n-ERR no such thing\r\n-LOADING\r\n+OK\r\n",
     {5, 0, {{"MOVED", 2}, {"ERR no such thing", 1}, {"LOADING", 1}}, false}},
    {"resp_nested",
     Wire::resp,
     "*3\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n+b\r\n*0\r\n*-1\r\n%1\r\n+k\r\n+v\r\n",
     {4, 1, {}, false}},
    {"resp_not_a_type", Wire::resp, "+OK\r\nOK\r\n+OK\r\n", {1, 0, {}, true}},
    {"resp_bad_length", Wire::resp, "$5x\r\nhello\r\n", {0, 0, {}, true}},
    {"resp_negative_length", Wire::resp, "$-2\r\n", {0, 0, {}, true}},
    {"resp_length_overflow", Wire::resp, "$99999999999999999999\r\n", {0, 0, {}, true}},
    {"resp_huge_length", Wire::resp, "*999999999999\r\n", {0, 0, {}, true}},
    {"resp_empty_line", Wire::resp, "\r\n", {0, 0, {}, true}},
    {"text_ok", Wire::text, "OK\nPONG\nDELETED\nKEYS\nKEYS a b\n", {5, 0, {}, false}},
    {"text_values",
     Wire::text,
     "VALUE hello\nNOT_FOUND\nVALUE " + long_text + "\nOK\n",
     {4, 1, {}, false}},
    {"text_errors",
     Wire::text,
     "ERROR no leader available\nREDIRECT h:1\nREDIRECT h:2\n",
     {3, 0, {{"no leader available", 1}, {"REDIRECT", 2}}, false}},
    {"text_garbage", Wire::text, "OK\n-ERR\r\nOK\n", {1, 0, {}, true}},
};

/// Counts `pieces` in turn; each is in a block of its own size, so that ASan sees over-reads.
Expected count(Wire wire, const std::vector<std::string_view>& pieces) {
    ReplyCounter counter(wire);
    ReplyCounts counts;
    Expected got;
    for (const std::string_view piece : pieces) {
        const auto block = std::make_unique<char[]>(piece.size());
        piece.copy(block.get(), piece.size());
        got.replies += counter.feed({block.get(), piece.size()}, counts);
    }
    EXPECT_EQ(got.replies, counts.replies);
    got.not_found = counts.not_found;
    for (const auto& kind : counts.errors.kinds()) got.errors.emplace_back(kind.name, kind.count);
    got.broken = counter.broken();
    return got;
}

class ReplyCounterCases : public testing::TestWithParam<Case> {};

TEST_P(ReplyCounterCases, CountsWhatIsThere) {
    EXPECT_EQ(count(GetParam().wire, {GetParam().bytes}), GetParam().expected);
}

TEST_P(ReplyCounterCases, SameResultAtEverySplit) {
    const std::string_view bytes = GetParam().bytes;
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        EXPECT_EQ(count(GetParam().wire, {bytes.substr(0, cut), bytes.substr(cut)}),
                  GetParam().expected)
            << "cut at byte " << cut;
    }
}

TEST_P(ReplyCounterCases, SameResultByteByByte) {
    const std::string_view bytes = GetParam().bytes;
    std::vector<std::string_view> pieces;
    for (std::size_t i = 0; i < bytes.size(); ++i) pieces.push_back(bytes.substr(i, 1));
    EXPECT_EQ(count(GetParam().wire, pieces), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(All, ReplyCounterCases, testing::ValuesIn(cases),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(ReplyCounter, ReadsWhatTheServersCodecWrites) {
    std::string bytes;
    binary::append_empty(bytes, binary::ReplyStatus::ok);
    binary::append_value(bytes, "hello");
    binary::append_empty(bytes, binary::ReplyStatus::not_found);
    EXPECT_EQ(count(Wire::binary, {bytes}), (Expected{3, 1, {}, false}));
}

TEST(ErrorKinds, KeepsTheFirstKindsAndAddsUpTheRest) {
    ErrorKinds kinds;
    for (int i = 0; i < 100; ++i) kinds.add("kind " + std::to_string(i));
    EXPECT_EQ(kinds.kinds().size(), ErrorKinds::kinds_max + 1);
    EXPECT_EQ(kinds.kinds().back().name, "other");
    EXPECT_EQ(kinds.kinds().back().count, 100 - ErrorKinds::kinds_max);
    EXPECT_EQ(kinds.total(), 100);
    ErrorKinds merged;
    merged.add("kind 3", "the first text", 4);
    merged.merge(kinds);
    EXPECT_EQ(merged.kinds().front().count, 5);
    EXPECT_EQ(merged.total(), 104);
    EXPECT_EQ(merged.kinds().front().first, "the first text");
}

}  // namespace
}  // namespace kv::bench
