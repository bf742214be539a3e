#pragma once

/// XXH3-64 through xxHash: checksums of everything stored or sent to peers, and key hashes.

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <string_view>

#include "proto/base/bytes.h"

namespace kv {

inline std::uint64_t checksum(Bytes bytes, std::uint64_t seed = 0) noexcept {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

/// Mixes two words into a checksum seed (order matters).
inline std::uint64_t mix_seed(std::uint64_t a, std::uint64_t b) noexcept {
    const std::uint64_t words[2] = {a, b};
    return XXH3_64bits(words, sizeof words);
}

}  // namespace kv
