#pragma once

/// Store: the keys and values of one shard, as applied commands made them. A hash index whose
/// entries refer to one block per key (block.h), both in the slab of the core.
///
/// Deterministic: two stores that applied the same commands hold the same keys, values and
/// revisions, on any machine and with any hash secret. The store never asks for time or randomness.
///
/// Revisions: every command advances the shard's revision by one, also a del of an absent key and a
/// flush; a put stamps its key with it.
///
/// A batch of commands hides most cache misses: prefetch(hash) for all of them, then
/// prefetch_block(hash) for all, then get() and apply().
///
/// References are opaque to the index: values on disk will be another kind of reference, which
/// only this class tells apart (block_of). Until then every get() answers at once.
///
/// Owner core only. Bounds: keys 1..65535 bytes, values up to 8 MiB, 2^48-1 revisions; what clients
/// may send is checked long before, so that exceeding them is a bug here.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/store/block.h"
#include "engine/store/cut.h"
#include "engine/store/hash_index.h"
#include "engine/store/slab.h"
#include "proto/base/checksum.h"
#include "proto/base/ids.h"
#include "proto/command_codec.h"

namespace kv {

class Store {
public:
    struct Found {
        std::string_view value;  ///< lies in the store: until the next apply() or reclaim()
        Revision revision;       ///< of the command that put it
    };
    struct Applied {
        /// put: 1 if it was written, 0 if a condition did not hold; del: keys removed, as does
        /// flush; append: bytes of the value; increment: the new number.
        std::int64_t number = 0;
        Revision revision;  ///< of this command
        /// Nothing was changed: `not_integer`, `overflow`, `value_size`.
        std::optional<Errc> refused;
        /// With flag_return_previous: the value before, if the key was there. Lies in the store:
        /// until the next apply().
        std::optional<std::string_view> previous;
    };

    /// An empty store at revision 0. `slab` outlives it. `hash_secret` is the cluster's: with one
    /// secret, cursors and hash order mean the same on all replicas.
    Store(Slab& slab, std::uint64_t hash_secret) noexcept;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    /// Releases every block: O(n).
    ~Store();

    std::uint64_t hash(std::string_view key) const noexcept {
        return checksum(as_bytes(key), hash_secret_);
    }

    void prefetch(std::uint64_t hash) const noexcept { index_.prefetch(hash); }
    void prefetch_block(std::uint64_t hash) const noexcept { index_.prefetch_entry(hash); }

    /// `hash` is hash(key), here and below.
    std::optional<Found> get(std::string_view key, std::uint64_t hash) const noexcept;

    /// Executes the next command of the shard; `hash` belongs to its key (ignored by a flush). Its
    /// views must not lie in the store. A value that fits the block it replaces is written in
    /// place. Cost: one segment split at most, and never O(n): what a flush removed is freed by
    /// reclaim().
    Applied apply(const Command& command, std::uint64_t hash) noexcept;

    /// Frees what flushes removed: at most `entries_max` > 0 blocks. Counts 64 KiB of a large block
    /// and a 16th of an index segment as one more, so that slices take equally long. True while
    /// work remains.
    bool reclaim(std::size_t entries_max) noexcept;

    /// Calls f(key, value, revision) for the next few hundred keys and returns where to go on; 0 is
    /// the start and the end. Keys present during the whole scan are visited exactly once, unless
    /// the cursor is another replica's: then at least once. f must not change the store.
    template <typename F>
    Cursor scan(Cursor cursor, F&& f) const {
        return index_.scan(cursor, [&](Reference reference) {
            const Block block = block_of(reference);
            f(block.key(), block.value(), block.revision());
        });
    }

    /// Takes over all that `other`, of the same slab, holds. What was here waits for reclaim() as
    /// after a flush; `other` is empty.
    void replace(Store& other) noexcept;
    /// Adds a key as a snapshot holds it (StoreLoader). False: it is there already.
    bool load(std::string_view key, std::string_view value, Revision revision) noexcept;
    /// The revision of what was loaded.
    void set_revision(Revision revision) noexcept { revision_ = revision; }
    /// The cut that is to hear of changes; null: none is being read. For StoreCut.
    void set_cut(StoreCut* cut) noexcept {
        KV_ASSERT(cut == nullptr || cut_ == nullptr, "a store has one cut at a time");
        cut_ = cut;
    }

    /// Number of keys; 0 right after a flush.
    std::size_t size() const noexcept { return index_.size(); }
    /// Revision of the last command applied.
    Revision revision() const noexcept { return revision_; }

    /// Memory held: blocks and indexes, those waiting for reclaim() included. Exact.
    std::size_t bytes() const noexcept;
    /// Of these, what flushes left for reclaim().
    std::size_t flushed_bytes() const noexcept;
    const HashIndex& index() const noexcept { return index_; }

    /// Equal for stores of equal (key, value, revision) sets, in whatever order they came about.
    /// O(n): for tests and for comparing replicas.
    std::uint64_t digest() const noexcept;

private:
    static Block block_of(Reference reference) noexcept {
        return Block(reinterpret_cast<void*>(reference.value()));
    }
    static Reference reference_to(const void* block) noexcept {
        return Reference(reinterpret_cast<std::uintptr_t>(block));
    }
    HashIndex::Entry find(std::string_view key, std::uint64_t hash) const noexcept {
        return index_.find(hash,
                           [&](Reference reference) { return block_of(reference).key() == key; });
    }

    /// Everything that changes or releases the block of a key calls this before.
    void before_change(Block block, std::uint64_t hash) noexcept {
        if (cut_ != nullptr) [[unlikely]]
            cut_->before_change(block, hash);
    }
    Applied put(const Command& command, std::uint64_t hash) noexcept;
    Applied del(const Command& command, std::uint64_t hash) noexcept;
    Applied append(const Command& command, std::uint64_t hash) noexcept;
    Applied increment(const Command& command, std::uint64_t hash) noexcept;
    std::int64_t flush() noexcept;
    /// Everything but an unconditional put or del that returns nothing.
    bool look_before(const Command& command, HashIndex::Entry entry, Applied& out) noexcept;
    void set(HashIndex::Entry entry, std::string_view key, std::string_view value,
             std::uint64_t hash) noexcept;
    void remove(HashIndex::Entry entry, std::uint64_t hash) noexcept;
    void insert(std::uint64_t hash, Reference reference) noexcept {
        index_.insert(hash, reference,
                      [this](Reference other) { return this->hash(block_of(other).key()); });
    }
    bool overwrite(Block block, std::string_view key, std::string_view value) noexcept;
    Reference add_block(std::string_view key, std::string_view value, Revision revision) noexcept;
    std::size_t release(Reference reference) noexcept;

    Slab* slab_;
    std::uint64_t hash_secret_;
    Revision revision_;
    StoreCut* cut_ = nullptr;
    std::size_t block_bytes_ = 0;          ///< of live and of flushed blocks
    std::size_t flushed_block_bytes_ = 0;  ///< of flushed blocks alone
    HashIndex index_;
    std::string previous_;            ///< what the last command returned, or built
    std::vector<HashIndex> flushed_;  ///< emptied by reclaim(), the last one first
};

}  // namespace kv
