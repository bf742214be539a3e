#include "engine/node/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "engine/node/config_value.h"
#include "proto/base/assert.h"

namespace kv {

namespace {

/// `text` as comment lines of at most 100 columns; its line breaks stay.
void append_comment(std::string& out, std::string_view text) {
    constexpr std::size_t columns_max = 100;
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        while (!line.empty()) {
            std::size_t size = line.size();
            if (size + 2 > columns_max) {
                size = line.rfind(' ', columns_max - 2);
                KV_ASSERT(size != std::string_view::npos, "a word of 98 columns");
            }
            out += fmt::format("# {}\n", line.substr(0, size));
            line.remove_prefix(std::min(line.size(), size + 1));
        }
    }
}

std::string capitalised(std::string text) {
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
    return text;
}

template <typename Target>
void append_documented(std::string& out, const ConfigRow<Target>& key,
                       std::string_view default_value) {
    append_comment(out, key.meaning);
    std::string facts = capitalised(expected(key));
    facts +=
        default_value.empty() ? "; must be given." : fmt::format("; default {}.", default_value);
    append_comment(out, facts);
}

template <typename Target>
std::string default_of(const ConfigRow<Target>& key) {
    return key.required ? std::string() : value_as_toml(key, Target{});
}

void append_nodes(std::string& out, const std::vector<ClusterNode>& nodes) {
    append_comment(
        out,
        "The nodes of a cluster, this one among them, equal on all: 3 survive the loss of "
        "one, 5 of two, 7 of three. None, or this one alone: a cluster of one. An empty "
        "data directory waits for all of them; later any majority serves.");
    for (const auto& key : node_table()) {
        out += fmt::format("#\n# {}: ", last_part(key.name));
        std::string rest;
        append_documented(rest, key, default_of(key));
        out += rest.substr(2);  // goes on in the same line
    }
    out += "#\n";
    if (nodes.empty()) {
        out += "# [[cluster.nodes]]\n";
        const ClusterNode example{.id = NodeId(1), .host = "127.0.0.1"};
        for (const auto& key : node_table())
            out += fmt::format("# {} = {}\n", last_part(key.name), value_as_toml(key, example));
    }
    for (const ClusterNode& node : nodes) {
        out += "[[cluster.nodes]]\n";
        for (const auto& key : node_table())
            out += fmt::format("{} = {}\n", last_part(key.name), value_as_toml(key, node));
    }
}

}  // namespace

Status set_key(Config& config, std::string_view dotted_key, std::string_view value) {
    const auto row = std::ranges::find(config_table(), dotted_key, &ConfigRow<Config>::name);
    if (row == config_table().end()) return fail(Errc::config, unknown_key(dotted_key));
    GivenValue given{
        .integer = {}, .boolean = {}, .text = std::string(value), .shown = quoted(value)};
    if (row->kind == ConfigKind::boolean && (value == "true" || value == "false"))
        given.boolean = value == "true";
    if (row->kind == ConfigKind::integer) given.integer = parse_config_integer(value);
    return assign(*row, given, config);
}

std::string print_config(const Config& config) {
    std::string out;
    std::string_view section;
    for (std::size_t i = 0; i < config_table().size(); ++i) {
        const ConfigRow<Config>& key = config_table()[i];
        if (section_of(key.name) != section) {
            section = section_of(key.name);
            out += fmt::format("\n[{}]\n", section);
        } else if (i > 0) {
            out += '\n';
        }
        append_documented(out, key, default_of(key));
        out += fmt::format("{} = {}\n", last_part(key.name), value_as_toml(key, config));
        const bool section_ends =
            i + 1 == config_table().size() || section_of(config_table()[i + 1].name) != section;
        if (section == "cluster" && section_ends) {
            out += '\n';
            append_nodes(out, config.cluster.nodes);
        }
    }
    return out;
}

std::optional<std::string> get_key(const Config& config, std::string_view dotted_key) {
    for (const ConfigRow<Config>& row : config_table()) {
        if (row.name != dotted_key) continue;
        if (row.text != nullptr) return row.text(config);
        std::string value = value_as_toml(row, config);
        if (value.size() >= 2 && value.starts_with('"')) value = value.substr(1, value.size() - 2);
        return value;
    }
    return std::nullopt;
}

std::vector<ConfigKey> config_keys() {
    std::vector<ConfigKey> keys;
    const auto add = [&](const auto& table) {
        for (const auto& key : table)
            keys.push_back({.name = std::string(key.name),
                            .meaning = std::string(key.meaning),
                            .expected = expected(key),
                            .default_value = default_of(key)});
    };
    add(config_table());
    add(node_table());
    return keys;
}

}  // namespace kv