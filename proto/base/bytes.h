#pragma once

/// Views of bytes, and the one place where integers become bytes. Disk and peer formats are
/// little-endian; the binary client protocol is big-endian (network order).

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "proto/base/assert.h"

namespace kv {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline Bytes as_bytes(std::string_view text) noexcept {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Empties `text` and gives its memory back, which assigning an empty string does not.
inline void release(std::string& text) noexcept {
    std::string().swap(text);
}

template <std::integral T>
constexpr T byteswap(T value) noexcept {
    if constexpr (sizeof(T) == 1) return value;
    if constexpr (sizeof(T) == 2)
        return static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
    if constexpr (sizeof(T) == 4)
        return static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
    if constexpr (sizeof(T) == 8)
        return static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
}
static_assert(std::endian::native == std::endian::little, "formats are little-endian");

/// Unaligned little-endian load and store of sizeof(T) bytes.
template <std::integral T>
T load_le(const void* from) noexcept {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}
template <std::integral T>
void store_le(void* to, T value) noexcept {
    std::memcpy(to, &value, sizeof value);
}
template <std::integral T>
T load_be(const void* from) noexcept {
    return byteswap(load_le<T>(from));
}
template <std::integral T>
void store_be(void* to, T value) noexcept {
    store_le(to, byteswap(value));
}

/// Copies all of `from` to the front of `to`, which has room.
inline void copy_exact(MutableBytes to, Bytes from) noexcept {
    KV_ASSERT(from.size() <= to.size(), "{} bytes into {}", from.size(), to.size());
    if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

}  // namespace kv
