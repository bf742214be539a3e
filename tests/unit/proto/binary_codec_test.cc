#include "proto/binary/binary_codec.h"

#include <array>

#include "proto/base/prng.h"
#include "proto/binary/binary_client.h"
#include "tests/unit/proto/feed.h"

namespace kv::binary {
namespace {

constexpr RequestLimits small{
    .key_bytes_max = 8, .value_bytes_max = 16, .args_max = 5, .request_bytes_max = 100};

const std::string key_error = "!key_size key must have 1 to 65535 bytes";
const std::string value_error = "!value_size value is longer than limits.value_bytes_max";

template <std::integral Integer>
std::string be(Integer value) {
    std::string bytes(sizeof value, 0);
    store_be(bytes.data(), value);
    return bytes;
}
std::string frame(unsigned type, const std::string& payload) {
    return static_cast<char>(type) + be(static_cast<std::uint32_t>(payload.size())) + payload;
}
std::string key(std::string_view text) {
    return be(static_cast<std::uint16_t>(text.size())) + std::string(text);
}
std::string value(std::string_view text) {
    return be(static_cast<std::uint32_t>(text.size())) + std::string(text);
}
std::string extended_header(unsigned opcode, unsigned argc, unsigned version = 1) {
    return static_cast<char>(version) + be(std::uint64_t{7}) + be(std::uint64_t{8}) +
           be(std::uint64_t{9}) + static_cast<char>(opcode) + be(static_cast<std::uint16_t>(argc));
}
std::string extended(Verb verb, std::initializer_list<std::string_view> args) {
    std::string payload =
        extended_header(static_cast<unsigned>(verb), static_cast<unsigned>(args.size()));
    for (const std::string_view arg : args) payload += value(arg);
    return frame(0x1f, payload);
}
const std::string ping = frame(5, "");

const ParseCase cases[] = {
    {"set", frame(1, key("k") + value("v")), {"set <k> <v>"}},
    {"set_empty_value", frame(1, key("k") + value("")), {"set <k> <>"}},
    {"set_any_bytes", frame(1, key("\n ") + value("\r\n")), {"set <\n > <\r\n>"}},
    {"get", frame(2, key("k")), {"get <k>"}},
    {"del", frame(3, key("k")), {"del <k>"}},
    {"keys", frame(4, ""), {"keys"}},
    {"keys_payload_ignored", frame(4, "junk") + ping, {"keys", "ping"}},
    {"ping", ping, {"ping"}},
    {"ping_payload_ignored", frame(5, std::string(100, 5)) + ping, {"ping", "ping"}},
    {"pipeline",
     frame(1, key("k") + value("v")) + frame(2, key("k")) + std::string("\x02\x00", 2),
     {"set <k> <v>", "get <k>", "..."}},
    {"trailing_bytes",
     frame(1, key("k") + value("v") + "xx") + frame(2, key("k") + "yy") + ping,
     {"set <k> <v>", "get <k>", "ping"}},
    {"get_no_key_len", frame(2, "") + ping, {"!syntax binary GET: truncated key_len", "ping"}},
    {"get_half_key_len",
     frame(2, "\x01") + ping,
     {"!syntax binary GET: truncated key_len", "ping"}},
    {"get_truncated_key",
     frame(2, be(std::uint16_t{3}) + "ab") + ping,
     {"!syntax binary GET: truncated key", "ping"}},
    {"get_empty_key", frame(2, key("")) + ping, {"!key_size binary GET: empty key", "ping"}},
    {"del_no_key_len", frame(3, "") + ping, {"!syntax binary DEL: truncated key_len", "ping"}},
    {"del_truncated_key",
     frame(3, be(std::uint16_t{65535})) + ping,
     {"!syntax binary DEL: truncated key", "ping"}},
    {"del_empty_key", frame(3, key("")) + ping, {"!key_size binary DEL: empty key", "ping"}},
    {"set_no_key_len", frame(1, "") + ping, {"!syntax binary SET: truncated key_len", "ping"}},
    {"set_truncated_key",
     frame(1, be(std::uint16_t{2}) + "a") + ping,
     {"!syntax binary SET: truncated key", "ping"}},
    {"set_empty_key",
     frame(1, key("") + value("v")) + ping,
     {"!key_size binary SET: empty key", "ping"}},
    {"set_no_value_len",
     frame(1, key("k") + "abc") + ping,
     {"!syntax binary SET: truncated value_len", "ping"}},
    {"set_truncated_value",
     frame(1, key("k") + be(std::uint32_t{2}) + "v") + ping,
     {"!syntax binary SET: truncated value", "ping"}},
    {"set_value_4_gib",
     frame(1, key("k") + be(UINT32_MAX) + "v") + ping,
     {"!syntax binary SET: truncated value", "ping"}},
    {"unknown_type_0",
     frame(0, "abc") + ping,
     {"!unknown_command binary: unknown msg_type 0x00", "ping"}},
    {"unknown_type_1e",
     frame(0x1e, "") + ping,
     {"!unknown_command binary: unknown msg_type 0x1e", "ping"}},
    {"unknown_type_ff",
     frame(0xff, "abc") + ping,
     {"!unknown_command binary: unknown msg_type 0xff", "ping"}},
    {"key_at_limit", frame(2, key("12345678")), {"get <12345678>"}},
    {"get_key_too_long", frame(2, key("123456789")) + ping, {key_error, "ping"}},
    {"set_key_too_long", frame(1, key("123456789") + value("v")) + ping, {key_error, "ping"}},
    {"value_at_limit",
     frame(1, key("k") + value("1234567890123456")),
     {"set <k> <1234567890123456>"}},
    {"value_too_long",
     frame(1, key("k") + value("12345678901234567")) + ping,
     {value_error, "ping"}},
    {"longest_payload",
     frame(9, std::string(100, 'x')) + ping,
     {"!unknown_command binary: unknown msg_type 0x09", "ping"}},
    {"payload_too_long",
     frame(9, std::string(101, 'x')),
     {"fatal !too_large binary: payload is beyond the limit of a request"}},
    {"payload_4_gib",
     std::string("\x01\xff\xff\xff\xff", 5),
     {"fatal !too_large binary: payload is beyond the limit of a request"}},

    {"ext_ping", extended(Verb::ping, {}), {"#7,8,9 ping"}},
    {"ext_set", extended(Verb::set, {"k", ""}) + ping, {"#7,8,9 set <k> <>", "ping"}},
    {"ext_mget", extended(Verb::mget, {"a", "b", "c"}), {"#7,8,9 mget <a> <b> <c>"}},
    {"ext_keys_all", extended(Verb::keys, {}), {"#7,8,9 keys"}},
    {"ext_config_get", extended(Verb::config_get, {"*"}), {"#7,8,9 config|get <*>"}},
    {"ext_remove_server", extended(Verb::remove_server, {"4"}), {"#7,8,9 removeserver <4>"}},
    {"ext_remove_server_id",
     extended(Verb::remove_server, {"x"}),
     {"#7,8,9 !syntax REMOVESERVER: invalid node id"}},
    {"ext_arity",
     extended(Verb::get, {}) + ping,
     {"#7,8,9 !wrong_arity wrong number of arguments for 'get' command", "ping"}},
    {"ext_set_three", extended(Verb::set, {"k", "v", "NX"}), {"#7,8,9 set <k> <v> <NX>"}},
    {"ext_set_other", extended(Verb::set, {"k", "v", "x"}), {"#7,8,9 !syntax syntax error"}},
    {"ext_getrange", extended(Verb::getrange, {"k", "0", "9"}), {"#7,8,9 getrange <k> <0> <9>"}},
    {"ext_key_empty", extended(Verb::del, {"a", ""}), {"#7,8,9 " + key_error}},
    {"ext_key_too_long", extended(Verb::get, {"123456789"}), {"#7,8,9 " + key_error}},
    {"ext_value_too_long",
     extended(Verb::set, {"k", "12345678901234567"}) + ping,
     {"#7,8,9 " + value_error, "ping"}},
    {"ext_opcode_0",
     frame(0x1f, extended_header(0, 0)) + ping,
     {"#7,8,9 !unknown_command extended frame: unknown opcode", "ping"}},
    {"ext_opcode_behind_the_last",
     frame(0x1f, extended_header(static_cast<int>(verb_last) + 1, 0)) + ping,
     {"#7,8,9 !unknown_command extended frame: unknown opcode", "ping"}},
    {"ext_version_0",
     frame(0x1f, extended_header(1, 0, 0)) + ping,
     {"#7,0,0 !unsupported extended frame: unknown version", "ping"}},
    {"ext_version_2",
     frame(0x1f, extended_header(1, 0, 2).substr(0, 9)) + ping,
     {"#7,0,0 !unsupported extended frame: unknown version", "ping"}},
    {"ext_no_header",
     frame(0x1f, "\x01") + ping,
     {"#0,0,0 !syntax extended frame: truncated header", "ping"}},
    {"ext_short_header",
     frame(0x1f, extended_header(1, 0).substr(0, 27)) + ping,
     {"#7,0,0 !syntax extended frame: truncated header", "ping"}},
    {"ext_no_argument",
     frame(0x1f, extended_header(3, 1)) + ping,
     {"#7,8,9 !syntax extended frame: truncated argument", "ping"}},
    {"ext_short_argument",
     frame(0x1f, extended_header(3, 1) + be(std::uint32_t{2}) + "k") + ping,
     {"#7,8,9 !syntax extended frame: truncated argument", "ping"}},
    {"ext_no_second_argument",
     frame(0x1f, extended_header(4, 2) + value("abcd")) + ping,
     {"#7,8,9 !syntax extended frame: truncated argument", "ping"}},
    {"ext_argument_4_gib",
     frame(0x1f, extended_header(3, 1) + be(UINT32_MAX) + "k") + ping,
     {"#7,8,9 !syntax extended frame: truncated argument", "ping"}},
    {"ext_trailing",
     frame(0x1f, extended_header(3, 1) + value("k") + "x") + ping,
     {"#7,8,9 !syntax extended frame: bytes behind the last argument", "ping"}},
    {"ext_args_most",
     extended(Verb::mget, {"a", "b", "c", "d", "e"}),
     {"#7,8,9 mget <a> <b> <c> <d> <e>"}},
    {"ext_args_too_many",
     extended(Verb::mget, {"a", "b", "c", "d", "e", "f"}) + ping,
     {"#7,8,9 !too_large request or reply is beyond its limit", "ping"}},
    {"ext_too_long",
     frame(0x1f, std::string(101, 'x')),
     {"fatal !too_large binary: payload is beyond the limit of a request"}},
};

class BinaryParse : public testing::TestWithParam<ParseCase> {};
TEST_P(BinaryParse, SameResultAtEverySplit) {
    expect_at_every_split<BinaryParser>(GetParam(), small);
}
INSTANTIATE_TEST_SUITE_P(Table, BinaryParse, testing::ValuesIn(cases), case_name);

TEST(BinaryParser, AValueIsRefusedBeforeItArrives) {
    for (const std::string& wire : {frame(1, key("k") + value(std::string(80, 'v'))),
                                    extended(Verb::set, {"k", std::string(60, 'v')})}) {
        BinaryParser parser(small);
        Request request;
        const ParseResult result =
            parser.next(std::string_view(wire).substr(0, wire.size() - 60), request);
        EXPECT_EQ(result.status, ParseStatus::request);
        EXPECT_EQ(request.error, Errc::value_size);
    }
}

TEST(BinaryParser, ManyArgumentsInPiecesCostLinearTime) {
    std::vector<std::string_view> args(65535, "k");
    std::string wire;
    ASSERT_TRUE(encode_extended(wire, Verb::mget, args, {}));
    expect_linear<BinaryParser>(wire, RequestLimits{});
}

TEST(BinaryParser, GarbageMakesProgressAndDoesNotDependOnTheSplit) {
    Prng prng(4);
    int requests = 0;
    for (int round = 0; round < 5000; ++round) {
        std::string wire;
        const std::uint64_t count = prng.below(8);
        for (std::uint64_t i = 0; i < count; ++i) {
            std::string one = prng.chance(0.5) ? extended(Verb::mset, {"a", "b", "c", "d"})
                                               : frame(1, key("k") + value("v"));
            const std::uint64_t hits = prng.below(3);
            for (std::uint64_t hit = 0; hit < hits; ++hit) {
                // Rarely the high bytes of the frame's length: that only ends the connection.
                const std::size_t at =
                    prng.chance(0.1) ? prng.below(5) : prng.between(5, one.size() - 1);
                one[at] = static_cast<char>(prng.below(prng.chance(0.5) ? 8 : 256));
            }
            if (prng.chance(0.2)) one.resize(prng.below(one.size()));
            wire += one;
        }
        Connection<BinaryParser> whole(small);
        whole.feed(wire);
        Connection<BinaryParser> pieces(small, prng.chance(0.5));
        for (std::size_t at = 0; at < wire.size();) {
            const std::size_t size = std::min<std::size_t>(prng.between(1, 9), wire.size() - at);
            pieces.feed(std::string_view(wire).substr(at, size));
            at += size;
        }
        const auto events = whole.finish();
        ASSERT_EQ(pieces.finish(), events);
        requests += static_cast<int>(events.size());
    }
    EXPECT_GT(requests, 5000);
}

TEST(BinaryClient, PlainRequestsAreUnderstoodByTheParser) {
    const std::string_view pair[] = {"k", "v"};
    std::string wire;
    ASSERT_TRUE(encode_request(wire, Verb::ping, {}));
    ASSERT_TRUE(encode_request(wire, Verb::set, pair));
    ASSERT_TRUE(encode_request(wire, Verb::get, std::span(pair, 1)));
    ASSERT_TRUE(encode_request(wire, Verb::del, std::span(pair, 1)));
    ASSERT_TRUE(encode_request(wire, Verb::keys, {}));
    Connection<BinaryParser> connection(RequestLimits{});
    connection.feed(wire);
    EXPECT_EQ(connection.finish(),
              (std::vector<std::string>{"ping", "set <k> <v>", "get <k>", "del <k>", "keys"}));
}

TEST(BinaryClient, RequestsWithoutAPlainFrameAreRefused) {
    std::string wire;
    const std::string long_key(65536, 'k');
    const std::string_view keys[] = {"a", "b"};
    const std::string_view bad[] = {"", long_key};
    EXPECT_EQ(encode_request(wire, Verb::mget, keys).error().code, Errc::unsupported);
    EXPECT_EQ(encode_request(wire, Verb::invalid, {}).error().code, Errc::unsupported);
    EXPECT_EQ(encode_request(wire, Verb::del, keys).error().code, Errc::wrong_arity);
    EXPECT_EQ(encode_request(wire, Verb::get, {}).error().code, Errc::wrong_arity);
    EXPECT_EQ(encode_request(wire, Verb::get, std::span(bad, 1)).error().code, Errc::key_size);
    EXPECT_EQ(encode_request(wire, Verb::get, std::span(bad + 1, 1)).error().code, Errc::key_size);
    EXPECT_EQ(wire, "");
}

TEST(BinaryClient, ExtendedRequestsAreUnderstoodByTheParser) {
    for (unsigned number = 1; number <= static_cast<unsigned>(verb_last); ++number) {
        const Verb verb = static_cast<Verb>(number);
        std::string wire;
        ASSERT_TRUE(encode_extended(wire, verb, {}, {1, UINT64_MAX, 3}));
        Connection<BinaryParser> connection(RequestLimits{});
        connection.feed(wire);
        const auto events = connection.finish();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_TRUE(events[0].starts_with("#1,18446744073709551615,3 ")) << events[0];
        EXPECT_NE(events[0].find(command_name(verb)), std::string::npos) << events[0];
    }
    std::string wire;
    const std::vector<std::string_view> many(65536);
    EXPECT_EQ(encode_extended(wire, Verb::mget, many, {}).error().code, Errc::too_large);
}

/// Decodes `wire`, one reply, in an exact block; every prefix needs more.
Reply decode_whole(std::string_view wire) {
    Reply reply;
    for (std::size_t size = 0; size < wire.size(); ++size) {
        std::unique_ptr<char[]> block(new char[size]);
        std::memcpy(block.get(), wire.data(), size);
        const DecodeResult result = decode_reply({block.get(), size}, reply);
        EXPECT_EQ(result.status, DecodeStatus::need_more);
        EXPECT_GT(result.needed, size);
        EXPECT_LE(result.needed, wire.size());
    }
    const DecodeResult result = decode_reply(wire, reply);
    EXPECT_EQ(result.status, DecodeStatus::reply) << reply.problem;
    EXPECT_EQ(result.consumed, wire.size());
    return reply;
}

TEST(BinaryReply, PlainBytesAreTheDocumentedOnes) {
    std::string out;
    append_empty(out, ReplyStatus::ok);
    append_empty(out, ReplyStatus::not_found);
    append_empty(out, ReplyStatus::deleted);
    append_empty(out, ReplyStatus::pong);
    EXPECT_EQ(out, frame(0, "") + frame(2, "") + frame(3, "") + frame(5, ""));
    out.clear();
    const std::string_view keys[] = {"b", "aa"};
    append_value(out, "v\n");
    ASSERT_TRUE(append_keys(out, keys));
    ASSERT_TRUE(append_keys(out, {}));
    append_error(out, "bad");
    append_redirect(out, "h:1");
    EXPECT_EQ(out, frame(1, value("v\n")) + frame(4, be(std::uint32_t{2}) + key("b") + key("aa")) +
                       frame(4, be(std::uint32_t{0})) + frame(0x10, key("bad")) +
                       frame(0x20, key("h:1")));
}

TEST(BinaryReply, ExtendedBytesAreTheDocumentedOnes) {
    const auto reply = [](unsigned outcome, unsigned kind, const std::string& body) {
        return frame(0x1f, '\x01' + be(std::uint64_t{0x0102030405060708}) +
                               static_cast<char>(outcome) + static_cast<char>(kind) + body);
    };
    const std::uint64_t id = 0x0102030405060708;
    const std::optional<std::string_view> values[] = {"a", std::nullopt, ""};
    std::string out;
    append_extended_empty(out, id, Kind::ok);
    append_extended_value(out, id, "v");
    append_extended_empty(out, id, Kind::absent);
    append_extended_integer(out, id, -2);
    ASSERT_TRUE(append_extended_array(out, id, values));
    append_extended_error(out, id, Errc::commit_timeout, "late");
    append_extended_error(out, id, Errc::busy, "");
    append_extended_redirect(out, id, 300, "h:1");
    EXPECT_EQ(out, reply(2, 0, "") + reply(2, 1, "v") + reply(2, 2, "") +
                       reply(2, 3, be(std::int64_t{-2})) +
                       reply(2, 4, be(std::uint32_t{3}) + value("a") + be(UINT32_MAX) + value("")) +
                       reply(1, 5, be(std::uint16_t{12}) + "late") +
                       reply(0, 5, be(std::uint16_t{9})) +
                       reply(0, 6, be(std::uint16_t{300}) + "h:1"));
}

TEST(BinaryReply, ErrorNumbersAreOnTheWireAndStay) {
    const std::pair<Errc, unsigned> numbers[] = {
        {Errc::truncated, 0},       {Errc::unsupported, 2},        {Errc::syntax, 3},
        {Errc::unknown_command, 4}, {Errc::wrong_arity, 5},        {Errc::key_size, 6},
        {Errc::value_size, 7},      {Errc::too_large, 8},          {Errc::busy, 9},
        {Errc::read_only, 10},      {Errc::no_leader, 11},         {Errc::commit_timeout, 12},
        {Errc::shutting_down, 13},  {Errc::static_membership, 14},
    };
    for (const auto& [error, number] : numbers) EXPECT_EQ(static_cast<unsigned>(error), number);
}

TEST(BinaryReply, ShortTextsAreCutAndLongKeysRefused) {
    std::string out;
    append_error(out, std::string(70000, 'e'));
    EXPECT_EQ(out, frame(0x10, key(std::string(65535, 'e'))));
    const std::string long_key(65536, 'k');
    const std::string_view keys[] = {"a", long_key};
    out.clear();
    EXPECT_FALSE(append_keys(out, keys));
    EXPECT_EQ(out, "");
}

TEST(BinaryClient, PlainRepliesRoundTrip) {
    std::string out;
    append_value(out, "v");
    Reply reply = decode_whole(out);
    EXPECT_EQ(reply.kind, Kind::value);
    EXPECT_EQ(reply.text, "v");

    out.clear();
    const std::string_view keys[] = {"b", "a"};
    ASSERT_TRUE(append_keys(out, keys));
    reply = decode_whole(out);
    EXPECT_EQ(reply.kind, Kind::array);
    EXPECT_EQ(reply.items, (std::vector<std::optional<std::string_view>>{"b", "a"}));

    const std::pair<ReplyStatus, Kind> empties[] = {{ReplyStatus::ok, Kind::ok},
                                                    {ReplyStatus::not_found, Kind::absent},
                                                    {ReplyStatus::deleted, Kind::ok},
                                                    {ReplyStatus::pong, Kind::ok}};
    for (const auto& [status, kind] : empties) {
        out.clear();
        append_empty(out, status);
        reply = decode_whole(out);
        EXPECT_EQ(reply.status, status);
        EXPECT_EQ(reply.kind, kind);
        EXPECT_EQ(reply.outcome, Outcome::applied);
    }

    out.clear();
    append_error(out, sentence(Errc::commit_timeout));
    reply = decode_whole(out);
    EXPECT_EQ(reply.kind, Kind::error);
    EXPECT_EQ(reply.outcome, Outcome::unknown);
    out.clear();
    append_error(out, "bad");
    reply = decode_whole(out);
    EXPECT_EQ(reply.text, "bad");
    EXPECT_EQ(reply.outcome, Outcome::not_applied);

    out.clear();
    append_redirect(out, "h:1");
    reply = decode_whole(out);
    EXPECT_EQ(reply.kind, Kind::redirect);
    EXPECT_EQ(reply.text, "h:1");
    EXPECT_EQ(reply.outcome, Outcome::not_applied);
}

TEST(BinaryClient, ExtendedRepliesRoundTrip) {
    std::string out;
    append_extended_integer(out, 5, INT64_MIN);
    Reply reply = decode_whole(out);
    EXPECT_EQ(reply.request_id, 5u);
    EXPECT_EQ(reply.kind, Kind::integer);
    EXPECT_EQ(reply.integer, INT64_MIN);

    out.clear();
    const std::optional<std::string_view> values[] = {"a", std::nullopt, ""};
    ASSERT_TRUE(append_extended_array(out, 6, values));
    reply = decode_whole(out);
    EXPECT_EQ(reply.kind, Kind::array);
    EXPECT_EQ(reply.items, (std::vector<std::optional<std::string_view>>{"a", std::nullopt, ""}));

    out.clear();
    append_extended_value(out, 7, "v");
    reply = decode_whole(out);
    EXPECT_EQ(reply.kind, Kind::value);
    EXPECT_EQ(reply.text, "v");

    out.clear();
    append_extended_empty(out, 8, Kind::absent);
    EXPECT_EQ(decode_whole(out).kind, Kind::absent);

    out.clear();
    append_extended_error(out, 9, Errc::commit_timeout, "late");
    reply = decode_whole(out);
    EXPECT_EQ(reply.kind, Kind::error);
    EXPECT_EQ(reply.error, Errc::commit_timeout);
    EXPECT_EQ(reply.outcome, Outcome::unknown);
    EXPECT_EQ(reply.text, "late");

    out.clear();
    append_extended_redirect(out, 10, 16383, "h:1");
    reply = decode_whole(out);
    EXPECT_EQ(reply.kind, Kind::redirect);
    EXPECT_EQ(reply.slot, 16383);
    EXPECT_EQ(reply.text, "h:1");
}

TEST(BinaryClient, MalformedRepliesAreNamed) {
    const std::string id = be(std::uint64_t{1});
    const std::pair<std::string, std::string_view> rows[] = {
        {frame(0x06, ""), "binary response: unknown status 0x06"},
        {frame(0x01, "\x01"), "binary response: truncated length"},
        {frame(0x01, be(UINT32_MAX) + "v"), "binary response: truncated text"},
        {frame(0x10, be(std::uint16_t{4}) + "bad"), "binary response: truncated text"},
        {frame(0x04, be(UINT32_MAX)), "binary response: truncated keys"},
        {frame(0x04, be(std::uint32_t{1}) + be(std::uint16_t{2}) + "k"),
         "binary response: truncated keys"},
        {frame(0x1f, "\x01" + id), "binary response: truncated header"},
        {frame(0x1f, "\x02" + id + "\x02\x02"), "binary response: unknown version"},
        {frame(0x1f, "\x01" + id + "\x03\x02"), "binary response: unknown outcome"},
        {frame(0x1f, "\x01" + id + "\x02\x07"), "binary response: unknown kind"},
        {frame(0x1f, "\x01" + id + "\x02\x03" + "1234567"), "binary response: truncated integer"},
        {frame(0x1f, "\x01" + id + "\x02\x04" + be(UINT32_MAX)),
         "binary response: truncated array"},
        {frame(0x1f, "\x01" + id + "\x02\x05" + "1"), "binary response: truncated error"},
        {std::string("\x01\xff\xff\xff\xff", 5), "binary response: payload is beyond the limit"},
    };
    for (const auto& [wire, problem] : rows) {
        std::unique_ptr<char[]> block(new char[wire.size()]);
        std::memcpy(block.get(), wire.data(), wire.size());
        Reply reply;
        EXPECT_EQ(decode_reply({block.get(), wire.size()}, reply).status, DecodeStatus::malformed)
            << problem;
        EXPECT_EQ(reply.problem, problem);
    }
}

TEST(BinaryClient, AnErrorNumberFromALaterVersionIsNotAnErrc) {
    std::string out;
    append_extended_error(out, 1, static_cast<Errc>(999), "new");
    const Reply reply = decode_whole(out);
    EXPECT_EQ(reply.error, std::nullopt);
    EXPECT_EQ(reply.text, "new");
}

TEST(BinaryClient, GarbageEnds) {
    Prng prng(6);
    std::string seed;
    const std::optional<std::string_view> values[] = {"a", std::nullopt, "bcd"};
    ASSERT_TRUE(append_extended_array(seed, 6, values));
    for (int round = 0; round < 20000; ++round) {
        std::string wire = seed;
        for (std::uint64_t hits = prng.between(1, 4); hits > 0; --hits) {
            wire[prng.chance(0.3) ? 0 : prng.between(5, wire.size() - 1)] =
                static_cast<char>(prng.below(prng.chance(0.5) ? 8 : 256));
        }
        std::unique_ptr<char[]> block(new char[wire.size()]);
        std::memcpy(block.get(), wire.data(), wire.size());
        Reply reply;
        const DecodeResult result = decode_reply({block.get(), wire.size()}, reply);
        if (result.status == DecodeStatus::reply) {
            ASSERT_EQ(result.consumed, wire.size());
        }
    }
}

}  // namespace
}  // namespace kv::binary
