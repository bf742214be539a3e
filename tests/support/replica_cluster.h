#pragma once

/// Nodes in the simulator that are a ReplicaSet each, of one core, joined by pipes that carry
/// messages without a network; snapshots go over the simulated one. For what replicas do with each
/// other and with their disks.

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "consensus/drive/peer_acceptor.h"
#include "engine/replica/replica_set.h"
#include "io/sim/sim_process.h"
#include "io/sim/sim_world.h"

namespace kv {

class ReplicaCluster;

/// One life of one node.
class ReplicaNode final : private PeerSender,
                          private FailureHandler,
                          private consensus::PeerBook,
                          private consensus::SnapshotRoutes,
                          private consensus::PeerAcceptor::Taker {
public:
    ReplicaNode(ReplicaCluster& cluster, NodeId id);
    ~ReplicaNode();

    ReplicaSet& set() noexcept { return *set_; }
    io::SimProcess& process() noexcept { return process_; }
    /// Nothing: it is still on its way.
    const std::optional<Status>& opened() const noexcept { return opened_; }
    /// An orderly end.
    void stop();
    bool dead() const noexcept { return process_.dead(); }
    bool leads(ShardId shard) const noexcept { return set_->replica(shard).group().ready(); }
    void hear(NodeId from, std::string message) { inbox_.emplace_back(from, std::move(message)); }

    std::optional<Error> failure;

private:
    void send(const Message& message) noexcept override;
    void flush() noexcept override {}
    void on_storage_failed(const Error& error) noexcept override { failure = error; }
    Handshake introduce() noexcept override;
    Acquaintance know(NodeId node) noexcept override;
    void on_met(const Handshake&) noexcept override {}
    void on_refused(const Handshake&, std::uint16_t verdict, bool) noexcept override;
    consensus::PeerBook& book() noexcept override { return *this; }
    std::optional<io::Endpoint> endpoint_of(NodeId node) noexcept override;
    void take(std::int32_t fd, const Handshake& theirs, CoreId) noexcept override {
        set_->adopt_snapshot(fd, theirs);
    }
    io::Task<void> live();
    io::Task<void> end();

    ReplicaCluster& cluster_;
    const NodeId id_;
    io::SimProcess process_;
    std::unique_ptr<ReplicaSet> set_;
    std::unique_ptr<consensus::PeerAcceptor> acceptor_;
    std::optional<Status> opened_;
    bool ending_ = false;
    std::deque<std::pair<NodeId, std::string>> inbox_;
};

class ReplicaCluster {
public:
    struct Options {
        std::uint64_t seed = 1;
        std::uint64_t nodes = 3;
        std::uint16_t shards = 1;
        std::uint64_t segment_bytes = std::uint64_t{64} << 10;
        Retention::Limits limits{};
        std::uint64_t transfer_bytes_per_second = std::uint64_t{64} << 20;
        std::size_t follower_cache_bytes = std::size_t{64} << 20;
        std::uint64_t wal_bytes_max = 0;  ///< 0: derived
        io::SimKnobs knobs{};
    };
    explicit ReplicaCluster(Options options);
    ~ReplicaCluster();

    static NodeId id(std::size_t number) noexcept { return NodeId(number + 1); }
    ReplicaNode& node(std::size_t number) noexcept { return *nodes_[number]; }
    bool up(std::size_t number) const noexcept {
        return nodes_[number] != nullptr && !nodes_[number]->dead();
    }
    /// A life, from recovery on; finished by run_until().
    void start(std::size_t number);
    void crash(std::size_t number, io::Crash kind = io::Crash::process);
    void stop(std::size_t number);
    /// The messages from and to this node are lost, or not any more.
    void cut(std::size_t number, bool cut) { cut_[number] = cut; }
    bool run_until(const std::function<bool()>& done, Duration limit = 30s) {
        return world.run_until(done, limit);
    }
    /// Runs until one of the nodes leads `shard`, and says which.
    std::size_t leader(ShardId shard = ShardId(0));
    /// Puts key and value at the leader, and runs until they are applied there.
    void put(std::string_view key, std::string_view value);
    /// Proposes without waiting; whether it was taken.
    bool try_put(std::size_t at, std::string_view key, std::string_view value);
    std::optional<std::string> get(std::size_t at, std::string_view key);
    /// Runs until all nodes that are up have applied the same. False: not in time.
    bool agree(Duration limit = 30s);

    void deliver(NodeId from, NodeId to, std::string message);

    const Options options;
    io::SimWorld world;

private:
    friend class ReplicaNode;
    ReplicaSetOptions replica_options(NodeId node);

    std::vector<std::unique_ptr<ReplicaNode>> nodes_;
    std::vector<bool> cut_;
    std::vector<std::uint64_t> boots_;
};

}  // namespace kv
