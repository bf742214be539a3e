#pragma once

/// Which configuration holds: the newest in the log, from the moment it is appended, committed or
/// not (Raft dissertation, section 4.1). When its entry is truncated, the one before holds again;
/// one that a snapshot brings is older than any in the log behind it.

#include <vector>

#include "consensus/core/quorum.h"
#include "proto/raft/entry.h"

namespace kv::consensus {

class Membership {
public:
    const Configuration& current() const noexcept { return known_.back().configuration; }
    const Voters& voters() const noexcept { return voters_; }

    /// The configuration as of `index`; whatever is known of entries up to it is forgotten, and of
    /// those behind it too unless `keep_newer`.
    void restore(Index index, const Configuration& configuration, bool keep_newer);
    /// The entry at `index`, the last of the log, is `configuration`.
    void append(Index index, Configuration configuration);
    /// The entries from `first` on are gone.
    void truncate(Index first);
    /// Entries up to `index` will never be truncated.
    void compact(Index index);

private:
    struct Known {
        Index index;
        Configuration configuration;
    };
    void changed() { voters_ = voters_of(current()); }

    std::vector<Known> known_{1};  ///< ascending; the first one is as of the start of the log
    Voters voters_;                ///< of current()
};

}  // namespace kv::consensus
