#include "bin/kv-cli/json.h"

#include <gtest/gtest.h>

#include "bin/kv-cli/render.h"

namespace kv::cli {
namespace {

using client::Mode;
using namespace std::string_view_literals;

std::string json_of(Mode mode, std::string_view bytes) {
    client::ReplyReader reader(mode);
    reader.append(bytes);
    const auto reply = reader.next();
    if (!reply || !*reply) return "broken";
    const std::string line = render(**reply, Style::json);
    EXPECT_TRUE(line.ends_with('\n'));
    EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line";
    return line.substr(0, line.size() - 1);
}

TEST(Json, EveryKindOfRespReply) {
    const std::pair<std::string_view, const char*> rows[] = {
        {"+OK\r\n", R"("OK")"},
        {"$-1\r\n", "null"},
        {"_\r\n", "null"},
        {":-7\r\n", "-7"},
        {"#t\r\n", "true"},
        {"#f\r\n", "false"},
        {",3.25\r\n", "3.25"},
        {",-1e-9\r\n", "-1e-9"},
        {",inf\r\n", R"("inf")"},
        {",-inf\r\n", R"("-inf")"},
        {",nan\r\n", R"("nan")"},
        {",.5\r\n", R"(".5")"},
        {"(123456789012345678901234567890\r\n", "123456789012345678901234567890"},
        {"(-007\r\n", "-7"},
        {"(+1\r\n", "1"},
        {"=6\r\ntxt:hi\r\n", R"("hi")"},
        {"-ERR no \"quotes\"\r\n", R"({"error":"ERR no \"quotes\""})"},
        {"!5\r\nERR x\r\n", R"({"error":"ERR x"})"},
        {"*0\r\n", "[]"},
        {"*3\r\n:1\r\n*1\r\n+x\r\n$-1\r\n", R"([1,["x"],null])"},
        {"~2\r\n:1\r\n:2\r\n", "[1,2]"},
        {">2\r\n+invalidate\r\n*1\r\n+k\r\n", R"({"push":["invalidate",["k"]]})"},
        {"%0\r\n", "{}"},
        {"%2\r\n+a\r\n:1\r\n:2\r\n%1\r\n+b\r\n_\r\n", R"({"a":1,"2":{"b":null}})"},
        {"|1\r\n+ttl\r\n:9\r\n+v\r\n", R"({"attributes":{"ttl":9},"value":"v"})"},
    };
    for (const auto& [bytes, expected] : rows) EXPECT_EQ(json_of(Mode::resp, bytes), expected);
}

TEST(Json, BytesThatAreNoTextAreKept) {
    EXPECT_EQ(json_of(Mode::resp, "$2\r\n\0\xff\r\n"sv), R"({"base64":"AP8="})");
    EXPECT_EQ(json_of(Mode::resp, "$1\r\n\xff\r\n"sv), R"({"base64":"/w=="})");
    EXPECT_EQ(json_of(Mode::resp, "$3\r\n\xff\xfe\xfd\r\n"sv), R"({"base64":"//79"})");
    EXPECT_EQ(json_of(Mode::resp, "$4\r\n\0\x01\n\x7f\r\n"sv), R"("\u0000\u0001\n\u007f")");
    EXPECT_EQ(json_of(Mode::resp, "$4\r\n\xc3\xa4\\\"\r\n"sv), "\"\xc3\xa4\\\\\\\"\"");
}

TEST(Json, AMapThatIsNoObjectIsPairs) {
    EXPECT_EQ(json_of(Mode::resp, "%1\r\n$1\r\n\xff\r\n:1\r\n"),
              R"({"pairs":[[{"base64":"/w=="},1]]})");
    EXPECT_EQ(json_of(Mode::resp, "%1\r\n*1\r\n:1\r\n:2\r\n"), R"({"pairs":[[[1],2]]})");
    EXPECT_EQ(json_of(Mode::resp, "%2\r\n+a\r\n:1\r\n+a\r\n:2\r\n"),
              R"({"pairs":[["a",1],["a",2]]})");
}

TEST(Json, TheOtherProtocols) {
    EXPECT_EQ(json_of(Mode::text, "OK\n"), R"("OK")");
    EXPECT_EQ(json_of(Mode::text, "VALUE a b\n"), R"("a b")");
    EXPECT_EQ(json_of(Mode::text, "NOT_FOUND\n"), "null");
    EXPECT_EQ(json_of(Mode::text, "KEYS a b\n"), R"(["a","b"])");
    EXPECT_EQ(json_of(Mode::text, "ERROR no\n"), R"({"error":"no"})");
    EXPECT_EQ(json_of(Mode::binary, "\x20\0\0\0\5\0\3h:1"sv), R"({"error":"REDIRECT h:1"})");
    EXPECT_EQ(json_of(Mode::binary, "\x03\0\0\0\0"sv), R"("DELETED")");
}

TEST(Json, WellFormedUtf8) {
    for (const std::string_view good :
         {""sv, "a\0b"sv, "\xc2\x80"sv, "\xdf\xbf"sv, "\xe0\xa0\x80"sv, "\xef\xbf\xbf"sv,
          "\xf0\x90\x80\x80"sv, "\xf4\x8f\xbf\xbf"sv, "\xed\x9f\xbf"sv}) {
        EXPECT_TRUE(is_utf8(good)) << quote(good);
    }
    for (const std::string_view bad :
         {"\x80"sv, "\xc3"sv, "\xc0\x80"sv, "\xc1\xbf"sv, "\xe0\x9f\xbf"sv, "\xed\xa0\x80"sv,
          "\xf0\x8f\xbf\xbf"sv, "\xf4\x90\x80\x80"sv, "\xf8\x88\x80\x80\x80"sv, "\xe2\x82"sv,
          "\xe2\x28\xa1"sv, "\xff"sv}) {
        EXPECT_FALSE(is_utf8(bad)) << quote(bad);
    }
}

}  // namespace
}  // namespace kv::cli
