#include "bin/kv-cli/advice.h"

#include <gtest/gtest.h>

namespace kv::cli {
namespace {

using client::Mode;
using client::Reply;
using client::ReplyKind;

std::string about(ReplyKind kind, std::string_view text, Mode mode) {
    Reply reply;
    reply.kind = kind;
    reply.text = text;
    return advice(reply, mode);
}

TEST(Advice, NamesTheNextStep) {
    const struct {
        ReplyKind kind;
        const char* text;
        Mode mode;
        const char* step;
    } rows[] = {
        {ReplyKind::error, "MOVED 7 10.0.0.2:6380", Mode::resp, "--host 10.0.0.2 --port 6380 -r"},
        {ReplyKind::redirect, "[::1]:6380", Mode::binary, "--host [::1] --port 6380 -b"},
        {ReplyKind::redirect, "db2:6380", Mode::text, "--host db2 --port 6380"},
        {ReplyKind::error, "LOADING Redis is loading the dataset in memory", Mode::resp,
         "try again"},
        {ReplyKind::error, "commit timed out, outcome unknown", Mode::text, "read the key"},
        {ReplyKind::error, "TIMEOUT commit timed out, outcome unknown", Mode::resp, "read the key"},
        {ReplyKind::error, "no leader available", Mode::text, "try again"},
        {ReplyKind::error, "CLUSTERDOWN no leader for slot 3", Mode::resp, "try again"},
        {ReplyKind::error, "disk full: writes are refused until there is room again", Mode::text,
         "Make room"},
        {ReplyKind::error, "the log has reached wal.bytes_max, writes are refused", Mode::binary,
         "raise wal.bytes_max"},
        {ReplyKind::error, "too many writes are waiting, try again", Mode::binary, "fewer"},
        {ReplyKind::error, "NOPROTO unsupported protocol version", Mode::resp, "-r"},
        {ReplyKind::error, "NOAUTH Authentication required.", Mode::resp, "AUTH"},
        {ReplyKind::error, "unknown command: get", Mode::text, "capitals"},
        {ReplyKind::error, "unknown command: MGET", Mode::text, "kv-cli -r"},
        {ReplyKind::status, "+PONG\r", Mode::text, "kv-cli -r"},
        {ReplyKind::status, "-ERR unknown command\r", Mode::text, "kv-cli -r"},
    };
    for (const auto& row : rows) {
        const std::string text = about(row.kind, row.text, row.mode);
        EXPECT_NE(text.find(row.step), std::string::npos) << row.text << ": " << text;
    }
}

TEST(Advice, IsSilentWhenTheReplySaysItAll) {
    EXPECT_EQ(about(ReplyKind::error, "GET requires a key", Mode::text), "");
    EXPECT_EQ(about(ReplyKind::error, "unknown command: nonsense", Mode::text), "");
    EXPECT_EQ(about(ReplyKind::error, "ERR syntax error", Mode::resp), "");
    EXPECT_EQ(about(ReplyKind::status, "+PONG\r", Mode::resp), "");
    EXPECT_EQ(about(ReplyKind::value, "MOVED 1 h:1", Mode::resp), "");
}

TEST(Advice, ALostConnectionSaysWhatIsInDoubt) {
    const std::string one = advice({Errc::closed, ""}, Mode::text, 1);
    EXPECT_TRUE(one.starts_with("One command was sent and not answered.")) << one;
    const std::string many = advice({Errc::closed, ""}, Mode::text, 7);
    EXPECT_TRUE(many.starts_with("7 commands were sent and not answered.")) << many;
}

TEST(Advice, AnotherProtocolIsSuspected) {
    for (const Errc code : {Errc::corrupt, Errc::io}) {
        const std::string text = advice({code, "unknown kind of value"}, Mode::binary, 1);
        EXPECT_TRUE(text.starts_with("Does the server speak binary there? Check --port")) << text;
    }
}

}  // namespace
}  // namespace kv::cli
