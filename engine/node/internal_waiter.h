#pragma once

/// InternalWaiter: who waits for a command or a read on the core of its shard without being a
/// request of a connection. It is the owner of its waiters, whose core is internal_core; the Router
/// tells it, and nobody else. Owner core only.

#include "engine/node/refusal.h"
#include "engine/replica/replica.h"

namespace kv {

inline constexpr CoreId internal_core{0xffff};

class InternalWaiter {
public:
    virtual void on_applied(const Waiter& waiter, const Store::Applied& result) noexcept = 0;
    virtual void on_refused(const Waiter& waiter, Refused refusal) noexcept = 0;
    virtual void on_readable(const Waiter& waiter, const Store& store) noexcept = 0;

    static InternalWaiter& of(const Waiter& waiter) noexcept {
        return *static_cast<InternalWaiter*>(waiter.owner);
    }
    Waiter waiter(std::uint64_t request = 0) noexcept {
        return Waiter{this, request, 0, internal_core};
    }

protected:
    ~InternalWaiter() = default;
};

}  // namespace kv
