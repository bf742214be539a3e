#include "tests/unit/node/fake_cluster.h"

#include <fmt/format.h>

#include "proto/base/log.h"
#include "tests/support/sim_server.h"

namespace kv {

namespace {

constexpr Duration part_period = 1ms;
constexpr NodeId client_node{9};

Configuration three_members() {
    Configuration configuration;
    for (std::uint64_t i = 1; i <= 3; ++i) {
        Member member;
        member.node = NodeId(i);
        member.store = {i, i};
        member.host = fmt::format("10.0.0.{}", i);
        member.peer_port = 7100;
        member.client_port = static_cast<std::uint16_t>(7000 + i);
        configuration.members.push_back(member);
    }
    return configuration;
}

}  // namespace

io::SimWorld& FakeCluster::with_nodes(io::SimWorld& world) {
    world.add_node(self, {"10.0.0.1"});
    world.add_node(client_node, {"10.0.0.9"});
    for (const char* const path : {"wal", "snapshots"}) world.disk(self).make_directory(path);
    return world;
}

FakeCluster::FakeCluster(std::uint64_t seed, std::uint16_t cores)
    : world(seed),
      config_(small_config()),
      clients_(with_nodes(world), client_node),
      process_(world, self, cores),
      memory_(cores, 0) {
    log::set_level(log::Level::off);
    config_.client.port = 7001;
    for (std::uint16_t i = 0; i < cores; ++i) {
        parts_.push_back(std::make_unique<Part>(*this, process_.reactor(i)));
        Part& part = *parts_.back();
        ReplicaSetOptions options;
        options.node = self;
        options.shards = 4;
        options.cores = cores;
        options.core = CoreId(i);
        options.hash_secret = 99;
        options.boot = 1;
        options.configuration = three_members();
        options.leaders = Leaders::together;  // here, or where a test says
        options.wal.directory = "wal";
        options.wal.store = {1, 1};
        options.wal.core = i;
        options.wal.epoch = Epoch(1);
        options.wal.segment_bytes = 64_KiB;
        options.wal.batch_bytes_max = 16_KiB;
        options.snapshot_directory = "snapshots";
        FailureHandler& failures = part;
        part.replicas = std::make_unique<ReplicaSet>(part.reactor, options, failures);
        part.replicas->set_sender(&part);
        ServerFacts facts;
        facts.node = self;
        facts.cores = cores;
        facts.shards = 4;
        part.server =
            std::make_unique<Server>(part.reactor, config_, *part.replicas, memory_, facts);
    }
    std::vector<Services*> services;
    for (const auto& part : parts_) services.push_back(part->server.get());
    for (const auto& part : parts_) part->server->of_core = services;
    acceptor_ = std::make_unique<Acceptor>(process_.reactor(), config_, *parts_.front()->server);
    EXPECT_TRUE(process_.run(open(this)));
}

FakeCluster::~FakeCluster() {
    process_.kill();
    acceptor_.reset();
    parts_.clear();
}

io::Task<void> FakeCluster::open(FakeCluster* cluster) {
    for (const auto& part : cluster->parts_) {
        auto open_part = [&](io::Reactor&) { return part->replicas->open(); };
        const auto opened =
            co_await io::call_on(cluster->process_.reactor(), part->reactor.core(), open_part);
        EXPECT_TRUE(opened.has_value());
        auto start = [&](io::Reactor& here) {
            part->server->loading = false;
            here.timers().arm(*part, here.now() + part_period);
        };
        co_await io::call_on(cluster->process_.reactor(), part->reactor.core(), start);
    }
    const Status listening = co_await cluster->acceptor_->listen();
    EXPECT_TRUE(listening.has_value());
}

ReplicaSet& FakeCluster::replicas_of(ShardId shard) {
    return *parts_[replicas().placement().core_of(shard).value()]->replicas;
}

void FakeCluster::connect_forwarders() {
    for (const auto& part : parts_) part->server->forwarder.set_sender(part.get());
}

void FakeCluster::disconnect(NodeId node) {
    for (const auto& part : parts_) {
        part->server->replicas.disconnected(node);
        part->server->forwarder.disconnected(node);
    }
    run_for(5ms);
}

void FakeCluster::arrive(Packet packet) {
    const Placement& placement = replicas().placement();
    CoreId core = Forwarder::core_of_request(packet.forward.request, placement.cores());
    if (!packet.reply) {
        ShardId shard;
        ASSERT_TRUE(placement.shard_of(packet.forward.group, shard));
        core = placement.core_of(shard);
    }
    parts_[core.value()]->forwards.push_back(std::move(packet));
}

std::unique_ptr<SimClient> FakeCluster::connect() {
    auto client = std::make_unique<SimClient>(world, clients_, acceptor_->endpoint());
    EXPECT_TRUE(client->connected());
    return client;
}

void FakeCluster::expect(std::string_view request, std::string_view reply) {
    EXPECT_EQ(connect()->exchange(request, reply.size()), reply) << "to " << request;
}

void FakeCluster::lead_all() {
    votes = true;
    leaders_.clear();
    const auto all_ready = [&] {
        for (std::uint16_t i = 0; i < 4; ++i) {
            if (!replicas_of(ShardId(i)).replica(ShardId(i)).group().ready()) return false;
        }
        return true;
    };
    ASSERT_TRUE(world.run_until(all_ready, 30s));
    votes = false;
}

void FakeCluster::lead_elsewhere(ShardId shard, NodeId node) {
    const Term term = replicas_of(shard).replica(shard).group().raft().term();
    term_ = std::max(term_, term.value()) + 1;
    leaders_[shard.value()] = {node, Term(term_)};
    const auto known = [&] { return replicas_of(shard).leader(shard) == node; };
    ASSERT_TRUE(world.run_until(known, 10s));
}

void FakeCluster::lead_all_elsewhere(NodeId node) {
    for (std::uint16_t i = 0; i < 4; ++i) lead_elsewhere(ShardId(i), node);
}

void FakeCluster::overwrite(ShardId shard) {
    leaders_.at(shard.value()).overwrites = true;
    const auto done = [&] { return !leaders_.at(shard.value()).overwrites; };
    ASSERT_TRUE(world.run_until(done, 10s));
}

void FakeCluster::lose_leader(ShardId shard) {
    const NodeId node = leaders_.at(shard.value()).node;
    leaders_.erase(shard.value());
    disconnect(node);
}

// --- one core ------------------------------------------------------------------------------------

FakeCluster::Part::Part(FakeCluster& c, io::Reactor& r)
    : Timer([](io::Timer& t) noexcept { static_cast<Part&>(t).tick(); }), cluster(c), reactor(r) {}

FakeCluster::Part::~Part() {
    reactor.timers().disarm(*this);
}

void FakeCluster::Part::on_storage_failed(const Error& error) noexcept {
    ADD_FAILURE() << error.text();
}

void FakeCluster::Part::send(const Message& message) noexcept {
    if (const auto* vote = std::get_if<VoteRequest>(&message.body); vote && cluster.votes) {
        answer(message, VoteReply{vote->pre, true}, message.term);
    } else if (const auto* append = std::get_if<AppendRequest>(&message.body);
               append && cluster.appends) {
        const Index match(append->previous.index.value() + append->entries.size());
        answer(message, AppendReply{false, match, {}}, message.term);
    } else if (const auto* heartbeat = std::get_if<HeartbeatRequest>(&message.body);
               heartbeat && cluster.heartbeats) {
        answer(message, HeartbeatReply{heartbeat->read}, message.term);
    }
}

void FakeCluster::Part::answer(const Message& request, MessageBody body, Term term) {
    inbox.push_back({request.group, request.to, request.from, term, request.boot, request.sequence,
                     std::move(body)});
}

bool FakeCluster::Part::send_forward(NodeId to, const Forward& request) noexcept {
    cluster.sent.push_back({false, to, request, std::string(as_text(request.content))});
    return true;
}

bool FakeCluster::Part::send_forward_reply(NodeId to, const Forward& reply) noexcept {
    cluster.sent.push_back({true, to, reply, std::string(as_text(reply.content))});
    return true;
}

void FakeCluster::Part::tick() {
    for (Packet& packet : std::exchange(forwards, {})) {
        packet.forward.content = as_bytes(packet.content);
        Forwarder& forwarder = server->forwarder;
        packet.reply ? forwarder.on_reply(packet.node, packet.forward)
                     : forwarder.on_request(packet.node, packet.forward);
    }
    std::deque<Message> now = std::exchange(inbox, {});
    for (const Message& message : now) replicas->step(message);
    if (++ticks % 10 == 0) {
        for (auto& [shard, leader] : cluster.leaders_) {
            if (replicas->has(ShardId(shard))) cluster.speak_for(*this, ShardId(shard), leader);
        }
        replicas->tick();
    }
    reactor.timers().arm(*this, reactor.now() + part_period);
}

/// That it lives; and, when it is to, that an entry of its own stands behind what is committed.
void FakeCluster::speak_for(Part& part, ShardId shard, Leader& leader) {
    const consensus::Raft& raft = part.replicas->replica(shard).group().raft();
    Message message{
        Placement::group_of(shard),        leader.node, self, leader.term, 1, ++leader.sequence,
        HeartbeatRequest{raft.commit(), 0}};
    if (!std::exchange(leader.overwrites, false)) return part.replicas->step(message);
    const LogPosition previous{raft.term_at(raft.commit()), raft.commit()};
    std::string entry(entry_header_bytes, '\0');
    seal_entry({reinterpret_cast<std::byte*>(entry.data()), entry.size()}, message.group,
               leader.term, previous.index.next(), 1, EntryKind::noop);
    const Index commit = commits ? previous.index.next() : previous.index;
    message.body = AppendRequest{previous, commit, {as_bytes(entry)}};
    part.replicas->step(message);
}

}  // namespace kv
