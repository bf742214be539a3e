#include "engine/store/store.h"

#include <limits>
#include <utility>

#include "proto/base/integer.h"

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
        case CommandKind::put: return put(command, hash);
        case CommandKind::del: return del(command, hash);
        case CommandKind::flush: return {flush(), revision_, {}, {}};
        case CommandKind::append: return append(command, hash);
        case CommandKind::increment: return increment(command, hash);
    }
    KV_UNREACHABLE("command kind {}", static_cast<unsigned>(command.kind));
}

Store::Applied Store::put(const Command& command, std::uint64_t hash) noexcept {
    Applied applied{1, revision_, {}, {}};
    const HashIndex::Entry entry = find(command.key, hash);
    if (command.flags != 0 && !look_before(command, entry, applied)) return applied;
    set(entry, command.key, command.value, hash);
    return applied;
}

Store::Applied Store::del(const Command& command, std::uint64_t hash) noexcept {
    Applied applied{1, revision_, {}, {}};
    const HashIndex::Entry entry = find(command.key, hash);
    if (command.flags != 0 && !look_before(command, entry, applied)) return applied;
    applied.number = entry ? 1 : 0;
    if (entry) remove(entry, hash);
    return applied;
}

Store::Applied Store::append(const Command& command, std::uint64_t hash) noexcept {
    const HashIndex::Entry entry = find(command.key, hash);
    previous_.clear();
    if (entry) previous_.assign(block_of(entry.reference()).value());
    const std::size_t bytes = previous_.size() + command.value.size();
    if (bytes > static_cast<std::uint64_t>(command.number)) {
        return {0, revision_, Errc::value_size, {}};
    }
    // Nothing added to a key that is there changes nothing.
    if (!command.value.empty() || !entry) {
        previous_.append(command.value);
        set(entry, command.key, previous_, hash);
    }
    return {static_cast<std::int64_t>(bytes), revision_, {}, {}};
}

Store::Applied Store::increment(const Command& command, std::uint64_t hash) noexcept {
    const HashIndex::Entry entry = find(command.key, hash);
    std::int64_t number = 0;
    if (entry) {
        const auto parsed = parse_integer(block_of(entry.reference()).value());
        if (!parsed) return {0, revision_, Errc::not_integer, {}};
        number = *parsed;
    }
    if (__builtin_add_overflow(number, command.number, &number)) {
        return {0, revision_, Errc::overflow, {}};
    }
    char text[integer_text_bytes_max];
    set(entry, command.key, write_integer(number, text), hash);
    return {number, revision_, {}, {}};
}

/// Evaluates the conditions of `command` against what `entry` refers to, and keeps the value for
/// the answer. False: a condition does not hold.
bool Store::look_before(const Command& command, HashIndex::Entry entry, Applied& out) noexcept {
    const auto asks = [&](CommandFlag flag) { return (command.flags & flag) != 0; };
    const auto found = [&] { return block_of(entry.reference()); };
    if (asks(flag_return_previous) && entry) {
        previous_.assign(found().value());
        out.previous = previous_;
    }
    const std::uint64_t revision = entry ? found().revision().value() : 0;
    const bool holds = !(asks(flag_if_absent) && entry) && !(asks(flag_if_present) && !entry) &&
                       !(asks(flag_if_revision) && revision != command.if_revision) &&
                       !(asks(flag_if_equal) && (!entry || found().value() != command.if_equal));
    if (!holds) out.number = 0;
    return holds;
}

/// Gives `key`, which `entry` is if it is anything, a value and the revision of now.
void Store::set(HashIndex::Entry entry, std::string_view key, std::string_view value,
                std::uint64_t hash) noexcept {
    if (!entry) return insert(hash, add_block(key, value, revision_));
    const Reference old = entry.reference();
    before_change(block_of(old), hash);
    if (overwrite(block_of(old), key, value)) return;
    index_.replace(entry, add_block(key, value, revision_));
    release(old);
}

void Store::remove(HashIndex::Entry entry, std::uint64_t hash) noexcept {
    const Reference old = entry.reference();
    before_change(block_of(old), hash);
    index_.erase(entry);
    release(old);
}

std::int64_t Store::flush() noexcept {
    const std::size_t count = index_.size();
    if (count == 0 && index_.segments() == 1) return 0;  // else it gives memory back
    if (cut_ != nullptr) cut_->before_flush();
    flushed_.push_back(std::exchange(index_, HashIndex(*slab_)));
    flushed_block_bytes_ = block_bytes_;
    return static_cast<std::int64_t>(count);
}

void Store::replace(Store& other) noexcept {
    KV_ASSERT(slab_ == other.slab_ && hash_secret_ == other.hash_secret_);
    KV_ASSERT(other.flushed_.empty() && other.cut_ == nullptr);
    flush();
    index_ = std::exchange(other.index_, HashIndex(*slab_));
    block_bytes_ += std::exchange(other.block_bytes_, 0);
    revision_ = other.revision_;
}

bool Store::load(std::string_view key, std::string_view value, Revision revision) noexcept {
    const std::uint64_t hash = this->hash(key);
    if (find(key, hash)) return false;
    insert(hash, add_block(key, value, revision));
    return true;
}

bool Store::reclaim(std::size_t entries_max) noexcept {
    KV_ASSERT(entries_max > 0);
    if (flushed_.empty()) return false;
    const bool left = flushed_.back().drain(entries_max, [this](Reference reference) {
        const std::size_t bytes = release(reference);
        flushed_block_bytes_ -= bytes;
        return 1 + bytes / reclaim_unit_bytes;
    });
    if (!left) flushed_.pop_back();
    return !flushed_.empty();
}

std::size_t Store::bytes() const noexcept {
    return block_bytes_ - flushed_block_bytes_ + index_.bytes() + flushed_bytes();
}

std::size_t Store::flushed_bytes() const noexcept {
    std::size_t bytes = flushed_block_bytes_;
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

/// Writes the value over the block of its key, if it fits as if it were made for it.
bool Store::overwrite(Block block, std::string_view key, std::string_view value) noexcept {
    const std::size_t bytes_old = block.bytes();
    const std::size_t bytes_new = block_bytes(key.size(), value.size());
    if (!slab_->resize(block.at(), bytes_old, bytes_new)) return false;
    block.write_value(key.size(), value, revision_);
    block_bytes_ = block_bytes_ - bytes_old + bytes_new;
    return true;
}

Reference Store::add_block(std::string_view key, std::string_view value,
                           Revision revision) noexcept {
    const std::size_t bytes = block_bytes(key.size(), value.size());
    void* at = slab_->allocate(bytes);
    Block::write(at, key, value, revision);
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
