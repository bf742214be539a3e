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

/// Points of a series, by which a long run is bounded: see Monitor.
constexpr std::int64_t intervals_max = 100'000;

constexpr const char* footer = R"(
Closed loop: every connection sends a batch of --pipeline requests, waits for the last reply, and
sends the next. The latency of a batch, from its send to its last reply, counts once for each
request. Open loop, with --rate: requests are due at a steady rate, whatever the server does, and
the latency of each counts from the moment it was due, so that a server that stalls cannot hide it.

  kv-bench                                  SET, binary protocol, 50 connections, 10 s
  kv-bench --preload --workload get         reads of keys that exist
  kv-bench --protocol resp --mix get=8,set=2 --keys-dist zipf --value-bytes 16-4096
  kv-bench --cluster -p 7001 -d 60s         three nodes, of which one is killed meanwhile
  kv-bench --rate 50000 -P 1 -d 60s --result a.json --plot a.svg
  kv-bench compare a.json b.json            two results side by side
  kv-bench --protocol resp --mix get,set,incr --keys 100 --record history.txt

Exit codes: 0 clean, 1 there were error replies, or nothing was measured, 2 usage, 3 cannot connect,
connection lost, or a file cannot be written. Ctrl-C ends a run early, with its report.)";

/// What CLI11 fills, before it is checked.
struct Flags {
    Options options;
    CompareFiles compare;
    PlotFiles plot;
    StubOptions stub;
    std::string protocol = "binary";
    std::string workload;
    std::string mix;
    std::optional<double> reads;
    std::string keys_dist = "uniform";
    std::string value_bytes = "100";
    std::string duration = "10s";
    std::string warmup = "1s";
    std::string interval = "1s";
    std::string timeout = "30s";
    bool progress = false;
    bool no_progress = false;
};

/// For the flags of which 0 makes no sense.
const CLI::Range at_least_one(1.0, 1e18, "POSITIVE");

void add_target_flags(CLI::App& app, Flags& flags) {
    Options& o = flags.options;
    app.add_option("--host", o.host, "Server's name or address")->capture_default_str();
    app.add_option("-p,--port", o.port, "Server's port")
        ->check(CLI::Range(1, 65535))
        ->capture_default_str();
    app.add_option("--protocol", flags.protocol, "binary, resp or text")
        ->check(CLI::IsMember({"binary", "resp", "text"}))
        ->capture_default_str();
    app.add_flag("--cluster", o.cluster,
                 "The server is one node of a cluster: send each key to the node that leads it");
    app.add_option("-c,--connections", o.connections, "Connections, over all threads and nodes")
        ->check(CLI::Range(std::size_t{1}, connections_max))
        ->capture_default_str();
    app.add_option("-P,--pipeline", o.pipeline, "Requests of a batch")
        ->check(CLI::Range(std::size_t{1}, pipeline_max))
        ->capture_default_str();
    app.add_option("--timeout", flags.timeout, "Give up after this long without any reply")
        ->capture_default_str();
    app.add_flag("--reconnect", o.reconnect,
                 "Make lost connections again; --timeout then counts for each");
}

/// A variable of a script that is not set: nothing would be written, and nothing said.
std::string not_empty(const std::string& path) {
    return path.empty() ? "expected a path, found \"\"" : "";
}

void add_load_flags(CLI::App& app, Flags& flags) {
    Options& o = flags.options;
    app.add_option("--keys", o.workload.keys, "Different keys")
        ->check(at_least_one)
        ->capture_default_str();
    app.add_option("--keys-dist", flags.keys_dist,
                   "uniform, sequential, or zipf:EXPONENT (zipf is zipf:0.99)")
        ->capture_default_str();
    app.add_option("--key-bytes", o.workload.key_bytes, "Length of a key")
        ->check(CLI::Range(std::size_t{1}, key_bytes_max))
        ->capture_default_str();
    app.add_option("--value-bytes", flags.value_bytes, "Length of a value, or a range: 16-4096")
        ->capture_default_str();
    auto* mix = app.add_option("--mix", flags.mix,
                               "Operations and their weights: get=80,set=15,del=4,incr=1");
    auto* reads = app.add_option("--reads", flags.reads, "Share of GET, the rest is SET")
                      ->check(CLI::Range(0.0, 1.0))
                      ->excludes(mix);
    app.add_option("--workload", flags.workload, "set, get, or mixed (half and half) [set]")
        ->check(CLI::IsMember({"set", "get", "mixed"}))
        ->excludes(reads)
        ->excludes(mix);
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
    app.add_option("--rate", o.rate, "Open loop: requests a second, over all threads")
        ->check(CLI::Range(0.001, 1e9));
    app.add_option("--warmup", flags.warmup, "Load before the measurement; 0s for none")
        ->capture_default_str();
    app.add_option("--threads", o.threads, "Threads, each with a ring of its own")
        ->check(CLI::Range(1u, threads_max))
        ->capture_default_str();
    app.add_option("--cpu", o.cpus, "Pin to this CPU; a list (0,1) gives one to each thread")
        ->delimiter(',')
        ->allow_extra_args(false);
}

void add_report_flags(CLI::App& app, Flags& flags) {
    Options& o = flags.options;
    app.add_flag("--json", o.json, "Report as one JSON object");
    app.add_option("--result", o.result_file,
                   "Write configuration, totals, histogram and series here, as JSON")
        ->check(not_empty);
    app.add_option("--plot", o.plot_file, "Draw throughput and latency here, as SVG")
        ->check(not_empty);
    app.add_option("--record", o.record,
                   "Write every operation here, for a checker of linearizability")
        ->check(not_empty);
    app.add_option("--interval", flags.interval, "Length of a point of the series")
        ->capture_default_str();
    auto* progress = app.add_flag("--progress", flags.progress,
                                  "A line on standard error each interval [when it is a terminal]");
    app.add_flag("--no-progress", flags.no_progress, "Never")->excludes(progress);
}

void add_commands(CLI::App& app, Flags& flags) {
    auto* compare = app.add_subcommand("compare", "Prints two results of --result side by side");
    compare->add_option("A", flags.compare.a, "The first")->required();
    compare->add_option("B", flags.compare.b, "The second")->required();
    auto* plot = app.add_subcommand("plot", "Draws a result of --result");
    plot->add_option("RESULT", flags.plot.result, "The result")->required();
    plot->add_option("OUT", flags.plot.out, "The SVG to write")->required();
    auto* stub = app.add_subcommand(
        "stub", "A server that answers OK to everything: what is the generator's own limit?");
    stub->add_option("-p,--port", flags.stub.port, "0: the system chooses")->capture_default_str();
    stub->add_option("--cpu", flags.stub.cpu, "Pin to this CPU")->check(CLI::Range(0, 1023));
    app.require_subcommand(0, 1);
}

/// Empty: fine, and `into` is set.
std::string take_duration(std::string_view flag, const std::string& text, Duration least,
                          Duration& into) {
    const auto parsed = parse_duration(text);
    if (!parsed || *parsed < least) {
        return fmt::format("{}: '{}' is not a duration such as 10s or 500ms", flag, text);
    }
    into = *parsed;
    return {};
}

std::string check_workload(Flags& flags) {
    WorkloadOptions& w = flags.options.workload;
    if (flags.protocol == "resp") w.wire = Wire::resp;
    if (flags.protocol == "text") w.wire = Wire::text;
    if (flags.workload == "get") w.mix = Mix(Operation::get);
    if (flags.workload == "mixed") w.mix = Mix::of_reads(0.5);
    if (flags.reads) w.mix = Mix::of_reads(*flags.reads);
    if (!flags.mix.empty()) {
        const auto mix = Mix::parse(flags.mix);
        if (!mix) {
            return fmt::format(
                "--mix: '{}' is not a mix such as get=80,set=20; there are get, "
                "set, del and incr",
                flags.mix);
        }
        w.mix = *mix;
    }
    const auto distribution = parse_key_distribution(flags.keys_dist);
    if (!distribution) {
        return fmt::format("--keys-dist: '{}' is none of uniform, sequential and zipf:0.99",
                           flags.keys_dist);
    }
    w.distribution = *distribution;
    const auto value_bytes = parse_byte_range(flags.value_bytes);
    if (!value_bytes || value_bytes->most > value_bytes_max) {
        return fmt::format(
            "--value-bytes: '{}' is not a length such as 100, nor a range such as "
            "16-4096, up to {}",
            flags.value_bytes, value_bytes_max);
    }
    w.value_bytes = *value_bytes;
    w.unique_values = !flags.options.record.empty();
    if (key_digits(w.keys) > w.key_bytes) {
        return fmt::format("--key-bytes {}: {} different keys need at least {} bytes", w.key_bytes,
                           w.keys, key_digits(w.keys));
    }
    if (w.mix.has(Operation::incr)) {
        if (w.wire != Wire::resp) return "--mix incr: counters need --protocol resp";
        if (key_digits(w.keys) + counter_prefix.size() > w.key_bytes) {
            return fmt::format("--key-bytes {}: {} different counters need at least {} bytes",
                               w.key_bytes, w.keys, key_digits(w.keys) + counter_prefix.size());
        }
    }
    if (w.wire == Wire::text && w.value_bytes.least == 0) {
        return "--value-bytes 0: the text protocol cannot carry an empty value";
    }
    if (w.unique_values && w.value_bytes.least < unique_bytes) {
        return fmt::format("--record needs unique values: --value-bytes {} or more", unique_bytes);
    }
    return {};
}

/// The complaint about what the flags say together; empty: fine.
std::string check(Flags& flags) {
    Options& o = flags.options;
    WorkloadOptions& w = o.workload;
    std::string bad = take_duration("--duration", flags.duration, 1us, o.duration);
    if (bad.empty()) bad = take_duration("--warmup", flags.warmup, 0s, o.warmup);
    if (bad.empty()) bad = take_duration("--timeout", flags.timeout, 1ms, o.timeout);
    if (bad.empty()) bad = take_duration("--interval", flags.interval, 10ms, o.interval);
    if (bad.empty()) bad = check_workload(flags);
    if (!bad.empty()) return bad;
    if (o.duration / o.interval > intervals_max) {
        return fmt::format("--interval {}: a run has at most {} intervals", flags.interval,
                           intervals_max);
    }
    if (!o.record.empty()) o.reconnect = true;
    if (flags.progress || flags.no_progress) o.progress = flags.progress;
    if (o.connections < o.threads) {
        return fmt::format("--connections {}: every one of {} threads needs one", o.connections,
                           o.threads);
    }
    const std::size_t request_bytes = w.key_bytes + w.value_bytes.most + 96;
    if (request_bytes > buffer_bytes_max / o.connections / o.pipeline) {
        return "the send buffers would take more than 4 GiB: use fewer --connections, a shorter "
               "--pipeline or smaller --value-bytes";
    }
    return {};
}

}  // namespace

std::optional<ByteRange> parse_byte_range(std::string_view text) noexcept {
    const char* const end = text.data() + text.size();
    ByteRange range;
    auto [at, error] = std::from_chars(text.data(), end, range.least);
    if (error != std::errc{}) return std::nullopt;
    range.most = range.least;
    if (at != end) {
        if (*at != '-') return std::nullopt;
        const auto [stop, wrong] = std::from_chars(at + 1, end, range.most);
        if (wrong != std::errc{} || stop != end || range.most < range.least) return std::nullopt;
    }
    return range;
}

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
    add_report_flags(app, flags);
    add_commands(app, flags);
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
    if (app.got_subcommand("compare")) {
        line.task = flags.compare;
        return line;
    }
    if (app.got_subcommand("plot")) {
        line.task = flags.plot;
        return line;
    }
    if (app.got_subcommand("stub")) {
        line.task = flags.stub;
        return line;
    }
    if (const std::string bad = check(flags); !bad.empty()) {
        line.exit_code = exit_usage;
        line.complaint = bad + "\nRun with --help for more information.\n";
        return line;
    }
    line.task = flags.options;
    return line;
}

}  // namespace kv::bench
