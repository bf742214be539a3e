#include "bin/kv-bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "bin/kv-bench/text.h"

namespace kv::bench {

namespace {

/// From here on the generator's CPU, per thread, is what limits a closed loop.
constexpr double cpu_percent_limit = 95;

double us(std::uint64_t nanoseconds) noexcept {
    return static_cast<double>(nanoseconds) / 1e3;
}

std::string_view plural(std::uint64_t count) noexcept {
    return count == 1 ? "" : "s";
}

/// Shards with long gaps that are shown.
constexpr std::size_t gaps_shown = 4;

/// The shards that were not available for longest.
std::string gaps_text(const std::vector<Duration>& gaps) {
    std::vector<std::size_t> shards(gaps.size());
    std::iota(shards.begin(), shards.end(), std::size_t{0});
    std::ranges::sort(shards, [&](std::size_t a, std::size_t b) {
        return gaps[a] != gaps[b] ? gaps[a] > gaps[b] : a < b;
    });
    shards.resize(std::min(shards.size(), gaps_shown));
    std::string out;
    for (const std::size_t shard : shards) {
        out += fmt::format("{}shard {} {}", out.empty() ? "" : ", ", shard,
                           human_time(us(static_cast<std::uint64_t>(gaps[shard].count()))));
    }
    return out;
}

std::string bytes_text(const ByteRange& range) {
    return range.fixed() ? fmt::format("{}", range.most)
                         : fmt::format("{} to {}", range.least, range.most);
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

std::string classes_text(const ErrorKinds& errors) {
    std::string out;
    for (std::size_t i = 0; i < error_classes_count; ++i) {
        const auto error = static_cast<ErrorClass>(i);
        const std::uint64_t count = errors.of_class(error);
        if (count == 0) continue;
        out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name(error), count);
    }
    return out;
}

std::string describe_load(const Options& options) {
    const WorkloadOptions& w = options.workload;
    std::string out =
        fmt::format("{}, {} protocol, {} connection{}, pipeline {}, {} thread{}", w.mix.text(),
                    name(w.wire), options.connections, plural(options.connections),
                    options.pipeline, options.threads, plural(options.threads));
    if (options.cluster) out += ", cluster";
    if (options.rate > 0) out += fmt::format(", open loop of {:g} requests/s", options.rate);
    return out;
}

std::string report_text(const Options& options, const Measured& measured) {
    const Summary s(measured);
    const WorkloadOptions& w = options.workload;
    std::string out =
        fmt::format("{}:{}, {}\n{} {} keys of {} bytes, values of {} bytes, seed {}\n\n",
                    options.host, options.port, describe_load(options), w.keys,
                    name(w.distribution), w.key_bytes, bytes_text(w.value_bytes), w.seed);
    out += fmt::format("throughput  {:.0f} requests/s ({} in {:.2f} s)\n", s.requests_per_second,
                       s.requests, s.seconds);
    out += fmt::format("latency     p50 {}, p90 {}, p99 {}, p99.9 {}, max {}\n",
                       human_time(s.p50_us), human_time(s.p90_us), human_time(s.p99_us),
                       human_time(s.p999_us), human_time(s.max_us));
    out += fmt::format("generator   {:.0f} % of {} CPU{}{}\n", s.cpu_percent, options.threads,
                       plural(options.threads),
                       s.cpu_percent >= cpu_percent_limit * options.threads
                           ? ": it may itself be the limit, see --threads"
                           : "");
    if (measured.not_sent > 0) {
        out += fmt::format("not sent    {} that were due: the server did not keep up\n",
                           measured.not_sent);
    }
    if (measured.counts.not_found > 0) {
        out += fmt::format("not found   {}\n", measured.counts.not_found);
    }
    if (options.cluster) {
        const std::string retried = classes_text(measured.retried);
        out += fmt::format("sent again  {}{}{}\n", measured.retried.total(),
                           retried.empty() ? "" : ": ", retried);
        out += fmt::format("gaps        {}\n", gaps_text(measured.longest_gaps));
    }
    const std::string classes = classes_text(measured.counts.errors);
    out += fmt::format("errors      {}{}{}\n", measured.counts.errors.total(),
                       classes.empty() ? "" : ": ", classes);
    for (const ErrorKinds::Kind& kind : measured.counts.errors.kinds()) {
        out += fmt::format("            {}  {}\n", kind.count, printable(kind.name));
        if (kind.first != kind.name && !kind.first.empty()) {
            out += fmt::format("            the first: {}\n", printable(kind.first));
        }
    }
    return out;
}

}  // namespace kv::bench
