/// Requests over shards that two nodes lead: what the other has is asked of it, and what is lost on
/// the way is never mistaken for an answer.

#include <gtest/gtest.h>

#include "tests/unit/node/session_script.h"
#include "tests/unit/node/two_nodes.h"

namespace kv {
namespace {

constexpr int del = 5;
constexpr int exists = 6;
constexpr int mget = 7;
constexpr int mset = 8;
constexpr int dbsize = 10;

std::string bytes_of(const ForwardRequest& request) {
    std::string out;
    encode_forward_request(request, out);
    return out;
}

TEST(ForwardCodec, RequestsAndRepliesComeBackAsTheyWere) {
    ForwardRequest request;
    request.kind = ForwardKind::list;
    request.wants_value = false;
    request.has_pattern = true;
    request.cursor = 0x8000000000000001;
    request.content = "a*";
    const std::string asked = bytes_of(request);
    const auto decoded = decode_forward_request(as_bytes(asked));
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(bytes_of(*decoded), asked);
    EXPECT_EQ(decoded->content, "a*");

    ForwardReply reply;
    reply.kind = ForwardKind::read;
    reply.found = true;
    reply.number = 7;
    reply.revision = Revision(9);
    reply.content = "value";
    std::string answered;
    encode_forward_reply(reply, answered);
    const auto back = decode_forward_reply(as_bytes(answered));
    ASSERT_TRUE(back.has_value());
    EXPECT_TRUE(back->found && !back->error);
    EXPECT_EQ(back->number, 7u);
    EXPECT_EQ(back->revision, Revision(9));
    EXPECT_EQ(back->content, "value");

    reply.error = Errc::not_leader;
    reply.leader = NodeId(3);
    answered.clear();
    encode_forward_reply(reply, answered);
    const auto refused = decode_forward_reply(as_bytes(answered));
    ASSERT_TRUE(refused.has_value());
    EXPECT_EQ(refused->error, Errc::not_leader);
    EXPECT_EQ(refused->leader, NodeId(3));
}

TEST(ForwardCodec, WhatIsShortOrUnknownIsRefused) {
    const std::string whole = bytes_of({});
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
        EXPECT_EQ(decode_forward_request(as_bytes(whole.substr(0, cut))).error().code,
                  Errc::truncated);
    }
    for (const std::size_t at : {0u, 1u, 2u, 3u}) {
        std::string odd = whole;
        odd[at] = '\x7f';
        EXPECT_EQ(decode_forward_request(as_bytes(odd)).error().code, Errc::unsupported) << at;
    }
    std::string reply;
    encode_forward_reply({}, reply);
    for (std::size_t cut = 0; cut < reply.size(); ++cut) {
        EXPECT_EQ(decode_forward_reply(as_bytes(reply.substr(0, cut))).error().code,
                  Errc::truncated);
    }
    // An error that this version has no sentence for.
    reply[2] = static_cast<char>(static_cast<int>(errc_last) + 1);
    reply[3] = 0;
    EXPECT_EQ(decode_forward_reply(as_bytes(reply)).error().code, Errc::unsupported);
    std::string_view list("\x02\0\0\0a", 5);
    EXPECT_FALSE(take_listed(list).has_value());
}

class Forwarded : public TwoNodes {
protected:
    /// An extended reply that is an error: its outcome and its number.
    static std::string error_reply(std::uint64_t id, int outcome, Errc error,
                                   std::string_view text) {
        return frame(0x1f, big_endian(1, 1) + big_endian(id, 8) +
                               big_endian(static_cast<std::uint64_t>(outcome), 1) +
                               big_endian(5, 1) + big_endian(static_cast<std::uint64_t>(error), 2) +
                               std::string(text));
    }
};
INSTANTIATE_TEST_SUITE_P(Cores, Forwarded, testing::Values(1, 2));

TEST_P(Forwarded, RequestsOverShardsOfTwoLeadersAreWhole) {
    expect(extended_frame(1, mset, {"foo", "1", "bar", "2"}), extended_reply(1, 0, ""));
    const Store& store = there.replicas_of(shard_of_bar).store(shard_of_bar);
    EXPECT_EQ(store.size(), 1u);
    expect(extended_frame(2, mget, {"bar", "foo", "{bar}"}),
           extended_reply(2, 4,
                          big_endian(3, 4) + big_endian(1, 4) + "2" + big_endian(1, 4) + "1" +
                              big_endian(0xffffffff, 4)));
    expect(extended_frame(3, exists, {"bar", "foo", "none"}),
           extended_reply(3, 3, big_endian(2, 8)));
    expect(extended_frame(4, dbsize, {}), extended_reply(4, 3, big_endian(2, 8)));
    expect("KEYS\n", "KEYS bar foo\n");
    expect(extended_frame(5, del, {"foo", "bar", "none"}), extended_reply(5, 3, big_endian(2, 8)));
    EXPECT_EQ(store.size(), 0u);
    expect("KEYS\n", "KEYS\n");
}

TEST_P(Forwarded, ManyKeysComeInPages) {
    std::string pairs;
    for (int i = 0; i < 3000; ++i) {
        const auto client = i % 1000 == 0 ? there.connect() : nullptr;
        pairs += "SET {bar}" + std::to_string(i) + " x\n";
        if (i % 1000 != 999) continue;
        const auto writer = there.connect();
        EXPECT_EQ(writer->exchange(pairs, 3000).size(), 3000u);
        pairs.clear();
    }
    expect(extended_frame(4, dbsize, {}), extended_reply(4, 3, big_endian(3000, 8)));
    const auto client = here.connect();
    client->send("KEYS\n");
    run_for(1s);
    const std::string reply = client->take();
    EXPECT_EQ(std::ranges::count(reply, ' '), 3000);
    EXPECT_TRUE(reply.starts_with("KEYS {bar}0 {bar}1 {bar}10 "));
}

TEST_P(Forwarded, WhatIsLostIsAFailedReadAndAnUnknownWrite) {
    pass = [](FakeCluster::Packet& packet) { return !packet.reply; };
    expect(extended_frame(1, mset, {"bar", "2", "foo", "1"}),
           error_reply(1, 1, Errc::commit_timeout, "commit timed out, outcome unknown"), 6s);
    expect(extended_frame(2, mget, {"foo", "bar"}),
           error_reply(2, 0, Errc::no_leader, "no leader available"), 6s);
    expect("KEYS\n", "ERROR no leader available\n", 6s);
    // It was applied there after all, which is what unknown means.
    EXPECT_EQ(there.replicas_of(shard_of_bar).store(shard_of_bar).size(), 1u);
    EXPECT_EQ(here.server(0).forwarder.asked(), 0u);
    EXPECT_EQ(there.server(0).forwarder.served(), 0u);
}

TEST_P(Forwarded, WhoLeadsNoMoreRefusesAndNothingIsApplied) {
    there.lead_all_elsewhere(NodeId(2));
    expect(extended_frame(1, del, {"bar", "{bar}2"}),
           error_reply(1, 0, Errc::no_leader, "no leader available"));
    expect(extended_frame(2, mget, {"foo", "bar"}),
           error_reply(2, 0, Errc::no_leader, "no leader available"));
    // One part was written here, the other refused there.
    expect(extended_frame(3, mset, {"foo", "1", "bar", "2"}),
           error_reply(3, 1, Errc::commit_timeout,
                       "some keys were written and others refused, outcome unknown"));
    // One key of a client that follows is not forwarded: it is sent to the leader.
    expect("GET bar\n", "REDIRECT 10.0.0.3:7003\n");
}

TEST_P(Forwarded, AReplyThatContradictsItselfIsNotBelieved) {
    pass = [](FakeCluster::Packet& packet) {
        if (packet.reply) packet.forward.outcome = Outcome::unknown;
        return true;
    };
    expect(extended_frame(1, mset, {"bar", "2", "{bar}2", "1"}),
           error_reply(1, 1, Errc::commit_timeout, "commit timed out, outcome unknown"));
}

/// A request of a later version, of whatever kind, is refused at once.
TEST_P(Forwarded, WhatIsNotUnderstoodIsRefusedInItsKind) {
    for (const ForwardKind kind :
         {ForwardKind::read, ForwardKind::apply, ForwardKind::count, ForwardKind::list}) {
        ForwardRequest request;
        request.kind = kind;
        std::string content;
        encode_forward_request(request, content);
        content[3] = 0x40;  // a flag that this version does not have
        EXPECT_EQ(forward_kind(as_bytes(content)), kind);
        FakeCluster::Packet packet;
        packet.node = NodeId(1);
        packet.forward.group = Placement::group_of(shard_of_bar);
        packet.forward.request = 77;
        packet.content = content;
        there.arrive(packet);
        there.run_for(50ms);
        ASSERT_EQ(there.sent.size(), 1u);
        const auto reply = decode_forward_reply(as_bytes(there.sent.front().content));
        ASSERT_TRUE(reply.has_value());
        EXPECT_EQ(reply->kind, kind);
        EXPECT_EQ(reply->error, Errc::unsupported);
        there.sent.clear();
    }
}

TEST_P(Forwarded, WhatIsNoCommandOfTheShardIsRefused) {
    std::string command;
    Command put;
    put.key = "foo";  // of another shard
    put.value = "1";
    encode_command(command, put);
    for (const std::string& content : {command, command.substr(0, 5), std::string("\xff\xff")}) {
        FakeCluster::Packet packet;
        packet.node = NodeId(1);
        packet.forward.group = Placement::group_of(shard_of_bar);
        packet.forward.request = 5;
        ForwardRequest request;
        request.kind = ForwardKind::apply;
        request.content = content;
        packet.content = bytes_of(request);
        there.arrive(packet);
        there.run_for(50ms);
        ASSERT_EQ(there.sent.size(), 1u);
        const auto reply = decode_forward_reply(as_bytes(there.sent.front().content));
        ASSERT_TRUE(reply.has_value());
        EXPECT_EQ(reply->error, Errc::syntax);
        EXPECT_EQ(there.sent.front().forward.outcome, Outcome::not_applied);
        there.sent.clear();
    }
}

}  // namespace
}  // namespace kv
