#pragma once

/// Values of configuration keys and their texts: "64MiB" and 67108864, what a row expects, and
/// whether it may have what was given. Inside engine/node/config*.cc only. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/node/config_table.h"

namespace kv {

std::optional<std::int64_t> parse_config_integer(std::string_view text) noexcept;
/// With the largest unit of its kind that divides it.
std::string with_unit(std::int64_t value, ConfigKind kind);
/// As a TOML string.
std::string quoted(std::string_view text);

/// "a size from 16KiB to 256MiB, a multiple of 4KiB".
template <typename Target>
std::string expected(const ConfigRow<Target>& row);

template <typename Target>
std::string value_as_toml(const ConfigRow<Target>& row, const Target& target);

/// A value as the file or a flag gave it.
struct GivenValue {
    std::optional<std::int64_t> integer;
    std::optional<bool> boolean;
    std::optional<std::string> text;
    std::string shown;  ///< for messages
};

/// Stores `given`, or says what would have been right.
template <typename Target>
Status assign(const ConfigRow<Target>& row, const GivenValue& given, Target& target);

}  // namespace kv
