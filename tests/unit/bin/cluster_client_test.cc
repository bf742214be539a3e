#include "bin/client/cluster_client.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "bin/client/request.h"
#include "io/uring/uring_backend.h"
#include "proto/shard_map.h"
#include "tests/support/fake_server.h"

namespace kv::client {
namespace {

using test::FakeServer;
using test::Spoken;

/// A node that notes what it is asked, knows who leads everything, and answers lines of text.
class FakeNode {
public:
    using Reply = std::function<std::optional<std::string>(std::string_view request)>;

    /// `reply`, on the thread of the node: the line; nothing: it closes the connection.
    explicit FakeNode(Reply reply)
        : reply_(std::move(reply)),
          server_([this](Spoken spoken, std::string_view request, std::string& out) {
              return answer(spoken, request, out);
          }) {}

    Address address() const { return {"127.0.0.1", server_.port()}; }
    std::string redirect() const { return fmt::format("REDIRECT {}\n", address().text()); }
    /// From now on it says that it belongs to `nodes`, and which of them leads, from 0.
    void belongs(const std::vector<Address>& nodes, std::size_t leader) {
        ShardMap map;
        map.self = NodeId(1);
        for (const Address& address : nodes) {
            ShardMap::Node& node = map.nodes.emplace_back();
            node.node = NodeId(map.nodes.size());
            node.host = address.host;
            node.client_port = address.port;
        }
        ShardMap::Shard& shard = map.shards.emplace_back();
        shard.last_slot = SlotId(16383);
        shard.leader = NodeId(leader + 1);
        std::string bytes;
        encode_shard_map(map, bytes);
        const std::scoped_lock lock(mutex_);
        map_ = fmt::format("${}\r\n{}\r\n", bytes.size(), bytes);
    }
    std::vector<std::string> asked() {
        const std::scoped_lock lock(mutex_);
        return asked_;
    }

private:
    bool answer(Spoken spoken, std::string_view request, std::string& out) {
        const std::scoped_lock lock(mutex_);
        if (spoken == Spoken::resp) {
            out += map_;
            return true;
        }
        asked_.emplace_back(request);
        const auto reply = reply_(request);
        if (reply) out += *reply;
        return reply.has_value();
    }

    Reply reply_;
    std::mutex mutex_;
    std::string map_ = "-ERR unknown subcommand\r\n";
    std::vector<std::string> asked_;
    FakeServer server_;
};

FakeNode::Reply always(std::string line) {
    return [line](std::string_view) { return line; };
}

class ClusterClientTest : public testing::Test {
protected:
    ClusterClientTest() : backend_(std::move(*io::UringBackend::create())), reactor_(*backend_) {}

    std::unique_ptr<ClusterClient> connect(std::vector<Address> nodes, bool follow = true) {
        ClusterOptions options;
        options.nodes = std::move(nodes);
        options.follow = follow;
        options.patience = patience_;
        options.reply_timeout = reply_timeout_;
        auto client = ClusterClient::connect(reactor_, std::move(options));
        EXPECT_TRUE(client.has_value()) << client.error().text();
        return *std::move(client);
    }
    /// The replies to `lines`, sent as one batch, as words of the text protocol.
    static std::vector<std::string> ask(ClusterClient& client,
                                        const std::vector<std::string>& lines) {
        std::vector<Exchange> batch;
        for (const std::string& line : lines) batch.emplace_back(Mode::text, line + "\n");
        std::vector<std::string> replies;
        const Status status = client.run(batch, [&](Exchange& exchange) {
            replies.push_back(exchange.reply.kind == ReplyKind::ok ? "OK" : exchange.reply.text);
        });
        if (!status) replies.push_back("failed: " + std::string(name(status.error().code)));
        return replies;
    }

    /// Bounds what a broken client repeats; no case waits for its end, but those that say so.
    Duration patience_ = 20s;
    Duration reply_timeout_ = 20s;
    std::unique_ptr<io::Backend> backend_;
    io::Reactor reactor_;
};

using Lines = std::vector<std::string>;

TEST_F(ClusterClientTest, GoesWhereItIsSent) {
    FakeNode leader(always("OK\n"));
    FakeNode other(always(leader.redirect()));
    const auto client = connect({other.address()});
    EXPECT_EQ(ask(*client, {"SET k v"}), Lines{"OK"});
    EXPECT_EQ(other.asked(), Lines{"SET k v\n"});
    EXPECT_EQ(leader.asked(), Lines{"SET k v\n"});
}

TEST_F(ClusterClientTest, DoesNotGoAnywhereWhenItIsNotTo) {
    FakeNode leader(always("OK\n"));
    FakeNode other(always(leader.redirect()));
    const auto client = connect({other.address()}, false);
    EXPECT_EQ(ask(*client, {"SET k v"}), Lines{leader.address().text()});
    EXPECT_EQ(leader.asked(), Lines{});
}

TEST_F(ClusterClientTest, AsksTheLeaderAtOnceWhenItKnowsTheMap) {
    FakeNode leader(always("OK\n"));
    FakeNode other(always("OK\n"));
    other.belongs({other.address(), leader.address()}, 1);
    const auto client = connect({other.address()});
    client->learn();
    EXPECT_EQ(ask(*client, {"SET k v", "PING", "SET l w"}), (Lines{"OK", "OK", "OK"}));
    EXPECT_EQ(leader.asked(), (Lines{"SET k v\n", "SET l w\n"}));
    EXPECT_EQ(other.asked(), Lines{"PING\n"});
}

/// Its silence takes longer than patience.
TEST_F(ClusterClientTest, AsksTheOthersWhatANodeSaidNothingTo) {
    FakeNode silent(always(""));
    FakeNode leader(always("VALUE 1\n"));
    silent.belongs({silent.address(), leader.address()}, 0);
    leader.belongs({silent.address(), leader.address()}, 1);
    reply_timeout_ = 1s;
    patience_ = 10ms;
    const auto client = connect({silent.address(), leader.address()});
    client->learn();
    EXPECT_EQ(ask(*client, {"GET k"}), Lines{"1"});
    EXPECT_EQ(silent.asked(), Lines{"GET k\n"});
}

TEST_F(ClusterClientTest, AsksAgainWhatWasRefused) {
    int refusals = 3;
    FakeNode node(
        [&](std::string_view) { return refusals-- > 0 ? "ERROR no leader available\n" : "OK\n"; });
    const auto client = connect({node.address()});
    EXPECT_EQ(ask(*client, {"SET k v"}), Lines{"OK"});
    EXPECT_EQ(node.asked().size(), 4u);
}

TEST_F(ClusterClientTest, NodesThatSendItBackAndForthAreItsAnswerInTheEnd) {
    std::string to_second;
    FakeNode first([&](std::string_view) { return to_second; });
    FakeNode second(always(first.redirect()));
    to_second = second.redirect();
    patience_ = 100ms;
    const auto client = connect({first.address()});
    const Lines replies = ask(*client, {"SET k v"});
    ASSERT_EQ(replies.size(), 1u);
    EXPECT_TRUE(replies[0] == first.address().text() || replies[0] == second.address().text());
    EXPECT_GE(second.asked().size(), 1u);
}

TEST_F(ClusterClientTest, AWriteThatIsLostIsUnknownAndNeverSentAgain) {
    FakeNode leader([](std::string_view request) -> std::optional<std::string> {
        if (request.starts_with("SET")) return std::nullopt;
        return "VALUE v\n";
    });
    FakeNode other(always("PONG\n"));
    other.belongs({other.address(), leader.address()}, 1);
    leader.belongs({other.address(), leader.address()}, 1);
    const auto client = connect({other.address()});
    client->learn();
    EXPECT_EQ(ask(*client, {"SET k v"}),
              Lines{"the server closed the connection, outcome unknown"});
    EXPECT_EQ(leader.asked(), Lines{"SET k v\n"});
    EXPECT_EQ(other.asked(), Lines{});
    EXPECT_EQ(ask(*client, {"GET k"}), Lines{"v"}) << "the client is of use afterwards";
}

TEST_F(ClusterClientTest, AReadThatIsLostIsAskedAgain) {
    int hang_ups = 2;
    FakeNode leader([&](std::string_view) -> std::optional<std::string> {
        if (hang_ups-- > 0) return std::nullopt;
        return "VALUE v\n";
    });
    FakeNode other(always("PONG\n"));
    other.belongs({other.address(), leader.address()}, 1);
    leader.belongs({other.address(), leader.address()}, 1);
    const auto client = connect({other.address()});
    client->learn();
    EXPECT_EQ(ask(*client, {"GET k"}), Lines{"v"});
    EXPECT_EQ(leader.asked().size(), 3u);
}

TEST_F(ClusterClientTest, AReadIsNotAskedAgainBehindALostWriteOfItsBatch) {
    FakeNode leader([](std::string_view) { return std::nullopt; });
    FakeNode other(always("PONG\n"));
    other.belongs({other.address(), leader.address()}, 1);
    leader.belongs({other.address(), leader.address()}, 1);
    const auto client = connect({other.address()});
    client->learn();
    EXPECT_EQ(ask(*client, {"GET k", "SET k v"}),
              (Lines{"the server closed the connection",
                     "the server closed the connection, outcome unknown"}));
    EXPECT_EQ(leader.asked(), Lines{"GET k\n"}) << "it would see the write";
}

TEST_F(ClusterClientTest, OfAServerThatIsAloneALossIsTheEnd) {
    FakeNode node([](std::string_view) { return std::nullopt; });
    const auto client = connect({node.address()});
    client->learn();
    EXPECT_EQ(ask(*client, {"GET k"}), Lines{"failed: closed"});
    EXPECT_EQ(node.asked(), Lines{"GET k\n"});
}

TEST_F(ClusterClientTest, GoesOnWithTheOthersWhenANodeIsGone) {
    auto gone = std::make_unique<FakeNode>(always("OK\n"));
    FakeNode other(always("OK\n"));
    const auto client = connect({gone->address(), other.address()});
    EXPECT_EQ(ask(*client, {"SET k v"}), Lines{"OK"});
    EXPECT_EQ(gone->asked(), Lines{"SET k v\n"});
    gone.reset();
    EXPECT_EQ(ask(*client, {"SET l w"}), Lines{"OK"}) << "the end was seen before it was sent";
    EXPECT_EQ(other.asked(), Lines{"SET l w\n"});
}

TEST_F(ClusterClientTest, WhenAllNodesAreGoneNothingWasAppliedAndItSaysSo) {
    auto one = std::make_unique<FakeNode>(always("OK\n"));
    auto two = std::make_unique<FakeNode>(always("OK\n"));
    patience_ = 100ms;
    const auto client = connect({one->address(), two->address()});
    one.reset();
    two.reset();
    const Lines replies = ask(*client, {"SET k v", "PING", "GET k"});
    ASSERT_EQ(replies.size(), 3u);
    for (const std::string& reply : replies) {
        EXPECT_TRUE(reply.starts_with("cannot connect to 127.0.0.1:")) << reply;
    }
}

TEST_F(ClusterClientTest, BeginsWithTheFirstNodeThatAccepts) {
    Address nowhere;
    {
        const FakeNode gone(always("OK\n"));
        nowhere = gone.address();
    }
    FakeNode node(always("OK\n"));
    const auto client = connect({nowhere, node.address()});
    EXPECT_EQ(client->home(), node.address());
    EXPECT_EQ(ask(*client, {"PING"}), Lines{"OK"});
}

/// Leadership that comes back within a batch must not swap two writes.
TEST_F(ClusterClientTest, WhatWasRefusedIsNotSentBehindWhatFollowsIt) {
    FakeNode elsewhere(always("OK\n"));
    FakeNode node([&](std::string_view request) {
        return request == "SET k 1\n" ? elsewhere.redirect() : std::string("OK\n");
    });
    node.belongs({node.address(), elsewhere.address()}, 0);
    const auto client = connect({node.address()});
    client->learn();
    EXPECT_EQ(ask(*client, {"SET k 1", "SET k 2"}), (Lines{elsewhere.address().text(), "OK"}));
    EXPECT_EQ(elsewhere.asked(), Lines{});
}

TEST_F(ClusterClientTest, RefusedWritesOfOneKeyAreSentAgainInTheirOrder) {
    FakeNode leader(always("OK\n"));
    FakeNode old(always(leader.redirect()));
    old.belongs({old.address(), leader.address()}, 0);
    leader.belongs({old.address(), leader.address()}, 1);
    const auto client = connect({old.address()});
    client->learn();
    EXPECT_EQ(ask(*client, {"SET k 1", "SET k 2", "KEYS", "SET k 3"}),
              (Lines{"OK", "OK", "OK", "OK"}));
    EXPECT_EQ(leader.asked(), (Lines{"SET k 1\n", "SET k 2\n", "KEYS\n", "SET k 3\n"}));
}

}  // namespace
}  // namespace kv::client
