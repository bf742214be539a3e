#pragma once

/// The real kv-server, in a directory of the test and on a port that the system chose. The programs
/// come from Meson, in KV_SERVER, KV_CLI and KV_BENCH.

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/program.h"
#include "tests/support/running_program.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/wire.h"

namespace kv::test {

using Args = std::vector<std::string>;

/// The path that an environment variable names.
std::string program(const char* variable);
/// Sweeps thin themselves under the sanitizers.
bool sanitized();
bool contains(std::string_view text, std::string_view part);
/// The value of one field of a logfmt line; empty when it is not there.
std::string field(std::string_view line, std::string_view name);

class Server {
public:
    /// Starts on `data_dir` and, unless `args` have --client-port, on a port the system chooses.
    explicit Server(const std::string& data_dir, const Args& args = {},
                    const RunningProgram::Setting& setting = {});

    /// Waits until it serves. False, and a failed test: it does not.
    bool ready();
    std::uint16_t port() const noexcept { return port_; }
    std::string port_text() const { return std::to_string(port_); }
    /// A field of the start line, once ready.
    std::string start_field(std::string_view name) const { return field(start_line_, name); }
    /// SIGTERM, and the end: the exit code, or nothing when it does not end.
    std::optional<int> stop();
    /// SIGKILL, and the end.
    void kill();

    RunningProgram& process() noexcept { return process_; }

private:
    RunningProgram process_;
    std::uint16_t port_ = 0;
    std::string start_line_;
};

/// Runs kv-server until it ends by itself; exit code -1 when it does not.
Outcome run_server(const Args& args, const std::string& directory = {});

}  // namespace kv::test
