#pragma once

/// A client of a simulated server, written by a test as a script: it sends bytes in given pieces
/// and collects what comes back. Its calls let the world run, so they are made from outside of any
/// turn. Several may share one process.

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "io/sim/sim_process.h"
#include "io/socket.h"
#include "proto/base/prng.h"

namespace kv {

class SimClient final : private io::Stream::Handler {
public:
    SimClient(io::SimWorld& world, io::SimProcess& process, const io::Endpoint& server);
    SimClient(const SimClient&) = delete;
    /// Closes, and lets the world run until it is closed.
    ~SimClient();

    bool connected() const noexcept { return stream_ != nullptr; }

    /// Queues `bytes` as one piece; a piece is handed over when the one before it is.
    void send(std::string_view bytes);
    /// The same in pieces of 1 to `piece_max` bytes.
    void send_cut(std::string_view bytes, Prng& prng, std::size_t piece_max);
    /// Time between two pieces.
    void set_gap(Duration gap) noexcept { gap_ = gap; }
    /// Whether everything queued was handed over.
    bool all_sent() const noexcept { return pieces_.empty(); }

    /// Stops taking bytes: the server meets back-pressure. Or goes on.
    void set_reading(bool reading);

    /// Runs the world until `bytes` have come, or no more will. False: neither, within `limit`.
    bool wait_for(std::size_t bytes, Duration limit = 60s);
    /// Runs the world until the server has closed.
    bool wait_end(Duration limit = 60s);
    /// What has come and was not taken.
    const std::string& received() const noexcept { return received_; }
    std::string take() { return std::exchange(received_, {}); }
    /// Sends `request` and returns what comes back: waits for `expected_bytes`, then a little
    /// longer, so that an excess shows.
    std::string exchange(std::string_view request, std::size_t expected_bytes);

    /// The server has ended its direction, or the connection broke.
    bool ended() const noexcept { return ended_.has_value(); }
    /// 0: an orderly end; else the errno.
    std::int32_t end_error() const noexcept { return ended_.value_or(0); }
    void close();

private:
    void on_received(Bytes bytes) noexcept override;
    void on_sent(std::size_t bytes) noexcept override;
    void on_ended(std::int32_t error) noexcept override;
    void on_closed() noexcept override { closed_ = true; }
    void send_next();

    struct GapTimer : io::Timer {
        explicit GapTimer(SimClient& c) noexcept
            : Timer([](io::Timer& t) noexcept { static_cast<GapTimer&>(t).client.send_next(); }),
              client(c) {}
        SimClient& client;
    };

    io::SimWorld& world_;
    io::SimProcess& process_;
    std::unique_ptr<io::Stream> stream_;
    std::deque<std::string> pieces_;
    std::size_t piece_sent_ = 0;  ///< of the first piece
    Duration gap_{};
    GapTimer gap_timer_;
    std::string received_;
    std::optional<std::int32_t> ended_;
    bool closed_ = false;
};

}  // namespace kv
