#pragma once

/// HashIndex: from key hashes to references, growing one segment at a time. Extendible hashing with
/// buckets after Dash (Lu, Hao, Wang, Lo: "Dash: Scalable Hashing on Persistent Memory", VLDB 2020)
/// as Dragonfly uses it in memory; there is no rehash of the whole.
///
///     directory   2^depth words, indexed by the top hash bits: segment address | segment depth
///     segment     28 regular buckets, 3 stash buckets; 434 slots on one 4 KiB page
///     (hash_bucket.h).
///                 Splits when 98 % full on average: 10 to 19 bytes per entry in all
///     entry       in its home bucket, else in the next one, else in the stash, else in the chain
///
/// The 64 hash bits: the top ones choose the segment, bits 8..31 the home bucket, bits 0..6 are the
/// fingerprint. The tag of an entry in a segment of depth d holds the 16 bits from bit
/// 63 - tag_base(d) downwards; only a split at depth 16, 32 ... reads the hashes anew (of one
/// segment, through the functor given to insert).
///
/// Cost bound: an insert splits at most one segment and moves at most the entries of that segment.
/// Doubling the directory copies it: 8 bytes per segment or two.
///
/// Equal hashes: the directory only doubles while it has at most 16 words per segment; a full
/// segment that may not split grows a chain. Lookups in a chain are linear, and nothing is lost.
///
/// Segments do not merge when entries go: only clear() and drain() give memory back.
///
/// References are opaque 48-bit numbers, not 0. Today they are block addresses (multiples of 8);
/// the low three bits are free to tell a block in memory from a place on disk one day. The index
/// itself looks behind a reference only to prefetch, which is harmless for any number.
///
/// Owner core only. No virtual call; memory comes from the slab. Layout and scan order depend on
/// the sequence of operations only, never on addresses.

#include <cstddef>
#include <cstdint>
#include <utility>

#include "engine/store/hash_bucket.h"
#include "engine/store/slab.h"
#include "proto/base/assert.h"
#include "proto/base/ids.h"

namespace kv {

using Reference = Id<struct ReferenceTag>;  ///< what an index entry stores; below 2^48; 0 is none

/// Position of a scan: a hash prefix, left-aligned. 0 is the start, and the end.
using Cursor = Id<struct CursorTag>;

class HashIndex {
public:
    static constexpr std::uint64_t reference_mask = (std::uint64_t{1} << 48) - 1;
    /// Directory words per segment beyond which a segment chains rather than splits.
    static constexpr std::size_t directory_words_per_segment_max = 16;

    /// What drain() counts for the memory of a segment, in units of f's cost.
    static constexpr std::size_t drain_segment_cost = 16;

    /// Where an entry lies; valid until the index changes. False when there is none.
    class Entry {
    public:
        Entry() noexcept = default;
        explicit operator bool() const noexcept { return bucket_ != nullptr; }
        Reference reference() const noexcept {
            return Reference(bucket_->slots[slot_] & reference_mask);
        }

    private:
        friend class HashIndex;
        Entry(hash::Segment* segment, hash::Bucket* bucket, unsigned slot) noexcept
            : segment_(segment), bucket_(bucket), slot_(slot) {}
        hash::Segment* segment_ = nullptr;
        hash::Bucket* bucket_ = nullptr;
        unsigned slot_ = 0;
    };

    /// Work done since the index was made: what bounds the cost of growing, in counts.
    struct Growth {
        std::uint64_t splits = 0;
        std::uint64_t doublings = 0;
        std::uint64_t entries_moved = 0;  ///< placed anew by splits
        std::uint64_t hashes_read = 0;    ///< asked of the caller's functor
    };

    explicit HashIndex(Slab& slab) noexcept;
    HashIndex(HashIndex&& other) noexcept;
    HashIndex& operator=(HashIndex&& other) noexcept;
    ~HashIndex() { discard(); }

    /// Starts loading what find(hash) will read first.
    void prefetch(std::uint64_t hash) const noexcept;
    /// Starts loading what the entry of `hash` most likely refers to. Reads the bucket: some time
    /// after prefetch(hash).
    void prefetch_entry(std::uint64_t hash) const noexcept;

    /// The entry with this hash for whose reference equal(Reference) -> bool holds. Calls it only
    /// for entries whose known hash bits agree.
    template <typename Equal>
    Entry find(std::uint64_t hash, Equal&& equal) const;

    /// Adds an entry that find() does not find. hash_of(Reference) -> hash of an entry already
    /// here; hardly ever called (see tag_base).
    template <typename HashOf>
    void insert(std::uint64_t hash, Reference reference, HashOf&& hash_of);

    /// Has `entry` refer to something else, of the same hash.
    void replace(Entry entry, Reference reference) noexcept;
    void erase(Entry entry) noexcept;

    /// Drops every entry, and gives all memory but one segment back.
    void clear() noexcept;

    /// Takes entries out one by one until the costs that f(Reference) -> size_t returns, and
    /// drain_segment_cost for each segment given back, add up to `cost_max` > 0. True while
    /// anything is left. After the first call only further ones and destruction are allowed:
    /// lookups are no longer right.
    template <typename F>
    bool drain(std::size_t cost_max, F&& f);

    /// Calls f(Reference) for all entries of the segment at `cursor` and returns the cursor of the
    /// next one, 0 at the end. In order of hash prefix, so a cursor keeps its meaning while the
    /// index grows: an entry present from the first call to the last is visited exactly once. A
    /// cursor taken from another index of the same hashes (or from before clear) is legal and
    /// visits every entry at least once. f must not change the index.
    template <typename F>
    Cursor scan(Cursor cursor, F&& f) const;

    std::size_t size() const noexcept { return size_; }
    /// Memory held: segments, chains and directory. Exact.
    std::size_t bytes() const noexcept {
        return segments_ * sizeof(hash::Segment) + chain_buckets_ * sizeof(hash::ChainBucket) +
               directory_bytes(depth_);
    }
    std::size_t segments() const noexcept { return segments_; }
    std::size_t chain_buckets() const noexcept { return chain_buckets_; }
    unsigned depth() const noexcept { return depth_; }
    const Growth& growth() const noexcept { return growth_; }

    /// Every entry lies where find() looks for it, and no bucket sends find() further than needed.
    /// O(n), for tests and KV_DCHECK.
    template <typename HashOf>
    bool invariants_hold(HashOf&& hash_of) const;

private:
    /// A directory word taken apart.
    struct Leaf {
        hash::Segment* segment;
        unsigned depth;
    };

    static constexpr std::size_t directory_bytes(unsigned depth) noexcept {
        return sizeof(std::uint64_t) << depth;
    }
    static constexpr unsigned tag_base(unsigned depth) noexcept {
        return (depth - (depth != 0 ? 1u : 0u)) & ~15u;
    }
    static constexpr std::uint64_t tag_of(std::uint64_t hash, unsigned base) noexcept {
        return hash << base >> 48;
    }
    static constexpr unsigned home_of(std::uint64_t hash) noexcept {
        return static_cast<unsigned>(((hash >> 8 & 0xffffff) * hash::regular_buckets) >> 24);
    }
    static constexpr std::uint8_t fingerprint_of(std::uint64_t hash) noexcept {
        return static_cast<std::uint8_t>((hash << 1) | (home_of(hash) & 1u));
    }
    /// Home of an entry of a regular bucket.
    static constexpr unsigned home_in(unsigned bucket, std::uint8_t fingerprint) noexcept {
        return ((fingerprint ^ bucket) & 1u) == 0 ? bucket : hash::bucket_before(bucket);
    }

    std::size_t directory_at(std::uint64_t hash) const noexcept {
        return static_cast<std::size_t>((hash >> 1) >> (63 - depth_));
    }
    static Leaf leaf(std::uint64_t word) noexcept {
        return {reinterpret_cast<hash::Segment*>(word & ~std::uint64_t{0xfff}),
                static_cast<unsigned>(word & 0xfff)};
    }
    static std::uint64_t word(hash::Segment* segment, unsigned depth) noexcept {
        return reinterpret_cast<std::uintptr_t>(segment) | depth;
    }

    template <typename Equal>
    static Entry find_in(hash::Segment* segment, hash::Bucket& bucket, std::uint8_t fingerprint,
                         std::uint64_t tag, Equal& equal);
    template <typename Equal>
    static Entry find_outside_home(hash::Segment* segment, unsigned home, std::uint8_t fingerprint,
                                   std::uint64_t tag, Equal& equal);
    /// Calls f(bucket, slot number, home) for every entry of `segment`.
    template <typename F>
    static void for_each(hash::Segment& segment, F&& f);

    /// Starts loading what the entries of `bucket` refer to.
    static void prefetch_references(const hash::Bucket& bucket) noexcept {
        for (std::uint32_t left = bucket.occupied(); left != 0; left &= left - 1) {
            const std::uint64_t slot = bucket.slots[static_cast<unsigned>(std::countr_zero(left))];
            __builtin_prefetch(reinterpret_cast<const void*>(slot & reference_mask));
        }
    }

    void discard() noexcept;
    hash::Segment* add_segment() noexcept;
    void remove_segment(hash::Segment* segment) noexcept;
    void remove_chain(hash::ChainBucket* chain) noexcept;
    static bool place(hash::Segment& segment, unsigned home, std::uint8_t fingerprint,
                      std::uint64_t slot) noexcept;
    static bool place_by_moving(hash::Segment& segment, unsigned home, std::uint8_t fingerprint,
                                std::uint64_t slot) noexcept;
    void add_to_chain(hash::Segment& segment, unsigned home, std::uint8_t fingerprint,
                      std::uint64_t slot) noexcept;
    void erase_outside(Entry entry) noexcept;
    static void refresh_overflowed(hash::Segment& segment) noexcept;
    bool may_split(unsigned depth) const noexcept;
    /// Splits the segment of `hash`, whose tags are based on tag_base(depth + 1).
    void split(std::uint64_t hash) noexcept;
    void double_directory() noexcept;
    template <typename HashOf>
    void renew_tags(const Leaf& at, HashOf& hash_of);

    Slab* slab_;
    std::uint64_t* directory_ = nullptr;  ///< null in a moved-from index only
    unsigned depth_ = 0;
    std::size_t size_ = 0;
    std::size_t segments_ = 0;
    std::size_t chain_buckets_ = 0;
    std::size_t drained_ = 0;  ///< directory words whose segments drain() has given back
    Growth growth_;
};

template <typename Equal>
HashIndex::Entry HashIndex::find_in(hash::Segment* segment, hash::Bucket& bucket,
                                    std::uint8_t fingerprint, std::uint64_t tag, Equal& equal) {
    for (std::uint32_t matches = bucket.match(fingerprint); matches != 0; matches &= matches - 1) {
        const auto slot = static_cast<unsigned>(std::countr_zero(matches));
        const std::uint64_t content = bucket.slots[slot];
        if (content >> 48 != tag) continue;
        if (equal(Reference(content & reference_mask))) return {segment, &bucket, slot};
    }
    return {};
}

template <typename Equal>
HashIndex::Entry HashIndex::find(std::uint64_t hash, Equal&& equal) const {
    const Leaf at = leaf(directory_[directory_at(hash)]);
    const unsigned home = home_of(hash);
    const std::uint8_t fingerprint = fingerprint_of(hash);
    const std::uint64_t tag = tag_of(hash, tag_base(at.depth));
    hash::Bucket& bucket = at.segment->buckets[home];
    if (const Entry found = find_in(at.segment, bucket, fingerprint, tag, equal)) return found;
    if ((bucket.state & (hash::Bucket::displaced | hash::Bucket::overflowed)) == 0) return {};
    return find_outside_home(at.segment, home, fingerprint, tag, equal);
}

template <typename Equal>
HashIndex::Entry HashIndex::find_outside_home(hash::Segment* segment, unsigned home,
                                              std::uint8_t fingerprint, std::uint64_t tag,
                                              Equal& equal) {
    const hash::Bucket& bucket = segment->buckets[home];
    if (bucket.has(hash::Bucket::displaced)) {
        hash::Bucket& next = segment->buckets[hash::bucket_after(home)];
        if (const Entry found = find_in(segment, next, fingerprint, tag, equal)) return found;
    }
    if (!bucket.has(hash::Bucket::overflowed)) return {};
    for (unsigned i = hash::regular_buckets; i < hash::buckets_per_segment; ++i) {
        const Entry found = find_in(segment, segment->buckets[i], fingerprint, tag, equal);
        if (found) return found;
    }
    for (hash::ChainBucket* at = segment->chain; at != nullptr; at = at->next)
        if (const Entry found = find_in(segment, at->bucket, fingerprint, tag, equal)) return found;
    return {};
}

template <typename HashOf>
void HashIndex::insert(std::uint64_t hash, Reference reference, HashOf&& hash_of) {
    KV_ASSERT(reference.value() != 0 && reference.value() <= reference_mask);
    const unsigned home = home_of(hash);
    const std::uint8_t fingerprint = fingerprint_of(hash);
    Leaf at = leaf(directory_[directory_at(hash)]);
    std::uint64_t slot = reference.value() | tag_of(hash, tag_base(at.depth)) << 48;
    ++size_;
    if (place(*at.segment, home, fingerprint, slot)) return;
    if (may_split(at.depth)) {
        if (at.depth != 0 && at.depth % 16 == 0) renew_tags(at, hash_of);
        split(hash);
        at = leaf(directory_[directory_at(hash)]);
        slot = reference.value() | tag_of(hash, tag_base(at.depth)) << 48;
        if (place(*at.segment, home, fingerprint, slot)) return;
    }
    add_to_chain(*at.segment, home, fingerprint, slot);
}

template <typename F>
void HashIndex::for_each(hash::Segment& segment, F&& f) {
    for (unsigned i = 0; i < hash::buckets_per_segment; ++i) {
        hash::Bucket& bucket = segment.buckets[i];
        for (std::uint32_t left = bucket.occupied(); left != 0; left &= left - 1) {
            const auto slot = static_cast<unsigned>(std::countr_zero(left));
            const unsigned home = i < hash::regular_buckets
                                      ? home_in(i, bucket.fingerprints[slot])
                                      : segment.stash_homes[i - hash::regular_buckets][slot];
            f(bucket, slot, home);
        }
    }
    for (hash::ChainBucket* at = segment.chain; at != nullptr; at = at->next) {
        for (std::uint32_t left = at->bucket.occupied(); left != 0; left &= left - 1) {
            const auto slot = static_cast<unsigned>(std::countr_zero(left));
            f(at->bucket, slot, unsigned{at->homes[slot]});
        }
    }
}

template <typename HashOf>
void HashIndex::renew_tags(const Leaf& at, HashOf& hash_of) {
    for_each(*at.segment, [&](hash::Bucket& bucket, unsigned slot, unsigned) {
        const std::uint64_t reference = bucket.slots[slot] & reference_mask;
        const std::uint64_t hash = hash_of(Reference(reference));
        bucket.slots[slot] = reference | tag_of(hash, tag_base(at.depth + 1)) << 48;
        ++growth_.hashes_read;
    });
}

template <typename F>
Cursor HashIndex::scan(Cursor cursor, F&& f) const {
    const Leaf at = leaf(directory_[directory_at(cursor.value())]);
    const auto visit = [&](const hash::Bucket& bucket) {
        for (std::uint32_t left = bucket.occupied(); left != 0; left &= left - 1) {
            const auto slot = static_cast<unsigned>(std::countr_zero(left));
            f(Reference(bucket.slots[slot] & reference_mask));
        }
    };
    prefetch_references(at.segment->buckets[0]);
    for (unsigned i = 0; i < hash::buckets_per_segment; ++i) {  // one bucket ahead
        if (i + 1 < hash::buckets_per_segment) prefetch_references(at.segment->buckets[i + 1]);
        visit(at.segment->buckets[i]);
    }
    for (const hash::ChainBucket* chain = at.segment->chain; chain != nullptr; chain = chain->next)
        visit(chain->bucket);
    if (at.depth == 0) return Cursor(0);
    const std::uint64_t width = std::uint64_t{1} << (64 - at.depth);
    return Cursor((cursor.value() & ~(width - 1)) + width);  // the last one wraps to 0
}

template <typename F>
bool HashIndex::drain(std::size_t cost_max, F&& f) {
    std::size_t cost = 0;
    const auto take_all = [&](hash::Bucket& bucket) {
        prefetch_references(bucket);
        while (!bucket.empty() && cost < cost_max) {
            const auto slot = static_cast<unsigned>(std::countr_zero(bucket.occupied()));
            cost += f(Reference(bucket.slots[slot] & reference_mask));
            bucket.remove(slot);
            --size_;
        }
        return bucket.empty();
    };
    while (drained_ < std::size_t{1} << depth_) {
        if (cost >= cost_max) return true;
        const Leaf at = leaf(directory_[drained_]);
        for (hash::Bucket& bucket : at.segment->buckets)
            if (!take_all(bucket)) return true;
        for (hash::ChainBucket* chain = at.segment->chain; chain != nullptr; chain = chain->next)
            if (!take_all(chain->bucket)) return true;
        remove_segment(at.segment);
        cost += drain_segment_cost;
        drained_ += std::size_t{1} << (depth_ - at.depth);
    }
    return false;
}

template <typename HashOf>
bool HashIndex::invariants_hold(HashOf&& hash_of) const {
    std::size_t entries = 0;
    bool hold = true;
    Cursor cursor;
    do {
        const Leaf at = leaf(directory_[directory_at(cursor.value())]);
        std::array<std::uint32_t, hash::regular_buckets> flags{};
        for_each(*at.segment, [&](const hash::Bucket& bucket, unsigned slot, unsigned home) {
            const hash::Bucket* regular = at.segment->buckets.data();
            if (&bucket == regular + hash::bucket_after(home))
                flags[home] |= hash::Bucket::displaced;
            else if (&bucket != regular + home)
                flags[home] |= hash::Bucket::overflowed;
            const Reference reference(bucket.slots[slot] & reference_mask);
            const std::uint64_t hash = hash_of(reference);
            const Entry found = find(hash, [&](Reference other) { return other == reference; });
            hold = hold && home == home_of(hash) && found.bucket_ == &bucket;
            ++entries;
        });
        for (unsigned i = 0; i < hash::regular_buckets; ++i)
            hold = hold && (at.segment->buckets[i].state & ~hash::Bucket::all_slots) == flags[i];
        cursor = scan(cursor, [](Reference) {});
    } while (cursor != Cursor(0));
    return hold && entries == size_;
}

}  // namespace kv
