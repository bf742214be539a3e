#pragma once

/// Small pieces of text that several reports share.

#include <string>
#include <string_view>

namespace kv::bench {

/// Three digits that count: "12.3 us", "812 us", "2.41 ms", "1.07 s".
std::string human_time(double microseconds);
/// "812", "48.1k", "1.23M".
std::string human_count(double count);
/// An error's name as one line of printable characters.
std::string printable(std::string_view text);

}  // namespace kv::bench
