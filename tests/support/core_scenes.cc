#include "tests/support/core_scenes.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "io/await.h"
#include "io/call.h"
#include "io/event.h"
#include "io/frame_pool.h"
#include "tests/support/io_scenes.h"

namespace kv::io::scenes {

namespace {

enum : std::uint32_t { relay_kind = 1, flood_kind = 2, answer_kind = 3 };

CoreId core_at(std::size_t index) {
    return CoreId(static_cast<std::uint16_t>(index));
}

Task<std::string> slow_text(Reactor& there, int turns) {
    for (int i = 0; i < turns; ++i) co_await NextTurn(there);
    co_return std::to_string(there.core().value());
}

Task<void> calls_to(Reactor& home, CoreId target) {
    const auto who = [](Reactor& there) { return there.core(); };
    const CoreId answered = co_await call_on(home, target, who);
    EXPECT_EQ(answered, target);

    int ran = 0;
    auto count = [&ran](Reactor&) { ++ran; };
    co_await call_on(home, target, count);
    EXPECT_EQ(ran, 1);

    auto own = [text = std::string(100, 'x')](Reactor&) {
        return std::make_unique<std::string>(text);
    };
    const std::unique_ptr<std::string> owned = co_await call_on(home, target, own);
    EXPECT_EQ(*owned, std::string(100, 'x'));

    auto task = [](Reactor& there) { return slow_text(there, 5); };
    const std::string text = co_await call_on(home, target, task);
    EXPECT_EQ(text, std::to_string(target.value()));

    // A coroutine with captures, and a call back from there.
    std::string log;
    auto there_and_back = [&home, &log, mark = std::string("there")](Reactor& there) -> Task<void> {
        co_await NextTurn(there);
        log += mark;
        auto back = [&log](Reactor& here) { log += here.core() == CoreId(0) ? " back" : " lost"; };
        co_await call_on(there, home.core(), back);
    };
    co_await call_on(home, target, there_and_back);
    EXPECT_EQ(log, "there back");
}

/// Calls begin in the order in which they were made, and none is lost.
Task<void> call_number(Reactor& home, CoreId target, std::vector<int>* order, int number,
                       Event* last) {
    auto note = [order, number](Reactor&) { order->push_back(number); };
    co_await call_on(home, target, note);
    if (number == 0) last->set();
}

Task<void> calls_in_order(Reactor& home, CoreId target) {
    constexpr int calls = 50;
    std::vector<int> order;
    std::vector<int> expected;
    Event last(home);
    for (int number = calls; number-- > 0;) {
        home.spawn(call_number(home, target, &order, number, &last));
        expected.push_back(number);
    }
    co_await last.wait();
    EXPECT_EQ(order, expected);
}

}  // namespace

Task<void> calls_scene(Reactor& home) {
    const auto frames = [](Reactor&) { return FramePool::live(); };
    for (std::size_t i = 0; i < home.mailboxes().cores(); ++i) {
        const CoreId target = core_at(i);
        const std::int64_t before = co_await call_on(home, target, frames);
        co_await calls_to(home, target);
        co_await calls_in_order(home, target);
        co_await NextTurn(home);
        const std::int64_t after = co_await call_on(home, target, frames);
        EXPECT_EQ(after, before) << "frames made on core " << i << " are destroyed there";
    }
}

namespace {

/// Passes on what comes, until it has run far enough.
class Relay final : public MessageReceiver {
public:
    explicit Relay(Reactor& reactor) : reactor_(reactor), done_(reactor) {
        reactor.mailboxes().set_receiver(relay_kind, this);
    }
    ~Relay() { reactor_.mailboxes().set_receiver(relay_kind, nullptr); }

    void on_message(CoreId, const Message& message) noexcept override {
        if (message.value == 0) {
            static_cast<Event*>(message.payload)->set();
        } else {
            pass({relay_kind, message.value - 1, message.payload});
        }
    }
    void pass(const Message& message) {
        const std::size_t next = (reactor_.core().value() + 1u) % reactor_.mailboxes().cores();
        reactor_.mailboxes().send(core_at(next), message);
    }
    Event& done() noexcept { return done_; }

private:
    Reactor& reactor_;
    Event done_;
};

/// Sends to all others, answers what they send, and checks the order of both.
class Flooder final : public MessageReceiver, public TurnHook {
public:
    Flooder(Reactor& reactor, std::uint32_t messages)
        : reactor_(reactor),
          messages_(messages),
          peers_(reactor.mailboxes().cores()),
          missing_(messages * (peers_.size() - 1)),
          done_(reactor) {
        reactor.mailboxes().set_receiver(flood_kind, this);
        reactor.mailboxes().set_receiver(answer_kind, this);
    }
    ~Flooder() {
        reactor_.remove_turn_hook(*this);
        reactor_.mailboxes().set_receiver(flood_kind, nullptr);
        reactor_.mailboxes().set_receiver(answer_kind, nullptr);
    }
    void begin() {
        reactor_.add_turn_hook(*this, Reactor::Phase::answer);
        if (missing_ == 0) done_.set();
    }
    Event& done() noexcept { return done_; }

    void on_message(CoreId from, const Message& message) noexcept override {
        Peer& peer = peers_[from.value()];
        if (message.kind == flood_kind) {
            EXPECT_EQ(message.value, peer.received++);
            reactor_.mailboxes().send(from, {answer_kind, message.value, message.payload});
            return;
        }
        EXPECT_EQ(message.kind, std::uint32_t{answer_kind});
        EXPECT_EQ(message.value, peer.answered++);
        EXPECT_EQ(message.payload, static_cast<void*>(this));
        if (--missing_ == 0) done_.set();
    }
    void at_turn_end() override {
        for (std::size_t i = 0; i < peers_.size(); ++i) {
            if (core_at(i) == reactor_.core()) continue;
            Peer& peer = peers_[i];
            while (peer.sent < messages_ &&
                   reactor_.mailboxes().try_send(core_at(i), {flood_kind, peer.sent, this})) {
                ++peer.sent;
            }
        }
    }

private:
    struct Peer {
        std::uint32_t sent = 0;
        std::uint32_t received = 0;
        std::uint32_t answered = 0;
    };
    Reactor& reactor_;
    const std::uint32_t messages_;
    std::vector<Peer> peers_;
    std::size_t missing_;
    Event done_;
};

}  // namespace

Task<void> relay_scene(Reactor& home, std::uint32_t hops) {
    std::vector<std::unique_ptr<Relay>> relays(home.mailboxes().cores());
    for (std::size_t i = 0; i < relays.size(); ++i) {
        auto make = [&](Reactor& there) { relays[i] = std::make_unique<Relay>(there); };
        co_await call_on(home, core_at(i), make);
    }
    // The first core starts it, and it ends there.
    const auto cores = static_cast<std::uint32_t>(relays.size());
    Event& done = relays[0]->done();
    relays[0]->pass({relay_kind, hops / cores * cores + cores - 1, &done});
    co_await done.wait();
    for (std::size_t i = 0; i < relays.size(); ++i) {
        auto end = [&](Reactor&) { relays[i].reset(); };
        co_await call_on(home, core_at(i), end);
    }
}

Task<void> flood_scene(Reactor& home, std::uint32_t messages) {
    std::vector<std::unique_ptr<Flooder>> parts(home.mailboxes().cores());
    for (std::size_t i = 0; i < parts.size(); ++i) {
        auto make = [&](Reactor& there) { parts[i] = std::make_unique<Flooder>(there, messages); };
        co_await call_on(home, core_at(i), make);
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
        auto begin = [&](Reactor&) { parts[i]->begin(); };
        co_await call_on(home, core_at(i), begin);
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
        auto wait = [&](Reactor&) -> Task<void> { co_await parts[i]->done().wait(); };
        co_await call_on(home, core_at(i), wait);
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
        auto end = [&](Reactor&) { parts[i].reset(); };
        co_await call_on(home, core_at(i), end);
    }
}

namespace {

Task<void> client_on(Reactor& home, CoreId where, Endpoint server, std::size_t bytes,
                     std::uint64_t seed, std::uint32_t* left, Event* done) {
    EchoResult result;
    auto play = [&](Reactor& there) { return echo_client(there, server, bytes, seed, &result); };
    co_await call_on(home, where, play);
    EXPECT_TRUE(result.connected);
    EXPECT_FALSE(result.wrong);
    EXPECT_EQ(result.error, 0);
    EXPECT_EQ(result.received, bytes);
    if (--*left == 0) done->set();
}

Task<void> give(Reactor& home, EchoServer* server, CoreId core, std::int32_t fd,
                std::uint32_t* left, Event* done) {
    auto adopt = [=](Reactor&) { server->adopt(fd); };
    co_await call_on(home, core, adopt);
    if (--*left == 0) done->set();
}

}  // namespace

Task<void> hand_over_scene(Reactor& home, Endpoint address, std::uint32_t clients,
                           std::size_t bytes) {
    std::vector<std::unique_ptr<EchoServer>> servers(home.mailboxes().cores());
    for (std::size_t i = 0; i < servers.size(); ++i) {
        auto make = [&](Reactor& there) { servers[i] = std::make_unique<EchoServer>(there); };
        co_await call_on(home, core_at(i), make);
    }
    EchoServer front(home);
    Event done(home);
    std::uint32_t left = 2 * clients;  // each is given to a core, and comes to its end
    std::size_t accepted = 0;
    front.hand_over_to([&](std::int32_t fd) {
        const std::size_t to = accepted++ % servers.size();
        home.spawn(give(home, servers[to].get(), core_at(to), fd, &left, &done));
    });
    const Result<Endpoint> bound = co_await front.listen(address);
    EXPECT_TRUE(bound.has_value());
    if (!bound) co_return;
    for (std::uint32_t i = 0; i < clients; ++i)
        home.spawn(
            client_on(home, core_at(i % servers.size()), *bound, bytes, i + 1, &left, &done));
    co_await done.wait();
    EXPECT_EQ(accepted, clients);
    co_await front.close();
    for (std::size_t i = 0; i < servers.size(); ++i) {
        auto end = [&](Reactor&) -> Task<void> {
            EXPECT_GE(servers[i]->accepted(), clients / servers.size());
            co_await servers[i]->close();
            servers[i].reset();
        };
        co_await call_on(home, core_at(i), end);
    }
}

Task<void> expect_quiet_cores(Reactor& home) {
    Mailboxes::Counters sum;
    const auto read = [](Reactor& there) { return there.mailboxes().counters(); };
    for (std::size_t i = 0; i < home.mailboxes().cores(); ++i) {
        const Mailboxes::Counters counters = co_await call_on(home, core_at(i), read);
        sum.doorbells += counters.doorbells;
        sum.sleeps += counters.sleeps;
    }
    EXPECT_LE(sum.doorbells, sum.sleeps);
}

}  // namespace kv::io::scenes
