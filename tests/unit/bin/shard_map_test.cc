#include "bin/client/shard_map.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/uring/uring_backend.h"
#include "tests/support/fake_server.h"

namespace kv::client {
namespace {

using test::FakeServer;
using test::Spoken;

class FetchShardMap : public testing::Test {
protected:
    FetchShardMap() : backend_(std::move(*io::UringBackend::create())), reactor_(*backend_) {}

    /// What a server gets and answers.
    Result<ShardMap> fetch(std::string reply) {
        const FakeServer server([&](Spoken spoken, std::string_view request, std::string& out) {
            spoken_ = spoken;
            request_ = request;
            out += reply;
            return true;
        });
        port_ = server.port();
        return fetch_shard_map(reactor_, {.port = port_, .mode = Mode::binary});
    }
    static std::string bulk(const ShardMap& map) {
        std::string bytes;
        encode_shard_map(map, bytes);
        return fmt::format("${}\r\n{}\r\n", bytes.size(), bytes);
    }

    std::unique_ptr<io::Backend> backend_;
    io::Reactor reactor_;
    std::uint16_t port_ = 0;
    Spoken spoken_ = Spoken::text;
    std::string request_;
};

ShardMap map_of(std::size_t nodes) {
    ShardMap map;
    map.self = NodeId(1);
    for (std::size_t i = 1; i <= nodes; ++i) {
        ShardMap::Node node;
        node.node = NodeId(i);
        node.host = fmt::format("10.0.0.{}", i);
        node.client_port = 6379;
        map.nodes.push_back(node);
    }
    ShardMap::Shard shard;
    shard.last_slot = SlotId(16383);
    shard.leader = NodeId(nodes);
    map.shards.push_back(shard);
    return map;
}

TEST_F(FetchShardMap, IsWhatTheNodeSays) {
    const ShardMap map = map_of(3);
    const auto fetched = fetch(bulk(map));
    ASSERT_TRUE(fetched.has_value()) << fetched.error().text();
    EXPECT_EQ(*fetched, map);
    EXPECT_EQ(spoken_, Spoken::resp);
    EXPECT_EQ(request_, "*2\r\n$7\r\nCLUSTER\r\n$3\r\nMAP\r\n");
}

TEST_F(FetchShardMap, OfANodeThatIsAloneHasTheAddressThatWasAsked) {
    const auto fetched = fetch(bulk(map_of(1)));
    ASSERT_TRUE(fetched.has_value()) << fetched.error().text();
    ASSERT_EQ(fetched->nodes.size(), 1u);
    EXPECT_EQ(fetched->nodes[0].host, "127.0.0.1");
    EXPECT_EQ(fetched->nodes[0].client_port, port_);
}

TEST_F(FetchShardMap, OfAServerWithoutOneIsItsRefusal) {
    const auto fetched = fetch("-ERR unknown subcommand 'MAP'. Try CLUSTER HELP.\r\n");
    ASSERT_FALSE(fetched.has_value());
    EXPECT_EQ(fetched.error().code, Errc::unsupported);
    EXPECT_EQ(fetched.error().text(), "ERR unknown subcommand 'MAP'. Try CLUSTER HELP.");
}

TEST_F(FetchShardMap, OfBytesThatAreNoneIsAnError) {
    const auto fetched = fetch("$3\r\nabc\r\n");
    ASSERT_FALSE(fetched.has_value());
    EXPECT_EQ(fetched.error().code, Errc::unsupported);  // a version that cannot be known
}

}  // namespace
}  // namespace kv::client
