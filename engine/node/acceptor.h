#pragma once

/// Acceptor: the one listener of a node, on its first core. It hands each client to the core with
/// the fewest connections, where the client stays. (SO_REUSEPORT would spread few connections
/// badly, and would let two servers share a port.) Owner core only.

#include <vector>

#include "engine/node/config.h"
#include "engine/node/server.h"
#include "io/event.h"
#include "io/socket.h"

namespace kv {

class Acceptor final : private io::Listener::Handler, private io::MessageReceiver {
public:
    /// `server`: of the first core.
    Acceptor(io::Reactor& reactor, const Config& config, Server& server);
    Acceptor(const Acceptor&) = delete;
    ~Acceptor();

    /// Listens on client.bind and client.port. Errors: one sentence that says what to do.
    io::Task<Status> listen();
    const io::Endpoint& endpoint() const noexcept { return endpoint_; }
    /// Accepts nothing more; returns once every hand-over has been sent.
    io::Task<void> stop();

    /// How many connections ended on `core`.
    void on_gone(CoreId core, std::uint32_t count) noexcept;
    /// Of all cores.
    std::uint64_t connections() const noexcept { return connections_; }

private:
    void on_accepted(std::int32_t fd) noexcept override;
    void on_accept_error(std::int32_t error) noexcept override;
    void on_listener_closed() noexcept override;
    void on_message(CoreId from, const io::Message& message) noexcept override;
    void accept_again();

    struct RetryTimer : io::Timer {
        explicit RetryTimer(Acceptor& a) noexcept
            : Timer([](io::Timer& t) noexcept {
                  static_cast<RetryTimer&>(t).acceptor.accept_again();
              }),
              acceptor(a) {}
        Acceptor& acceptor;
    };
    static constexpr Duration retry_period = 250ms;

    io::Reactor& reactor_;
    const Config& config_;
    Server& server_;
    io::Listener listener_;
    io::Endpoint endpoint_;
    std::vector<std::uint64_t> connections_of_;  ///< by core
    std::uint64_t connections_ = 0;
    RetryTimer retry_timer_;
    io::Event closed_event_;
    bool listening_ = false;
    bool closed_ = false;
    bool stopping_ = false;
};

}  // namespace kv
