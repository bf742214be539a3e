#pragma once

/// A node in the simulator whose groups have three voters, of which the other two are the test: it
/// says what they grant, acknowledge and confirm, and who leads a shard in their place. Clients
/// talk to the node through real connections.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/node/acceptor.h"
#include "engine/node/server.h"
#include "io/call.h"
#include "io/sim/sim_process.h"
#include "tests/support/sim_client.h"

namespace kv {

class FakeCluster {
public:
    static constexpr NodeId self{1};
    /// Members 1, 2 and 3 are 10.0.0.N with client port 7000 + N.
    explicit FakeCluster(std::uint64_t seed, std::uint16_t cores = 1);
    ~FakeCluster();

    // What the others do. At first everything but vote.
    bool votes = false;
    bool appends = true;     ///< acknowledge entries
    bool heartbeats = true;  ///< confirm that they follow: reads need one of them
    bool commits = true;     ///< have a majority for what a leader elsewhere overwrites

    /// This node wins all elections; returns when it serves.
    void lead_all();
    /// From now on `node` leads `shard`, in a higher term than ever before.
    void lead_elsewhere(ShardId shard, NodeId node);
    /// The leader elsewhere overwrites what it never got of the shard's log, and commits.
    void overwrite(ShardId shard);
    /// The leader elsewhere is gone, and its connections.
    void lose_leader(ShardId shard);
    /// The same for all shards.
    void lead_all_elsewhere(NodeId node);

    /// A forwarded request, or a reply to one.
    struct Packet {
        bool reply = false;
        NodeId node;  ///< to which it goes, or from which it comes
        Forward forward;
        std::string content;
    };
    /// Lets the node forward: what it sends gathers in `sent`.
    void connect_forwarders();
    std::deque<Packet> sent;
    std::uint64_t way = 0;  ///< of forwarded requests: another number, another connection
    /// The connections of all cores with `node` break.
    void disconnect(NodeId node);
    /// Arrives at the core that it is for.
    void arrive(Packet packet);

    std::unique_ptr<SimClient> connect();
    /// A short-lived client: sends, and expects exactly `reply`.
    void expect(std::string_view request, std::string_view reply);
    void run_for(Duration time) { world.run_for(time); }
    std::size_t cores() const noexcept { return parts_.size(); }
    Server& server(std::size_t core = 0) { return *parts_[core]->server; }
    ReplicaSet& replicas(std::size_t core = 0) { return *parts_[core]->replicas; }
    ReplicaSet& replicas_of(ShardId shard);

    io::SimWorld world;

private:
    /// One core, and what is on its way to it.
    struct Part final : PeerSender, ForwardSender, FailureHandler, io::Timer {
        Part(FakeCluster& c, io::Reactor& r);
        ~Part();
        void send(const Message& message) noexcept override;
        void flush() noexcept override {}
        bool send_forward(NodeId to, const Forward& request) noexcept override;
        bool send_forward_reply(NodeId to, const Forward& reply) noexcept override;
        std::uint64_t way_to(NodeId) const noexcept override { return cluster.way; }
        void on_storage_failed(const Error& error) noexcept override;
        void answer(const Message& request, MessageBody body, Term term);
        void tick();

        FakeCluster& cluster;
        io::Reactor& reactor;
        std::unique_ptr<ReplicaSet> replicas;
        std::unique_ptr<Server> server;
        std::deque<Message> inbox;
        std::deque<Packet> forwards;
        std::uint64_t ticks = 0;
    };
    struct Leader {
        NodeId node;
        Term term;
        std::uint64_t sequence = 0;
        bool overwrites = false;
    };
    static io::SimWorld& with_nodes(io::SimWorld& world);
    static io::Task<void> open(FakeCluster* cluster);
    void speak_for(Part& part, ShardId shard, Leader& leader);

    Config config_;
    io::SimProcess clients_;
    io::SimProcess process_;
    NodeMemory memory_;
    std::vector<std::unique_ptr<Part>> parts_;
    std::unique_ptr<Acceptor> acceptor_;
    std::map<std::uint16_t, Leader> leaders_;  ///< elsewhere, by shard
    std::uint64_t term_ = 100;                 ///< of the newest of them
};

}  // namespace kv
