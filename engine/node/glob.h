#pragma once

/// Glob patterns as KEYS and CONFIG GET take them: * ? [abc] [^abc] [a-z] and \x. Pure.

#include <string_view>

namespace kv {

/// Time at most O(pattern * text): a star never goes back further than to the last one.
bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case = false) noexcept;

}  // namespace kv
