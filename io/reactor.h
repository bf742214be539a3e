#pragma once

/// The loop of one core. A turn: hand over what was submitted and take all completions (one kernel
/// entry); run ready coroutines; take the messages of other cores; fire timers; run the turn-end
/// hooks (close batches, write the WAL, send replies); publish what was sent to other cores.
/// Nothing in a turn blocks but the wait at its start, and only when there is nothing to do. Owner
/// core only; lives as long as everything that was made on it.

#include <array>
#include <coroutine>
#include <cstdint>
#include <optional>

#include "io/backend.h"
#include "io/mailboxes.h"
#include "io/task.h"
#include "io/timer.h"
#include "proto/base/duration_classes.h"
#include "proto/base/ids.h"

namespace kv::io {

/// Work that gathers during a turn and is done once at its end.
class TurnHook {
public:
    virtual void at_turn_end() = 0;

protected:
    ~TurnHook() = default;
};

class Reactor {
public:
    /// Without an interconnect: of a node of one core.
    explicit Reactor(Backend& backend, CoreId core = CoreId(0),
                     Interconnect* interconnect = nullptr);
    Reactor(const Reactor&) = delete;
    /// Destroys the frames of tasks that still wait: only legal with no operation in flight, or
    /// when the simulator has crashed the process.
    ~Reactor();

    Backend& backend() noexcept { return backend_; }
    CoreId core() const noexcept { return core_; }
    /// Monotonic time as read at the start of the turn.
    Instant now() const noexcept { return now_; }
    std::int64_t wall_ns() noexcept { return backend_.wall_ns(); }

    /// Runs `task` on its own, from the next turn on.
    void spawn(Task<void> task);
    void make_ready(std::coroutine_handle<> handle) { ready_.push(handle); }
    TimerQueue& timers() noexcept { return timers_; }
    /// To and from the other cores of this node.
    Mailboxes& mailboxes() noexcept { return mailboxes_; }

    /// The order in which hooks run: first what answers clients, which may begin new work; then
    /// what carries all the work of the turn to the disk.
    enum class Phase : std::uint8_t { answer, commit };
    static constexpr std::size_t turn_hooks_max = 8;
    void add_turn_hook(TurnHook& hook, Phase phase) noexcept;
    void remove_turn_hook(TurnHook& hook) noexcept;
    /// A hook has more to do than one turn should take: the next turn does not wait.
    void want_turn() noexcept { turn_wanted_ = true; }

    /// One turn; waits for something to do for at most `wait_max`, and not at all when there is
    /// work.
    void turn(Duration wait_max);
    /// Turns until stop(), then one more so that what was submitted is handed over.
    void run();
    void stop() noexcept { stopping_ = true; }
    bool stopping() const noexcept { return stopping_; }
    /// The simulator's process crash, once no operation is in flight any more: destroys the frames
    /// of all tasks and disarms all timers, so that what was built on this reactor can be destroyed
    /// in its usual order. No turn follows.
    void abandon() noexcept;

    /// An idle loop looks for work for so long before it sleeps: it costs CPU, and a core that is
    /// sent work within that time need not be woken. Zero, the default: it sleeps at once.
    void set_spin(Duration spin) noexcept { spin_ = spin; }

    /// How long the next turn may wait: zero when something is ready.
    Duration idle_time() noexcept { return idle_time(backend_.now()); }
    /// Work that needs no completion is waiting.
    bool has_ready() const noexcept { return !ready_.empty() || turn_wanted_; }
    /// For the simulator, which waits in the reactor's place: the next turn is not before something
    /// happens. False: something has happened.
    [[nodiscard]] bool try_sleep() noexcept { return mailboxes_.try_sleep(); }

    struct Counters {
        std::uint64_t turns = 0;
        /// Time from the return of the kernel to the next entry, of all turns. In a simulation no
        /// time passes in a turn.
        Duration busy{};
        DurationCounts busy_turns{};  ///< turns by that time
        /// The most CPU time that one turn took, with the kernel's part of it, and how many took
        /// more than long_turn; while set_measure_cpu() asks for it.
        Duration cpu_max{};
        std::uint64_t cpu_long_turns = 0;
    };
    static constexpr Duration long_turn = 2ms;
    const Counters& counters() const noexcept { return counters_; }
    /// Costs a system call a turn. Turning it on begins anew.
    void set_measure_cpu(bool on) noexcept;

    /// Longest wait when nothing is armed.
    static constexpr Duration wait_max_default = 1s;

    /// A spawned task's place in the reactor's list, from spawn() to its end.
    struct RootLink {
        RootLink* next = nullptr;
        RootLink* previous = nullptr;
        std::coroutine_handle<> handle;
    };

private:
    struct Root;
    /// Calls of other cores, and those of this one on their way home.
    struct CallReceiver final : MessageReceiver {
        explicit CallReceiver(Reactor& r) noexcept : reactor(r) {}
        void on_message(CoreId from, const Message& message) noexcept override;
        Reactor& reactor;
    };

    Duration idle_time(Instant now) const noexcept;
    void count_turn(Instant end) noexcept;
    bool spin(Instant entry, Duration wait);
    void measure_turn() noexcept;

    Backend& backend_;
    CoreId core_;
    Mailboxes mailboxes_;
    CallReceiver calls_{*this};
    Instant now_;
    ReadyQueue ready_;
    TimerQueue timers_;
    struct Hook {
        TurnHook* hook = nullptr;
        Phase phase = Phase::answer;
    };
    std::array<Hook, turn_hooks_max> hooks_{};
    std::size_t hooks_count_ = 0;
    RootLink roots_;  ///< head of the list; its handle is null
    Duration spin_{};
    bool turn_wanted_ = false;
    bool stopping_ = false;
    bool measure_cpu_ = false;
    std::optional<Duration> cpu_before_;  ///< when this turn began, if it is measured
    Counters counters_;
};

}  // namespace kv::io
