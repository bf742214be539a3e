#pragma once

/// Pipeline: the requests of one connection that are not answered yet, in order. Replies leave in
/// that order, whatever order the requests complete in. A request either waits for commands in the
/// log, or is parked: it runs when all before it are answered, so that it sees their effects.
///
/// A ring of slots, numbered from 0 for ever, and one run of bytes for the arguments of parked
/// requests: nothing is allocated per request once both have grown.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proto/command.h"

namespace kv {

struct Slot {
    enum class State : std::uint8_t {
        waiting,  ///< for parts_left commands
        parked,   ///< its arguments are kept; runs at the head
        running,  ///< a job works on it
        done,
    };
    State state = State::waiting;
    Verb verb = Verb::invalid;
    Protocol protocol = Protocol::text;
    bool failed = false;  ///< `error` is the reply
    Errc error = Errc::busy;
    std::uint32_t parts_left = 0;  ///< commands still to be applied
    std::uint32_t parts_applied = 0;
    std::uint32_t args_count = 0;  ///< parked
    std::uint32_t args_bytes = 0;
    std::uint64_t request_id = 0;
    std::uint64_t count = 0;  ///< sum over the parts
    std::uint64_t hash = 0;   ///< parked GET
    std::uint16_t shard = 0;
    std::int64_t begun_ns = 0;
    std::size_t bytes = 0;               ///< counted against the connection's limit
    std::unique_ptr<std::string> reply;  ///< of a job, or the text of an error
};

class Pipeline {
public:
    bool empty() const noexcept { return head_ == tail_; }
    std::size_t size() const noexcept { return static_cast<std::size_t>(tail_ - head_); }
    std::size_t bytes() const noexcept { return bytes_; }

    std::uint64_t head() const noexcept { return head_; }
    std::uint64_t tail() const noexcept { return tail_; }
    /// Whether request `number` has not been answered yet.
    bool holds(std::uint64_t number) const noexcept { return number >= head_ && number < tail_; }
    Slot& at(std::uint64_t number) noexcept { return slots_[number & (slots_.size() - 1)]; }
    Slot& front() noexcept { return at(head_); }

    /// Adds a slot for `request`, which takes `bytes` of the connection's limit.
    Slot& push(const Request& request, std::size_t bytes);
    /// Keeps copies of `args` for `slot`, which is the newest one, and parks it.
    void park(Slot& slot, std::span<const std::string_view> args);
    /// The arguments of the front slot, which is parked: valid until the next push or pop.
    std::span<const std::string_view> front_args();
    void pop();

private:
    void grow();

    std::vector<Slot> slots_ = std::vector<Slot>(16);  ///< a power of two
    std::uint64_t head_ = 0;
    std::uint64_t tail_ = 0;
    std::size_t bytes_ = 0;
    std::string arguments_;         ///< of parked slots: u32 length and bytes of each, in order
    std::size_t arguments_at_ = 0;  ///< of the first parked slot
    std::vector<std::string_view> views_;
};

}  // namespace kv
