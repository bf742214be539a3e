#pragma once

/// One thread of the generator: a ring, a reactor, and its share of the connections. Everything
/// is used by that thread alone, except Shared.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bin/kv-bench/histogram.h"
#include "bin/kv-bench/options.h"
#include "io/reactor.h"
#include "io/socket.h"

namespace kv::bench {

/// What the threads tell each other.
class Shared {
public:
    /// The first failure is kept; it ends all threads' work.
    void fail(std::string text);
    bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }
    std::string failure() const;

    /// Set from a signal handler: phases end early.
    std::atomic<bool> interrupted = false;

private:
    mutable std::mutex mutex_;
    std::string failure_;
    std::atomic<bool> failed_ = false;
};

/// A stretch of load; every phase ends with nothing in flight.
struct Phase {
    bool load = false;  ///< SET of the keys from first_key on, each once
    std::uint64_t first_key = 0;
    std::uint64_t requests = UINT64_MAX;  ///< of this worker
    Duration duration = Duration::max();  ///< no batch starts later; those in flight are awaited
};

/// What a phase has measured; merge() joins those of several threads.
struct Measured {
    Instant started = Instant::max();   ///< first send
    Instant finished = Instant::min();  ///< last reply
    Histogram latency;                  ///< nanoseconds, once per request
    ReplyCounts counts;
    Duration cpu{};  ///< CPU time of the generator's threads

    void merge(const Measured& other);
    Duration elapsed() const noexcept {
        return counts.replies == 0 ? Duration::zero() : finished - started;
    }
};

class Connection;

class Worker {
public:
    /// `first_connection`: the number of its first one among all, which selects their random keys.
    Worker(const Options& options, const Workload& workload, Shared& shared,
           std::size_t first_connection, std::size_t connections);
    Worker(const Worker&) = delete;
    ~Worker();

    /// Makes ring and connections, on the thread that calls this and everything below.
    void open(const std::vector<io::Endpoint>& endpoints);
    /// Does nothing once Shared::failed().
    void run(const Phase& phase, Measured& measured);
    /// Closes all; the destructor needs it done, on the same thread.
    void close();

private:
    friend class Connection;
    /// How many requests the next batch has; 0: the phase is over.
    std::size_t next_batch(Instant now, std::uint64_t& first_key) noexcept;
    void batch_done(Instant sent, Instant now, std::size_t requests) noexcept;
    void fail_connection(const Connection& connection, std::string_view reason, int error);

    const Options& options_;
    const Workload& workload_;
    Shared& shared_;
    std::size_t first_connection_;
    std::size_t connections_wanted_;

    std::unique_ptr<io::Backend> backend_;
    std::optional<io::Reactor> reactor_;
    std::vector<std::unique_ptr<Connection>> connections_;
    io::Endpoint endpoint_;  ///< the one that answered

    // The phase that runs.
    Phase phase_;
    Measured ignored_;  ///< between phases
    Measured* measured_ = &ignored_;
    Instant deadline_;
    Instant last_reply_;
    std::uint64_t requests_left_ = 0;
    std::size_t busy_ = 0;  ///< connections with a batch in flight
    std::size_t open_ = 0;
};

}  // namespace kv::bench
