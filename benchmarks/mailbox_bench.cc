/// What it costs to send to another core: the ring alone, a hop to a core that sleeps, a stream to
/// one that is busy, a call and its way home. Two threads on the first and the last CPU that this
/// process may use.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "io/call.h"
#include "io/cores.h"
#include "io/event.h"
#include "io/mailbox.h"

namespace kv::io {
namespace {

/// range(0) messages are staged, published and taken, all on one thread.
void ring_alone(benchmark::State& state) {
    Mailbox mailbox(1024);
    std::uint64_t sum = 0;
    for (auto _ : state) {
        for (std::int64_t i = 0; i < state.range(0); ++i) {
            const bool staged = mailbox.try_stage({1, static_cast<std::uint32_t>(i), nullptr});
            benchmark::DoNotOptimize(staged);
        }
        mailbox.publish();
        mailbox.take(1024, [&](const Message& message) {
            sum += message.value;
            return true;
        });
    }
    benchmark::DoNotOptimize(sum);
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(ring_alone)->Arg(1)->Arg(16)->Arg(256);

Task<void> then_stop(Reactor& home, Task<void> task) {
    co_await task;
    home.stop();
}

/// Two cores; `task` runs on the first until it has ended.
class World {
public:
    World() {
        const std::vector<int> cpus = usable_cpus();
        CoresOptions options;
        options.cpus = {cpus.front(), cpus.back()};
        auto cores = Cores::start(options);
        if (!cores) {
            std::fprintf(stderr, "mailbox_bench: %s\n", cores.error().text().c_str());
            std::exit(1);
        }
        cores_ = *std::move(cores);
    }
    Reactor& core(std::size_t index) noexcept { return *cores_->reactors()[index]; }
    void run(Task<void> task) {
        core(0).spawn(then_stop(core(0), std::move(task)));
        cores_->run();
    }
    /// Counters of both cores, for each message sent.
    void report(benchmark::State& state) {
        Mailboxes::Counters sum;
        for (Reactor* const reactor : cores_->reactors()) {
            const Mailboxes::Counters& counters = reactor->mailboxes().counters();
            sum.sent += counters.sent;
            sum.doorbells += counters.doorbells;
            sum.full_rings += counters.full_rings;
        }
        const auto sent = static_cast<double>(sum.sent);
        state.counters["doorbells/message"] = static_cast<double>(sum.doorbells) / sent;
        state.counters["full/message"] = static_cast<double>(sum.full_rings) / sent;
    }

private:
    std::unique_ptr<Cores> cores_;
};

// --- one message at a time -----------------------------------------------------------------------

/// Sends back what comes, while its value says so.
struct Player final : MessageReceiver {
    explicit Player(Reactor& r) : reactor(r), done(r) { r.mailboxes().set_receiver(1, this); }
    void on_message(CoreId from, const Message& message) noexcept override {
        if (message.value == 0) return done.set();
        reactor.mailboxes().send(from, {1, message.value - 1, nullptr});
    }
    Reactor& reactor;
    Event done;
};

Task<void> play(benchmark::State& state, Player& player, std::uint32_t hops) {
    for (auto _ : state) {
        player.done.reset();
        player.reactor.mailboxes().send(CoreId(1), {1, hops - 1, nullptr});
        co_await player.done.wait();
    }
}

/// Each hop finds the other core asleep.
void ping_pong(benchmark::State& state) {
    constexpr std::uint32_t hops = 1000;
    World world;
    Player first(world.core(0));
    Player second(world.core(1));
    world.run(play(state, first, hops));
    state.SetItemsProcessed(state.iterations() * hops);
    world.report(state);
}
BENCHMARK(ping_pong)->UseRealTime();

Task<void> call(benchmark::State& state, Reactor& home) {
    const auto who = [](Reactor& there) { return there.core(); };
    for (auto _ : state) {
        const CoreId core = co_await call_on(home, CoreId(1), who);
        benchmark::DoNotOptimize(core);
    }
}

void call_and_return(benchmark::State& state) {
    World world;
    world.run(call(state, world.core(0)));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(call_and_return)->UseRealTime();

// --- as many as the ring takes -------------------------------------------------------------------

struct Sink final : MessageReceiver {
    explicit Sink(Reactor& r) : reactor(r) { r.mailboxes().set_receiver(1, this); }
    void on_message(CoreId from, const Message& message) noexcept override {
        if (message.value == 0) reactor.mailboxes().send(from, {2, 0, nullptr});
    }
    Reactor& reactor;
};

/// Sends `per_turn` messages in each turn while there is room; the last of a run is answered.
struct Source final : MessageReceiver, TurnHook {
    Source(Reactor& r, std::uint32_t per_turn_) : reactor(r), per_turn(per_turn_), done(r) {
        r.mailboxes().set_receiver(2, this);
        r.add_turn_hook(*this, Reactor::Phase::answer);
    }
    ~Source() { reactor.remove_turn_hook(*this); }
    void on_message(CoreId, const Message&) noexcept override { done.set(); }
    void at_turn_end() override {
        for (std::uint32_t i = 0; i < per_turn && left > 0; ++i) {
            if (!reactor.mailboxes().try_send(CoreId(1), {1, left - 1, nullptr})) return;
            --left;
        }
        if (left > 0) reactor.want_turn();
    }
    Reactor& reactor;
    std::uint32_t per_turn;
    std::uint32_t left = 0;
    Event done;
};

Task<void> pour(benchmark::State& state, Source& source, std::uint32_t messages) {
    for (auto _ : state) {
        source.done.reset();
        source.left = messages;
        co_await source.done.wait();
    }
}

void stream(benchmark::State& state) {
    constexpr std::uint32_t messages = 100'000;
    World world;
    Sink sink(world.core(1));
    Source source(world.core(0), static_cast<std::uint32_t>(state.range(0)));
    world.run(pour(state, source, messages));
    state.SetItemsProcessed(state.iterations() * messages);
    world.report(state);
}
BENCHMARK(stream)->Arg(1)->Arg(32)->Arg(1024)->UseRealTime();

}  // namespace
}  // namespace kv::io
