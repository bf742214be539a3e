#pragma once

/// The simulated disk of one node, and its fault model.
///
/// A file has visible content (the page cache: what reads return) and durable content. Every change
/// is visible when it takes effect, which is at some moment between its submission and the delivery
/// of its completion, and is volatile until one of these makes it durable:
///   - `sync` of the file: exactly the writes and size changes whose completions had been delivered
///     when the sync was submitted. Any other volatile change may become durable too, or not.
///   - `write_dsync`: that write, and the size it needs. Earlier volatile writes stay volatile,
///     except that the order of overlapping writes is kept.
///   - `sync` of a directory: creations, renames and removals of names directly inside it, under
///     the same rule. A rename between directories needs both. Syncing a file never makes its name
///     durable, syncing a directory never makes data durable.
/// `allocate` grows the size with zeros, as one volatile change; `punch` writes zeros.
///
/// Failures of single operations:
///   - A failed sync leaves everything volatile visible, clean, and out of reach of later syncs: a
///     power loss may take it, however often the program syncs again.
///   - A failed write has reached the cache not, partly or fully.
///   - Space: the sizes of all files that have a name or a descriptor must fit the capacity. A
///     write that does not fit is cut or fails with -ENOSPC; allocate fails. It may be raised.
///   - Reads, writes: short, -EINTR, -EAGAIN at the odds in the knobs. Direct descriptors demand
///     block_bytes alignment of offset, length and address, else -EINVAL; their short transfers
///     are whole blocks.
///   - Rules (SimFault): an error or a stall for the n-th matching operation.
/// Slow as a whole: `slow` in the knobs. It may hang, too: see SimWorld::hang_disk.
///
/// Crashes. Operations in flight first take effect or not, by chance; a write in flight may do so
/// in part. Locks and descriptors are gone. Then:
///   process               everything visible stays visible and volatile: the next process's sync
///                         covers it. Writes in flight: whole pages of 4096 bytes.
///   power_lose_all        each file and each directory goes back to its durable state.
///   power_prefix          each file keeps a prefix of its volatile changes, the next one perhaps
///                         up to some sector of 512 bytes; names keep a prefix, too.
///   power_subset_torn     each volatile change is lost, kept, or torn: any of its sectors, with or
///                         without the size it would have given. Any subset of the names.
///   power_directory_lost  names: all volatile changes lost, or a prefix or a subset kept; data of
///                         each file: any of the above, or all kept. So a renamed file may be there
///                         under its old name, and a name may be there without its data.
/// Whatever was durable, and nothing that was never written, survives all of them.
///
/// Damage (bit flips, truncation, lost files) is for tests to do with the hooks below.
///
/// I/O points: every submission and every delivery of an operation on the disk is one, numbered
/// from 0; a crash at point i comes just before i happens.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/op.h"
#include "io/sim/sim_fds.h"
#include "io/sim/sim_file.h"
#include "io/sim/sim_knobs.h"
#include "io/sim/sim_names.h"
#include "proto/base/ids.h"

namespace kv::io {

/// Hits operations `code` on paths that contain `path_part`: lets `skip` of them pass, then hits
/// `count`. `error` is a negated errno (0: none); `stall` is added to the latency.
struct SimFault {
    OpCode code = OpCode::sync;
    std::string path_part;
    std::uint64_t skip = 0;
    std::uint64_t count = 1;
    std::int32_t error = 0;
    Duration stall{};
    std::uint64_t hits = 0;  ///< so far
};

/// What the disk keeps of an operation in flight.
struct SimDiskTicket {
    SimHandleRef handle;
    std::uint64_t clock = 0;  ///< the disk's at submission
    SimFileRef file;          ///< what `file_change` is a change of
    std::uint64_t file_change = 0;
    std::uint64_t name_change = 0;
    std::int32_t error = 0;
};

class SimDisk {
public:
    SimDisk(std::uint64_t seed, NodeId node, const SimDiskKnobs& knobs);

    SimDiskKnobs& knobs() noexcept { return knobs_; }
    std::uint64_t io_points() const noexcept { return io_points_; }
    /// The result stays valid until clear_faults().
    std::size_t add_fault(SimFault fault);
    const SimFault& fault(std::size_t number) const { return faults_.at(number); }
    void clear_faults() noexcept { faults_.clear(); }
    std::uint64_t used_bytes() const noexcept { return used_bytes_; }
    void set_capacity(std::uint64_t bytes) noexcept { knobs_.capacity_bytes = bytes; }
    /// Another disk in its place, empty. No process runs.
    void wipe();

    // Test hooks. Absent: no such file.
    std::optional<std::string> visible(std::string_view path) const;
    std::optional<std::string> durable(std::string_view path) const;
    /// What a power loss would leave in `directory`, by name, if it lost everything volatile.
    std::vector<std::pair<std::string, SimFileRef>> durable_files(std::string_view directory) const;
    std::vector<std::string> list(std::string_view directory) const;
    std::vector<std::string> paths() const;  ///< all visible ones, directories included
    /// The hooks that change something make what is pending in that place durable first.
    bool overwrite(std::string_view path, std::uint64_t offset, Bytes bytes);
    bool flip_bit(std::string_view path, std::uint64_t bit);
    bool truncate(std::string_view path, std::uint64_t bytes);
    bool remove(std::string_view path);
    /// Creates the directories above it, too.
    void put(std::string_view path, std::string_view content);
    void make_directory(std::string_view path);

    // For SimBackend.
    std::uint64_t count_io_point() noexcept { return io_points_++; }
    /// Returns how long the operation takes.
    Duration submit(const OpRequest& request, SimDiskTicket& ticket, const SimFds& fds);
    std::int32_t take_effect(const OpRequest& request, SimDiskTicket& ticket, SimFds& fds);
    /// The completion is being delivered.
    void acknowledge(const SimDiskTicket& ticket) noexcept;
    struct InFlight {
        const OpRequest* request;
        SimDiskTicket* ticket;
    };
    void crash(Crash kind, std::span<InFlight> in_flight, SimFds& fds);

private:
    SimFileRef find_file(std::string_view path) const;
    std::int32_t open(const OpRequest& request, SimDiskTicket& ticket, SimFds& fds);
    std::int32_t close(const OpRequest& request, SimDiskTicket& ticket, SimFds& fds);
    std::int32_t read(const OpRequest& request, const SimDiskTicket& ticket);
    std::int32_t write(const OpRequest& request, SimDiskTicket& ticket);
    std::int32_t sync(const SimDiskTicket& ticket);
    std::int32_t allocate(const OpRequest& request, SimDiskTicket& ticket);
    std::int32_t punch(const OpRequest& request, SimDiskTicket& ticket);
    std::int32_t rename(const OpRequest& request, SimDiskTicket& ticket);
    std::int32_t unlink(const OpRequest& request, SimDiskTicket& ticket);
    std::int32_t make_directory(const OpRequest& request, SimDiskTicket& ticket);
    std::int32_t list(const OpRequest& request) const;
    std::int32_t stat(const OpRequest& request) const;
    std::int32_t lock(const SimDiskTicket& ticket);

    std::uint64_t room_bytes() const noexcept;
    std::uint32_t shorten(std::uint32_t bytes, bool direct);
    void release(SimFile& file) noexcept;
    void strike(const OpRequest& request, SimDiskTicket& ticket, Duration& latency);
    void finish_by_chance(const InFlight& op, Crash kind, SimFds& fds);
    SimLoss data_loss(Crash kind);
    SimLoss names_loss(Crash kind);

    SimDiskKnobs knobs_;
    Prng timing_;
    Prng tails_;
    Prng slow_;
    Prng effects_;
    Prng crashes_;
    SimNames names_;
    std::vector<std::weak_ptr<SimFile>> files_;  ///< in the order of creation
    std::vector<SimFault> faults_;
    std::uint64_t clock_ = 1;  ///< counts submissions and acknowledgements
    std::uint64_t io_points_ = 0;
    std::uint64_t used_bytes_ = 0;
    std::uint64_t files_created_ = 0;
    std::uint64_t handles_created_ = 0;
};

}  // namespace kv::io
