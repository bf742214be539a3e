#include "proto/reply.h"

#include <gtest/gtest.h>

#include <functional>

#include "proto/binary/binary_client.h"
#include "proto/resp/resp_client.h"

namespace kv {
namespace {

using Write = std::function<void(ReplyWriter&)>;

std::string written(Protocol protocol, const Write& write) {
    std::string out = "before ";
    ReplyWriter writer(protocol, 7, out);
    write(writer);
    EXPECT_TRUE(out.starts_with("before ")) << "a reply goes behind what is there";
    return out.substr(7);
}

/// An extended reply in words.
std::string extended(const Write& write) {
    const std::string wire = written(Protocol::binary_extended, write);
    binary::Reply reply;
    const DecodeResult result = binary::decode_reply(wire, reply);
    EXPECT_EQ(result.status, DecodeStatus::reply) << reply.problem;
    EXPECT_EQ(result.consumed, wire.size());
    EXPECT_EQ(reply.request_id, 7u);
    std::string text;
    switch (reply.kind) {
        case binary::Kind::ok: text = "ok"; break;
        case binary::Kind::value: text = "value " + std::string(reply.text); break;
        case binary::Kind::absent: text = "absent"; break;
        case binary::Kind::integer: text = "integer " + std::to_string(reply.integer); break;
        case binary::Kind::array:
            text = "array";
            for (const auto& item : reply.items) {
                text += item ? " <" + std::string(*item) + ">" : " absent";
            }
            break;
        case binary::Kind::error:
            text =
                "error " + std::string(name(reply.error.value())) + " " + std::string(reply.text);
            break;
        case binary::Kind::redirect:
            text = "redirect " + std::to_string(reply.slot) + " " + std::string(reply.text);
            break;
    }
    return text;
}

const std::string cannot = "this protocol has no such reply: use RESP or the extended frame";
const std::string_view two[] = {"b", "a"};
const std::optional<std::string_view> some[] = {"v", std::nullopt, ""};

std::string binary_error(const std::string& text) {
    std::string out;
    binary::append_error(out, text);
    return out;
}

struct Row {
    const char* name;
    Write write;
    std::string text;
    std::string binary;
    std::string extended;
    std::string resp;
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

const Row rows[] = {
    {"ok", [](ReplyWriter& w) { w.ok(); }, "OK\n", std::string("\0\0\0\0\0", 5), "ok", "+OK\r\n"},
    {"pong", [](ReplyWriter& w) { w.pong(); }, "PONG\n", std::string("\5\0\0\0\0", 5), "ok",
     "+PONG\r\n"},
    {"pong_message", [](ReplyWriter& w) { w.pong("m"); }, "PONG\n", std::string("\5\0\0\0\0", 5),
     "value m", "$1\r\nm\r\n"},
    {"value", [](ReplyWriter& w) { w.value("v"); }, "VALUE v\n",
     std::string("\1\0\0\0\5\0\0\0\1v", 10), "value v", "$1\r\nv\r\n"},
    {"value_empty", [](ReplyWriter& w) { w.value(""); },
     "ERROR the value is empty, which the text protocol cannot carry: use the binary protocol or "
     "RESP\n",
     std::string("\1\0\0\0\4\0\0\0\0", 9), "value ", "$0\r\n\r\n"},
    {"value_line_end", [](ReplyWriter& w) { w.value("a\nb"); },
     "ERROR the value holds a line end, which the text protocol cannot carry: use the binary "
     "protocol or RESP\n",
     std::string("\1\0\0\0\7\0\0\0\3a\nb", 12), "value a\nb", "$3\r\na\nb\r\n"},
    {"absent", [](ReplyWriter& w) { w.absent(); }, "NOT_FOUND\n", std::string("\2\0\0\0\0", 5),
     "absent", "$-1\r\n"},
    {"deleted_none", [](ReplyWriter& w) { w.deleted(0); }, "NOT_FOUND\n",
     std::string("\2\0\0\0\0", 5), "integer 0", ":0\r\n"},
    {"deleted_two", [](ReplyWriter& w) { w.deleted(2); }, "DELETED\n", std::string("\3\0\0\0\0", 5),
     "integer 2", ":2\r\n"},
    {"integer", [](ReplyWriter& w) { w.integer(-12); }, "VALUE -12\n",
     std::string("\1\0\0\0\7\0\0\0\3-12", 12), "integer -12", ":-12\r\n"},
    {"bulk", [](ReplyWriter& w) { w.bulk("m"); }, "VALUE m\n",
     std::string("\1\0\0\0\5\0\0\0\1m", 10), "value m", "$1\r\nm\r\n"},
    {"values", [](ReplyWriter& w) { w.values(some); }, "ERROR " + cannot + "\n",
     binary_error(cannot), "array <v> absent <>", "*3\r\n$1\r\nv\r\n$-1\r\n$0\r\n\r\n"},
    {"keys", [](ReplyWriter& w) { w.keys(two); }, "KEYS a b\n",
     std::string("\4\0\0\0\12\0\0\0\2\0\1b\0\1a", 15), "array <b> <a>",
     "*2\r\n$1\r\nb\r\n$1\r\na\r\n"},
    {"strings", [](ReplyWriter& w) { w.strings(two); }, "ERROR " + cannot + "\n",
     binary_error(cannot), "array <b> <a>", "*2\r\n$1\r\nb\r\n$1\r\na\r\n"},
    {"empty_array", [](ReplyWriter& w) { w.empty_array(); }, "KEYS\n",
     std::string("\4\0\0\0\4\0\0\0\0", 9), "array", "*0\r\n"},
    {"error", [](ReplyWriter& w) { w.error(Errc::syntax, "bad"); }, "ERROR bad\n",
     std::string("\20\0\0\0\5\0\3bad", 10), "error syntax bad", "-ERR bad\r\n"},
    {"error_forged", [](ReplyWriter& w) { w.error(Errc::syntax, "a\r\nOK"); }, "ERROR a  OK\n",
     std::string("\20\0\0\0\7\0\5a\r\nOK", 12), "error syntax a\r\nOK", "-ERR a  OK\r\n"},
    {"error_sentence", [](ReplyWriter& w) { w.error(Errc::commit_timeout); },
     "ERROR commit timed out, outcome unknown\n", binary_error("commit timed out, outcome unknown"),
     "error commit_timeout commit timed out, outcome unknown",
     "-TIMEOUT commit timed out, outcome unknown\r\n"},
    {"redirect", [](ReplyWriter& w) { w.redirect(12182, "10.0.0.1:6379"); },
     "REDIRECT 10.0.0.1:6379\n", std::string("\40\0\0\0\17\0\15", 7) + "10.0.0.1:6379",
     "redirect 12182 10.0.0.1:6379", "-MOVED 12182 10.0.0.1:6379\r\n"},
};

class Reply : public testing::TestWithParam<Row> {};
TEST_P(Reply, IsWhatEachProtocolSays) {
    const Row& row = GetParam();
    EXPECT_EQ(written(Protocol::text, row.write), row.text);
    EXPECT_EQ(written(Protocol::binary, row.write), row.binary);
    EXPECT_EQ(extended(row.write), row.extended);
    const std::string resp = written(Protocol::resp, row.write);
    EXPECT_EQ(resp, row.resp);
}
INSTANTIATE_TEST_SUITE_P(Table, Reply, testing::ValuesIn(rows),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_P(Reply, IsOneWholeReplyToAClient) {
    const Row& row = GetParam();
    EXPECT_EQ(std::count(row.text.begin(), row.text.end(), '\n'), 1);
    binary::Reply reply;
    EXPECT_EQ(binary::decode_reply(row.binary, reply).consumed, row.binary.size());
    resp::ReplyDecoder decoder;
    EXPECT_EQ(decoder.next(row.resp).consumed, row.resp.size());
}

TEST(ReplyWriter, AKeyThatABinaryFrameCannotHoldIsAnErrorNotABrokenFrame) {
    const std::string key(65536, 'k');
    const std::string_view keys[] = {key};
    EXPECT_EQ(written(Protocol::binary, [&](ReplyWriter& w) { w.keys(keys); }),
              binary_error(std::string(sentence(Errc::too_large))));
}

TEST(ReplyWriter, HotRepliesAllocateNothingWhenThereIsRoom) {
    for (const Protocol protocol :
         {Protocol::text, Protocol::binary, Protocol::binary_extended, Protocol::resp}) {
        std::string out;
        out.reserve(4096);
        const char* const place = out.data();
        ReplyWriter writer(protocol, 1, out);
        for (int i = 0; i < 10; ++i) {
            writer.ok();
            writer.value(std::string_view("value"));
            writer.absent();
            writer.deleted(1);
        }
        EXPECT_EQ(out.data(), place);
    }
}

}  // namespace
}  // namespace kv
