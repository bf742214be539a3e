#include "bin/kv-bench/compare.h"

#include <fmt/format.h>

#include "bin/kv-bench/text.h"

namespace kv::bench {

namespace {

std::string row(std::string_view what, const std::string& a, const std::string& b, double x,
                double y) {
    const std::string ratio = x > 0 ? fmt::format("{:.3f}", y / x) : "-";
    return fmt::format("{:<12} {:>14} {:>14} {:>9}\n", what, a, b, ratio);
}
std::string time_row(std::string_view what, double a, double b) {
    return row(what, human_time(a), human_time(b), a, b);
}
std::string count_row(std::string_view what, double a, double b) {
    return row(what, fmt::format("{:.0f}", a), fmt::format("{:.0f}", b), a, b);
}

}  // namespace

std::string compare_text(const StoredResult& a, const StoredResult& b) {
    std::string out = fmt::format("A  {}\nB  {}\n", printable(a.load), printable(b.load));
    if (a.load != b.load) out += "   The loads differ.\n";
    out += fmt::format("\n{:<12} {:>14} {:>14} {:>9}\n", "", "A", "B", "B / A");
    out += count_row("requests/s", a.requests_per_second, b.requests_per_second);
    out += time_row("mean", a.mean_us, b.mean_us);
    out += time_row("p50", a.p50_us, b.p50_us);
    out += time_row("p90", a.p90_us, b.p90_us);
    out += time_row("p99", a.p99_us, b.p99_us);
    out += time_row("p99.9", a.p999_us, b.p999_us);
    out += time_row("max", a.max_us, b.max_us);
    out += count_row("errors", a.errors, b.errors);
    out += count_row("generator %", a.cpu_percent, b.cpu_percent);
    return out;
}

}  // namespace kv::bench
