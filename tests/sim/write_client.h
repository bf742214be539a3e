#pragma once

/// A client on a simulated machine of its own: sends SET and DEL in RESP, pipelined, and enters
/// what is acknowledged into a Ledger.

#include <deque>
#include <memory>
#include <string>

#include "io/event.h"
#include "io/socket.h"
#include "proto/base/prng.h"
#include "tests/sim/ledger.h"

namespace kv::sim {

struct Workload {
    std::size_t keys = 20;
    std::size_t value_bytes_max = 600;
    std::size_t pipeline = 8;  ///< requests sent at once
    std::size_t bursts = 10;
    Duration pause_max = 20ms;  ///< between bursts
    double deletes = 0.2;
};

class WriteClient final : private io::Stream::Handler {
public:
    WriteClient(io::Reactor& reactor, Ledger& ledger)
        : reactor_(reactor), ledger_(ledger), wake_(reactor) {}

    /// Connects to `server` and runs `workload`; ends early when the connection does.
    io::Task<void> run(io::Endpoint server, Workload workload, std::uint64_t seed);
    /// The last reply that was not an acknowledgement; empty: there was none.
    const std::string& refusal() const noexcept { return refusal_; }

private:
    void on_received(Bytes bytes) noexcept override;
    void on_sent(std::size_t bytes) noexcept override;
    void on_ended(std::int32_t error) noexcept override;
    void on_closed() noexcept override;
    void add_request(const Workload& workload, Prng& prng);
    void send_rest() noexcept;

    io::Reactor& reactor_;
    Ledger& ledger_;
    io::Event wake_;
    std::unique_ptr<io::Stream> stream_;
    std::string sending_;
    std::size_t sent_ = 0;
    std::string received_;
    std::deque<std::size_t> waiting_;  ///< numbers of unanswered requests
    std::string refusal_;
    std::uint64_t values_ = 0;
    bool ended_ = false;
    bool closed_ = false;
};

}  // namespace kv::sim
