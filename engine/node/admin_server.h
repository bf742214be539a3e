#pragma once

/// AdminServer: the admin port, HTTP on the first core of the node. It accepts, reads heads of
/// requests and sends what AdminPages answers, one request of a connection at a time. Whoever
/// reaches the port is a stranger: heads, connections and times are bounded, and nothing that comes
/// can end the process. Owner core only.

#include <memory>
#include <vector>

#include "engine/node/config.h"
#include "io/event.h"
#include "io/socket.h"
#include "proto/http/http_request.h"
#include "proto/http/http_response.h"

namespace kv {

class AdminPages;

class AdminServer final : private io::Listener::Handler {
public:
    /// At a time; beyond, connections are closed at once.
    static constexpr std::size_t connections_max = 64;
    /// For the whole head of a request, from the connection or the answer before it on; for the
    /// answer; and for taking it.
    static constexpr Duration patience = 10s;

    AdminServer(io::Reactor& reactor, const Config& config, AdminPages& pages);
    AdminServer(const AdminServer&) = delete;
    /// After stop(), or when the simulator has crashed the process.
    ~AdminServer();

    /// Listens on admin.bind and admin.port. Errors: one sentence that says what to do.
    io::Task<Status> listen();
    /// Closes everything; returns once no answer is being made.
    io::Task<void> stop();
    const io::Endpoint& endpoint() const noexcept { return endpoint_; }
    std::size_t connections() const noexcept { return connections_.size(); }

private:
    class Connection;
    struct TickTimer : io::Timer {
        explicit TickTimer(AdminServer& s) noexcept
            : Timer([](io::Timer& t) noexcept { static_cast<TickTimer&>(t).server.tick(); }),
              server(s) {}
        AdminServer& server;
    };
    static constexpr Duration tick_period = 250ms;

    void on_accepted(std::int32_t fd) noexcept override;
    void on_accept_error(std::int32_t error) noexcept override;
    void on_listener_closed() noexcept override;
    void tick();
    void sweep();

    io::Reactor& reactor_;
    const Config& config_;
    AdminPages& pages_;
    io::Listener listener_;
    io::Endpoint endpoint_;
    std::vector<std::unique_ptr<Connection>> connections_;
    TickTimer tick_timer_;
    io::Event changed_;
    bool accept_failed_ = false;
    bool listening_ = false;
    bool closed_ = false;
    bool stopping_ = false;
};

}  // namespace kv
