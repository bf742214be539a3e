#include "bin/client/request.h"

#include <gtest/gtest.h>

#include "proto/binary/binary_codec.h"
#include "proto/command_table.h"
#include "proto/resp/resp_client.h"
#include "proto/resp/resp_codec.h"

namespace kv::client {
namespace {

/// What the server's parser makes of `bytes`, in one line: verb number and the arguments; "plain"
/// or "extended" in front for binary.
template <typename Parser>
std::string parsed(const std::string& bytes) {
    const RequestLimits limits;
    Parser parser(limits);
    Request request;
    const ParseResult result = parser.next(bytes, request);
    if (result.status != ParseStatus::request || result.consumed != bytes.size()) return "broken";
    if (request.verb == Verb::invalid) return "refused: " + request.error_text;
    std::string out = request.protocol == Protocol::binary_extended ? "extended " : "";
    out += std::to_string(static_cast<int>(request.verb));
    for (const std::string_view arg : request.args) out.append(" [").append(arg).append("]");
    return out;
}

std::string verb(Verb number) {
    return std::to_string(static_cast<int>(number));
}

std::string binary_line(std::string_view line) {
    const auto bytes = encode_line(Mode::binary, line, 5);
    return bytes ? parsed<binary::BinaryParser>(*bytes) : "error: " + bytes.error().text();
}

/// The words that a RESP server sees.
std::string resp_line(std::string_view line) {
    const auto bytes = encode_line(Mode::resp, line, 5);
    if (!bytes) return "error: " + bytes.error().text();
    resp::ReplyDecoder words;
    if (words.next(*bytes).status != DecodeStatus::reply) return "broken";
    std::string out;
    for (const resp::Node& word : words.nodes().subspan(1)) {
        out.append(out.empty() ? "[" : " [").append(word.text).append("]");
    }
    return out;
}

TEST(EncodeLine, TextIsSentAsTyped) {
    EXPECT_EQ(encode_line(Mode::text, "SET k a  b ", 1), "SET k a  b \n");
    EXPECT_EQ(encode_line(Mode::text, "nonsense", 1), "nonsense\n");
}

TEST(EncodeLine, BinaryReadsTextCommands) {
    EXPECT_EQ(binary_line("PING"), verb(Verb::ping));
    EXPECT_EQ(binary_line("KEYS"), verb(Verb::keys));
    EXPECT_EQ(binary_line("GET k"), verb(Verb::get) + " [k]");
    EXPECT_EQ(binary_line("DEL k"), verb(Verb::del) + " [k]");
    EXPECT_EQ(binary_line("SET k hello \"big\"  world "),
              verb(Verb::set) + " [k] [hello \"big\"  world ]");
}

TEST(EncodeLine, BinaryUsesExtendedFramesForTheRest) {
    EXPECT_EQ(binary_line("ADDSERVER 4 node4 7004 6382"),
              "extended " + verb(Verb::add_server) + " [4] [node4] [7004] [6382]");
    EXPECT_EQ(binary_line("REMOVESERVER 4"), "extended " + verb(Verb::remove_server) + " [4]");
    EXPECT_EQ(binary_line("MGET a b"), "extended " + verb(Verb::mget) + " [a] [b]");
    EXPECT_EQ(binary_line("DBSIZE"), "extended " + verb(Verb::dbsize));
}

TEST(EncodeLine, BinaryRefusesInTheWordsOfTheTextProtocol) {
    EXPECT_EQ(binary_line("GET"), "error: GET requires a key");
    EXPECT_EQ(binary_line("SET k"), "error: SET requires a value");
    EXPECT_EQ(binary_line("get k"), verb(Verb::get) + " [k]");
    EXPECT_EQ(binary_line("FOO bar"), "error: unknown command: FOO");
    EXPECT_EQ(binary_line("ADDSERVER 0 h 1 2"), "error: ADDSERVER: invalid node id");
}

TEST(EncodeLine, RespSplitsLikeRedisCli) {
    EXPECT_EQ(resp_line("get foo"), "[get] [foo]");
    EXPECT_EQ(resp_line("  LRANGE  l 0   -1 "), "[LRANGE] [l] [0] [-1]");
    EXPECT_EQ(resp_line("SET k \"a b\\x41\""), "[SET] [k] [a bA]");
    EXPECT_EQ(resp_line("SET k 'it''"), "error: Invalid argument(s): unbalanced quotes");
}

TEST(EncodeLine, RespAsksForAllKeysWhenNoPatternIsTyped) {
    EXPECT_EQ(resp_line("KEYS"), "[KEYS] [*]");
    EXPECT_EQ(resp_line("KEYS a*"), "[KEYS] [a*]");
    EXPECT_EQ(encode_words(Mode::resp, std::vector<std::string_view>{"KEYS"}, 1),
              *encode_line(Mode::resp, "KEYS *", 1));
}

TEST(EncodeLine, RespTakesTheRestOfASetAsItsValue) {
    EXPECT_EQ(resp_line("SET k hello big  world"), "[SET] [k] [hello big  world]");
    EXPECT_EQ(resp_line("SET k v EX 10"), "[SET] [k] [v] [EX] [10]");
    EXPECT_EQ(resp_line("SET k v nx"), "[SET] [k] [v] [nx]");
    EXPECT_EQ(resp_line("SET k v IFEQ old"), "[SET] [k] [v] [IFEQ] [old]");
    EXPECT_EQ(resp_line("SET k v ifrev 7 GET"), "[SET] [k] [v] [ifrev] [7] [GET]");
    EXPECT_EQ(resp_line("set k hello world"), "[set] [k] [hello] [world]");
    EXPECT_EQ(resp_line("SET k \"hello\" world"), "[SET] [k] [hello] [world]");
}

/// An option that kv-cli does not know would become part of the value.
TEST(EncodeLine, RespKnowsEveryOptionThatTheServersSetHas) {
    const CommandRow* const set = find_command("set");
    ASSERT_NE(set, nullptr);
    const std::string_view arguments = set->arguments;
    std::size_t options = 0;
    for (std::size_t at = arguments.find('='); at != arguments.npos;
         at = arguments.find('=', at + 1)) {
        const std::size_t end = std::min(arguments.find_first_of(" @]?", at), arguments.size());
        const std::string option(arguments.substr(at + 1, end - at - 1));
        EXPECT_EQ(resp_line("SET k v " + option), "[SET] [k] [v] [" + option + "]");
        ++options;
    }
    EXPECT_GE(options, 6);
}

Result<std::string> words(Mode mode, std::vector<std::string_view> each) {
    return encode_words(mode, each, 5);
}

TEST(EncodeWords, TextJoinsThemOrSaysWhyNot) {
    EXPECT_EQ(words(Mode::text, {"SET", "k", "hello world"}), "SET k hello world\n");
    EXPECT_EQ(words(Mode::text, {"SET", "k", "hello", "world"}), "SET k hello world\n");
    EXPECT_FALSE(words(Mode::text, {"GET", "a b"}).has_value());
    EXPECT_FALSE(words(Mode::text, {"SET", "k", "two\nlines"}).has_value());
}

TEST(EncodeWords, BinaryKeepsSpacesInsideWords) {
    EXPECT_EQ(parsed<binary::BinaryParser>(*words(Mode::binary, {"GET", "a b"})),
              verb(Verb::get) + " [a b]");
    EXPECT_EQ(parsed<binary::BinaryParser>(*words(Mode::binary, {"SET", "a b", "x", "y"})),
              verb(Verb::set) + " [a b] [x y]");
    EXPECT_EQ(parsed<binary::BinaryParser>(*words(Mode::binary, {"SET", "k", ""})),
              verb(Verb::set) + " [k] []");
    EXPECT_EQ(parsed<binary::BinaryParser>(*words(Mode::binary, {"KEYS"})), verb(Verb::keys));
    EXPECT_EQ(parsed<binary::BinaryParser>(*words(Mode::binary, {"KEYS", "a*"})),
              "extended " + verb(Verb::keys) + " [a*]");
    EXPECT_FALSE(words(Mode::binary, {"FOO"}).has_value());
}

TEST(EncodeWords, ACommandAfterWhichNothingIsAnsweredIsRefused) {
    for (const Mode mode : {Mode::resp, Mode::binary}) {
        for (const char* what : {"OFF", "skip"}) {
            EXPECT_FALSE(words(mode, {"CLIENT", "reply", what}).has_value()) << what;
            EXPECT_FALSE(encode_line(mode, std::string("client REPLY ") + what, 1)) << what;
        }
        EXPECT_TRUE(words(mode, {"CLIENT", "REPLY", "ON"}).has_value());
    }
}

TEST(EncodeWords, RespSendsThemAsTheyAre) {
    EXPECT_EQ(words(Mode::resp, {"SET", "k", "a b"}),
              "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na b\r\n");
}

}  // namespace
}  // namespace kv::client
