#include "proto/command_table.h"

#include "proto/base/assert.h"
#include "proto/command_rows_cluster.h"
#include "proto/command_rows_data.h"
#include "proto/command_rows_node.h"

namespace kv {

namespace {

constexpr std::size_t rows_count =
    std::size(detail::data_rows) + std::size(detail::node_rows) + std::size(detail::cluster_rows);
constexpr std::size_t buckets = 1024;  // a power of two, several times the rows
static_assert(rows_count < 255 && rows_count * 4 < buckets);

constexpr std::array<CommandRow, rows_count> rows = [] {
    std::array<CommandRow, rows_count> all;
    std::size_t at = 0;
    for (const CommandRow& row : detail::data_rows) all[at++] = row;
    for (const CommandRow& row : detail::node_rows) all[at++] = row;
    for (const CommandRow& row : detail::cluster_rows) all[at++] = row;
    return all;
}();

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

constexpr std::uint32_t hash_start = 2166136261;
constexpr std::uint32_t hash_on(std::uint32_t hash, std::string_view word) noexcept {
    for (const char c : word) hash = (hash ^ static_cast<unsigned char>(lower(c))) * 16777619;
    return hash;
}
constexpr std::size_t bucket_of(std::uint32_t hash) noexcept {
    return (hash ^ hash >> 15) % buckets;
}

/// Open addressing, made by the compiler: number of the row plus one, 0 where there is none.
constexpr std::array<std::uint8_t, buckets> index_by_name = [] {
    std::array<std::uint8_t, buckets> index{};
    for (std::size_t i = 0; i < rows_count; ++i) {
        std::size_t at = bucket_of(hash_on(hash_start, rows[i].name));
        while (index[at] != 0) at = (at + 1) % buckets;
        index[at] = static_cast<std::uint8_t>(i + 1);
    }
    return index;
}();

constexpr std::array<std::uint8_t, 256> index_by_verb = [] {
    std::array<std::uint8_t, 256> index{};
    for (std::size_t i = 0; i < rows_count; ++i) {
        if (rows[i].verb == Verb::invalid) continue;
        std::uint8_t& at = index[static_cast<std::uint8_t>(rows[i].verb)];
        if (at != 0) throw "two rows have one verb";
        at = static_cast<std::uint8_t>(i + 1);
    }
    for (std::size_t verb = 1; verb <= static_cast<std::size_t>(verb_last); ++verb) {
        if (index[verb] == 0) throw "a verb has no row";
    }
    return index;
}();

constexpr bool equals_lowered(std::string_view word, std::string_view lowered) noexcept {
    if (word.size() != lowered.size()) return false;
    for (std::size_t i = 0; i < word.size(); ++i) {
        if (lower(word[i]) != lowered[i]) return false;
    }
    return true;
}

constexpr bool is_named(const CommandRow& row, std::string_view name, std::string_view sub) {
    if (sub.empty()) return equals_lowered(name, row.name);
    return row.name.size() == name.size() + 1 + sub.size() && row.name[name.size()] == '|' &&
           equals_lowered(name, row.name.substr(0, name.size())) &&
           equals_lowered(sub, row.name.substr(name.size() + 1));
}

}  // namespace

namespace detail {
constexpr std::array<CommandClass, 256> class_of_verb = [] {
    std::array<CommandClass, 256> classes{};
    for (const CommandRow& row : rows) {
        if (row.verb != Verb::invalid) classes[static_cast<std::uint8_t>(row.verb)] = row.kind;
    }
    return classes;
}();
}  // namespace detail

std::span<const CommandRow> command_rows() noexcept {
    return rows;
}

const CommandRow* find_command(std::string_view name, std::string_view subcommand) noexcept {
    std::uint32_t hash = hash_on(hash_start, name);
    if (!subcommand.empty()) hash = hash_on(hash_on(hash, "|"), subcommand);
    for (std::size_t at = bucket_of(hash); index_by_name[at] != 0; at = (at + 1) % buckets) {
        const CommandRow& row = rows[index_by_name[at] - 1u];
        if (is_named(row, name, subcommand)) return &row;
    }
    return nullptr;
}

const CommandRow& command_row(Verb verb) noexcept {
    const std::uint8_t index = index_by_verb[static_cast<std::uint8_t>(verb)];
    KV_ASSERT(index != 0, "verb {}", static_cast<unsigned>(verb));
    return rows[index - 1u];
}

}  // namespace kv
