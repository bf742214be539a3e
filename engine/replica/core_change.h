#pragma once

/// Another number of cores: the logs of a node become those of a new generation
/// (engine/wal/reshard.h), each group's records in the log of the core that Placement gives it.
/// Before any replica is made; on one core.

#include <string>
#include <vector>

#include "engine/wal/reshard.h"

namespace kv {

class CoreChange {
public:
    /// `log`: as the log of the first core is opened now, of the generation that there is.
    /// `segments`: by old core, which its log is known to have reached. `cores`: from now on.
    CoreChange(io::Reactor& reactor, const wal::WalOptions& log,
               const std::vector<SegmentSeq>& segments, std::uint16_t shards, std::uint16_t cores);

    /// As wal::Resharder::run(), and this lives on after it as a Resharder does.
    io::Task<Result<wal::Resharded>> run();

private:
    wal::Resharder resharder_;
};

/// Removes the log files of all generations but `generation`: a change has made them needless, or
/// its crash has left them. `known`: this generation is known to have files. When none is there,
/// nothing is removed: whoever says which generation is the log may be out of date.
io::Task<Status> remove_other_generations(io::Reactor& reactor, std::string directory,
                                          std::uint64_t generation, bool known);

}  // namespace kv
