#pragma once

/// Ids and positions as distinct integer types: a Term is not an Index. They compare, they print
/// through value(), and the few that count have next() and operator-.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace kv {

template <typename Tag, typename Integer = std::uint64_t>
class Id {
public:
    using Value = Integer;
    constexpr Id() noexcept = default;
    constexpr explicit Id(Integer value) noexcept : value_(value) {}
    constexpr Integer value() const noexcept { return value_; }
    constexpr Id next() const noexcept { return Id(static_cast<Integer>(value_ + 1)); }
    constexpr auto operator<=>(const Id&) const noexcept = default;
    /// The distance from `earlier`, which is not behind this.
    constexpr Integer operator-(Id earlier) const noexcept {
        return static_cast<Integer>(value_ - earlier.value_);
    }

private:
    Integer value_ = 0;
};

using Term = Id<struct TermTag>;           ///< Raft term; 0 before the first election
using Index = Id<struct IndexTag>;         ///< Raft log index of a group; the first entry is 1
using Lsn = Id<struct LsnTag>;             ///< number of a WAL batch of one core; the first is 1
using SegmentSeq = Id<struct SegmentTag>;  ///< number of a use of a WAL segment; never reused
using Epoch = Id<struct EpochTag>;         ///< life of a WAL: the boot that wrote a batch
using NodeId = Id<struct NodeTag>;         ///< 1..2^32-1; 0 is "none"
using GroupId = Id<struct GroupTag>;       ///< Raft group of one shard; 0 is "none"
using Revision = Id<struct RevisionTag>;   ///< per-shard change counter; the first change is 1
using SlotId = Id<struct SlotTag, std::uint16_t>;    ///< 0..16383
using CoreId = Id<struct CoreTag, std::uint16_t>;    ///< reactor of a node, from 0
using ShardId = Id<struct ShardTag, std::uint16_t>;  ///< position of a shard in the slot table

/// Random 128-bit identity of a data directory, made with it. All zero is "none".
struct StoreId {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    constexpr bool operator==(const StoreId&) const noexcept = default;
};

inline constexpr std::uint16_t slot_count = 16384;

}  // namespace kv

template <typename Tag, typename Integer>
struct std::hash<kv::Id<Tag, Integer>> {
    std::size_t operator()(kv::Id<Tag, Integer> id) const noexcept {
        return std::hash<Integer>()(id.value());
    }
};
