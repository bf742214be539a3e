#pragma once

/// Pipeline: the requests of one connection that are not answered yet, in order. Replies leave in
/// that order, whatever order the requests complete in. A ring of slots, numbered from 0 for ever;
/// slots and their buffers are used again, so that nothing is allocated per request once the ring
/// has grown.

#include <cstdint>
#include <string>
#include <vector>

#include "proto/base/assert.h"
#include "proto/command.h"

namespace kv {

struct Slot {
    enum class State : std::uint8_t {
        writing,  ///< waits for parts_left commands
        reading,  ///< a read of one key behind writes to its shard; `bytes` says of which
        parked,   ///< a request over many keys: runs when all before it are answered
        wide,     ///< such a request, whose parts are begun in slices
        running,  ///< a job works on it
        done,     ///< `bytes` holds the reply if `rendered`, else the outcome of a write is below
    };
    State state = State::done;
    Verb verb = Verb::invalid;
    Protocol protocol = Protocol::text;
    bool rendered = false;
    bool has_previous = false;  ///< `bytes` holds the value before the write
    bool silent = false;        ///< its reply is dropped: CLIENT REPLY
    bool refused = false;       ///< `error` says why; of several commands, at least one was
    Errc error = Errc::busy;
    std::uint8_t command_flags = 0;  ///< of a write with one command
    std::uint32_t parts_left = 0;    ///< commands still to be applied
    std::uint32_t parts_applied = 0;
    std::uint64_t request_id = 0;
    std::int64_t number = 0;  ///< Store::Applied, summed over the parts
    std::uint64_t hash = 0;   ///< of the key of a read
    std::int64_t begun_ns = 0;
    std::size_t charge = 0;  ///< bytes counted against the connection's limit
    std::string bytes;
    std::string first_arg;  ///< cut, for SLOWLOG
    std::size_t args = 0;
};

class Pipeline {
public:
    bool empty() const noexcept { return head_ == tail_; }
    std::size_t size() const noexcept { return static_cast<std::size_t>(tail_ - head_); }
    /// Sum of the charges.
    std::size_t charge() const noexcept { return charge_; }
    /// Memory held, of which the slots of answered requests keep a little.
    std::size_t bytes() const noexcept { return slots_.size() * sizeof(Slot) + charge_; }

    /// Number of the next request to be pushed.
    std::uint64_t tail() const noexcept { return tail_; }
    std::uint64_t head() const noexcept { return head_; }
    /// Whether request `number` has not been answered yet.
    bool holds(std::uint64_t number) const noexcept { return number >= head_ && number < tail_; }
    Slot& at(std::uint64_t number) noexcept { return slots_[number & (slots_.size() - 1)]; }
    Slot& front() noexcept { return at(head_); }

    /// Adds a slot; references to others end here.
    Slot& push(const Request& request, std::size_t charge, std::int64_t now_ns);
    /// Counts `bytes` more against the limit for as long as request `slot` is here.
    void add_charge(Slot& slot, std::size_t bytes) noexcept {
        slot.charge += bytes;
        charge_ += bytes;
    }
    void pop();

private:
    void grow();

    std::vector<Slot> slots_ = std::vector<Slot>(16);  ///< a power of two
    std::uint64_t head_ = 0;
    std::uint64_t tail_ = 0;
    std::size_t charge_ = 0;
};

}  // namespace kv
