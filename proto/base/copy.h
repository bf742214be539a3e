#pragma once

/// Copies of what is mostly short: keys. Pure.

#include <cstddef>
#include <cstring>
#include <string_view>

namespace kv {

/// Copies all of `from` to `to`, which has room: without a call when it is as long as most keys.
inline void copy_short(char* to, std::string_view from) noexcept {
    constexpr std::size_t half = 16;
    if (from.size() >= half && from.size() <= 2 * half) {  // the halves may overlap
        std::memcpy(to, from.data(), half);
        const std::size_t second = from.size() - half;
        std::memcpy(to + second, from.data() + second, half);
    } else if (!from.empty()) {
        std::memcpy(to, from.data(), from.size());
    }
}

}  // namespace kv
