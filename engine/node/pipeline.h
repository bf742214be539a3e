#pragma once

/// Pipeline: the requests of one connection that are not answered yet, in order. Replies leave in
/// that order, whatever order the requests complete in. A ring of slots, numbered from 0 for ever;
/// slots and their buffers are used again, so that nothing is allocated per request once the ring
/// has grown.
///
/// A request that is answered at once, but behind others, takes no slot: its reply is kept with
/// those of its like, one behind the other, and leaves with the slot before it.

#include <cstdint>
#include <string>
#include <vector>

#include "engine/node/refusal.h"
#include "proto/base/assert.h"
#include "proto/command.h"

namespace kv {

struct Slot {
    enum class State : std::uint8_t {
        writing,  ///< waits for parts_left commands
        held,     ///< `bytes` keeps it until it can begin, or begin again: connection_routes.cc
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
    bool plain = false;         ///< its client is not sent anywhere: see Connection::forwards()
    bool kept = false;          ///< `bytes` has its command or its key until it is answered
    std::uint8_t tries = 0;     ///< of what is kept: refused by who does not lead `shard`
    bool again = false;         ///< of what is kept: it was begun before, and refused
    ShardId shard;              ///< of what is kept
    bool refused = false;       ///< `refusal` says why; of several commands, at least one was
    Refused refusal;
    SlotId key_slot;                 ///< of its first key
    std::uint8_t command_flags = 0;  ///< of a write with one command
    std::uint32_t parts_left = 0;    ///< commands still to be applied
    std::uint32_t parts_applied = 0;
    std::uint64_t request_id = 0;
    std::int64_t number = 0;  ///< Store::Applied, summed over the parts
    std::uint64_t hash = 0;   ///< of the key of a read
    std::int64_t begun_ns = 0;
    std::size_t charge = 0;       ///< bytes counted against the connection's limit
    std::size_t ready = 0;        ///< requests right behind it that have no slot: they are answered
    std::size_t ready_bytes = 0;  ///< their replies
    std::string bytes;
    std::string first_arg;  ///< cut, for SLOWLOG
    std::size_t args = 0;

    /// What its client is told of a refusal.
    Refused shown(const Refused& why) const noexcept { return plain ? without_leader(why) : why; }

    /// One of its commands was refused. What nobody knows stays unknown, whatever becomes of the
    /// others, and where to go counts only if nothing else is wrong.
    void refuse(Refused why) noexcept {
        if (refused && outcome(refusal.reason) == Outcome::unknown) return;
        if (refused && why.reason == Errc::not_leader) return;
        refused = true;
        refusal = why;
    }
};

class Pipeline {
public:
    bool empty() const noexcept { return head_ == tail_; }
    /// Requests, with and without a slot.
    std::size_t size() const noexcept { return slots() + ready_count_; }
    /// Sum of the charges.
    std::size_t charge() const noexcept { return charge_; }
    /// Memory held, of which the slots of answered requests keep a little.
    std::size_t bytes() const noexcept {
        return slots_.size() * sizeof(Slot) + charge_ + ready_.capacity() -
               (ready_.size() - ready_taken_);
    }

    /// Number of the next slot to be pushed.
    std::uint64_t tail() const noexcept { return tail_; }
    std::uint64_t head() const noexcept { return head_; }
    /// Whether request `number` has not been answered yet.
    bool holds(std::uint64_t number) const noexcept { return number >= head_ && number < tail_; }
    Slot& at(std::uint64_t number) noexcept { return slots_[number & mask_]; }
    Slot& front() noexcept { return at(head_); }

    /// Adds a slot; references to others end here.
    Slot& push(const Request& request, std::size_t charge, std::int64_t now_ns);
    /// Counts `bytes` more against the limit for as long as request `slot` is here.
    void add_charge(Slot& slot, std::size_t bytes) noexcept {
        slot.charge += bytes;
        charge_ += bytes;
    }
    /// Ends the request at the front; the replies that are ready behind it go to the end of `out`.
    void pop(std::string& out);

    /// Where replies are gathered that are ready behind the newest slot: there is one. The writer
    /// of a reply calls add_ready() when the whole of it is there.
    std::string& ready() noexcept { return ready_; }
    void add_ready() noexcept;
    /// The newest reply that add_ready() counted is dropped: it began when ready() had this size.
    void drop_ready(std::size_t begin) noexcept;

private:
    std::size_t slots() const noexcept { return static_cast<std::size_t>(tail_ - head_); }
    void grow();
    void take_ready(std::size_t bytes, std::string& out);

    static constexpr std::size_t slots_min = 16;
    std::vector<Slot> slots_ = std::vector<Slot>(slots_min);  ///< a power of two
    std::uint64_t mask_ = slots_min - 1;                      ///< one less
    std::uint64_t head_ = 0;
    std::uint64_t tail_ = 0;
    std::size_t charge_ = 0;
    std::string ready_;            ///< in the order of the slots
    std::size_t ready_taken_ = 0;  ///< of it, from the front: has left
    std::size_t ready_ended_ = 0;  ///< of it: replies that are counted
    std::size_t ready_count_ = 0;
};

}  // namespace kv
