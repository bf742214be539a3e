#pragma once

/// A cluster in the simulator for one scene: who plays in it says what happens, and the oracles
/// look on. A client asks what it is told to; others ask at random, if the scene wants them. When
/// the scene ends no oracle has objected, or the one that was announced.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/cluster_client.h"
#include "tests/sim/pipeline_client.h"
#include "tests/support/sim_cluster.h"

namespace kv::sim {

inline constexpr NodeId n1{1};
inline constexpr NodeId n2{2};
inline constexpr NodeId n3{3};
inline constexpr NodeId n4{4};
inline constexpr NodeId n5{5};
inline constexpr ShardId shard0{0};

/// With cluster_config(), which a scene may change before it begins.
ClusterOptions cluster_of(std::uint16_t nodes, std::uint16_t cores = 1, std::uint64_t seed = 1);

/// Its calls let the world run, but for what only looks. Failures are those of GoogleTest.
class Scene {
public:
    /// All nodes start, and each shard gets a leader.
    explicit Scene(ClusterOptions options);
    Scene(const Scene&) = delete;
    ~Scene();

    SimCluster& operator*() { return cluster_; }
    SimCluster* operator->() { return &cluster_; }
    io::SimWorld& world() { return cluster_.world; }

    // The client that does as it is told.
    bool put(const std::string& key, const std::string& value, Duration limit = 20s);
    /// What is there; "": nothing, or no answer.
    std::string get(const std::string& key, Duration limit = 20s);
    /// Puts `count` values, over all shards. A put that nobody answers is left alone, and another
    /// one, of another value, takes its place. False: one could not be put.
    bool put_many(int count);
    /// The same, all in `shard`.
    bool put_in(ShardId shard, int count, std::size_t bytes = 10);
    /// Has `node` propose a put by itself, without a client: nobody waits for it. Whether it was
    /// taken; it is in the log then.
    bool propose(NodeId node, ShardId shard, const std::string& value);
    /// All that put_many() and put_in() did.
    bool all_there();
    /// A key of `shard`.
    std::string key_in(ShardId shard, std::uint64_t number = 0) const;

    // Random clients beside it.
    /// Some that do not wait: they keep asking the node they know for hot_key(0, ...), until
    /// end_traffic().
    void begin_asking(std::uint32_t clients = 3);
    void begin_traffic(std::uint32_t clients = 3);
    void end_traffic();
    /// What they were answered so far.
    std::uint64_t answered() const;
    /// Lets the world run until they were answered `more` requests. False: not within `limit`.
    bool await_answers(std::uint64_t more, Duration limit = 30s);

    // Who is who.
    /// There is one now.
    NodeId leader(ShardId shard);
    /// The lowest that does not lead `shard`.
    NodeId follower(ShardId shard);
    io::SimNodes others(NodeId than) const { return io::all_but(cluster_.nodes(), {than}); }
    const consensus::Raft& raft(NodeId node, ShardId shard = shard0);
    Duration election_timeout() const { return options_.config.raft.election_timeout; }
    /// Lets shards be handed to the nodes that should lead them.
    void let_leaders_settle() { cluster_.play(25s); }
    /// Nobody is elected for so long.
    bool quiet(Duration time);

    /// At the end that oracle will have objected, and first.
    void expect_wrong(std::string oracle) { expected_ = std::move(oracle); }
    /// Everybody is back, equal, and has everything; and what clients were told can be true.
    void expect_whole();
    /// What happened, for messages.
    std::string what();

private:
    bool ask(std::vector<std::string> words, test::OperationKind kind, test::Datum argument,
             Duration limit);
    bool put_again(const std::string& key, const std::string& rest);
    std::unique_ptr<ClusterClient> make_client(ClusterClientPlan plan);

    const ClusterOptions options_;
    SimCluster cluster_;
    test::History history_;
    std::unique_ptr<ClusterClient> client_;
    std::vector<std::unique_ptr<ClusterClient>> traffic_;
    std::vector<std::unique_ptr<PipelineClient>> askers_;
    std::map<std::string, std::string> last_;                   ///< by key: that was put
    std::map<std::string, std::vector<std::string>> given_up_;  ///< by key: of unknown outcome
    std::uint64_t values_ = 0;
    std::uint32_t clients_ = 0;
    std::string expected_;
};

}  // namespace kv::sim
