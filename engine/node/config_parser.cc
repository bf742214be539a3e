// Configuration out of TOML: the only user of toml++.

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "engine/node/config.h"
#include "engine/node/config_check.h"
#include "engine/node/config_value.h"

namespace kv {

namespace {

/// Walks the parsed document and collects everything that is wrong with it.
class Reader {
public:
    explicit Reader(std::string_view file_name) : file_name_(file_name) {}

    Result<Config> read(const toml::table& document) {
        read_table(document, "");
        // Bounds that depend on a value that was refused would only repeat the complaint.
        if (errors_.empty()) {
            for (const ConfigProblem& problem : problems_of(config_)) {
                add(line_of(problem), problem.text);
            }
        }
        if (errors_.empty()) return std::move(config_);
        std::string text;
        for (const auto& [line, message] : errors_) append_line(text, message);
        return fail(Errc::config, std::move(text));
    }

private:
    /// `line` 0: nothing in the file says it.
    void add(std::uint32_t line, std::string_view text) {
        errors_.emplace(line, line == 0 ? fmt::format("{}: {}", file_name_, text)
                                        : fmt::format("{}:{}: {}", file_name_, line, text));
    }

    std::uint32_t line_of(const ConfigProblem& problem) const {
        if (problem.node) return node_lines_[*problem.node];
        const auto at = lines_.find(problem.key);
        return at == lines_.end() ? 0 : at->second;
    }

    static std::uint32_t line_of(const toml::node& node) {
        return static_cast<std::uint32_t>(node.source().begin.line);
    }

    static std::string kind_of(const toml::node& node) {
        switch (node.type()) {
            case toml::node_type::table: return "a table";
            case toml::node_type::array: return "an array";
            case toml::node_type::floating_point: return "a fraction";
            case toml::node_type::boolean: return "a boolean";
            case toml::node_type::date:
            case toml::node_type::time:
            case toml::node_type::date_time: return "a date or time";
            case toml::node_type::none:
            case toml::node_type::string:
            case toml::node_type::integer: break;
        }
        return "a value";
    }

    static GivenValue given_of(const toml::node& node) {
        if (const auto* integer = node.as_integer())
            return {.integer = integer->get(),
                    .boolean = {},
                    .text = {},
                    .shown = fmt::format("{}", integer->get())};
        if (const auto* text = node.as_string())
            return {
                .integer = {}, .boolean = {}, .text = text->get(), .shown = quoted(text->get())};
        std::optional<bool> boolean;
        if (const auto* given = node.as_boolean()) boolean = given->get();
        return {.integer = {}, .boolean = boolean, .text = {}, .shown = kind_of(node)};
    }

    /// `prefix` is empty, or the dotted name of the table and a dot.
    void read_table(const toml::table& table, const std::string& prefix) {
        for (const auto& [key, node] : table) {
            const std::string name = prefix + std::string(key.str());
            const auto line = static_cast<std::uint32_t>(key.source().begin.line);
            const auto row = std::ranges::find(config_table(), name, &ConfigRow<Config>::name);
            if (row != config_table().end()) {
                lines_.emplace(row->name, line);
                if (Status done = assign(*row, given_of(node), config_); !done)
                    add(line, done.error().detail);
            } else if (name == nodes_name) {
                lines_.emplace(nodes_name, line);
                read_nodes(node, line);
            } else if (const toml::table* inner = node.as_table(); inner && !inner->empty()) {
                read_table(*inner, name + '.');
            } else if (!is_section(name)) {
                add(line, inner ? unknown_section(name) : unknown_key(name));
            } else if (!inner) {
                add(line, fmt::format("{}: expected a section [{}], found {}", name, name,
                                      given_of(node).shown));
            }
        }
    }

    static bool is_section(std::string_view name) {
        return std::ranges::any_of(config_table(), [&](const ConfigRow<Config>& key) {
            return key.name.starts_with(name) && key.name.substr(name.size()).starts_with('.');
        });
    }

    void read_nodes(const toml::node& node, std::uint32_t line) {
        const toml::array* list = node.as_array();
        if (list == nullptr)
            return add(line, fmt::format("cluster.nodes: expected [[cluster.nodes]], one for each "
                                         "node, found {}",
                                         given_of(node).shown));
        for (const toml::node& element : *list) {
            const toml::table* table = element.as_table();
            if (table == nullptr)
                add(line_of(element), fmt::format("cluster.nodes: expected a table, found {}",
                                                  given_of(element).shown));
            else
                read_node(*table);
        }
    }

    void read_node(const toml::table& table) {
        ClusterNode out;
        std::set<std::string_view> seen;
        for (const auto& [key, node] : table) {
            const std::string name = fmt::format("{}.{}", nodes_name, key.str());
            const auto line = static_cast<std::uint32_t>(key.source().begin.line);
            const auto row = std::ranges::find(node_table(), name, &ConfigRow<ClusterNode>::name);
            if (row == node_table().end()) {
                add(line, unknown_key(name));
                continue;
            }
            seen.insert(row->name);
            if (Status done = assign(*row, given_of(node), out); !done)
                add(line, done.error().detail);
        }
        for (const auto& row : node_table())
            if (row.required && !seen.contains(row.name))
                add(line_of(table),
                    fmt::format("{} is missing: expected {}", row.name, expected(row)));
        config_.cluster.nodes.push_back(std::move(out));
        node_lines_.push_back(line_of(table));
    }

    std::string_view file_name_;
    Config config_;
    std::map<std::string_view, std::uint32_t> lines_;   ///< where each key was given
    std::vector<std::uint32_t> node_lines_;             ///< of each element of cluster.nodes
    std::multimap<std::uint32_t, std::string> errors_;  ///< by line; equal ones as they were found
};

}  // namespace

Result<Config> parse_config(std::string_view toml, std::string_view file_name) {
    try {
        return Reader(file_name).read(toml::parse(toml, file_name));
    } catch (const toml::parse_error& error) {
        return fail(Errc::config, fmt::format("{}:{}: {}", file_name, error.source().begin.line,
                                              error.description()));
    }
}

Result<Config> load_config(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        return fail(Errc::config, fmt::format("{}: cannot open the configuration file", path));
    std::string text;
    char chunk[4096];
    do {
        file.read(chunk, sizeof chunk);  // of a directory it reads nothing, and is bad
        text.append(chunk, static_cast<std::size_t>(file.gcount()));
    } while (file);
    if (file.bad())
        return fail(Errc::config, fmt::format("{}: cannot read the configuration file", path));
    return parse_config(text, path);
}

}  // namespace kv
