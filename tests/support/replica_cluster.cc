#include "tests/support/replica_cluster.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/await.h"
#include "proto/raft/message_codec.h"

namespace kv {

namespace {

const std::string log_directory = "data/wal";
const std::string snapshot_directory = "data/snapshots";

}  // namespace

ReplicaNode::ReplicaNode(ReplicaCluster& cluster, NodeId id)
    : cluster_(cluster), id_(id), process_(cluster.world, id) {
    FailureHandler& failures = *this;
    set_ = std::make_unique<ReplicaSet>(process_.reactor(), cluster.replica_options(id), failures);
    set_->set_sender(this);
    set_->set_snapshot_routes(this);
    consensus::PeerBook& book = *this;
    consensus::PeerAcceptor::Taker& taker = *this;
    acceptor_ = std::make_unique<consensus::PeerAcceptor>(process_.reactor(), book, taker);
    process_.reactor().spawn(live());
}

ReplicaNode::~ReplicaNode() {
    process_.kill();
}

io::Task<void> ReplicaNode::live() {
    Result<wal::RecoveryReport> report = co_await set_->open();
    opened_.emplace();
    if (!report) opened_.emplace(fail(std::move(report.error())));
    if (*opened_) {
        const io::Endpoint endpoint = *endpoint_of(id_);
        const Result<io::Endpoint> bound = co_await acceptor_->listen(endpoint);
        EXPECT_TRUE(bound.has_value());
    }
    while (*opened_ && !ending_) {
        while (!inbox_.empty()) {
            const auto [from, bytes] = std::move(inbox_.front());
            inbox_.pop_front();
            Message message;
            const Status decoded = decode_message(as_bytes(bytes), {from, id_}, message);
            EXPECT_TRUE(decoded.has_value());
            set_->step(message);
        }
        set_->tick();
        co_await io::SleepAwaiter(process_.reactor(), Duration(1ms));
    }
}

void ReplicaNode::stop() {
    ending_ = true;
    ASSERT_TRUE(process_.run(end(), 1min));
}

io::Task<void> ReplicaNode::end() {
    co_await acceptor_->stop();
    co_await set_->stop();
}

Handshake ReplicaNode::introduce() noexcept {
    Handshake own;
    own.state = NodeState::member;
    own.cluster = {1, 2};
    own.node = id_;
    own.store = {id_.value(), 1};
    own.boot = cluster_.boots_[id_.value() - 1];
    return own;
}

Acquaintance ReplicaNode::know(NodeId node) noexcept {
    return {true, {node.value(), 1}, 0};
}

void ReplicaNode::on_refused(const Handshake&, std::uint16_t verdict, bool) noexcept {
    ADD_FAILURE() << "refused: " << verdict;
}

std::optional<io::Endpoint> ReplicaNode::endpoint_of(NodeId node) noexcept {
    return *io::parse_endpoint(fmt::format("10.0.0.{}", node.value()), 7000);
}

void ReplicaNode::send(const Message& message) noexcept {
    std::string bytes;
    encode_message(message, bytes);
    cluster_.deliver(id_, message.to, std::move(bytes));
}

ReplicaCluster::ReplicaCluster(Options o)
    : options(std::move(o)),
      world(options.seed, options.knobs),
      nodes_(options.nodes),
      cut_(options.nodes),
      boots_(options.nodes) {
    for (std::size_t i = 0; i < options.nodes; ++i) {
        const std::string address = fmt::format("10.0.0.{}", i + 1);
        world.add_node(id(i), {address});
        world.disk(id(i)).make_directory(log_directory);
        world.disk(id(i)).make_directory(snapshot_directory);
    }
}

ReplicaCluster::~ReplicaCluster() = default;

ReplicaSetOptions ReplicaCluster::replica_options(NodeId node) {
    ReplicaSetOptions set;
    set.node = node;
    set.shards = options.shards;
    set.hash_secret = 7;
    set.boot = ++boots_[node.value() - 1];
    for (std::size_t i = 0; i < options.nodes; ++i) {
        Member member;
        member.node = id(i);
        member.store = {id(i).value(), 1};
        set.configuration.members.push_back(std::move(member));
    }
    set.wal.directory = log_directory;
    set.wal.store = {node.value(), 1};
    set.wal.epoch = Epoch(set.boot);
    set.wal.segment_bytes = options.segment_bytes;
    set.snapshot_directory = snapshot_directory;
    set.snapshot_limits = options.limits;
    set.transfer_bytes_per_second = options.transfer_bytes_per_second;
    set.follower_cache_bytes = options.follower_cache_bytes;
    set.wal.bytes_max = options.wal_bytes_max;
    return set;
}

void ReplicaCluster::start(std::size_t number) {
    nodes_[number].reset();
    nodes_[number] = std::make_unique<ReplicaNode>(*this, id(number));
}

void ReplicaCluster::crash(std::size_t number, io::Crash kind) {
    nodes_[number]->process().kill(kind);
    nodes_[number].reset();
}

void ReplicaCluster::stop(std::size_t number) {
    nodes_[number]->stop();
    nodes_[number].reset();
}

void ReplicaCluster::deliver(NodeId from, NodeId to, std::string message) {
    const std::size_t sender = from.value() - 1;
    const std::size_t receiver = to.value() - 1;
    if (receiver >= nodes_.size() || cut_[sender] || cut_[receiver] || !up(receiver)) return;
    nodes_[receiver]->hear(from, std::move(message));
}

std::size_t ReplicaCluster::leader(ShardId shard) {
    std::size_t found = 0;
    const bool leads = run_until([&] {
        for (found = 0; found < nodes_.size(); ++found) {
            if (up(found) && !cut_[found] && nodes_[found]->leads(shard)) return true;
        }
        return false;
    });
    EXPECT_TRUE(leads) << "nobody leads";
    return leads ? found : 0;
}

bool ReplicaCluster::try_put(std::size_t at, std::string_view key, std::string_view value) {
    Command command;
    command.key = key;
    command.value = value;
    ReplicaSet& set = node(at).set();
    const bool taken = !set.propose(set.placement().shard_of(key), command, Waiter{});
    node(at).process().reactor().want_turn();
    return taken;
}

void ReplicaCluster::put(std::string_view key, std::string_view value) {
    const std::size_t at = leader();
    ASSERT_TRUE(run_until([&] { return try_put(at, key, value); }));
    ASSERT_TRUE(run_until([&] { return node(at).set().pending() == 0; }));
}

std::optional<std::string> ReplicaCluster::get(std::size_t at, std::string_view key) {
    const ReplicaSet& set = node(at).set();
    const Store& store = set.store(set.placement().shard_of(key));
    const auto found = store.get(key, store.hash(key));
    if (!found) return std::nullopt;
    return std::string(found->value);
}

bool ReplicaCluster::agree(Duration limit) {
    return run_until(
        [&] {
            std::optional<std::pair<Index, std::uint64_t>> first;
            for (std::uint16_t shard = 0; shard < options.shards; ++shard) {
                first.reset();
                for (std::size_t i = 0; i < nodes_.size(); ++i) {
                    if (!up(i)) continue;
                    if (!nodes_[i]->opened()) return false;
                    const Replica& replica = nodes_[i]->set().replica(ShardId(shard));
                    const Index applied = replica.group().applied();
                    if (applied != replica.group().raft().last().index) return false;
                    if (!first) first = {applied, replica.store().revision().value()};
                    if (applied != first->first) return false;
                    if (replica.store().revision().value() != first->second) return false;
                }
            }
            return true;
        },
        limit);
}

}  // namespace kv
