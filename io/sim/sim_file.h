#pragma once

/// One simulated file: what reads see, and what survives. The part of the fault model (see
/// io/sim/sim_disk.h) that concerns data.

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "io/sim/sim_content.h"
#include "io/sim/sim_knobs.h"
#include "proto/base/bytes.h"

namespace kv::io {

inline constexpr std::uint64_t sim_page_bytes = 4096;   ///< what a dying process leaves whole
inline constexpr std::uint64_t sim_sector_bytes = 512;  ///< what a power loss leaves whole

/// What a power loss does to the volatile changes of one file.
enum class SimLoss : std::uint8_t { everything, tail, any, nothing };

class SimFile {
public:
    explicit SimFile(std::uint64_t number) noexcept : number_(number) {}
    SimFile(const SimFile&) = delete;

    std::uint64_t number() const noexcept { return number_; }
    const SimContent& visible() const noexcept { return visible_; }
    /// What a power loss would leave if it lost everything volatile.
    SimContent durable() const;
    /// A part of it: fills the front of `to`, and returns how much.
    std::size_t read_durable(std::uint64_t offset, MutableBytes to) const noexcept;

    /// Changes take effect for readers at once. The result names the change for acknowledge(); 0
    /// when there is nothing left to say about it.
    std::uint64_t write(std::uint64_t offset, Bytes from, bool durable);
    std::uint64_t extend(std::uint64_t bytes);
    /// The program has learnt at `clock` that the change is done.
    void acknowledge(std::uint64_t change, std::uint64_t clock) noexcept;
    /// What was acknowledged before `clock` becomes durable; of the rest, whatever `prng` says.
    void sync(std::uint64_t clock, Prng& prng);
    /// Writeback failed: what is volatile now looks clean and will never be written back.
    void fail_sync() noexcept;

    /// A write that failed or was in flight at a crash: reaches the cache not, partly or fully.
    void write_some(std::uint64_t offset, Bytes from, std::uint64_t unit_bytes, Prng& prng);
    void crash_process() noexcept;
    void lose_power(SimLoss loss, Prng& prng);

    /// Damage: changes what is visible and what is durable, and ends what was pending.
    void overwrite(std::uint64_t offset, Bytes from);
    void truncate(std::uint64_t bytes);

    // Kept by SimDisk.
    std::uint32_t links = 0;        ///< visible names
    std::uint32_t opens = 0;        ///< open descriptors
    std::uint64_t lock_holder = 0;  ///< the handle that holds the lock; 0: nobody
    bool released = false;          ///< no name and no descriptor: its space is free again

private:
    struct Change {
        std::uint64_t offset = 0;
        std::vector<std::byte> data;     ///< empty: the size grows to `offset`
        std::uint64_t acknowledged = 0;  ///< the disk's clock; 0: not yet
        bool durable = false;
        bool abandoned = false;  ///< by a failed sync
    };

    std::uint64_t push(Change change);
    Change* find(std::uint64_t change) noexcept;
    static void apply(SimContent& content, const Change& change);
    static void tear(SimContent& content, const Change& change, Prng& prng);
    static void apply_front(SimContent& content, const Change& change, Prng& prng);
    void settle();

    std::uint64_t number_;
    SimContent visible_;
    SimContent base_;             ///< durable, before `changes_`
    std::deque<Change> changes_;  ///< in the order readers saw them; starts with a volatile one
    std::uint64_t first_change_ = 1;
};

}  // namespace kv::io
