#pragma once

/// Mailboxes: one core's end of the Interconnect. Owner core only; the reactor owns it and calls
/// what its turn needs (architecture: completions, ready tasks, messages, timers, hooks, publish).
///
/// Order: messages from one core to one other arrive in the order in which they were sent. Nothing
/// is promised across pairs.
///
/// When: what is sent during a turn is published once, at its end; it arrives in a turn of the
/// other core, which is woken if it sleeps (at most one doorbell for each sleep).
///
/// Back-pressure: the ring of a pair is bounded, and nobody spins for room and nothing is dropped.
///   try_send()  for new work: refused when the ring is full. The caller keeps the work, e.g. stops
///               reading its clients, and tries again when the peer is no longer congested.
///   send()      for what must not be refused: answers, calls, buffers on their way home. Beyond
///               the ring it waits in a list of this core, in order, and is moved to the ring in
///               later turns. What bounds the list is what bounds the work that was let in; more
///               than waiting_max messages are a bug.
/// A turn takes so many messages and no more, and none once their receivers have spent what it has
/// for them; then those that are left stay in their rings, in order. The core whose messages come
/// first is another one in each turn.
///
/// From the first message that found the ring full on, the peer is congested(): try_send() to it is
/// refused. That ends at the start of a turn, once all that waited is in the ring and there is room
/// beyond. A core that sleeps is woken for it and has a turn, with its hooks: no need to poll.

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "io/backend.h"
#include "io/interconnect.h"
#include "proto/base/ids.h"

namespace kv::io {

/// Receives the messages of one kind on one core. Called from the turn, before timers and hooks; it
/// may send. A message of a kind that nobody receives is a bug.
class MessageReceiver {
public:
    virtual void on_message(CoreId from, const Message& message) noexcept = 0;

protected:
    ~MessageReceiver() = default;
};

class Mailboxes {
public:
    /// Kinds of messages are the program's; 0 is taken by calls (io/call.h).
    static constexpr std::uint32_t kinds_max = 16;
    static constexpr std::uint32_t call_kind = 0;
    /// Messages taken in one turn, from all peers together; the rest is for the next turn.
    static constexpr std::size_t messages_per_turn_max = 256;
    /// What receivers spend in one turn on behalf of messages before the next one must wait: half a
    /// millisecond or so.
    static constexpr std::size_t spent_bytes_max = std::size_t{256} << 10;
    /// Messages to one peer that wait for room in its ring.
    static constexpr std::size_t waiting_max = 65'536;

    /// Without an interconnect the core is alone: there is nobody to send to.
    Mailboxes(Backend& backend, CoreId core, Interconnect* interconnect);
    Mailboxes(const Mailboxes&) = delete;
    Mailboxes& operator=(const Mailboxes&) = delete;

    CoreId core() const noexcept { return core_; }
    /// Of the node, this one among them.
    std::size_t cores() const noexcept { return peers_.empty() ? 1 : peers_.size(); }

    /// Before the first message of that kind can arrive, e.g. before the cores run, or in a call
    /// that the senders wait for. The receiver outlives the traffic. Null: nobody any more.
    void set_receiver(std::uint32_t kind, MessageReceiver* receiver) noexcept;

    /// `to` is another core. False: the ring is full or its peer congested; nothing was sent.
    [[nodiscard]] bool try_send(CoreId to, const Message& message) noexcept;
    void send(CoreId to, const Message& message);
    bool congested(CoreId to) const noexcept {
        return !peers_.empty() && peers_[to.value()].congested;
    }
    /// Whether any is.
    bool congested() const noexcept { return congested_ != 0; }

    struct Counters {
        std::uint64_t sent = 0;
        std::uint64_t received = 0;
        std::uint64_t doorbells = 0;   ///< rung for others
        std::uint64_t full_rings = 0;  ///< sends that found no room: refused, or made to wait
        std::uint64_t sleeps = 0;      ///< waits begun, those given up again at once among them
    };
    const Counters& counters() const noexcept { return counters_; }

    // For a receiver, in on_message().

    /// It worked on `bytes`: read, executed or copied.
    void spend(std::size_t bytes) noexcept { spent_bytes_ += bytes; }
    /// This turn has done enough.
    bool spent() const noexcept { return spent_bytes_ >= spent_bytes_max; }
    /// There is more to do for this message: it comes again in the next turn, before all others of
    /// its sender.
    void deliver_again() noexcept { again_ = true; }

    // For the reactor.

    /// Moves what waits for room, and takes messages.
    void receive();
    /// The end of a turn.
    void publish();
    /// Whether a message waits to be taken.
    bool has_messages() const noexcept;
    /// Says that this core is about to wait. False: there are messages or there is room; do not.
    [[nodiscard]] bool try_sleep() noexcept;
    void wake_up() noexcept;
    /// The simulator's process crash: nothing is sent any more.
    void abandon() noexcept;

private:
    struct Peer {
        Interconnect::Pair* out = nullptr;  ///< null: this core itself
        Interconnect::Pair* in = nullptr;
        std::deque<Message> waiting;  ///< for room in `out`
        bool congested = false;
    };
    bool try_stage(Peer& peer, const Message& message) noexcept;
    void move_waiting(Peer& peer);
    void take_from(std::size_t from, std::size_t& budget);
    void ring(std::size_t core) noexcept;

    Backend& backend_;
    const CoreId core_;
    Interconnect* const interconnect_;
    std::vector<Peer> peers_;  ///< by core; empty: alone
    std::array<MessageReceiver*, kinds_max> receivers_{};
    std::size_t first_ = 0;        ///< whose messages are taken first: it changes with every turn
    std::size_t congested_ = 0;    ///< how many peers are
    std::size_t spent_bytes_ = 0;  ///< in this turn
    bool again_ = false;           ///< what the receiver says of the message it is given
    bool sleeping_ = false;
    Counters counters_;
};

}  // namespace kv::io
