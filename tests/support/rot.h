#pragma once

/// What may rot on the disk of a node so that its start has to notice: not what was written last,
/// for that cannot be told from a write that was under way when the power failed
/// (engine/wal/recovery.h).

#include <optional>
#include <string>

#include "io/sim/sim_disk.h"
#include "proto/base/prng.h"

namespace kv::sim {

/// Changes a bit, or a block for another one of its file, in something that is proven to have been
/// durable: a snapshot, a segment that others follow, or in the newest one what a later batch calls
/// durable. No process runs there. Says what it did; nothing: there is nothing of that kind yet.
std::optional<std::string> rot_something(io::SimDisk& disk, const std::string& data_directory,
                                         Prng& prng);

}  // namespace kv::sim
