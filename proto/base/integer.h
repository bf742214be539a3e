#pragma once

/// Signed 64-bit integers as decimal text, in the one form that writing produces: an optional minus
/// sign, no leading zeros, no plus sign, no spaces, no "-0". INCR takes only values that it could
/// have written itself, as Redis does.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace kv {

inline constexpr std::size_t integer_text_bytes_max = 20;  // "-9223372036854775808"

inline std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
    const std::size_t digits_at = text.starts_with('-') ? 1 : 0;
    if (text.size() <= digits_at || text.size() > integer_text_bytes_max) return std::nullopt;
    const bool zero = text[digits_at] == '0';
    if (zero && text.size() > 1) return std::nullopt;
    std::int64_t number = 0;
    const auto [stop, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
    return number;
}

/// Views `buffer`.
inline std::string_view write_integer(std::int64_t number,
                                      std::span<char, integer_text_bytes_max> buffer) noexcept {
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
    return {buffer.data(), static_cast<std::size_t>(end - buffer.data())};
}

}  // namespace kv
