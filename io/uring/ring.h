#pragma once

/// Ring: owns one io_uring: set-up flags, the registered ring descriptor, the provided buffers,
/// entering the kernel. Made by the thread that uses it (SINGLE_ISSUER binds the ring to its
/// creator).
///
/// Needs Linux 6.1: SINGLE_ISSUER and DEFER_TASKRUN. TASKRUN_FLAG always goes with DEFER_TASKRUN,
/// or completions that wait for task work would never be seen by looking at the ring.
/// NO_SQARRAY is not used: liburing before 2.5 accepts it and corrupts the ring.

#include <liburing.h>

#include <cstdint>
#include <memory>
#include <string>

#include "io/op.h"
#include "proto/base/result.h"
#include "proto/base/units.h"

namespace kv::io {

struct UringOptions {
    unsigned submissions = 1024;
    unsigned completions = 8192;    ///< a multishot makes many completions from one submission
    unsigned buffers = 64;          ///< provided buffers for receive; a power of two
    unsigned buffer_bytes = 16384;  ///< together they should stay in the second-level cache
};

class Ring {
public:
    Ring() noexcept = default;
    Ring(const Ring&) = delete;
    ~Ring();

    /// Errors: `unsupported`, one sentence that says what is missing and what to do.
    Status open(const UringOptions& options);

    /// A free submission entry; hands over what is queued when there is none.
    io_uring_sqe* entry();
    /// Hands over what is queued and lets the kernel run its deferred work; waits for a completion
    /// for up to `wait_max` when that is not zero.
    void enter(Duration wait_max);
    /// The kernel has deferred work or overflowed completions that only another enter() brings.
    bool more_waits() const noexcept;
    bool has_completions() const noexcept { return io_uring_cq_ready(&ring_) != 0; }
    /// Something is queued, or more_waits().
    bool entry_needed() const noexcept;

    /// Calls take(user_data, result, flags) for each completion that is there, as long as go_on()
    /// says so behind it.
    template <typename Take, typename GoOn>
    unsigned drain(Take take, GoOn go_on) {
        unsigned head = 0;
        unsigned count = 0;
        io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            take(cqe->user_data, cqe->res, cqe->flags);
            ++count;
            if (!go_on()) break;
        }
        if (count != 0) io_uring_cq_advance(&ring_, count);
        return count;
    }

    std::byte* buffer(std::uint16_t id) noexcept {
        return buffers_.get() + std::size_t{id} * options_.buffer_bytes;
    }
    void recycle(std::uint16_t id) noexcept;

    int fd() const noexcept { return ring_.ring_fd; }

    static constexpr int buffer_group = 0;
    std::string describe() const;

private:
    struct Unaligned {
        void operator()(std::byte* memory) const noexcept;
    };
    Status provide_buffers();

    UringOptions options_;
    io_uring ring_{};
    bool open_ = false;
    bool ring_registered_ = false;
    std::unique_ptr<std::byte, Unaligned> buffers_;
    io_uring_buf_ring* buffer_ring_ = nullptr;
};

}  // namespace kv::io
