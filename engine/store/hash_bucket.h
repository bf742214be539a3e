#pragma once

/// The parts of a HashIndex as they lie in memory: buckets, and the 4 KiB segments made of them.
///
/// Bucket, 128 bytes on two cache lines; one load and one compare tell where a key may be:
///
///      0  u8 x 14   fingerprints: bits 1..7 from the hash, bit 0 the parity of the home bucket
///     14  u16       bits 0..13  slot in use
///                   bit 14      displaced: an entry at home here lies in the next bucket
///                   bit 15      overflowed: an entry at home here lies in the stash or the chain
///     16  u64 x 14  slots: bits 0..47 the reference, bits 48..63 the tag
///
/// The tag holds the 16 hash bits that decide where the entry goes at the next splits, so that a
/// split reads no key. The parity says of every entry of bucket b whether it is at home in b or
/// was displaced from b - 1: splits and erasures need no key for that either.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace kv::hash {

inline constexpr unsigned slots_per_bucket = 14;

struct alignas(128) Bucket {
    static constexpr std::uint32_t all_slots = (1u << slots_per_bucket) - 1;
    static constexpr std::uint16_t displaced = 1u << 14;
    static constexpr std::uint16_t overflowed = 1u << 15;

    std::array<std::uint8_t, slots_per_bucket> fingerprints;
    std::uint16_t state;
    std::array<std::uint64_t, slots_per_bucket> slots;

    std::uint32_t occupied() const noexcept { return state & all_slots; }
    bool full() const noexcept { return occupied() == all_slots; }
    bool empty() const noexcept { return occupied() == 0; }
    bool has(std::uint16_t flag) const noexcept { return (state & flag) != 0; }
    void set(std::uint16_t flag) noexcept { state = static_cast<std::uint16_t>(state | flag); }
    void clear(std::uint16_t flag) noexcept { state = static_cast<std::uint16_t>(state & ~flag); }

    /// Fills a free slot, which there is, and returns its number.
    unsigned add(std::uint8_t fingerprint, std::uint64_t slot) noexcept {
        const auto number = static_cast<unsigned>(std::countr_one(occupied()));
        fingerprints[number] = fingerprint;
        slots[number] = slot;
        set(static_cast<std::uint16_t>(1u << number));
        return number;
    }
    void remove(unsigned number) noexcept { clear(static_cast<std::uint16_t>(1u << number)); }

    /// Bit i: slot i is in use and has this fingerprint.
    std::uint32_t match(std::uint8_t fingerprint) const noexcept {
#if defined(__SSE2__)
        const __m128i head = _mm_load_si128(reinterpret_cast<const __m128i*>(this));
        const __m128i equal = _mm_cmpeq_epi8(head, _mm_set1_epi8(static_cast<char>(fingerprint)));
        return static_cast<std::uint32_t>(_mm_movemask_epi8(equal)) & occupied();
#else
        return match_portable(fingerprint);
#endif
    }
    std::uint32_t match_portable(std::uint8_t fingerprint) const noexcept {
        std::uint32_t equal = 0;
        for (unsigned i = 0; i < slots_per_bucket; ++i)
            equal |= static_cast<std::uint32_t>(fingerprints[i] == fingerprint) << i;
        return equal & occupied();
    }

    /// Bit i: slot i is in use by an entry whose home has this parity.
    std::uint32_t of_parity(unsigned parity) const noexcept {
        std::uint32_t odd = 0;
        for (unsigned i = 0; i < slots_per_bucket; ++i)
            odd |= static_cast<std::uint32_t>(fingerprints[i] & 1u) << i;
        return (parity != 0 ? odd : ~odd) & occupied();
    }
};
static_assert(sizeof(Bucket) == 128);

/// Regular buckets; even, for the parity.
inline constexpr unsigned regular_buckets = 28;
/// Buckets for entries that found no room at home or next to it.
inline constexpr unsigned stash_buckets = 3;
inline constexpr unsigned buckets_per_segment = regular_buckets + stash_buckets;
/// All slots of a segment without a chain.
inline constexpr std::size_t slots_per_segment =
    std::size_t{buckets_per_segment} * slots_per_bucket;
static_assert(regular_buckets % 2 == 0);

/// The home of each entry of a stash or chain bucket.
using Homes = std::array<std::uint8_t, slots_per_bucket>;

/// Holds what fits nowhere else in a segment that cannot be split: many keys of one hash.
struct ChainBucket {
    Bucket bucket;
    ChainBucket* next;
    Homes homes;
};

/// One page of memory: a 128-byte front and 31 buckets. The front has room left for a version per
/// bucket, which a snapshot taken while the index changes will need.
struct alignas(4096) Segment {
    ChainBucket* chain;
    std::array<Homes, stash_buckets> stash_homes;
    alignas(128) std::array<Bucket, buckets_per_segment> buckets;
};
static_assert(sizeof(Segment) == 4096);

constexpr unsigned bucket_after(unsigned bucket) noexcept {
    return bucket + 1 == regular_buckets ? 0 : bucket + 1;
}
constexpr unsigned bucket_before(unsigned bucket) noexcept {
    return (bucket == 0 ? regular_buckets : bucket) - 1;
}

}  // namespace kv::hash
