#include "io/reactor.h"

#include <algorithm>
#include <bit>

#include "io/call.h"

namespace kv::io {

ReadyQueue*& ReadyQueue::current() noexcept {
    thread_local ReadyQueue* current = nullptr;
    return current;
}

// What the vectors hold is bounded by the number of live coroutines.
void ReadyQueue::run() {
    running_.swap(handles_);
    for (const std::coroutine_handle<> handle : running_) handle.resume();
    running_.clear();
}

/// The coroutine that a spawned task runs in. It owns the task and destroys itself at its end.
struct Reactor::Root {
    struct promise_type : PooledFrame, RootLink {
        promise_type(Reactor& reactor, Task<void>&) noexcept {
            next = reactor.roots_.next;
            previous = &reactor.roots_;
            if (next != nullptr) next->previous = this;
            previous->next = this;
            handle = std::coroutine_handle<promise_type>::from_promise(*this);
        }
        ~promise_type() {
            previous->next = next;
            if (next != nullptr) next->previous = previous;
        }
        Root get_return_object() noexcept { return Root{handle}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };

    std::coroutine_handle<> handle;

    static Root run(Reactor&, Task<void> task) { co_await task; }
};

Reactor::Reactor(Backend& backend, CoreId core, Interconnect* interconnect)
    : backend_(backend), core_(core), mailboxes_(backend, core, interconnect), now_(backend.now()) {
    mailboxes_.set_receiver(Mailboxes::call_kind, &calls_);
}

Reactor::~Reactor() {
    while (roots_.next != nullptr) roots_.next->handle.destroy();
}

void Reactor::abandon() noexcept {
    while (roots_.next != nullptr) roots_.next->handle.destroy();
    timers_.clear();
    // Handles of frames that are gone, perhaps pushed by the destructors just run.
    ready_.clear();
    mailboxes_.abandon();
    turn_wanted_ = false;
    hooks_count_ = 0;
}

void Reactor::spawn(Task<void> task) {
    const Root root = Root::run(*this, std::move(task));
    ready_.push(root.handle);
}

void Reactor::add_turn_hook(TurnHook& hook, Phase phase) noexcept {
    KV_ASSERT(hooks_count_ < turn_hooks_max);
    std::size_t at = hooks_count_++;
    for (; at > 0 && hooks_[at - 1].phase > phase; --at) hooks_[at] = hooks_[at - 1];
    hooks_[at] = {&hook, phase};
}

void Reactor::remove_turn_hook(TurnHook& hook) noexcept {
    const auto end = hooks_.begin() + static_cast<std::ptrdiff_t>(hooks_count_);
    const auto kept =
        std::remove_if(hooks_.begin(), end, [&](const Hook& h) { return h.hook == &hook; });
    hooks_count_ = static_cast<std::size_t>(kept - hooks_.begin());
}

void Reactor::CallReceiver::on_message(CoreId, const Message& message) noexcept {
    auto& errand = *static_cast<Errand*>(message.payload);
    errand.step(errand, reactor);
}

Duration Reactor::idle_time(Instant now) const noexcept {
    if (has_ready()) return Duration::zero();
    const auto next = timers_.next();
    if (!next) return wait_max_default;
    return std::clamp(*next - now, Duration::zero(), wait_max_default);
}

void Reactor::count_turn(Instant end) noexcept {
    const Duration busy = end - now_;
    counters_.busy += busy;
    count_duration(counters_.busy_turns, busy);
}

/// Whether there is something to do before `wait` or the time for looking is over.
[[gnu::noinline]] bool Reactor::spin(Instant entry, Duration wait) {
    const Instant until = entry + std::min(spin_, wait);
    do {
        if (backend_.poll(Duration::zero(), now_) != 0) return true;
        if (has_ready() || mailboxes_.has_messages()) return true;
    } while (backend_.now() < until);
    return false;
}

void Reactor::set_measure_cpu(bool on) noexcept {
    if (on == measure_cpu_) return;
    measure_cpu_ = on;
    cpu_before_.reset();  // the turn that turns it on is not measured
    if (!on) return;
    counters_.cpu_max = {};
    counters_.cpu_long_turns = 0;
}

void Reactor::measure_turn() noexcept {
    const Duration now = backend_.cpu_time();
    if (cpu_before_) {
        const Duration took = now - *cpu_before_;
        counters_.cpu_max = std::max(counters_.cpu_max, took);
        if (took > long_turn) ++counters_.cpu_long_turns;
    }
    cpu_before_ = now;
}

void Reactor::turn(Duration wait_max) {
    ReadyQueue* const outer = std::exchange(ReadyQueue::current(), &ready_);
    // One look at the clock ends the last turn and says how long this one may wait.
    const Instant entry = backend_.now();
    if (measure_cpu_) [[unlikely]]
        measure_turn();
    if (counters_.turns != 0) count_turn(entry);
    Duration wait = std::min(wait_max, idle_time(entry));
    turn_wanted_ = false;
    if (wait > Duration::zero() && spin_ > Duration::zero() && spin(entry, wait)) {
        wait = Duration::zero();
    }
    if (wait > Duration::zero() && !mailboxes_.try_sleep()) wait = Duration::zero();
    backend_.poll(wait, now_);
    mailboxes_.wake_up();
    ready_.run();
    mailboxes_.receive();
    // After the completions: a timer that guards against silence must not fire while what it waits
    // for lies unread.
    timers_.fire(now_);
    for (std::size_t i = 0; i < hooks_count_; ++i) hooks_[i].hook->at_turn_end();
    mailboxes_.publish();
    ++counters_.turns;
    ReadyQueue::current() = outer;
}

void Reactor::run() {
    while (!stopping_) turn(wait_max_default);
    backend_.poll(Duration::zero(), now_);
}

}  // namespace kv::io
