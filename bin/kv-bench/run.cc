#include "bin/kv-bench/run.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>

#include <barrier>
#include <cerrno>
#include <system_error>
#include <thread>

#include "bin/client/connect.h"

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

void pin_to(unsigned cpu, Shared& shared) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0) {
        shared.fail(fmt::format("--cpu {}: {}", cpu, std::generic_category().message(errno)));
    }
}

/// Connections are descriptors; the usual soft limit of 1,024 is soon reached.
void raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

struct Run {
    const Options& options;
    const Workload& workload;
    const std::vector<io::Endpoint>& endpoints;
    Shared& shared;
    std::barrier<> step;
    std::vector<Measured> measured;  ///< one per thread
};

/// Threads begin each step together: none may measure while another still loads. A failed thread
/// keeps step and does nothing.
void run_thread(Run& run, unsigned index) {
    const Options& o = run.options;
    if (!o.cpus.empty()) pin_to(o.cpus[index % o.cpus.size()], run.shared);
    const Share connections = share_of(o.connections, index, o.threads);
    Worker worker(o, run.workload, run.shared, connections.first,
                  static_cast<std::size_t>(connections.count));
    worker.open(run.endpoints);
    run.step.arrive_and_wait();
    if (o.preload) {
        const Share keys = share_of(o.workload.keys, index, o.threads);
        Measured loaded;
        worker.run({.load = true, .first_key = keys.first, .requests = keys.count}, loaded);
        if (loaded.counts.errors.total() > 0) {
            const ErrorKinds::Kind& kind = loaded.counts.errors.kinds().front();
            run.shared.fail(fmt::format("--preload: {} of {} writes failed: {}", kind.count,
                                        keys.count, kind.name));
        }
        run.step.arrive_and_wait();
    }
    if (o.warmup > Duration::zero()) {
        Measured warmed;
        worker.run({.duration = o.warmup}, warmed);
        run.step.arrive_and_wait();
    }
    const Phase phase = o.requests > 0
                            ? Phase{.requests = share_of(o.requests, index, o.threads).count}
                            : Phase{.duration = o.duration};
    worker.run(phase, run.measured[index]);
    worker.close();
}

}  // namespace

Result<Measured> run_benchmark(const Options& options, Shared& shared) {
    raise_descriptor_limit();
    KV_TRY(const std::vector<io::Endpoint> endpoints, client::resolve(options.host, options.port));
    const Workload workload(options.workload);
    Run run{options,
            workload,
            endpoints,
            shared,
            std::barrier<>(options.threads),
            std::vector<Measured>(options.threads)};
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < options.threads; ++i) {
        threads.emplace_back([&run, i] { run_thread(run, i); });
    }
    run_thread(run, 0);
    threads.clear();  // joins
    if (shared.failed()) return fail(Errc::io, shared.failure());
    Measured total;
    for (const Measured& each : run.measured) total.merge(each);
    return total;
}

}  // namespace kv::bench
