#pragma once

/// A program that runs beside the test. Its output is gathered as it comes, and is what tests wait
/// for, each time with a deadline. It never outlives its object, nor the test program.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/types.h>

namespace kv::test {

/// Long enough for a slow machine under a sanitizer; only what is broken ever waits for it.
inline constexpr std::chrono::seconds patience{30};

class RunningProgram {
public:
    struct Setting {
        std::string directory;           ///< working directory; empty: that of the test
        std::function<void()> in_child;  ///< runs between fork and exec
    };

    RunningProgram(const std::string& path, const std::vector<std::string>& args);
    RunningProgram(const std::string& path, const std::vector<std::string>& args,
                   const Setting& setting);
    RunningProgram(const RunningProgram&) = delete;
    ~RunningProgram();

    pid_t pid() const noexcept { return pid_; }
    void send_signal(int number);
    /// SIGSTOP: on return it does nothing any more, until SIGCONT.
    void pause();

    /// Waits for a whole line on standard error that holds `text`, and returns it. Empty: the
    /// program ended without it, or patience did.
    std::string wait_for_log(std::string_view text);
    /// Waits for the end; the exit code, 128 + signal when one ended it. Nothing: it still runs.
    std::optional<int> wait(std::chrono::milliseconds at_most = patience);
    bool runs();

    std::string out();
    std::string log();

private:
    void gather(int out, int err);

    pid_t pid_ = -1;
    std::optional<int> exit_code_;
    std::thread gatherer_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string out_;
    std::string err_;
    bool ended_ = false;  ///< both outputs are closed
};

}  // namespace kv::test
