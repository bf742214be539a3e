// A node among whole nodes of a cluster, one of which is not what it says: strangers at the port
// for nodes, and somebody who knows everything that node 3 knows but says what no node would. The
// node stays up, closes the connection, counts it, and needs no more memory than it has named.

#include <gtest/gtest.h>

#include "proto/raft/snapshot_frame.h"
#include "tests/support/sim_client.h"
#include "tests/support/sim_cluster.h"

namespace kv::sim {
namespace {

constexpr NodeId n1{1};
constexpr NodeId n2{2};
constexpr NodeId n3{3};
constexpr std::size_t adopted_max = 256;  // consensus/drive/transport.h
constexpr std::uint64_t top = ~std::uint64_t{0};

ClusterOptions options() {
    ClusterOptions options;
    options.cores = 2;
    options.config = cluster_config();
    options.impostor = true;
    return options;
}

class HostilePeer : public testing::Test {
protected:
    HostilePeer() : cluster(options()) {
        cluster.start_all();
        EXPECT_TRUE(cluster.await_leaders());
        // Everything that node 3 knows is known; it is dead from here on.
        const Identity& identity = cluster.node(n3).directory().identity();
        self.state = NodeState::member;
        self.cores = 2;
        self.cluster = {identity.cluster.high, identity.cluster.low};
        self.node = n3;
        self.store = identity.store;
        self.boot = identity.boot;
        self.expected = n1;
        self.nonce = 77;
        cluster.crash(n3);
        EXPECT_TRUE(cluster.await_leaders());
    }
    ~HostilePeer() override {
        EXPECT_TRUE(cluster.up(n1));
        EXPECT_FALSE(cluster.node(n1).failure().has_value());
        EXPECT_TRUE(cluster.await_leaders()) << "the majority goes on";
        EXPECT_FALSE(cluster.wrong().has_value()) << cluster.wrong()->text;
    }

    std::unique_ptr<SimClient> connect() {
        const auto to = *io::parse_endpoint("10.0.0.1", SimCluster::peer_port);
        return std::make_unique<SimClient>(cluster.world, cluster.clients(), to);
    }
    /// Connects as `as` and gets an answer; the seal is of what it sends from then on. A core that
    /// is still busy with the last connection closes this one without a word: then once more.
    std::unique_ptr<SimClient> greet(const Handshake& as) {
        std::unique_ptr<SimClient> client;
        auto theirs = try_to_greet(as, client);
        for (int again = 0; again < 20 && !theirs; ++again) {
            cluster.play(100ms);
            theirs = try_to_greet(as, client);
        }
        EXPECT_TRUE(theirs.has_value());
        if (theirs) verdict = theirs->verdict;
        if (theirs) seal = FrameSeal(as.nonce, theirs->nonce);
        return client;
    }
    Result<Handshake> try_to_greet(const Handshake& as, std::unique_ptr<SimClient>& client) {
        client = connect();
        client->send(bytes_of(as));
        std::size_t consumed = 0;
        auto theirs = decode_handshake({}, consumed);
        for (std::size_t bytes = handshake_bytes_min; !theirs; ++bytes) {
            if (!client->wait_for(bytes, 5s) || client->received().size() < bytes) break;
            theirs = decode_handshake(as_bytes(client->received()), consumed);
        }
        return theirs;
    }
    static std::string bytes_of(const Handshake& handshake) {
        std::string bytes;
        encode_handshake(handshake, bytes);
        return bytes;
    }
    std::string frame(FrameKind kind, std::string_view payload) {
        std::string bytes;
        const std::size_t begin = begin_frame(kind, bytes);
        bytes.append(payload);
        end_frame(bytes, begin);
        seal_frames(bytes, seal);
        return bytes;
    }
    std::string frame_of(Message message) {
        message.from = n3;
        message.to = n1;
        std::string bytes;
        encode_message(message, bytes);
        return frame(FrameKind::messages, bytes);
    }
    Message message_of(std::uint64_t group, std::uint64_t term, MessageBody body) {
        return {GroupId(group), n3, n1, Term(term), 1, ++sequence, std::move(body)};
    }
    const consensus::PeerAcceptor::Counters& port() {
        return cluster.node(n1).peers()->acceptor()->counters();
    }
    const consensus::Transport::Counters& transport(std::size_t core = 0) {
        return cluster.node(n1).peers(core)->transport().counters();
    }

    SimCluster cluster;
    Handshake self;
    FrameSeal seal;
    std::uint16_t verdict = 0;
    std::uint64_t sequence = 0;
};

TEST_F(HostilePeer, StrangersAreClosedAndCounted) {
    const std::string question = bytes_of(self);
    std::string long_one = question;
    store_le<std::uint16_t>(long_one.data() + 4, 0xffff);
    std::string flipped = question;
    flipped[40] = static_cast<char>(flipped[40] ^ 1);
    const std::string garbage[] = {"GET / HTTP/1.1\r\n\r\n", std::string(100'000, '\0'), long_one,
                                   flipped, question + question};
    std::uint64_t malformed = port().malformed;
    for (const std::string& bytes : garbage) {
        const auto client = connect();
        client->send(bytes);
        EXPECT_TRUE(client->wait_end(10s));
        EXPECT_EQ(client->received(), "");
        EXPECT_EQ(port().malformed, ++malformed);
    }
}

TEST_F(HostilePeer, ASlowHandshakeEndsInTime) {
    const std::uint64_t malformed = port().malformed;
    const auto slow = connect();
    slow->set_gap(1s);
    for (const char one : bytes_of(self)) slow->send(std::string_view(&one, 1));
    const auto silent = connect();
    EXPECT_TRUE(slow->wait_end(3s));
    EXPECT_TRUE(silent->wait_end(3s));
    EXPECT_EQ(port().malformed, malformed + 2);
    cluster.play(200ms);
    EXPECT_EQ(cluster.node(n1).peers()->acceptor()->pending(), 0u);
}

TEST_F(HostilePeer, WhoIsNotWhoItSaysIsRefused) {
    struct Lie {
        Refusal refusal;
        Handshake told;
    };
    std::vector<Lie> lies(7, {Refusal::cluster, self});
    lies[0].told.cluster.low ^= 1;
    lies[1] = {Refusal::store, self};
    lies[1].told.store.low ^= 1;
    lies[2] = {Refusal::boot, self};
    lies[2].told.boot -= 1;
    lies[3] = {Refusal::membership, self};
    lies[3].told.node = NodeId(9);
    lies[4] = {Refusal::self, self};
    lies[4].told.node = n1;
    lies[5] = {Refusal::wrong_node, self};
    lies[5].told.expected = n2;
    lies[6] = {Refusal::store, self};  // an empty disk under an old id
    lies[6].told.state = NodeState::empty;
    lies[6].told.cluster = {};
    lies[6].told.store = {5, 6};
    std::uint64_t refused = port().refused;
    for (const Lie& lie : lies) {
        const auto client = greet(lie.told);
        EXPECT_EQ(verdict, static_cast<std::uint16_t>(lie.refusal)) << name(lie.refusal);
        EXPECT_TRUE(client->wait_end(5s));
        EXPECT_EQ(port().refused, ++refused);
    }
}

/// The same question once more: whoever sends it has the place of the first, and its frames do not
/// fit.
TEST_F(HostilePeer, AReplayedConversationSaysNothing) {
    const auto first = greet(self);
    ASSERT_EQ(verdict, verdict_accepted);
    const std::string said = frame_of(message_of(1, 1, HeartbeatReply{1}));
    first->send(said);
    cluster.play(100ms);
    const std::uint64_t frames = transport().frames_received;
    const std::uint64_t broken = transport().connections_broken;
    const auto again = greet(self);
    again->send(said);
    EXPECT_TRUE(again->wait_end(5s));
    EXPECT_TRUE(first->wait_end(5s)) << "one connection for each core";
    EXPECT_EQ(transport().frames_received, frames);
    EXPECT_EQ(transport().connections_broken, broken + 1);
}

/// Frames that are sealed as they should be, and hold what no node would say.
TEST_F(HostilePeer, NoFrameEndsTheProcess) {
    const std::string nonsense[] = {std::string(39, '\1'), std::string(40, '\0'),
                                    std::string(64, '\xff'),
                                    std::string("\x30\0\0\0\5\1\0\0", 8) + std::string(40, '\xff')};
    for (const FrameKind kind :
         {FrameKind::messages, FrameKind::heartbeats, FrameKind::heartbeat_replies,
          FrameKind::forwards, FrameKind::forward_replies, FrameKind::idle,
          FrameKind::snapshot_begin, FrameKind::snapshot_chunk, FrameKind::snapshot_end}) {
        for (const std::string& payload : nonsense) {
            const auto client = greet(self);
            ASSERT_EQ(verdict, verdict_accepted);
            client->send(frame(kind, payload));
            cluster.play(20ms);
        }
    }
    // A header that promises more than any frame has.
    const auto client = greet(self);
    std::string huge = frame(FrameKind::messages, std::string(100, '\0'));
    store_le<std::uint32_t>(huge.data() + 8, 0xffffffff);
    const std::uint64_t broken = transport().connections_broken;
    client->send(huge);
    EXPECT_TRUE(client->wait_end(5s));
    EXPECT_EQ(transport().connections_broken, broken + 1);
}

/// Messages that are in order, and say what no node would, for every group and for some that do not
/// exist.
TEST_F(HostilePeer, NoMessageEndsTheProcess) {
    const std::uint64_t ends[] = {0,       1,       2,  3, 100, 1u << 20, std::uint64_t{1} << 40,
                                  top / 2, top - 1, top};
    const std::uint64_t groups[] = {0, 1, 2, 3, 4, 5, 1u << 16, top};
    auto client = greet(self);
    ASSERT_EQ(verdict, verdict_accepted);
    for (const std::uint64_t group : groups) {
        for (const std::uint64_t term : ends) {
            for (const std::uint64_t index : ends) {
                const LogPosition position{Term(term), Index(index)};
                for (const MessageBody& body : std::initializer_list<MessageBody>{
                         VoteRequest{position, true, false}, VoteRequest{position, false, true},
                         VoteReply{false, true}, AppendRequest{position, Index(index), {}},
                         AppendReply{true, Index(index), position},
                         AppendReply{false, Index(index), {}},
                         HeartbeatRequest{Index(index), index}, HeartbeatReply{index},
                         SnapshotRequest{position}, TimeoutNow{}}) {
                    client->send(frame_of(message_of(group, term, body)));
                }
            }
        }
        cluster.play(500ms);
        ASSERT_TRUE(client->all_sent());
        ASSERT_FALSE(client->ended()) << "it is all in order";
    }
}

/// What another core cannot read ends the connection as well, and is said in the log now and then.
TEST_F(HostilePeer, WhatAnotherCoreCannotReadEndsTheConnection) {
    const auto client = greet(self);
    ASSERT_EQ(verdict, verdict_accepted);
    std::string bytes;
    encode_message(message_of(2, 1, HeartbeatReply{1}), bytes);  // core 1 has group 2
    bytes[6] = '\x7f';                                           // flags that it has not
    client->send(frame(FrameKind::messages, bytes));
    EXPECT_TRUE(client->wait_end(5s));
    EXPECT_EQ(cluster.node(n1).peers(1)->counters().blocks_refused, 1u);
    EXPECT_FALSE(greet(self)->ended()) << "it may come again";
}

/// What a core has no time for waits with whoever sends it, not here.
TEST_F(HostilePeer, AFloodForACoreThatIsBusyWaitsOutside) {
    const auto client = greet(self);
    ASSERT_EQ(verdict, verdict_accepted);
    const std::uint64_t pauses = cluster.node(n1).peers()->counters().reading_pauses;
    cluster.world.pause_core(n1, CoreId(1), 3s);
    std::string body;
    encode_message(message_of(2, 0, VoteRequest{{}, true, false}), body);
    for (int i = 0; i < 20'000; ++i) client->send(frame(FrameKind::messages, body));
    cluster.play(2s);
    const Peers::Counters& counters = cluster.node(n1).peers()->counters();
    EXPECT_EQ(counters.reading_pauses, pauses + 1);
    EXPECT_LE(counters.passed_parcels_max, Peers::passed_parcels_max + 8);
    EXPECT_FALSE(client->all_sent());
    ASSERT_TRUE(cluster.play_until([&] { return client->all_sent(); }, 60s));
    EXPECT_FALSE(client->ended());
}

/// A question of the last life that there can be: nothing comes after it, and nothing of it hurts.
TEST_F(HostilePeer, TheLastBootIsABoot) {
    Handshake last = self;
    last.boot = top;
    const auto client = greet(last);
    EXPECT_EQ(verdict, verdict_accepted);
    client->send(frame(FrameKind::idle, ""));
    cluster.play(1s);
    EXPECT_FALSE(client->ended());
    EXPECT_EQ((greet(self), verdict), static_cast<std::uint16_t>(Refusal::boot));
}

/// A node of more cores than there can be is heard on so many connections and no more.
TEST_F(HostilePeer, ConnectionsOfANodeAreBounded) {
    std::vector<std::unique_ptr<SimClient>> clients;
    Handshake many = self;
    many.cores = 0xffff;
    for (std::uint16_t i = 0; i < adopted_max + 10; ++i) {
        many.core = CoreId(static_cast<std::uint16_t>(2 * i));
        clients.push_back(greet(many));
        ASSERT_EQ(verdict, verdict_accepted);
    }
    cluster.play(100ms);
    const auto open = std::ranges::count_if(clients, [](const auto& one) { return !one->ended(); });
    EXPECT_EQ(static_cast<std::size_t>(open), adopted_max);
}

/// Who only says that it lives does not keep the place of those that have a snapshot to bring.
TEST_F(HostilePeer, ASnapshotThatDoesNotComeHoldsNobodyUp) {
    Handshake purpose = self;
    purpose.purpose = Purpose::snapshot;
    purpose.cores = 4;
    const auto client = greet(purpose);
    ASSERT_EQ(verdict, verdict_accepted);
    const Instant begin = cluster.world.now();
    while (!client->ended() && cluster.world.now() - begin < 2min) {
        client->send(frame(FrameKind::idle, ""));
        cluster.play(500ms);
    }
    EXPECT_TRUE(client->ended());
    EXPECT_LE(cluster.world.now() - begin, consensus::SnapshotLink::receive_wait_max + 2s);
}

/// On a connection for snapshots: an offer that lies about its size, one of a group that there is
/// not, and a sender that says nothing.
TEST_F(HostilePeer, NoSnapshotEndsTheProcess) {
    Handshake purpose = self;
    purpose.purpose = Purpose::snapshot;
    purpose.cores = 4;
    const std::uint64_t sizes[] = {0, 1, 4096, top};
    for (const std::uint16_t shard : {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{3}}) {
        purpose.core = CoreId(shard);
        for (const std::uint64_t size : sizes) {
            for (const std::uint64_t index : {std::uint64_t{1000}, top / 2, top}) {
                auto client = greet(purpose);
                ASSERT_EQ(verdict, verdict_accepted);
                SnapshotBegin begin;
                begin.snapshot = 5;
                begin.size = size;
                begin.request =
                    message_of(shard + 1u, 90, SnapshotRequest{{Term(80), Index(index)}});
                std::string bytes;
                ASSERT_TRUE(encode_snapshot_begin(begin, bytes));
                std::string more;
                encode_snapshot_chunk({0, as_bytes(std::string_view("not a frame of a snapshot"))},
                                      more);
                encode_snapshot_end(5, more);
                bytes += more;
                seal_frames(bytes, seal);
                client->send(bytes);
                EXPECT_TRUE(client->wait_end(5s));
            }
        }
    }
    for (const FrameKind kind : {FrameKind::messages, FrameKind::snapshot_end}) {
        const auto client = greet(purpose);
        client->send(frame(kind, std::string(8, '\0')));
        EXPECT_TRUE(client->wait_end(5s));
    }
    purpose.cores = 0xffff;
    purpose.core = CoreId(0xfff0);  // no such shard
    EXPECT_TRUE(greet(purpose)->wait_end(5s));
}

}  // namespace
}  // namespace kv::sim
