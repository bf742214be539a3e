/// Answers OK to everything, on the port that is its argument: the other side when the load
/// generator's own speed is measured. Ends with SIGTERM or SIGINT.

#include <signal.h>

#include <cstdio>
#include <cstdlib>

#include "tests/support/fake_server.h"

namespace {

std::atomic<bool> stop = false;

extern "C" void on_stop(int) {
    stop.store(true);
}

}  // namespace

int main(int argc, char** argv) {
    signal(SIGTERM, on_stop);
    signal(SIGINT, on_stop);
    const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0);
    const kv::Status served =
        kv::test::serve(port, kv::test::answer_ok, stop, [](std::uint16_t bound) {
            std::printf("listening on 127.0.0.1:%u\n", bound);
            std::fflush(stdout);
        });
    if (!served) std::fprintf(stderr, "%s\n", served.error().text().c_str());
    return served ? 0 : 1;
}
