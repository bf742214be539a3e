/// One group between a log and a state machine that a test completes by hand.

#include "consensus/drive/group.h"

#include <gtest/gtest.h>

#include "tests/support/fake_log.h"

namespace kv::consensus {
namespace {

const GroupId group_id(4);
const NodeId self(9);
const Instant now{};

Configuration voters(std::initializer_list<std::uint64_t> nodes) {
    Configuration configuration;
    for (const std::uint64_t node : nodes) {
        Member member;
        member.node = NodeId(node);
        configuration.members.push_back(member);
    }
    return configuration;
}

struct Machine final : StateMachine {
    struct Seen {
        Index index;
        EntryKind kind;
        std::string payload;
    };
    std::vector<Seen> seen;
    std::optional<Errc> fail_with;

    Status apply(const Entry& entry) noexcept override {
        if (fail_with) return fail(*fail_with);
        seen.push_back({entry.index, entry.kind, std::string(as_text(entry.payload))});
        return {};
    }
};

struct Fixture {
    FakeLog log;
    FakeOwner owner;
    Machine machine;
    Group group{options(), log, machine, owner};

    static RaftOptions options() {
        RaftOptions options;
        options.group = group_id;
        options.self = self;
        options.boot = 1;
        return options;
    }
    LogPosition propose(std::string_view payload, std::uint64_t now_ms = 1) {
        std::string entry = group.take_buffer();
        entry.append(payload);
        return group.propose(std::move(entry), now_ms);
    }
    void apply_all() {
        while (group.has_committed()) ASSERT_TRUE(group.apply_next().has_value());
    }
    void persist_all() {
        group.flush(now);
        std::size_t persisted = 0;
        while (persisted != log.marks.size()) {
            persisted = log.marks.size();
            group.persisted(log.marks.back(), now);
            group.flush(now);
        }
    }
    void lead() {
        ASSERT_TRUE(group.start(voters({9}), now).has_value());
        persist_all();
        ASSERT_TRUE(group.ready());
        apply_all();
    }
};

/// A sealed entry as recovery brings it.
struct Sealed {
    Sealed(std::uint64_t term, std::uint64_t index, std::string_view payload, EntryKind kind)
        : bytes(entry_header_bytes, '\0') {
        bytes.append(payload);
        seal_entry({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}, group_id, Term(term),
                   Index(index), 0, kind);
    }
    Entry entry() const { return *decode_entry(as_bytes(bytes), group_id); }
    std::string bytes;
};

TEST(Group, AloneItLeadsOnceItsOwnVoteAndItsNoopAreDurable) {
    Fixture f;
    ASSERT_TRUE(f.group.start(voters({9}), now).has_value());
    EXPECT_EQ(f.group.refusal(10), Errc::no_leader);
    f.group.flush(now);
    ASSERT_EQ(f.log.marks.size(), 1u);
    ASSERT_EQ(f.log.steps.size(), 2u);
    EXPECT_FALSE(f.log.steps[0].is_entry);  // term and vote are durable no later than entries
    EXPECT_EQ(f.log.steps[0].group, group_id);
    EXPECT_EQ(f.log.entries()[0].kind, EntryKind::configuration);
    EXPECT_FALSE(f.group.ready());
    f.persist_all();
    EXPECT_TRUE(f.group.ready());
    EXPECT_EQ(f.group.refusal(10), std::nullopt);
    EXPECT_GT(f.owner.role_changes, 0u);
    ASSERT_EQ(f.log.entries().size(), 2u);
    EXPECT_EQ(f.log.entries()[1].kind, EntryKind::noop);
    EXPECT_TRUE(f.machine.seen.empty());  // until its owner says so
    f.apply_all();
    EXPECT_EQ(f.machine.seen.size(), 2u);
    EXPECT_EQ(f.group.configuration(), voters({9}));
    EXPECT_TRUE(f.owner.messages.empty());
}

TEST(Group, AppliesWhatIsDurableOnceInOrder) {
    Fixture f;
    f.lead();
    f.machine.seen.clear();
    f.propose("a");
    f.propose("b");
    f.group.flush(now);
    const PersistMark first = f.log.marks.back();
    f.propose("c");
    f.group.flush(now);
    EXPECT_FALSE(f.group.has_committed());
    f.group.persisted(first, now);
    f.apply_all();
    ASSERT_EQ(f.machine.seen.size(), 2u);
    EXPECT_EQ(f.machine.seen[0].payload, "a");
    EXPECT_EQ(f.machine.seen[1].payload, "b");
    f.group.persisted(first, now);  // says nothing new
    EXPECT_FALSE(f.group.has_committed());
    f.group.persisted(f.log.marks.back(), now);
    f.apply_all();
    ASSERT_EQ(f.machine.seen.size(), 3u);
    EXPECT_EQ(f.machine.seen[2].payload, "c");
    EXPECT_EQ(f.group.applied(), f.group.raft().last().index);
}

TEST(Group, AFollowerAcknowledgesWhenTheLogSaysSo) {
    Fixture f;
    ASSERT_TRUE(f.group.start(voters({7, 8, 9}), now).has_value());
    f.persist_all();
    const Sealed entry(2, 2, "x", EntryKind::commands);
    Message request{group_id, NodeId(7), self, Term(2), 5, 1, {}};
    request.body = AppendRequest{{Term(1), Index(1)}, Index(1), {as_bytes(entry.bytes)}};
    f.group.step(request, now);
    f.group.flush(now);
    EXPECT_TRUE(f.owner.messages.empty());
    ASSERT_FALSE(f.log.entries().empty());
    EXPECT_EQ(f.log.entries().back().index, Index(2));
    f.group.persisted(f.log.marks.back(), now);
    f.group.flush(now);
    ASSERT_EQ(f.owner.messages.size(), 1u);
    EXPECT_EQ(std::get<AppendReply>(f.owner.messages[0].body).match, Index(2));
    EXPECT_EQ(f.owner.messages[0].to, NodeId(7));
}

TEST(Group, TheLogsRefusalPassesThrough) {
    Fixture f;
    f.lead();
    f.log.refuse = Errc::read_only;
    EXPECT_EQ(f.group.refusal(100), Errc::read_only);
    EXPECT_EQ(f.log.asked_bytes, 100u);
    f.log.refuse = {};
    EXPECT_EQ(f.group.refusal(100), std::nullopt);
}

/// Or a log that is full could not be written what it takes to make it shorter.
TEST(Group, AFollowerTakesOnlyWhatItsLogHasRoomFor) {
    Fixture f;
    ASSERT_TRUE(f.group.start(voters({7, 8, 9}), now).has_value());
    f.persist_all();
    const Sealed second(2, 2, "x", EntryKind::commands);
    const Sealed third(2, 3, "y", EntryKind::commands);
    Message request{group_id, NodeId(7), self, Term(2), 5, 1, {}};
    const auto ask = [&](std::vector<Bytes> entries, Index commit) {
        f.owner.messages.clear();
        ++request.sequence;
        request.body = AppendRequest{{Term(1), Index(1)}, commit, std::move(entries)};
        f.group.step(request, now);
        f.persist_all();
        return f.owner.messages.empty() ? Index()
                                        : std::get<AppendReply>(f.owner.messages.back().body).match;
    };
    for (const Errc why : {Errc::log_full, Errc::read_only}) {
        f.log.refuse = why;
        EXPECT_EQ(ask({as_bytes(second.bytes)}, Index(2)), Index(1));
        EXPECT_GT(f.log.asked_bytes, second.bytes.size());
        EXPECT_EQ(f.group.raft().last().index, Index(1));
        EXPECT_EQ(f.group.raft().commit(), Index(1));
    }
    f.log.refuse = {};
    EXPECT_EQ(ask({as_bytes(second.bytes)}, Index(1)), Index(2));
    // What it has needs no room, and that it is committed is heard: so it can be given up.
    f.log.refuse = Errc::log_full;
    EXPECT_EQ(ask({as_bytes(second.bytes), as_bytes(third.bytes)}, Index(3)), Index(2));
    EXPECT_EQ(f.group.raft().last().index, Index(2));
    EXPECT_EQ(f.group.raft().commit(), Index(2));
    f.log.refuse = {};
    EXPECT_EQ(ask({as_bytes(second.bytes), as_bytes(third.bytes)}, Index(3)), Index(3));
}

/// The acknowledgement says how far it got; a leader that lives is followed meanwhile.
TEST(Group, AFollowerWithoutRoomForAllTakesAPartAndAnswersHeartbeats) {
    Fixture f;
    ASSERT_TRUE(f.group.start(voters({7, 8, 9}), now).has_value());
    f.persist_all();
    std::vector<Sealed> entries;
    for (std::uint64_t index = 2; index <= 5; ++index) {
        entries.emplace_back(2, index, std::string(1000, 'x'), EntryKind::commands);
    }
    Message request{group_id, NodeId(7), self, Term(2), 5, 1, {}};
    Instant later = now;
    const auto ask = [&](MessageBody body) {
        f.owner.messages.clear();
        ++request.sequence;
        request.body = std::move(body);
        later += 100ms;
        f.group.step(request, later);
        f.group.tick(later);
        f.persist_all();
    };
    const auto append = [&](std::uint64_t previous) {
        AppendRequest body{{Term(previous == 1 ? 1 : 2), Index(previous)}, Index(1), {}};
        for (const Sealed& entry : entries) {
            if (entry.entry().index > Index(previous))
                body.entries.push_back(as_bytes(entry.bytes));
        }
        ask(std::move(body));
        const auto& reply = std::get<AppendReply>(f.owner.messages.at(0).body);
        EXPECT_FALSE(reply.rejected);
        return reply.match;
    };
    f.log.room = 2500;  // for two of them
    EXPECT_EQ(append(1), Index(3));
    EXPECT_EQ(f.group.raft().last().index, Index(3));
    f.log.room = 500;  // those two have taken it
    for (int i = 0; i < 20; ++i) {
        ask(HeartbeatRequest{Index(3), 7});
        ASSERT_EQ(f.owner.messages.size(), 1u);
        EXPECT_EQ(std::get<HeartbeatReply>(f.owner.messages[0].body).read, 7u);
        if (i % 6 == 5) {
            EXPECT_EQ(append(3), Index(3));  // what the leader asks once a timeout
        }
        EXPECT_EQ(f.group.raft().leader(), NodeId(7));
        EXPECT_EQ(f.group.raft().role(), Role::follower) << "it campaigned";
    }
    EXPECT_EQ(f.group.raft().commit(), Index(3));  // what is taken can be committed and given up
    EXPECT_EQ(append(1), Index(3)) << "what is there needs no room";
    f.log.room = SIZE_MAX;
    EXPECT_EQ(append(3), Index(5));
}

TEST(Group, ReadsAreToldWithTheMessageThatConfirmsThem) {
    Fixture f;
    ASSERT_TRUE(f.group.start(voters({8, 9}), now).has_value());
    f.persist_all();
    Instant later = now;
    const auto answer = [&](MessageBody body) {
        const Message asked = f.owner.messages.back();
        f.group.step(
            {group_id, NodeId(8), self, asked.term, asked.boot, asked.sequence, std::move(body)},
            later);
    };
    for (int i = 0; i < 100 && f.owner.messages.empty(); ++i) {
        f.group.tick(later += 10ms);
        f.persist_all();
    }
    for (const bool pre : {true, false}) {
        ASSERT_TRUE(std::holds_alternative<VoteRequest>(f.owner.messages.back().body));
        answer(VoteReply{pre, true});
        f.persist_all();
    }
    ASSERT_TRUE(std::holds_alternative<AppendRequest>(f.owner.messages.back().body));
    answer(AppendReply{false, f.group.raft().last().index, {}});
    f.persist_all();
    ASSERT_TRUE(f.group.ready());

    const std::uint64_t round = f.group.request_read();
    ASSERT_NE(round, 0u);
    f.persist_all();
    ASSERT_TRUE(std::holds_alternative<HeartbeatRequest>(f.owner.messages.back().body));
    ASSERT_TRUE(f.owner.reads.empty());
    answer(HeartbeatReply{round});
    ASSERT_EQ(f.owner.reads.size(), 1u) << "they wait for the end of the turn";
    EXPECT_EQ(f.owner.reads[0].round, round);
    f.group.flush(later);
    EXPECT_EQ(f.owner.reads.size(), 1u) << "told twice";
}

/// A leader may be configured with longer ones.
TEST(Group, AFollowerTakesNoEntryThatItsLogCanNeverStore) {
    for (const bool constrained : {false, true}) {
        Fixture f;
        ASSERT_TRUE(f.group.start(voters({7, 8, 9}), now).has_value());
        f.persist_all();
        const Sealed second(2, 2, "x", EntryKind::commands);
        const Sealed third(2, 3, std::string(1000, 'y'), EntryKind::commands);
        const Sealed fourth(2, 4, "z", EntryKind::commands);
        f.log.set_entry_bytes_max(third.bytes.size() - 1);
        f.log.set_constrained(constrained);
        AppendRequest append{{Term(1), Index(1)}, Index(1), {}};
        for (const Sealed* const entry : {&second, &third, &fourth}) {
            append.entries.push_back(as_bytes(entry->bytes));
        }
        Message request{group_id, NodeId(7), self, Term(2), 5, 1, append};
        f.owner.messages.clear();
        f.group.step(request, now);
        f.persist_all();
        ASSERT_EQ(f.owner.messages.size(), 1u);
        EXPECT_EQ(std::get<AppendReply>(f.owner.messages[0].body).match, Index(2));
        EXPECT_EQ(f.group.raft().last().index, Index(2));
        f.log.set_entry_bytes_max(third.bytes.size());
        request.sequence = 2;
        f.group.step(request, now);
        f.persist_all();
        EXPECT_EQ(f.group.raft().last().index, Index(4));
    }
}

TEST(Group, RecoveryAppliesWhatItKnowsToBeCommittedAndNoMore) {
    Fixture f;
    std::string configuration;
    encode_configuration(voters({9}), configuration);
    const Sealed first(1, 1, configuration, EntryKind::configuration);
    const Sealed second(1, 2, "a", EntryKind::commands);
    const Sealed third(1, 3, "b", EntryKind::commands);
    ASSERT_TRUE(f.group.recover(first.entry()).has_value());
    ASSERT_TRUE(f.group.recover(second.entry()).has_value());
    EXPECT_TRUE(f.machine.seen.empty());
    ASSERT_TRUE(f.group.recover(HardState{Term(1), self, Index(2)}).has_value());
    EXPECT_EQ(f.machine.seen.size(), 2u);
    ASSERT_TRUE(f.group.recover(third.entry()).has_value());
    EXPECT_EQ(f.machine.seen.size(), 2u);
    f.lead();
    EXPECT_EQ(f.machine.seen.size(), 4u);
    EXPECT_EQ(f.group.raft().term(), Term(2));
}

TEST(Group, AVoteWithoutALogIsNotForgotten) {
    Fixture f;
    ASSERT_TRUE(f.group.recover(HardState{Term(3), NodeId(7), Index(0)}).has_value());
    ASSERT_TRUE(f.group.start(voters({7, 8, 9}), now).has_value());
    f.persist_all();
    EXPECT_EQ(f.group.raft().term(), Term(3));
    EXPECT_EQ(f.group.raft().vote(), NodeId(7));
    ASSERT_EQ(f.log.entries().size(), 1u);
    EXPECT_EQ(f.log.entries()[0].term, Term(1));  // as on all nodes
}

TEST(Group, RecoveryBeginsBehindASnapshot) {
    Fixture f;
    f.group.restore({Term(3), Index(10)}, 77, voters({9}));
    EXPECT_EQ(f.group.applied_position(), (LogPosition{Term(3), Index(10)}));
    EXPECT_EQ(f.group.applied_time_ms(), 77u);
    const Sealed covered(3, 10, "a", EntryKind::commands);
    const Sealed next(3, 11, "b", EntryKind::commands);
    ASSERT_TRUE(f.group.recover(covered.entry()).has_value());
    ASSERT_TRUE(f.group.recover(next.entry()).has_value());
    f.lead();
    ASSERT_EQ(f.machine.seen.size(), 2u);
    EXPECT_EQ(f.machine.seen[0].payload, "b");
}

TEST(Group, WhatTheStateMachineCannotApplyIsAnError) {
    Fixture f;
    f.lead();
    f.propose("a");
    f.persist_all();
    f.machine.fail_with = Errc::unsupported;
    const auto applied = f.group.apply_next();
    ASSERT_FALSE(applied.has_value());
    EXPECT_EQ(applied.error().code, Errc::unsupported);
    EXPECT_LT(f.group.applied(), f.group.raft().commit());
}

}  // namespace
}  // namespace kv::consensus
