#pragma once

/// The log of a group as its protocol sees it. Terms are known of every entry that the log on disk
/// holds, as runs; the entries themselves only from in_memory() on, which is never beyond what is
/// applied.
///
///     compacted ...... in memory ......... handed over ....... last
///                 ......... durable ..........
///
/// Durability comes in hand-overs. Each has a number and the epoch of the log: a truncation begins
/// a new epoch, and what was handed over before vouches for nothing any more, since other entries
/// may stand at its indexes (ABA; verification R11). The hand-over that brings those entries
/// vouches for all before them too.

#include <deque>
#include <string>
#include <vector>

#include "consensus/core/effects.h"

namespace kv::consensus {

class LogView {
public:
    LogPosition compacted() const noexcept { return compacted_; }
    LogPosition last() const noexcept { return last_; }
    LogPosition durable() const noexcept { return {term_at(durable_), durable_}; }
    Index durable_index() const noexcept { return durable_; }
    /// Of the first entry in memory; behind last() when none is.
    Index in_memory() const noexcept { return first_; }
    std::uint64_t epoch() const noexcept { return epoch_; }

    /// Term of the entry at `index`, from compacted().index to last().index.
    Term term_at(Index index) const noexcept;
    /// The log holds the entry at `position`, or begins right behind it.
    bool holds(LogPosition position) const noexcept {
        return position.index >= compacted_.index && position.index <= last_.index &&
               term_at(position.index) == position.term;
    }
    /// The highest position at or before `index` whose term is at most `term`; none: it would be
    /// before what the log holds.
    std::optional<LogPosition> at_most(Index index, Term term) const noexcept;
    Entry entry(Index index) const noexcept {
        KV_ASSERT(index >= first_ && index <= last_.index, "entry {} of {} to {}", index.value(),
                  first_.value(), last_.index.value());
        return view_entry(as_bytes(entries_[index - first_]));
    }

    /// Starts at `position`, with nothing behind it: all before is durable elsewhere.
    void reset(LogPosition position) noexcept;
    /// Appends a sealed entry. It joins last().
    void append(std::string entry);
    /// Removes the entries from `first` on.
    void truncate(Index first) noexcept;
    /// What is there is durable: it came from the disk.
    void recovered() noexcept;
    /// The log on disk begins behind `position`, which is in it.
    void compact(LogPosition position) noexcept;
    /// Goes on from `position`, which is in it: all before is durable elsewhere.
    void install(LogPosition position) noexcept;
    /// Frees memory of entries up to `index`, as long as more than `bytes_kept` are in memory.
    void trim(Index index, std::size_t bytes_kept) noexcept;

    Index handed_over() const noexcept { return handed_; }
    /// Whether there are entries that were not handed over.
    bool pending() const noexcept { return handed_ != last_.index; }
    /// The number that the next hand-over will have.
    std::uint64_t next_number() const noexcept { return number_ + 1; }
    /// Hands over all entries that were not, with a number of its own.
    PersistMark hand_over(std::vector<Entry>& out);
    void persisted(PersistMark mark) noexcept;
    std::uint64_t persisted_number() const noexcept { return persisted_number_; }

    /// A buffer for the next entry, with memory of earlier ones and `room` bytes.
    std::string take_buffer(std::size_t room);
    /// Memory of entries, and of buffers kept for further ones.
    std::size_t memory_bytes() const noexcept;

private:
    struct Run {  ///< entries from `first` on have `term`
        Index first;
        Term term;
    };
    struct HandOver {
        PersistMark mark;
        Index last;
    };

    LogPosition compacted_;
    LogPosition last_;
    Index first_{1};
    Index durable_;
    Index handed_;
    std::deque<std::string> entries_;  ///< [first_, last_], as sealed
    std::size_t entry_bytes_ = 0;      ///< their memory: a short entry may be in a long buffer
    std::vector<Run> runs_;            ///< of (compacted_, last_], ascending
    std::uint64_t number_ = 0;
    std::uint64_t persisted_number_ = 0;
    std::uint64_t epoch_ = 0;
    std::deque<HandOver> hand_overs_;  ///< not durable yet
    std::vector<std::string> free_buffers_;
};

}  // namespace kv::consensus
