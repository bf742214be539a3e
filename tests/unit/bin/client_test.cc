#include "bin/client/client.h"

#include <gtest/gtest.h>

#include <array>

#include "bin/client/request.h"
#include "io/uring/uring_backend.h"
#include "proto/binary/binary_client.h"
#include "proto/resp/resp_client.h"
#include "tests/support/fake_server.h"

namespace kv::client {
namespace {

using test::FakeServer;
using test::Spoken;

class ClientTest : public testing::Test {
protected:
    ClientTest() : backend_(std::move(*io::UringBackend::create())), reactor_(*backend_) {}

    std::unique_ptr<Client> connect(const FakeServer& server, Mode mode) {
        auto client = Client::connect(reactor_, {.port = server.port(), .mode = mode});
        EXPECT_TRUE(client.has_value()) << client.error().text();
        return std::move(*client);
    }

    std::unique_ptr<io::Backend> backend_;
    io::Reactor reactor_;
};

TEST_F(ClientTest, AsksInEachProtocol) {
    const FakeServer server;
    for (const Mode mode : {Mode::text, Mode::binary, Mode::resp}) {
        const auto client = connect(server, mode);
        const std::array<std::string_view, 3> set{"SET", "k", "v"};
        for (int i = 0; i < 3; ++i) {
            const auto reply = client->call(set);
            ASSERT_TRUE(reply.has_value()) << reply.error().text();
            EXPECT_FALSE(reply->refused());
        }
    }
}

TEST_F(ClientTest, AReplyMayBeLargerThanAnyBuffer) {
    const std::string value(3'000'000, 'v');
    const FakeServer server([&](Spoken, std::string_view, std::string& out) {
        out.append("$3000000\r\n").append(value).append("\r\n");
        return true;
    });
    const auto client = connect(server, Mode::resp);
    const std::array<std::string_view, 2> get{"GET", "k"};
    const auto reply = client->call(get);
    ASSERT_TRUE(reply.has_value()) << reply.error().text();
    EXPECT_EQ(reply->text, value);
}

TEST_F(ClientTest, ARequestMayBeLargerThanTheSocketTakesAtOnce) {
    std::size_t received = 0;
    const FakeServer server([&](Spoken, std::string_view request, std::string& out) {
        received = request.size();
        out.append("+OK\r\n");
        return true;
    });
    const auto client = connect(server, Mode::resp);
    const std::string value(8'000'000, 'v');
    const std::array<std::string_view, 3> set{"SET", "k", value};
    ASSERT_TRUE(client->call(set).has_value());
    EXPECT_GT(received, value.size());
}

TEST_F(ClientTest, AServerThatHangsUpIsAnError) {
    const FakeServer server([](Spoken, std::string_view, std::string&) { return false; });
    const auto client = connect(server, Mode::text);
    const auto reply = client->call("PING\n");
    ASSERT_FALSE(reply.has_value());
    EXPECT_EQ(reply.error().code, Errc::closed);
    EXPECT_EQ(client->call("PING\n").error().code, Errc::closed);
}

TEST_F(ClientTest, TheLastReplyCountsAlthoughTheServerHangsUp) {
    const FakeServer server([](Spoken, std::string_view, std::string& out) {
        out.append("+OK\r\n");
        return false;
    });
    const auto client = connect(server, Mode::resp);
    const std::array<std::string_view, 1> quit{"QUIT"};
    const auto reply = client->call(quit);
    ASSERT_TRUE(reply.has_value()) << reply.error().text();
    EXPECT_EQ(reply->text, "OK");
}

TEST_F(ClientTest, BytesOfAnotherProtocolAreAnError) {
    const FakeServer server([](Spoken, std::string_view, std::string& out) {
        out.append("HTTP/1.1 400 Bad Request\r\n");
        return true;
    });
    for (const Mode mode : {Mode::binary, Mode::resp}) {
        const auto client = connect(server, mode);
        const std::array<std::string_view, 1> ping{"PING"};
        const auto reply = client->call(ping);
        ASSERT_FALSE(reply.has_value());
        EXPECT_EQ(reply.error().code, Errc::corrupt);
    }
}

TEST_F(ClientTest, SilenceEndsTheCall) {
    const FakeServer server([](Spoken, std::string_view, std::string&) { return true; });
    auto client = Client::connect(reactor_, {.port = server.port(), .reply_timeout = 20ms});
    ASSERT_TRUE(client.has_value());
    const auto reply = (*client)->call("PING\n");
    ASSERT_FALSE(reply.has_value());
    EXPECT_EQ(reply.error().code, Errc::io);
}

TEST_F(ClientTest, ARefusedConnectionSaysWhereAndWhatToDo) {
    std::uint16_t port = 0;
    {
        const FakeServer gone;
        port = gone.port();
    }
    const auto client = Client::connect(reactor_, {.port = port});
    ASSERT_FALSE(client.has_value());
    const std::string text = client.error().text();
    EXPECT_NE(text.find("127.0.0.1:" + std::to_string(port)), std::string::npos) << text;
    EXPECT_NE(text.find("Connection refused"), std::string::npos) << text;
    EXPECT_NE(text.find("start kv-server"), std::string::npos) << text;
}

TEST_F(ClientTest, NamesAndBothAddressFamiliesResolve) {
    const FakeServer server;
    for (const char* host : {"localhost", "127.0.0.1", "[::ffff:127.0.0.1]"}) {
        const auto client = Client::connect(reactor_, {.host = host, .port = server.port()});
        EXPECT_TRUE(client.has_value()) << client.error().text();
    }
    const auto v6 = resolve("[::1]", 7);
    ASSERT_TRUE(v6.has_value());
    EXPECT_EQ(v6->front().text(), "[::1]:7");
    EXPECT_FALSE(resolve("no such name", 7).has_value());
}

/// All that the reader makes of `bytes` when they come in two pieces.
std::vector<Reply> read_in_two(Mode mode, std::string_view bytes, std::size_t cut) {
    ReplyReader reader(mode);
    std::vector<Reply> replies;
    for (const std::string_view piece : {bytes.substr(0, cut), bytes.substr(cut)}) {
        reader.append(piece);
        for (;;) {
            auto reply = reader.next();
            if (!reply) ADD_FAILURE() << reply.error().text();
            if (!reply || !*reply) break;
            replies.push_back(**std::move(reply));
        }
    }
    return replies;
}

TEST(ReplyReader, SameRepliesAtEverySplit) {
    const std::string text = "OK\nVALUE a b\nKEYS x y\nNOT_FOUND\nERROR no leader available\n";
    const std::string resp = "+OK\r\n$3\r\na b\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n$-1\r\n-ERR no\r\n";
    const std::string binary(
        "\x00\0\0\0\0\x01\0\0\0\x07\0\0\0\3a b\x04\0\0\0\x0a\0\0\0\2\0\1x\0\1y"
        "\x02\0\0\0\0\x10\0\0\0\4\0\2no",
        5 + 12 + 15 + 5 + 9);
    for (const auto& [mode, bytes] : {std::pair{Mode::text, text}, std::pair{Mode::resp, resp},
                                      std::pair{Mode::binary, binary}}) {
        for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
            const std::vector<Reply> replies = read_in_two(mode, bytes, cut);
            ASSERT_EQ(replies.size(), 5) << name(mode) << " cut at byte " << cut;
            EXPECT_EQ(replies[1].kind, ReplyKind::value);
            EXPECT_EQ(replies[1].text, "a b");
            ASSERT_EQ(replies[2].items.size(), 2);
            EXPECT_EQ(replies[2].items[1].text, "y");
            EXPECT_EQ(replies[3].kind, ReplyKind::absent);
            EXPECT_EQ(replies[4].kind, ReplyKind::error);
        }
    }
}

}  // namespace
}  // namespace kv::client
