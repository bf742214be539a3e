#include "engine/store/cut.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/store/store.h"
#include "proto/base/mutant.h"

namespace kv {

namespace {

/// What a saved entry takes beyond its key and value.
constexpr std::size_t saved_overhead_bytes = 160;
/// What looking at an index segment counts beyond its entries.
constexpr std::size_t segment_cost = 32;

std::array<std::byte, cut_entry_header_bytes> entry_header(std::string_view key,
                                                           std::string_view value,
                                                           Revision revision) noexcept {
    std::array<std::byte, cut_entry_header_bytes> header;
    store_le<std::uint64_t>(header.data(), revision.value());
    store_le<std::uint32_t>(header.data() + 8, static_cast<std::uint32_t>(value.size()));
    store_le<std::uint16_t>(header.data() + 12, static_cast<std::uint16_t>(key.size()));
    store_le<std::uint8_t>(header.data() + 14, cut_kind_string);
    store_le<std::uint8_t>(header.data() + 15, 0);
    return header;
}

/// Copies a stream that was copied up to some byte before, until there is no room.
class Copier {
public:
    Copier(MutableBytes to, std::size_t skip) noexcept : to_(to), skip_(skip) {}

    void add(Bytes piece) noexcept {
        const std::size_t skipped = std::min(skip_, piece.size());
        skip_ -= skipped;
        piece = piece.subspan(skipped);
        const std::size_t taken = std::min(piece.size(), to_.size() - copied_);
        copy_exact(to_.subspan(copied_), piece.first(taken));
        copied_ += taken;
        whole_ = whole_ && taken == piece.size();
    }
    std::size_t copied() const noexcept { return copied_; }
    /// Nothing was left out for want of room.
    bool whole() const noexcept { return whole_; }

private:
    MutableBytes to_;
    std::size_t skip_;
    std::size_t copied_ = 0;
    bool whole_ = true;
};

}  // namespace

StoreCut::StoreCut(Store& store, std::size_t saved_bytes_max)
    : store_(store),
      saved_bytes_max_(saved_bytes_max),
      revision_(store.revision()),
      keys_(store.size()) {
    store_.set_cut(this);
}

StoreCut::~StoreCut() {
    store_.set_cut(nullptr);
}

void StoreCut::give_up() noexcept {
    if (ended_) return;
    broken_ = true;
    saved_.clear();
    saved_bytes_ = 0;
}

void StoreCut::before_change(Block block, std::uint64_t hash) {
    if (ended_ || broken_ || hash < next_ || block.revision() > revision_) return;
    if (mutant(Mutant::m51_newer_state)) return;
    const std::size_t bytes = block.bytes() + saved_overhead_bytes;
    if (saved_bytes_ + bytes > saved_bytes_max_) {
        give_up();
        return;
    }
    saved_bytes_ += bytes;
    const bool added = saved_
                           .try_emplace(Place{hash, std::string(block.key())},
                                        Saved{block.revision(), std::string(block.value())})
                           .second;
    KV_ASSERT(added, "a block of the cut was changed twice");
}

/// Everything with this hash was read: moves on behind it.
void StoreCut::passed(std::uint64_t hash) noexcept {
    while (!saved_.empty() && saved_.begin()->first.hash <= hash) {
        const auto& [place, saved] = *saved_.begin();
        saved_bytes_ -= block_bytes(place.key.size(), saved.value.size()) + saved_overhead_bytes;
        saved_.erase(saved_.begin());
    }
    partly_read_ = 0;
    next_ = hash + 1;
    ended_ = next_ == 0;
}

/// Fills items_ with what is left of the index segment at next_, in order. Returns the last hash
/// that belongs to the segment.
std::uint64_t StoreCut::collect(std::size_t& cost) {
    items_.clear();
    cost += segment_cost;
    const Cursor behind = store_.scan(
        Cursor(next_), [&](std::string_view key, std::string_view value, Revision revision) {
            ++cost;
            if (revision > revision_) return;
            const std::uint64_t hash = store_.hash(key);
            if (hash >= next_) items_.push_back({hash, key, value, revision});
        });
    const std::uint64_t last = behind.value() - 1;  // all ones at the end
    for (auto it = saved_.begin(); it != saved_.end() && it->first.hash <= last; ++it) {
        items_.push_back({it->first.hash, it->first.key, it->second.value, it->second.revision});
    }
    std::sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) {
        return a.hash != b.hash ? a.hash < b.hash : a.key < b.key;
    });
    return last;
}

/// Entries of one hash are read as one: where it stops in them is a number of bytes, which holds
/// also when some of them are saved before it goes on.
std::size_t StoreCut::read_items(MutableBytes to) {
    std::size_t done = 0;
    for (std::size_t i = 0; i < items_.size();) {
        const std::uint64_t hash = items_[i].hash;
        Copier copier(to.subspan(done), partly_read_);
        for (; i < items_.size() && items_[i].hash == hash; ++i) {
            const Item& item = items_[i];
            const auto header = entry_header(item.key, item.value, item.revision);
            copier.add(header);
            copier.add(as_bytes(item.key));
            copier.add(as_bytes(item.value));
        }
        done += copier.copied();
        if (!copier.whole()) {
            partly_read_ += copier.copied();
            // Those of a lower hash are done with, this one is not.
            if (hash != next_) {
                const std::size_t partly_read = copier.copied();
                passed(hash - 1);
                partly_read_ = partly_read;
            }
            return done;
        }
        passed(hash);
    }
    return done;
}

std::size_t StoreCut::read(MutableBytes to) {
    std::size_t done = 0;
    std::size_t cost = 0;
    while (done < to.size() && cost < entries_per_read_max && !ended_ && !broken_) {
        const std::uint64_t last = collect(cost);
        done += read_items(to.subspan(done));
        if (done == to.size()) break;
        if (!ended_) passed(last);
    }
    items_.clear();
    return done;
}

// --- loading -------------------------------------------------------------------------------------

/// The length of the entry whose header stands at the front of `header`.
Result<std::size_t> StoreLoader::entry_bytes(Bytes header) const {
    const auto revision = load_le<std::uint64_t>(header.data());
    const std::size_t value_bytes = load_le<std::uint32_t>(header.data() + 8);
    const std::size_t key_bytes = load_le<std::uint16_t>(header.data() + 12);
    const auto kind = load_le<std::uint8_t>(header.data() + 14);
    const auto flags = load_le<std::uint8_t>(header.data() + 15);
    if (kind != cut_kind_string || flags != 0) {
        return fail(Errc::unsupported,
                    fmt::format("an entry of kind {}, flags {:#x}", kind, flags));
    }
    if (revision == 0 || revision > std::min(revision_.value(), revision_loadable_max) ||
        key_bytes == 0 || value_bytes > block_value_bytes_max) {
        return fail(Errc::corrupt, fmt::format("an entry of revision {}, with {} bytes of key and "
                                               "{} of value",
                                               revision, key_bytes, value_bytes));
    }
    return cut_entry_header_bytes + key_bytes + value_bytes;
}

Status StoreLoader::load(Bytes entry) {
    const Revision revision(load_le<std::uint64_t>(entry.data()));
    const std::size_t key_bytes = load_le<std::uint16_t>(entry.data() + 12);
    const std::string_view content = as_text(entry.subspan(cut_entry_header_bytes));
    const std::string_view key = content.substr(0, key_bytes);
    if (!store_.load(key, content.substr(key_bytes), revision)) {
        return fail(Errc::corrupt, "a key is there twice");
    }
    return {};
}

Status StoreLoader::feed(Bytes bytes) {
    while (!bytes.empty()) {
        if (partial_.empty() && bytes.size() >= cut_entry_header_bytes) {
            KV_TRY(const std::size_t whole, entry_bytes(bytes));
            if (whole <= bytes.size()) {
                KV_CHECK(load(bytes.first(whole)));
                bytes = bytes.subspan(whole);
                continue;
            }
        }
        // Grows by what was received only, whatever the header says.
        std::size_t wanted = cut_entry_header_bytes;
        if (partial_.size() >= cut_entry_header_bytes) {
            KV_TRY(wanted, entry_bytes(as_bytes(partial_)));
        }
        const std::size_t taken = std::min(wanted - partial_.size(), bytes.size());
        partial_.append(as_text(bytes.first(taken)));
        bytes = bytes.subspan(taken);
        if (partial_.size() <= cut_entry_header_bytes) continue;
        KV_TRY(const std::size_t whole, entry_bytes(as_bytes(partial_)));
        if (partial_.size() < whole) continue;
        KV_CHECK(load(as_bytes(partial_)));
        partial_.clear();
    }
    return {};
}

Status StoreLoader::finish(std::uint64_t keys) {
    if (revision_.value() > revision_loadable_max) {
        return fail(Errc::corrupt,
                    fmt::format("revision {}, which no store gets to", revision_.value()));
    }
    if (!partial_.empty()) return fail(Errc::corrupt, "the last entry is cut short");
    if (store_.size() != keys) {
        return fail(Errc::corrupt,
                    fmt::format("{} keys where {} were written", store_.size(), keys));
    }
    store_.set_revision(revision_);
    return {};
}

}  // namespace kv
