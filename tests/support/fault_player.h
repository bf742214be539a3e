#pragma once

/// Lets the faults of a plan befall a simulated world, heals it at the end, and keeps the books
/// that a test of liveness needs: since when a majority of the nodes could have made progress.

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "io/sim/sim_world.h"
#include "tests/support/fault_plan.h"

namespace kv {

/// The processes on the nodes: what the player cannot stop and start by itself.
class FaultHost {
public:
    /// Ends the process on `node`, if one runs.
    virtual void crash(NodeId node, io::Crash kind) = 0;
    /// Starts one, if none runs, with so many cores; 0: as many as before. Called outside of turns.
    virtual void restart(NodeId node, std::uint16_t cores) = 0;
    /// After crash(): an empty disk.
    virtual void replace_disk(NodeId node) = 0;
    /// An operation on its log is to fail. A host whose nodes cannot fail leaves it at that.
    virtual void fail_disk(NodeId, const io::SimFault&) {}
    /// After crash(): flips a bit.
    virtual void rot(NodeId, std::uint64_t) {}

protected:
    ~FaultHost() = default;
};

/// Outlives the runs of its world.
class FaultPlayer {
public:
    FaultPlayer(io::SimWorld& world, FaultPlan plan, FaultHost& host);
    FaultPlayer(const FaultPlayer&) = delete;

    /// The plan's time begins now.
    void begin();
    bool healed() const noexcept { return healed_; }
    /// When it will be, or was.
    Instant heal_time() const noexcept { return begun_ + plan_.knobs.duration; }
    const FaultPlan& plan() const noexcept { return plan_; }
    /// Faults that have begun.
    std::size_t played() const noexcept { return played_; }

    /// The majority that has been healthy for longest, and since when: its nodes have a process on
    /// all of their cores, a disk that answers, and links in both directions to each other, none
    /// slower than `tolerance` on average. A process that has just started counts as healthy.
    /// Nothing: there is no such majority now.
    struct Majority {
        io::SimNodes nodes;
        Instant since{};
    };
    static constexpr Duration tolerance = 20ms;
    static constexpr std::int64_t bytes_per_second_min = 100'000;
    std::optional<Majority> majority();
    /// For a test that stops or starts nodes on its own: call it when it has.
    void note_change();

private:
    void begin(Fault& fault);
    void end(Fault& fault);
    void heal();
    void cut(const Fault& fault, io::SimPairs pairs);
    io::SimPairs around(const Fault& fault, const io::SimNodes& nodes) const;
    void begin_flap(const Fault& fault);
    void begin_freeze(const Fault& fault);
    void begin_swizzle(const Fault& fault);
    void at(Duration since_now, std::function<void()> action);
    void stop(const Fault& fault);
    void set_links(NodeId node, const std::function<void(io::SimLink&)>& change);
    bool healthy(NodeId node);
    bool linked(NodeId from, NodeId to);

    io::SimWorld& world_;
    FaultPlan plan_;
    FaultHost& host_;
    Instant begun_{};
    bool healed_ = false;
    std::size_t played_ = 0;
    std::map<std::uint32_t, std::vector<std::uint32_t>> cuts_;  ///< by fault
    std::map<NodeId, std::uint32_t> stopped_;                   ///< by how many faults
    std::map<NodeId, std::int32_t> normal_drift_;
    /// Of each majority, as a set of positions in the plan's nodes, since when it is healthy.
    std::map<std::uint32_t, Instant> since_;
};

}  // namespace kv
