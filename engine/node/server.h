#pragma once

/// Server: the clients of one core. It owns their connections, carries to them what became of their
/// requests, and knows this core's part of what concerns the node as a whole. Owner core only.

#include <memory>
#include <vector>

#include "engine/node/connection.h"
#include "engine/node/info.h"
#include "engine/node/router.h"
#include "engine/node/services.h"
#include "io/event.h"
#include "io/socket.h"

namespace kv {

class Acceptor;

/// Which other nodes this core has a connection with.
class PeerView {
public:
    virtual bool connected(NodeId peer) const noexcept = 0;
    virtual consensus::PeerTraffic traffic(NodeId peer) const noexcept = 0;

protected:
    ~PeerView() = default;
};

class Server final : public Services,
                     private RouteHandler,
                     private ForwardHandler,
                     private io::MessageReceiver,
                     private io::TurnHook {
public:
    /// Messages to another core: a client to adopt (value: its descriptor); and to the first core:
    /// how many connections are gone (value).
    static constexpr std::uint32_t client_kind = Router::first_free_kind;
    static constexpr std::uint32_t gone_kind = client_kind + 1;
    static constexpr std::uint32_t first_free_kind = gone_kind + 1;

    /// In a cluster, stop() answers what still comes until nothing has for so long,
    static constexpr Duration see_off_quiet_min = 200ms;
    /// or for so long.
    static constexpr Duration see_off_max = 1s;
    /// How long stop() waits then for clients to take their last replies.
    static constexpr Duration drain_timeout = 5s;
    /// How long after that for connections to close.
    static constexpr Duration close_timeout = 1s;

    Server(io::Reactor& reactor, const Config& config, ReplicaSet& replicas, NodeMemory& memory,
           ServerFacts facts);
    ~Server();

    /// On the first core: who is told of connections that are gone. Elsewhere a message is sent.
    void set_acceptor(Acceptor* acceptor) noexcept { acceptor_ = acceptor; }
    /// Where clients reach the node.
    void set_port(std::uint16_t port) noexcept { facts_.port = port; }
    /// For INFO. Null, as at first: no other node is connected.
    void set_peers(const PeerView* peers) noexcept { peers_ = peers; }
    /// Takes over a connected descriptor.
    void adopt(std::int32_t fd);
    /// Tells a client why not, and closes.
    void refuse(std::int32_t fd, std::string_view reason);
    /// Ends all connections. In a cluster this node leads nothing by now, and clients are told
    /// where to go until they have gone. Then, or else at once, nothing more is read, what was
    /// begun is finished, and the connections are closed.
    io::Task<void> stop();

    void mark(Connection& connection) noexcept override;
    void on_gone(Connection& connection) noexcept override;
    void answer_node(const Request& request, Connection& asker, ReplyWriter& reply) override;
    NodeFacts node_facts() override;
    CoreFacts core_facts() override;
    void list_clients(const ClientFilter& filter, std::vector<ClientInfo>& out) override;
    std::int64_t kill_clients(const ClientFilter& filter, const Connection& asker,
                              std::uint64_t asker_id) override;
    void apply_settings(const Config& changed) override;
    void reset_statistics() override;
    std::size_t connections() const noexcept { return connections_.size(); }

private:
    void answer_config_get(const Request& request, ReplyWriter& reply);
    void on_applied(const Waiter& waiter, const Store::Applied& result) noexcept override;
    void on_refused(const Waiter& waiter, Refused refusal) noexcept override;
    void on_read(const Waiter& waiter, const std::optional<Store::Found>& found) noexcept override;
    void on_readable(const Waiter& waiter, const Store& store) noexcept override;
    void on_forwarded(const Waiter& waiter, const ForwardAnswer& answer) noexcept override;
    void on_uncongested() noexcept override;
    void on_message(CoreId from, const io::Message& message) noexcept override;
    void at_turn_end() override;
    io::Task<void> see_off();
    void tick();
    void sweep() noexcept;
    void sweep_gone();
    void publish_memory() noexcept;
    void measure_buffers() noexcept;
    void measure_clients() noexcept;

    struct TickTimer : io::Timer {
        explicit TickTimer(Server& s) noexcept
            : Timer([](io::Timer& t) noexcept { static_cast<TickTimer&>(t).server.tick(); }),
              server(s) {}
        Server& server;
    };
    struct SweepTimer : io::Timer {
        explicit SweepTimer(Server& s) noexcept
            : Timer([](io::Timer& t) noexcept { static_cast<SweepTimer&>(t).server.sweep(); }),
              server(s) {}
        Server& server;
    };
    static constexpr Duration tick_period = 250ms;
    static constexpr Duration see_off_period = 20ms;
    /// Connections that are looked at in one turn; all are in a tick_period or so. Each is some
    /// cache misses, and a walk over ten thousand keeps everybody waiting for milliseconds.
    static constexpr std::size_t sweep_step = 128;
    /// For how long one turn collects and sends replies; connections that are left have the next.
    static constexpr Duration answer_max = 500us;

    ServerFacts facts_;
    Router router_;
    Acceptor* acceptor_ = nullptr;
    const PeerView* peers_ = nullptr;
    std::vector<std::unique_ptr<Connection>> connections_;  ///< each knows its place
    std::uint64_t answered_turn_ = UINT64_MAX;              ///< the last whose answers have left
    std::vector<Connection*> marked_;
    std::vector<Connection*> marked_before_;
    std::vector<Connection*> gone_;  ///< of this turn: may be destroyed
    TickTimer tick_timer_;
    SweepTimer sweep_timer_;
    std::size_t swept_ = 0;          ///< connections, from the front: looked at in this sweep
    std::uint64_t swept_bytes_ = 0;  ///< their memory
    MemoryFacts memory_;             ///< of this core; the buffers as of the last tick
    io::Event changed_;
    Instant started_;
    std::uint64_t requests_at_tick_ = 0;
    double requests_per_second_ = 0;
    Instant times_due_{};
};

}  // namespace kv
