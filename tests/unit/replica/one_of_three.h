#pragma once

/// A replica of node 1 of three, whose other nodes are the test.

#include <gtest/gtest.h>

#include "engine/replica/replica.h"
#include "tests/support/fake_log.h"

namespace kv::test {

inline constexpr GroupId group(1);
inline const NodeId other(2);

struct Answers final : AppliedHandler {
    std::vector<std::uint64_t> applied;
    std::vector<std::pair<std::uint64_t, Errc>> dropped;
    std::vector<std::uint64_t> reads;
    std::vector<std::pair<std::uint64_t, Errc>> reads_dropped;
    std::vector<std::size_t> keys;  ///< that each of them found

    void on_applied(std::span<const Applied> some) noexcept override {
        for (const Applied& one : some) applied.push_back(one.waiter.request);
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
            reads.push_back(reader.request);
            keys.push_back(replica.store().size());
        }
    }
};

/// Node 1 of three. What the others say, the test says.
class OneOfThree : public testing::Test {
protected:
    void SetUp() override {
        replica.set_handler(&answers);
        Configuration three;
        for (std::uint64_t i = 1; i <= 3; ++i) {
            three.members.emplace_back();
            three.members.back().node = NodeId(i);
        }
        ASSERT_TRUE(replica.group().start(three, now));
        settle();
    }
    static consensus::RaftOptions options() {
        consensus::RaftOptions options;
        options.group = group;
        options.self = NodeId(1);
        options.boot = 1;
        return options;
    }
    /// All that was handed over is durable, and what is committed is applied, unless `idle`.
    void settle() {
        for (int i = 0; i < 4; ++i) {
            replica.group().flush(now);
            if (owner.role_changes != roles) replica.role_changed(now);
            roles = owner.role_changes;
            if (replica.waits()) static_cast<void>(replica.settle(1));
            if (!log.marks.empty()) replica.group().persisted(log.marks.back(), now);
            while (!idle && replica.group().has_committed() && replica.may_apply()) {
                ASSERT_TRUE(replica.apply_next());
            }
        }
    }
    void tick() {
        now += 10ms;
        replica.group().tick(now);
        replica.look_for_leader(now);
        settle();
    }
    const consensus::Raft& raft() { return replica.group().raft(); }
    void hear(const Message& request, MessageBody body) {
        replica.group().step({group, other, NodeId(1), request.term, request.boot, request.sequence,
                              std::move(body)},
                             now);
        settle();
    }
    template <typename Body>
    const Message* last_sent() {
        for (std::size_t i = owner.messages.size(); i-- > 0;) {
            const Message& message = owner.messages[i];
            if (message.to == other && std::holds_alternative<Body>(message.body)) return &message;
        }
        return nullptr;
    }
    /// Node 2 votes for this one, and acknowledges everything.
    void elect() {
        for (int i = 0; i < 200 && raft().role() != consensus::Role::pre_candidate; ++i) tick();
        for (const bool pre : {true, false}) {
            settle();
            const Message* const asked = last_sent<VoteRequest>();
            ASSERT_NE(asked, nullptr);
            ASSERT_EQ(std::get<VoteRequest>(asked->body).pre, pre);
            hear(*asked, VoteReply{pre, true});
        }
        ASSERT_EQ(raft().role(), consensus::Role::leader);
    }
    void acknowledge() {
        const Message* const sent = last_sent<AppendRequest>();
        ASSERT_NE(sent, nullptr);
        hear(*sent, AppendReply{false, raft().last().index, {}});
    }
    /// Node 2 leads a later term, and its log goes on behind `previous` with an empty entry.
    void depose(LogPosition previous) {
        const Term term(raft().term().value() + 1);
        std::string entry(entry_header_bytes, '\0');
        seal_entry(std::as_writable_bytes(std::span(entry)), group, term, previous.index.next(), 1,
                   EntryKind::noop);
        AppendRequest request;
        request.previous = previous;
        request.entries.push_back(as_bytes(entry));
        Message message{group, other, NodeId(1), term, 7, 1, std::move(request)};
        replica.group().step(message, now);
        settle();
        ASSERT_EQ(raft().last(), (LogPosition{term, previous.index.next()}));
    }
    void put(std::uint64_t request) {
        ASSERT_EQ(replica.propose({CommandKind::put, "key", "value"}, Waiter{this, request}, 1),
                  std::nullopt);
        replica.close_batch(1);
        settle();
    }
    /// It leads, and has not applied what is committed.
    void lead_unapplied() {
        elect();
        acknowledge();
        const LogPosition before = raft().last();
        idle = true;
        depose(before);
        elect();
        acknowledge();
    }
    /// A read, and node 2 says that it has no other leader.
    void confirm_read(std::uint64_t request) {
        ASSERT_EQ(replica.begin_read(Waiter{this, request}, 0, true), ReadTurn::later);
        settle();
        for (int i = 0; i < 6; ++i) tick();
        const Message* const asked = last_sent<HeartbeatRequest>();
        ASSERT_NE(asked, nullptr);
        const std::uint64_t round = std::get<HeartbeatRequest>(asked->body).read;
        hear(*asked, HeartbeatReply{round});
        for (const consensus::ReadReady& ready : owner.reads) replica.reads_confirmed(ready);
    }
    using Dropped = std::vector<std::pair<std::uint64_t, Errc>>;

    Instant now{1h};
    bool idle = false;
    std::size_t roles = 0;  ///< of owner.role_changes, those that the replica has heard of
    Slab slab;
    FakeLog log;
    FakeOwner owner;
    Answers answers;
    Replica replica{options(), log, owner, slab, 99, SIZE_MAX};
};

}  // namespace kv::test
