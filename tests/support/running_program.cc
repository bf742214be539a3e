#include "tests/support/running_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "proto/base/assert.h"

namespace kv::test {

namespace {

std::vector<char*> pointers(const std::string& path, const std::vector<std::string>& args) {
    std::vector<char*> argv{const_cast<char*>(path.c_str())};
    for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
    argv.push_back(nullptr);
    return argv;
}

std::array<int, 2> open_pipe() {
    std::array<int, 2> ends{};
    KV_ASSERT(pipe2(ends.data(), O_CLOEXEC) == 0);
    return ends;
}

}  // namespace

RunningProgram::RunningProgram(const std::string& path, const std::vector<std::string>& args)
    : RunningProgram(path, args, Setting{}) {}

RunningProgram::RunningProgram(const std::string& path, const std::vector<std::string>& args,
                               const Setting& setting) {
    const auto out = open_pipe();
    const auto err = open_pipe();
    // Made before the fork: between fork and exec nothing may allocate.
    std::vector<char*> argv = pointers(path, args);
    pid_ = fork();
    KV_ASSERT(pid_ >= 0);
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        // A shell that runs tests in the background has them ignore it, and all that they start.
        signal(SIGINT, SIG_DFL);
        const int nothing = open("/dev/null", O_RDONLY);
        dup2(nothing, STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        if (!setting.directory.empty() && chdir(setting.directory.c_str()) != 0) _exit(126);
        if (setting.in_child) setting.in_child();
        execvp(path.c_str(), argv.data());
        _exit(127);
    }
    close(out[1]);
    close(err[1]);
    gatherer_ = std::thread([this, out, err] { gather(out[0], err[0]); });
}

RunningProgram::~RunningProgram() {
    if (!exit_code_) {
        kill(pid_, SIGKILL);
        wait();
    }
    gatherer_.join();
}

void RunningProgram::gather(int out, int err) {
    std::array<pollfd, 2> wanted{pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0}};
    std::array<std::string*, 2> texts{&out_, &err_};
    std::array<char, 4096> bytes;
    while (wanted[0].fd >= 0 || wanted[1].fd >= 0) {
        poll(wanted.data(), wanted.size(), -1);
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            if (wanted[i].fd < 0 || wanted[i].revents == 0) continue;
            const ssize_t got = read(wanted[i].fd, bytes.data(), bytes.size());
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) {
                close(wanted[i].fd);
                wanted[i].fd = -1;
                continue;
            }
            const std::lock_guard lock(mutex_);
            texts[i]->append(bytes.data(), static_cast<std::size_t>(got));
            changed_.notify_all();
        }
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
}

void RunningProgram::send_signal(int number) {
    if (!exit_code_) kill(pid_, number);
}

void RunningProgram::pause() {
    send_signal(SIGSTOP);
    // A thread on another CPU goes on until it hears of it.
    siginfo_t state{};
    while (waitid(P_PID, static_cast<id_t>(pid_), &state, WSTOPPED | WEXITED | WNOWAIT) != 0) {
        KV_ASSERT(errno == EINTR);
    }
}

std::string RunningProgram::wait_for_log(std::string_view text) {
    std::unique_lock lock(mutex_);
    std::size_t begin = 0;
    std::size_t end = std::string::npos;
    const auto there = [&] {
        const std::size_t at = err_.find(text);
        if (at == std::string::npos) return false;
        begin = err_.rfind('\n', at) + 1;  // npos + 1 is 0
        end = err_.find('\n', at);
        return end != std::string::npos;
    };
    changed_.wait_for(lock, patience, [&] { return there() || ended_; });
    return there() ? err_.substr(begin, end - begin) : std::string();
}

std::optional<int> RunningProgram::wait(std::chrono::milliseconds at_most) {
    if (exit_code_) return exit_code_;
    {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, at_most, [&] { return ended_; })) return std::nullopt;
    }
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0) KV_ASSERT(errno == EINTR);
    exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return exit_code_;
}

bool RunningProgram::runs() {
    return !wait(std::chrono::milliseconds(0));
}

std::string RunningProgram::out() {
    const std::lock_guard lock(mutex_);
    return out_;
}

std::string RunningProgram::log() {
    const std::lock_guard lock(mutex_);
    return err_;
}

}  // namespace kv::test
