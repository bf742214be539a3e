#include "proto/text/text_codec.h"

#include "proto/base/prng.h"
#include "tests/unit/proto/feed.h"

namespace kv::text {
namespace {

constexpr RequestLimits small{.key_bytes_max = 8, .value_bytes_max = 16};

const std::string key_error = "!key_size key must have 1 to 65535 bytes";
const std::string value_error = "!value_size value is longer than limits.value_bytes_max";

const ParseCase cases[] = {
    {"ping", "PING\n", {"ping"}},
    {"ping_crlf", "PING\r\n", {"ping"}},
    {"only_one_cr_is_dropped", "PING\r\r\n", {"!unknown_command unknown command: PING\r"}},
    {"ping_argument", "PING x\n", {"!wrong_arity PING takes no arguments"}},
    {"set", "SET k v\n", {"set <k> <v>"}},
    {"set_value_with_spaces", "SET k  a b \n", {"set <k> < a b >"}},
    {"set_crlf", "SET k v\r\n", {"set <k> <v>"}},
    {"set_bare", "SET\n", {"!wrong_arity SET requires a key and a value"}},
    {"set_space", "SET \n", {"!wrong_arity SET requires a key and a value"}},
    {"set_empty_key", "SET  v\n", {"!key_size SET: key must not be empty after tokenisation"}},
    {"set_no_value", "SET k\n", {"!wrong_arity SET requires a value"}},
    {"set_empty_value", "SET k \n", {"!wrong_arity SET requires a value"}},
    {"get", "GET k\n", {"get <k>"}},
    {"get_trailing_space", "GET k \n", {"get <k>"}},
    {"get_bare", "GET\n", {"!wrong_arity GET requires a key"}},
    {"get_two", "GET a b\n", {"!wrong_arity GET takes exactly one argument"}},
    {"get_two_spaces", "GET  k\n", {"!wrong_arity GET takes exactly one argument"}},
    {"get_only_spaces", "GET  \n", {key_error}},
    {"del", "DEL k\n", {"del <k>"}},
    {"del_bare", "DEL\n", {"!wrong_arity DEL requires a key"}},
    {"del_two", "DEL a b\n", {"!wrong_arity DEL takes exactly one argument"}},
    {"keys", "KEYS\n", {"keys"}},
    {"keys_argument", "KEYS *\n", {"!wrong_arity KEYS takes no arguments"}},
    {"add_server", "ADDSERVER 4 h 7001 6379\n", {"addserver <4> <h> <7001> <6379>"}},
    {"add_server_bare",
     "ADDSERVER\n",
     {"!wrong_arity ADDSERVER requires: id host raft_port client_port"}},
    {"add_server_three",
     "ADDSERVER 4 h 7001\n",
     {"!wrong_arity ADDSERVER requires: id host raft_port client_port"}},
    {"add_server_five",
     "ADDSERVER 4 h 1 2 3\n",
     {"!wrong_arity ADDSERVER takes exactly 4 arguments"}},
    {"add_server_id_0", "ADDSERVER 0 h 1 2\n", {"!syntax ADDSERVER: invalid node id"}},
    {"add_server_id_33_bits",
     "ADDSERVER 4294967296 h 1 2\n",
     {"!syntax ADDSERVER: invalid node id"}},
    {"add_server_id_32_bits",
     "ADDSERVER 4294967295 h 1 65535\n",
     {"addserver <4294967295> <h> <1> <65535>"}},
    {"add_server_host", "ADDSERVER 1  1 2\n", {"!syntax ADDSERVER: invalid host"}},
    {"add_server_raft_port", "ADDSERVER 1 h 65536 2\n", {"!syntax ADDSERVER: invalid raft_port"}},
    {"add_server_client_port", "ADDSERVER 1 h 1 2x\n", {"!syntax ADDSERVER: invalid client_port"}},
    {"remove_server", "REMOVESERVER 4\n", {"removeserver <4>"}},
    {"remove_server_bare", "REMOVESERVER\n", {"!wrong_arity REMOVESERVER requires a node id"}},
    {"remove_server_two",
     "REMOVESERVER 4 5\n",
     {"!wrong_arity REMOVESERVER takes exactly one argument"}},
    {"remove_server_sign", "REMOVESERVER -4\n", {"!syntax REMOVESERVER: invalid node id"}},
    {"empty_line", "\n\r\nPING\n", {"!syntax empty command", "!syntax empty command", "ping"}},
    {"unknown", "HELO a b\n", {"!unknown_command unknown command: HELO"}},
    {"lower_case", "get k\n", {"!unknown_command unknown command: get"}},
    {"leading_space", " GET k\n", {"!unknown_command unknown command: "}},
    {"key_at_limit", "GET 12345678\n", {"get <12345678>"}},
    {"key_too_long", "SET 123456789 v\nPING\n", {key_error, "ping"}},
    {"value_at_limit", "SET k 1234567890123456\n", {"set <k> <1234567890123456>"}},
    {"value_too_long", "SET k 12345678901234567\nPING\n", {value_error, "ping"}},
    {"nul_is_a_byte", std::string("GET a\0b\n", 8), {std::string("get <a\0b>", 9)}},
    {"pipeline", "SET k v\nGET k\nDE", {"set <k> <v>", "get <k>", "..."}},
    {"longest_line",
     std::string(8 + 16 + 64, 'x') + "\n",
     {"!unknown_command unknown command: " + std::string(8 + 16 + 64, 'x')}},
    {"line_too_long", std::string(8 + 16 + 65, 'x'), {"fatal !too_large line is too long"}},
    {"line_too_long_ended",
     std::string(8 + 16 + 65, 'x') + "\nPING\n",
     {"fatal !too_large line is too long"}},
    {"http_post", "POST / HTTP/1.1\nSET k v\n", {"fatal !syntax HTTP is not served here"}},
    {"http_host",
     "GET k\nHost: x\nSET k v\n",
     {"get <k>", "fatal !syntax HTTP is not served here"}},
};

class TextParse : public testing::TestWithParam<ParseCase> {};
TEST_P(TextParse, SameResultAtEverySplit) {
    expect_at_every_split<TextParser>(GetParam(), small);
}
INSTANTIATE_TEST_SUITE_P(Table, TextParse, testing::ValuesIn(cases), case_name);

TEST(TextParser, EchoesOnlyTheStartOfALongVerb) {
    Connection<TextParser> connection(RequestLimits{});
    connection.feed(std::string(1000, 'x') + "\n");
    EXPECT_EQ(connection.finish(), (std::vector<std::string>{"!unknown_command unknown command: " +
                                                             std::string(128, 'x')}));
}

TEST(TextParser, ALongLineCostsLinearTime) {
    const RequestLimits limits{.value_bytes_max = std::size_t{4} << 20};
    expect_linear<TextParser>("SET k " + std::string(limits.value_bytes_max, 'v') + "\n", limits);
}

TEST(TextParser, GarbageMakesProgress) {
    Prng prng(1);
    const std::string_view words[] = {"GET ", "SET ",       "DEL ",          "\n", "\r\n", " ",
                                      "PING", "ADDSERVER ", "REMOVESERVER ", "1",  "k",    "\xff"};
    for (int round = 0; round < 2000; ++round) {
        std::string wire;
        const std::uint64_t count = prng.below(30);
        for (std::uint64_t i = 0; i < count; ++i) {
            if (prng.chance(0.2)) wire += static_cast<char>(prng.below(256));
            wire += words[prng.below(std::size(words))];
        }
        Connection<TextParser> whole(small);
        whole.feed(wire);
        Connection<TextParser> pieces(small);
        for (std::size_t at = 0; at < wire.size();) {
            const std::size_t size = std::min<std::size_t>(prng.between(1, 9), wire.size() - at);
            pieces.feed(std::string_view(wire).substr(at, size));
            at += size;
        }
        ASSERT_EQ(pieces.finish(), whole.finish()) << wire;
    }
}

TEST(TextReply, KeysAreSortedAndOnOneLine) {
    std::string out;
    append_keys(out, {});
    const std::string_view keys[] = {"b", "a", "\xff", "ab"};
    append_keys(out, keys);
    EXPECT_EQ(out, "KEYS\nKEYS a ab b \xff\n");
}

TEST(TextReply, KeysThatALineCannotCarryMakeItAnError) {
    for (const std::string_view key : {"a b", "a\nb", "a\r"}) {
        std::string out;
        const std::string_view keys[] = {"fine", key};
        append_keys(out, keys);
        EXPECT_TRUE(out.starts_with("ERROR a key holds a space or a line end")) << out;
        EXPECT_EQ(std::ranges::count(out, '\n'), 1);
    }
}

TEST(TextReply, ValuesThatALineCannotCarryAreErrors) {
    for (const std::string_view value : {"", "a\nb", "\n", "a\r"}) {
        std::string out;
        append_value(out, value);
        EXPECT_TRUE(out.starts_with("ERROR the value ")) << out;
        EXPECT_NE(out.find("binary protocol or RESP\n"), std::string::npos);
        EXPECT_EQ(std::ranges::count(out, '\n'), 1);
    }
    std::string out;
    append_value(out, " a\rb ");
    EXPECT_EQ(out, "VALUE  a\rb \n");
}

TEST(TextReply, ErrorsAreOneLineWithOnePrefix) {
    std::string out;
    append_error(out, "a\r\nOK\nb");
    append_error(out, "ERROR twice");
    EXPECT_EQ(out, "ERROR a  OK b\nERROR twice\n");
}

}  // namespace
}  // namespace kv::text
