#include "engine/store/hash_index.h"

#include <cstring>
#include <new>

namespace kv {

using hash::Bucket;
using hash::ChainBucket;
using hash::Segment;

HashIndex::HashIndex(Slab& slab) noexcept : slab_(&slab) {
    directory_ = static_cast<std::uint64_t*>(slab_->allocate(directory_bytes(0)));
    directory_[0] = word(add_segment(), 0);
}

HashIndex::HashIndex(HashIndex&& other) noexcept
    : slab_(other.slab_),
      directory_(std::exchange(other.directory_, nullptr)),
      depth_(std::exchange(other.depth_, 0u)),
      size_(std::exchange(other.size_, 0u)),
      segments_(std::exchange(other.segments_, 0u)),
      chain_buckets_(std::exchange(other.chain_buckets_, 0u)),
      drained_(std::exchange(other.drained_, 0u)),
      growth_(std::exchange(other.growth_, Growth{})) {}

HashIndex& HashIndex::operator=(HashIndex&& other) noexcept {
    if (this == &other) return *this;
    discard();
    return *new (this) HashIndex(std::move(other));  // discard() left nothing to destroy
}

void HashIndex::discard() noexcept {
    if (directory_ == nullptr) return;
    while (drained_ < std::size_t{1} << depth_) {
        const Leaf at = leaf(directory_[drained_]);
        remove_segment(at.segment);
        drained_ += std::size_t{1} << (depth_ - at.depth);
    }
    KV_ASSERT(segments_ == 0 && chain_buckets_ == 0);
    slab_->release(directory_, directory_bytes(depth_));
    directory_ = nullptr;
}

void HashIndex::clear() noexcept {
    *this = HashIndex(*slab_);
}

void HashIndex::prefetch(std::uint64_t hash) const noexcept {
    const Bucket& bucket = leaf(directory_[directory_at(hash)]).segment->buckets[home_of(hash)];
    __builtin_prefetch(&bucket);
    __builtin_prefetch(&bucket.slots[6]);  // the second line
}

void HashIndex::prefetch_entry(std::uint64_t hash) const noexcept {
    const Leaf at = leaf(directory_[directory_at(hash)]);
    const Bucket* bucket = &at.segment->buckets[home_of(hash)];
    std::uint32_t matches = bucket->match(fingerprint_of(hash));
    if (matches == 0 && bucket->has(Bucket::displaced)) {
        bucket = &at.segment->buckets[hash::bucket_after(home_of(hash))];
        matches = bucket->match(fingerprint_of(hash));
    }
    if (matches == 0) return;
    const std::uint64_t slot = bucket->slots[static_cast<unsigned>(std::countr_zero(matches))];
    const auto* const block = reinterpret_cast<const char*>(slot & reference_mask);
    __builtin_prefetch(block);
    __builtin_prefetch(block + 64);  // most blocks lie on two lines
}

void HashIndex::replace(Entry entry, Reference reference) noexcept {
    KV_ASSERT(reference.value() != 0 && reference.value() <= reference_mask);
    std::uint64_t& slot = entry.bucket_->slots[entry.slot_];
    slot = (slot & ~reference_mask) | reference.value();
}

void HashIndex::erase(Entry entry) noexcept {
    Bucket& bucket = *entry.bucket_;
    bucket.remove(entry.slot_);
    --size_;
    const auto offset = static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(&bucket) -
                                                 reinterpret_cast<std::uintptr_t>(entry.segment_));
    const std::size_t position = offset / sizeof(Bucket);  // the front is as long as a bucket
    if (position == 0 || position > hash::regular_buckets) return erase_outside(entry);
    const auto number = static_cast<unsigned>(position - 1);
    if (home_in(number, bucket.fingerprints[entry.slot_]) == number) return;
    const unsigned home = hash::bucket_before(number);
    if (bucket.of_parity(home & 1u) == 0) entry.segment_->buckets[home].clear(Bucket::displaced);
}

/// The rest of erase() for an entry of the stash or the chain.
void HashIndex::erase_outside(Entry entry) noexcept {
    Segment& segment = *entry.segment_;
    for (ChainBucket** link = &segment.chain; *link != nullptr; link = &(*link)->next) {
        ChainBucket* at = *link;
        if (&at->bucket != entry.bucket_) continue;
        if (!at->bucket.empty()) break;
        *link = at->next;
        slab_->release(at, sizeof *at);
        --chain_buckets_;
        break;
    }
    refresh_overflowed(segment);
}

/// Says of every bucket of `segment` exactly whether entries of it lie in the stash or the chain.
void HashIndex::refresh_overflowed(Segment& segment) noexcept {
    for (unsigned i = 0; i < hash::regular_buckets; ++i)
        segment.buckets[i].clear(Bucket::overflowed);
    const auto mark = [&](const Bucket& bucket, const hash::Homes& homes) {
        for (std::uint32_t left = bucket.occupied(); left != 0; left &= left - 1)
            segment.buckets[homes[static_cast<unsigned>(std::countr_zero(left))]].set(
                Bucket::overflowed);
    };
    for (unsigned i = 0; i < hash::stash_buckets; ++i)
        mark(segment.buckets[hash::regular_buckets + i], segment.stash_homes[i]);
    for (const ChainBucket* at = segment.chain; at != nullptr; at = at->next)
        mark(at->bucket, at->homes);
}

Segment* HashIndex::add_segment() noexcept {
    ++segments_;
    return new (slab_->allocate(sizeof(Segment))) Segment{};
}

void HashIndex::remove_segment(Segment* segment) noexcept {
    remove_chain(segment->chain);
    slab_->release(segment, sizeof *segment);
    --segments_;
}

void HashIndex::remove_chain(ChainBucket* chain) noexcept {
    while (chain != nullptr) {
        ChainBucket* next = chain->next;
        slab_->release(chain, sizeof *chain);
        --chain_buckets_;
        chain = next;
    }
}

/// Puts an entry where find() looks for it; false when the segment has no room that could be had
/// by moving at most one other entry by one bucket.
bool HashIndex::place(Segment& segment, unsigned home, std::uint8_t fingerprint,
                      std::uint64_t slot) noexcept {
    Bucket& bucket = segment.buckets[home];
    if (!bucket.full()) {
        bucket.add(fingerprint, slot);
        return true;
    }
    Bucket& next = segment.buckets[hash::bucket_after(home)];
    if (!next.full()) {
        next.add(fingerprint, slot);
        bucket.set(Bucket::displaced);
        return true;
    }
    if (place_by_moving(segment, home, fingerprint, slot)) return true;
    for (unsigned i = 0; i < hash::stash_buckets; ++i) {
        Bucket& stash = segment.buckets[hash::regular_buckets + i];
        if (stash.full()) continue;
        const unsigned number = stash.add(fingerprint, slot);
        segment.stash_homes[i][number] = static_cast<std::uint8_t>(home);
        bucket.set(Bucket::overflowed);
        return true;
    }
    return false;
}

/// Home and the next bucket are full: either an entry goes from home back to the bucket before,
/// where it belongs, or one that belongs into the next bucket goes to the one after it.
bool HashIndex::place_by_moving(Segment& segment, unsigned home, std::uint8_t fingerprint,
                                std::uint64_t slot) noexcept {
    const auto move = [](Bucket& from, std::uint32_t candidates, Bucket& to) {
        const auto number = static_cast<unsigned>(std::countr_zero(candidates));
        to.add(from.fingerprints[number], from.slots[number]);
        from.remove(number);
    };
    Bucket& bucket = segment.buckets[home];
    Bucket& before = segment.buckets[hash::bucket_before(home)];
    const std::uint32_t guests = bucket.of_parity(~home & 1u);
    if (guests != 0 && !before.full()) {
        move(bucket, guests, before);
        if ((guests & (guests - 1)) == 0) before.clear(Bucket::displaced);
        bucket.add(fingerprint, slot);
        return true;
    }
    const unsigned next_number = hash::bucket_after(home);
    Bucket& next = segment.buckets[next_number];
    Bucket& after = segment.buckets[hash::bucket_after(next_number)];
    const std::uint32_t natives = next.of_parity(next_number & 1u);
    if (natives == 0 || after.full()) return false;
    move(next, natives, after);
    next.set(Bucket::displaced);
    next.add(fingerprint, slot);
    bucket.set(Bucket::displaced);
    return true;
}

void HashIndex::add_to_chain(Segment& segment, unsigned home, std::uint8_t fingerprint,
                             std::uint64_t slot) noexcept {
    if (segment.chain == nullptr || segment.chain->bucket.full()) {
        auto* added = new (slab_->allocate(sizeof(ChainBucket))) ChainBucket{};
        added->next = segment.chain;
        segment.chain = added;
        ++chain_buckets_;
    }
    const unsigned number = segment.chain->bucket.add(fingerprint, slot);
    segment.chain->homes[number] = static_cast<std::uint8_t>(home);
    segment.buckets[home].set(Bucket::overflowed);
}

bool HashIndex::may_split(unsigned depth) const noexcept {
    if (depth < depth_) return true;
    return std::size_t{2} << depth_ <= directory_words_per_segment_max * segments_;
}

void HashIndex::double_directory() noexcept {
    const std::size_t words = std::size_t{1} << depth_;
    auto* doubled = static_cast<std::uint64_t*>(slab_->allocate(directory_bytes(depth_ + 1)));
    for (std::size_t i = 0; i < words; ++i) doubled[2 * i] = doubled[2 * i + 1] = directory_[i];
    slab_->release(directory_, directory_bytes(depth_));
    directory_ = doubled;
    ++depth_;
    ++growth_.doublings;
}

void HashIndex::split(std::uint64_t hash) noexcept {
    const Leaf parent = leaf(directory_[directory_at(hash)]);
    if (parent.depth == depth_) double_directory();
    Segment copy = *parent.segment;  // both halves are placed anew, so that nothing stays displaced
    Segment* low = parent.segment;
    *low = Segment{};
    Segment* high = add_segment();

    const std::uint64_t tag_bit = std::uint64_t{1} << (63 - parent.depth % 16);
    for_each(copy, [&](const Bucket& bucket, unsigned number, unsigned home) {
        const std::uint64_t slot = bucket.slots[number];
        Segment& half = (slot & tag_bit) != 0 ? *high : *low;
        const std::uint8_t fingerprint = bucket.fingerprints[number];
        if (!place(half, home, fingerprint, slot)) add_to_chain(half, home, fingerprint, slot);
        ++growth_.entries_moved;
    });
    remove_chain(copy.chain);
    ++growth_.splits;

    const unsigned depth = parent.depth + 1;
    const std::size_t half_words = std::size_t{1} << (depth_ - depth);
    const std::size_t first = directory_at(hash) & ~(2 * half_words - 1);
    for (std::size_t i = 0; i < half_words; ++i) {
        directory_[first + i] = word(low, depth);
        directory_[first + half_words + i] = word(high, depth);
    }
}

}  // namespace kv
