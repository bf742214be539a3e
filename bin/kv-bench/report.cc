#include "bin/kv-bench/report.h"

#include <fmt/format.h>

namespace kv::bench {

namespace {

double us(std::uint64_t nanoseconds) noexcept {
    return static_cast<double>(nanoseconds) / 1e3;
}

/// Three digits that count: "812 us", "2.41 ms", "1.07 s".
std::string human_time(double microseconds) {
    if (microseconds < 100) return fmt::format("{:.1f} us", microseconds);
    if (microseconds < 1000) return fmt::format("{:.0f} us", microseconds);
    if (microseconds < 1e6) return fmt::format("{:.2f} ms", microseconds / 1e3);
    return fmt::format("{:.2f} s", microseconds / 1e6);
}

std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        } else {
            out += c;
        }
    }
    return out + "\"";
}

/// An error's name as one line of printable characters.
std::string printable(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return out;
}

}  // namespace

Summary::Summary(const Measured& measured)
    : requests(measured.counts.replies),
      seconds(std::chrono::duration<double>(measured.elapsed()).count()),
      requests_per_second(seconds > 0 ? static_cast<double>(requests) / seconds : 0),
      mean_us(measured.latency.mean() / 1e3),
      p50_us(us(measured.latency.percentile(50))),
      p90_us(us(measured.latency.percentile(90))),
      p99_us(us(measured.latency.percentile(99))),
      p999_us(us(measured.latency.percentile(99.9))),
      max_us(us(measured.latency.max())),
      cpu_percent(seconds > 0 ? 100 * std::chrono::duration<double>(measured.cpu).count() / seconds
                              : 0) {}

std::string report_text(const Options& options, const Measured& measured) {
    const Summary s(measured);
    const WorkloadOptions& w = options.workload;
    std::string out = fmt::format(
        "{}:{}, {} protocol, {} connections, pipeline {}, {} thread{}\n"
        "{} keys of {} bytes, values of {} bytes, {:.0f} % GET, seed {}\n\n",
        options.host, options.port, name(w.wire), options.connections, options.pipeline,
        options.threads, options.threads == 1 ? "" : "s", w.keys, w.key_bytes, w.value_bytes,
        100 * w.reads, w.seed);
    out += fmt::format("throughput  {:.0f} requests/s ({} in {:.2f} s)\n", s.requests_per_second,
                       s.requests, s.seconds);
    out += fmt::format("latency     p50 {}, p90 {}, p99 {}, p99.9 {}, max {}\n",
                       human_time(s.p50_us), human_time(s.p90_us), human_time(s.p99_us),
                       human_time(s.p999_us), human_time(s.max_us));
    out += fmt::format("generator   {:.0f} % of {} CPU{}\n", s.cpu_percent, options.threads,
                       options.threads == 1 ? "" : "s");
    if (measured.counts.not_found > 0) {
        out += fmt::format("not found   {}\n", measured.counts.not_found);
    }
    out += fmt::format("errors      {}\n", measured.counts.errors.total());
    for (const ErrorKinds::Kind& kind : measured.counts.errors.kinds()) {
        out += fmt::format("            {}  {}\n", kind.count, printable(kind.name));
    }
    return out;
}

std::string report_json(const Options& options, const Measured& measured) {
    const Summary s(measured);
    const WorkloadOptions& w = options.workload;
    std::string errors;
    for (const ErrorKinds::Kind& kind : measured.counts.errors.kinds()) {
        errors +=
            fmt::format("{}{}:{}", errors.empty() ? "" : ",", json_string(kind.name), kind.count);
    }
    return fmt::format(
        "{{\"host\":{},\"port\":{},\"protocol\":\"{}\",\"connections\":{},\"pipeline\":{},"
        "\"threads\":{},\"keys\":{},\"key_bytes\":{},\"value_bytes\":{},\"reads\":{},\"seed\":{},"
        "\"requests\":{},\"seconds\":{:.6f},\"requests_per_second\":{:.1f},"
        "\"latency_us\":{{\"mean\":{:.3f},\"p50\":{:.3f},\"p90\":{:.3f},\"p99\":{:.3f},"
        "\"p99.9\":{:.3f},\"max\":{:.3f}}},\"generator_cpu_percent\":{:.1f},"
        "\"not_found\":{},\"errors\":{},\"errors_by_kind\":{{{}}}}}\n",
        json_string(options.host), options.port, name(w.wire), options.connections,
        options.pipeline, options.threads, w.keys, w.key_bytes, w.value_bytes, w.reads, w.seed,
        s.requests, s.seconds, s.requests_per_second, s.mean_us, s.p50_us, s.p90_us, s.p99_us,
        s.p999_us, s.max_us, s.cpu_percent, measured.counts.not_found,
        measured.counts.errors.total(), errors);
}

}  // namespace kv::bench
