#pragma once

/// The block of a key: everything the store keeps about it, in one piece of the core's slab.
/// Little-endian, aligned to 8:
///
///     0  u64  bits 0..47   revision of the key's last change, 1..2^48-1
///             bits 48..63  key_bytes, 1..65535
///     8  u32  bits 0..23   value_bytes, 0..8 MiB
///             bits 24..31  flags; all 0 so far (an expiry behind the key will be the first)
///    12  key, then value
///
/// 12 bytes of header: with 16-byte keys and 100-byte values a block is exactly the class of 128.
/// 2^48 revisions last nine years at a million changes a second on one shard.
///
/// A block lives in memory and is never written anywhere as it is.

#include <cstdint>
#include <cstring>
#include <string_view>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"

namespace kv {

inline constexpr std::size_t block_header_bytes = 12;
inline constexpr std::size_t block_key_bytes_max = 65535;
inline constexpr std::size_t block_value_bytes_max = std::size_t{8} << 20;
inline constexpr std::uint64_t block_revision_max = (std::uint64_t{1} << 48) - 1;
/// Of what is loaded. More was never written: the rest is for what is written from then on.
inline constexpr std::uint64_t revision_loadable_max = block_revision_max / 2;

/// The length of the block of such a key and value.
constexpr std::size_t block_bytes(std::size_t key_bytes, std::size_t value_bytes) noexcept {
    return block_header_bytes + key_bytes + value_bytes;
}

/// A block seen where it lies; a pointer, owning nothing. Owner core only.
class Block {
public:
    explicit Block(void* at) noexcept : at_(static_cast<char*>(at)) {}

    /// Fills the block_bytes(...) bytes at `at`. Neither view may lie in them.
    static void write(void* at, std::string_view key, std::string_view value,
                      Revision revision) noexcept {
        KV_ASSERT(!key.empty() && key.size() <= block_key_bytes_max, "{}", key.size());
        std::memcpy(static_cast<char*>(at) + block_header_bytes, key.data(), key.size());
        Block(at).write_value(key.size(), value, revision);
    }

    /// Gives the block, which holds a key of `key_bytes`, another value, for which it has room.
    void write_value(std::size_t key_bytes, std::string_view value, Revision revision) noexcept {
        KV_ASSERT(value.size() <= block_value_bytes_max, "{}", value.size());
        KV_ASSERT(revision.value() <= block_revision_max);
        store_le<std::uint64_t>(at_, revision.value() | std::uint64_t{key_bytes} << 48);
        store_le<std::uint32_t>(at_ + 8, static_cast<std::uint32_t>(value.size()));
        if (!value.empty())
            std::memcpy(at_ + block_header_bytes + key_bytes, value.data(), value.size());
    }

    void* at() const noexcept { return at_; }
    Revision revision() const noexcept {
        return Revision(load_le<std::uint64_t>(at_) & block_revision_max);
    }
    std::size_t key_bytes() const noexcept { return load_le<std::uint16_t>(at_ + 6); }
    std::size_t value_bytes() const noexcept { return load_le<std::uint32_t>(at_ + 8) & 0xffffff; }
    std::size_t bytes() const noexcept { return block_bytes(key_bytes(), value_bytes()); }

    std::string_view key() const noexcept { return {at_ + block_header_bytes, key_bytes()}; }
    std::string_view value() const noexcept {
        return {at_ + block_header_bytes + key_bytes(), value_bytes()};
    }

private:
    char* at_;
};

}  // namespace kv
