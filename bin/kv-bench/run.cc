#include "bin/kv-bench/run.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <barrier>
#include <thread>

#include "bin/client/connect.h"
#include "bin/kv-bench/affinity.h"
#include "bin/kv-bench/worker.h"

namespace kv::bench {

namespace {

/// The part of `total` that belongs to number `index` of `parts`.
struct Share {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
};
Share share_of(std::uint64_t total, unsigned index, unsigned parts) noexcept {
    const std::uint64_t each = total / parts;
    const std::uint64_t rest = total % parts;
    return {index * each + std::min<std::uint64_t>(index, rest), each + (index < rest ? 1 : 0)};
}

/// Connections are descriptors; the usual soft limit of 1,024 is soon reached.
void raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

Progress progress_of(const Options& options) noexcept {
    const bool terminal = isatty(STDERR_FILENO) == 1;
    if (!options.progress.value_or(terminal)) return Progress::none;
    return terminal ? Progress::terminal : Progress::lines;
}

struct Run {
    Run(const Options& o, const std::vector<io::Endpoint>& e, Shared& s)
        : options(o),
          workload(o.workload),
          endpoints(e),
          shared(s),
          step(o.threads),
          measured(o.threads),
          load("preload  ", o.threads, progress_of(o)),
          warmup("warm-up  ", o.threads, progress_of(o)),
          measure("", o.threads, progress_of(o)) {}

    const Options& options;
    const Workload workload;
    const std::vector<io::Endpoint>& endpoints;
    Shared& shared;
    HistoryFile history;
    std::optional<MapKeeper> keeper;  ///< of a cluster
    std::barrier<> step;
    std::vector<Measured> measured;  ///< one per thread
    Monitor load;
    Monitor warmup;
    Monitor measure;
};

void preload(Run& run, unsigned index, Worker& worker) {
    const Share keys = share_of(run.options.workload.keys, index, run.options.threads);
    Measured loaded;
    worker.run({.load = true, .first_key = keys.first, .requests = keys.count}, loaded, run.load);
    if (loaded.counts.errors.total() == 0) return;
    const ErrorKinds::Kind& kind = loaded.counts.errors.kinds().front();
    run.shared.fail(fmt::format("--preload: {} of {} writes failed: {}",
                                loaded.counts.errors.total(), keys.count, kind.first));
}

/// Threads begin each step together: none may measure while another still loads. A failed thread
/// keeps step and does nothing.
void run_thread(Run& run, unsigned index) {
    const Options& o = run.options;
    if (!o.cpus.empty()) {
        const Status pinned = pin_to(o.cpus[index % o.cpus.size()]);
        if (!pinned) run.shared.fail(pinned.error().text());
    }
    const Share connections = share_of(o.connections, index, o.threads);
    Worker worker(o, run.workload, run.shared, o.record.empty() ? nullptr : &run.history,
                  run.keeper ? &*run.keeper : nullptr, connections.first,
                  static_cast<std::size_t>(connections.count));
    worker.connect(run.endpoints);
    run.step.arrive_and_wait();
    if (o.preload) {
        preload(run, index, worker);
        run.step.arrive_and_wait();
    }
    const double rate = o.rate / o.threads;
    if (o.warmup > Duration::zero()) {
        Measured warmed;
        worker.run({.duration = o.warmup, .rate = rate}, warmed, run.warmup);
        run.step.arrive_and_wait();
    }
    Phase phase{.rate = rate};
    if (o.requests > 0) {
        phase.requests = share_of(o.requests, index, o.threads).count;
    } else {
        phase.duration = o.duration;
    }
    worker.run(phase, run.measured[index], run.measure);
    worker.close();
}

/// A thread without a connection to a node could not send what it draws for its shards.
Status check_connections(const Options& options, const Routes& routes) {
    const std::size_t least = routes.nodes.size() * options.threads;
    if (options.connections >= least) return {};
    return fail(Errc::config,
                fmt::format("--connections {}: {} nodes need at least {}, one for each and thread",
                            options.connections, routes.nodes.size(), least));
}

}  // namespace

Result<RunResult> run_benchmark(const Options& options, Shared& shared) {
    raise_descriptor_limit();
    KV_TRY(const std::vector<io::Endpoint> endpoints, client::resolve(options.host, options.port));
    Run run(options, endpoints, shared);
    if (!options.record.empty()) KV_CHECK(run.history.open(options.record));
    if (options.cluster) {
        KV_CHECK(run.keeper.emplace().start(options));
        KV_CHECK(check_connections(options, *run.keeper->routes()));
    }
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < options.threads; ++i) {
        threads.emplace_back([&run, i] { run_thread(run, i); });
    }
    run_thread(run, 0);
    threads.clear();  // joins
    const Status recorded = run.history.close();
    if (shared.failed()) return fail(Errc::io, shared.failure());
    if (!recorded) return fail(recorded.error());
    RunResult result;
    for (const Measured& each : run.measured) result.measured.merge(each);
    if (run.keeper) result.measured.map_refreshes = run.keeper->refreshes();
    result.series = run.measure.series();
    return result;
}

}  // namespace kv::bench
