#pragma once

/// StoreCut: the content of a store at one moment, read out in pieces while commands go on being
/// applied. Nothing is copied but what changes before it was read.
///
/// Each block carries the revision of its last change, so the revision of the shard is the moment:
/// a block with a higher one was changed since. The cut is read in order of (hash, key). A command
/// that is about to change a block which was not read yet, and which is of the moment of the cut,
/// has the entry saved first; reading merges what is saved with what the index still holds. So the
/// memory is that of superseded entries alone, and bounded: beyond saved_bytes_max the cut is
/// broken, as it is by a flush, and must be made again. While no cut is read, a command pays one
/// branch for all this.
///
/// What is read is a stream of entries, cut anywhere. Little-endian, unaligned; in ascending order
/// of the hash of the key:
///
///     0  u64  revision     of the key's last change, 1..2^48-1
///     8  u32  value_bytes  0..8 MiB
///    12  u16  key_bytes    1..65535
///    14  u8   kind         1: a string; an unknown kind stops the replica
///    15  u8   flags        0; an unknown flag stops the replica
///    16  key, then value
///
/// Owner core only. At most one cut of a store at a time; it goes before its store does.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/store/block.h"
#include "proto/base/result.h"

namespace kv {

class Store;

inline constexpr std::size_t cut_entry_header_bytes = 16;
inline constexpr std::uint8_t cut_kind_string = 1;

class StoreCut {
public:
    static constexpr std::size_t saved_bytes_default = std::size_t{64} << 20;
    /// Entries that one read() looks at before it returns: half a millisecond where each is a cache
    /// miss. It may pass this by those of one index segment.
    static constexpr std::size_t entries_per_read_max = 4096;

    /// `store` as it is now.
    explicit StoreCut(Store& store, std::size_t saved_bytes_max = saved_bytes_default);
    StoreCut(const StoreCut&) = delete;
    StoreCut& operator=(const StoreCut&) = delete;
    ~StoreCut();

    Revision revision() const noexcept { return revision_; }
    /// Keys that all reads together return.
    std::uint64_t keys() const noexcept { return keys_; }

    /// Fills `to` with the next bytes of the stream; how many. Fewer than there is room for, even
    /// none, when that would take too long, at the end, and when the cut is broken.
    std::size_t read(MutableBytes to);
    /// All was read.
    bool ended() const noexcept { return ended_; }
    /// Too much has changed since: the cut cannot be read to its end.
    bool broken() const noexcept { return broken_; }
    /// Memory of saved entries.
    std::size_t saved_bytes() const noexcept { return saved_bytes_; }
    std::size_t saved_bytes_max() const noexcept { return saved_bytes_max_; }

    // For the store.
    /// `block` of a key with this hash is about to be changed or released.
    void before_change(Block block, std::uint64_t hash);
    /// The store loses all its keys.
    void before_flush() noexcept { give_up(); }

private:
    struct Place {
        std::uint64_t hash;
        std::string key;
        bool operator<(const Place& other) const noexcept {
            return hash != other.hash ? hash < other.hash : key < other.key;
        }
    };
    struct Saved {
        Revision revision;
        std::string value;
    };
    /// An entry that is to be read now; views into the store or into saved_.
    struct Item {
        std::uint64_t hash;
        std::string_view key;
        std::string_view value;
        Revision revision;
    };

    std::uint64_t collect(std::size_t& cost);
    std::size_t read_items(MutableBytes to);
    void passed(std::uint64_t hash) noexcept;
    void give_up() noexcept;

    Store& store_;
    const std::size_t saved_bytes_max_;
    const Revision revision_;
    const std::uint64_t keys_;
    std::uint64_t next_ = 0;  ///< everything with a lower hash was read
    /// Of the entries with hash next_, so many bytes were read.
    std::size_t partly_read_ = 0;
    bool ended_ = false;
    bool broken_ = false;
    std::map<Place, Saved> saved_;  ///< none below next_
    std::size_t saved_bytes_ = 0;
    std::vector<Item> items_;  ///< of one index segment; meaningless between reads
};

/// Puts what a StoreCut returned into a store. Takes the stream in pieces of any size; checks
/// everything: the bytes are a file's.
class StoreLoader {
public:
    /// `store` is empty and is not used by anybody else until finish().
    StoreLoader(Store& store, Revision revision) noexcept : store_(store), revision_(revision) {}

    /// Errors: `corrupt`; `unsupported`, an entry of a kind that this version does not know.
    Status feed(Bytes bytes);
    /// The stream has ended; it had `keys` keys. The store is at the revision of the cut. Error:
    /// `corrupt`.
    Status finish(std::uint64_t keys);

private:
    Result<std::size_t> entry_bytes(Bytes header) const;
    Status load(Bytes entry);

    Store& store_;
    const Revision revision_;
    std::string partial_;  ///< the front of an entry; at most as long as the longest
};

}  // namespace kv
