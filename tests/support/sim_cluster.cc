#include "tests/support/sim_cluster.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/base/log.h"
#include "tests/support/rot.h"

namespace kv::sim {

namespace {

std::string address_of(NodeId node) {
    return fmt::format("10.0.0.{}", node.value());
}

io::SimNodes make_nodes(std::uint16_t count) {
    io::SimNodes nodes;
    for (std::uint16_t i = 1; i <= count; ++i) nodes.push_back(NodeId(i));
    return nodes;
}

}  // namespace

Config cluster_config() {
    Config config;
    config.node.data_dir = "kv/data";
    config.log.level = log::Level::error;
    config.wal.segment_bytes = 64_KiB;
    config.wal.batch_bytes_max = 16_KiB;
    config.limits.value_bytes_max = 8_KiB;
    config.limits.request_bytes_max = 128_KiB;
    return config;
}

io::SimWorld& SimCluster::with_nodes(io::SimWorld& world, const ClusterOptions& options) {
    for (const NodeId node : make_nodes(options.nodes)) {
        world.add_node(node, {address_of(node)});
        world.disk(node).make_directory("kv");
    }
    world.add_node(client_node, {address_of(client_node)});
    return world;
}

SimCluster::SimCluster(ClusterOptions options)
    : world(options.seed, options.knobs),
      options_(std::move(options)),
      nodes_(make_nodes(options_.nodes)),
      clients_(with_nodes(world, options_), client_node),
      books_(nodes_.size(), options_.config.raft.election_timeout),
      durability_(nodes_, logs_, [this](NodeId node) { refresh(node); }),
      liveness_(options_.shards, 1h),
      silence_(options_.config.raft.election_timeout * 2 + silence_max) {
    log::set_level(log::Level::off);
    for (const NodeId node : nodes_) houses_[node].cores = options_.cores;
}

SimCluster::~SimCluster() {
    clients_.kill();
    for (auto& [id, house] : houses_) clear(house);
}

Config SimCluster::config_of(NodeId node) const {
    Config config = options_.config;
    config.node.id = node;
    config.client.bind = address_of(node);
    config.client.port = client_port;
    config.cluster.shards = options_.shards;
    config.peer.bind = address_of(node);
    config.peer.port = peer_port;
    config.peer.insecure = true;
    config.cluster.nodes.clear();
    for (const NodeId other : nodes_) {
        if (nodes_.size() == 1) break;
        config.cluster.nodes.push_back({.id = other,
                                        .host = address_of(other),
                                        .peer_port = peer_port,
                                        .client_port = client_port});
    }
    const Status checked = check_config(config);
    KV_ASSERT(checked.has_value(), "{}", checked.error().text());
    return config;
}

std::vector<io::Endpoint> SimCluster::endpoints() const {
    std::vector<io::Endpoint> endpoints;
    for (const NodeId node : nodes_)
        endpoints.push_back(*io::parse_endpoint(address_of(node), client_port));
    return endpoints;
}

// --- processes -----------------------------------------------------------------------------------

io::Task<void> SimCluster::start_node(Node* node, std::optional<Result<StartReport>>* report) {
    Result<StartReport> started = co_await node->start();
    *report = std::move(started);
}

io::Task<void> SimCluster::stop_node(Node* node, bool* stopped) {
    co_await node->stop();
    *stopped = true;
}

void SimCluster::clear(House& house) {
    if (house.process == nullptr) return;
    house.process->kill();
    house.node.reset();
    house.taps.clear();
    house.process.reset();
    house.report.reset();
    house.ready = false;
}

void SimCluster::start(NodeId id, std::uint16_t cores) {
    House& house = houses_.at(id);
    if (house.away || (house.process != nullptr && !house.process->dead())) return;
    clear(house);
    house.disk_hits = disk_hits(id, house);
    house.struck.reset();
    if (cores != 0) house.cores = cores;
    ++counters_.starts;
    ++house.life;
    note(fmt::format("n{} starts with {} cores", id.value(), house.cores));
    house.process = std::make_unique<io::SimProcess>(world, id, house.cores);
    house.node = std::make_unique<Node>(house.process->reactors(), config_of(id), 4711);
    house.seen.assign(options_.shards, {});
    house.process->reactor().spawn(start_node(house.node.get(), &house.report));
}

void SimCluster::start_all() {
    for (const NodeId node : nodes_) start(node);
}

bool SimCluster::stop(NodeId id, Duration limit) {
    House& house = houses_.at(id);
    note(fmt::format("n{} stops", id.value()));
    bool stopped = false;
    house.process->reactor().spawn(stop_node(house.node.get(), &stopped));
    const bool ended = play_until([&] { return stopped; }, limit);
    house.ready = false;
    if (ended) house.node.reset();
    clear(house);
    return ended;
}

void SimCluster::crash(NodeId id, io::Crash kind) {
    House& house = houses_.at(id);
    if (house.process == nullptr) return;
    note(fmt::format("n{} ends", id.value()));
    house.process->kill(kind);
    clear(house);
}

void SimCluster::replace_disk(NodeId id) {
    world.wipe_disk(id);
    world.disk(id).make_directory("kv");
    logs_[id].forget();
    keeper_.forget(id);
    houses_.at(id).wiped = true;
    note(fmt::format("n{} has an empty disk", id.value()));
}

void SimCluster::fail_disk(NodeId id, const io::SimFault& fault) {
    houses_.at(id).disk_faults.push_back(world.disk(id).add_fault(fault));
}

void SimCluster::rot(NodeId id, std::uint64_t seed) {
    Prng prng(seed);
    const auto done = rot_something(world.disk(id), options_.config.node.data_dir, prng);
    if (!done) return;
    houses_.at(id).rotten = true;
    note(fmt::format("n{}: {}", id.value(), *done));
}

bool SimCluster::up(NodeId id) {
    House& house = houses_.at(id);
    look_for_start(id, house);
    return house.process != nullptr && !house.process->dead() && house.ready;
}

// --- time ----------------------------------------------------------------------------------------

void SimCluster::play(Duration time) {
    static_cast<void>(play_until([] { return false; }, time));
}

bool SimCluster::play_until(const std::function<bool()>& done, Duration limit) {
    return world.run_until(
        [&] {
            look();
            return done();
        },
        limit);
}

// --- leaders -------------------------------------------------------------------------------------

ReplicaSet& SimCluster::replicas(const House& house, ShardId shard) {
    // Shard i is on core i modulo cores (engine/replica/placement.h).
    return house.node->replicas(shard.value() % house.cores);
}

const consensus::Raft& SimCluster::raft(const House& house, ShardId shard) {
    return std::as_const(replicas(house, shard)).replica(shard).group().raft();
}

std::optional<NodeId> SimCluster::leader(ShardId shard) {
    std::optional<NodeId> found;
    Term term;
    for (auto& [id, house] : houses_) {
        if (!up(id)) continue;
        const consensus::Raft& group = raft(house, shard);
        if (!group.ready() || group.term() < term) continue;
        found = id;
        term = group.term();
    }
    return found;
}

std::optional<NodeId> SimCluster::await_leader(ShardId shard, Duration limit) {
    static_cast<void>(play_until([&] { return leader(shard).has_value(); }, limit));
    return leader(shard);
}

std::optional<NodeId> SimCluster::await_other_leader(ShardId shard, NodeId but, Duration limit) {
    const auto other = [&] {
        const auto now = leader(shard);
        return now && *now != but;
    };
    if (!play_until(other, limit)) return std::nullopt;
    return leader(shard);
}

bool SimCluster::await_leaders(Duration limit) {
    return play_until(
        [&] {
            for (std::uint16_t i = 0; i < options_.shards; ++i) {
                if (!leader(ShardId(i))) return false;
            }
            return true;
        },
        limit);
}

// --- the network ---------------------------------------------------------------------------------

std::uint32_t SimCluster::isolate(NodeId node) {
    note(fmt::format("n{} is cut off", node.value()));
    return cut(io::isolate(nodes_, {node}));
}

std::uint32_t SimCluster::split(const io::SimNodes& left, const io::SimNodes& right) {
    note("the network is split");
    return cut(io::split(left, right));
}

bool SimCluster::settle(Duration limit) {
    const auto equal = [&] {
        for (std::uint16_t i = 0; i < options_.shards; ++i) {
            if (!leader(ShardId(i))) return false;
            std::optional<Index> applied;
            for (auto& [id, house] : houses_) {
                if (house.wiped) continue;
                if (!up(id)) return false;
                const consensus::Raft& group = raft(house, ShardId(i));
                if (group.applied_index() != group.last().index) return false;
                if (applied && *applied != group.applied_index()) return false;
                applied = group.applied_index();
            }
        }
        return true;
    };
    const bool settled = play_until(equal, limit);
    if (!settled) note_groups();
    return settled;
}

}  // namespace kv::sim
