#pragma once

/// Interconnect: what the cores of one node share: a mailbox for each ordered pair of cores, and of
/// each core whether it sleeps. Made before the cores, outlives them, and holds nothing else that
/// two threads touch. A core uses it through its Mailboxes (io/mailboxes.h).

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "io/mailbox.h"
#include "proto/base/ids.h"

namespace kv::io {

class Interconnect {
public:
    static constexpr std::size_t cores_max = 256;
    /// Of each ring: 16 KiB.
    static constexpr std::size_t slots_default = 1024;

    /// `slots`: of each ring, a power of two; tests take tiny ones.
    explicit Interconnect(std::size_t cores, std::size_t slots = slots_default);
    Interconnect(const Interconnect&) = delete;
    Interconnect& operator=(const Interconnect&) = delete;

    std::size_t cores() const noexcept { return cores_.size(); }

private:
    friend class Mailboxes;

    struct alignas(cache_line_bytes) Core {
        /// In its wait, or about to be: who gives it work must ring. Set by the core itself, taken
        /// back by the one who rings or by the core when it wakes.
        std::atomic<bool> sleeping{false};
    };
    struct Pair {
        explicit Pair(std::size_t slots) : mailbox(slots) {}
        Mailbox mailbox;
        /// The producer has more than the ring took and sleeps: the consumer rings for it, too.
        alignas(cache_line_bytes) std::atomic<bool> wants_room{false};
    };
    Core& core(CoreId id) noexcept { return cores_[id.value()]; }
    /// Null: nobody sends to himself.
    Pair* pair(CoreId from, CoreId to) noexcept {
        return pairs_[from.value() * cores_.size() + to.value()].get();
    }

    std::vector<Core> cores_;
    std::vector<std::unique_ptr<Pair>> pairs_;
};

}  // namespace kv::io
