#pragma once

/// EventFd: how a thread that is no reactor wakes one that is. Reading its descriptor (OpCode::read
/// of 8 bytes, without a position) completes after a signal().

#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/base/assert.h"

namespace kv::io {

class EventFd {
public:
    EventFd() noexcept : fd_(eventfd(0, EFD_CLOEXEC)) {}
    EventFd(const EventFd&) = delete;
    EventFd& operator=(const EventFd&) = delete;
    ~EventFd() {
        if (fd_ >= 0) close(fd_);
    }
    /// Out of descriptors.
    bool failed() const noexcept { return fd_ < 0; }
    int fd() const noexcept { return fd_; }
    /// Any thread.
    void signal() const noexcept { KV_ASSERT(eventfd_write(fd_, 1) == 0); }

private:
    const int fd_;
};

}  // namespace kv::io
