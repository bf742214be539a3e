#pragma once

/// Server: accepts clients, owns their connections, carries what was applied to them, and answers
/// what concerns the node as a whole (INFO, CONFIG GET, COMMAND). Owner core only.

#include <list>
#include <memory>

#include "engine/node/connection.h"
#include "engine/node/services.h"
#include "io/event.h"
#include "io/socket.h"

namespace kv {

struct ServerFacts {
    StoreId store;
    NodeId node;
    std::string data_dir;
    std::string backend;
    std::uint64_t process_id = 0;
};

class Server final : public Services,
                     private AppliedHandler,
                     private io::Listener::Handler,
                     private io::TurnHook {
public:
    /// How long stop() waits for clients to take their last replies.
    static constexpr Duration drain_timeout = 5s;
    /// How long after that for connections to close.
    static constexpr Duration close_timeout = 1s;

    Server(io::Reactor& reactor, const Config& config, ReplicaSet& replicas, ServerFacts facts);
    ~Server();

    /// Listens on client.bind and client.port. Errors: one sentence that says what to do.
    io::Task<Status> listen();
    const io::Endpoint& endpoint() const noexcept { return endpoint_; }

    /// Accepts and reads nothing more, finishes what was begun, closes.
    io::Task<void> stop();

    void mark(Connection& connection) noexcept override;
    void on_gone(Connection& connection) noexcept override;
    void answer_node(const Request& request, Connection& asker, ReplyWriter& reply) override;
    /// INFO: the sections whose names are in `sections`, all when there are none.
    std::string info(std::span<const std::string_view> sections);
    std::size_t connections() const noexcept { return connections_.size(); }

private:
    void answer_client_list(const Request& request, ReplyWriter& reply);
    void answer_client_kill(const Request& request, Connection& asker, ReplyWriter& reply);
    void answer_config_get(std::span<const std::string_view> patterns, ReplyWriter& reply);
    void on_applied(std::span<const Applied> applied) noexcept override;
    void on_readable(const Replica& replica, std::span<const Waiter> readers) noexcept override;
    void on_accepted(std::int32_t fd) noexcept override;
    void on_accept_error(std::int32_t error) noexcept override;
    void on_listener_closed() noexcept override;
    void at_turn_end() override;
    void tick();
    void sweep_gone();

    struct TickTimer : io::Timer {
        explicit TickTimer(Server& s) noexcept
            : Timer([](io::Timer& t) noexcept { static_cast<TickTimer&>(t).server.tick(); }),
              server(s) {}
        Server& server;
    };
    static constexpr Duration tick_period = 250ms;

    ServerFacts facts_;
    io::Listener listener_;
    io::Endpoint endpoint_;
    std::list<std::unique_ptr<Connection>> connections_;
    std::vector<Connection*> marked_;
    std::vector<Connection*> marked_before_;
    std::uint64_t gone_ = 0;  ///< connections that may be destroyed
    TickTimer tick_timer_;
    io::Event changed_;
    Instant started_;
    std::uint64_t requests_at_tick_ = 0;
    double requests_per_second_ = 0;
    bool accept_again_ = false;
    bool listening_ = false;
    bool listener_closed_ = false;
};

}  // namespace kv
