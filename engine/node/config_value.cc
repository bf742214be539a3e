#include "engine/node/config_value.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "proto/base/assert.h"

namespace kv {

namespace {

constexpr std::int64_t ns(Duration duration) {
    return duration.count();
}

struct Unit {
    std::string_view name;
    std::int64_t factor;
};
// Largest first: that is the order in which printing tries them.
constexpr Unit size_units[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};
constexpr Unit time_units[] = {{"h", ns(1h)},   {"min", ns(1min)}, {"s", ns(1s)},
                               {"ms", ns(1ms)}, {"us", ns(1us)},   {"ns", 1}};

std::span<const Unit> units_of(ConfigKind kind) noexcept {
    if (kind == ConfigKind::bytes) return size_units;
    if (kind == ConfigKind::duration) return time_units;
    return {};
}

/// "64MiB", "64 MiB", "50ms"; a bare number only where `bare` allows it (bytes).
std::optional<std::int64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                            bool bare) noexcept {
    if (const auto plain = parse_config_integer(text); plain && (bare || *plain == 0)) return plain;
    for (const Unit& unit : units) {
        if (!text.ends_with(unit.name)) continue;
        std::string_view digits = text.substr(0, text.size() - unit.name.size());
        while (digits.ends_with(' ')) digits.remove_suffix(1);
        std::int64_t value = 0;
        const auto count = parse_config_integer(digits);
        if (count && !__builtin_mul_overflow(*count, unit.factor, &value)) return value;
    }
    return std::nullopt;
}

bool is_address(const std::string& text) noexcept {
    in6_addr address;
    return inet_pton(AF_INET, text.c_str(), &address) == 1 ||
           inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

}  // namespace

std::optional<std::int64_t> parse_config_integer(std::string_view text) noexcept {
    std::int64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stopped != end) return std::nullopt;
    return value;
}

std::string with_unit(std::int64_t value, ConfigKind kind) {
    if (value == 0) return kind == ConfigKind::duration ? "0s" : "0";
    for (const Unit& unit : units_of(kind)) {
        // 60s reads better than 1min, and plain bytes need no unit.
        if (unit.name == "min" || unit.name == "B") continue;
        if (value % unit.factor == 0) return fmt::format("{}{}", value / unit.factor, unit.name);
    }
    return fmt::format("{}", value);
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            out += {'\\', c};
        else if (byte < 0x20 || byte == 0x7f)
            out += fmt::format("\\u{:04x}", byte);
        else
            out += c;
    }
    return out + '"';
}

template <typename Target>
std::string expected(const ConfigRow<Target>& key) {
    switch (key.kind) {
        case ConfigKind::integer: return fmt::format("an integer from {} to {}", key.min, key.max);
        case ConfigKind::bytes: {
            std::string out = "a size ";
            if (key.max == config_int_max)
                out += fmt::format("of {} or more", with_unit(key.min, key.kind));
            else
                out += fmt::format("from {} to {}", with_unit(key.min, key.kind),
                                   with_unit(key.max, key.kind));
            if (key.multiple > 1)
                out += fmt::format(", a multiple of {}", with_unit(key.multiple, key.kind));
            return out;
        }
        case ConfigKind::duration:
            return fmt::format("a duration from {} to {}", with_unit(key.min, key.kind),
                               with_unit(key.max, key.kind));
        case ConfigKind::boolean: return "true or false";
        case ConfigKind::text:
            return fmt::format("a string of {} to {} bytes without NUL", key.min, key.max);
        case ConfigKind::address: return "an IPv4 or IPv6 address in quotes";
        case ConfigKind::choice: {
            std::string out;
            for (std::size_t i = 0; i < key.choices.size(); ++i) {
                if (i > 0) out += i + 1 == key.choices.size() ? " or " : ", ";
                out += quoted(key.choices[i]);
            }
            return out;
        }
    }
    KV_UNREACHABLE();
}

template <typename Target>
std::string value_as_toml(const ConfigRow<Target>& key, const Target& target) {
    switch (key.kind) {
        case ConfigKind::integer: return fmt::format("{}", key.number(target));
        case ConfigKind::bytes:
        case ConfigKind::duration: {
            const std::string text = with_unit(key.number(target), key.kind);
            return parse_config_integer(text) ? text : quoted(text);
        }
        case ConfigKind::boolean: return key.number(target) != 0 ? "true" : "false";
        case ConfigKind::text:
        case ConfigKind::address: return quoted(key.text(target));
        case ConfigKind::choice:
            return quoted(key.choices[static_cast<std::size_t>(key.number(target))]);
    }
    KV_UNREACHABLE();
}

template <typename Target>
Status assign(const ConfigRow<Target>& key, const GivenValue& given, Target& target) {
    const auto refuse = [&] {
        return fail(Errc::config,
                    fmt::format("{}: expected {}, found {}", key.name, expected(key), given.shown));
    };
    std::optional<std::int64_t> number;
    switch (key.kind) {
        case ConfigKind::integer: number = given.integer; break;
        case ConfigKind::bytes:
        case ConfigKind::duration:
            // A bare 5 would be five of what? Durations name their unit; a size is in bytes.
            if (given.integer && (key.kind == ConfigKind::bytes || *given.integer == 0))
                number = given.integer;
            else if (given.text)
                number =
                    parse_with_unit(*given.text, units_of(key.kind), key.kind == ConfigKind::bytes);
            break;
        case ConfigKind::boolean:
            if (!given.boolean) return refuse();
            key.set_number(target, *given.boolean ? 1 : 0);
            return {};
        case ConfigKind::choice: {
            if (!given.text) return refuse();
            const auto found = std::ranges::find(key.choices, std::string_view(*given.text));
            if (found == key.choices.end()) return refuse();
            key.set_number(target, found - key.choices.begin());
            return {};
        }
        case ConfigKind::text:
        case ConfigKind::address: {
            if (!given.text || given.text->find('\0') != std::string::npos) return refuse();
            const auto size = static_cast<std::int64_t>(given.text->size());
            if (key.kind == ConfigKind::text && (size < key.min || size > key.max)) return refuse();
            if (key.kind == ConfigKind::address && !is_address(*given.text)) return refuse();
            key.set_text(target, *given.text);
            return {};
        }
    }
    if (!number || *number < key.min || *number > key.max || *number % key.multiple != 0)
        return refuse();
    key.set_number(target, *number);
    return {};
}

template std::string expected(const ConfigRow<Config>&);
template std::string expected(const ConfigRow<ClusterNode>&);
template std::string value_as_toml(const ConfigRow<Config>&, const Config&);
template std::string value_as_toml(const ConfigRow<ClusterNode>&, const ClusterNode&);
template Status assign(const ConfigRow<Config>&, const GivenValue&, Config&);
template Status assign(const ConfigRow<ClusterNode>&, const GivenValue&, ClusterNode&);

}  // namespace kv
