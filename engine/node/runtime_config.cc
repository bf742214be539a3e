#include "engine/node/runtime_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "engine/node/glob.h"
#include "proto/base/integer.h"
#include "proto/request_check.h"

namespace kv {

namespace {

/// A parameter of Redis that stands for a key of the file.
struct Alias {
    std::string_view name;
    std::string_view key;
    bool settable = false;
    std::int64_t min = 0;
    std::int64_t max = 0;
};
constexpr Alias aliases[] = {
    {"bind", "client.bind"},
    {"dir", "node.data_dir"},
    {"loglevel", "log.level", true},
    {"maxclients", "client.connections_max", true, 1, 1'000'000},
    {"maxmemory", "limits.maxmemory", true, 0, std::numeric_limits<std::int64_t>::max()},
    {"port", "client.port"},
    {"proto-max-bulk-len", "limits.value_bytes_max"},
    {"slowlog-log-slower-than", "slowlog.slower_than_us", true, -1, 3'600'000'000},
    {"slowlog-max-len", "slowlog.entries_max", true, 0, 100'000},
};

/// Parameters of Redis that are the way they are.
constexpr std::pair<std::string_view, std::string_view> constants[] = {
    {"appendfsync", "always"},
    {"appendonly", "yes"},
    {"cluster-enabled", "no"},
    {"databases", "1"},
    {"maxmemory-policy", "noeviction"},
    {"requirepass", ""},
    {"save", ""},
    {"timeout", "0"},
};

/// Keys of the file that need no restart.
constexpr std::string_view settable_keys[] = {
    "client.connections_max",
    "client.stall_timeout",
    "commit_timeout",
    "limits.maxmemory",
    "log.level",
    "reactor.measure_cpu",
    "slowlog.entries_max",
    "slowlog.slower_than_us",
};

/// Redis has four levels.
constexpr std::pair<std::string_view, std::string_view> levels[] = {
    {"debug", "debug"}, {"verbose", "debug"}, {"notice", "info"}, {"warning", "warn"}};

std::string level_of_redis(std::string_view level) {
    if (level == "trace" || level == "debug") return "debug";
    return level == "info" ? "notice" : "warning";
}

std::string alias_value(const Alias& alias, const Config& config, const ConfigFacts& facts) {
    if (alias.name == "port") return std::to_string(facts.port);
    if (alias.name == "proto-max-bulk-len") return std::to_string(config.limits.value_bytes_max);
    if (alias.name == "maxmemory") return std::to_string(config.limits.maxmemory);
    const std::string value = get_key(config, alias.key).value_or("");
    return alias.name == "loglevel" ? level_of_redis(value) : value;
}

/// "100", "100b", "1k", "1kb" ... "1gb": with b a kilobyte has 1024 bytes, else 1000.
std::optional<std::int64_t> parse_memory(std::string_view text) noexcept {
    constexpr std::pair<std::string_view, std::int64_t> units[] = {
        {"kb", 1 << 10},  {"mb", 1 << 20},      {"gb", 1 << 30}, {"k", 1'000},
        {"m", 1'000'000}, {"g", 1'000'000'000}, {"b", 1},
    };
    std::int64_t unit_bytes = 1;
    for (const auto& [unit, bytes] : units) {
        if (text.size() <= unit.size()) continue;
        if (!equals_ignoring_case(text.substr(text.size() - unit.size()), unit)) continue;
        text.remove_suffix(unit.size());
        unit_bytes = bytes;
        break;
    }
    const auto number = parse_integer(text);
    std::int64_t bytes = 0;
    if (!number || *number < 0 || __builtin_mul_overflow(*number, unit_bytes, &bytes)) {
        return std::nullopt;
    }
    return bytes;
}

Error failed(std::string_view name, std::string_view why) {
    return {Errc::config,
            fmt::format("CONFIG SET failed (possibly related to argument '{}') - {}", name, why)};
}

Error fixed(std::string_view name, std::string_view key) {
    return failed(name, fmt::format("can't be changed at run time: set {} in the configuration "
                                    "file and restart",
                                    key));
}

/// Sets `alias`, whose value Redis words its own way.
Status set_alias(Config& config, const Alias& alias, std::string_view name,
                 std::string_view value) {
    if (!alias.settable) return fail(fixed(name, alias.key));
    if (alias.name == "loglevel") {
        const auto level = std::ranges::find_if(
            levels, [&](const auto& pair) { return equals_ignoring_case(pair.first, value); });
        if (level == std::ranges::end(levels)) {
            return fail(failed(name,
                               "argument(s) must be one of the following: debug, verbose, notice, "
                               "warning"));
        }
        return set_key(config, alias.key, level->second);
    }
    if (alias.name == "maxmemory") {
        const auto bytes = parse_memory(value);
        if (!bytes) return fail(failed(name, "argument must be a memory value"));
        return set_key(config, alias.key, std::to_string(*bytes));
    }
    const auto number = parse_integer(value);
    if (!number) return fail(failed(name, "argument couldn't be parsed into an integer"));
    if (*number < alias.min || *number > alias.max) {
        return fail(failed(name, fmt::format("argument must be between {} and {} inclusive",
                                             alias.min, alias.max)));
    }
    return set_key(config, alias.key, value);
}

Status set_one(Config& config, std::string_view name, std::string_view value) {
    for (const Alias& alias : aliases) {
        if (equals_ignoring_case(alias.name, name)) return set_alias(config, alias, name, value);
    }
    for (const auto& [constant, fixed_value] : constants) {
        if (!equals_ignoring_case(constant, name)) continue;
        if (value == fixed_value) return {};
        return fail(failed(name, fmt::format("only '{}' is supported", fixed_value)));
    }
    if (!get_key(config, name)) {
        return fail(Errc::config,
                    fmt::format("Unknown option or number of arguments for CONFIG SET - '{}'",
                                name.substr(0, 128)));
    }
    if (std::ranges::find(settable_keys, name) == std::ranges::end(settable_keys)) {
        return fail(fixed(name, name));
    }
    const Status set = set_key(config, name, value);
    if (!set) return fail(failed(name, set.error().text()));
    return {};
}

}  // namespace

std::vector<Parameter> matching_parameters(const Config& config, const ConfigFacts& facts,
                                           Args patterns) {
    std::vector<Parameter> out;
    const auto wanted = [&](std::string_view name) {
        return std::ranges::any_of(
            patterns, [&](std::string_view pattern) { return glob_match(pattern, name, true); });
    };
    for (const auto& [name, value] : constants) {
        if (wanted(name)) out.emplace_back(name, value);
    }
    for (const Alias& alias : aliases) {
        if (wanted(alias.name)) out.emplace_back(alias.name, alias_value(alias, config, facts));
    }
    for (const ConfigKey& key : config_keys()) {
        const auto value = get_key(config, key.name);
        if (value && wanted(key.name)) out.emplace_back(key.name, *value);
    }
    std::ranges::sort(out);
    return out;
}

Result<Config> changed_config(const Config& config, Args pairs) {
    Config changed = config;
    for (std::size_t at = 0; at < pairs.size(); at += 2) {
        for (std::size_t before = 0; before < at; before += 2) {
            if (!equals_ignoring_case(pairs[before], pairs[at])) continue;
            return fail(failed(pairs[at], "duplicate parameter"));
        }
    }
    for (std::size_t at = 0; at < pairs.size(); at += 2) {
        KV_CHECK(set_one(changed, pairs[at], pairs[at + 1]));
    }
    KV_CHECK(check_config(changed));
    return changed;
}

}  // namespace kv
