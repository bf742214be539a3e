#include "tests/support/program.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "proto/base/assert.h"

namespace kv::test {

namespace {

struct Pipe {
    Pipe() { KV_ASSERT(pipe2(ends.data(), O_CLOEXEC) == 0); }
    Pipe(const Pipe&) = delete;
    ~Pipe() {
        close_end(0);
        close_end(1);
    }
    void close_end(std::size_t end) {
        if (ends[end] >= 0) close(ends[end]);
        ends[end] = -1;
    }
    std::array<int, 2> ends{-1, -1};
};

[[noreturn]] void execute(const std::string& path, const std::vector<std::string>& args) {
    std::vector<char*> argv{const_cast<char*>(path.c_str())};
    for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
    argv.push_back(nullptr);
    setenv("KV_CLI_HISTORY", "", 0);  // nobody's own; a test may name one
    setenv("TERM", "dumb", 1);
    execv(path.c_str(), argv.data());
    _exit(127);
}

int wait_for(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0) KV_ASSERT(errno == EINTR);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// Reads once into `text`; false at the end.
bool read_into(int fd, std::string& text) {
    std::array<char, 4096> bytes;
    const ssize_t got = read(fd, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) return true;
    if (got <= 0) return false;  // EIO: the other end of a terminal is gone
    text.append(bytes.data(), static_cast<std::size_t>(got));
    return true;
}

/// Waits until the terminal passes keys on as they are typed, or the program is gone.
void wait_for_keys(int terminal, pid_t child) {
    constexpr int look_again_ms = 1;
    termios state{};
    siginfo_t gone{};
    while (tcgetattr(terminal, &state) == 0 && (state.c_lflag & ICANON) != 0 && gone.si_pid == 0) {
        poll(nullptr, 0, look_again_ms);
        waitid(P_PID, static_cast<id_t>(child), &gone, WEXITED | WNOHANG | WNOWAIT);
    }
}

}  // namespace

Outcome run_program(const std::string& path, const std::vector<std::string>& args,
                    std::string_view input) {
    signal(SIGPIPE, SIG_IGN);  // a program need not read its input
    Pipe in;
    Pipe out;
    Pipe err;
    const pid_t child = fork();
    KV_ASSERT(child >= 0);
    if (child == 0) {
        dup2(in.ends[0], STDIN_FILENO);
        dup2(out.ends[1], STDOUT_FILENO);
        dup2(err.ends[1], STDERR_FILENO);
        execute(path, args);
    }
    in.close_end(0);
    out.close_end(1);
    err.close_end(1);
    Outcome outcome;
    // A closed end is -1, which poll() skips.
    while (out.ends[0] >= 0 || err.ends[0] >= 0) {
        if (input.empty()) in.close_end(1);
        std::array<pollfd, 3> wanted{pollfd{in.ends[1], POLLOUT, 0}, pollfd{out.ends[0], POLLIN, 0},
                                     pollfd{err.ends[0], POLLIN, 0}};
        poll(wanted.data(), wanted.size(), -1);
        if (wanted[0].revents != 0) {
            const ssize_t taken =
                write(in.ends[1], input.data(), std::min<std::size_t>(input.size(), 4096));
            input.remove_prefix(taken > 0 ? static_cast<std::size_t>(taken) : input.size());
        }
        if (wanted[1].revents != 0 && !read_into(out.ends[0], outcome.out)) out.close_end(0);
        if (wanted[2].revents != 0 && !read_into(err.ends[0], outcome.err)) err.close_end(0);
    }
    outcome.exit_code = wait_for(child);
    return outcome;
}

Outcome run_on_terminal(const std::string& path, const std::vector<std::string>& args,
                        const std::vector<TerminalStep>& steps, bool edits_lines) {
    int terminal = -1;
    const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
    KV_ASSERT(child >= 0);
    if (child == 0) execute(path, args);
    Outcome outcome;
    std::size_t seen = 0;
    bool open = true;
    for (const TerminalStep& step : steps) {
        std::size_t at = outcome.out.find(step.expect, seen);
        while (open && at == std::string::npos) {
            open = read_into(terminal, outcome.out);
            at = outcome.out.find(step.expect, seen);
        }
        if (at == std::string::npos) break;
        seen = at + step.expect.size();
        if (step.type.empty()) continue;
        if (edits_lines) wait_for_keys(terminal, child);
        const ssize_t typed = write(terminal, step.type.data(), step.type.size());
        KV_ASSERT(typed == static_cast<ssize_t>(step.type.size()));
    }
    while (open) open = read_into(terminal, outcome.out);
    close(terminal);
    outcome.exit_code = wait_for(child);
    return outcome;
}

}  // namespace kv::test
