#pragma once

/// Linearization: the search behind linearizability.h, over the operations of one key.

#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include "tests/support/linearizability.h"

namespace kv::test {

class Linearization {
public:
    /// `operations` outlive it; those that were not applied are left out, and so are reads of
    /// unknown outcome.
    Linearization(RegisterModel& model, std::span<const Operation> operations,
                  bool clients_in_order);

    /// Whether there is an order, from any of `initial`.
    KeyVerdict search(std::span<const RegisterState> initial, const CheckLimits& limits);

    /// Every state in which some order from `initial` may end. Empty also if it takes too long.
    std::vector<RegisterState> final_states(std::span<const RegisterState> initial,
                                            const CheckLimits& limits);

private:
    /// What is to come: calls and returns in the order of time, as a list from which what is done
    /// is lifted out. Those of unknown outcome have no return, and a list of their own.
    struct Link {
        std::uint32_t previous = 0;
        std::uint32_t next = 0;
    };
    /// The state of a search: what is done, and what the key holds then.
    struct Position {
        std::uint64_t done_low = 0;  ///< two hashes of the set of done operations
        std::uint64_t done_high = 0;
        RegisterState state;
        bool behind_unknown = false;  ///< the last one done was of unknown outcome

        bool operator==(const Position&) const = default;
    };
    struct PositionHash {
        std::size_t operator()(const Position& position) const noexcept;
    };
    struct Step {
        std::uint32_t operation;
        Position before;
        std::uint32_t last_done;    ///< of its client, before
        std::int64_t latest_start;  ///< before
        bool certain;               ///< whatever order there is, one begins with it
    };

    KeyVerdict run(const RegisterState& initial, const CheckLimits& limits,
                   std::vector<RegisterState>* finals);
    bool advance(std::uint32_t operation);
    std::uint32_t undo();
    std::uint32_t candidate(std::uint32_t at) const noexcept;
    bool holds_up_unknown(std::uint32_t operation) const noexcept;
    bool may_come_next(std::uint32_t operation) const noexcept;
    bool is_unknown(std::uint32_t i) const noexcept {
        return operations_[i]->known == Known::unknown;
    }
    bool is_return(std::uint32_t link) const noexcept { return link >= count() && link < head_; }
    std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(operations_.size()); }
    void order_clients();
    void lift(std::uint32_t link) noexcept;
    void unlift(std::uint32_t link) noexcept;

    RegisterModel& model_;
    std::vector<const Operation*> operations_;  ///< by start
    std::vector<std::uint32_t> same_before_;    ///< the unknown one before it with equal effect
    std::vector<std::uint32_t> client_before_;  ///< the known one that its client sent before it
    std::vector<std::uint32_t> clients_;        ///< of each, by number; empty: not in order
    std::vector<std::uint32_t> last_done_;      ///< of each client: one behind; 0: none
    std::int64_t latest_start_ = 0;             ///< of what is done
    std::vector<Link> links_;                   ///< call i: i; its return: count + i; then heads
    std::uint32_t head_ = 0;
    std::uint32_t unknown_head_ = 0;
    std::vector<bool> done_;
    std::vector<Step> path_;
    std::size_t returns_left_ = 0;
    Position position_;
    std::unordered_set<Position, PositionHash> visited_;
};

}  // namespace kv::test
