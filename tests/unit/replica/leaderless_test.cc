/// While leadership is handed over, and while nobody is known to lead, nobody is refused: what
/// comes waits for the next leader, within bounds, and then goes on here or is sent there.

#include "tests/unit/replica/one_of_three.h"

namespace kv::test {
namespace {

class Leaderless : public OneOfThree {
protected:
    void lead() {
        elect();
        acknowledge();
        ASSERT_TRUE(replica.group().ready());
    }
    std::optional<Errc> propose(std::uint64_t request, std::string_view value = "value") {
        const auto refused =
            replica.propose({CommandKind::put, "key", value}, Waiter{this, request}, 1);
        replica.close_batch(1);
        settle();
        return refused;
    }
    ReadTurn read(std::uint64_t request) {
        const ReadTurn turn = replica.begin_read(Waiter{this, request}, 0, true);
        settle();
        return turn;
    }
    /// Node 2 asks for votes, as who was told to take over.
    void lose_leader() {
        const Term term(raft().term().value() + 1);
        replica.group().step({group, other, NodeId(1), term, 7, 1,
                              VoteRequest{.last = raft().last(), .transfer = true}},
                             now);
        settle();
        ASSERT_EQ(raft().role(), consensus::Role::follower);
        ASSERT_EQ(raft().leader(), NodeId());
    }
    void answer_heartbeat() {
        const Message* const asked = last_sent<HeartbeatRequest>();
        if (asked == nullptr || asked->term != raft().term()) return;
        hear(*asked, HeartbeatReply{std::get<HeartbeatRequest>(asked->body).read});
        for (const consensus::ReadReady& ready : std::exchange(owner.reads, {})) {
            replica.reads_confirmed(ready);
        }
    }
    using Requests = std::vector<std::uint64_t>;
};

TEST_F(Leaderless, WhatComesDuringAHandOverIsSentToWhoTakesOver) {
    lead();
    ASSERT_TRUE(replica.group().transfer(other, now));
    const LogPosition before = raft().last();
    EXPECT_EQ(propose(1), std::nullopt);
    lose_leader();
    EXPECT_EQ(propose(2), std::nullopt);
    EXPECT_EQ(read(3), ReadTurn::later);
    EXPECT_EQ(raft().last(), before);
    EXPECT_TRUE(answers.dropped.empty());
    EXPECT_TRUE(answers.reads_dropped.empty());
    depose(before);
    EXPECT_EQ(raft().leader(), other);
    EXPECT_EQ(answers.dropped, (Dropped{{1, Errc::no_leader}, {2, Errc::no_leader}}));
    EXPECT_EQ(answers.reads_dropped, (Dropped{{3, Errc::no_leader}}));
    EXPECT_EQ(replica.pending(), 0u);
    EXPECT_EQ(propose(4), Errc::no_leader);
    EXPECT_EQ(read(5), ReadTurn::never);
}

TEST_F(Leaderless, WhatComesDuringAHandOverGoesOnWhenNobodyTakesOver) {
    lead();
    ASSERT_TRUE(replica.group().transfer(other, now));
    EXPECT_EQ(propose(1), std::nullopt);
    EXPECT_EQ(read(2), ReadTurn::later);
    for (int i = 0; i < 100 && raft().handing_over(); ++i) {
        tick();
        answer_heartbeat();
    }
    ASSERT_TRUE(replica.group().ready());
    acknowledge();
    answer_heartbeat();
    EXPECT_EQ(answers.applied, (Requests{1}));
    EXPECT_EQ(answers.reads, (Requests{2}));
    EXPECT_EQ(answers.keys, (std::vector<std::size_t>{1}));
    EXPECT_TRUE(answers.dropped.empty());
}

TEST_F(Leaderless, WhoIsElectedGoesOnWithWhatWaited) {
    lead();
    EXPECT_EQ(read(1), ReadTurn::later);  // not confirmed before the leader is lost
    lose_leader();
    EXPECT_EQ(propose(2), std::nullopt);
    EXPECT_EQ(read(3), ReadTurn::later);
    elect();
    acknowledge();  // the first entry of its term
    acknowledge();  // and the one with what waited
    for (int i = 0; i < 12; ++i) {
        tick();
        answer_heartbeat();
    }
    EXPECT_EQ(answers.applied, (Requests{2}));
    EXPECT_EQ(answers.reads, (Requests{1, 3}));
    EXPECT_EQ(answers.keys, (std::vector<std::size_t>{0, 1}));
    EXPECT_TRUE(answers.dropped.empty());
    EXPECT_TRUE(answers.reads_dropped.empty());
}

TEST_F(Leaderless, NobodyWaitsLongerThanAnElectionMayTake) {
    lead();
    lose_leader();
    EXPECT_EQ(propose(1), std::nullopt);
    EXPECT_EQ(read(2), ReadTurn::later);
    const Instant until = now + Replica::leaderless_max * raft().options().election_timeout;
    while (now < until) {
        EXPECT_TRUE(answers.dropped.empty());
        tick();
    }
    EXPECT_EQ(answers.dropped, (Dropped{{1, Errc::no_leader}}));
    EXPECT_EQ(answers.reads_dropped, (Dropped{{2, Errc::no_leader}}));
    // From then on everything is refused at once, however often it campaigns.
    for (int i = 0; i < 200; ++i) {
        tick();
        EXPECT_EQ(propose(3), Errc::no_leader);
        EXPECT_EQ(read(4), ReadTurn::never);
    }
    elect();
    acknowledge();
    EXPECT_EQ(propose(5), std::nullopt);
}

TEST_F(Leaderless, ALeaderWhoseConnectionIsLostIsNotKnownToLead) {
    lead();
    depose(raft().last());
    EXPECT_EQ(propose(1), Errc::no_leader);
    replica.disconnected(NodeId(3));
    EXPECT_EQ(propose(1), Errc::no_leader);
    replica.disconnected(other);
    EXPECT_EQ(propose(2), std::nullopt);
    EXPECT_EQ(read(3), ReadTurn::later);
    tick();
    EXPECT_TRUE(answers.dropped.empty());
    replica.heard(other);
    tick();
    EXPECT_EQ(answers.dropped, (Dropped{{2, Errc::no_leader}}));
    EXPECT_EQ(answers.reads_dropped, (Dropped{{3, Errc::no_leader}}));
    EXPECT_EQ(propose(4), Errc::no_leader);
}

TEST_F(Leaderless, OneEntryOfCommandsWaitsAndNoMore) {
    lead();
    lose_leader();
    const std::string value(Replica::entry_bytes_max / 2, 'x');
    EXPECT_EQ(propose(1, value), std::nullopt);
    EXPECT_EQ(propose(2, value), Errc::busy);
    EXPECT_EQ(propose(3), std::nullopt);
    EXPECT_TRUE(answers.dropped.empty());
}

}  // namespace
}  // namespace kv::test
