#pragma once

/// Writes one snapshot file (engine/snapshot/format.h) while its core goes on serving. Unless time
/// presses, one frame is written at a time, and after each the disk is left alone for four times as
/// long as that took: syncs of the log wait for whatever is queued before them. In a hurry at most
/// frames_per_turn frames are filled in a turn, through a bounded set of buffers whose writes
/// overlap with the filling of others; when none is free the filling waits for the disk. Owner core
/// only.

#include <functional>
#include <string>

#include "engine/snapshot/format.h"
#include "io/reactor.h"
#include "io/task.h"

namespace kv::snapshot {

/// Where the entries come from; for instance a StoreCut.
class Source {
public:
    /// Fills `to` with the next bytes of the stream, at most half a millisecond's worth; fewer, or
    /// none, when there is more to do in another turn.
    virtual std::size_t read(MutableBytes to) = 0;
    virtual bool ended() const = 0;
    /// The writing is to end without a file, for the reason that stopped() tells.
    virtual bool stopped() const = 0;
    /// How many frames one turn may fill. 0: time does not press.
    virtual std::size_t frames_per_turn() const = 0;

protected:
    ~Source() = default;
};

struct WriteOptions {
    std::string directory;  ///< exists
    bool direct = true;     ///< the file system takes direct writes
};

struct Content {
    Head head;
    std::string slots;          ///< section `slots`
    std::string configuration;  ///< section `configuration`
};

struct Written {
    SnapshotFile file;
    std::uint64_t bytes = 0;
};

/// Memory that one snapshot takes while it is written, beside its source's.
inline constexpr std::size_t write_buffers = 4;
/// Bounds of a pause between frames.
inline constexpr Duration pause_min = 1ms;
inline constexpr Duration pause_max = 20ms;

/// The file is durable under its name on return. An error leaves no file behind, but perhaps one
/// with .tmp, which the next snapshot of the group or the next start removes; a file that has its
/// name already may stay, and is whole. Errors: `canceled`, the source has stopped; `no_space`,
/// `io`, `busy`.
io::Task<Result<Written>> write_snapshot(io::Reactor& reactor, WriteOptions options,
                                         Content content, Source& source);

}  // namespace kv::snapshot
