/// The ring between two cores, and the two ends of it: order, bounds, sleep and doorbells. Here all
/// cores are on one thread; cores_test.cc has the threads.

#include "io/mailbox.h"

#include <gtest/gtest.h>

#include <functional>

#include <deque>
#include <optional>
#include <vector>

#include "io/mailboxes.h"
#include "io/reactor.h"
#include "proto/base/prng.h"
#include "tests/unit/io/manual_backend.h"

namespace kv::io {
namespace {

std::vector<std::uint32_t> taken(Mailbox& mailbox, std::size_t count_max = 1'000'000) {
    std::vector<std::uint32_t> values;
    mailbox.take(count_max, [&](const Message& message) {
        values.push_back(message.value);
        return true;
    });
    return values;
}

using Values = std::vector<std::uint32_t>;

TEST(Mailbox, NothingIsSeenBeforeItIsPublished) {
    Mailbox mailbox(8);
    EXPECT_FALSE(mailbox.publish());
    ASSERT_TRUE(mailbox.try_stage({1, 10, nullptr}));
    ASSERT_TRUE(mailbox.try_stage({1, 11, nullptr}));
    EXPECT_TRUE(mailbox.empty());
    EXPECT_EQ(taken(mailbox), Values{});
    EXPECT_TRUE(mailbox.publish());
    EXPECT_FALSE(mailbox.publish());
    EXPECT_FALSE(mailbox.empty());
    EXPECT_EQ(taken(mailbox), (Values{10, 11}));
    EXPECT_TRUE(mailbox.empty());
}

TEST(Mailbox, AFullRingRefusesUntilSomethingIsTaken) {
    for (const std::size_t slots : {1u, 2u, 8u}) {
        Mailbox mailbox(slots);
        for (std::uint32_t i = 0; i < slots; ++i) ASSERT_TRUE(mailbox.try_stage({0, i, nullptr}));
        EXPECT_FALSE(mailbox.try_stage({0, 99, nullptr}));
        EXPECT_FALSE(mailbox.has_room());
        mailbox.publish();
        EXPECT_FALSE(mailbox.has_room());
        EXPECT_EQ(taken(mailbox, 1), Values{0});
        EXPECT_TRUE(mailbox.has_room());
        EXPECT_TRUE(mailbox.try_stage({0, 99, nullptr}));
        EXPECT_FALSE(mailbox.has_room());
    }
}

TEST(Mailbox, KeepsAllMessagesWholeAndInOrder) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        Mailbox mailbox(std::size_t{1} << prng.below(5));
        std::deque<Message> staged;
        std::deque<Message> published;
        std::uint32_t next = 0;
        for (int step = 0; step < 500; ++step) {
            const Message message{next * 3, next, &staged + next};
            switch (prng.below(4)) {
                case 0:
                case 1: {
                    const bool room = staged.size() + published.size() < mailbox.slots();
                    ASSERT_EQ(mailbox.has_room(), room);
                    ASSERT_EQ(mailbox.try_stage(message), room);
                    if (room) staged.push_back(message);
                    next += room ? 1 : 0;
                    break;
                }
                case 2:
                    ASSERT_EQ(mailbox.publish(), !staged.empty());
                    published.insert(published.end(), staged.begin(), staged.end());
                    staged.clear();
                    break;
                default:
                    ASSERT_EQ(mailbox.empty(), published.empty());
                    mailbox.take(prng.below(6), [&](const Message& got) {
                        if (prng.below(5) == 0) return false;  // it stays
                        EXPECT_FALSE(published.empty());
                        EXPECT_EQ(got.kind, published.front().kind);
                        EXPECT_EQ(got.value, published.front().value);
                        EXPECT_EQ(got.payload, published.front().payload);
                        published.pop_front();
                        return true;
                    });
            }
        }
    }
}

/// One core without a loop.
struct End final : MessageReceiver {
    End(Interconnect& interconnect, std::uint16_t core)
        : mailboxes(backend, CoreId(core), &interconnect) {
        mailboxes.set_receiver(1, this);
        mailboxes.set_receiver(2, this);
    }
    void on_message(CoreId from, const Message& message) noexcept override {
        senders.push_back(from.value());
        values.push_back(message.value);
    }
    Values take() {
        values.clear();
        senders.clear();
        mailboxes.receive();
        return values;
    }
    /// Sends `count` messages that are numbered on, with send().
    void send(std::uint16_t to, std::uint32_t count) {
        for (std::uint32_t i = 0; i < count; ++i) mailboxes.send(CoreId(to), {1, next++, nullptr});
    }

    ManualBackend backend;
    Mailboxes mailboxes;
    std::vector<std::uint16_t> senders;
    Values values;
    std::uint32_t next = 0;
};

struct Pair {
    explicit Pair(std::size_t slots) : interconnect(2, slots) {}
    Interconnect interconnect;
    End a{interconnect, 0};
    End b{interconnect, 1};
};

TEST(Mailboxes, ACoreThatIsAloneHasNobodyToSendTo) {
    ManualBackend backend;
    Interconnect interconnect(1);
    for (Interconnect* const none_or_one : {static_cast<Interconnect*>(nullptr), &interconnect}) {
        Mailboxes mailboxes(backend, CoreId(0), none_or_one);
        EXPECT_EQ(mailboxes.cores(), 1u);
        mailboxes.receive();
        EXPECT_FALSE(mailboxes.congested());
        EXPECT_TRUE(mailboxes.try_sleep());
        mailboxes.wake_up();
        mailboxes.publish();
    }
}

TEST(Mailboxes, AMessageReachesTheReceiverOfItsKindAfterTheTurn) {
    Pair pair(4);
    ASSERT_TRUE(pair.a.mailboxes.try_send(CoreId(1), {1, 7, nullptr}));
    EXPECT_EQ(pair.b.take(), Values{});
    pair.a.mailboxes.publish();
    struct Other final : MessageReceiver {
        void on_message(CoreId, const Message&) noexcept override { FAIL() << "not its kind"; }
    } other;
    pair.b.mailboxes.set_receiver(2, &other);
    EXPECT_EQ(pair.b.take(), Values{7});
    EXPECT_EQ(pair.b.senders, std::vector<std::uint16_t>{0});
    EXPECT_EQ(pair.a.mailboxes.counters().sent, 1u);
    EXPECT_EQ(pair.b.mailboxes.counters().received, 1u);
}

TEST(Mailboxes, OneDoorbellIsRungForEachSleep) {
    Pair pair(64);
    pair.a.send(1, 3);
    pair.a.mailboxes.publish();
    EXPECT_TRUE(pair.a.backend.woken.empty()) << "it is awake";
    EXPECT_FALSE(pair.b.mailboxes.try_sleep()) << "messages wait";
    EXPECT_EQ(pair.b.take().size(), 3u);

    ASSERT_TRUE(pair.b.mailboxes.try_sleep());
    pair.a.mailboxes.publish();
    EXPECT_TRUE(pair.a.backend.woken.empty()) << "nothing was sent";
    for (int turn = 0; turn < 3; ++turn) {
        pair.a.send(1, 2);
        pair.a.mailboxes.publish();
    }
    EXPECT_EQ(pair.a.backend.woken, std::vector<CoreId>{CoreId(1)});
    pair.b.mailboxes.wake_up();
    EXPECT_EQ(pair.b.take().size(), 6u);
    ASSERT_TRUE(pair.b.mailboxes.try_sleep());
    pair.a.send(1, 1);
    pair.a.mailboxes.publish();
    EXPECT_EQ(pair.a.backend.woken.size(), 2u);
    EXPECT_EQ(pair.a.mailboxes.counters().doorbells, 2u);
    EXPECT_EQ(pair.b.mailboxes.counters().sleeps, 3u) << "one was given up";
}

TEST(Mailboxes, NewWorkIsRefusedAndAnswersWaitWhenTheRingIsFull) {
    Pair pair(4);
    for (std::uint32_t i = 0; i < 4; ++i)
        ASSERT_TRUE(pair.a.mailboxes.try_send(CoreId(1), {1, i, nullptr}));
    EXPECT_FALSE(pair.a.mailboxes.congested(CoreId(1)));
    EXPECT_FALSE(pair.a.mailboxes.try_send(CoreId(1), {1, 99, nullptr}));
    EXPECT_TRUE(pair.a.mailboxes.congested(CoreId(1)));
    EXPECT_TRUE(pair.a.mailboxes.congested());
    pair.a.next = 4;
    pair.a.send(1, 6);
    pair.a.mailboxes.publish();

    EXPECT_EQ(pair.b.take(), (Values{0, 1, 2, 3}));
    EXPECT_FALSE(pair.a.mailboxes.try_send(CoreId(1), {1, 99, nullptr})) << "it would overtake";
    pair.a.mailboxes.receive();
    pair.a.mailboxes.publish();
    EXPECT_TRUE(pair.a.mailboxes.congested(CoreId(1)));
    EXPECT_EQ(pair.b.take(), (Values{4, 5, 6, 7}));
    pair.a.mailboxes.receive();
    EXPECT_FALSE(pair.a.mailboxes.congested());
    EXPECT_TRUE(pair.a.mailboxes.try_send(CoreId(1), {1, 10, nullptr}));
    pair.a.mailboxes.publish();
    EXPECT_EQ(pair.b.take(), (Values{8, 9, 10}));
    EXPECT_EQ(pair.a.mailboxes.counters().sent, 11u);
}

TEST(Mailboxes, ACoreThatSleepsIsWokenForRoom) {
    for (const bool refused : {false, true}) {
        Pair pair(2);
        pair.a.send(1, 2);
        if (refused) {
            EXPECT_FALSE(pair.a.mailboxes.try_send(CoreId(1), {1, 9, nullptr}));
        } else {
            pair.a.send(1, 1);
        }
        pair.a.mailboxes.publish();
        ASSERT_TRUE(pair.a.mailboxes.try_sleep());
        pair.b.take();
        EXPECT_EQ(pair.b.backend.woken, std::vector<CoreId>{CoreId(0)});
        pair.a.mailboxes.wake_up();
        EXPECT_FALSE(pair.a.mailboxes.try_sleep()) << "there is room";
        pair.a.mailboxes.receive();
        EXPECT_FALSE(pair.a.mailboxes.congested());

        // Room that nobody waits for is nothing to wake anybody for.
        pair.a.mailboxes.publish();
        ASSERT_TRUE(pair.a.mailboxes.try_sleep());
        pair.b.take();
        EXPECT_EQ(pair.b.backend.woken.size(), 1u);
    }
}

TEST(Mailboxes, ATurnTakesABoundedNumberAndServesEverybody) {
    Interconnect interconnect(3, 1024);
    End a(interconnect, 0);
    End b(interconnect, 1);
    End c(interconnect, 2);
    constexpr std::uint32_t many = 2 * Mailboxes::messages_per_turn_max;
    a.send(2, many);
    b.send(2, many);
    a.mailboxes.publish();
    b.mailboxes.publish();
    std::vector<std::uint16_t> first;
    for (int turn = 0; turn < 4; ++turn) {
        c.values.clear();
        c.senders.clear();
        EXPECT_FALSE(c.mailboxes.try_sleep());
        c.mailboxes.receive();
        EXPECT_EQ(c.values.size(), Mailboxes::messages_per_turn_max);
        first.push_back(c.senders.front());
    }
    EXPECT_NE(first[0], first[1]);
    EXPECT_TRUE(c.mailboxes.try_sleep());
}

/// Spends on each message what its value says, in slices.
struct Spender final : MessageReceiver {
    explicit Spender(Mailboxes& m) : mailboxes(m) { mailboxes.set_receiver(1, this); }
    void on_message(CoreId from, const Message& message) noexcept override {
        if (left == 0) left = message.value;
        while (left != 0 && !mailboxes.spent()) {
            const std::size_t slice = std::min<std::size_t>(left, slice_max);
            mailboxes.spend(slice);
            spent += slice;
            left -= slice;
        }
        if (left != 0) return mailboxes.deliver_again();
        done.emplace_back(from.value(), message.value);
    }
    static constexpr std::size_t slice_max = 1000;
    Mailboxes& mailboxes;
    std::size_t left = 0;  ///< of the message that is begun
    std::size_t spent = 0;
    std::vector<std::pair<std::uint16_t, std::uint32_t>> done;
};

TEST(Mailboxes, ATurnTakesNoMoreThanItsReceiversMaySpend) {
    constexpr auto large = static_cast<std::uint32_t>(Mailboxes::spent_bytes_max * 3 / 4);
    Interconnect interconnect(3, 64);
    End a(interconnect, 0);
    End b(interconnect, 1);
    End c(interconnect, 2);
    Spender spender(c.mailboxes);
    std::size_t total = 0;
    for (std::uint32_t i = 0; i < 20; ++i) {
        a.mailboxes.send(CoreId(2), {1, large + i, nullptr});
        b.mailboxes.send(CoreId(2), {1, 1 + i, nullptr});
        total += large + i + 1 + i;
    }
    a.mailboxes.publish();
    b.mailboxes.publish();
    std::size_t turns = 0;
    std::size_t small_after = 0;  // turns until the one that sends little was served
    while (spender.spent != total && turns < 1000) {
        EXPECT_FALSE(c.mailboxes.try_sleep()) << "messages wait";
        const std::size_t before = spender.spent;
        c.mailboxes.receive();
        ++turns;
        EXPECT_LT(spender.spent - before, Mailboxes::spent_bytes_max + Spender::slice_max);
        EXPECT_GT(spender.spent, before);
        const auto from_b =
            std::ranges::count(spender.done, 1, &std::pair<std::uint16_t, std::uint32_t>::first);
        if (small_after == 0 && from_b == 20) small_after = turns;
    }
    EXPECT_TRUE(c.mailboxes.try_sleep());
    EXPECT_GE(turns, total / Mailboxes::spent_bytes_max);
    EXPECT_LE(turns, total / Mailboxes::spent_bytes_max + 4);
    EXPECT_GT(small_after, 0u);
    EXPECT_LE(small_after, 4u) << "it waits for the other only now and then";
    EXPECT_EQ(c.mailboxes.counters().received, 40u) << "each of them once";
    std::array<std::uint32_t, 2> next = {large, 1};
    for (const auto& [from, value] : spender.done) EXPECT_EQ(value, next[from]++);
    EXPECT_EQ(next[0], large + 20);
    EXPECT_EQ(next[1], 21u);
}

// --- in the turn of a reactor --------------------------------------------------------------------

struct Machine final : MessageReceiver {
    Machine(Interconnect& interconnect, std::uint16_t core)
        : reactor(backend, CoreId(core), &interconnect) {
        reactor.mailboxes().set_receiver(1, this);
    }
    void on_message(CoreId, const Message& message) noexcept override { last = message.value; }

    ManualBackend backend;
    Reactor reactor;
    std::uint32_t last = 0;
};

TEST(ReactorWithPeers, PublishesAfterItsHooksAndSleepsOnlyWithNothingToTake) {
    Interconnect interconnect(2, 8);
    Machine a(interconnect, 0);
    Machine b(interconnect, 1);
    struct Sender final : TurnHook {
        explicit Sender(Reactor& r) : reactor(r) {}
        void at_turn_end() override { reactor.mailboxes().send(CoreId(1), {1, ++sent, nullptr}); }
        Reactor& reactor;
        std::uint32_t sent = 0;
    } sender(a.reactor);
    a.reactor.add_turn_hook(sender, Reactor::Phase::commit);
    a.reactor.turn(1ms);
    b.reactor.turn(1ms);
    EXPECT_EQ(b.backend.waited, Duration::zero()) << "a message was there";
    EXPECT_EQ(b.last, 1u);
    b.reactor.turn(1ms);
    EXPECT_EQ(b.backend.waited, 1ms);
    ASSERT_TRUE(b.reactor.try_sleep());
    a.reactor.turn(1ms);
    EXPECT_EQ(a.backend.woken, std::vector<CoreId>{CoreId(1)});
    a.reactor.remove_turn_hook(sender);
}

TEST(Reactor, CountsTurnsByHowLongTheyWereBusy) {
    ManualBackend backend;
    Reactor reactor(backend);
    struct Worker final : TurnHook {
        explicit Worker(ManualBackend& b) : backend(b) {}
        void at_turn_end() override { backend.time += takes; }
        ManualBackend& backend;
        Duration takes{};
    } worker(backend);
    reactor.add_turn_hook(worker, Reactor::Phase::answer);
    for (const Duration takes : {Duration(0ns), Duration(999ns), Duration(1us), Duration(3us),
                                 Duration(1ms), Duration(1h)}) {
        worker.takes = takes;
        reactor.turn(Duration::zero());
    }
    reactor.remove_turn_hook(worker);
    reactor.turn(Duration::zero());  // a turn is counted when the next one begins
    const Reactor::Counters& counters = reactor.counters();
    EXPECT_EQ(counters.turns, 7u);
    EXPECT_EQ(counters.busy, 999ns + 1us + 3us + 1ms + 1h);
    EXPECT_EQ(counters.busy_turns[0], 2u);
    EXPECT_EQ(counters.busy_turns[1], 1u);
    EXPECT_EQ(counters.busy_turns[2], 1u);
    EXPECT_EQ(counters.busy_turns[10], 1u);
    EXPECT_EQ(counters.busy_turns[duration_classes - 1], 1u);
}

TEST(Spin, AnIdleLoopLooksForWorkBeforeItSleeps) {
    ManualBackend backend;
    backend.time_per_poll = 1us;
    Interconnect interconnect(2);
    Reactor here(backend, CoreId(0), &interconnect);
    here.set_spin(20us);
    here.turn(1s);
    EXPECT_EQ(backend.polls, 21u);  // twenty looks, then the wait
    EXPECT_GT(backend.waited, Duration::zero());
    EXPECT_EQ(here.mailboxes().counters().sleeps, 1u);
}

TEST(Spin, AMessageThatComesMeanwhileNeedsNoDoorbell) {
    struct Sender final : ManualBackend {
        std::function<void()> at_poll;
        std::size_t poll(Duration wait_max, Instant& woken_at) override {
            if (polls == 5) at_poll();
            return ManualBackend::poll(wait_max, woken_at);
        }
    };
    Sender backend;
    ManualBackend other;
    backend.time_per_poll = 1us;
    Interconnect interconnect(2);
    Reactor here(backend, CoreId(0), &interconnect);
    Reactor there(other, CoreId(1), &interconnect);
    struct Receiver final : MessageReceiver {
        void on_message(CoreId, const Message& message) noexcept override { got = message.value; }
        std::uint32_t got = 0;
    } receiver;
    here.mailboxes().set_receiver(1, &receiver);
    backend.at_poll = [&] {
        there.mailboxes().send(CoreId(0), {1, 42, nullptr});
        there.mailboxes().publish();
    };
    here.set_spin(20us);
    here.turn(1s);
    EXPECT_EQ(receiver.got, 42u);
    EXPECT_EQ(backend.waited, Duration::zero());
    EXPECT_TRUE(other.woken.empty());
    EXPECT_EQ(here.mailboxes().counters().sleeps, 0u);
    here.mailboxes().set_receiver(1, nullptr);
}

}  // namespace
}  // namespace kv::io
