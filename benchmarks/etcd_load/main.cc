/// etcd_load: what kv-bench is to kv-server, for etcd: a closed loop of puts or linearizable reads,
/// one channel and one request at a time for each client, one thread. Prints one line of JSON with
/// kv-bench's names, and has its exit codes.

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "benchmarks/etcd_load/load.h"
#include "bin/kv-bench/options.h"
#include "bin/kv-bench/report.h"

namespace {

using namespace kv;
using namespace kv::etcd_load;

std::string summary_json(const Options& options, const bench::Measured& measured) {
    const bench::Summary s(measured);
    nlohmann::ordered_json errors = nlohmann::ordered_json::object();
    for (const auto& kind : measured.counts.errors.kinds()) errors[kind.name] = kind.first;
    const nlohmann::ordered_json out{
        {"load",
         fmt::format("{}, {} connections", options.get ? "GET" : "SET", options.connections)},
        {"connections", options.connections},
        {"pipeline", 1},
        {"keys", options.keys},
        {"value_bytes", {options.value_bytes, options.value_bytes}},
        {"requests", s.requests},
        {"seconds", s.seconds},
        {"requests_per_second", s.requests_per_second},
        {"latency_us",
         {{"mean", s.mean_us},
          {"p50", s.p50_us},
          {"p90", s.p90_us},
          {"p99", s.p99_us},
          {"p99.9", s.p999_us},
          {"max", s.max_us}}},
        {"generator_cpu_percent", s.cpu_percent},
        {"not_found", measured.counts.not_found},
        {"errors", measured.counts.errors.total()},
        {"first_errors", errors},
    };
    return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Status perform(Options& options, bench::Measured& measured) {
    if (options.leader) {
        const auto leader = find_leader(options.endpoints);
        if (!leader) return fail(Errc::io, "none of the endpoints leads");
        options.endpoints = {*leader};
    }
    Load load(options);
    KV_CHECK(load.connect());
    if (options.preload) KV_CHECK(load.preload());
    if (options.duration == Duration::zero()) return {};
    bench::Measured warmed;
    if (options.warmup > Duration::zero()) KV_CHECK(load.run(options.warmup, warmed));
    KV_CHECK(load.run(options.duration, measured));
    fmt::print("{}\n", summary_json(options, measured));
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    int exit_code = bench::exit_clean;
    auto options = parse_options(argc, argv, exit_code);
    if (!options) return exit_code;
    bench::Measured measured;
    if (const Status done = perform(*options, measured); !done) {
        fmt::print(stderr, "etcd_load: {}\n", done.error().text());
        return bench::exit_connect;
    }
    return measured.counts.errors.total() == 0 ? bench::exit_clean : bench::exit_errors;
}
