#pragma once

/// Backend: what a reactor needs from the world. Two implementations: io_uring (io/uring) and the
/// simulator (io/sim). Everything above is linked unchanged into both. Owner core only.
///
/// submit() never completes inline: completions come from poll(), which is the only function that
/// may block. An operation is finished by exactly one completion without `more`. Completions of
/// different operations come in any order; a sync promises nothing about writes that had not
/// completed when it was submitted.

#include <memory>
#include <string>

#include "io/endpoint.h"
#include "io/op.h"
#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/base/units.h"

namespace kv::io {

class Backend {
public:
    virtual ~Backend() = default;

    void submit(Op& op) {
        KV_ASSERT(!op.in_flight_);
        op.in_flight_ = true;
        start(op);
    }
    /// Asks for an early end. The operation completes all the same, with its result or -ECANCELED.
    /// Not in flight: does nothing.
    void cancel(Op& op) {
        if (op.in_flight_) request_cancel(op);
    }
    /// Hands over what was submitted and delivers the completions that are there; when there are
    /// none, waits up to `wait_max` for the first. `time` is set to now() when the wait is over,
    /// for those who take the completions. Returns how many were delivered.
    virtual std::size_t poll(Duration wait_max, Instant& time) = 0;
    /// Ends the wait of the poll that another core of this node is in, or its next one. Handed over
    /// with what was submitted. Waking more than once, or a core that does not wait, is harmless.
    virtual void wake(CoreId core) = 0;

    virtual Instant now() noexcept = 0;           ///< monotonic
    virtual std::int64_t wall_ns() noexcept = 0;  ///< since 1970-01-01 UTC; may jump
    /// CPU time that this core's thread has used, in the program and for it in the kernel. A system
    /// call: for measuring. In a simulation none passes.
    virtual Duration cpu_time() noexcept { return {}; }
    /// Address of a connected descriptor, the peer's or our own. Without a network: loopback, and
    /// the descriptor as port.
    virtual Endpoint endpoint_of(std::int32_t fd, bool peer) noexcept {
        (void)peer;
        Endpoint out;
        out.address = {127, 0, 0, 1};
        out.port = static_cast<std::uint16_t>(fd);
        return out;
    }
    virtual void fill_entropy(MutableBytes out) noexcept = 0;

    /// The bytes of a provided buffer, from its completion until it is recycled.
    virtual std::byte* buffer(std::uint16_t id) noexcept = 0;
    virtual void recycle(std::uint16_t id) noexcept = 0;

    /// What is in use, as one field value for the start line ("io_uring defer_taskrun ...").
    virtual std::string describe() const = 0;

protected:
    virtual void start(Op& op) = 0;
    virtual void request_cancel(Op& op) = 0;

    static void complete(Op& op, std::int32_t result, Completion completion) noexcept {
        KV_ASSERT(op.in_flight_);
        op.in_flight_ = completion.more;
        op.complete_(op, result, completion);
    }
    static std::uint64_t& slot(Op& op) noexcept { return op.backend_slot_; }
    /// The simulator's process crash: the operation will never complete.
    static void abandon(Op& op) noexcept { op.in_flight_ = false; }
};

}  // namespace kv::io
