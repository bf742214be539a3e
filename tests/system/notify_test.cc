/// What kv-server tells systemd: the socket of NOTIFY_SOCKET is the test's.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "tests/system/server.h"

namespace kv::test {
namespace {

class NotifySocket {
public:
    explicit NotifySocket(const std::string& path) {
        fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        bound_ = bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    }
    NotifySocket(const NotifySocket&) = delete;
    ~NotifySocket() { close(fd_); }
    bool bound() const noexcept { return bound_; }

    /// Waits for a message with the line `wanted`; false: none came.
    bool wait_for(std::string_view wanted) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (std::chrono::steady_clock::now() < deadline) {
            pollfd wait{fd_, POLLIN, 0};
            if (poll(&wait, 1, 100) <= 0) continue;
            char text[1024];
            const ssize_t bytes = recv(fd_, text, sizeof text, 0);
            if (bytes <= 0) return false;
            const std::string message(text, static_cast<std::size_t>(bytes));
            heard_ += message + "\n";
            if (contains(fmt::format("\n{}\n", message), fmt::format("\n{}\n", wanted)))
                return true;
        }
        return false;
    }
    const std::string& heard() const noexcept { return heard_; }

private:
    int fd_ = -1;
    bool bound_ = false;
    std::string heard_;
};

TEST(Notify, SystemdHearsOfTheStartTheLifeAndTheEnd) {
    const TemporaryDirectory directory;
    const std::string path = directory / "notify";
    ASSERT_LT(path.size(), sizeof(sockaddr_un::sun_path));
    NotifySocket socket(path);
    ASSERT_TRUE(socket.bound());
    RunningProgram server(program("KV_SERVER"),
                          {"--data-dir", directory / "data", "--client-port", "0", "--set",
                           "reactor.cores=2", "--set", "reactor.cpus=none"},
                          {.directory = {}, .in_child = [&path] {
                               setenv("NOTIFY_SOCKET", path.c_str(), 1);
                               setenv("WATCHDOG_USEC", "300000", 1);
                               unsetenv("WATCHDOG_PID");
                           }});
    EXPECT_TRUE(socket.wait_for("READY=1")) << socket.heard() << server.log();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(socket.wait_for("WATCHDOG=1")) << socket.heard();
    server.send_signal(SIGTERM);
    EXPECT_TRUE(socket.wait_for("STOPPING=1")) << socket.heard();
    EXPECT_EQ(server.wait(), 0);
}

TEST(Notify, ASocketThatNobodyReadsHoldsNothingUp) {
    const TemporaryDirectory directory;
    const std::string path = directory / "notify";
    RunningProgram server(program("KV_SERVER"),
                          {"--data-dir", directory / "data", "--client-port", "0"},
                          {.directory = {}, .in_child = [&path] {
                               setenv("NOTIFY_SOCKET", path.c_str(), 1);  // there is no such file
                               setenv("WATCHDOG_USEC", "many", 1);
                           }});
    EXPECT_NE(server.wait_for_log("msg=ready"), "") << server.log();
    server.send_signal(SIGTERM);
    EXPECT_EQ(server.wait(), 0);
}

}  // namespace
}  // namespace kv::test
