#include "bin/kv-bench/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <sstream>

namespace kv::bench {

namespace {

constexpr std::size_t connections_max = 100'000;
constexpr std::size_t pipeline_max = 10'000;
constexpr std::size_t key_bytes_max = 65'535;
constexpr std::size_t value_bytes_max = 8u << 20;
constexpr unsigned threads_max = 256;
/// Send buffers of all connections together.
constexpr std::size_t buffer_bytes_max = std::size_t{4} << 30;

constexpr const char* footer = R"(
Every connection sends a batch of --pipeline requests, waits for the last reply, and sends the
next. The latency of a batch, from its send to its last reply, counts once for each request.

  kv-bench                                SET, binary protocol, 50 connections, 10 s
  kv-bench --preload --workload get       reads of keys that exist
  kv-bench --protocol resp --reads 0.9    against anything that speaks RESP

Exit codes: 0 clean, 1 there were error replies, 2 usage, 3 cannot connect or connection lost.)";

/// What CLI11 fills, before it is checked.
struct Flags {
    Options options;
    std::string protocol = "binary";
    std::string workload;
    std::string duration = "10s";
    std::string warmup = "1s";
    std::string timeout = "30s";
};

/// For the flags of which 0 makes no sense.
const CLI::Range at_least_one(1.0, 1e18, "POSITIVE");

void add_target_flags(CLI::App& app, Flags& flags) {
    Options& o = flags.options;
    app.add_option("--host", o.host, "Server's name or address")->capture_default_str();
    app.add_option("-p,--port", o.port, "Server's port")->capture_default_str();
    app.add_option("--protocol", flags.protocol, "binary, resp or text")
        ->check(CLI::IsMember({"binary", "resp", "text"}))
        ->capture_default_str();
    app.add_option("-c,--connections", o.connections, "Connections, over all threads")
        ->check(CLI::Range(std::size_t{1}, connections_max))
        ->capture_default_str();
    app.add_option("-P,--pipeline", o.pipeline, "Requests of a batch")
        ->check(CLI::Range(std::size_t{1}, pipeline_max))
        ->capture_default_str();
    app.add_option("--timeout", flags.timeout, "Give up after this long without any reply")
        ->capture_default_str();
}

void add_load_flags(CLI::App& app, Flags& flags) {
    Options& o = flags.options;
    app.add_option("--keys", o.workload.keys, "Different keys, drawn uniformly")
        ->check(at_least_one)
        ->capture_default_str();
    app.add_option("--key-bytes", o.workload.key_bytes, "Length of a key")
        ->check(CLI::Range(std::size_t{1}, key_bytes_max))
        ->capture_default_str();
    app.add_option("--value-bytes", o.workload.value_bytes, "Length of a value")
        ->check(CLI::Range(std::size_t{0}, value_bytes_max))
        ->capture_default_str();
    auto* reads = app.add_option("--reads", o.workload.reads, "Share of GET, the rest is SET")
                      ->check(CLI::Range(0.0, 1.0));
    app.add_option("--workload", flags.workload, "set, get, or mixed (half and half) [set]")
        ->check(CLI::IsMember({"set", "get", "mixed"}))
        ->excludes(reads);
    app.add_flag("--preload", o.preload, "First write every key once");
    app.add_option("--seed", o.workload.seed, "The same seed sends the same requests")
        ->capture_default_str();
}

void add_run_flags(CLI::App& app, Flags& flags) {
    Options& o = flags.options;
    auto* requests = app.add_option("-n,--requests", o.requests, "Stop after this many requests")
                         ->check(at_least_one);
    app.add_option("-d,--duration", flags.duration, "Stop after this long (10s, 500ms, 2m)")
        ->capture_default_str()
        ->excludes(requests);
    app.add_option("--warmup", flags.warmup, "Load before the measurement; 0s for none")
        ->capture_default_str();
    app.add_option("--threads", o.threads, "Threads, each with a ring of its own")
        ->check(CLI::Range(1u, threads_max))
        ->capture_default_str();
    app.add_option("--cpu", o.cpus, "Pin to this CPU; a list (0,1) gives one to each thread")
        ->delimiter(',')
        ->allow_extra_args(false);
    app.add_flag("--json", o.json, "Report as one JSON object");
}

/// The complaint about what the flags say together; empty: fine.
std::string check(Flags& flags) {
    Options& o = flags.options;
    WorkloadOptions& w = o.workload;
    const auto take = [](std::string_view flag, const std::string& text, Duration least,
                         Duration& into) -> std::string {
        const auto parsed = parse_duration(text);
        if (!parsed || *parsed < least) {
            return fmt::format("{}: '{}' is not a duration such as 10s or 500ms", flag, text);
        }
        into = *parsed;
        return {};
    };
    if (auto bad = take("--duration", flags.duration, 1us, o.duration); !bad.empty()) return bad;
    if (auto bad = take("--warmup", flags.warmup, 0s, o.warmup); !bad.empty()) return bad;
    if (auto bad = take("--timeout", flags.timeout, 1ms, o.timeout); !bad.empty()) return bad;
    if (flags.protocol == "resp") w.wire = Wire::resp;
    if (flags.protocol == "text") w.wire = Wire::text;
    if (flags.workload == "get") w.reads = 1;
    if (flags.workload == "mixed") w.reads = 0.5;
    if (key_digits(w.keys) > w.key_bytes) {
        return fmt::format("--key-bytes {}: {} different keys need at least {} bytes", w.key_bytes,
                           w.keys, key_digits(w.keys));
    }
    if (w.wire == Wire::text && w.value_bytes == 0) {
        return "--value-bytes 0: the text protocol cannot carry an empty value";
    }
    if (o.connections < o.threads) {
        return fmt::format("--connections {}: every one of {} threads needs one", o.connections,
                           o.threads);
    }
    const std::size_t request_bytes = w.key_bytes + w.value_bytes + 64;
    if (request_bytes > buffer_bytes_max / o.connections / o.pipeline) {
        return "the send buffers would take more than 4 GiB: use fewer --connections, a shorter "
               "--pipeline or smaller --value-bytes";
    }
    return {};
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) noexcept {
    double number = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc{} || !(number >= 0)) return std::nullopt;
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    double nanoseconds = 0;
    if (unit.empty() || unit == "s") {
        nanoseconds = number * 1e9;
    } else if (unit == "ms") {
        nanoseconds = number * 1e6;
    } else if (unit == "us") {
        nanoseconds = number * 1e3;
    } else if (unit == "m") {
        nanoseconds = number * 60e9;
    } else {
        return std::nullopt;
    }
    if (nanoseconds > 1e17) return std::nullopt;  // three years
    return Duration(static_cast<Duration::rep>(nanoseconds));
}

CommandLine parse_options(int argc, const char* const* argv) {
    Flags flags;
    CLI::App app("Load generator for kv-server, and for any server that speaks RESP.", "kv-bench");
    app.set_version_flag("--version", "kv-bench " KV_VERSION);
    app.footer(footer);
    add_target_flags(app, flags);
    add_load_flags(app, flags);
    add_run_flags(app, flags);
    CommandLine line;
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::ostringstream out;
        std::ostringstream complaint;
        const bool fine = app.exit(error, out, complaint) == 0;
        line.exit_code = fine ? exit_clean : exit_usage;
        line.out = out.str();
        line.complaint = complaint.str();
        return line;
    }
    if (const std::string bad = check(flags); !bad.empty()) {
        line.exit_code = exit_usage;
        line.complaint = bad + "\nRun with --help for more information.\n";
        return line;
    }
    line.run = flags.options;
    return line;
}

}  // namespace kv::bench
