/// kv-cli: talks to a server by hand or from a script. Flags in options.h.

#include <unistd.h>

#include <array>
#include <cstdio>

#include "bin/kv-cli/cluster_commands.h"
#include "bin/kv-cli/history.h"
#include "bin/kv-cli/options.h"
#include "bin/kv-cli/session.h"
#include "io/uring/uring_backend.h"

#if defined(__SANITIZE_ADDRESS__)
#define KV_LEAK_CHECK 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KV_LEAK_CHECK 1
#endif
#endif

#ifdef KV_LEAK_CHECK
/// libedit does not free the names of the functions that were added to it (el_set, EL_ADDFN).
// NOLINTBEGIN(readability-identifier-naming): the name is the sanitizer's
extern "C" [[gnu::used]] const char* __lsan_default_suppressions();
const char* __lsan_default_suppressions() {
    return "leak:wcsdup\n";
}
// NOLINTEND(readability-identifier-naming)
#endif

namespace {

using namespace kv;

void print(std::FILE* to, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), to);
    std::fflush(to);
}

int refuse(const Error& error) {
    if (error.code == Errc::no_protocol) {
        print(stderr, "kv-cli: HELLO 3: " + error.text() +
                          "\nThis server speaks RESP2 only: use -r and not -3.\n");
        return cli::exit_error_reply;
    }
    print(stderr, "kv-cli: " + error.text() + "\n");
    return cli::exit_connect;
}

cli::Style style_of(const cli::Options& options) {
    if (options.json) return cli::Style::json;
    if (options.cluster.mode != client::Mode::resp) return cli::Style::text;
    const bool shown = isatty(STDOUT_FILENO) == 1 && !options.scan;
    return shown ? cli::Style::quoted : cli::Style::raw;
}

/// All of standard input.
std::string read_input() {
    std::string input;
    std::array<char, 65536> piece;
    for (std::size_t bytes = 0; (bytes = std::fread(piece.data(), 1, piece.size(), stdin)) > 0;) {
        input.append(piece.data(), bytes);
    }
    return input;
}

/// With a person at a terminal.
int converse(const cli::Options& options, client::ClusterClient& client) {
    cli::CommandTable commands(options.cluster.mode);
    if (options.cluster.mode == client::Mode::resp) {
        constexpr std::array<std::string_view, 2> docs{"COMMAND", "DOCS"};
        const auto reply = client.call(docs);
        if (reply) commands.learn(*reply);
    }
    print(stdout, cli::greeting(client.home(), client.mode()));
    cli::Session session(client, style_of(options), &commands);
    const auto lines = cli::terminal_lines("> ", cli::history_path(), commands);
    return session.run_lines(*lines);
}

int run(cli::Options options) {
    log::set_level(options.log_level);
    if (options.last_from_input) options.command.push_back(read_input());
    auto backend = io::UringBackend::create({.submissions = 16, .completions = 64});
    if (!backend) return refuse(backend.error());
    io::Reactor reactor(**backend);
    switch (options.cluster_task) {
        case cli::ClusterTask::none: break;
        case cli::ClusterTask::status:
            return cli::show_cluster_status(reactor, options.cluster, options.json);
        case cli::ClusterTask::transfer:
            return cli::transfer_shard(reactor, options.cluster, options.shard, options.node);
    }
    const auto client = client::ClusterClient::connect(reactor, options.cluster);
    if (!client) return refuse(client.error());
    cli::Session session(**client, style_of(options), nullptr);
    if (!options.scan && !options.command.empty()) return session.run_command(options.command);
    // A conversation is worth a look at who leads what; one command goes where it is sent.
    (*client)->learn();
    if (options.scan) return session.run_scan(options.scan_pattern, options.scan_count);
    if (isatty(STDIN_FILENO) != 1) return session.run_lines(*cli::plain_lines(""));
    return converse(options, **client);
}

}  // namespace

int main(int argc, char** argv) {
    const cli::CommandLine line = cli::parse_options(argc, argv);
    print(stdout, line.out);
    print(stderr, line.complaint);
    return line.run ? run(*line.run) : line.exit_code;
}
