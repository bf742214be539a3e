#pragma once

/// Mailbox: the bounded ring of messages from one core to one other. One producer, one consumer,
/// first in, first out. A producer stages messages during its turn and publishes all of them at
/// once at the end of it: until then the consumer sees none of them.
///
/// What is said of the order in memory holds with sequentially consistent operations alone, without
/// fences: publish() and take() are each followed by a look at a flag of the other side (is it
/// asleep, does it wait for room), and that look must not come before the store.

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "proto/base/assert.h"

namespace kv::io {

/// What cores send to each other. `kind` says what `value` and `payload` mean and who owns what
/// `payload` points to; Mailboxes (io/mailboxes.h) has the receivers by kind. A payload made by
/// this core goes back to it in a message of the opposite ring, so that memory returns to the core
/// that allocated it.
struct Message {
    std::uint32_t kind = 0;
    std::uint32_t value = 0;
    void* payload = nullptr;
};
static_assert(sizeof(Message) == 16);

/// Distance that keeps what two cores write out of each other's cache lines.
inline constexpr std::size_t cache_line_bytes = 64;

class Mailbox {
public:
    /// `slots`: a power of two.
    explicit Mailbox(std::size_t slots)
        : slots_(slots), mask_(slots - 1), messages_(std::make_unique<Message[]>(slots)) {
        KV_ASSERT(std::has_single_bit(slots));
    }
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    std::size_t slots() const noexcept { return slots_; }

    // Producer.

    /// False: the ring is full; nothing was staged.
    [[nodiscard]] bool try_stage(const Message& message) noexcept {
        if (!has_room()) return false;
        messages_[staged_ & mask_] = message;
        ++staged_;
        return true;
    }
    bool has_room() noexcept {
        if (staged_ - known_head_ < slots_) return true;
        known_head_ = head_.load(std::memory_order_seq_cst);
        return staged_ - known_head_ < slots_;
    }
    /// Shows the consumer what was staged. False: nothing was.
    bool publish() noexcept {
        if (published_ == staged_) return false;
        published_ = staged_;
        tail_.store(staged_, std::memory_order_seq_cst);
        return true;
    }

    // Consumer.

    /// Hands at most `count_max` messages to `bool receive(const Message&)`, then gives their slots
    /// back all at once. Returns how many; `receive` does not take from this ring. False from it:
    /// this message was not taken, it and those behind it stay.
    template <typename Receive>
    std::size_t take(std::size_t count_max, Receive receive) {
        if (known_tail_ == taken_) known_tail_ = tail_.load(std::memory_order_acquire);
        const std::size_t there = std::min<std::size_t>(known_tail_ - taken_, count_max);
        std::size_t count = 0;
        for (; count < there; ++count) {
            const Message message = messages_[(taken_ + count) & mask_];
            if (!receive(message)) break;
        }
        if (count == 0) return 0;
        taken_ += count;
        head_.store(taken_, std::memory_order_seq_cst);
        return count;
    }
    /// Whether nothing that is published waits to be taken.
    bool empty() const noexcept { return tail_.load(std::memory_order_seq_cst) == taken_; }

private:
    const std::size_t slots_;
    const std::size_t mask_;
    const std::unique_ptr<Message[]> messages_;

    // Counts of messages since the start: they never wrap in practice, and their slots are theirs
    // modulo the size. Each side writes its own line and caches what it last saw of the other's.
    alignas(cache_line_bytes) std::atomic<std::uint64_t> tail_{0};  ///< published
    std::uint64_t staged_ = 0;
    std::uint64_t published_ = 0;
    std::uint64_t known_head_ = 0;
    alignas(cache_line_bytes) std::atomic<std::uint64_t> head_{0};  ///< taken
    std::uint64_t taken_ = 0;
    std::uint64_t known_tail_ = 0;
};

}  // namespace kv::io
