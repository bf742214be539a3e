#include "bin/kv-server/verify.h"

#include <fmt/core.h>

#include <cstdio>

#include "bin/kv-server/flags.h"
#include "engine/node/verify.h"
#include "io/cores.h"

namespace kv {

namespace {

io::Task<void> verify(io::Reactor& reactor, std::string path, int& exit_code) {
    const auto print = [](std::string_view line) {
        fmt::print("{}\n", line);
        std::fflush(stdout);
    };
    VerifyOutput out = print;
    const Result<VerifyReport> report =
        co_await verify_directory(reactor, std::move(path), std::move(out));
    if (!report) {
        const bool none = report.error().code == Errc::not_found;
        fmt::print(stderr, "kv-server: {}{}\n", report.error().text(),
                   none ? ": no node has its data there; name what it has as node.data_dir" : "");
        exit_code = exit_code_of(report.error());
    } else if (report->first_failure) {
        exit_code = exit_code_of(*report->first_failure);
    }
    reactor.stop();
}

}  // namespace

int run_verify(const std::string& path) {
    io::CoresOptions options;
    options.cpus = {io::CoresOptions::not_bound};
    auto cores = io::Cores::start(options);
    if (!cores) {
        fmt::print(stderr, "kv-server: {}\n", cores.error().text());
        return exit_failure;
    }
    int exit_code = exit_clean;
    io::Reactor& reactor = *(*cores)->reactors().front();
    reactor.spawn(verify(reactor, path, exit_code));
    (*cores)->run();
    return exit_code;
}

}  // namespace kv
