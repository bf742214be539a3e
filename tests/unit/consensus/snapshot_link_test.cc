/// A connection that carries a snapshot, by itself: two of them over the simulated network.

#include "consensus/drive/snapshot_link.h"

#include <gtest/gtest.h>

#include "consensus/drive/peer_acceptor.h"
#include "io/sim/sim_process.h"
#include "io/sim/sim_world.h"

namespace kv::consensus {
namespace {

const NodeId n1(1);
const NodeId n2(2);
constexpr std::size_t mib = std::size_t{1} << 20;

/// A node that connects, or takes the connection that comes; it sends and receives as told.
class End final : private PeerBook, private PeerAcceptor::Taker {
public:
    End(io::SimWorld& world, NodeId id) : world_(world), id_(id), process_(world, id) {}
    ~End() { process_.kill(); }

    void listen() {
        PeerBook& book = *this;
        PeerAcceptor::Taker& taker = *this;
        acceptor_ = std::make_unique<PeerAcceptor>(process_.reactor(), book, taker);
        const auto run = [](PeerAcceptor* acceptor) -> io::Task<void> {
            const io::Endpoint endpoint = *io::parse_endpoint("10.0.0.2", 7000);
            const auto bound = co_await acceptor->listen(endpoint);
            EXPECT_TRUE(bound.has_value());
        };
        ASSERT_TRUE(process_.run(run(acceptor_.get())));
    }
    void connect(const char* host = "10.0.0.2") {
        make_link();
        process_.reactor().spawn(connect_to(*io::parse_endpoint(host, 7000)));
    }
    /// One after the other, each a chunk.
    void send(std::vector<std::string> chunks) {
        process_.reactor().spawn(send_all(std::move(chunks)));
    }
    /// Everything that comes, until it ends.
    void receive() { process_.reactor().spawn(receive_all()); }
    void receive_one() { process_.reactor().spawn(receive_next()); }
    void close(bool flush = false) { ASSERT_TRUE(process_.run(link->close(flush))); }

    std::unique_ptr<SnapshotLink> link;
    std::optional<Status> connected;
    std::size_t sent = 0;             ///< sends that returned well
    std::optional<Error> send_error;  ///< of the first that did not
    std::vector<std::string> heard;   ///< the bytes of chunks, in order
    std::optional<Error> receive_error;
    bool unwanted = false;  ///< refuses whoever comes
    bool kept = false;      ///< the acceptor brought a connection

private:
    void make_link() {
        PeerBook& book = *this;
        link = std::make_unique<SnapshotLink>(process_.reactor(), book);
    }
    io::Task<void> connect_to(io::Endpoint endpoint) {
        const PeerAddress peer{n2, endpoint};
        connected = co_await link->connect(peer, ShardId(3), 8);
    }
    io::Task<void> send_all(std::vector<std::string> chunks) {
        for (std::string& bytes : chunks) {
            std::string frame;
            encode_snapshot_chunk({sent, as_bytes(bytes)}, frame);
            const Status status = co_await link->send(std::move(frame));
            if (!status) {
                send_error = status.error();
                co_return;
            }
            ++sent;
        }
    }
    io::Task<void> receive_next() {
        const Result<SnapshotLink::Received> received = co_await link->receive();
        if (!received) {
            receive_error = received.error();
            co_return;
        }
        const Result<SnapshotChunk> chunk = decode_snapshot_chunk(received->frame());
        EXPECT_TRUE(chunk.has_value());
        if (!chunk) co_return;
        EXPECT_EQ(chunk->offset, heard.size());
        heard.emplace_back(as_text(chunk->bytes));
    }
    io::Task<void> receive_all() {
        while (!receive_error) co_await receive_next();
    }

    Handshake introduce() noexcept override {
        Handshake own;
        own.state = NodeState::member;
        own.cluster = {1, unwanted ? 3u : 2u};
        own.node = id_;
        own.store = {id_.value(), 1};
        own.boot = 1;
        return own;
    }
    Acquaintance know(NodeId node) noexcept override { return {true, {node.value(), 1}, 0}; }
    void on_met(const Handshake&) noexcept override {}
    void on_refused(const Handshake&, std::uint16_t, bool) noexcept override {}
    void take(std::int32_t fd, const Handshake& theirs, CoreId) noexcept override {
        make_link();
        link->adopt(fd, theirs);
        kept = true;
    }

    io::SimWorld& world_;
    const NodeId id_;
    io::SimProcess process_;
    std::unique_ptr<PeerAcceptor> acceptor_;
};

struct Pair {
    explicit Pair(std::uint64_t seed = 1) : world(with_nodes(seed)), a(*world, n1), b(*world, n2) {
        b.listen();
    }
    void connect() {
        a.connect();
        ASSERT_TRUE(until([&] { return a.connected && b.kept; }));
        ASSERT_TRUE(*a.connected) << a.connected->error().text();
    }
    template <typename Done>
    bool until(Done done, Duration limit = 2min) {
        return world->run_until(done, limit);
    }
    static std::unique_ptr<io::SimWorld> with_nodes(std::uint64_t seed) {
        auto world = std::make_unique<io::SimWorld>(seed);
        world->add_node(n1, {"10.0.0.1"});
        world->add_node(n2, {"10.0.0.2"});
        return world;
    }

    std::unique_ptr<io::SimWorld> world;
    End a;
    End b;
};

std::vector<std::string> chunks(std::size_t count, std::size_t bytes_max) {
    std::vector<std::string> made;
    for (std::size_t i = 0; i < count; ++i) {
        made.emplace_back(1 + i * 7919 % bytes_max, static_cast<char>('a' + i % 26));
    }
    return made;
}

TEST(SnapshotLink, FramesOfAnySizeArriveInOrderInBothDirections) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        Pair pair(seed);
        ASSERT_NO_FATAL_FAILURE(pair.connect());
        EXPECT_EQ(pair.b.link->theirs().node, n1);
        EXPECT_EQ(pair.b.link->theirs().core.value(), 3u) << "the shard";
        EXPECT_EQ(pair.b.link->theirs().cores, 8u) << "how many shards there are";
        std::vector<std::string> there = chunks(30, 20'000);
        there.emplace_back(snapshot_chunk_bytes_max, 'z');
        const std::vector<std::string> back = chunks(10, 300);
        pair.a.send(there);
        pair.b.send(back);
        pair.a.receive();
        pair.b.receive();
        ASSERT_TRUE(pair.until([&] {
            return pair.b.heard.size() == there.size() && pair.a.heard.size() == back.size();
        }));
        EXPECT_TRUE(pair.b.heard == there);
        EXPECT_TRUE(pair.a.heard == back);
        pair.a.close();
        ASSERT_TRUE(pair.until([&] { return pair.b.receive_error.has_value(); }));
        EXPECT_EQ(pair.b.receive_error->code, Errc::io);
        pair.b.close();
        EXPECT_TRUE(pair.until([&] { return pair.world->network().open_sockets() == 0; }));
    }
}

/// What waits is bounded on both sides, whatever the other one does not do.
TEST(SnapshotLink, WhoIsNotReceivedFromWaits) {
    Pair pair;
    ASSERT_NO_FATAL_FAILURE(pair.connect());
    const std::vector<std::string> all(60, std::string(mib / 8, 'x'));
    pair.a.send(all);
    pair.world->run_for(5s);
    const std::size_t stopped_at = pair.a.sent;
    // Two frames of slack, what the network holds, and what the kernel is being given.
    const std::size_t bound = SnapshotLink::queued_bytes_max + SnapshotLink::inbox_bytes_max + mib;
    EXPECT_LE(stopped_at * (mib / 8), bound);
    EXPECT_GT(stopped_at * (mib / 8), SnapshotLink::inbox_bytes_max);
    EXPECT_FALSE(pair.a.link->broken()) << "it lives";
    pair.b.receive();
    ASSERT_TRUE(pair.until([&] { return pair.b.heard.size() == all.size(); }));
    EXPECT_EQ(pair.a.sent, all.size());
}

TEST(SnapshotLink, WhoOnlySaysThatItLivesIsGivenUp) {
    Pair pair;
    ASSERT_NO_FATAL_FAILURE(pair.connect());
    pair.b.receive_one();
    pair.world->run_for(SnapshotLink::receive_wait_max - 1s);
    EXPECT_FALSE(pair.b.receive_error.has_value());
    EXPECT_FALSE(pair.b.link->broken());
    pair.world->run_for(2s);
    ASSERT_TRUE(pair.b.receive_error.has_value());
    EXPECT_EQ(pair.b.receive_error->code, Errc::io);
}

TEST(SnapshotLink, WhatIsDamagedOnTheWireIsNotDelivered) {
    for (std::uint64_t at = 0; at < 3000; at += 97) {
        SCOPED_TRACE(at);
        Pair pair(at);
        ASSERT_NO_FATAL_FAILURE(pair.connect());
        pair.world->network().flip_bit(n1, n2, at);
        const std::vector<std::string> all(5, std::string(1000, 'x'));
        pair.a.send(all);
        pair.b.receive();
        ASSERT_TRUE(pair.until([&] { return pair.b.receive_error.has_value(); }));
        EXPECT_LE(pair.b.heard.size(), 3u);
        for (const std::string& bytes : pair.b.heard) EXPECT_EQ(bytes, all[0]);
        EXPECT_TRUE(pair.b.link->broken());
    }
}

TEST(SnapshotLink, WhereNobodyListensItSaysWhy) {
    Pair pair;
    pair.a.connect("10.0.0.1");
    ASSERT_TRUE(pair.until([&] { return pair.a.connected.has_value(); }));
    ASSERT_FALSE(*pair.a.connected);
    EXPECT_EQ(pair.a.connected->error().code, Errc::io);
    EXPECT_FALSE(pair.a.connected->error().text().empty());
    pair.a.close();
}

TEST(SnapshotLink, OfAnotherClusterItIsRefusedInWords) {
    Pair pair;
    pair.b.unwanted = true;
    pair.a.connect();
    ASSERT_TRUE(pair.until([&] { return pair.a.connected.has_value(); }));
    ASSERT_FALSE(*pair.a.connected);
    EXPECT_NE(pair.a.connected->error().text().find("cluster"), std::string::npos)
        << pair.a.connected->error().text();
    EXPECT_FALSE(pair.b.kept);
    pair.a.close();
}

TEST(SnapshotLink, ABrokenConnectionLetsGoOfWhoWaits) {
    Pair pair;
    ASSERT_NO_FATAL_FAILURE(pair.connect());
    pair.a.send(std::vector<std::string>(60, std::string(mib / 8, 'x')));
    pair.a.receive();
    pair.world->run_for(5s);
    EXPECT_FALSE(pair.a.send_error || pair.a.receive_error);
    pair.world->network().reset_connections(n1, n2);
    ASSERT_TRUE(pair.until([&] { return pair.a.send_error && pair.a.receive_error; }, 5s));
    pair.b.receive();  // what had arrived is there still
    ASSERT_TRUE(pair.until([&] { return pair.b.receive_error.has_value(); }));
    EXPECT_GE(pair.b.heard.size(), 8u);
    pair.a.close();
    pair.b.close();
}

TEST(SnapshotLink, ACloseThatFlushesSendsWhatWaits) {
    Pair pair;
    ASSERT_NO_FATAL_FAILURE(pair.connect());
    pair.b.receive();
    const std::vector<std::string> all = chunks(20, 10'000);
    pair.a.send(all);
    ASSERT_TRUE(pair.until([&] { return pair.a.sent == all.size(); }));
    pair.a.close(true);
    ASSERT_TRUE(pair.until([&] { return pair.b.receive_error.has_value(); }));
    EXPECT_TRUE(pair.b.heard == all);
    pair.b.close();
}

}  // namespace
}  // namespace kv::consensus
