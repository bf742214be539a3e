#include "engine/node/glob.h"

#include <utility>

namespace kv {

namespace {

char fold(char c, bool ignore_case) noexcept {
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

/// The set at the front of `pattern`, behind its '['. Moves `pattern` behind the set.
bool take_set(std::string_view& pattern, char c, bool ignore_case) noexcept {
    const bool negated = !pattern.empty() && pattern[0] == '^';
    if (negated) pattern.remove_prefix(1);
    bool found = false;
    while (!pattern.empty() && pattern[0] != ']') {
        if (pattern[0] == '\\' && pattern.size() >= 2) pattern.remove_prefix(1);
        char low = fold(pattern[0], ignore_case);
        char high = low;
        pattern.remove_prefix(1);
        if (pattern.size() >= 2 && pattern[0] == '-' && pattern[1] != ']') {
            high = fold(pattern[1], ignore_case);
            pattern.remove_prefix(2);
        }
        if (low > high) std::swap(low, high);
        found = found || (c >= low && c <= high);
    }
    if (!pattern.empty()) pattern.remove_prefix(1);  // an open set reaches to the end
    return found != negated;
}

/// Takes one element other than '*' off `pattern`; whether it matches `c`.
bool take_one(std::string_view& pattern, char c, bool ignore_case) noexcept {
    c = fold(c, ignore_case);
    const char first = pattern[0];
    pattern.remove_prefix(1);
    if (first == '?') return true;
    if (first == '[') return take_set(pattern, c, ignore_case);
    if (first == '\\' && !pattern.empty()) {
        const char escaped = pattern[0];
        pattern.remove_prefix(1);
        return fold(escaped, ignore_case) == c;
    }
    return fold(first, ignore_case) == c;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case,
                std::uint64_t* steps) noexcept {
    std::uint64_t ignored = 0;
    std::uint64_t& count = steps != nullptr ? *steps : ignored;
    std::string_view retry_pattern;
    std::string_view retry_text;
    bool can_retry = false;
    while (true) {
        ++count;
        if (!pattern.empty() && pattern[0] == '*') {
            pattern.remove_prefix(1);
            if (pattern.empty()) return true;
            retry_pattern = pattern;
            retry_text = text;
            can_retry = true;
            continue;
        }
        if (text.empty() && pattern.empty()) return true;
        if (!text.empty() && !pattern.empty()) {
            std::string_view rest = pattern;
            if (take_one(rest, text[0], ignore_case)) {
                pattern = rest;
                text.remove_prefix(1);
                continue;
            }
        }
        // The last star takes one character more.
        if (!can_retry || retry_text.empty()) return false;
        retry_text.remove_prefix(1);
        pattern = retry_pattern;
        text = retry_text;
    }
}

}  // namespace kv
