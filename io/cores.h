#pragma once

/// Cores: the reactors of a node on io_uring, one per core, each on a thread of its own but the
/// first, which is on the thread that runs the node.
///
///     start()   makes every ring and every reactor, each on its own thread. No turn yet: objects
///               for a core may be built on its reactor from the calling thread.
///     run()     all of them turn, the first one here, until the first one is stopped; then the
///               others are. The program has come to rest by then: what they still had to say to
///               each other is not said any more.
///     ~Cores    each thread destroys its reactor and its ring, and ends. Only when no operation is
///               in flight; a program that ends in the middle of things ends with _exit.
///
/// With one core there is no thread beside the caller's.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "io/interconnect.h"
#include "io/reactor.h"
#include "io/uring/ring.h"
#include "proto/base/result.h"

namespace kv::io {

/// The CPUs that this process may use, in ascending order.
std::vector<int> usable_cpus();

struct CoresOptions {
    /// By core, the CPU that its thread is bound to; not_bound: whichever. At least one.
    std::vector<int> cpus = usable_cpus();
    UringOptions uring;
    std::size_t mailbox_slots = Interconnect::slots_default;

    static constexpr int not_bound = -1;
};

class Cores {
public:
    /// Errors, one sentence each, and nothing is left behind: `unsupported`, no ring can be made;
    /// `config`, a CPU that this process may not use; `io`, no thread or descriptor can be had.
    static Result<std::unique_ptr<Cores>> start(const CoresOptions& options);
    Cores(const Cores&) = delete;
    ~Cores();

    std::size_t size() const noexcept { return reactors_.size(); }
    /// By core; they live as long as this.
    std::span<Reactor* const> reactors() const noexcept { return reactors_; }

    /// Once. Returns when no reactor turns any more.
    void run();

    /// Any thread, e.g. one that is no reactor: runs `work` in a turn of `core`, in the order of
    /// posting; never if the reactor is stopped before. Takes a lock and a system call. Not more
    /// than works_max at a time.
    static constexpr std::size_t works_max = 4096;
    using Work = std::move_only_function<void(Reactor& reactor)>;
    void post(CoreId core, Work work);

private:
    struct Core;
    struct Shared;

    Cores() noexcept;
    Status make(Core& core, const CoresOptions& options);
    static void destroy(Core& core);
    void thread_main(Core& core, const CoresOptions& options);

    std::unique_ptr<Shared> shared_;
    std::unique_ptr<Interconnect> interconnect_;
    std::vector<std::unique_ptr<Core>> cores_;
    std::vector<Reactor*> reactors_;
};

}  // namespace kv::io
