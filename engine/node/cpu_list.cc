#include "engine/node/cpu_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace kv {

namespace {

std::optional<int> parse_cpu(std::string_view text) {
    int cpu = 0;
    const auto [stop, failed] = std::from_chars(text.data(), text.data() + text.size(), cpu);
    const bool whole = failed == std::errc{} && stop == text.data() + text.size();
    if (!whole || cpu < 0 || cpu > cpu_max) return std::nullopt;
    return cpu;
}

}  // namespace

Result<std::vector<int>> parse_cpu_list(std::string_view text) {
    std::vector<int> cpus;
    while (true) {
        const std::size_t comma = text.find(',');
        const std::string_view range = text.substr(0, comma);
        const std::size_t dash = range.find('-');
        const auto first = parse_cpu(range.substr(0, dash));
        const auto last = dash == range.npos ? first : parse_cpu(range.substr(dash + 1));
        if (!first || !last || *first > *last) {
            return fail(
                Errc::config,
                fmt::format("\"{}\" is no CPU and no range of CPUs from 0 to {}", range, cpu_max));
        }
        for (int cpu = *first; cpu <= *last; ++cpu) {
            if (std::ranges::find(cpus, cpu) != cpus.end()) {
                return fail(Errc::config, fmt::format("CPU {} is named twice", cpu));
            }
            cpus.push_back(cpu);
        }
        if (comma == text.npos) return cpus;
        text.remove_prefix(comma + 1);
    }
}

}  // namespace kv
