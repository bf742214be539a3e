#pragma once

/// Nodes in the simulator that have nothing but transports: they say what a test tells them, and
/// note what they hear. Groups belong to core `group % cores`.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "consensus/drive/peer_acceptor.h"
#include "io/sim/sim_process.h"
#include "io/sim/sim_world.h"

namespace kv::consensus {

class SimPeer;

/// One core of a node.
class SimPeerCore final : public PeerBook,
                          public PeerHandler,
                          public io::MessageReceiver,
                          private io::TurnHook {
public:
    static constexpr std::uint32_t adopt_kind = 1;
    static constexpr std::uint32_t block_kind = 2;

    SimPeerCore(SimPeer& node, io::Reactor& reactor, const LinkLimits& limits);
    ~SimPeerCore();

    Handshake introduce() noexcept override;
    Acquaintance know(NodeId node) noexcept override;
    void on_met(const Handshake& theirs) noexcept override;
    void on_refused(const Handshake& theirs, std::uint16_t verdict, bool by_them) noexcept override;
    CoreId core_of(GroupId group) noexcept override;
    CoreId core_of_request(std::uint64_t request) noexcept override;
    std::string& block_of(CoreId core, NodeId from) noexcept override;
    void on_inbox(NodeId peer, const Inbox& inbox) noexcept override;
    void on_connected(NodeId peer, std::uint64_t boot) noexcept override;
    void on_disconnected(NodeId peer) noexcept override;
    void on_unreachable(NodeId peer) noexcept override;
    void on_message(CoreId from, const io::Message& message) noexcept override;

    /// A message of this core's own, for a group of any core over there; the number comes back in
    /// `heard` of that core.
    bool say(NodeId to, GroupId group, std::uint64_t number, std::size_t entry_bytes = 0);
    bool beat(NodeId to, GroupId group, std::uint64_t number);

    SimPeer& node;
    io::Reactor& reactor;
    Transport transport;
    std::map<NodeId, std::vector<std::uint64_t>> heard;  ///< sequences, in order
    std::set<std::uint64_t> groups_heard;
    std::map<NodeId, std::uint64_t> connected_boot;  ///< of those that are connected
    std::uint64_t disconnections = 0;
    std::uint64_t unreachable = 0;
    bool echo = false;  ///< says what it hears

private:
    struct Block {
        NodeId from;
        std::string bytes;
    };
    void at_turn_end() override;
    std::map<std::pair<CoreId, NodeId>, std::string> blocks_;
};

class SimPeer final : public PeerAcceptor::Taker {
public:
    static constexpr std::uint16_t port = 7000;

    /// The node `id` is made in `world` by the first of its lives. Pins the stores of `others`.
    SimPeer(io::SimWorld& world, NodeId id, std::uint16_t cores = 1, std::uint64_t boot = 1,
            const LinkLimits& limits = {});
    ~SimPeer();

    static io::Endpoint endpoint_of(NodeId node, std::uint16_t port = SimPeer::port);
    /// Listens, and connects to `others`.
    void start(std::vector<PeerAddress> others);
    void start(std::initializer_list<NodeId> others);
    /// An orderly end.
    void stop();
    void kill(io::Crash crash = io::Crash::process) { process.kill(crash); }

    bool connected(NodeId to) const;  ///< all cores
    std::uint64_t heard_from(NodeId peer) const;

    io::SimWorld& world;
    io::SimProcess process;
    Handshake self;
    std::map<NodeId, Acquaintance> known;
    std::vector<std::uint16_t> refused;       ///< verdicts of this node
    std::vector<std::uint16_t> refused_here;  ///< verdicts of others about this node
    std::vector<NodeId> met;
    std::vector<std::unique_ptr<SimPeerCore>> cores;
    std::unique_ptr<PeerAcceptor> acceptor;

private:
    io::Task<void> begin(std::vector<PeerAddress> others);
    io::Task<void> end();
    void take(std::int32_t fd, const Handshake& theirs, CoreId core) noexcept override;
};

}  // namespace kv::consensus
