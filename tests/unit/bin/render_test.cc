#include "bin/kv-cli/render.h"

#include <gtest/gtest.h>

namespace kv::cli {
namespace {

using client::Mode;
using client::Reply;

Reply read(Mode mode, std::string_view bytes) {
    client::ReplyReader reader(mode);
    reader.append(bytes);
    auto reply = reader.next();
    EXPECT_TRUE(reply.has_value() && reply->has_value()) << bytes;
    return reply && *reply ? **std::move(reply) : Reply{};
}

TEST(Render, TextRepliesPrintAsTheyCame) {
    for (const char* line : {"OK\n", "PONG\n", "DELETED\n", "NOT_FOUND\n", "VALUE hello  world\n",
                             "KEYS\n", "KEYS a b c\n", "ERROR no leader available\n",
                             "REDIRECT 10.0.0.1:6379\n", "SOMETHING new\n"}) {
        EXPECT_EQ(render(read(Mode::text, line), Style::text), line);
    }
}

TEST(Render, BinaryRepliesPrintInTheWordsOfTheTextProtocol) {
    using namespace std::string_view_literals;
    const std::pair<std::string_view, const char*> rows[] = {
        {"\x00\0\0\0\0"sv, "OK\n"},
        {"\x05\0\0\0\0"sv, "PONG\n"},
        {"\x03\0\0\0\0"sv, "DELETED\n"},
        {"\x02\0\0\0\0"sv, "NOT_FOUND\n"},
        {"\x01\0\0\0\x09\0\0\0\5hello"sv, "VALUE hello\n"},
        {"\x01\0\0\0\4\0\0\0\0"sv, "VALUE \n"},
        {"\x04\0\0\0\4\0\0\0\0"sv, "KEYS\n"},
        {"\x04\0\0\0\x0a\0\0\0\2\0\1b\0\1a"sv, "KEYS a b\n"},
        {"\x10\0\0\0\4\0\2no"sv, "ERROR no\n"},
        {"\x20\0\0\0\5\0\3h:1"sv, "REDIRECT h:1\n"},
    };
    for (const auto& [bytes, line] : rows) {
        EXPECT_EQ(render(read(Mode::binary, bytes), Style::text), line);
    }
}

struct Row {
    std::string_view bytes;
    const char* quoted;
    const char* raw;
};

TEST(Render, RespRepliesPrintLikeRedisCli) {
    const Row rows[] = {
        {"+OK\r\n", "OK\n", "OK\n"},
        {":-7\r\n", "(integer) -7\n", "-7\n"},
        {"$-1\r\n", "(nil)\n", "\n"},
        {"$0\r\n\r\n", "\"\"\n", "\n"},
        {"$5\r\na \"b\"\r\n", "\"a \\\"b\\\"\"\n", "a \"b\"\n"},
        {"$6\r\n\n\r\t\\\x01\xff\r\n", "\"\\n\\r\\t\\\\\\x01\\xff\"\n", "\n\r\t\\\x01\xff\n"},
        {"-ERR no\r\n", "(error) ERR no\n", "ERR no\n"},
        {"*0\r\n", "(empty array)\n", "\n"},
        {"*2\r\n$1\r\na\r\n:1\r\n", "1) \"a\"\n2) (integer) 1\n", "a\n1\n"},
        {"*2\r\n:1\r\n*2\r\n$1\r\na\r\n*1\r\n$-1\r\n",
         "1) (integer) 1\n2) 1) \"a\"\n   2) 1) (nil)\n", "1\na\n\n"},
        {"_\r\n", "(nil)\n", "\n"},
        {"#t\r\n", "(true)\n", "(true)\n"},
        {"#f\r\n", "(false)\n", "(false)\n"},
        {",1.5\r\n", "(double) 1.5\n", "1.5\n"},
        {"(12345678901234567890\r\n", "(big number) 12345678901234567890\n",
         "12345678901234567890\n"},
        {"=7\r\ntxt:a\nb\r\n", "a\nb\n", "a\nb\n"},
        {"%0\r\n", "(empty hash)\n", "\n"},
        {"~0\r\n", "(empty set)\n", "\n"},
        {"%2\r\n+a\r\n:1\r\n$1\r\nb\r\n*2\r\n:2\r\n:3\r\n",
         "1# a => (integer) 1\n2# \"b\" => 1) (integer) 2\n   2) (integer) 3\n", "a 1\nb 2\n3\n"},
        {"~2\r\n:1\r\n:2\r\n", "1~ (integer) 1\n2~ (integer) 2\n", "1\n2\n"},
        {">2\r\n+a\r\n:2\r\n", "1> a\n2> (integer) 2\n", "a\n2\n"},
        {"|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n", "1| ttl => (integer) 9\n\"v\"\n", "v\n"},
    };
    for (const Row& row : rows) {
        const Reply reply = read(Mode::resp, row.bytes);
        EXPECT_EQ(render(reply, Style::quoted), row.quoted);
        EXPECT_EQ(render(reply, Style::raw), row.raw);
    }
}

TEST(Render, NumbersOfALongArrayAreAligned) {
    Reply reply;
    reply.kind = client::ReplyKind::array;
    reply.items.resize(10);
    const std::string lines = render(reply, Style::quoted);
    EXPECT_TRUE(lines.starts_with(" 1) OK\n 2) OK\n")) << lines;
    EXPECT_TRUE(lines.ends_with("\n10) OK\n")) << lines;
}

TEST(Render, ErrorsAndRedirectsAreRefusals) {
    EXPECT_TRUE(read(Mode::text, "ERROR no\n").refused());
    EXPECT_TRUE(read(Mode::text, "REDIRECT h:1\n").refused());
    EXPECT_TRUE(read(Mode::resp, "-MOVED 1 h:1\r\n").refused());
    EXPECT_TRUE(read(Mode::resp, "|1\r\n+a\r\n:1\r\n-ERR no\r\n").refused());
    EXPECT_FALSE(read(Mode::text, "NOT_FOUND\n").refused());
    EXPECT_FALSE(read(Mode::resp, "$-1\r\n").refused());
}

TEST(Render, ReportsAreKnownByTheirCommand) {
    EXPECT_TRUE(answers_report("info"));
    EXPECT_TRUE(answers_report("INFO server"));
    EXPECT_TRUE(answers_report("cluster NODES"));
    EXPECT_FALSE(answers_report("GET info"));
    EXPECT_FALSE(answers_report("CLUSTER SLOTS"));
    EXPECT_FALSE(answers_report(""));
}

}  // namespace
}  // namespace kv::cli
