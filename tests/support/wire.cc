#include "tests/support/wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "proto/base/assert.h"

namespace kv::test {

namespace {

using Clock = std::chrono::steady_clock;

sockaddr_in for_system(const Address& address) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(address.port);
    KV_ASSERT(inet_pton(AF_INET, address.host.c_str(), &out.sin_addr) == 1);
    return out;
}

}  // namespace

Wire::Wire(const Address& to, std::chrono::milliseconds at_most)
    : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    KV_ASSERT(fd_ >= 0);
    const sockaddr_in address = for_system(to);
    // Linux: the time of connect(), too.
    const timeval limit{at_most.count() / 1000, at_most.count() % 1000 * 1000};
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        close(fd_);
        fd_ = -1;
        return;
    }
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Wire::Wire(Wire&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)), ended_(other.ended_) {}

Wire::~Wire() {
    if (fd_ >= 0) close(fd_);
}

bool Wire::wait_until(Clock::time_point deadline) const {
    return wait_for(POLLIN, deadline);
}

bool Wire::wait_for(short events, Clock::time_point deadline) const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd wanted{fd_, events, 0};
    return poll(&wanted, 1, static_cast<int>(left.count())) > 0;
}

long Wire::send_some(std::string_view bytes) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

bool Wire::send(std::string_view bytes) {
    const auto deadline = Clock::now() + patience;
    while (!bytes.empty()) {
        const long sent = send_some(bytes);
        if (sent < 0 || (sent == 0 && !wait_for(POLLOUT, deadline))) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

void Wire::end_sending() {
    shutdown(fd_, SHUT_WR);
}

bool Wire::receive_some(std::string& to) {
    std::array<char, 16 * 1024> bytes;
    while (!ended_) {
        const ssize_t got = recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (got > 0) {
            to.append(bytes.data(), static_cast<std::size_t>(got));
        } else if (got < 0 && errno == EAGAIN) {
            return true;
        } else if (got == 0 || errno != EINTR) {
            ended_ = true;
        }
    }
    return false;
}

template <typename Done>
void Wire::fill(Done done) {
    const auto deadline = Clock::now() + patience;
    while (!done() && receive_some(buffer_) && !done()) {
        if (!wait_for(POLLIN, deadline)) return;
    }
}

std::string Wire::take(std::size_t bytes) {
    std::string front = buffer_.substr(0, bytes);
    buffer_.erase(0, bytes);
    return front;
}

std::string Wire::receive(std::size_t bytes) {
    fill([&] { return buffer_.size() >= bytes; });
    return take(bytes);
}

std::string Wire::receive_until(std::string_view end) {
    std::size_t at = std::string::npos;
    fill([&] {
        at = buffer_.find(end);
        return at != std::string::npos;
    });
    return take(at == std::string::npos ? at : at + end.size());
}

std::string Wire::receive_all() {
    fill([] { return false; });
    return take(std::string::npos);
}

std::string Wire::ask(std::string_view request, std::string_view end_of_reply) {
    if (!send(request)) return {};
    return receive_until(end_of_reply);
}

std::uint16_t unused_port() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = for_system({});
    socklen_t length = sizeof address;
    KV_ASSERT(bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0);
    KV_ASSERT(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

}  // namespace kv::test
