#pragma once

/// One thread of the generator: a ring, a reactor, and its share of the connections. It decides
/// what each connection sends when. Everything is used by that thread alone, except Shared,
/// HistoryFile and Monitor.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bin/kv-bench/cluster_load.h"
#include "bin/kv-bench/connection.h"
#include "bin/kv-bench/measured.h"
#include "bin/kv-bench/monitor.h"
#include "bin/kv-bench/options.h"
#include "bin/kv-bench/pacer.h"
#include "io/reactor.h"

namespace kv::bench {

/// A stretch of load; every phase ends with nothing in flight.
struct Phase {
    bool load = false;  ///< SET of the keys from first_key on, each once
    std::uint64_t first_key = 0;
    std::uint64_t requests = UINT64_MAX;  ///< of this worker
    /// No batch starts later, those in flight are awaited. In an open loop what was due until then
    /// is still sent, for as long again.
    Duration duration = Duration::max();
    double rate = 0;  ///< requests a second of this worker, in an open loop; 0: closed loop
};

class Worker {
public:
    /// `first_connection`: the number of its first one among all, which selects their random keys.
    /// `history`, `keeper`: null for none; with `keeper` the load is a cluster's.
    Worker(const Options& options, const Workload& workload, Shared& shared, HistoryFile* history,
           MapKeeper* keeper, std::size_t first_connection, std::size_t connections);
    Worker(const Worker&) = delete;
    ~Worker();

    /// Makes ring and connections, on the thread that calls this and everything below. `endpoints`
    /// are those of the server; of a cluster its nodes'.
    void connect(const std::vector<io::Endpoint>& endpoints);
    /// Does nothing once Shared::failed(), or when interrupted.
    void run(const Phase& phase, Measured& measured, Monitor& monitor);
    /// Closes all; the destructor needs it done, on the same thread.
    void close();

    // For its connections.
    const Options& options() const noexcept { return options_; }
    const Workload& workload() const noexcept { return workload_; }
    io::Reactor& reactor() noexcept { return *reactor_; }
    Instant clock() noexcept { return backend_->now(); }
    /// What replies are counted into.
    ReplyCounts& counts() noexcept { return cluster_ ? cluster_->counts() : measured_->counts; }
    bool paced() const noexcept { return phase_.rate > 0; }
    /// Null: one server.
    ClusterLoad* cluster() noexcept { return cluster_ ? &*cluster_ : nullptr; }
    /// Open loop: requests `first`... of a batch, counted from its start, are answered.
    void paced_replies(const Batch& batch, std::size_t first, std::size_t count,
                       Instant now) noexcept;
    /// The batch is answered whole.
    void finished(Connection& connection, Instant sent, Instant now, std::size_t requests);
    void misunderstood(const Connection& connection, std::string_view what);
    void ended(Connection& connection, int error);
    void closed(Connection& connection);

    // For its ClusterLoad.
    Measured& measured() noexcept { return *measured_; }
    bool loading() const noexcept { return phase_.load; }
    /// When request `number` of an open loop is due.
    Instant intended(std::uint64_t number) const noexcept { return pacer_.intended(number); }
    void record_latency(Duration latency, std::uint64_t requests = 1) noexcept;
    /// Up to `most` requests that may be sent now; as with what is drawn, they are to be sent.
    Batch take(std::size_t most, Instant now) noexcept;
    /// Nothing that waits unsent is to be sent any more.
    bool drops_unsent(Instant now) const noexcept;
    void began_batch(Instant now) noexcept;
    void gave_up_batch() noexcept { --busy_; }
    void attach(Connection& connection, std::int32_t fd);

private:
    /// The phase ends with its duration, not with a count of requests.
    bool timed() const noexcept { return phase_.requests == UINT64_MAX; }
    bool over(Instant now) const noexcept { return requests_left_ == 0 || now >= deadline_; }
    Batch next_batch(Instant now, std::size_t among) noexcept;
    std::uint64_t due_and_not_taken(Instant now) const noexcept;
    void offer(Connection& connection, Instant now);
    void offer_to_idle(Instant now);
    void push_idle(Connection& connection) noexcept;
    void begin(const Phase& phase, Measured& measured, Monitor& monitor);
    void look_around(Instant now);
    void check_silence(Instant now);
    void reconnect(Instant now);
    void give_up(Connection& connection, std::string_view kind, std::string_view why);
    void finish_interval(Instant now);
    Duration wait_max(Instant now) const noexcept;
    const io::Endpoint& endpoint(const Connection& connection) const noexcept {
        return cluster_ ? cluster_->endpoint(connection) : endpoint_;
    }
    std::string lost_text(const Connection& connection, int error) const;

    const Options& options_;
    const Workload& workload_;
    Shared& shared_;
    HistoryFile* history_;
    std::size_t first_connection_;
    std::size_t connections_wanted_;

    MapKeeper* keeper_;

    std::unique_ptr<io::Backend> backend_;
    std::optional<io::Reactor> reactor_;
    std::vector<std::unique_ptr<Connection>> connections_;
    io::Endpoint endpoint_;  ///< the one that answered; not of a cluster
    std::size_t open_ = 0;
    bool closing_ = false;
    std::optional<ClusterLoad> cluster_;
    std::vector<Connection*> lost_;  ///< to be connected again
    Instant reconnect_at_;

    // The phase that runs.
    Phase phase_;
    Measured ignored_;  ///< between phases
    Measured* measured_ = &ignored_;
    Monitor* monitor_ = nullptr;
    Instant start_;
    Instant planned_end_;
    Instant deadline_;
    Instant last_reply_;
    Instant silence_check_at_;
    Instant interrupted_at_ = Instant::max();
    std::uint64_t requests_left_ = 0;
    std::size_t busy_ = 0;  ///< connections with a batch in flight
    bool stopped_ = false;  ///< interrupted, and waited long enough for replies

    // Open loop.
    Pacer pacer_;
    std::uint64_t taken_ = 0;  ///< requests that were given to connections
    Connection* idle_front_ = nullptr;
    Connection* idle_back_ = nullptr;
    std::size_t idle_ = 0;

    // The interval that runs.
    Histogram latency_;
    std::size_t interval_ = 0;
    Instant interval_start_;
    std::uint64_t errors_before_ = 0;
};

}  // namespace kv::bench
