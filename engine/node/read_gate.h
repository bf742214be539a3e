#pragma once

/// ReadGate: when a job may look into whole shards of this core (KEYS, DBSIZE, SCAN). Each shard
/// confirms that this node leads it, one round for all that ask in a turn, and has applied what was
/// committed when it was asked. From then on whatever is read there is linearizable, key by key,
/// however many turns the job takes: a store only ever moves on to what was committed later.
///
/// A shard whose group has no other voter confirms at once. Owner core only.

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/node/internal_waiter.h"
#include "engine/replica/replica_set.h"
#include "io/event.h"

namespace kv {

class ReadGate {
public:
    ReadGate(io::Reactor& reactor, ReplicaSet& replicas) : reactor_(reactor), replicas_(replicas) {}
    ReadGate(const ReadGate&) = delete;

    struct Verdict {
        ShardId shard;
        std::optional<Refused> refusal;  ///< nothing: it may be read
    };
    /// Fills in the refusals of `verdicts`, all of shards of this core. What is not confirmed
    /// within `limit` is refused with no_leader.
    io::Task<void> pass(std::span<Verdict> verdicts, Duration limit);

private:
    /// One pass that waits. Stays until all its reads have called back.
    struct Pass final : io::Timer, InternalWaiter {
        Pass(ReadGate& g, io::Reactor& r) noexcept
            : Timer([](io::Timer& t) noexcept { static_cast<Pass&>(t).over.set(); }),
              gate(g),
              over(r) {}
        ~Pass() { gate.reactor_.timers().disarm(*this); }
        void on_applied(const Waiter&, const Store::Applied&) noexcept override {}
        void on_refused(const Waiter& waiter, Refused refusal) noexcept override {
            gate.settle(*this, waiter.request, refusal);
        }
        void on_readable(const Waiter& waiter, const Store&) noexcept override {
            gate.settle(*this, waiter.request, std::nullopt);
        }

        ReadGate& gate;
        io::Event over;
        std::span<Verdict> verdicts;  ///< empty: given up
        std::size_t left = 0;         ///< reads that will call back
    };
    void settle(Pass& pass, std::size_t number, std::optional<Refused> refusal) noexcept;
    void end(Pass& pass) noexcept;

    io::Reactor& reactor_;
    ReplicaSet& replicas_;
    std::vector<std::unique_ptr<Pass>> passes_;
};

}  // namespace kv
