// One node with clients on a machine of their own, under plans of faults: processes that die at any
// I/O point or with the power, and come back with other cores; pauses, disks that hang, clocks that
// run wild, clients that are cut off. Everything the clients saw is checked key by key, and after
// the heal the node answers.
//
//     KV_TEST_SEEDS=100000 build/tests/sim/test_sim --gtest_filter=FaultPlans.*   more
//     KV_TEST_SEED=4711 build/tests/sim/test_sim --gtest_filter=FaultPlans.*      that one

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/sim/history_client.h"
#include "tests/support/fault_player.h"
#include "tests/support/linearizability.h"
#include "tests/support/sim_server.h"
#include "tests/support/swarm_knobs.h"

namespace kv::sim {
namespace {

constexpr std::uint64_t seeds_usual = 600;
constexpr std::uint16_t cores_max = 4;
constexpr std::uint32_t clients = 3;
constexpr std::size_t keys = 4;
/// A client that is told nothing for so long goes away and comes back as another one.
constexpr Duration patience = 3s;
/// From the heal: an attempt to connect that the kernel repeats may sleep for half a minute.
constexpr Duration recovery_max = 60s;

struct Totals {
    std::size_t faults = 0;
    std::size_t starts = 0;
    std::size_t operations = 0;
    std::size_t answered = 0;
    std::size_t given_up = 0;
    std::size_t keys = 0;
    std::size_t undecided = 0;
};

Config config_of(Prng& prng) {
    Config config = small_config();
    config.client.port = 6379;
    config.cluster.shards = static_cast<std::uint16_t>(prng.between(1, 6));
    config.wal.segment_bytes = 32_KiB;
    config.wal.batch_bytes_max = 8_KiB;
    if (prng.chance(0.5)) config.snapshot.interval_entries = prng.between(1, 30);
    return config;
}

class Trial final : public FaultHost {
public:
    Trial(std::uint64_t seed, FaultPlan plan)
        : prng_(Prng::split(seed, "trial")),
          server_(seed, config_of(prng_), swarm_knobs(seed),
                  static_cast<std::uint16_t>(prng_.between(1, cores_max))),
          player_(server_.world, std::move(plan), *this) {}
    ~Trial() {
        server_.clients().kill();
        users_.clear();
    }

    /// What is wrong; empty: nothing.
    std::string run(Totals& totals) {
        const Result<StartReport> started = server_.start();
        if (!started) return "start: " + started.error().text() + "\n";
        endpoint_ = server_.node().endpoint();
        player_.begin();
        while (!player_.healed()) play(100ms);
        expect_recovery();
        read_back();
        const test::CheckReport report = test::check(history_, {.clients_in_order = true});
        totals.faults += player_.played();
        totals.starts += starts_;
        totals.operations += report.operations;
        totals.answered += answered_;
        totals.given_up += given_up_;
        totals.keys += report.keys;
        totals.undecided += report.undecided.size();
        return wrong_ + report.drawing;
    }

private:
    struct User {
        std::unique_ptr<HistoryClient> client;
        std::size_t answered = 0;
        Instant last{};  ///< when that has changed
        bool leaving = false;
    };

    void crash(NodeId, io::Crash kind) override {
        if (server_.running()) server_.crash(kind);
    }
    void restart(NodeId, std::uint16_t cores) override {
        if (server_.running() && !server_.process().dead()) return;
        crash(SimServer::server_node, io::Crash::process);
        // Nothing that the process before was told can take effect any more.
        history_.end_unknown(now());
        if (cores != 0) server_.cores = cores;
        server_.begin_start();
        ++starts_;
    }
    void replace_disk(NodeId) override { KV_UNREACHABLE("the only copy"); }

    /// By the clock of the clients, as the history has it.
    std::int64_t now() { return server_.clients().backend().now().time_since_epoch().count(); }

    /// Lets the world run and looks after the clients.
    void play(Duration time) {
        while (users_.size() < clients) {
            io::Reactor& reactor = server_.clients().reactor();
            User& user = users_.emplace_back();
            user.client = std::make_unique<HistoryClient>(reactor, history_, prng_.next());
            user.last = server_.world.now();
            ClientPlan plan;
            plan.client = ++client_numbers_;
            plan.keys = keys;
            plan.bursts = 10;
            plan.pause_max = 200ms;
            plan.pipeline_max = 4;
            reactor.spawn(user.client->run(endpoint_, plan));
        }
        server_.world.run_for(time);
        for (User& user : users_) {
            if (user.client->answered() != user.answered) user.last = server_.world.now();
            answered_ += user.client->answered() - user.answered;
            user.answered = user.client->answered();
            if (server_.world.now() - user.last < patience || user.leaving) continue;
            user.leaving = true;
            user.client->give_up();
            ++given_up_;
        }
        for (const User& user : users_) wrong_ += user.client->complaint();
        std::erase_if(users_, [](const User& user) { return user.client->ended(); });
    }

    /// The node has started, and answers every client that there is a few times.
    void expect_recovery() {
        const Instant end = player_.heal_time() + recovery_max;
        const auto wait_for = [&](const auto& condition, const char* otherwise) {
            while (!condition() && server_.world.now() < end) play(100ms);
            if (!condition()) wrong_ += otherwise;
        };
        wait_for([&] { return server_.started(); }, "the node has not started\n");
        const std::size_t enough = answered_ + 3 * clients;
        wait_for([&] { return answered_ >= enough; }, "no answers after the heal\n");
    }

    /// What is there at the end was written by somebody, and nothing acknowledged is missing.
    void read_back() {
        if (!wrong_.empty()) return;
        for (const User& user : users_) user.client->give_up();
        server_.world.run_for(1s);
        crash(SimServer::server_node, io::Crash::power_lose_all);
        restart(SimServer::server_node, 0);
        const Result<StartReport> started = server_.finish_start();
        if (!started) {
            wrong_ += "last start: " + started.error().text() + "\n";
            return;
        }
        ClientPlan plan;
        plan.keys = keys;
        for (int tries = 0; reader_answers_ < keys && tries < 20; ++tries) read_once(plan);
        if (reader_answers_ < keys) wrong_ += "the last reads were not answered\n";
    }

    void read_once(ClientPlan plan) {
        plan.client = ++client_numbers_;
        User& user = users_.emplace_back();
        io::Reactor& reactor = server_.clients().reactor();
        user.client = std::make_unique<HistoryClient>(reactor, history_, 0);
        HistoryClient& reader = *user.client;
        reactor.spawn(reader.read_all(endpoint_, plan));
        static_cast<void>(server_.world.run_until([&] { return reader.ended(); }, 20s));
        reader_answers_ = reader.answered();
        if (!reader.ended()) reader.give_up();
    }

    Prng prng_;
    SimServer server_;
    test::History history_;
    std::vector<User> users_;
    FaultPlayer player_;
    io::Endpoint endpoint_;
    std::string wrong_;
    std::uint32_t client_numbers_ = 0;
    std::size_t starts_ = 0;
    std::size_t answered_ = 0;
    std::size_t given_up_ = 0;
    std::size_t reader_answers_ = 0;
};

FaultPlan plan_of(std::uint64_t seed) {
    FaultKnobs knobs;
    knobs.nodes = {SimServer::server_node};
    knobs.clients = {SimServer::client_node};
    knobs.duration = 20s;
    knobs.longest = 10s;
    knobs.cores_max = cores_max;
    return make_fault_plan(seed, FaultProfile::swarm, knobs);
}

/// What is wrong, and the fewest faults with which something is.
std::string run_seed(std::uint64_t seed, Totals& totals) {
    const FaultPlan plan = plan_of(seed);
    const std::string wrong = Trial(seed, plan).run(totals);
    if (wrong.empty()) return wrong;
    const auto fails = [seed](const FaultPlan& smaller) {
        Totals unused;
        return !Trial(seed, smaller).run(unused).empty();
    };
    return wrong + plan.text() + "shrunk:\n" + shrink(plan, fails).text();
}

TEST(FaultPlans, ANodeKeepsItsPromisesAndRecovers) {
    const std::uint64_t one = number_in("KV_TEST_SEED", 0);
    const std::uint64_t seeds = one != 0 ? 1 : number_in("KV_TEST_SEEDS", scaled(seeds_usual));
    Totals totals;
    for (std::uint64_t i = 1; i <= seeds && !HasFailure(); ++i) {
        const std::uint64_t seed = one != 0 ? one : i;
        EXPECT_EQ(run_seed(seed, totals), "")
            << "seed " << seed << "; again: KV_TEST_SEED=" << seed
            << " build/tests/sim/test_sim --gtest_filter=FaultPlans.*";
    }
    fmt::print(
        "{} seeds, {} faults, {} starts, {} operations of {} keys ({} undecided), {} requests "
        "answered, {} clients gave up\n",
        seeds, totals.faults, totals.starts, totals.operations, totals.keys, totals.undecided,
        totals.answered, totals.given_up);
    EXPECT_LE(totals.undecided, totals.keys / 1000);
    if (one == 0) {
        EXPECT_GT(totals.faults, seeds * 3);
        EXPECT_GT(totals.starts, seeds);
        EXPECT_GT(totals.given_up, seeds / 10);
    }
}

}  // namespace
}  // namespace kv::sim
