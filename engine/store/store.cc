#include "engine/store/store.h"

#include <limits>
#include <utility>

namespace kv {

namespace {

/// A block costs reclaim() one entry, and one more for each of these.
constexpr std::size_t reclaim_unit_bytes = std::size_t{64} << 10;

}  // namespace

Store::Store(Slab& slab, std::uint64_t hash_secret) noexcept
    : slab_(&slab), hash_secret_(hash_secret), index_(slab) {}

Store::~Store() {
    flush();
    while (reclaim(std::numeric_limits<std::size_t>::max())) continue;
    KV_ASSERT(block_bytes_ == 0, "{} bytes of blocks are lost", block_bytes_);
}

std::optional<Store::Found> Store::get(std::string_view key, std::uint64_t hash) const noexcept {
    const HashIndex::Entry entry = find(key, hash);
    if (!entry) return std::nullopt;
    const Block block = block_of(entry.reference());
    return Found{block.value(), block.revision()};
}

Store::Applied Store::apply(const Command& command, std::uint64_t hash) noexcept {
    KV_DCHECK(command.kind == CommandKind::flush || hash == this->hash(command.key));
    revision_ = revision_.next();
    switch (command.kind) {
        case CommandKind::put: return {put(command, hash), revision_};
        case CommandKind::del: return {del(command, hash), revision_};
        case CommandKind::flush: return {flush(), revision_};
    }
    KV_UNREACHABLE("command kind {}", static_cast<unsigned>(command.kind));
}

std::uint64_t Store::put(const Command& command, std::uint64_t hash) noexcept {
    const HashIndex::Entry entry = find(command.key, hash);
    if (!entry) {
        index_.insert(hash, add_block(command), [this](Reference reference) {
            return this->hash(block_of(reference).key());
        });
        return 1;
    }
    const Reference old = entry.reference();
    if (overwrite(block_of(old), command)) return 1;
    index_.replace(entry, add_block(command));
    release(old);
    return 1;
}

std::uint64_t Store::del(const Command& command, std::uint64_t hash) noexcept {
    const HashIndex::Entry entry = find(command.key, hash);
    if (!entry) return 0;
    const Reference old = entry.reference();
    index_.erase(entry);
    release(old);
    return 1;
}

std::uint64_t Store::flush() noexcept {
    const std::uint64_t count = index_.size();
    if (count == 0 && index_.segments() == 1) return 0;  // else it gives memory back
    flushed_.push_back(std::exchange(index_, HashIndex(*slab_)));
    return count;
}

bool Store::reclaim(std::size_t entries_max) noexcept {
    KV_ASSERT(entries_max > 0);
    if (flushed_.empty()) return false;
    const bool left = flushed_.back().drain(entries_max, [this](Reference reference) {
        return 1 + release(reference) / reclaim_unit_bytes;
    });
    if (!left) flushed_.pop_back();
    return !flushed_.empty();
}

std::size_t Store::bytes() const noexcept {
    std::size_t bytes = block_bytes_ + index_.bytes();
    for (const HashIndex& index : flushed_) bytes += index.bytes();
    return bytes;
}

std::uint64_t Store::digest() const noexcept {
    std::uint64_t sum = 0;
    Cursor cursor;
    do {
        cursor = scan(cursor, [&](std::string_view key, std::string_view value, Revision revision) {
            // Seeded one by the other: no two (key, value) pairs hash the same bytes.
            sum += checksum(as_bytes(value), checksum(as_bytes(key), revision.value()));
        });
    } while (cursor != Cursor(0));
    return mix_seed(sum, size());
}

/// Writes the command's value over the block of its key, if it fits as if it were made for it.
bool Store::overwrite(Block block, const Command& command) noexcept {
    const std::size_t bytes_old = block.bytes();
    const std::size_t bytes_new = block_bytes(command.key.size(), command.value.size());
    if (!slab_->resize(block.at(), bytes_old, bytes_new)) return false;
    block.write_value(command.key.size(), command.value, revision_);
    block_bytes_ = block_bytes_ - bytes_old + bytes_new;
    return true;
}

Reference Store::add_block(const Command& command) noexcept {
    const std::size_t bytes = block_bytes(command.key.size(), command.value.size());
    void* at = slab_->allocate(bytes);
    Block::write(at, command.key, command.value, revision_);
    block_bytes_ += bytes;
    return reference_to(at);
}

/// Returns the bytes released.
std::size_t Store::release(Reference reference) noexcept {
    const Block block = block_of(reference);
    const std::size_t bytes = block.bytes();
    slab_->release(block.at(), bytes);
    block_bytes_ -= bytes;
    return bytes;
}

}  // namespace kv
