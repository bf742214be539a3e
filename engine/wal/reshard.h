#pragma once

/// Resharder: writes the logs of a node that had one number of cores once more, as logs for
/// another: every record, in the order of its group, goes to the log of the core that has the group
/// now. It knows nothing of what the records mean.
///
/// The new logs are a generation of their own (engine/wal/segment.h). Which generation is the log,
/// others say, atomically, when run() has returned: before that the old one is valid and complete,
/// afterwards the new one. Files of the other are left over and go (remove_generations).
///
/// Hard states and snapshot marks keep their places among the entries, too: what they say is true
/// behind what they follow. Each new segment begins with the newest that are durable before it, as
/// every segment does.
///
/// Memory is bounded: with staged_bytes_max on the way to the disk, reading waits. On the core that
/// runs it, and there only.

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/wal/recovery.h"
#include "engine/wal/wal.h"

namespace kv::wal {

struct ReshardOptions {
    std::vector<WalOptions> from;  ///< by core, of one generation
    /// By core, of the next generation, in the same directory. The segments are made larger than
    /// they say where an old one is: it may hold a record that needs it.
    std::vector<WalOptions> to;
    /// Which of `to` has a group; nothing: there is no such group.
    std::function<std::optional<std::uint32_t>(GroupId)> core_of;
};

struct Resharded {
    std::vector<RecoveryReport> reports;  ///< of the old logs, by core
    std::vector<SegmentSeq> segments;     ///< newest of each new log, by core; 0: it is empty
};

class Resharder {
public:
    static constexpr std::uint64_t staged_bytes_max = std::uint64_t{8} << 20;
    static constexpr Duration look_period = 1ms;

    Resharder(io::Reactor& reactor, ReshardOptions options);
    /// After run() has failed with `io`, operations may still be under way: not before the reactor
    /// has stopped.
    ~Resharder();

    /// On return the new logs are durable, and stopped cleanly. After an error there is no new log:
    /// what was made of it is removed, except after `io`, where the next start does that.
    /// Errors: those of recover(); `foreign`, a record of an unknown group; `no_space`; `io`;
    /// `damaged`, the next generation is there already.
    io::Task<Result<Resharded>> run();

private:
    struct Output;
    class Input;

    io::Task<Status> look_at_directory();
    io::Task<Status> copy(std::vector<RecoveryReport>* reports);
    io::Task<Status> settle();
    const Error* failure() const noexcept;

    io::Reactor& reactor_;
    ReshardOptions options_;
    std::vector<std::unique_ptr<Output>> outputs_;
    std::uint64_t staged_bytes_ = 0;  ///< since all was durable
};

/// Removes the segment files of all generations but `kept`, and what is left of making them.
/// Durable on return.
io::Task<Status> remove_generations(io::Reactor& reactor, std::string directory,
                                    std::uint64_t kept);

}  // namespace kv::wal
