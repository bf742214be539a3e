#include "consensus/drive/group.h"

#include <gtest/gtest.h>

#include "tests/support/fake_log.h"

namespace kv::consensus {
namespace {

const GroupId group_id(4);
const NodeId self(9);

Configuration one_voter() {
    Member member;
    member.node = self;
    member.host = "10.0.0.1";
    return {{member}};
}

struct Machine final : StateMachine {
    struct Seen {
        Index index;
        Term term;
        EntryKind kind;
        std::string payload;
    };
    std::vector<Seen> seen;
    std::optional<Errc> fail_with;

    Status apply(const Entry& entry) noexcept override {
        if (fail_with) return fail(*fail_with);
        seen.push_back({entry.index, entry.term, entry.kind, std::string(as_text(entry.payload))});
        return {};
    }
};

struct Fixture {
    FakeLog log;
    Machine machine;
    Group group{group_id, self, log, machine};

    LogPosition propose(std::string_view payload, std::uint64_t now_ms = 1) {
        std::string entry = group.take_buffer();
        entry.append(payload);
        return group.propose(std::move(entry), now_ms);
    }
    void lead(std::uint64_t now_ms = 1) {
        group.campaign(one_voter(), now_ms);
        ASSERT_TRUE(group.persisted(group.last()).has_value());
        ASSERT_TRUE(group.ready());
    }
};

/// A sealed entry as recovery brings it.
struct Sealed {
    Sealed(std::uint64_t term, std::uint64_t index, std::string_view payload = {},
           EntryKind kind = EntryKind::noop, std::uint64_t time_ms = 0)
        : bytes(entry_header_bytes, '\0') {
        bytes.append(payload);
        seal_entry({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}, group_id, Term(term),
                   Index(index), time_ms, kind);
    }
    Entry entry() const { return *decode_entry(as_bytes(bytes), group_id); }
    std::string bytes;
};

TEST(Group, AnEmptyLogStartsWithItsConfigurationAndTheNoopOfItsFirstTerm) {
    Fixture f;
    f.group.campaign(one_voter(), 77);
    ASSERT_EQ(f.log.steps.size(), 3u);
    EXPECT_FALSE(f.log.steps[0].is_entry);  // term and vote are durable no later than the entries
    EXPECT_EQ(f.log.steps[0].group, group_id);
    EXPECT_EQ(f.log.steps[0].state, (HardState{Term(1), self, Index(0)}));
    const std::vector<Entry> entries = f.log.entries();
    ASSERT_EQ(entries.size(), 2u);
    EXPECT_EQ(entries[0].kind, EntryKind::configuration);
    EXPECT_EQ(entries[0].index, Index(1));
    EXPECT_EQ(*decode_configuration(entries[0].payload), one_voter());
    EXPECT_EQ(entries[1].kind, EntryKind::noop);
    EXPECT_EQ(entries[1].index, Index(2));
    EXPECT_TRUE(entries[1].payload.empty());
    for (const Entry& entry : entries) {
        EXPECT_EQ(entry.term, Term(1));
        EXPECT_EQ(entry.time_ms, 77u);
    }
}

TEST(Group, EachCampaignHasATermOfItsOwn) {
    std::vector<std::string> log;
    HardState state;
    for (std::uint64_t life = 1; life <= 5; ++life) {
        Fixture f;
        ASSERT_TRUE(f.group.recover(state).has_value());
        for (const std::string& bytes : log) {
            const auto entry = decode_entry(as_bytes(bytes), group_id);
            ASSERT_TRUE(f.group.recover(*entry).has_value());
        }
        f.lead();
        EXPECT_EQ(f.group.term(), Term(life));
        state = f.log.steps[0].state;
        for (const FakeLog::Step& step : f.log.steps) {
            if (step.is_entry) log.push_back(step.bytes);
        }
        EXPECT_EQ(f.group.configuration(), one_voter());
        EXPECT_EQ(f.group.last().index, Index(life + 1));  // one configuration, a noop each
    }
}

TEST(Group, ALostHardStateCannotBringBackAnOldTerm) {
    Fixture f;  // the term of the last entry counts as well
    ASSERT_TRUE(f.group.recover(Sealed(6, 1).entry()).has_value());
    f.group.campaign(one_voter(), 1);
    EXPECT_EQ(f.group.term(), Term(7));
}

TEST(Group, NothingIsAcceptedBeforeAnEntryOfItsTermIsCommitted) {
    Fixture f;
    EXPECT_EQ(f.group.refusal(10), Errc::no_leader);
    f.group.campaign(one_voter(), 1);
    EXPECT_EQ(f.group.refusal(10), Errc::no_leader);
    ASSERT_TRUE(f.group.persisted({Term(1), Index(1)}).has_value());
    EXPECT_TRUE(f.group.ready());  // the configuration is an entry of this term
    EXPECT_EQ(f.group.refusal(10), std::nullopt);
}

TEST(Group, ARecoveredLogDoesNotMakeItReady) {
    Fixture f;
    ASSERT_TRUE(f.group.recover(Sealed(1, 1).entry()).has_value());
    f.group.campaign(one_voter(), 1);
    EXPECT_FALSE(f.group.ready());
    ASSERT_TRUE(f.group.persisted(f.group.last()).has_value());
    EXPECT_TRUE(f.group.ready());
}

TEST(Group, ItCommitsWhatIsPersistedAndAppliesItOnceInOrder) {
    Fixture f;
    f.lead();
    f.machine.seen.clear();
    const LogPosition a = f.propose("a");
    const LogPosition b = f.propose("b");
    const LogPosition c = f.propose("c");
    EXPECT_TRUE(f.machine.seen.empty());
    EXPECT_LT(f.group.commit(), a.index);
    ASSERT_TRUE(f.group.persisted(b).has_value());
    EXPECT_EQ(f.group.commit(), b.index);
    EXPECT_EQ(f.group.applied(), b.index);
    ASSERT_TRUE(f.group.persisted(a).has_value());  // late news of less
    ASSERT_TRUE(f.group.persisted(b).has_value());
    EXPECT_EQ(f.group.commit(), b.index);
    ASSERT_TRUE(f.group.persisted(c).has_value());
    ASSERT_EQ(f.machine.seen.size(), 3u);
    const char* const payloads[] = {"a", "b", "c"};
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(f.machine.seen[i].payload, payloads[i]);
        EXPECT_EQ(f.machine.seen[i].index, Index(a.index.value() + i));
        EXPECT_EQ(f.machine.seen[i].kind, EntryKind::commands);
    }
    EXPECT_EQ(f.group.uncommitted_bytes(), 0u);
}

TEST(Group, ACompletionFromAnotherTermSaysNothing) {
    Fixture f;
    f.lead();
    const LogPosition a = f.propose("a");
    const Index before = f.group.commit();
    ASSERT_TRUE(f.group.persisted({Term(0), Index(1000)}).has_value());
    ASSERT_TRUE(f.group.persisted({a.term.next(), a.index}).has_value());
    EXPECT_EQ(f.group.commit(), before);
    EXPECT_NE(f.group.uncommitted_bytes(), 0u);
}

TEST(GroupDeathTest, NobodyMayPersistWhatWasNeverAppended) {
    Fixture f;
    f.lead();
    const LogPosition beyond{f.group.term(), f.group.last().index.next()};
    EXPECT_DEATH(static_cast<void>(f.group.persisted(beyond)), "appended");
}

TEST(Group, UncommittedBytesAreBoundedAndComeBack) {
    Fixture f;
    f.lead();
    const std::string large(Group::uncommitted_bytes_max, 'x');
    EXPECT_EQ(f.group.refusal(large.size() + 1), std::nullopt);  // alone, any size may pass
    const LogPosition first = f.propose(large.substr(entry_header_bytes));
    EXPECT_EQ(f.group.uncommitted_bytes(), Group::uncommitted_bytes_max);
    EXPECT_EQ(f.group.refusal(1), Errc::busy);
    ASSERT_TRUE(f.group.persisted(first).has_value());
    EXPECT_EQ(f.group.uncommitted_bytes(), 0u);
    EXPECT_EQ(f.group.refusal(1), std::nullopt);
    f.propose(large.substr(2 * entry_header_bytes));
    EXPECT_EQ(f.group.refusal(entry_header_bytes), std::nullopt);  // exactly the bound
    EXPECT_EQ(f.group.refusal(entry_header_bytes + 1), Errc::busy);
}

TEST(Group, TheLogsRefusalPassesThrough) {
    for (const Errc why : {Errc::read_only, Errc::busy, Errc::shutting_down}) {
        Fixture f;
        f.lead();
        f.log.refuse = why;
        EXPECT_EQ(f.group.refusal(123), why);
        EXPECT_EQ(f.log.asked_bytes, 123u);
    }
}

TEST(Group, StampsNeverFallWhenTheClockGoesBack) {
    Fixture f;
    ASSERT_TRUE(f.group.recover(Sealed(1, 1, {}, EntryKind::noop, 500).entry()).has_value());
    f.lead(100);
    f.propose("a", 400);
    f.propose("b", 600);
    f.propose("c", 0);
    f.propose("d", 601);
    std::vector<std::uint64_t> stamps;
    for (const Entry& entry : f.log.entries()) stamps.push_back(entry.time_ms);
    EXPECT_EQ(stamps, (std::vector<std::uint64_t>{500, 500, 600, 600, 601}));
}

TEST(Group, RecoveryAppliesTheLogAndGoesOnBehindIt) {
    Fixture f;
    ASSERT_TRUE(f.group.recover(HardState{Term(2), self, Index(0)}).has_value());
    std::string configuration;
    encode_configuration(one_voter(), configuration);
    const Sealed log[] = {{1, 1, configuration, EntryKind::configuration},
                          {1, 2},
                          {1, 3, "a", EntryKind::commands},
                          {2, 4},
                          {2, 5, "b", EntryKind::commands}};
    for (const Sealed& sealed : log) ASSERT_TRUE(f.group.recover(sealed.entry()).has_value());
    EXPECT_EQ(f.group.applied(), Index(5));
    EXPECT_EQ(f.group.configuration(), one_voter());
    ASSERT_EQ(f.machine.seen.size(), 5u);
    EXPECT_EQ(f.machine.seen[4].payload, "b");
    f.lead();
    const std::vector<Entry> entries = f.log.entries();
    ASSERT_EQ(entries.size(), 1u);  // the configuration is there already
    EXPECT_EQ(entries[0].kind, EntryKind::noop);
    EXPECT_EQ(entries[0].term, Term(3));
    EXPECT_EQ(entries[0].index, Index(6));
    EXPECT_EQ(f.log.steps[0].state, (HardState{Term(3), self, Index(5)}));
}

TEST(Group, RecoveryRefusesALogThatDoesNotJoin) {
    struct Case {
        const char* name;
        std::uint64_t term;
        std::uint64_t index;
    };
    const Case cases[] = {
        {"gap", 3, 4},        {"repeated", 3, 2}, {"from the start", 3, 1},
        {"term falls", 2, 3}, {"index 0", 3, 0},
    };
    for (const Case& c : cases) {
        Fixture f;
        ASSERT_TRUE(f.group.recover(Sealed(1, 1).entry()).has_value());
        ASSERT_TRUE(f.group.recover(Sealed(3, 2).entry()).has_value());
        const Status status = f.group.recover(Sealed(c.term, c.index).entry());
        ASSERT_FALSE(status.has_value()) << c.name;
        EXPECT_EQ(status.error().code, Errc::damaged) << c.name;
        EXPECT_EQ(f.machine.seen.size(), 2u) << c.name;
    }
    Fixture f;
    ASSERT_TRUE(f.group.recover(HardState{Term(3), self, Index(0)}).has_value());
    ASSERT_TRUE(f.group.recover(HardState{Term(3), self, Index(2)}).has_value());
    const Status status = f.group.recover(HardState{Term(2), self, Index(2)});
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code, Errc::damaged);
    Fixture empty;
    EXPECT_FALSE(empty.group.recover(Sealed(1, 2).entry()).has_value());
}

TEST(Group, WhatTheStateMachineCannotApplyStopsIt) {
    Fixture f;
    f.lead();
    const LogPosition a = f.propose("a");
    f.propose("b");
    const Index applied = f.group.applied();
    f.machine.fail_with = Errc::unsupported;
    const Status status = f.group.persisted(a);
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code, Errc::unsupported);
    EXPECT_EQ(f.group.applied(), applied);
}

TEST(Group, BuffersComeBackEmptyWithRoomForTheHeader) {
    Fixture f;
    f.lead();
    for (int i = 0; i < 100; ++i) {
        std::string buffer = f.group.take_buffer();
        ASSERT_EQ(buffer.size(), entry_header_bytes);
        buffer.append(static_cast<std::size_t>(i) * 100, 'x');
        const LogPosition position = f.group.propose(std::move(buffer), 1);
        if (i % 3 == 0) {
            ASSERT_TRUE(f.group.persisted(position).has_value());
        }
    }
    ASSERT_TRUE(f.group.persisted(f.group.last()).has_value());
    EXPECT_EQ(f.machine.seen.back().payload.size(), 9900u);
}

}  // namespace
}  // namespace kv::consensus
