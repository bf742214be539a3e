#pragma once

/// Peers: what one core of a node says to the other nodes and hears from them. It introduces this
/// node, knows whom to believe, hands messages to the replicas of their core, and lets time pass
/// for them. On the first core it also accepts connections, and there a node without a cluster
/// forms one (engine/node/forming.h) before there are replicas. Owner core only.
///
///     replicas -> transport ~~> transport of a peer -> its replicas, on whichever core
///
/// What arrives for other cores is copied once, into blocks that their mailboxes carry at the end
/// of the turn.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "consensus/drive/peer_acceptor.h"
#include "consensus/drive/transport.h"
#include "engine/node/config.h"
#include "engine/node/data_directory.h"
#include "engine/node/forming.h"
#include "engine/node/server.h"
#include "engine/replica/replica_set.h"
#include "io/event.h"

namespace kv {

class Peers final : public PeerSender,
                    public ForwardSender,
                    public PeerView,
                    private consensus::PeerBook,
                    private consensus::PeerHandler,
                    private consensus::PeerAcceptor::Taker,
                    private consensus::SnapshotRoutes,
                    private io::MessageReceiver,
                    private io::TurnHook {
public:
    static constexpr std::uint32_t adopt_kind = Server::first_free_kind + 2;  ///< a connection
    static constexpr std::uint32_t block_kind = adopt_kind + 1;     ///< messages for this core
    static constexpr std::uint32_t returned_kind = adopt_kind + 2;  ///< a parcel, empty
    /// How often time passes for the replicas.
    static constexpr Duration tick_period = 10ms;
    /// How often a node that waits to become a member says so again.
    static constexpr Duration reminder_period = 5s;
    /// Of what was passed on to other cores and has not come back: beyond, nothing is read from
    /// any peer until half of it has. (A turn that began below may go beyond.)
    static constexpr std::size_t passed_parcels_max = 1024;
    static constexpr std::size_t passed_bytes_max = std::size_t{8} << 20;

    Peers(io::Reactor& reactor, const Config& config, const DataDirectory& directory);
    /// After stop(), or when the simulator has crashed the process.
    ~Peers();

    /// Takes over what the directory says of this node and of the others by now; connections are
    /// made anew, so that the others hear of it.
    void introduce_as(const DataDirectory& directory);
    /// Connects to the others.
    void connect();
    /// Before `replicas` opens.
    void introduce_to(ReplicaSet& replicas) {
        replicas.set_sender(this);
        replicas.set_snapshot_routes(this);
    }
    /// Takes part in the groups of `replicas` from now on, and carries what clients ask of others.
    void serve(ReplicaSet& replicas, Forwarder& forwarder);
    io::Task<void> stop();

    // On the first core:
    /// Accepts the others. Error: `io`, the address is in use.
    io::Task<Status> listen();
    /// Returns once this node is a member of its cluster. Says in the log what it waits for.
    /// Errors: those of DataDirectory::form.
    io::Task<Status> form(DataDirectory& directory);

    // PeerSender
    void send(const Message& message) noexcept override;
    void flush() noexcept override;

    // ForwardSender
    bool send_forward(NodeId to, const Forward& request) noexcept override {
        return transport_.send_forward(to, request);
    }
    bool send_forward_reply(NodeId to, const Forward& reply) noexcept override {
        return transport_.send_forward_reply(to, reply);
    }
    std::uint64_t way_to(NodeId node) const noexcept override { return transport_.way_to(node); }
    // PeerView
    bool connected(NodeId peer) const noexcept override { return transport_.connected(peer); }
    consensus::PeerTraffic traffic(NodeId peer) const noexcept override {
        return transport_.traffic(peer);
    }
    const consensus::Transport& transport() const noexcept { return transport_; }
    /// Null but on the first core, and there before listen().
    const consensus::PeerAcceptor* acceptor() const noexcept { return acceptor_.get(); }

    struct Counters {
        std::uint64_t blocks_refused = 0;    ///< of other cores, for this one
        std::uint64_t reading_pauses = 0;    ///< for want of room on another core
        std::size_t passed_parcels_max = 0;  ///< most that were under way at a time
    };
    const Counters& counters() const noexcept { return counters_; }

private:
    /// What crosses to another core. It belongs to the core that made it, which gets it back.
    struct Parcel {
        NodeId from;
        std::string block;     ///< of block_kind
        bool refused = false;  ///< of returned_kind: the block could not be read
        std::int32_t fd = -1;  ///< of adopt_kind, as is
        Handshake theirs;
    };
    struct TickTimer : io::Timer {
        explicit TickTimer(Peers& p) noexcept
            : Timer([](io::Timer& timer) noexcept { static_cast<TickTimer&>(timer).peers.tick(); }),
              peers(p) {}
        Peers& peers;
    };
    struct ReminderTimer : io::Timer {
        explicit ReminderTimer(Peers& p) noexcept
            : Timer([](io::Timer& timer) noexcept {
                  static_cast<ReminderTimer&>(timer).peers.remind();
              }),
              peers(p) {}
        Peers& peers;
    };

    // consensus::PeerBook
    Handshake introduce() noexcept override { return own_; }
    Acquaintance know(NodeId node) noexcept override;
    void on_met(const Handshake& theirs) noexcept override;
    void on_refused(const Handshake& theirs, std::uint16_t verdict, bool by_them) noexcept override;
    // consensus::PeerHandler
    CoreId core_of(GroupId group) noexcept override;
    CoreId core_of_request(std::uint64_t request) noexcept override;
    std::string& block_of(CoreId core, NodeId from) noexcept override;
    void on_inbox(NodeId peer, const Inbox& inbox) noexcept override;
    void on_connected(NodeId peer, std::uint64_t boot) noexcept override;
    void on_disconnected(NodeId peer) noexcept override;
    void on_unreachable(NodeId peer) noexcept override;
    // consensus::SnapshotRoutes
    consensus::PeerBook& book() noexcept override { return *this; }
    std::optional<io::Endpoint> endpoint_of(NodeId node) noexcept override;
    // consensus::PeerAcceptor::Taker
    void take(std::int32_t fd, const Handshake& theirs, CoreId core) noexcept override;
    // io::MessageReceiver, io::TurnHook
    void on_message(CoreId from, const io::Message& message) noexcept override;
    void at_turn_end() override;

    Parcel& take_parcel();
    void on_returned(Parcel& parcel);
    void refuse(Parcel& parcel, const Error& error);
    void tick();
    void remind();
    void heard(const Handshake& theirs);
    void adopt(std::int32_t fd, const Handshake& theirs);
    io::Task<void> close(std::int32_t fd);
    Handshake introduction(const DataDirectory& directory) const;
    FormingSelf self_of(const DataDirectory& directory) const;
    StoreId mint(const DataDirectory& directory, const Configuration& formed);
    io::Task<Status> take_step(DataDirectory& directory, FormingDecision decision);

    io::Reactor& reactor_;
    const Config& config_;
    const Placement* placement_ = nullptr;  ///< of replicas_
    ReplicaSet* replicas_ = nullptr;        ///< null: not yet
    Forwarder* forwarder_ = nullptr;        ///< with them
    Handshake own_;                         ///< before the transport, which asks for it
    std::map<NodeId, Acquaintance> known_;
    std::vector<consensus::PeerAddress> addresses_;
    consensus::Transport transport_;
    std::unique_ptr<consensus::PeerAcceptor> acceptor_;  ///< on the first core
    std::map<NodeId, PeerSaid> said_;                    ///< while forming, on the first core
    bool told_leaders_ = false;  ///< that a node has another cluster.leaders
    io::Event heard_;
    std::string told_;  ///< what was logged of forming last
    ReminderTimer reminder_;
    static constexpr std::size_t kept_block_bytes_max = std::size_t{512} << 10;
    std::map<std::pair<CoreId, NodeId>, std::string> blocks_;
    std::vector<std::unique_ptr<Parcel>> parcels_;  ///< as many as were ever under way at a time
    std::vector<Parcel*> free_parcels_;
    std::size_t passed_parcels_ = 0;
    std::size_t passed_bytes_ = 0;
    consensus::LogRate refused_rate_;
    Counters counters_;
    Inbox inbox_;
    TickTimer tick_timer_;
    bool connecting_ = false;
    bool stopping_ = false;
};

}  // namespace kv
