#include "benchmarks/etcd_load/options.h"

#include <CLI/CLI.hpp>

#include "bin/kv-bench/options.h"

namespace kv::etcd_load {

namespace {

constexpr std::size_t connections_max = 10'000;

/// A flag that is read as a duration.
void add_duration(CLI::App& app, const std::string& name, Duration& into, const std::string& what) {
    app.add_option_function<std::string>(
        name,
        [&into, name](const std::string& text) {
            const auto duration = bench::parse_duration(text);
            if (!duration) throw CLI::ValidationError(name, "not a duration such as 10s or 500ms");
            into = *duration;
        },
        what);
}

}  // namespace

std::optional<Options> parse_options(int argc, const char* const* argv, int& exit_code) {
    Options options;
    std::string workload = "set";
    CLI::App app{
        "Closed-loop load for etcd, through its gRPC interface. Reports as kv-bench does."};
    app.add_option("--endpoints", options.endpoints, "host:port, several with commas")
        ->delimiter(',')
        ->capture_default_str();
    app.add_flag("--leader", options.leader, "Use only the one of them that leads");
    app.add_option("-c,--connections", options.connections, "Clients, a channel and a request each")
        ->check(CLI::Range(std::size_t{1}, connections_max))
        ->capture_default_str();
    app.add_option("--keys", options.keys, "Different keys of 16 bytes, uniform")
        ->check(CLI::Range(1.0, 1e12))
        ->capture_default_str();
    app.add_option("--value-bytes", options.value_bytes, "Length of a value")
        ->check(CLI::Range(0.0, 1e6))
        ->capture_default_str();
    app.add_option("--workload", workload, "set, or get: linearizable reads")
        ->check(CLI::IsMember({"set", "get"}))
        ->capture_default_str();
    app.add_flag("--preload", options.preload, "First write every key once");
    app.add_option("--seed", options.seed, "The same seed asks for the same keys")
        ->capture_default_str();
    add_duration(app, "--warmup", options.warmup, "Load before the measurement [1s]");
    add_duration(app, "-d,--duration", options.duration, "Of the measurement; 0s: preload only");
    add_duration(app, "--timeout", options.timeout, "Give up after this long without any reply");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        exit_code = app.exit(error) == 0 ? bench::exit_clean : bench::exit_usage;
        return {};
    }
    options.get = workload == "get";
    return options;
}

}  // namespace kv::etcd_load
