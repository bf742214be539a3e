#include "proto/resp/resp_client.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "proto/base/prng.h"

namespace kv::resp {
namespace {

constexpr std::size_t reply_max = 64;

/// "[<a> nil :1]": the nodes as a tree.
std::string draw(std::span<const Node>& nodes) {
    const Node node = nodes.front();
    nodes = nodes.subspan(1);
    std::string mark;
    switch (node.kind) {
        case NodeKind::simple: return std::string("+").append(node.text);
        case NodeKind::error: return std::string("-").append(node.text);
        case NodeKind::integer: return std::string(":").append(std::to_string(node.integer));
        case NodeKind::bulk: return std::string("<").append(node.text).append(">");
        case NodeKind::nil: return "nil";
        case NodeKind::boolean: return node.integer == 1 ? "true" : "false";
        case NodeKind::real: return std::string(",").append(node.text);
        case NodeKind::big_number: return std::string("(").append(node.text);
        case NodeKind::verbatim: return std::string("=").append(node.text);
        case NodeKind::array: break;
        case NodeKind::map: mark = "%"; break;
        case NodeKind::set: mark = "~"; break;
        case NodeKind::push: mark = ">"; break;
        case NodeKind::attribute: mark = "|"; break;
    }
    std::string text = mark + "[";
    for (std::int64_t i = 0; i < node.integer; ++i)
        text.append(i > 0 ? " " : "").append(draw(nodes));
    return text + "]";
}

/// Feeds `wire` with a cut every `step` bytes, in exact blocks.
std::string decode(std::string_view wire, std::size_t first, std::size_t step) {
    ReplyDecoder decoder(reply_max);
    std::string text;
    std::size_t start = 0;
    for (std::size_t end = first;; end = std::min(end + step, wire.size())) {
        while (true) {
            const std::size_t size = end - start;
            std::unique_ptr<char[]> block(new char[size]);
            std::memcpy(block.get(), wire.data() + start, size);
            const DecodeResult result = decoder.next({block.get(), size});
            if (result.status == DecodeStatus::malformed) {
                return text + "malformed: " + std::string(decoder.problem());
            }
            if (result.status == DecodeStatus::need_more) {
                EXPECT_GT(result.needed, size);
                break;
            }
            EXPECT_GT(result.consumed, 0u);
            start += result.consumed;
            std::span<const Node> nodes = decoder.nodes();
            text += draw(nodes) + ";";
            EXPECT_TRUE(nodes.empty());
        }
        if (end == wire.size()) return start == wire.size() ? text : text + "...";
    }
}

struct Case {
    const char* name;
    std::string wire;
    std::string expected;
};
void PrintTo(const Case& row, std::ostream* out) {
    *out << row.name;
}

const Case cases[] = {
    {"scalars", "+OK\r\n-ERR x\r\n:-5\r\n$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n",
     "+OK;-ERR x;:-5;<a\r\n>;<>;nil;"},
    {"array", "*3\r\n$1\r\na\r\n$-1\r\n:1\r\n+OK\r\n", "[<a> nil :1];+OK;"},
    {"nested", "*2\r\n*2\r\n*0\r\n:1\r\n*1\r\n+x\r\n*-1\r\n", "[[[] :1] [+x]];nil;"},
    {"empty_texts", "+\r\n-\r\n", "+;-;"},
    {"resp3_scalars", "_\r\n#t\r\n#f\r\n,1.5e-3\r\n,-inf\r\n,nan\r\n(-12345678901234567890\r\n",
     "nil;true;false;,1.5e-3;,-inf;,nan;(-12345678901234567890;"},
    {"resp3_texts", "!7\r\nERR a\r\n\r\n=6\r\ntxt:hi\r\n=4\r\nmkd:\r\n", "-ERR a\r\n;=hi;=;"},
    {"map", "%2\r\n+a\r\n:1\r\n$1\r\nb\r\n*1\r\n#t\r\n:2\r\n", "%[+a :1 <b> [true]];:2;"},
    {"empty_ones", "%0\r\n~0\r\n>0\r\n", "%[];~[];>[];"},
    {"set_and_push", "~2\r\n:1\r\n:2\r\n>1\r\n+x\r\n", "~[:1 :2];>[+x];"},
    {"attribute", "|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n:3\r\n", "|[+ttl :9 <v>];:3;"},
    {"attribute_of_an_element", "*2\r\n|1\r\n+a\r\n:1\r\n:5\r\n:6\r\n", "[|[+a :1 :5] :6];"},
    {"null", "_x\r\n", "malformed: a null is not empty"},
    {"boolean", "#1\r\n", "malformed: not a boolean"},
    {"real", ",1.x\r\n", "malformed: not a double"},
    {"real_empty", ",\r\n", "malformed: not a double"},
    {"big_number", "(12a\r\n", "malformed: not a big number"},
    {"big_number_empty", "(-\r\n", "malformed: not a big number"},
    {"verbatim_short", "=3\r\ntxt\r\n", "malformed: a verbatim string has no format"},
    {"verbatim_null", "=-1\r\n", "malformed: invalid bulk length"},
    {"streamed", "$?\r\n", "malformed: invalid bulk length"},
    {"map_null", "%-1\r\n", "malformed: invalid array length"},
    {"map_beyond", "%4611686018427387904\r\n", "malformed: invalid array length"},
    {"incomplete", "*2\r\n:1\r\n", "..."},
    {"unknown_kind", ":1\r\nx\r\n", ":1;malformed: unknown kind of value"},
    {"no_cr", "+OK\n", "malformed: a line does not end in CRLF"},
    {"bare_line", "\r\n", "malformed: a line does not end in CRLF"},
    {"integer", ":1x\r\n", "malformed: not an integer"},
    {"integer_empty", ":\r\n", "malformed: not an integer"},
    {"bulk_length", "$-2\r\n", "malformed: invalid bulk length"},
    {"bulk_4_gib", "$4294967296\r\n", "malformed: reply is too long"},
    {"bulk_end", "$1\r\nabc", "malformed: a bulk string is not followed by CRLF"},
    {"array_length", "*-2\r\n", "malformed: invalid array length"},
    {"too_long",
     "*9\r\n$28\r\n0123456789012345678901234567\r\n$28\r\n0123456789012345678901234567\r\n",
     "malformed: reply is too long"},
};

class RespReplyDecode : public testing::TestWithParam<Case> {};
TEST_P(RespReplyDecode, SameResultAtEverySplit) {
    const Case& row = GetParam();
    for (std::size_t cut = 0; cut <= row.wire.size(); ++cut) {
        ASSERT_EQ(decode(row.wire, cut, row.wire.size()), row.expected) << "cut at byte " << cut;
    }
    EXPECT_EQ(decode(row.wire, 1, 1), row.expected) << "byte by byte";
}
INSTANTIATE_TEST_SUITE_P(Table, RespReplyDecode, testing::ValuesIn(cases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(RespReplyDecoder, NestingIsBounded) {
    std::string wire;
    for (std::size_t i = 0; i < reply_depth_max; ++i) wire += "*1\r\n";
    ReplyDecoder fits;
    EXPECT_EQ(fits.next(wire + ":1\r\n").status, DecodeStatus::reply);
    ReplyDecoder too_deep;
    EXPECT_EQ(too_deep.next("*1\r\n" + wire).status, DecodeStatus::malformed);
    EXPECT_EQ(too_deep.problem(), "arrays are nested too deeply");
}

TEST(RespReplyDecoder, AnAnnouncedCountAllocatesNothing) {
    ReplyDecoder decoder;
    EXPECT_EQ(decoder.next("*9223372036854775807\r\n").status, DecodeStatus::need_more);
}

TEST(RespReplyDecoder, ALongReplyInPiecesCostsLinearTime) {
    std::string wire = "*200000\r\n";
    for (int i = 0; i < 200'000; ++i) wire += "$1\r\nk\r\n";
    ReplyDecoder decoder;
    for (std::size_t size = 0; size < wire.size(); ++size) {
        ASSERT_EQ(decoder.next(std::string_view(wire).substr(0, size)).status,
                  DecodeStatus::need_more);
    }
    ASSERT_EQ(decoder.next(wire).status, DecodeStatus::reply);
    ASSERT_EQ(decoder.nodes().size(), 200'001u);
    EXPECT_EQ(decoder.nodes().back().text, "k");
}

TEST(RespReplyDecoder, GarbageEnds) {
    Prng prng(5);
    const std::string_view words[] = {
        "*",           "$", "+", "-", ":", "\r\n", "1",      "2", "-1", "x",     "*2\r\n",
        "$1\r\nk\r\n", "%", "|", "~", ">", "=",    "#t\r\n", ",", "(",  "_\r\n", "!"};
    for (int round = 0; round < 5000; ++round) {
        std::string wire;
        const std::uint64_t count = prng.below(30);
        for (std::uint64_t i = 0; i < count; ++i) wire += words[prng.below(std::size(words))];
        ASSERT_EQ(decode(wire, 0, 1 + prng.below(8)), decode(wire, wire.size(), 1)) << wire;
    }
}

}  // namespace
}  // namespace kv::resp
