#include "bin/kv-bench/text.h"

#include <fmt/format.h>

namespace kv::bench {

std::string human_time(double microseconds) {
    if (microseconds < 100) return fmt::format("{:.1f} us", microseconds);
    if (microseconds < 1000) return fmt::format("{:.0f} us", microseconds);
    if (microseconds < 1e6) return fmt::format("{:.2f} ms", microseconds / 1e3);
    return fmt::format("{:.2f} s", microseconds / 1e6);
}

std::string human_count(double count) {
    if (count < 1000) return fmt::format("{:.3g}", count);
    if (count < 99'950) return fmt::format("{:.1f}k", count / 1e3);
    if (count < 999'500) return fmt::format("{:.0f}k", count / 1e3);
    return fmt::format("{:.2f}M", count / 1e6);
}

std::string printable(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return out;
}

}  // namespace kv::bench
