#pragma once

/// The table of configuration keys: one row for each, with its meaning, its bounds and where its
/// value lies. Inside engine/node/config*.cc only; all else about keys follows from it. Pure.

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "engine/node/config.h"

namespace kv {

/// TOML integers, and so all our numbers, are signed 64 bit.
inline constexpr std::int64_t config_int_max = std::numeric_limits<std::int64_t>::max();

/// What a value is, and how it is written.
enum class ConfigKind : std::uint8_t { integer, bytes, duration, boolean, text, address, choice };

/// One key of `Target` (Config, or ClusterNode for the keys of [[cluster.nodes]]). Numbers of every
/// kind pass through one signed integer: bytes, nanoseconds, 0 or 1 for false or true, or the
/// position in `choices`.
template <typename Target>
struct ConfigRow {
    std::string_view name;
    std::string_view meaning;
    ConfigKind kind;
    std::int64_t min = 0;
    std::int64_t max = 0;
    std::int64_t multiple = 1;
    std::span<const std::string_view> choices = {};
    bool required = false;
    std::int64_t (*number)(const Target&) = nullptr;
    void (*set_number)(Target&, std::int64_t) = nullptr;
    const std::string& (*text)(const Target&) = nullptr;  ///< kinds text and address
    void (*set_text)(Target&, const std::string&) = nullptr;
};

/// In the order in which print_config writes them: keys outside a section come first, as TOML
/// demands; keys of one section stand together.
std::span<const ConfigRow<Config>> config_table() noexcept;
/// Of [[cluster.nodes]].
std::span<const ConfigRow<ClusterNode>> node_table() noexcept;
inline constexpr std::string_view nodes_name = "cluster.nodes";

/// "wal.segment_bytes": "segment_bytes".
std::string_view last_part(std::string_view name) noexcept;
/// "wal.segment_bytes": "wal"; empty outside of a section.
std::string_view section_of(std::string_view name) noexcept;

/// A sentence that names the key, or the section, that `name` was probably meant to be.
std::string unknown_key(std::string_view name);
std::string unknown_section(std::string_view name);

}  // namespace kv
