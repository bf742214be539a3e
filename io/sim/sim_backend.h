#pragma once

/// The backend of one simulated core. Kinder to nobody than io_uring: completions come in any
/// order, transfers are short or interrupted, provided buffers run out, multishots end, and a
/// cancellation may lose. Made by SimWorld::add_core.
///
/// The bytes of a write or a send are used at a moment between submission and completion; that they
/// are the same at the submission, at that moment and at the completion is checked: "buffer changed
/// in flight".

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "io/backend.h"
#include "io/sim/sim_disk.h"
#include "io/sim/sim_event.h"
#include "io/sim/sim_knobs.h"

namespace kv::io {

class Reactor;
class SimWorld;
struct SimNode;

class SimBackend final : public Backend {
public:
    std::size_t poll(Duration wait_max, Instant& time) override;
    void wake(CoreId core) override;
    Instant now() noexcept override;
    std::int64_t wall_ns() noexcept override;
    void fill_entropy(MutableBytes out) noexcept override;
    std::byte* buffer(std::uint16_t id) noexcept override;
    void recycle(std::uint16_t id) noexcept override;
    std::string describe() const override { return "simulated"; }

    NodeId node() const noexcept;
    CoreId core() const noexcept { return core_; }
    /// The node has crashed: nothing completes any more.
    bool dead() const noexcept { return dead_; }
    std::size_t in_flight() const noexcept { return in_flight_; }
    std::size_t buffers_free() const noexcept { return free_buffers_.size(); }

private:
    friend class SimWorld;

    struct Flight {
        Op* op = nullptr;  ///< null: the place is free
        std::uint64_t use = 0;
        std::uint64_t number = 0;  ///< order of submission within the world
        std::uint64_t sum = 0;     ///< of what a write or a send was given
        std::uint32_t target = 0;  ///< socket or listener
        std::int32_t result = 0;
        bool on_disk = false;
        bool done = false;      ///< `result` is final
        bool due = false;       ///< in `due_`
        bool canceled = false;  ///< end as soon as nothing more has arrived
        SimDiskTicket ticket;
    };
    struct Delivery {
        std::uint32_t place;
        std::int32_t result;
        Completion completion;
    };

    SimBackend(SimWorld& world, SimNode& node, CoreId core, std::uint32_t number,
               std::uint64_t seed);

    void start(Op& op) override;
    void request_cancel(Op& op) override;
    void start_on_network(Flight& flight, SimFlight name);
    std::uint32_t take_place(Op& op);
    void free_place(std::uint32_t place);
    SimFlight name_of(std::uint32_t place) const noexcept;
    void after(SimEventKind kind, Duration delay, SimFlight name);
    Duration kernel_time();

    // For SimWorld. `name` may be of a flight that has ended: then nothing happens.
    Flight* find(SimFlight name) noexcept;
    void on_effect(SimFlight name);
    void on_cancel(SimFlight name);
    void mark_due(SimFlight name);
    void finish(SimFlight name, std::int32_t result);
    void try_send(Flight& flight, SimFlight name);
    void look_at(Instant when);
    void look_at_local(Instant when);
    Instant free_at() const noexcept { return std::max(busy_until_, paused_until_); }
    void on_doorbell();
    bool has_due() const noexcept { return !due_.empty() || rung_; }
    Duration turn_time();

    void gather(std::uint32_t place);
    void gather_received(Flight& flight, SimFlight name);
    void gather_accepted(Flight& flight, SimFlight name);
    void check_bytes(const Flight& flight, const char* when) const;
    void deliver(const Delivery& delivery);
    std::int32_t take_buffer();

    /// No more effects and no more completions.
    void stop() noexcept { dead_ = true; }
    void abandon_all() noexcept;

    SimWorld& world_;
    SimNode& node_;
    CoreId core_;
    std::uint32_t number_;  ///< in the world's table
    Reactor* reactor_ = nullptr;
    Prng prng_;
    Prng chances_;
    Prng turns_;
    Prng stalls_;
    Prng entropy_;
    std::vector<Flight> flights_;
    std::vector<std::uint32_t> free_places_;
    std::size_t in_flight_ = 0;
    std::vector<std::uint32_t> due_;
    std::vector<std::uint32_t> gathering_;
    std::vector<Delivery> deliveries_;
    std::uint32_t buffer_bytes_ = 0;
    std::vector<std::unique_ptr<std::byte[]>> buffers_;
    std::vector<std::uint16_t> free_buffers_;
    std::vector<Instant> looks_;  ///< scheduled looks, the next one last
    Instant busy_until_{};
    Instant paused_until_{};
    bool asleep_ = false;  ///< waits, and other cores have to ring
    bool rung_ = false;    ///< another core has ended this one's wait
    bool dead_ = false;
    bool abandoned_ = false;
};

}  // namespace kv::io
