#include "bin/kv-server/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace kv {

namespace {

std::string_view variable(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? std::string_view() : value;
}

/// 0: it is no number.
std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    return failed == std::errc{} && end == text.data() + text.size() ? value : 0;
}

}  // namespace

Notifier::Notifier() : path_(variable("NOTIFY_SOCKET")) {
    constexpr std::uint64_t watchdog_us_max = 3'600'000'000;
    const bool fits = path_.size() > 1 && path_.size() < sizeof(sockaddr_un::sun_path);
    if (!fits || (path_[0] != '/' && path_[0] != '@')) return;
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const std::string_view watched = variable("WATCHDOG_PID");
    const std::uint64_t us = number(variable("WATCHDOG_USEC"));
    const bool other = !watched.empty() && number(watched) != static_cast<std::uint64_t>(getpid());
    if (other || us > watchdog_us_max) return;
    watchdog_ = std::chrono::microseconds(us);
}

Notifier::~Notifier() {
    if (fd_ >= 0) close(fd_);
}

void Notifier::tell(std::string_view state) noexcept {
    if (fd_ < 0) return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    if (path_[0] == '@') address.sun_path[0] = '\0';
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
    const ssize_t sent = sendto(fd_, state.data(), state.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), bytes);
    static_cast<void>(sent);
}

}  // namespace kv
