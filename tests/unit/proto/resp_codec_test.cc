#include "proto/resp/resp_codec.h"

#include "proto/base/prng.h"
#include "proto/resp/resp_client.h"
#include "tests/unit/proto/feed.h"

namespace kv::resp {
namespace {

constexpr RequestLimits small{.key_bytes_max = 8,
                              .value_bytes_max = 16,
                              .args_max = 9,
                              .inline_bytes_max = 160,
                              .request_bytes_max = 96};

const std::string key_error = "!key_size key must have 1 to 65535 bytes";
const std::string value_error = "!value_size value is longer than limits.value_bytes_max";
const std::string protocol = "fatal !syntax Protocol error: ";

std::string array(std::initializer_list<std::string_view> words) {
    std::string out;
    encode_command(out, {words.begin(), words.size()});
    return out;
}
const std::string not_integer = "value is not an integer or out of range";
const std::string no_expiry = "keys do not expire in this version; expiry comes later";

std::string arity(std::string_view command) {
    return "!wrong_arity wrong number of arguments for '" + std::string(command) + "' command";
}

const ParseCase framing_cases[] = {
    {"array", "*1\r\n$4\r\nPING\r\n", {"ping"}},
    {"pipeline",
     array({"SET", "k", "v"}) + array({"GET", "k"}) + "*1",
     {"set <k> <v>", "get <k>", "..."}},
    {"binary_safe", array({"SET", "\r\n", "$1\r\n*"}), {"set <\r\n> <$1\r\n*>"}},
    {"empty_value", array({"SET", "k", ""}), {"set <k> <>"}},
    {"no_words", "*0\r\n*-1\r\n*-7\r\n" + array({"PING"}), {"ping"}},
    {"multibulk_length_letters", "*x\r\n", {protocol + "invalid multibulk length"}},
    {"multibulk_length_empty", "*\r\n", {protocol + "invalid multibulk length"}},
    {"multibulk_length_plus", "*+1\r\n", {protocol + "invalid multibulk length"}},
    {"multibulk_length_leading_zero", "*01\r\n", {protocol + "invalid multibulk length"}},
    {"multibulk_length_space", "* 1\r\n", {protocol + "invalid multibulk length"}},
    {"multibulk_length_minus_zero", "*-0\r\n", {protocol + "invalid multibulk length"}},
    {"multibulk_length_cr_alone", "*1\rx", {protocol + "invalid multibulk length"}},
    {"multibulk_length_most",
     "*9\r\n$4\r\nMGET\r\n"
     "$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n",
     {"mget <a> <a> <a> <a> <a> <a> <a> <a>"}},
    {"multibulk_length_too_many", "*10\r\n", {protocol + "invalid multibulk length"}},
    {"multibulk_length_4_gib", "*4294967297\r\n", {protocol + "invalid multibulk length"}},
    {"multibulk_length_65_bits",
     "*18446744073709551617\r\n",
     {protocol + "invalid multibulk length"}},
    {"multibulk_length_too_long",
     "*" + std::string(161, '1'),
     {protocol + "too big mbulk count string"}},
    {"multibulk_length_too_long_ended",
     "*" + std::string(161, '1') + "\r\n",
     {protocol + "too big mbulk count string"}},
    {"multibulk_length_longest",
     "*" + std::string(160, '1') + "\r\n",
     {protocol + "invalid multibulk length"}},
    {"expected_dollar", "*1\r\n:4\r\n", {protocol + "expected '$', got ':'"}},
    {"expected_dollar_second", "*2\r\n$3\r\nGET\r\nk\r\n", {protocol + "expected '$', got 'k'"}},
    {"bulk_length_letters", "*1\r\n$x\r\n", {protocol + "invalid bulk length"}},
    {"bulk_length_negative", "*1\r\n$-1\r\n", {protocol + "invalid bulk length"}},
    {"bulk_length_empty", "*1\r\n$\r\n", {protocol + "invalid bulk length"}},
    {"bulk_length_leading_zero", "*1\r\n$04\r\n", {protocol + "invalid bulk length"}},
    {"bulk_length_4_gib", "*2\r\n$3\r\nGET\r\n$4294967296\r\n", {protocol + "invalid bulk length"}},
    {"bulk_length_63_bits", "*1\r\n$9223372036854775807\r\n", {protocol + "invalid bulk length"}},
    {"bulk_length_too_long",
     "*1\r\n$" + std::string(161, '1'),
     {protocol + "too big bulk count string"}},
    {"bulk_without_crlf", "*1\r\n$4\r\nPINGxx", {protocol + "expected CRLF behind a bulk string"}},
    {"bulk_longer_than_said",
     "*1\r\n$3\r\nPING\r\n",
     {protocol + "expected CRLF behind a bulk string"}},
    {"request_too_long",
     "*9\r\n$4\r\nMGET\r\n$16\r\n0123456789abcdef\r\n$16\r\n0123456789abcdef\r\n$"
     "16\r\n0123456789abcdef\r\n$16\r\n",
     {protocol + "request is too long"}},
    {"value_too_long_is_skipped",
     array({"SET", "k", "12345678901234567"}) + array({"PING"}),
     {value_error, "ping"}},
    {"value_too_long_in_the_middle_is_skipped",
     array({"MSET", "k", "12345678901234567", "\r\n", "*1\r\n"}) + array({"PING"}),
     {value_error, "ping"}},
    {"two_values_too_long_are_one_error",
     array({"MSET", "k", "12345678901234567", "12345678901234567", "v"}) + "PING\r\n",
     {value_error, "ping"}},
    {"skipped_array_still_must_be_one",
     "*4\r\n$4\r\nMSET\r\n$17\r\n12345678901234567\r\nx",
     {value_error, protocol + "expected '$', got 'x'"}},
    {"skipped_array_still_is_bounded",
     "*9\r\n$17\r\n12345678901234567\r\n$17\r\n12345678901234567\r\n"
     "$16\r\n1234567890123456\r\n$17\r\n",
     {value_error, protocol + "request is too long"}},
    {"skipped_array_incomplete",
     "*3\r\n$3\r\nSET\r\n$17\r\n12345678901234567\r\n$1",
     {value_error, "..."}},
    {"key_too_long", array({"GET", "123456789"}), {key_error}},
    {"key_empty", array({"GET", ""}), {key_error}},
    {"inline_crlf", "PING\r\n", {"ping"}},
    {"inline_lf", "PING\n", {"ping"}},
    {"inline_words", "  set \t k   v  \r\n", {"set <k> <v>"}},
    {"inline_empty_lines", "\r\n\n  \r\nPING\r\n", {"ping"}},
    {"inline_too_big", std::string(161, 'x'), {protocol + "too big inline request"}},
    {"inline_too_big_ended", std::string(161, 'x') + "\n", {protocol + "too big inline request"}},
    {"inline_longest", "PING " + std::string(155, ' ') + "\n", {"ping"}},
    {"inline_then_array", "GET k\r\n" + array({"GET", "k"}), {"get <k>", "get <k>"}},
    {"inline_double_quotes", "SET k \"a b\"\r\n", {"set <k> <a b>"}},
    {"inline_escapes",
     "SET k \"\\x41\\n\\r\\t\\b\\a\\\\\\\"\\q\"\r\n",
     {"set <k> <A\n\r\t\b\a\\\"q>"}},
    {"inline_hex_both_cases", "SET k \"\\xfF\\x0g\"\r\n", {"set <k> <\xffx0g>"}},
    {"inline_single_quotes", "SET k 'a \\' \"\\n'\r\n", {"set <k> <a ' \"\\n>"}},
    {"inline_empty_word", "SET k \"\"\r\n", {"set <k> <>"}},
    {"inline_quote_inside_word", "SET k a\"b c\"\r\n", {"set <k> <ab c>"}},
    {"inline_backslash_outside_quotes", "SET k a\\nb\r\n", {"set <k> <a\\nb>"}},
    {"inline_unbalanced_double", "SET k \"a\r\n", {protocol + "unbalanced quotes in request"}},
    {"inline_unbalanced_single", "SET k 'a\r\n", {protocol + "unbalanced quotes in request"}},
    {"inline_unbalanced_escaped", "SET k \"a\\\"\r\n", {protocol + "unbalanced quotes in request"}},
    {"inline_quote_glued", "SET k \"a\"b\r\n", {protocol + "unbalanced quotes in request"}},
    {"inline_other_type",
     "+OK\r\n",
     {"!unknown_command unknown command '+OK', with args beginning with: "}},
    {"http_post", "POST / HTTP/1.1\r\nSET k v\r\n", {"fatal !syntax HTTP is not served here"}},
    {"http_get",
     "GET / HTTP/1.1\r\nHost: x\r\nSET k v\r\n",
     {arity("get"), "fatal !syntax HTTP is not served here"}},
    {"http_any_case", array({"pOsT", "k"}), {"fatal !syntax HTTP is not served here"}},
};

class RespFraming : public testing::TestWithParam<ParseCase> {};
TEST_P(RespFraming, SameResultAtEverySplit) {
    expect_at_every_split<RespParser>(GetParam(), small);
}
INSTANTIATE_TEST_SUITE_P(Table, RespFraming, testing::ValuesIn(framing_cases), case_name);

const ParseCase command_cases[] = {
    {"ping", array({"PING"}), {"ping"}},
    {"ping_message", array({"PiNg", "m"}), {"ping <m>"}},
    {"ping_two", array({"PING", "a", "b"}), {arity("ping")}},
    {"echo", array({"ECHO", "m"}), {"echo <m>"}},
    {"echo_bare", array({"ECHO"}), {arity("echo")}},
    {"get", array({"gEt", "k"}), {"get <k>"}},
    {"get_bare", array({"GET"}), {arity("get")}},
    {"get_two", array({"GET", "a", "b"}), {arity("get")}},
    {"set", array({"set", "k", "v"}), {"set <k> <v>"}},
    {"set_one", array({"SET", "k"}), {arity("set")}},
    {"set_nx", array({"SET", "k", "v", "nx"}), {"set <k> <v> <nx>"}},
    {"set_nx_get", array({"SET", "k", "v", "GET", "NX"}), {"set <k> <v> <GET> <NX>"}},
    {"set_keepttl", array({"SET", "k", "v", "KEEPTTL"}), {"set <k> <v> <KEEPTTL>"}},
    {"set_ifeq", array({"SET", "k", "v", "ifeq", ""}), {"set <k> <v> <ifeq> <>"}},
    {"set_ifrev", array({"SET", "k", "v", "IFREV", "7"}), {"set <k> <v> <IFREV> <7>"}},
    {"set_ifrev_word", array({"SET", "k", "v", "IFREV", "x"}), {"!syntax " + not_integer}},
    {"set_ifrev_negative", array({"SET", "k", "v", "IFREV", "-1"}), {"!syntax " + not_integer}},
    {"set_ifeq_bare", array({"SET", "k", "v", "IFEQ"}), {"!syntax syntax error"}},
    {"set_nx_xx", array({"SET", "k", "v", "NX", "XX"}), {"!syntax syntax error"}},
    {"set_nx_nx", array({"SET", "k", "v", "NX", "NX"}), {"set <k> <v> <NX> <NX>"}},
    {"set_nx_ifeq", array({"SET", "k", "v", "NX", "IFEQ", "a"}), {"!syntax syntax error"}},
    {"set_ifeq_ifrev",
     array({"SET", "k", "v", "IFEQ", "a", "IFREV", "1"}),
     {"!syntax syntax error"}},
    {"set_ex", array({"SET", "k", "v", "EX", "10"}), {"!unsupported " + no_expiry}},
    {"set_pxat", array({"SET", "k", "v", "pxat", "10", "NX"}), {"!unsupported " + no_expiry}},
    {"set_ex_bare", array({"SET", "k", "v", "EX"}), {"!syntax syntax error"}},
    {"set_ex_word", array({"SET", "k", "v", "EX", "x"}), {"!syntax " + not_integer}},
    {"set_ex_zero",
     array({"SET", "k", "v", "EX", "0"}),
     {"!syntax invalid expire time in 'set' command"}},
    {"set_ex_twice", array({"SET", "k", "v", "EX", "1", "PX", "1"}), {"!syntax syntax error"}},
    {"set_ex_keepttl", array({"SET", "k", "v", "EX", "1", "KEEPTTL"}), {"!syntax syntax error"}},
    {"set_keepttl_ex", array({"SET", "k", "v", "KEEPTTL", "EX", "1"}), {"!syntax syntax error"}},
    {"set_unknown_option", array({"SET", "k", "v", "NOPE"}), {"!syntax syntax error"}},
    {"setnx", array({"SETNX", "k", "v"}), {"setnx <k> <v>"}},
    {"getset", array({"GETSET", "k", "v"}), {"getset <k> <v>"}},
    {"getdel", array({"GETDEL", "k"}), {"getdel <k>"}},
    {"getex", array({"GETEX", "k"}), {"getex <k>"}},
    {"getex_persist", array({"GETEX", "k", "persist"}), {"getex <k> <persist>"}},
    {"getex_ex", array({"GETEX", "k", "EX", "1"}), {"!unsupported " + no_expiry}},
    {"getex_ex_zero",
     array({"GETEX", "k", "EX", "0"}),
     {"!syntax invalid expire time in 'getex' command"}},
    {"getex_other", array({"GETEX", "k", "NOPE"}), {"!syntax syntax error"}},
    {"append", array({"APPEND", "k", "v"}), {"append <k> <v>"}},
    {"append_bare", array({"APPEND", "k"}), {arity("append")}},
    {"incr", array({"INCR", "k"}), {"incr <k>"}},
    {"incrby", array({"INCRBY", "k", "-5"}), {"incrby <k> <-5>"}},
    {"incrby_word", array({"INCRBY", "k", "x"}), {"!not_integer " + not_integer}},
    {"incrby_space", array({"INCRBY", "k", " 1"}), {"!not_integer " + not_integer}},
    {"incrby_plus", array({"INCRBY", "k", "+1"}), {"!not_integer " + not_integer}},
    {"incrby_65_bits",
     array({"INCRBY", "k", "9223372036854775808"}),
     {"!not_integer " + not_integer}},
    {"decrby", array({"DECRBY", "k", "5"}), {"decrby <k> <5>"}},
    {"decrby_lowest",
     array({"DECRBY", "k", "-9223372036854775808"}),
     {"!overflow decrement would overflow"}},
    {"delex", array({"DELEX", "k"}), {"delex <k>"}},
    {"delex_ifeq", array({"DELEX", "k", "IFEQ", "v"}), {"delex <k> <IFEQ> <v>"}},
    {"delex_ifrev", array({"DELEX", "k", "ifrev", "0"}), {"delex <k> <ifrev> <0>"}},
    {"delex_more", array({"DELEX", "k", "IFEQ", "v", "x"}), {"!syntax syntax error"}},
    {"delex_other", array({"DELEX", "k", "IFNE", "v"}), {"!syntax syntax error"}},
    {"revision", array({"KV.revision", "k"}), {"kv.revision <k>"}},
    {"unlink", array({"UNLINK", "a", "b"}), {"unlink <a> <b>"}},
    {"getrange", array({"GETRANGE", "k", "0", "-1"}), {"getrange <k> <0> <-1>"}},
    {"getrange_word", array({"GETRANGE", "k", "0", "x"}), {"!not_integer " + not_integer}},
    {"type_key_empty", array({"TYPE", ""}), {key_error}},
    {"memory_usage", array({"MEMORY", "USAGE", "k"}), {"memory|usage <k>"}},
    {"memory_usage_samples",
     array({"memory", "usage", "k", "samples", "5"}),
     {"memory|usage <k> <samples> <5>"}},
    {"memory_usage_bare", array({"MEMORY", "USAGE"}), {arity("memory|usage")}},
    {"memory_usage_key_empty", array({"MEMORY", "USAGE", ""}), {key_error}},
    {"object_encoding", array({"OBJECT", "encoding", "k"}), {"object|encoding <k>"}},
    {"object_other",
     array({"OBJECT", "foo", "k"}),
     {"!unknown_command unknown subcommand 'foo'. Try OBJECT HELP."}},
    {"scan", array({"SCAN", "0"}), {"scan <0>"}},
    {"scan_all",
     array({"SCAN", "18446744073709551615", "COUNT", "5", "match", "a*", "TYPE", "string"}),
     {"scan <18446744073709551615> <COUNT> <5> <match> <a*> <TYPE> <string>"}},
    {"scan_word", array({"SCAN", "x"}), {"!syntax invalid cursor"}},
    {"scan_count_zero", array({"SCAN", "0", "COUNT", "0"}), {"!syntax syntax error"}},
    {"scan_count_word", array({"SCAN", "0", "COUNT", "x"}), {"!syntax " + not_integer}},
    {"scan_match_bare", array({"SCAN", "0", "MATCH"}), {"!syntax syntax error"}},
    {"wait", array({"WAIT", "1", "0"}), {"wait <1> <0>"}},
    {"wait_negative", array({"WAIT", "1", "-1"}), {"!syntax timeout is negative"}},
    {"wait_word",
     array({"WAIT", "1", "x"}),
     {"!not_integer timeout is not an integer or out of range"}},
    {"expire", array({"EXPIRE", "k", "1"}), {"!unsupported " + no_expiry}},
    {"expire_bare", array({"EXPIRE", "k"}), {arity("expire")}},
    {"setex", array({"SETEX", "k", "1", "v"}), {"!unsupported " + no_expiry}},
    {"multi", array({"MULTI"}), {"!unsupported transactions are not supported yet"}},
    {"msetnx",
     array({"MSETNX", "a", "1"}),
     {"!unsupported 'msetnx' is not supported: it would have to change several keys at once, in "
      "several shards"}},
    {"cluster", array({"CLUSTER", "INFO"}), {"cluster|info"}},
    {"cluster_bare", array({"CLUSTER"}), {arity("cluster")}},
    {"subscribe",
     array({"SUBSCRIBE", "c"}),
     {"!unknown_command unknown command 'SUBSCRIBE', with args beginning with: 'c' "}},
    {"a_subcommand_is_not_a_command",
     array({"client|id"}),
     {"!unknown_command unknown command 'client|id', with args beginning with: "}},
    {"subcommand_empty",
     array({"CLIENT", ""}),
     {"!unknown_command unknown subcommand ''. Try CLIENT HELP."}},
    {"del", array({"DEL", "a", "b"}), {"del <a> <b>"}},
    {"del_bare", array({"DEL"}), {arity("del")}},
    {"exists", array({"EXISTS", "a", "a"}), {"exists <a> <a>"}},
    {"exists_bare", array({"EXISTS"}), {arity("exists")}},
    {"mget", array({"MGET", "a", "b"}), {"mget <a> <b>"}},
    {"mget_bare", array({"MGET"}), {arity("mget")}},
    {"mset", array({"MSET", "a", "1", "b", "2"}), {"mset <a> <1> <b> <2>"}},
    {"mset_bare", array({"MSET"}), {arity("mset")}},
    {"mset_odd", array({"MSET", "a", "1", "b"}), {arity("mset")}},
    {"mset_second_key_empty", array({"MSET", "a", "1", "", "2"}), {key_error}},
    {"mget_second_key_empty", array({"MGET", "a", ""}), {key_error}},
    {"keys", array({"KEYS", "a*"}), {"keys <a*>"}},
    {"keys_bare", array({"KEYS"}), {arity("keys")}},
    {"dbsize", array({"DBSIZE"}), {"dbsize"}},
    {"dbsize_one", array({"DBSIZE", "x"}), {arity("dbsize")}},
    {"flushall", array({"FLUSHALL"}), {"flushall"}},
    {"flushall_async", array({"FLUSHALL", "async"}), {"flushall <async>"}},
    {"flushall_sync", array({"FLUSHALL", "SYNC"}), {"flushall <SYNC>"}},
    {"flushall_other", array({"FLUSHALL", "now"}), {"!syntax syntax error"}},
    {"flushall_two", array({"FLUSHALL", "SYNC", "SYNC"}), {"!syntax syntax error"}},
    {"command", array({"COMMAND"}), {"command"}},
    {"command_docs", array({"COMMAND", "DOCS", "get"}), {"command|docs <get>"}},
    {"config_get", array({"CONFIG", "get", "a*", "b"}), {"config|get <a*> <b>"}},
    {"config_bare", array({"CONFIG"}), {arity("config")}},
    {"config_get_bare", array({"CONFIG", "GET"}), {arity("config|get")}},
    {"config_set", array({"config", "Set", "a", "b"}), {"config|set <a> <b>"}},
    {"config_other",
     array({"config", "Foo", "a", "b"}),
     {"!unknown_command unknown subcommand 'Foo'. Try CONFIG HELP."}},
    {"info", array({"INFO"}), {"info"}},
    {"info_sections", array({"INFO", "server", "raft"}), {"info <server> <raft>"}},
    {"select_0", array({"SELECT", "0"}), {"select <0>"}},
    {"select_1", array({"SELECT", "1"}), {"!syntax DB index is out of range"}},
    {"select_x", array({"SELECT", "x"}), {"!syntax value is not an integer or out of range"}},
    {"select_wide",
     array({"SELECT", "4294967296"}),
     {"!syntax value is out of range, value must between -2147483648 and 2147483647"}},
    {"select_bare", array({"SELECT"}), {arity("select")}},
    {"quit", array({"QUIT"}), {"quit"}},
    {"client_setinfo",
     array({"CLIENT", "SETINFO", "lib-name", "x"}),
     {"client|setinfo <lib-name> <x>"}},
    {"client_setinfo_ver",
     array({"CLIENT", "SETINFO", "LIB-VER", "1.0"}),
     {"client|setinfo <LIB-VER> <1.0>"}},
    {"client_setinfo_short", array({"CLIENT", "SETINFO", "LIB-VER"}), {arity("client|setinfo")}},
    {"client_setinfo_other",
     array({"CLIENT", "SETINFO", "LIB", "1"}),
     {"!syntax Unrecognized option 'LIB'"}},
    {"client_setinfo_space",
     array({"CLIENT", "SETINFO", "LIB-NAME", "a b"}),
     {"!syntax lib-name cannot contain spaces, newlines or special characters."}},
    {"client_bare", array({"CLIENT"}), {arity("client")}},
    {"client_other",
     array({"CLIENT", "LISTS"}),
     {"!unknown_command unknown subcommand 'LISTS'. Try CLIENT HELP."}},
    {"add_server", array({"addserver", "4", "h", "1", "2"}), {"addserver <4> <h> <1> <2>"}},
    {"add_server_short", array({"ADDSERVER", "4", "h", "1"}), {arity("addserver")}},
    {"add_server_id",
     array({"ADDSERVER", "x", "h", "1", "2"}),
     {"!syntax ADDSERVER: invalid node id"}},
    {"add_server_host",
     array({"ADDSERVER", "1", "a\r\nb", "1", "2"}),
     {"!syntax ADDSERVER: invalid host"}},
    {"add_server_raft_port",
     array({"ADDSERVER", "1", "h", "0", "2"}),
     {"!syntax ADDSERVER: invalid raft_port"}},
    {"add_server_client_port",
     array({"ADDSERVER", "1", "h", "1", "70000"}),
     {"!syntax ADDSERVER: invalid client_port"}},
    {"remove_server", array({"RemoveServer", "4"}), {"removeserver <4>"}},
    {"remove_server_bare", array({"REMOVESERVER"}), {arity("removeserver")}},
    {"remove_server_id", array({"REMOVESERVER", "0"}), {"!syntax REMOVESERVER: invalid node id"}},
    {"unknown",
     array({"foo", "a", "b"}),
     {"!unknown_command unknown command 'foo', with args beginning with: 'a' 'b' "}},
    {"unknown_bare",
     array({"FOO"}),
     {"!unknown_command unknown command 'FOO', with args beginning with: "}},
    {"unknown_empty",
     array({""}),
     {"!unknown_command unknown command '', with args beginning with: "}},
    {"unknown_prefix",
     array({"GETX", "a"}),
     {"!unknown_command unknown command 'GETX', with args beginning with: 'a' "}},
    {"unknown_long",
     array({std::string(200, 'f'), std::string(100, 'a'), std::string(100, 'b'), "c"}),
     {"!unknown_command unknown command '" + std::string(128, 'f') +
      "', with args beginning with: '" + std::string(100, 'a') + "' '" + std::string(25, 'b') +
      "' "}},
};

class RespCommand : public testing::TestWithParam<ParseCase> {};
TEST_P(RespCommand, SameResultAtEverySplit) {
    expect_at_every_split<RespParser>(GetParam(), RequestLimits{});
}
INSTANTIATE_TEST_SUITE_P(Table, RespCommand, testing::ValuesIn(command_cases), case_name);

TEST(RespParser, AValueOfMoreBytesThanItsLimitIsRefusedBeforeTheyArrive) {
    RespParser parser(small);
    Request request;
    const std::string wire = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$17\r\n";
    const ParseResult result = parser.next(wire, request);
    EXPECT_EQ(result.status, ParseStatus::request);
    EXPECT_EQ(result.consumed, wire.size());
    EXPECT_EQ(request.error, Errc::value_size);
}

TEST(RespParser, SaysHowManyBytesItWaitsFor) {
    RespParser parser(RequestLimits{});
    Request request;
    const std::string wire = "*2\r\n$3\r\nGET\r\n$1000\r\nk";
    const ParseResult result = parser.next(wire, request);
    EXPECT_EQ(result.status, ParseStatus::need_more);
    EXPECT_EQ(result.needed, wire.size() - 1 + 1000 + 2);
}

TEST(RespParser, ARequestInManyPiecesCostsLinearTime) {
    std::vector<std::string_view> words(200'000, "k");
    words[0] = "MGET";
    std::string wire;
    encode_command(wire, words);
    expect_linear<RespParser>(wire, RequestLimits{});
    RequestLimits wide;
    wide.inline_bytes_max = std::size_t{4} << 20;
    wide.value_bytes_max = wide.inline_bytes_max;
    expect_linear<RespParser>("SET k " + std::string(wide.inline_bytes_max - 8, 'v') + "\r\n",
                              wide);
}

TEST(RespParser, GarbageMakesProgressAndDoesNotDependOnTheSplit) {
    Prng prng(2);
    const std::string_view words[] = {"*",
                                      "$",
                                      "\r\n",
                                      "1",
                                      "2",
                                      "3",
                                      "GET",
                                      "SET",
                                      "k",
                                      "\"",
                                      "'",
                                      "\\x4",
                                      "-",
                                      " ",
                                      "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
                                      "*2\r\n$3\r\nGET\r\n$20\r\n",
                                      "*1\r\n",
                                      "$4\r\n",
                                      "0",
                                      "PING\r\n",
                                      "\n"};
    int requests = 0;
    for (int round = 0; round < 5000; ++round) {
        std::string wire;
        const std::uint64_t count = prng.below(40);
        for (std::uint64_t i = 0; i < count; ++i) {
            if (prng.chance(0.1)) wire += static_cast<char>(prng.below(256));
            wire += words[prng.below(std::size(words))];
        }
        Connection<RespParser> whole(small);
        whole.feed(wire);
        Connection<RespParser> pieces(small, prng.chance(0.5));
        for (std::size_t at = 0; at < wire.size();) {
            const std::size_t size = std::min<std::size_t>(prng.between(1, 9), wire.size() - at);
            pieces.feed(std::string_view(wire).substr(at, size));
            at += size;
        }
        const auto events = whole.finish();
        ASSERT_EQ(pieces.finish(), events) << wire;
        requests += static_cast<int>(events.size());
    }
    EXPECT_GT(requests, 5000) << "the garbage is too bad to reach anything";
}

TEST(RespReply, TheBytesAreTheDocumentedOnes) {
    std::string out;
    append_ok(out);
    append_simple(out, "a\r\nb");
    append_nil(out);
    append_bulk(out, "a\r\nb");
    append_bulk(out, "");
    append_integer(out, INT64_MIN);
    append_array_header(out, 2);
    append_moved(out, 16383, "h:1");
    EXPECT_EQ(out,
              "+OK\r\n+a  b\r\n$-1\r\n$4\r\na\r\nb\r\n$0\r\n\r\n:-9223372036854775808\r\n*2\r\n"
              "-MOVED 16383 h:1\r\n");
}

TEST(RespReply, ErrorsHaveOnePrefixAndOneLine) {
    const std::pair<Errc, std::string_view> prefixes[] = {
        {Errc::commit_timeout, "-TIMEOUT x\r\n"},
        {Errc::no_leader, "-CLUSTERDOWN x\r\n"},
        {Errc::read_only, "-MISCONF x\r\n"},
        {Errc::busy, "-BUSY x\r\n"},
        {Errc::syntax, "-ERR x\r\n"},
        {Errc::shutting_down, "-ERR x\r\n"},
    };
    for (const auto& [error, expected] : prefixes) {
        std::string out;
        append_error(out, error, "x");
        EXPECT_EQ(out, expected);
        out.clear();
        append_error(out, error, expected.substr(1, expected.size() - 3));
        EXPECT_EQ(out, expected) << "doubled";
    }
    std::string out;
    append_error(out, Errc::syntax, "a\r\n+OK\n");
    EXPECT_EQ(out, "-ERR a  +OK \r\n");
}

}  // namespace
}  // namespace kv::resp
