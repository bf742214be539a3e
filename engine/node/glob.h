#pragma once

/// Glob patterns as KEYS and CONFIG GET take them: * ? [abc] [^abc] [a-z] and \x. Pure.

#include <cstdint>
#include <string_view>

namespace kv {

/// Time at most O(pattern * text): a star never goes back further than to the last one. `steps`, if
/// given, is raised by the number of comparisons.
bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case = false,
                std::uint64_t* steps = nullptr) noexcept;

}  // namespace kv
