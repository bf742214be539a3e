#pragma once

/// DurableLog: what the WAL of one node says that is safe from a loss of power, read from the
/// durable image of its disk and from nothing that the node believes. Oracles ask it.
///
/// It remembers everything that was ever durable on this disk, also entries that others have taken
/// the place of since: a promise that was kept when it was made stays kept. Only what was added to
/// the files since the last look is read.

#include <array>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "engine/wal/record.h"
#include "io/sim/sim_disk.h"
#include "proto/raft/entry.h"

namespace kv::sim {

class DurableLog {
public:
    /// Reads what has become durable in the segments in `wal_directory`. Damaged or torn ends are
    /// not there yet.
    void refresh(const io::SimDisk& disk, std::string_view wal_directory);
    /// The disk was replaced by an empty one.
    void forget() { *this = DurableLog(); }
    /// One record.
    void take(const wal::Record& record);

    /// The entry at `position`, or a snapshot that covers it.
    bool holds(GroupId group, LogPosition position) const;
    /// An entry that puts exactly this. Values are to be unique.
    bool holds_put(std::string_view key, std::string_view value) const;
    /// The newest; 0: none.
    Term term(GroupId group) const;
    bool voted(GroupId group, Term term, NodeId vote) const;
    /// Whether a node with this disk may start with that: it remembers its newest term and vote.
    bool remembered(GroupId group, Term term, NodeId vote) const;
    /// Two votes of this node in one term, if there are any; a sentence.
    const std::string& two_votes() const noexcept { return two_votes_; }
    std::size_t entries() const noexcept { return positions_.size(); }

private:
    struct File {
        SegmentSeq segment;
        StoreId store;
        std::array<std::byte, 128> header{};  ///< how it begins: all of its fields
        std::uint64_t read = 0;               ///< up to this offset
    };
    void read(const io::SimFile& file, File& known);
    void take_entries(const wal::Record& record);

    std::map<std::string, File> files_;
    std::vector<std::byte> buffer_;
    std::unordered_set<std::uint64_t> positions_;  ///< hashes of (group, position)
    std::unordered_set<std::uint64_t> puts_;       ///< hashes of (key, value)
    std::map<GroupId, Index> covered_;
    std::map<GroupId, Term> terms_;
    std::map<std::pair<GroupId, Term>, NodeId> votes_;
    std::string two_votes_;
};

}  // namespace kv::sim
