/// kv-bench: closed-loop load generator. Flags in options.h, the loop in worker.h.

#include <signal.h>

#include <cstdio>

#include "bin/kv-bench/report.h"
#include "bin/kv-bench/run.h"

namespace {

kv::bench::Shared shared;

/// The first interrupt ends the run with its report; SA_RESETHAND lets a second one kill.
extern "C" void on_interrupt(int) {
    shared.interrupted.store(true, std::memory_order_relaxed);
}

void print(std::FILE* to, const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), to);
}

}  // namespace

int main(int argc, char** argv) {
    using namespace kv::bench;
    const CommandLine line = parse_options(argc, argv);
    print(stdout, line.out);
    print(stderr, line.complaint);
    if (!line.run) return line.exit_code;

    struct sigaction action{};
    action.sa_handler = on_interrupt;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);

    const auto measured = run_benchmark(*line.run, shared);
    if (!measured) {
        print(stderr, "kv-bench: " + measured.error().text() + "\n");
        return exit_connect;
    }
    print(stdout,
          line.run->json ? report_json(*line.run, *measured) : report_text(*line.run, *measured));
    const bool clean = measured->counts.replies > 0 && measured->counts.errors.total() == 0;
    return clean ? exit_clean : exit_errors;
}
