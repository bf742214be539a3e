#pragma once

/// What systemd is told of a unit of Type=notify (sd_notify(3)): datagrams to the socket that the
/// environment names. The protocol is a page; its library would be one more for every user.

#include <string>
#include <string_view>

#include "proto/base/units.h"

namespace kv {

class Notifier {
public:
    /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Without them nobody is told anything.
    Notifier();
    Notifier(const Notifier&) = delete;
    ~Notifier();

    /// "READY=1". Never waits; what cannot be sent is not.
    void tell(std::string_view state) noexcept;
    bool wanted() const noexcept { return fd_ >= 0; }
    /// Without WATCHDOG=1 for so long the process is ended; zero: it is not watched.
    Duration watchdog() const noexcept { return watchdog_; }

private:
    int fd_ = -1;
    std::string path_;  ///< '@' in front of an abstract one
    Duration watchdog_{};
};

}  // namespace kv
