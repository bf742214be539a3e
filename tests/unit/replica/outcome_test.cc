/// What becomes of commands whose leader is deposed, and elected again: each is answered with what
/// happened to it, and with nothing else.

#include "tests/unit/replica/one_of_three.h"

namespace kv::test {
namespace {

class Outcome : public OneOfThree {};

/// Its entries were replaced, and it was elected again: its new command stands before the index of
/// old ones, which are gone for good.
TEST_F(Outcome, ACommandBehindLostOnesOfAnEarlierTermIsAnswered) {
    elect();
    acknowledge();
    ASSERT_TRUE(replica.group().ready());
    const LogPosition before = raft().last();
    for (std::uint64_t request = 1; request <= 4; ++request) put(request);
    depose(before);
    EXPECT_TRUE(answers.dropped.empty());  // another majority may still have them
    elect();
    acknowledge();
    ASSERT_TRUE(replica.group().ready());
    const Errc gone = Errc::no_leader;
    EXPECT_EQ(answers.dropped, (Dropped{{4, gone}, {3, gone}, {2, gone}, {1, gone}}));
    put(5);
    acknowledge();
    EXPECT_EQ(answers.applied, (std::vector<std::uint64_t>{5}));
    EXPECT_EQ(answers.dropped.size(), 4u);
    EXPECT_EQ(replica.pending(), 0u);
}

/// The same: a read does not wait for commands that are gone.
TEST_F(Outcome, AReadBehindLostCommandsOfAnEarlierTermIsServed) {
    elect();
    acknowledge();
    const LogPosition before = raft().last();
    for (std::uint64_t request = 1; request <= 4; ++request) put(request);
    depose(before);
    elect();
    acknowledge();
    confirm_read(9);
    EXPECT_EQ(answers.reads, (std::vector<std::uint64_t>{9}));
}

/// The majority has told that it leads, and what was committed waits for its turn to be applied.
TEST_F(Outcome, AReadWaitsUntilWhatIsCommittedIsApplied) {
    lead_unapplied();
    ASSERT_GT(raft().commit(), replica.group().applied());
    confirm_read(9);
    EXPECT_TRUE(answers.reads.empty());
    idle = false;
    settle();
    EXPECT_EQ(answers.reads, (std::vector<std::uint64_t>{9}));
}

/// And comes before what was asked behind it.
TEST_F(Outcome, AReadIsNotOvertakenByACommandBehindIt) {
    lead_unapplied();
    confirm_read(9);
    put(1);
    acknowledge();
    idle = false;
    settle();
    EXPECT_EQ(answers.applied, (std::vector<std::uint64_t>{1}));
    EXPECT_EQ(answers.reads, (std::vector<std::uint64_t>{9}));
    EXPECT_EQ(answers.keys, (std::vector<std::size_t>{0}));
}

/// What stayed in its log is committed with its next term.
TEST_F(Outcome, CommandsThatSurviveTheirTermAreAnswered) {
    elect();
    acknowledge();
    for (std::uint64_t request = 1; request <= 2; ++request) put(request);
    elect();
    EXPECT_TRUE(answers.applied.empty());
    acknowledge();
    EXPECT_EQ(answers.applied, (std::vector<std::uint64_t>{1, 2}));
    EXPECT_TRUE(answers.dropped.empty());
}

}  // namespace
}  // namespace kv::test
