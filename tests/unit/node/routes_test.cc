/// What a connection does when a shard of which it has requests under way gets another leader, or
/// when what comes back makes no sense. The test speaks for the other nodes.

#include <gtest/gtest.h>

#include "tests/unit/node/fake_cluster.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

constexpr ShardId shard_of_bar{1};
constexpr std::string_view ok = "+OK\r\n";
constexpr std::string_view down = "-CLUSTERDOWN no leader for slot 5061\r\n";
constexpr std::string_view unknown = "-TIMEOUT commit timed out, outcome unknown\r\n";

std::string line(std::string_view words) {
    return std::string(words) + "\r\n";
}
std::string set(std::string_view value) {
    return line("SET bar " + std::string(value));
}

/// One core: the client's connection and the shard are on it. Node 3 leads the shard of bar.
class Routes : public testing::Test {
protected:
    FakeCluster here{1};
    std::unique_ptr<SimClient> client;

    void SetUp() override {
        here.lead_all();
        here.lead_elsewhere(shard_of_bar, NodeId(3));
        here.connect_forwarders();
        client = here.connect();
    }
    void send(std::string_view requests) {
        client->send(requests);
        here.run_for(5ms);
    }
    /// What was asked of other nodes since the last time: "node value", or "node" of a read.
    std::vector<std::string> asked() {
        std::vector<std::string> out;
        for (FakeCluster::Packet& packet : std::exchange(here.sent, {})) {
            const auto request = decode_forward_request(as_bytes(packet.content));
            Command command;
            std::string text = std::to_string(packet.node.value());
            if (request && request->kind == ForwardKind::apply &&
                decode_command(as_bytes(request->content), command)) {
                text.append(" ").append(command.value);
            }
            out.push_back(text);
            packets.push_back(std::move(packet));
        }
        return out;
    }
    /// The answer to the request that was asked as number `at`, from where it was asked.
    void answer(std::size_t at, const ForwardReply& reply) {
        const Outcome said = reply.error ? outcome(*reply.error) : Outcome::applied;
        answer(at, reply, said);
    }
    void answer(std::size_t at, const ForwardReply& reply, Outcome said) {
        FakeCluster::Packet packet = packets.at(at);
        packet.reply = true;
        packet.forward.outcome = said;
        packet.content.clear();
        encode_forward_reply(reply, packet.content);
        here.arrive(packet);
        here.run_for(5ms);
    }
    static ForwardReply applied() {
        ForwardReply reply;
        reply.kind = ForwardKind::apply;
        reply.number = 1;
        return reply;
    }
    static ForwardReply refused(Errc error, NodeId leader = {},
                                ForwardKind kind = ForwardKind::apply) {
        ForwardReply reply;
        reply.kind = kind;
        reply.error = error;
        reply.leader = leader;
        return reply;
    }
    using Asked = std::vector<std::string>;

    std::vector<FakeCluster::Packet> packets;
};

TEST_F(Routes, NothingBeginsHereWhileSomethingBeforeItIsElsewhere) {
    send(set("1"));
    EXPECT_EQ(asked(), Asked{"3 1"});
    here.lead_all();
    send(set("2") + line("GET bar"));
    here.run_for(100ms);
    EXPECT_EQ(here.replicas().store(shard_of_bar).size(), 0u);
    EXPECT_EQ(client->received(), "");
    answer(0, applied());
    here.run_for(100ms);
    EXPECT_EQ(client->take(), "+OK\r\n+OK\r\n$1\r\n2\r\n");
    EXPECT_EQ(asked(), Asked{});
}

TEST_F(Routes, NothingIsAskedElsewhereWhileSomethingBeforeItIsHere) {
    here.lead_all();
    here.appends = false;
    send(set("1"));
    here.lead_elsewhere(shard_of_bar, NodeId(2));
    send(set("2"));
    EXPECT_EQ(asked(), Asked{});
    here.overwrite(shard_of_bar);  // with something else: the first is void
    here.run_for(20ms);
    EXPECT_EQ(asked(), (Asked{"2 1", "2 2"}));
    answer(0, applied());
    answer(1, applied());
    EXPECT_EQ(client->take(), "+OK\r\n+OK\r\n");
}

TEST_F(Routes, WhatTheOldLeaderRefusesGoesToTheNewOneInItsOrder) {
    send(set("1") + set("2") + line("GET bar"));
    EXPECT_EQ(asked(), (Asked{"3 1", "3 2", "3"}));
    answer(1, refused(Errc::not_leader, NodeId(2)));
    answer(0, refused(Errc::not_leader, NodeId(2)));
    EXPECT_EQ(asked(), Asked{});  // the read may have been served yet
    answer(2, refused(Errc::not_leader, NodeId(2), ForwardKind::read));
    EXPECT_EQ(asked(), (Asked{"2 1", "2 2", "2"}));
    answer(3, applied());
    answer(4, applied());
    ForwardReply read;
    read.found = true;
    read.content = "2";
    answer(5, read);
    EXPECT_EQ(client->take(), "+OK\r\n+OK\r\n$1\r\n2\r\n");
}

TEST_F(Routes, WhatIsRefusedBeforeSomethingThatWasTakenIsNotTriedAgain) {
    send(set("1") + set("2") + set("3"));
    EXPECT_EQ(asked(), (Asked{"3 1", "3 2", "3 3"}));
    answer(0, refused(Errc::not_leader, NodeId(2)));
    answer(1, applied());
    answer(2, refused(Errc::not_leader, NodeId(2)));
    EXPECT_EQ(asked(), Asked{"2 3"});
    answer(3, applied());
    EXPECT_EQ(client->take(), std::string(down) + "+OK\r\n+OK\r\n");
}

/// A read that saw the state without the write is as good as a write that followed it, and so is
/// what nobody knows.
TEST_F(Routes, WhatIsRefusedBeforeAReadOrSomethingUnknownIsNotTriedAgain) {
    send(set("1") + line("GET bar"));
    answer((asked(), 0), refused(Errc::not_leader, NodeId(2)));
    answer(1, ForwardReply{});
    EXPECT_EQ(client->take(), std::string(down) + "$-1\r\n");
    send(set("1") + set("2"));
    EXPECT_EQ(asked().size(), 2u);
    answer(2, refused(Errc::not_leader, NodeId(2)));
    answer(3, refused(Errc::commit_timeout));
    EXPECT_EQ(asked(), Asked{});
    EXPECT_EQ(client->take(), std::string(down) + std::string(unknown));
}

TEST_F(Routes, LeadershipThatComesHereTakesWhatWasRefusedElsewhere) {
    send(set("1") + set("2"));
    EXPECT_EQ(asked().size(), 2u);
    here.lead_all();
    answer(0, refused(Errc::not_leader, FakeCluster::self));
    answer(1, refused(Errc::not_leader, FakeCluster::self));
    send(line("GET bar"));
    here.run_for(100ms);
    EXPECT_EQ(client->take(), "+OK\r\n+OK\r\n$1\r\n2\r\n");
    EXPECT_EQ(asked(), Asked{});
}

/// As while leadership is handed over.
TEST_F(Routes, AMomentWithoutALeaderIsWaitedForInOrder) {
    send(set("1") + set("2") + line("GET bar"));
    EXPECT_EQ(asked(), (Asked{"3 1", "3 2", "3"}));
    answer(0, refused(Errc::busy));  // it hands over
    answer(1, refused(Errc::no_leader));
    EXPECT_EQ(asked(), Asked{});
    here.lead_elsewhere(shard_of_bar, NodeId(2));
    here.run_for(50ms);
    EXPECT_EQ(asked(), Asked{});  // the read may have been served yet
    answer(2, refused(Errc::no_leader, {}, ForwardKind::read));
    here.run_for(50ms);
    EXPECT_EQ(asked(), (Asked{"2 1", "2 2", "2"}));
    answer(3, applied());
    answer(4, applied());
    ForwardReply read;
    read.found = true;
    read.content = "2";
    answer(5, read);
    EXPECT_EQ(client->take(), "+OK\r\n+OK\r\n$1\r\n2\r\n");
}

TEST_F(Routes, WhatWaitsForALeaderIsNotBegunBehindWhatWasTaken) {
    send(set("1") + set("2"));
    EXPECT_EQ(asked(), (Asked{"3 1", "3 2"}));
    answer(0, refused(Errc::no_leader));
    answer(1, applied());
    here.run_for(100ms);
    EXPECT_EQ(asked(), Asked{});
    EXPECT_EQ(client->take(), std::string(down) + "+OK\r\n");
}

/// Its client has become one that knows leaders in between: what it sends from then on is not kept
/// to be begun again, but has its place in the order.
TEST_F(Routes, WhatWaitsForALeaderIsNotBegunBehindWhatWasTakenOfAClusterClient) {
    here.lead_all();
    here.appends = here.commits = false;
    send(set("1"));
    here.lead_elsewhere(shard_of_bar, NodeId(2));
    here.overwrite(shard_of_bar);
    here.lose_leader(shard_of_bar);
    send(line("READONLY") + set("2"));
    EXPECT_EQ(client->received(), "");
    here.appends = true;
    here.lead_all();
    here.run_for(100ms);
    send(line("GET bar"));
    EXPECT_EQ(client->take(), std::string(down) + "+OK\r\n+OK\r\n$1\r\n2\r\n");
}

TEST_F(Routes, WhatHasNoKeyDoesNotOvertakeWhatWaits) {
    const ShardId first(0);
    std::string key = "a";
    while (here.replicas().placement().shard_of(key) != first) key += "a";
    here.lead_elsewhere(first, NodeId(3));
    send(line("SET " + key + " 1") + line("PING") + line("CLUSTER MYID"));
    EXPECT_EQ(asked(), Asked{"3 1"});
    answer(0, refused(Errc::no_leader));
    here.run_for(50ms);
    EXPECT_EQ(asked(), Asked{"3 1"});
    answer(1, applied());
    EXPECT_TRUE(client->take().starts_with("+OK\r\n+PONG\r\n$40\r\n"));
}

TEST_F(Routes, NoLeaderForAnElectionOrTwoIsAnErrorAndNothingWasApplied) {
    send(set("1"));
    std::size_t times = 0;
    for (Duration waited{}; waited < 1s; waited += 25ms) {
        for (std::size_t more = asked().size(); more > 0; --more) {
            answer(times++, refused(Errc::no_leader));
        }
        here.run_for(25ms);
    }
    EXPECT_GT(times, 10u);
    EXPECT_LT(times, 60u);
    EXPECT_EQ(client->received(), "");
    here.run_for(1s);
    while (!asked().empty()) answer(times++, refused(Errc::no_leader));
    here.run_for(100ms);
    EXPECT_EQ(client->take(), down);
    EXPECT_EQ(asked(), Asked{});
    send(line("PING"));
    EXPECT_EQ(client->take(), "+PONG\r\n");
}

TEST_F(Routes, ReadsOfManyKeysBeginOnceMoreWhenThereIsALeader) {
    send(line("SET foo 1") + line("MGET foo bar"));
    here.run_for(20ms);
    EXPECT_EQ(asked(), Asked{"3"});
    answer(0, refused(Errc::no_leader, {}, ForwardKind::read));
    EXPECT_EQ(client->take(), ok);
    here.run_for(50ms);
    EXPECT_EQ(asked(), Asked{"3"});
    ForwardReply read;
    read.found = true;
    read.content = "2";
    answer(1, read);
    EXPECT_EQ(client->take(), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    send(line("EXISTS foo bar"));
    here.run_for(2s);
    std::size_t at = 2;
    for (std::size_t more = asked().size(); more > 0; more = asked().size()) {
        answer(at++, refused(Errc::no_leader, {}, ForwardKind::read));
        here.run_for(25ms);
    }
    EXPECT_EQ(client->take(), down);
}

TEST_F(Routes, RequestsOverAllShardsWaitForALeader) {
    send(line("SET foo 1"));
    EXPECT_EQ(client->take(), ok);
    here.lead_all();
    here.heartbeats = here.appends = here.votes = false;
    here.run_for(3s);  // nobody leads any more
    send(line("DBSIZE") + line("PING"));
    here.run_for(200ms);
    EXPECT_EQ(client->received(), "");
    here.heartbeats = here.appends = true;
    here.lead_all();
    here.run_for(100ms);
    EXPECT_EQ(client->take(), ":1\r\n+PONG\r\n");
    here.heartbeats = here.appends = here.votes = false;
    here.run_for(3s);
    send(line("DBSIZE"));
    here.run_for(2s);
    EXPECT_TRUE(client->take().starts_with("-CLUSTERDOWN "));
}

/// Its request waits for a leader, and it is gone.
TEST_F(Routes, AClientThatLeavesWhileThereIsNoLeaderLeavesNothing) {
    send(set("1"));
    EXPECT_EQ(asked(), Asked{"3 1"});
    answer(0, refused(Errc::no_leader));
    client.reset();
    here.run_for(2s);
    EXPECT_LE(asked().size(), 1u);
}

TEST_F(Routes, ThatThereIsNoKeyIsNotSaidOfShardsThatDidNotAnswer) {
    send(line("RANDOMKEY"));
    here.run_for(20ms);
    EXPECT_EQ(asked().size(), 1u);
    answer(0, refused(Errc::no_leader, {}, ForwardKind::list));
    EXPECT_TRUE(client->take().starts_with("-CLUSTERDOWN "));
    send(line("RANDOMKEY"));
    here.run_for(20ms);
    EXPECT_EQ(asked().size(), 1u);
    ForwardReply none;
    none.kind = ForwardKind::list;
    answer(1, none);
    EXPECT_EQ(client->take(), "$-1\r\n");
}

TEST_F(Routes, WhoIsSentFromNodeToNodeGivesUp) {
    send(set("1"));
    std::size_t times = 0;
    while (!asked().empty()) {
        ++times;
        ASSERT_LT(times, 10u);
        // Also by a node that nobody has ever heard of.
        answer(times - 1, refused(Errc::not_leader, NodeId(times % 2 == 0 ? 3 : 77)));
    }
    EXPECT_EQ(times, 4u);
    EXPECT_EQ(client->take(), down);
}

TEST_F(Routes, ALostConnectionMakesWritesUnknownAndReadsAreAskedAgain) {
    send(set("1") + line("GET bar") + line("GET foo"));
    EXPECT_EQ(asked(), (Asked{"3 1", "3"}));
    here.disconnect(NodeId(2));
    EXPECT_EQ(client->received(), "");
    here.disconnect(NodeId(3));
    EXPECT_EQ(client->take(), unknown);
    answer(0, applied());  // too late
    EXPECT_EQ(client->received(), "");
    here.run_for(50ms);
    EXPECT_EQ(asked(), Asked{"3"});
    here.disconnect(NodeId(3));
    here.run_for(50ms);
    EXPECT_EQ(asked(), Asked{"3"});
    answer(3, ForwardReply{});
    EXPECT_EQ(client->take(), "$-1\r\n$-1\r\n");
}

/// Requests on two connections between the nodes could overtake each other.
TEST_F(Routes, ANewConnectionBetweenTheNodesWaitsForWhatIsOnTheOldOne) {
    send(set("1"));
    EXPECT_EQ(asked(), Asked{"3 1"});
    here.way = 1;
    send(set("2") + line("SET {bar}2 x"));
    EXPECT_EQ(asked(), Asked{});
    answer(0, applied());
    EXPECT_EQ(asked(), (Asked{"3 2", "3 x"}));
    send(set("3"));
    EXPECT_EQ(asked(), Asked{"3 3"});
}

TEST_F(Routes, AClientThatLearnsTheTopologyKeepsItsOrder) {
    send(set("1") + line("READWRITE") + set("2"));
    EXPECT_EQ(asked(), Asked{"3 1"});
    here.lead_all();
    here.run_for(50ms);
    EXPECT_EQ(here.replicas().store(shard_of_bar).size(), 0u);
    answer(0, applied());
    here.run_for(50ms);
    EXPECT_EQ(client->take(), "+OK\r\n+OK\r\n+OK\r\n");
    send(line("GET bar"));
    here.run_for(50ms);
    EXPECT_EQ(client->take(), "$1\r\n2\r\n");
}

TEST_F(Routes, WhatIsHeldTooLongWasNotApplied) {
    here.appends = false;
    send(set("1") + line("SET foo 1"));
    EXPECT_EQ(asked(), Asked{"3 1"});
    answer(0, refused(Errc::not_leader, NodeId(2)));
    here.run_for(6s);  // what becomes of the second is not known before
    EXPECT_EQ(client->take(), std::string(down) + std::string(unknown));
    EXPECT_EQ(asked(), Asked{});
    here.appends = true;
    send(line("PING"));
    EXPECT_EQ(client->take(), "+PONG\r\n");
}

TEST_F(Routes, RepliesThatMakeNoSenseAreNoAnswers) {
    const auto begin = [&] {
        send(set("1"));
        EXPECT_EQ(asked(), Asked{"3 1"});
        return packets.size() - 1;
    };
    std::size_t at = begin();
    const std::string right = [&] {
        std::string content;
        encode_forward_reply(applied(), content);
        return content;
    }();
    const auto arrive = [&](std::string content, std::uint64_t number, NodeId from) {
        FakeCluster::Packet packet = packets[at];
        packet.reply = true;
        packet.node = from;
        packet.forward.request = number;
        packet.forward.outcome = Outcome::applied;
        packet.content = std::move(content);
        here.arrive(packet);
        here.run_for(5ms);
    };
    const std::uint64_t number = packets[at].forward.request;
    arrive(right, number, NodeId(2));      // was not asked
    arrive(right, number + 1, NodeId(3));  // what was not asked
    arrive(right, number ^ (std::uint64_t{1} << 60), NodeId(3));
    arrive(right, 0, NodeId(3));
    arrive(right, ~std::uint64_t{0}, NodeId(3));
    arrive(right.substr(0, 9), number, NodeId(3));
    arrive("", number, NodeId(3));
    std::string other_kind = right;
    other_kind[1] = static_cast<char>(ForwardKind::read);
    arrive(other_kind, number, NodeId(3));
    EXPECT_EQ(client->received(), "");
    // The right one has something that nobody has asked for.
    ForwardReply odd = applied();
    odd.found = true;
    odd.content = "what?";
    answer(at, odd);
    EXPECT_EQ(client->take(), ok);
    answer(at, odd);  // once more
    EXPECT_EQ(client->received(), "");
    // One that contradicts itself: applied, and an error, or the other way round.
    at = begin();
    answer(at, refused(Errc::not_leader, NodeId(2)), Outcome::applied);
    EXPECT_EQ(client->take(), unknown);
    at = begin();
    answer(at, applied(), Outcome::not_applied);
    EXPECT_EQ(client->take(), unknown);
    EXPECT_EQ(asked(), Asked{});
    // An error of which nothing is known about the command.
    at = begin();
    answer(at, refused(Errc::corrupt), outcome(Errc::corrupt));
    EXPECT_TRUE(client->take().starts_with("-"));
}

TEST_F(Routes, ACursorThatNoNodeHasMadeIsRefused) {
    here.lead_all_elsewhere(NodeId(3));
    ForwardReply page;
    page.kind = ForwardKind::list;
    page.number = 1;  // deeper than any index
    send(line("SCAN 0"));
    here.run_for(20ms);
    EXPECT_EQ(asked().size(), 1u);
    answer(0, page);
    EXPECT_TRUE(client->take().starts_with("-"));
    send(line("SCAN 0"));
    here.run_for(20ms);
    EXPECT_EQ(asked().size(), 1u);
    page.number = (std::uint64_t{1} << 63) | 1;
    page.content = std::string_view("\x01\0\0\0a\xff\xff", 7);  // and a list that is cut short
    answer(1, page);
    EXPECT_EQ(client->take(), "*2\r\n$16\r\n4503599627370496\r\n*1\r\n$1\r\na\r\n");
}

}  // namespace
}  // namespace kv
