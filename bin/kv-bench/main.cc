/// kv-bench: load generator. Flags in options.h, the loops in worker.h.

#include <signal.h>

#include <cstdio>

#include "bin/kv-bench/affinity.h"
#include "bin/kv-bench/compare.h"
#include "bin/kv-bench/plot.h"
#include "bin/kv-bench/report.h"
#include "bin/kv-bench/result.h"
#include "bin/kv-bench/run.h"

namespace {

using namespace kv;
using namespace kv::bench;

Shared shared;

/// The first interrupt ends the run with its report; SA_RESETHAND lets a second one kill.
extern "C" void on_interrupt(int) {
    shared.interrupted.store(true, std::memory_order_relaxed);
}

void print(std::FILE* to, const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), to);
    std::fflush(to);
}

int complain(const Error& error, int exit_code) {
    print(stderr, "kv-bench: " + error.text() + "\n");
    return exit_code;
}

/// Result and plot files. A run's figures are printed before: they are not lost with a disk.
Status write_files(const Options& options, const RunResult& result) {
    if (options.result_file.empty() && options.plot_file.empty()) return {};
    const std::string json = result_json(options, result);
    if (!options.result_file.empty()) KV_CHECK(write_file(options.result_file, json));
    if (options.plot_file.empty()) return {};
    KV_TRY(const StoredResult stored, parse_result(json));
    return write_file(options.plot_file, plot_svg(stored.load, stored));
}

int perform(std::monostate) {
    return exit_clean;
}

int perform(const Options& options) {
    // A run of an hour is not to end with a folder that is not there.
    for (const std::string& file : {options.result_file, options.plot_file}) {
        if (file.empty()) continue;
        if (const Status writable = check_writable(file); !writable) {
            return complain(writable.error(), exit_connect);
        }
    }
    if (const Status usable = check_cpus(options.cpus); !usable) {
        return complain(usable.error(), exit_usage);
    }
    const auto result = run_benchmark(options, shared);
    if (!result) return complain(result.error(), exit_connect);
    const Measured& measured = result->measured;
    print(stdout, options.json ? summary_json(options, measured) : report_text(options, measured));
    if (const Status written = write_files(options, *result); !written) {
        return complain(written.error(), exit_connect);
    }
    const bool clean = measured.counts.replies > 0 && measured.counts.errors.total() == 0;
    return clean ? exit_clean : exit_errors;
}

int perform(const CompareFiles& files) {
    const auto a = read_result(files.a);
    if (!a) return complain(a.error(), exit_usage);
    const auto b = read_result(files.b);
    if (!b) return complain(b.error(), exit_usage);
    print(stdout, compare_text(*a, *b));
    return exit_clean;
}

int perform(const PlotFiles& files) {
    const auto result = read_result(files.result);
    if (!result) return complain(result.error(), exit_usage);
    const Status written = write_file(files.out, plot_svg(result->load, *result));
    return written ? exit_clean : complain(written.error(), exit_connect);
}

int perform(const StubOptions& options) {
    const Status served = run_stub(options, shared.interrupted, [](std::uint16_t port) {
        print(stdout, "listening on 127.0.0.1:" + std::to_string(port) + "\n");
    });
    return served ? exit_clean : complain(served.error(), exit_connect);
}

}  // namespace

int main(int argc, char** argv) {
    const CommandLine line = parse_options(argc, argv);
    print(stdout, line.out);
    print(stderr, line.complaint);
    if (std::holds_alternative<std::monostate>(line.task)) return line.exit_code;

    struct sigaction action{};
    action.sa_handler = on_interrupt;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    return std::visit([](const auto& task) { return perform(task); }, line.task);
}
