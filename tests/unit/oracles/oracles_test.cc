// Oracles that never object prove nothing: each is shown facts that are wrong, and facts that are
// right.

#include <gtest/gtest.h>

#include "proto/command_codec.h"
#include "tests/support/oracles/ack_durability.h"
#include "tests/support/oracles/liveness.h"
#include "tests/support/oracles/log_keeper.h"
#include "tests/support/oracles/message_books.h"
#include "tests/support/oracles/persist_before_send.h"
#include "tests/support/oracles/raft_invariants.h"
#include "tests/support/oracles/silence.h"

namespace kv::sim {
namespace {

using consensus::Role;

constexpr GroupId group{1};
constexpr NodeId n1{1};
constexpr NodeId n2{2};
constexpr NodeId n3{3};

/// A node whose log has these terms, from entry 1 on.
GroupFacts facts(NodeId node, Role role, std::uint64_t term, std::vector<std::uint64_t> log,
                 std::uint64_t commit) {
    GroupFacts out;
    out.node = node;
    out.life = 1;
    out.group = group;
    out.role = role;
    out.term = Term(term);
    out.commit = Index(commit);
    if (!log.empty()) out.last = {Term(log.back()), Index(log.size())};
    out.term_at = [log = std::move(log)](Index index) {
        return index.value() == 0 ? Term() : Term(log.at(index.value() - 1));
    };
    return out;
}

TEST(RaftInvariants, OneLeaderInATerm) {
    RaftInvariants oracle;
    EXPECT_EQ(oracle.observe(facts(n1, Role::leader, 2, {1}, 0)), std::nullopt);
    EXPECT_EQ(oracle.observe(facts(n1, Role::leader, 2, {1, 2}, 0)), std::nullopt);
    EXPECT_EQ(oracle.observe(facts(n2, Role::leader, 3, {1}, 0)), std::nullopt);
    EXPECT_NE(oracle.observe(facts(n3, Role::leader, 2, {1}, 0)), std::nullopt);
}

TEST(RaftInvariants, ALeaderHasWhatWasCommitted) {
    RaftInvariants oracle;
    EXPECT_EQ(oracle.observe(facts(n1, Role::leader, 2, {1, 2, 2}, 3)), std::nullopt);
    EXPECT_EQ(oracle.committed(group), (LogPosition{Term(2), Index(3)}));
    EXPECT_EQ(oracle.observe(facts(n2, Role::leader, 3, {1, 2, 2, 3}, 1)), std::nullopt);
    EXPECT_NE(oracle.observe(facts(n3, Role::leader, 4, {1, 2}, 1)), std::nullopt);
    // Another entry there is as bad as none.
    RaftInvariants second;
    EXPECT_EQ(second.observe(facts(n1, Role::leader, 2, {1, 2}, 2)), std::nullopt);
    EXPECT_NE(second.observe(facts(n3, Role::leader, 4, {1, 3}, 1)), std::nullopt);
}

TEST(RaftInvariants, AnOldLeaderNeedNotHaveWhatALaterOneCommitted) {
    RaftInvariants oracle;
    EXPECT_EQ(oracle.observe(facts(n1, Role::leader, 5, {1, 5}, 2)), std::nullopt);
    EXPECT_EQ(oracle.observe(facts(n3, Role::leader, 4, {1, 4}, 1)), std::nullopt);
}

TEST(RaftInvariants, CommittedIsTheSameEverywhere) {
    RaftInvariants oracle;
    EXPECT_EQ(oracle.observe(facts(n1, Role::follower, 2, {1, 2}, 2)), std::nullopt);
    EXPECT_EQ(oracle.observe(facts(n2, Role::follower, 3, {1, 3}, 1)), std::nullopt);
    EXPECT_NE(oracle.observe(facts(n2, Role::follower, 3, {1, 3}, 2)), std::nullopt);
}

TEST(RaftInvariants, ALeaderCommitsEntriesOfItsOwnTerm) {
    RaftInvariants oracle;
    EXPECT_EQ(oracle.observe(facts(n1, Role::leader, 4, {1, 2, 4}, 1)), std::nullopt);
    EXPECT_NE(oracle.observe(facts(n1, Role::leader, 4, {1, 2, 4}, 2)), std::nullopt);
    RaftInvariants second;
    EXPECT_EQ(second.observe(facts(n1, Role::leader, 4, {1, 2, 4}, 1)), std::nullopt);
    EXPECT_EQ(second.observe(facts(n1, Role::leader, 4, {1, 2, 4}, 3)), std::nullopt);
}

TEST(RaftInvariants, AVoteStaysWithinATermAndALife) {
    RaftInvariants oracle;
    GroupFacts voted = facts(n1, Role::follower, 2, {1}, 0);
    EXPECT_EQ(oracle.observe(voted), std::nullopt);
    voted.vote = n2;
    EXPECT_EQ(oracle.observe(voted), std::nullopt);
    EXPECT_EQ(oracle.observe(facts(n1, Role::follower, 3, {1}, 0)), std::nullopt);
    GroupFacts other = facts(n1, Role::follower, 3, {1}, 0);
    other.vote = n3;
    EXPECT_EQ(oracle.observe(other), std::nullopt);
    EXPECT_NE(oracle.observe(facts(n1, Role::follower, 3, {1}, 0)), std::nullopt);
}

TEST(RaftInvariants, TermAndCommitDoNotFallWithinALife) {
    RaftInvariants oracle;
    EXPECT_EQ(oracle.observe(facts(n1, Role::follower, 2, {1, 2}, 2)), std::nullopt);
    GroupFacts again = facts(n1, Role::follower, 2, {1, 2}, 1);
    again.life = 2;  // commit is not durable
    EXPECT_EQ(oracle.observe(again), std::nullopt);
    EXPECT_EQ(oracle.observe(facts(n2, Role::follower, 2, {1, 2}, 2)), std::nullopt);
    EXPECT_NE(oracle.observe(facts(n2, Role::follower, 2, {1, 2}, 1)), std::nullopt);
    EXPECT_NE(oracle.observe(facts(n2, Role::follower, 1, {1, 2}, 2)), std::nullopt);
}

TEST(RaftInvariants, EqualAppliedEqualStores) {
    RaftInvariants oracle;
    GroupFacts one = facts(n1, Role::follower, 2, {1, 2}, 2);
    one.applied = Index(2);
    one.digest = [] { return std::uint64_t{7}; };
    GroupFacts other = facts(n2, Role::follower, 2, {1, 2}, 2);
    other.applied = Index(1);
    other.digest = [] { return std::uint64_t{8}; };
    EXPECT_EQ(oracle.observe(one), std::nullopt);
    EXPECT_EQ(oracle.observe(other), std::nullopt);
    other.applied = Index(2);
    EXPECT_NE(oracle.observe(other), std::nullopt);
}

TEST(RaftInvariants, LogsThatAgreeAgreeBefore) {
    const GroupFacts log = facts(n1, Role::follower, 3, {1, 2, 2, 3}, 0);
    EXPECT_EQ(RaftInvariants::check_logs(log, facts(n2, Role::follower, 3, {1, 2, 2}, 0)),
              std::nullopt);
    EXPECT_EQ(RaftInvariants::check_logs(log, facts(n2, Role::follower, 4, {1, 2, 4, 4}, 0)),
              std::nullopt);
    EXPECT_NE(RaftInvariants::check_logs(log, facts(n2, Role::follower, 3, {1, 1, 2}, 0)),
              std::nullopt);
}

TEST(Liveness, NoLeaderForTooLongWithAHealthyMajority) {
    Liveness oracle(2, 5s);
    const Instant begin{};
    oracle.led(ShardId(0), begin + 1s);
    oracle.led(ShardId(1), begin + 10s);
    EXPECT_EQ(oracle.check(std::nullopt, begin + 11s), std::nullopt);
    EXPECT_EQ(oracle.check(begin + 8s, begin + 11s), std::nullopt);
    EXPECT_NE(oracle.check(begin + 1s, begin + 11s), std::nullopt);
}

TEST(Silence, ALeaderThatHearsNoMajorityLeadsNoMore) {
    Silence oracle(2s);
    const Instant begin{};
    EXPECT_EQ(oracle.leads(n1, ShardId(0), begin), std::nullopt);
    oracle.heard(n1, begin);
    oracle.heard(n2, begin + 2s);
    EXPECT_EQ(oracle.leads(n1, ShardId(0), begin + 2s), std::nullopt);
    EXPECT_NE(oracle.leads(n1, ShardId(0), begin + 3s), std::nullopt);
    EXPECT_EQ(oracle.leads(n2, ShardId(0), begin + 3s), std::nullopt);
}

// What a disk holds, record by record.

void take(DurableLog& log, wal::RecordKind kind, std::string_view payload) {
    wal::Record record;
    record.kind = kind;
    record.group = group;
    record.payload = as_bytes(payload);
    log.take(record);
}

void take_state(DurableLog& log, std::uint64_t term, NodeId vote) {
    std::string payload(hard_state_bytes, '\0');
    encode_hard_state({Term(term), vote, Index()},
                      {reinterpret_cast<std::byte*>(payload.data()), payload.size()});
    take(log, wal::RecordKind::hard_state, payload);
}

void take_put(DurableLog& log, std::uint64_t term, std::uint64_t index, std::string_view value) {
    std::string entry(entry_header_bytes, '\0');
    Command command;
    command.key = "k";
    command.value = value;
    encode_command(entry, command);
    seal_entry({reinterpret_cast<std::byte*>(entry.data()), entry.size()}, group, Term(term),
               Index(index), 0, EntryKind::commands);
    take(log, wal::RecordKind::entries, entry);
}

TEST(DurableLog, KnowsEntriesVotesAndSnapshots) {
    DurableLog log;
    EXPECT_EQ(log.term(group), Term());
    take_state(log, 3, n2);
    take_put(log, 3, 7, "v");
    EXPECT_EQ(log.term(group), Term(3));
    EXPECT_TRUE(log.voted(group, Term(3), n2));
    EXPECT_FALSE(log.voted(group, Term(3), n1));
    EXPECT_TRUE(log.holds(group, {Term(3), Index(7)}));
    EXPECT_FALSE(log.holds(group, {Term(2), Index(7)}));
    EXPECT_FALSE(log.holds(GroupId(2), {Term(3), Index(7)}));
    EXPECT_TRUE(log.holds_put("k", "v"));
    EXPECT_FALSE(log.holds_put("k", "w"));
    EXPECT_EQ(log.two_votes(), "");
    std::string reset(16, '\0');
    reset[0] = 9;  // entries up to 9
    take(log, wal::RecordKind::log_reset, reset);
    EXPECT_TRUE(log.holds(group, {Term(1), Index(9)}));
    EXPECT_FALSE(log.holds(group, {Term(1), Index(10)}));
    take_state(log, 3, n1);
    EXPECT_NE(log.two_votes(), "");
}

TEST(DurableLog, AStartRemembersTheNewestTermAndVote) {
    DurableLog log;
    EXPECT_TRUE(log.remembered(group, Term(), NodeId()));
    take_state(log, 3, n2);
    EXPECT_TRUE(log.remembered(group, Term(3), n2));
    EXPECT_TRUE(log.remembered(group, Term(4), NodeId()));
    EXPECT_FALSE(log.remembered(group, Term(3), NodeId()));
    EXPECT_FALSE(log.remembered(group, Term(3), n1));
    EXPECT_FALSE(log.remembered(group, Term(2), n2));
}

TEST(AckDurability, AMajorityOfDisks) {
    const io::SimNodes nodes{n1, n2, n3};
    std::map<NodeId, DurableLog> logs;
    std::map<NodeId, int> looks;
    AckDurability oracle(nodes, logs, [&](NodeId node) { ++looks[node]; });
    take_put(logs[n1], 1, 2, "v");
    EXPECT_NE(oracle.acknowledged("k", "v"), std::nullopt);
    EXPECT_NE(oracle.committed(group, {Term(1), Index(2)}), std::nullopt);
    take_put(logs[n3], 1, 2, "v");
    EXPECT_EQ(oracle.acknowledged("k", "v"), std::nullopt);
    EXPECT_EQ(oracle.committed(group, {Term(1), Index(2)}), std::nullopt);
    EXPECT_EQ(looks[n1], 0);  // its log said enough
    EXPECT_GT(looks[n2], 0);
}

Message message(MessageBody body, std::uint64_t term) {
    Message out;
    out.group = group;
    out.from = n1;
    out.to = n2;
    out.term = Term(term);
    out.body = std::move(body);
    return out;
}

TEST(AckDurability, WhatALeaderCountsIsOnTheDisk) {
    const io::SimNodes nodes{n1, n2, n3};
    std::map<NodeId, DurableLog> logs;
    AckDurability oracle(nodes, logs, [](NodeId) {});
    EXPECT_NE(oracle.matched(n2, group, {Term(1), Index(2)}), std::nullopt);
    take_put(logs[n2], 1, 2, "v");
    EXPECT_EQ(oracle.matched(n2, group, {Term(1), Index(2)}), std::nullopt);
    EXPECT_NE(oracle.matched(n2, group, {Term(2), Index(2)}), std::nullopt);
    EXPECT_NE(oracle.matched(n3, group, {Term(1), Index(2)}), std::nullopt);
}

// What stays in a log.

/// The same, of which so much is durable, from `compacted` on.
GroupFacts log_of(std::vector<std::uint64_t> log, std::uint64_t durable,
                  std::uint64_t compacted = 0, std::uint64_t life = 1) {
    GroupFacts out = facts(n1, Role::follower, 9, std::move(log), 0);
    out.durable = Index(durable);
    out.compacted = Index(compacted);
    out.life = life;
    return out;
}

TEST(LogKeeper, EntriesGoOnlyWhereOthersTakeTheirPlace) {
    LogKeeper oracle;
    EXPECT_EQ(oracle.observe(log_of({1, 1, 2}, 3)), std::nullopt);
    EXPECT_EQ(oracle.observe(log_of({1, 1, 2, 2, 2}, 3)), std::nullopt);
    EXPECT_EQ(oracle.observe(log_of({1, 1, 3}, 2)), std::nullopt);
    EXPECT_EQ(oracle.observe(log_of({1, 1, 3, 3}, 4)), std::nullopt);
    EXPECT_NE(oracle.observe(log_of({1, 1, 3}, 3)), std::nullopt);
    EXPECT_NE(oracle.observe(log_of({1, 1}, 2)), std::nullopt);
    EXPECT_NE(oracle.observe(log_of({}, 0)), std::nullopt);
}

TEST(LogKeeper, AStartHasWhatWasDurable) {
    for (const auto& [terms, good] :
         std::vector<std::pair<std::vector<std::uint64_t>, bool>>{{{1, 1, 2, 2}, true},
                                                                  {{1, 1, 2}, true},
                                                                  {{1, 1, 2, 3}, true},
                                                                  {{1, 1, 3}, true},
                                                                  {{1, 1}, false},
                                                                  {{}, false}}) {
        LogKeeper oracle;
        EXPECT_EQ(oracle.observe(log_of({1, 1, 2, 2}, 3)), std::nullopt);
        EXPECT_EQ(oracle.observe(log_of(terms, terms.size(), 0, 2)).has_value(), !good);
        oracle.forget(n1);
        EXPECT_EQ(oracle.observe(log_of({}, 0, 0, 3)), std::nullopt);
    }
}

TEST(LogKeeper, ASnapshotCoversTheLogOrContradictsIt) {
    const auto after = [](std::vector<std::uint64_t> log, std::uint64_t compacted) {
        LogKeeper oracle;
        EXPECT_EQ(oracle.observe(log_of({1, 1, 2, 2, 2}, 5)), std::nullopt);
        const std::uint64_t durable = log.size();
        return oracle.observe(log_of(std::move(log), durable, compacted));
    };
    EXPECT_EQ(after({1, 1, 2, 2, 2}, 3), std::nullopt);
    EXPECT_EQ(after({1, 1, 2, 2, 2}, 5), std::nullopt);
    EXPECT_EQ(after({1, 1, 2, 2, 2, 3, 3}, 7), std::nullopt);
    EXPECT_EQ(after({1, 1, 3}, 3), std::nullopt);        // of another history
    EXPECT_EQ(after({1, 1, 3, 3}, 3), std::nullopt);     // which goes on
    EXPECT_NE(after({1, 1, 2}, 3), std::nullopt);        // the log went on from there
    EXPECT_NE(after({1, 1, 3, 2, 2}, 3), std::nullopt);  // it did not
}

// What nodes say to each other.

struct Talk {
    MessageBooks books{3, 300ms};
    Instant now{};
    std::uint64_t sequence = 0;

    static Message make(NodeId from, NodeId to, std::uint64_t term, MessageBody body,
                        std::uint64_t sequence) {
        return {group, from, to, Term(term), 0, sequence, std::move(body)};
    }
    std::optional<std::string> ask(const GroupFacts& sender, NodeId to, std::uint64_t term,
                                   MessageBody body) {
        const Speaker speaker{sender, sender.role, sender.last};
        return books.said(make(sender.node, to, term, std::move(body), ++sequence), speaker, now);
    }
    /// To what was asked last.
    std::optional<std::string> answer(const GroupFacts& sender, NodeId to, std::uint64_t term,
                                      MessageBody body, bool stalled = false) {
        const Speaker speaker{sender, sender.role, sender.last, stalled};
        return books.said(make(sender.node, to, term, std::move(body), sequence), speaker, now);
    }
};

std::string entry_of(std::uint64_t term, std::uint64_t index) {
    std::string entry(entry_header_bytes, '\0');
    seal_entry({reinterpret_cast<std::byte*>(entry.data()), entry.size()}, group, Term(term),
               Index(index), 0, EntryKind::noop);
    return entry;
}

TEST(MessageBooks, EntriesAreAPieceOfTheLog) {
    Talk talk;
    const GroupFacts leader = facts(n1, Role::leader, 3, {1, 1, 3, 3}, 3);
    const auto append = [&](std::uint64_t term, std::uint64_t index, std::uint64_t commit,
                            const std::vector<std::string>& entries) {
        AppendRequest request{{Term(term), Index(index)}, Index(commit), {}};
        for (const std::string& entry : entries) request.entries.push_back(as_bytes(entry));
        return talk.ask(leader, n2, 3, request);
    };
    EXPECT_EQ(append(1, 2, 3, {entry_of(3, 3), entry_of(3, 4)}), std::nullopt);
    EXPECT_EQ(append(3, 4, 3, {}), std::nullopt);
    EXPECT_NE(append(1, 2, 4, {}), std::nullopt);                                // commit
    EXPECT_NE(append(3, 2, 3, {}), std::nullopt);                                // previous
    EXPECT_NE(append(3, 5, 3, {}), std::nullopt);                                // beyond
    EXPECT_NE(append(1, 1, 3, {entry_of(1, 2), entry_of(3, 4)}), std::nullopt);  // a gap
    EXPECT_NE(append(1, 2, 3, {entry_of(2, 3)}), std::nullopt);                  // another's
    EXPECT_EQ(talk.ask(leader, n2, 3, HeartbeatRequest{Index(3)}), std::nullopt);
    EXPECT_NE(talk.ask(leader, n2, 3, HeartbeatRequest{Index(4)}), std::nullopt);
    EXPECT_EQ(talk.ask(leader, n2, 3, SnapshotRequest{{Term(3), Index(3)}}), std::nullopt);
    EXPECT_NE(talk.ask(leader, n2, 3, SnapshotRequest{{Term(3), Index(4)}}), std::nullopt);
    EXPECT_NE(talk.ask(leader, n2, 3, SnapshotRequest{{Term(1), Index(3)}}), std::nullopt);
}

TEST(MessageBooks, WhoDoesNotLeadDoesNotSpeakAsALeader) {
    Talk talk;
    const GroupFacts leader = facts(n1, Role::leader, 3, {1, 1}, 1);
    const GroupFacts follower = facts(n1, Role::follower, 3, {1, 1}, 1);
    for (const MessageBody& body :
         {MessageBody(HeartbeatRequest{Index(1)}),
          MessageBody(AppendRequest{{Term(1), Index(2)}, Index(1), {}})}) {
        EXPECT_EQ(talk.ask(leader, n2, 3, body), std::nullopt);
        EXPECT_NE(talk.ask(follower, n2, 3, body), std::nullopt);
    }
}

TEST(MessageBooks, VotesGoToLogsThatAreComplete) {
    for (const bool pre : {false, true}) {
        Talk talk;
        const GroupFacts candidate = facts(n1, Role::candidate, 3, {1, 2}, 0);
        const VoteRequest request{candidate.last, pre, !pre};
        EXPECT_EQ(talk.ask(candidate, n2, 3, request), std::nullopt);
        const VoteReply granted{pre, true};
        EXPECT_EQ(talk.answer(facts(n2, Role::follower, 2, {1, 2}, 0), n1, 3, granted),
                  std::nullopt);
        EXPECT_NE(talk.answer(facts(n3, Role::follower, 2, {1, 2, 2}, 0), n1, 3, granted),
                  std::nullopt);
        EXPECT_EQ(talk.answer(facts(n3, Role::follower, 2, {1, 1, 1}, 0), n1, 3, granted),
                  std::nullopt);
        EXPECT_EQ(talk.answer(facts(n3, Role::follower, 2, {1, 2, 2}, 0), n1, 3, VoteReply{pre}),
                  std::nullopt);
        ++talk.sequence;
        EXPECT_NE(talk.answer(facts(n2, Role::follower, 2, {1, 2}, 0), n1, 3, granted),
                  std::nullopt);  // unasked
    }
}

TEST(MessageBooks, VotersAreCountedOnce) {
    Talk talk{MessageBooks(5, 300ms)};
    const GroupFacts candidate = facts(n1, Role::candidate, 3, {1}, 0);
    const GroupFacts leader = facts(n1, Role::leader, 3, {1}, 0);
    EXPECT_NE(talk.ask(candidate, n2, 3, VoteRequest{candidate.last}), std::nullopt);
    EXPECT_EQ(talk.ask(candidate, n2, 3, VoteRequest{candidate.last, true}), std::nullopt);
    const GroupFacts second = facts(n2, Role::follower, 2, {1}, 0);
    const GroupFacts third = facts(n3, Role::follower, 2, {1}, 0);
    EXPECT_EQ(talk.answer(second, n1, 3, VoteReply{true, true}), std::nullopt);
    EXPECT_EQ(talk.answer(second, n1, 3, VoteReply{true, true}), std::nullopt);
    EXPECT_NE(talk.ask(candidate, n2, 3, VoteRequest{candidate.last}), std::nullopt);
    EXPECT_EQ(talk.ask(candidate, n2, 3, VoteRequest{candidate.last, true}), std::nullopt);
    EXPECT_EQ(talk.answer(third, n1, 3, VoteReply{true, true}), std::nullopt);
    EXPECT_EQ(talk.ask(candidate, n2, 3, VoteRequest{candidate.last}), std::nullopt);
    EXPECT_NE(talk.books.elected(leader), std::nullopt);
    EXPECT_EQ(talk.answer(second, n1, 3, VoteReply{false, true}), std::nullopt);
    EXPECT_EQ(talk.answer(second, n1, 3, VoteReply{false, true}), std::nullopt);
    EXPECT_NE(talk.books.elected(leader), std::nullopt);
    EXPECT_EQ(talk.answer(third, n1, 3, VoteReply{false, true}), std::nullopt);
    EXPECT_EQ(talk.books.elected(leader), std::nullopt);
}

TEST(MessageBooks, NobodyIsHelpedWhileALeaderLives) {
    Talk talk;
    const GroupFacts leader = facts(n1, Role::leader, 3, {1}, 0);
    const GroupFacts follower = facts(n2, Role::follower, 3, {1}, 0);
    const GroupFacts candidate = facts(n3, Role::pre_candidate, 3, {1}, 0);
    for (int i = 0; i < 3; ++i) {
        talk.now += 50ms;
        EXPECT_EQ(talk.ask(leader, n2, 3, HeartbeatRequest{}), std::nullopt);
        EXPECT_EQ(talk.answer(follower, n1, 3, HeartbeatReply{}), std::nullopt);
    }
    const auto granted = [&](const GroupFacts& voter, Duration later, bool stalled = false) {
        talk.now = Instant{} + later;
        EXPECT_EQ(talk.ask(candidate, voter.node, 4, VoteRequest{candidate.last, true}),
                  std::nullopt);
        return talk.answer(voter, n3, 4, VoteReply{true, true}, stalled);
    };
    EXPECT_NE(granted(follower, 200ms), std::nullopt);
    EXPECT_EQ(granted(follower, 200ms, true), std::nullopt);
    EXPECT_NE(granted(follower, 410ms), std::nullopt);
    EXPECT_EQ(granted(follower, 430ms), std::nullopt);  // heard at 150 ms; clocks drift
    EXPECT_NE(granted(leader, 300ms), std::nullopt);
    GroupFacts again = follower;
    again.life = 2;
    EXPECT_EQ(granted(again, 200ms), std::nullopt);
}

TEST(PersistBeforeSend, WhatIsPromisedIsDurable) {
    DurableLog log;
    take_state(log, 2, n2);
    take_put(log, 2, 5, "v");
    const auto broken = [&](MessageBody body, std::uint64_t term, std::uint64_t match_term = 2) {
        return broken_promise(message(std::move(body), term), Term(match_term), log).has_value();
    };
    EXPECT_FALSE(broken(VoteReply{false, true}, 2));
    EXPECT_TRUE(broken(VoteReply{false, true}, 3));
    EXPECT_FALSE(broken(VoteReply{true, true}, 3));  // a pre-vote
    EXPECT_TRUE(broken(VoteRequest{}, 2));           // voted for n2, not for itself
    EXPECT_FALSE(broken(AppendReply{false, Index(5), {}}, 2));
    EXPECT_TRUE(broken(AppendReply{false, Index(6), {}}, 2));
    EXPECT_TRUE(broken(AppendReply{false, Index(5), {}}, 2, 1));  // another entry's place
    EXPECT_FALSE(broken(AppendReply{true, Index(6), {}}, 2));
    EXPECT_TRUE(broken(HeartbeatReply{}, 3));
}

}  // namespace
}  // namespace kv::sim
