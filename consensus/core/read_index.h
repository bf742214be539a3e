#pragma once

/// Rounds of linearizable reads (Raft dissertation, section 6.4). All reads of a turn share one.
/// It notes the commit index when it is opened; heartbeats sent after that carry its number, and
/// when a quorum has answered one, nobody else can have committed anything before the round began.
/// Numbers are the leader's own and never repeat within its life; the term and the boot in each
/// message tell lives and leaders apart (verification R18).

#include <deque>
#include <optional>
#include <utility>

#include "consensus/core/effects.h"

namespace kv::consensus {

class ReadIndex {
public:
    /// Rounds that wait; beyond, the newest two become one, which its later number confirms.
    static constexpr std::size_t rounds_max = 64;

    /// The round that reads of now belong to.
    std::uint64_t open(Index commit);
    /// No read joins the open round any more. False: none was open.
    bool close() noexcept { return std::exchange(open_, false); }
    /// Newest round that nobody joins any more: what is sent from now on comes after all its reads.
    std::uint64_t asked() const noexcept { return open_ ? newest_ - 1 : newest_; }
    /// A quorum has answered `round`: the newest that it confirms and that was not told before.
    std::optional<ReadReady> confirm(std::uint64_t round);
    bool waiting() const noexcept { return !rounds_.empty(); }
    /// Leadership is lost: nothing that waits will ever be confirmed.
    void clear() noexcept;

private:
    std::deque<ReadReady> rounds_;  ///< ascending
    std::uint64_t newest_ = 0;
    bool open_ = false;
};

}  // namespace kv::consensus
