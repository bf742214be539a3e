/// kv-cli: talks to a server by hand or from a script. Flags in options.h.

#include <unistd.h>

#include <cstdio>

#include "bin/kv-cli/options.h"
#include "bin/kv-cli/session.h"
#include "io/uring/uring_backend.h"

namespace {

using namespace kv;

void print(std::FILE* to, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), to);
    std::fflush(to);
}

int run(const cli::Options& options) {
    log::set_level(options.log_level);
    auto backend = io::UringBackend::create({.submissions = 16, .completions = 64});
    if (!backend) {
        print(stderr, "kv-cli: " + backend.error().text() + "\n");
        return cli::exit_connect;
    }
    io::Reactor reactor(**backend);
    const auto client = client::Client::connect(reactor, options.client);
    if (!client) {
        print(stderr, "kv-cli: " + client.error().text() + "\n");
        return cli::exit_connect;
    }
    const bool resp = options.client.mode == client::Mode::resp;
    const bool shown = isatty(STDOUT_FILENO) == 1;
    const cli::Style style = !resp   ? cli::Style::text
                             : shown ? cli::Style::quoted
                                     : cli::Style::raw;
    const bool typed = isatty(STDIN_FILENO) == 1;
    cli::Session session(**client, style, typed && options.command.empty());
    if (!options.command.empty()) return session.run_command(options.command);
    if (!typed) return session.run_lines(*cli::plain_lines(""));
    print(stdout, cli::greeting(options.client));
    const auto lines = cli::terminal_lines("> ", cli::history_path());
    return session.run_lines(*lines);
}

}  // namespace

int main(int argc, char** argv) {
    const cli::CommandLine line = cli::parse_options(argc, argv);
    print(stdout, line.out);
    print(stderr, line.complaint);
    return line.run ? run(*line.run) : line.exit_code;
}
