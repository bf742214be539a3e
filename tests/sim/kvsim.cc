// kvsim: clusters of whole nodes in the simulator, seed after seed. Virtual time, one thread, and
// the same run for the same seed.
//
//     kvsim --seeds 100                        seeds 1 to 100 of the swarm
//     kvsim --seed 7 --profile disks --trace   that one, with what happened
//
// Exit code 1: a seed failed; the line that begins with "kvsim" runs it again.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>

#include "proto/base/log.h"
#include "proto/base/mutant.h"
#include "tests/sim/cluster_trial.h"

namespace {

using namespace kv;
using namespace kv::sim;

struct Options {
    std::uint64_t seed = 1;
    std::uint64_t seeds = 1;
    std::string profile = "swarm";
    std::uint16_t nodes = 0;
    bool trace = false;
    bool shrink = true;
    bool twice = false;
};

std::string seconds(Instant at) {
    const auto ms = at.time_since_epoch() / 1ms;
    return fmt::format("{}.{:03}", ms / 1000, ms % 1000);
}

void report(const Options& options, const TrialPlan& plan, const TrialResult& result) {
    fmt::print("kvsim --seed {} --profile {}{}  # {} at {} s: {}\n", plan.seed, options.profile,
               options.nodes == 0 ? "" : fmt::format(" --nodes {}", options.nodes), result.oracle,
               seconds(result.at), result.text);
    fmt::print("  {} nodes, {} cores, {} shards, {} clients\n", plan.cluster.nodes,
               plan.cluster.cores, plan.cluster.shards, plan.clients);
    if (!options.trace) {
        for (const std::string& event : result.events) fmt::print("  {}\n", event);
    }
    if (!options.shrink) return;
    const auto fails = [&](const FaultPlan& faults) {
        TrialPlan smaller = plan;
        smaller.faults = faults;
        return run_trial(smaller).oracle == result.oracle;
    };
    fmt::print("the fewest faults with which it happens:\n{}",
               shrink(plan.faults, fails, 60).text());
}

int run(const Options& options) {
    const auto profile = parse_profile(options.profile);
    if (!profile) {
        fmt::print(stderr,
                   "--profile {}: expected calm, swarm, partitions, disks, clocks, "
                   "restarts or storm\n",
                   options.profile);
        return 2;
    }
    std::uint64_t failures = 0;
    double virtual_hours = 0;
    std::uint64_t events = 0;
    std::size_t faults = 0;
    std::size_t keys = 0;
    std::size_t undecided = 0;
    ClusterClient::Counters clients;
    SimCluster::Counters cluster;
    for (std::uint64_t i = 0; i < options.seeds; ++i) {
        const TrialPlan plan(options.seed + i, *profile, options.nodes);
        if (options.trace) fmt::print("{}", plan.faults.text());
        TrialResult result = run_trial(plan, options.trace);
        if (options.twice && result.good() && run_trial(plan).trace_hash != result.trace_hash) {
            result.oracle = "determinism";
            result.text = "another run of this seed was another one";
        }
        if (!result.good()) {
            ++failures;
            report(options, plan, result);
            std::fflush(stdout);
        }
        virtual_hours += static_cast<double>(result.ended.time_since_epoch() / 1ms) / 3.6e6;
        events += result.events_handled;
        faults += result.faults;
        keys += result.keys;
        undecided += result.undecided;
        clients.requests += result.clients.requests;
        clients.answered += result.clients.answered;
        clients.redirects += result.clients.redirects;
        clients.refused += result.clients.refused;
        clients.unknown += result.clients.unknown;
        cluster.starts += result.cluster.starts;
        cluster.elections += result.cluster.elections;
        cluster.durability_checks += result.cluster.durability_checks;
        cluster.messages += result.cluster.messages;
        cluster.disk_errors += result.cluster.disk_errors;
        cluster.refusals += result.cluster.refusals;
    }
    fmt::print(
        "{} seeds of {}, {} failed; {:.2f} virtual hours, {} events, {} faults, {} starts, "
        "{} elections, {} messages\n",
        options.seeds, options.profile, failures, virtual_hours, events, faults, cluster.starts,
        cluster.elections, cluster.messages);
    fmt::print(
        "{} requests: {} answered, {} redirected, {} refused, {} unknown; {} keys checked, "
        "{} undecided; {} looks at the disks, {} ended by an error, {} refused as damaged\n",
        clients.requests, clients.answered, clients.redirects, clients.refused, clients.unknown,
        keys, undecided, cluster.durability_checks, cluster.disk_errors, cluster.refusals);
    return failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    bool keep_faults = false;
    CLI::App app("Clusters in the simulator");
    app.add_option("--seed", options.seed, "The first seed")->capture_default_str();
    app.add_option("--seeds", options.seeds, "How many")->capture_default_str();
    app.add_option("--profile", options.profile,
                   "calm, swarm, partitions, disks, clocks, restarts, storm")
        ->capture_default_str();
    app.add_option("--nodes", options.nodes, "1 to 7; 0: as the seed says")
        ->check(CLI::Range(0, 7));
    app.add_flag("--trace", options.trace, "Print what happens");
    app.add_flag("--keep-faults", keep_faults, "Do not look for fewer faults after a failure");
    app.add_flag("--twice", options.twice, "Run each seed twice and compare");
#ifdef KV_MUTANTS
    app.add_option_function<std::string>(
        "--mutant", [](const std::string& name) { planted_mutant = find_mutant(name.c_str()); },
        "The planted bug (proto/base/mutant.h)");
    app.add_flag_callback("--list-mutants", [] {
        for (const MutantName& one : mutant_names) fmt::print("{}\t{}\n", one.name, one.what);
        throw CLI::Success();
    });
#endif
    CLI11_PARSE(app, argc, argv);
    options.shrink = !keep_faults;
    return run(options);
}
