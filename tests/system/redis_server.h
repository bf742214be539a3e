#pragma once

/// Debian's redis-server, empty and on a port of its own: what this server is compared with, and
/// what shows that a script for both is right.

#include <string>

#include "tests/support/running_program.h"
#include "tests/support/temporary_directory.h"

namespace kv::test {

class RedisServer {
public:
    /// `cluster`: it is one of Redis Cluster, and has all slots once it is ready.
    explicit RedisServer(bool cluster = false);
    /// Waits until it serves. False, and a failed test: it does not.
    bool ready();
    std::string port_text() const { return port_; }

private:
    const bool cluster_;
    TemporaryDirectory directory_;
    std::string port_;
    RunningProgram process_;
};

}  // namespace kv::test
