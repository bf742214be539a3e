/// One replica over a log that a test completes by hand.

#include "engine/replica/replica.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <map>

#include "proto/base/prng.h"
#include "tests/support/fake_log.h"

namespace kv {
namespace {

std::uint64_t scaled(std::uint64_t count) {
    return std::getenv("KV_TEST_SANITIZED") != nullptr ? count / 10 : count;
}

struct Handler final : AppliedHandler {
    struct Read {
        std::uint64_t request;
        std::optional<std::string> value;
    };
    std::vector<Applied> applied;
    std::vector<Read> reads;
    std::vector<std::pair<std::uint64_t, Errc>> dropped;
    std::vector<std::pair<std::uint64_t, Errc>> reads_dropped;
    std::map<std::uint64_t, std::string> keys;  ///< of the readers

    std::vector<std::optional<std::string>> previous;  ///< of `applied`

    void on_applied(std::span<const Applied> some) noexcept override {
        applied.insert(applied.end(), some.begin(), some.end());
        for (const Applied& one : some) {
            previous.push_back(one.result.previous
                                   ? std::optional<std::string>(*one.result.previous)
                                   : std::nullopt);
        }
    }
    void on_dropped(const Replica&, std::span<const Waiter> waiters,
                    Errc reason) noexcept override {
        for (const Waiter& waiter : waiters) dropped.emplace_back(waiter.request, reason);
    }
    void on_reads_dropped(const Replica&, std::span<const Waiter> readers,
                          Errc reason) noexcept override {
        for (const Waiter& reader : readers) reads_dropped.emplace_back(reader.request, reason);
    }
    void on_readable(const Replica& replica, std::span<const Waiter> readers) noexcept override {
        for (const Waiter& reader : readers) {
            const std::string& key = keys.at(reader.request);
            const auto found = replica.store().get(key, replica.store().hash(key));
            reads.push_back({reader.request, std::nullopt});
            if (found) reads.back().value = std::string(found->value);
        }
    }
};

struct Fixture {
    explicit Fixture(std::size_t entry_bytes_limit = SIZE_MAX)
        : replica(options(), log, owner, slab, 99, entry_bytes_limit) {
        replica.set_handler(&handler);
        Member member;
        member.node = NodeId(1);
        EXPECT_TRUE(replica.group().start({{member}}, Instant()).has_value());
        persist_all();
        EXPECT_TRUE(replica.group().ready());
        replica.role_changed(Instant());
        log.steps.clear();
    }
    static consensus::RaftOptions options() {
        consensus::RaftOptions options;
        options.group = GroupId(1);
        options.self = NodeId(1);
        return options;
    }
    /// Ends a turn.
    void close(std::uint64_t now_ms) {
        replica.close_batch(now_ms);
        replica.group().flush(Instant());
    }
    void persist(consensus::PersistMark mark) {
        replica.group().persisted(mark, Instant());
        while (replica.group().has_committed() && replica.may_apply()) {
            ASSERT_TRUE(replica.apply_next().has_value());
        }
        replica.group().flush(Instant());
    }
    std::optional<Errc> put(std::string_view key, std::string_view value, std::uint64_t request) {
        return replica.propose({CommandKind::put, key, value}, Waiter{this, request}, 1);
    }
    std::optional<Errc> del(std::string_view key, std::uint64_t request) {
        return replica.propose({CommandKind::del, key}, Waiter{this, request}, 1);
    }
    bool read(std::string_view key, std::uint64_t request) {
        handler.keys[request] = std::string(key);
        const ReadTurn turn =
            replica.begin_read(Waiter{this, request}, replica.store().hash(key), true);
        EXPECT_NE(turn, ReadTurn::never);
        return turn == ReadTurn::later;
    }
    void persist_all() {
        replica.group().flush(Instant());
        std::size_t persisted = 0;
        while (persisted != log.marks.size()) {
            persisted = log.marks.size();
            persist(log.marks.back());
        }
    }
    std::optional<std::string> stored(std::string_view key) {
        const auto found = replica.store().get(key, replica.store().hash(key));
        return found ? std::optional<std::string>(found->value) : std::nullopt;
    }

    Slab slab;
    FakeLog log;
    FakeOwner owner;
    Handler handler;
    Replica replica;
};

TEST(Replica, TheCommandsOfATurnAreOneEntry) {
    Fixture f;
    for (std::uint64_t i = 0; i < 100; ++i) {
        ASSERT_EQ(f.put("key" + std::to_string(i), "value", i), std::nullopt);
    }
    EXPECT_TRUE(f.replica.has_open_batch());
    EXPECT_TRUE(f.log.steps.empty());  // nothing before the turn ends
    f.close(5);
    f.close(5);  // nothing is open: no second entry
    ASSERT_EQ(f.log.entries().size(), 1u);
    EXPECT_EQ(f.log.entries()[0].kind, EntryKind::commands);
    EXPECT_EQ(f.log.entries()[0].time_ms, 5u);
    EXPECT_EQ(f.replica.pending(), 100u);
    EXPECT_TRUE(f.handler.applied.empty());
    f.persist_all();
    EXPECT_EQ(f.handler.applied.size(), 100u);
    EXPECT_EQ(f.replica.pending(), 0u);
}

TEST(Replica, WaitersGetCountsAndRevisionsInTheOrderOfTheLog) {
    Fixture f;
    ASSERT_EQ(f.put("a", "1", 10), std::nullopt);
    ASSERT_EQ(f.put("b", "1", 11), std::nullopt);
    ASSERT_EQ(f.del("a", 12), std::nullopt);
    ASSERT_EQ(f.del("a", 13), std::nullopt);
    f.close(1);
    ASSERT_EQ(f.put("c", "1", 14), std::nullopt);
    ASSERT_EQ(f.replica.propose({CommandKind::flush, "", ""}, Waiter{&f, 15}, 1), std::nullopt);
    f.close(1);
    f.persist_all();
    const std::int64_t counts[] = {1, 1, 1, 0, 1, 2};
    ASSERT_EQ(f.handler.applied.size(), 6u);
    for (std::uint64_t i = 0; i < 6; ++i) {
        EXPECT_EQ(f.handler.applied[i].waiter.request, 10 + i);
        EXPECT_EQ(f.handler.applied[i].waiter.owner, &f);
        EXPECT_EQ(f.handler.applied[i].result.number, counts[i]) << i;
        EXPECT_EQ(f.handler.applied[i].result.revision, Revision(i + 1));
    }
    EXPECT_EQ(f.replica.store().size(), 0u);
}

TEST(Replica, ValuesBeforeAWriteComeBackEachWithItsCommand) {
    Fixture f;
    const auto exchange = [&](std::string_view key, std::string_view value, std::uint64_t request) {
        const Command command{.key = key, .value = value, .flags = flag_return_previous};
        return f.replica.propose(command, Waiter{&f, request}, 1);
    };
    ASSERT_EQ(exchange("a", "1", 1), std::nullopt);
    ASSERT_EQ(exchange("a", "", 2), std::nullopt);
    ASSERT_EQ(f.put("a", "3", 3), std::nullopt);
    ASSERT_EQ(exchange("a", std::string(5000, 'x'), 4), std::nullopt);
    ASSERT_EQ(exchange("a", "5", 5), std::nullopt);
    f.close(1);
    ASSERT_EQ(exchange("a", "6", 6), std::nullopt);
    f.close(1);
    f.persist_all();
    const std::vector<std::optional<std::string>> expected = {
        std::nullopt, "1", std::nullopt, "3", std::string(5000, 'x'), "5"};
    EXPECT_EQ(f.handler.previous, expected);
}

TEST(Replica, AnEntryIsClosedAtOneMebibyte) {
    Fixture f;
    const std::string value(300'000, 'v');
    for (std::uint64_t i = 0; i < 10; ++i) ASSERT_EQ(f.put("k", value, i), std::nullopt);
    f.replica.group().flush(Instant());
    EXPECT_EQ(f.log.entries().size(), 3u);  // three of them fit, the fourth opens the next
    f.close(1);
    ASSERT_EQ(f.log.entries().size(), 4u);
    for (const Entry& entry : f.log.entries()) {
        EXPECT_LE(entry.bytes.size(), Replica::entry_bytes_max);
    }
    f.persist_all();
    ASSERT_EQ(f.handler.applied.size(), 10u);
    for (std::uint64_t i = 0; i < 10; ++i) {
        EXPECT_EQ(f.handler.applied[i].waiter.request, i);
    }
}

TEST(Replica, ALargerCommandHasAnEntryOfItsOwn) {
    Fixture f;
    const std::string value(Replica::entry_bytes_max + 1, 'v');
    ASSERT_EQ(f.put("small", "1", 0), std::nullopt);
    ASSERT_EQ(f.put("large", value, 1), std::nullopt);
    ASSERT_EQ(f.put("small", "2", 2), std::nullopt);
    f.close(1);
    EXPECT_EQ(f.log.entries().size(), 3u);
    f.persist_all();
    EXPECT_EQ(f.stored("large"), value);
    EXPECT_EQ(f.stored("small"), "2");
}

TEST(Replica, NoEntryIsLongerThanTheLogCanStore) {
    Fixture f(1000);
    const std::size_t overhead = entry_header_bytes + command_header_bytes + 1;
    for (std::uint64_t i = 0; i < 50; ++i) {
        ASSERT_EQ(f.put("k", std::string(100, 'v'), i), std::nullopt);
    }
    ASSERT_EQ(f.put("k", std::string(1000 - overhead, 'v'), 50), std::nullopt);
    EXPECT_EQ(f.put("k", std::string(1001 - overhead, 'v'), 51), Errc::too_large);
    f.close(1);
    for (const Entry& entry : f.log.entries()) EXPECT_LE(entry.bytes.size(), 1000u);
    f.persist_all();
    EXPECT_EQ(f.handler.applied.size(), 51u);
}

TEST(Replica, ARefusedCommandLeavesNothingBehind) {
    Fixture f;
    ASSERT_EQ(f.put("a", "1", 0), std::nullopt);
    f.log.refuse = Errc::read_only;
    EXPECT_EQ(f.put("b", "1", 1), Errc::read_only);
    f.log.refuse = {};
    f.close(1);
    f.persist_all();
    ASSERT_EQ(f.handler.applied.size(), 1u);
    EXPECT_EQ(f.stored("b"), std::nullopt);
    EXPECT_EQ(f.replica.pending(), 0u);
}

TEST(Replica, ReadsWithNothingPendingNeedNotWait) {
    Fixture f;
    EXPECT_FALSE(f.read("a", 1));
    ASSERT_EQ(f.put("a", "1", 2), std::nullopt);
    EXPECT_TRUE(f.read("a", 3));
    f.close(1);
    EXPECT_TRUE(f.read("a", 4));
    f.persist_all();
    ASSERT_EQ(f.handler.reads.size(), 2u);
    EXPECT_EQ(f.handler.reads[0].request, 3u);
    EXPECT_EQ(f.handler.reads[0].value, "1");
    EXPECT_FALSE(f.read("a", 5));
}

/// Puts, dels, flushes and reads in any order, closed and persisted at any moment: each read sees
/// the writes before it and none behind it.
void interleave(std::uint64_t seed) {
    Fixture f;
    Prng prng(seed);
    std::map<std::string, std::string> model;
    std::map<std::uint64_t, std::optional<std::string>> expected;
    std::vector<std::int64_t> expected_counts;
    std::deque<consensus::PersistMark> closed;
    const std::uint64_t steps = prng.between(1, 300);
    for (std::uint64_t request = 0; request < steps; ++request) {
        const std::string key(1, static_cast<char>('a' + prng.below(4)));
        const std::uint64_t what = prng.below(100);
        if (what < 30) {
            const std::string value(prng.below(40), static_cast<char>('0' + request % 10));
            ASSERT_EQ(f.put(key, value, request), std::nullopt);
            model[key] = value;
            expected_counts.push_back(1);
        } else if (what < 40) {
            ASSERT_EQ(f.del(key, request), std::nullopt);
            expected_counts.push_back(static_cast<std::int64_t>(model.erase(key)));
        } else if (what < 42) {
            ASSERT_EQ(f.replica.propose({CommandKind::flush, "", ""}, Waiter{&f, request}, 1),
                      std::nullopt);
            expected_counts.push_back(static_cast<std::int64_t>(model.size()));
            model.clear();
        } else if (what < 80) {
            const auto found = model.find(key);
            if (found != model.end())
                expected[request] = found->second;
            else
                expected[request] = std::nullopt;
            if (!f.read(key, request)) f.handler.reads.push_back({request, f.stored(key)});
        } else if (what < 90) {
            f.close(1);
            closed.push_back(f.log.marks.back());
        } else if (!closed.empty()) {
            f.persist(closed.front());
            closed.pop_front();
        }
    }
    f.close(1);
    f.persist_all();
    ASSERT_EQ(f.handler.reads.size(), expected.size());
    for (const Handler::Read& read : f.handler.reads) {
        EXPECT_EQ(read.value, expected.at(read.request)) << "request " << read.request;
    }
    ASSERT_EQ(f.handler.applied.size(), expected_counts.size());
    for (std::size_t i = 0; i < expected_counts.size(); ++i) {
        EXPECT_EQ(f.handler.applied[i].result.number, expected_counts[i]);
        EXPECT_EQ(f.handler.applied[i].result.revision, Revision(i + 1));
    }
    for (const auto& [key, value] : model) EXPECT_EQ(f.stored(key), value);
    EXPECT_EQ(f.replica.store().size(), model.size());
    while (f.replica.reclaim(64)) continue;
}

TEST(Replica, AReadSeesExactlyTheWritesBeforeIt) {
    for (std::uint64_t seed = 0; seed < scaled(2000); ++seed) {
        SCOPED_TRACE(seed);
        interleave(seed);
        if (testing::Test::HasFailure()) return;
    }
}

}  // namespace
}  // namespace kv
