#include "bin/kv-bench/operation.h"

#include <fmt/format.h>

#include <charconv>

namespace kv::bench {

namespace {

constexpr std::array<Operation, operations_count> operations{Operation::get, Operation::set,
                                                             Operation::del, Operation::incr};

}  // namespace

std::string_view name(Operation operation) noexcept {
    switch (operation) {
        case Operation::get: return "get";
        case Operation::set: return "set";
        case Operation::del: return "del";
        case Operation::incr: return "incr";
    }
    return "";
}

Mix Mix::of_reads(double reads) noexcept {
    Mix mix(Operation::get);
    mix.shares_[static_cast<std::size_t>(Operation::get)] = reads;
    mix.shares_[static_cast<std::size_t>(Operation::set)] = 1 - reads;
    return mix;
}

std::optional<Mix> Mix::parse(std::string_view text) noexcept {
    Mix mix;
    mix.shares_ = {};
    double sum = 0;
    while (!text.empty()) {
        const std::string_view part = text.substr(0, text.find(','));
        text.remove_prefix(std::min(part.size() + 1, text.size()));
        const std::string_view word = part.substr(0, part.find('='));
        double weight = 1;
        if (word.size() < part.size()) {
            const char* const end = part.data() + part.size();
            const auto [stop, error] = std::from_chars(part.data() + word.size() + 1, end, weight);
            if (error != std::errc{} || stop != end || !(weight >= 0 && weight <= 1e9)) return {};
        }
        bool known = false;
        for (const Operation each : operations) {
            if (name(each) != word) continue;
            known = true;
            mix.shares_[static_cast<std::size_t>(each)] += weight;
        }
        if (!known) return {};
        sum += weight;
    }
    if (!(sum > 0)) return {};
    for (double& share : mix.shares_) share /= sum;
    return mix;
}

std::optional<Operation> Mix::single() const noexcept {
    for (const Operation each : operations) {
        if (share(each) == 1) return each;
    }
    return std::nullopt;
}

std::string Mix::text() const {
    std::string out;
    for (const Operation each : operations) {
        if (!has(each)) continue;
        std::string word(name(each));
        for (char& c : word) c = static_cast<char>(c - 'a' + 'A');
        out += fmt::format("{}{:.4g} % {}", out.empty() ? "" : ", ", 100 * share(each), word);
    }
    return out;
}

}  // namespace kv::bench
