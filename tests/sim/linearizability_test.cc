// Several clients of a whole node over few keys, with crashes of the process and losses of power at
// random I/O points, and what they saw checked key by key.
//
//     KV_TEST_SEEDS=100000 build/tests/sim/test_sim --gtest_filter=Linearizability.*   more
//     KV_TEST_SEED=4711 build/tests/sim/test_sim --gtest_filter=Linearizability.*      that one

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/sim/history_client.h"
#include "tests/support/linearizability.h"
#include "tests/support/sim_server.h"

namespace kv::sim {
namespace {

constexpr std::uint64_t seeds_usual = 14'000;
/// Of checking one key; beyond it is undecided, which may be one key in a thousand.
constexpr std::uint64_t steps_max = 1'000'000;
/// Cores that a simulated node may have.
constexpr std::uint16_t cores_max = 4;

/// Everything that a seed decides before the world begins.
struct Plan {
    explicit Plan(std::uint64_t seed) {
        Prng prng = Prng::split(seed, "plan");
        cores = static_cast<std::uint16_t>(prng.between(1, cores_max));
        shards = static_cast<std::uint16_t>(prng.between(1, 6));  // also fewer than cores
        clients = static_cast<std::uint32_t>(prng.between(2, 6));
        lives = prng.between(1, 4);
        client.keys = prng.between(1, 6);
        // Some dozens of overlapping writes of one key have too many orders to search.
        client.pipeline_max = std::min(std::size_t{1} << prng.below(5), 3 * client.keys);
        client.bursts = prng.between(4, 24);
        client.value_bytes_max = std::size_t{1} << prng.between(4, 10);
        client.all_commands = prng.chance(0.6);
        client.pause_max = Duration(std::int64_t{1'000} << prng.below(15));
        // Rings that are full all the time, and cores that hear of each other late.
        if (prng.chance(0.7)) knobs.core.mailbox_slots_min = knobs.core.mailbox_slots_max = 1;
        if (prng.chance(0.3)) knobs.core.doorbell = {100us, 5ms};
        if (prng.chance(0.3)) knobs.core.stall_per_million = 20'000;
        other_cores = prng.chance(0.3);
        if (prng.chance(0.4)) snapshot_entries = prng.between(1, 30);
    }
    std::uint16_t cores = 1;   ///< of each process
    bool other_cores = false;  ///< instead: any number, drawn for each
    std::uint16_t shards = 1;
    std::uint32_t clients = 2;
    std::uint64_t lives = 1;
    std::uint64_t snapshot_entries = 0;  ///< a snapshot of a shard after so many; 0: none
    io::SimKnobs knobs;
    ClientPlan client;
};

Config config_of(const Plan& plan) {
    Config config = small_config();
    config.cluster.shards = plan.shards;
    config.wal.segment_bytes = 32_KiB;
    config.wal.batch_bytes_max = 8_KiB;
    config.commit_timeout = 500ms;
    config.snapshot.interval_entries = plan.snapshot_entries;
    return config;
}

class Trial {
public:
    explicit Trial(std::uint64_t seed)
        : plan_(seed),
          prng_(Prng::split(seed, "trial")),
          server_(seed, config_of(plan_), plan_.knobs, plan_.cores) {}

    struct Totals {
        std::size_t keys = 0;
        std::size_t undecided = 0;
        std::size_t operations = 0;
        std::size_t answered = 0;
        std::size_t crashes = 0;
        std::size_t steps = 0;
        std::uint64_t snapshots = 0;
        std::uint64_t messages = 0;    ///< between cores
        std::uint64_t full_rings = 0;  ///< messages that found no room
    };

    /// What is wrong; empty: nothing.
    std::string run(Totals& totals) {
        for (std::uint64_t life = 0; life < plan_.lives && wrong_.empty(); ++life) live();
        read_back();
        const test::CheckReport report =
            test::check(history_, {.steps_max = steps_max, .clients_in_order = true});
        totals.operations += report.operations;
        totals.answered += answered_;
        totals.crashes += crashes_;
        totals.snapshots += snapshots_;
        totals.messages += messages_;
        totals.full_rings += full_rings_;
        totals.steps += report.steps;
        totals.keys += report.keys;
        totals.undecided += report.undecided.size();
        return wrong_ + report.drawing;
    }

private:
    /// One process of the node, with clients, until they are done or it crashes.
    void live() {
        bool crashed = false;
        const bool planned = prng_.chance(0.85);
        if (planned) {
            // Many soon, some late: at its start, under load, and at its stop.
            const std::uint64_t ahead = prng_.below(std::uint64_t{8} << prng_.below(8));
            const io::Crash kind = io::all_crashes[prng_.below(io::all_crashes.size())];
            server_.world.crash_at(SimServer::server_node, server_.disk().io_points() + ahead, kind,
                                   [&crashed] { crashed = true; });
        }
        choose_cores();
        const auto started = server_.start();
        if (!started && !crashed) wrong_ += "start: " + started.error().text() + "\n";
        // What the process before did not make durable is gone.
        if (started) history_.end_unknown(server_.world.now().time_since_epoch().count());
        if (started) {
            serve();
            count();
        }
        server_.world.cancel_crash(SimServer::server_node);  // the sweeps crash stops
        if (!crashed && started && prng_.chance(0.5)) {
            server_.stop();
        } else {
            server_.crash();
        }
        crashes_ += crashed ? 1 : 0;
    }

    void serve() {
        std::vector<std::unique_ptr<HistoryClient>> clients;
        for (std::uint32_t i = 0; i < plan_.clients; ++i) {
            io::Reactor& reactor = server_.clients().reactor();
            clients.push_back(std::make_unique<HistoryClient>(reactor, history_, prng_.next()));
            ClientPlan plan = plan_.client;
            plan.client = ++client_numbers_;
            reactor.spawn(clients.back()->run(server_.node().endpoint(), plan));
        }
        wait_for(clients);
    }

    /// Of the next process.
    void choose_cores() {
        if (!plan_.other_cores) return;
        server_.cores = static_cast<std::uint16_t>(prng_.between(1, cores_max));
    }

    void count() {
        for (std::size_t i = 0; i < server_.cores; ++i) {
            const io::Mailboxes::Counters& mail =
                server_.process().reactor(i).mailboxes().counters();
            messages_ += mail.sent;
            full_rings_ += mail.full_rings;
            snapshots_ += server_.node().replicas(i).snapshot_facts().completed;
        }
    }

    void wait_for(const std::vector<std::unique_ptr<HistoryClient>>& clients) {
        const auto all_ended = [&] {
            return std::ranges::all_of(clients, [](const auto& c) { return c->ended(); });
        };
        if (!server_.world.run_until(all_ended, 120s)) wrong_ += "a client hangs\n";
        for (const auto& client : clients) {
            answered_ += client->answered();
            if (!client->complaint().empty()) wrong_ += client->complaint() + "\n";
        }
    }

    /// What is there at the end was written by somebody, and nothing acknowledged is missing.
    void read_back() {
        choose_cores();
        const auto started = server_.start();
        if (!started) {
            wrong_ += "last start: " + started.error().text() + "\n";
            return;
        }
        history_.end_unknown(server_.world.now().time_since_epoch().count());
        std::vector<std::unique_ptr<HistoryClient>> reader;
        io::Reactor& reactor = server_.clients().reactor();
        reader.push_back(std::make_unique<HistoryClient>(reactor, history_, 0));
        ClientPlan plan = plan_.client;
        plan.client = ++client_numbers_;
        reactor.spawn(reader.back()->read_all(server_.node().endpoint(), plan));
        wait_for(reader);
        if (reader.back()->answered() != plan.keys) wrong_ += "the last reads were not answered\n";
        server_.stop();
    }

    const Plan plan_;
    Prng prng_;
    SimServer server_;
    test::History history_;
    std::string wrong_;
    std::uint32_t client_numbers_ = 0;
    std::size_t answered_ = 0;
    std::size_t crashes_ = 0;
    std::uint64_t snapshots_ = 0;
    std::uint64_t messages_ = 0;
    std::uint64_t full_rings_ = 0;
};

TEST(Linearizability, OfEveryKeyThroughCrashes) {
    const std::uint64_t one = number_in("KV_TEST_SEED", 0);
    const std::uint64_t seeds = one != 0 ? 1 : number_in("KV_TEST_SEEDS", scaled(seeds_usual));
    Trial::Totals totals;
    for (std::uint64_t i = 1; i <= seeds && !HasFailure(); ++i) {
        const std::uint64_t seed = one != 0 ? one : i;
        const std::string wrong = Trial(seed).run(totals);
        EXPECT_EQ(wrong, "") << "seed " << seed << "; again: KV_TEST_SEED=" << seed
                             << " build/tests/sim/test_sim --gtest_filter=Linearizability.*";
    }
    fmt::print(
        "{} seeds, {} crashes, {} operations of {} keys ({} undecided), {} requests answered, {} "
        "steps of checking, {} snapshots, {} messages between cores, {} met a full ring\n",
        seeds, totals.crashes, totals.operations, totals.keys, totals.undecided, totals.answered,
        totals.steps, totals.snapshots, totals.messages, totals.full_rings);
    EXPECT_LE(totals.undecided, totals.keys / 1000);
    if (one == 0) {
        EXPECT_GT(totals.crashes, seeds / 2);
        EXPECT_GT(totals.answered, seeds * 30);
        EXPECT_GT(totals.snapshots, seeds / 3);
        EXPECT_GT(totals.messages, seeds * 30);
        EXPECT_GT(totals.full_rings, seeds * 3);
    }
}

}  // namespace
}  // namespace kv::sim
