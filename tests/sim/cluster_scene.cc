#include "tests/sim/cluster_scene.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/replica/placement.h"
#include "tests/support/linearizability.h"

namespace kv::sim {

namespace {

constexpr int tries_max = 20;  // of one put
constexpr std::uint64_t check_steps_max = 5'000'000;
constexpr std::uint64_t keys = 20;      // of put_many()
constexpr std::uint64_t keys_in = 300;  // of put_in()
constexpr std::size_t keys_of_traffic = 16;

io::Task<void> run(ClusterClient* client, std::vector<std::string> words, test::OperationKind kind,
                   test::Datum argument, Duration limit, std::optional<bool>* answered) {
    const bool done = co_await client->ask(std::move(words), kind, std::move(argument), limit);
    *answered = done;
}

}  // namespace

ClusterOptions cluster_of(std::uint16_t nodes, std::uint16_t cores, std::uint64_t seed) {
    ClusterOptions options;
    options.seed = seed;
    options.nodes = nodes;
    options.cores = cores;
    options.config = cluster_config();
    return options;
}

Scene::Scene(ClusterOptions options) : options_(options), cluster_(std::move(options)) {
    cluster_.start_all();
    EXPECT_TRUE(cluster_.await_leaders()) << what();
}

Scene::~Scene() {
    const std::string oracle = cluster_.wrong() ? cluster_.wrong()->oracle : std::string();
    EXPECT_EQ(oracle, expected_) << what();
    cluster_.clients().kill();
    client_.reset();
    traffic_.clear();
    askers_.clear();
}

std::string Scene::what() {
    std::string out;
    for (const std::string& event : cluster_.events()) out += event + "\n";
    return out;
}

// --- the client that does as it is told ----------------------------------------------------------

std::unique_ptr<ClusterClient> Scene::make_client(ClusterClientPlan plan) {
    plan.client = ++clients_;
    return std::make_unique<ClusterClient>(
        cluster_.clients().reactor(), cluster_.endpoints(), history_,
        [this] { return cluster_.world.now().time_since_epoch().count(); }, plan,
        options_.seed + plan.client,
        [this](std::string_view key, std::string_view value) {
            cluster_.acknowledged(key, value);
        });
}

bool Scene::ask(std::vector<std::string> words, test::OperationKind kind, test::Datum argument,
                Duration limit) {
    if (client_ == nullptr) client_ = make_client({});
    std::optional<bool> answered;
    cluster_.clients().reactor().spawn(
        run(client_.get(), std::move(words), kind, std::move(argument), limit, &answered));
    // An attempt that its node does not answer ends some time after the limit.
    const bool ended =
        cluster_.play_until([&] { return answered.has_value(); }, limit * 2 + Duration(1s));
    EXPECT_TRUE(ended);
    return answered.value_or(false);
}

bool Scene::put(const std::string& key, const std::string& value, Duration limit) {
    return ask({"SET", key, value}, test::OperationKind::set, test::Datum::of(value), limit);
}

std::string Scene::get(const std::string& key, Duration limit) {
    const bool answered = ask({"GET", key}, test::OperationKind::get, {}, limit);
    return answered ? client_->answer().text : std::string();
}

bool Scene::put_again(const std::string& key, const std::string& rest) {
    for (int tries = 0; tries < tries_max; ++tries) {
        // Who is asked may know of no leader, or of one that has just died.
        if (tries > 0) cluster_.play(100ms);
        last_[key] = fmt::format("v{}.{}", ++values_, rest);
        if (put(key, last_[key])) return true;
        given_up_[key].push_back(last_[key]);
    }
    return false;
}

bool Scene::put_many(int count) {
    bool all = true;
    for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(count); ++i) {
        all = put_again(fmt::format("m{}", i % keys), "") && all;
    }
    return all;
}

bool Scene::put_in(ShardId shard, int count, std::size_t bytes) {
    bool all = true;
    for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(count); ++i) {
        all = put_again(key_in(shard, i % keys_in), std::string(bytes, 'x')) && all;
    }
    return all;
}

bool Scene::propose(NodeId node, ShardId shard, const std::string& value) {
    const std::string key = key_in(shard);
    Command command;
    command.key = key;
    command.value = value;
    const Index before = raft(node, shard).last().index;
    if (cluster_.replicas(node, shard).propose(shard, command, Waiter{})) return false;
    cluster_.process(node).reactor(shard.value() % cluster_.cores(node)).want_turn();
    cluster_.play(2ms);
    return raft(node, shard).last().index > before;
}

bool Scene::all_there() {
    for (const auto& [key, value] : last_) {
        // A put that was refused was tried again with more at its end. One of which nobody knew
        // what became may be the last of all: a node that was paused goes on with what had come.
        const std::string found = get(key);
        const auto is_it = [&](const std::string& put) { return found.starts_with(put); };
        if (!is_it(value) && std::ranges::none_of(given_up_[key], is_it)) return false;
    }
    return true;
}

std::string Scene::key_in(ShardId shard, std::uint64_t number) const {
    const Placement placement(options_.shards, 1);
    for (std::uint64_t i = 0;; ++i) {
        std::string key = fmt::format("s{}", i);
        if (placement.shard_of(key) == shard && number-- == 0) return key;
    }
}

// --- random clients ------------------------------------------------------------------------------

void Scene::begin_traffic(std::uint32_t clients) {
    for (std::uint32_t i = 0; i < clients; ++i) {
        ClusterClientPlan plan;
        plan.keys = keys_of_traffic;
        plan.timeout = 1s;
        traffic_.push_back(make_client(plan));
        cluster_.clients().reactor().spawn(traffic_.back()->run());
    }
}

void Scene::begin_asking(std::uint32_t clients) {
    for (std::uint32_t i = 0; i < clients; ++i) {
        PipelineClientPlan plan;
        plan.client = ++clients_;
        plan.pause_max = 20ms;
        plan.patience = 30s;
        io::Reactor& reactor = cluster_.clients().reactor();
        askers_.push_back(std::make_unique<PipelineClient>(
            reactor, cluster_.endpoints(), history_,
            [this] { return cluster_.world.now().time_since_epoch().count(); }, plan,
            options_.seed + plan.client));
        reactor.spawn(askers_.back()->send());
        reactor.spawn(askers_.back()->receive());
    }
}

void Scene::end_traffic() {
    for (const auto& client : traffic_) client->stop();
    for (const auto& client : askers_) client->stop();
    const auto has_ended = [](const auto& client) { return client->ended(); };
    const auto ended = [&] {
        return std::ranges::all_of(traffic_, has_ended) && std::ranges::all_of(askers_, has_ended);
    };
    EXPECT_TRUE(cluster_.play_until(ended, 10s));
    for (const auto& client : askers_) EXPECT_EQ(client->complaint(), "");
    for (const auto& client : traffic_) EXPECT_EQ(client->complaint(), "");
}

std::uint64_t Scene::answered() const {
    std::uint64_t answered = 0;
    for (const auto& client : traffic_) answered += client->counters().answered;
    for (const auto& client : askers_) answered += client->answered();
    return answered;
}

bool Scene::await_answers(std::uint64_t more, Duration limit) {
    const std::uint64_t wanted = answered() + more;
    return cluster_.play_until([&] { return answered() >= wanted; }, limit);
}

// --- who is who ----------------------------------------------------------------------------------

NodeId Scene::leader(ShardId shard) {
    const auto leader = cluster_.await_leader(shard);
    EXPECT_TRUE(leader) << what();
    return leader.value_or(n1);
}

NodeId Scene::follower(ShardId shard) {
    return leader(shard) == n1 ? n2 : n1;
}

const consensus::Raft& Scene::raft(NodeId node, ShardId shard) {
    return cluster_.raft(node, shard);
}

bool Scene::quiet(Duration time) {
    const std::uint64_t before = cluster_.counters().elections;
    cluster_.play(time);
    return cluster_.counters().elections == before;
}

void Scene::expect_whole() {
    end_traffic();
    EXPECT_TRUE(cluster_.settle()) << what();
    cluster_.check_logs();
    cluster_.check_nothing_lost();
    EXPECT_TRUE(all_there()) << what();
    const test::CheckReport report = test::check(history_, {.steps_max = check_steps_max});
    EXPECT_TRUE(report.wrong.empty()) << report.drawing;
}

}  // namespace kv::sim
