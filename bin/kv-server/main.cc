// kv-server: reads its configuration, starts a Node on reactors of io_uring, stops it on SIGTERM.

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "bin/kv-server/cpus.h"
#include "bin/kv-server/flags.h"
#include "bin/kv-server/leak_check.h"
#include "bin/kv-server/notify.h"
#include "bin/kv-server/verify.h"
#include "engine/node/node.h"
#include "engine/node/pulse.h"
#include "io/await.h"
#include "io/cores.h"
#include "proto/base/log.h"

namespace kv {
namespace {

/// Signals are read as data, so that no handler interrupts a turn. Made before any thread.
int open_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

/// Each client is a descriptor, and the log and the files of a start need some, too.
void fit_descriptors(Config& config) {
    constexpr rlim_t own_descriptors = 64;
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    const rlim_t wanted = config.client.connections_max + own_descriptors;
    if (limit.rlim_cur >= wanted) return;
    limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted) return;
    const rlim_t clients = limit.rlim_cur > own_descriptors ? limit.rlim_cur - own_descriptors : 1;
    config.client.connections_max = clients;
    log::warn(
        "the limit of open files allows fewer clients than client.connections_max: raise it "
        "(ulimit -n, LimitNOFILE)",
        log::field("limit", limit.rlim_cur), log::field("connections_max", clients));
}

/// Without them, the first files of the node would be what others print to.
void open_standard_descriptors() {
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO) fd = open("/dev/null", O_RDWR);
    if (fd >= 0) close(fd);
}

/// The process, from its start to its end.
class Process {
public:
    /// `cpus`: of each core.
    Process(Config config, std::vector<int> cpus, int signals)
        : config_(std::move(config)), cpus_(std::move(cpus)), signals_(signals) {}

    int run() {
        io::CoresOptions options;
        options.cpus = cpus_;
        auto cores = io::Cores::start(options);
        if (!cores) {
            fmt::print(stderr, "kv-server: {}\n", cores.error().text());
            return cores.error().code == Errc::config ? exit_usage : exit_failure;
        }
        cores_ = *std::move(cores);
        reactor_ = cores_->reactors().front();
        for (io::Reactor* const reactor : cores_->reactors()) {
            reactor->set_spin(std::chrono::microseconds(config_.reactor.poll_us));
        }
        log::set_wall_clock(
            [](void* context) { return static_cast<io::Backend*>(context)->wall_ns(); },
            &reactor_->backend());
        node_ = std::make_unique<Node>(cores_->reactors(), config_,
                                       static_cast<std::uint64_t>(getpid()));
        reactor_->spawn(serve());
        reactor_->spawn(watch_signals());
        if (notifier_.wanted()) reactor_->spawn(show_life());
        cores_->run();
        return node_->failure() ? exit_failure : exit_code_;
    }

private:
    io::Task<void> serve() {
        auto started = co_await node_->start();
        if (!started) {
            log::critical(started.error().text());
            exit_code_ = exit_code_of(started.error());
            reactor_->stop();
            co_return;
        }
        announce(*started);
        started_ = true;
        notifier_.tell("READY=1\nSTATUS=serving clients");
    }

    void announce(const StartReport& report) {
        const wal::RecoveryReport& recovery = report.recovery;
        const double ms = std::chrono::duration<double, std::milli>(report.recovery_time).count();
        const char* after = report.created ? "new" : recovery.clean ? "clean_stop" : "crash";
        log::info("ready", log::field("address", node_->endpoint().text()),
                  log::field("cores", cores_->size()), log::field("shards", node_->shards()),
                  log::field("data_dir", config_.node.data_dir), log::field("boot", report.boot),
                  log::field("io", reactor_->backend().describe()),
                  log::field("recovery_ms", fmt::format("{:.1f}", ms)), log::field("after", after),
                  log::field("keys", report.keys), log::field("records", recovery.records),
                  log::field("segments", recovery.segments),
                  log::field("log_bytes", recovery.bytes));
    }

    io::Task<void> stop() {
        log::info("stopping: finishing what is in flight");
        notifier_.tell("STOPPING=1\nSTATUS=finishing what is in flight");
        co_await node_->stop();
        if (pulse_) co_await pulse_->stop();
        log::info("stopped");
        reactor_->stop();
    }

    /// For systemd, as long as all cores turn: the start goes on, the watchdog is fed. A start may
    /// take as long as there are data to load, or other nodes to wait for.
    io::Task<void> show_life() {
        constexpr Duration start_period = 5s;
        const Duration watchdog = notifier_.watchdog();
        pulse_.emplace(*reactor_);
        pulse_->start();
        while (true) {
            const bool starting = !started_;
            if (!pulse_->silent()) {
                if (starting) notifier_.tell("EXTEND_TIMEOUT_USEC=30000000\nSTATUS=loading");
                if (watchdog > Duration::zero()) notifier_.tell("WATCHDOG=1");
            }
            // Before they are ready, services are not watched.
            Duration period = watchdog > Duration::zero() ? watchdog / 3 : 1h;
            if (starting) period = std::min(period, start_period);
            co_await io::SleepAwaiter(*reactor_, period);
        }
    }

    io::Task<void> watch_signals() {
        while (true) {
            signalfd_siginfo info{};
            io::OpRequest request;
            request.code = io::OpCode::read;
            request.fd = signals_;
            request.offset = ~std::uint64_t{0};  // a stream: no position
            request.data = reinterpret_cast<std::byte*>(&info);
            request.bytes = sizeof info;
            const std::int32_t result = co_await io::OpAwaiter(*reactor_, request);
            if (result != static_cast<std::int32_t>(sizeof info)) continue;
            if (stop_wanted_) {
                log::warn("stopping at once");
                log::stop();
                _exit(exit_failure);
            }
            if (!started_) {
                log::info("stopping before the node was ready: nothing is in flight");
                log::stop();
                _exit(exit_clean);
            }
            stop_wanted_ = true;
            reactor_->spawn(stop());
        }
    }

    const Config config_;
    const std::vector<int> cpus_;
    const int signals_;
    Notifier notifier_;
    std::optional<Pulse> pulse_;  ///< for the notifier
    std::unique_ptr<io::Cores> cores_;
    io::Reactor* reactor_ = nullptr;  ///< the first core's: it serves signals, too
    std::unique_ptr<Node> node_;
    int exit_code_ = exit_clean;
    bool started_ = false;
    bool stop_wanted_ = false;
};

int run(int argc, char** argv) {
    int exit_code = exit_clean;
    open_standard_descriptors();
    auto line = parse_command_line(argc, argv, exit_code);
    if (!line) return exit_code;
    if (line->print_config) {
        fmt::print("{}", print_config(line->config));
        return exit_clean;
    }
    auto cpus = choose_cpus(line->config.reactor, io::usable_cpus());
    if (!cpus) {
        fmt::print(stderr, "kv-server: {}\n", cpus.error().text());
        return exit_usage;
    }
    const std::vector<std::string> warnings = config_warnings(line->config);
    if (line->check_config) {
        for (const std::string& warning : warnings) fmt::print(stderr, "kv-server: {}\n", warning);
        fmt::print("the configuration is right\n");
        return exit_clean;
    }
    if (!line->verify.empty()) {
        log::start(line->config.log.level, line->config.node.id.value());
        const int code = run_verify(line->verify);
        log::stop();
        return code;
    }
    const int signals = open_signals();
    log::start(line->config.log.level, line->config.node.id.value());
    for (const std::string& warning : warnings) log::warn(warning);
    fit_descriptors(line->config);
    // Not destroyed: the kernel may still hold operations of a node that failed, and giving back
    // gigabytes block by block would only delay the exit. Static, so that it stays reachable.
    static Process* const process = new Process(line->config, *std::move(cpus), signals);
    const int code = process->run();
    log::set_wall_clock(nullptr, nullptr);
    log::stop();
    std::fflush(nullptr);
    check_leaks();
    _exit(code);
}

}  // namespace
}  // namespace kv

int main(int argc, char** argv) {
    return kv::run(argc, argv);
}
