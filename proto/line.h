#pragma once

/// What the line-based formats share: decimals, and echoing untrusted bytes within one line.

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kv {

template <std::integral Integer>
void append_decimal(std::string& out, Integer value) {
    char digits[20];  // the longest 64-bit integer, sign included
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out.append(digits, static_cast<std::size_t>(end - digits));
}

/// Appends `text` with every CR and LF as a space, so that bytes from a client cannot start a line
/// (a forged reply) of their own.
inline void append_one_line(std::string& out, std::string_view text) {
    const std::size_t from = out.size();
    out.append(text);
    for (std::size_t at = from; at < out.size(); ++at) {
        if (out[at] == '\r' || out[at] == '\n') out[at] = ' ';
    }
}

/// A decimal of digits only, from 1 to `max`; nothing otherwise.
inline std::optional<std::uint64_t> parse_positive(std::string_view text, std::uint64_t max) {
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, failed] = std::from_chars(text.data(), end, value);
    if (failed != std::errc{} || stop != end || value == 0 || value > max) return std::nullopt;
    return value;
}

}  // namespace kv
