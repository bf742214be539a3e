#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/raft_net.h"

namespace kv::consensus {
namespace {

struct Total {
    std::uint64_t steps = 0;
    std::uint64_t elections = 0;
    std::uint64_t installs = 0;
    std::uint64_t fetches = 0;
    std::uint64_t commits = 0;
    std::uint64_t reads = 0;
    std::uint64_t stalls = 0;
    std::uint64_t torn = 0;  ///< crashes that kept a part of what was handed over
};

/// Sizes so small that every bound is met.
NetOptions options_of(std::uint64_t seed, Prng& prng) {
    NetOptions options;
    options.nodes = prng.chance(0.2) ? 5 : 3;
    options.learners = prng.chance(0.2) ? 1 : 0;
    options.seed = seed;
    options.instant_disk = prng.chance(0.3);
    options.instant_snapshots = prng.chance(0.5);
    options.raft.append_bytes_max = prng.between(50, 400);
    options.raft.inflight_bytes_max = prng.between(50, 2000);
    options.raft.inflight_requests_max = prng.between(1, 8);
    options.raft.cached_bytes_max = prng.between(0, 500);
    return options;
}

class Soup {
public:
    Soup(std::uint64_t seed, Total& total)
        : prng_(Prng::split(seed, "soup")),
          net_(options_of(seed, prng_)),
          nodes_(net_.size()),
          total_(total) {
        loss_ = prng_.chance(0.5) ? prng_.unit() * 0.1 : 0;
        duplicates_ = prng_.chance(0.5) ? prng_.unit() * 0.2 : 0;
        reorders_ = prng_.chance(0.5);
        crashes_ = prng_.chance(0.6) ? 0.004 : 0;
        cuts_ = prng_.chance(0.6) ? 0.004 : 0;
        transfers_ = prng_.chance(0.5) ? 0.004 : 0;
        stalls_ = prng_.chance(0.5) ? 0.004 : 0;
        haste_ = prng_.chance(0.5) ? prng_.between(2, 12) : 1;
        stalled_.resize(nodes_ + 1);
    }

    void run(std::uint64_t steps) {
        for (std::uint64_t i = 0; i < steps && net_.fault.empty(); ++i) {
            one();
            ++total_.steps;
        }
        if (net_.fault.empty()) heal();
        total_.elections += net_.elections;
        total_.installs += net_.installs;
        total_.fetches += net_.fetches;
        total_.commits += net_.committed().value();
    }
    const std::string& fault() const { return net_.fault; }

private:
    std::uint64_t any() { return prng_.between(1, nodes_); }
    bool acts(std::uint64_t node) { return net_.up(node); }

    void one() {
        const std::uint64_t node = any();
        if (prng_.chance(crashes_)) return acts(node) ? crash(node) : net_.restart(node);
        if (prng_.chance(cuts_)) return prng_.chance(0.5) ? net_.heal() : cut(node);
        if (prng_.chance(0.01) && !acts(node)) return net_.restart(node);
        if (prng_.chance(stalls_)) return stall(node);
        const double dice = prng_.unit();
        if (dice < 0.55 && !net_.packets().empty()) return deliver();
        if (dice < 0.70) return persist(node);
        if (dice < 0.76) return net_.pass(10ms * prng_.between(1, haste_));
        if (!acts(node)) return;
        if (dice < 0.92) {
            const std::uint64_t leader = prng_.chance(0.9) ? net_.leader() : node;
            if (leader != 0) net_.propose(leader, std::string(prng_.below(60), 'x'));
            return;
        }
        if (dice < 0.94) return read(node);
        if (dice < 0.96) return net_.snapshot(node);
        if (dice < 0.965) return net_.disconnect(node, any());
        if (dice < 0.98) return static_cast<void>(net_.finish_snapshot(node));
        if (prng_.chance(transfers_ * 10)) return static_cast<void>(net_.transfer(node, any()));
    }

    /// What was handed over may be on the disk up to any record of it.
    void crash(std::uint64_t node) {
        const std::size_t pending = net_.records_pending(node);
        const std::size_t kept = prng_.chance(0.5) ? 0 : prng_.between(0, pending);
        if (kept != 0 && kept != pending) ++total_.torn;
        net_.crash(node, kept);
        stalled_[node] = false;
    }

    void persist(std::uint64_t node) {
        if (!stalled_[node]) net_.persist(node);
    }

    /// A disk that hangs, and is known to; or that works again.
    void stall(std::uint64_t node) {
        if (!acts(node)) return;
        stalled_[node] = !stalled_[node];
        net_.hold_disk(node, stalled_[node]);
        net_.stall(node, stalled_[node]);
        if (stalled_[node]) ++total_.stalls;
    }

    void deliver() {
        const std::size_t at = reorders_ ? prng_.below(net_.packets().size()) : 0;
        if (prng_.chance(loss_)) return net_.drop(at);
        net_.deliver(at, prng_.chance(duplicates_));
        if (net_.packets().size() > 300) net_.drop(prng_.below(net_.packets().size()));
    }

    void cut(std::uint64_t node) {
        if (prng_.chance(0.5)) return net_.isolate(node);
        net_.cut(node, any());
    }

    void read(std::uint64_t node) {
        if (net_.read(node) != 0) ++total_.reads;
    }

    /// Whatever happened: once the network and the disks work, there is a leader, and all agree.
    void heal() {
        net_.heal();
        for (std::uint64_t node = 1; node <= nodes_; ++node) {
            if (!net_.up(node)) net_.restart(node);
            net_.instant_disks();
            net_.stall(node, false);
        }
        net_.run(6s);
        const std::uint64_t leader = net_.leader();
        if (!net_.fault.empty()) return;
        ASSERT_NE(leader, 0u) << "no leader";
        ASSERT_TRUE(net_.propose_and_settle(leader, "end"));
        net_.run(2s);
        for (std::uint64_t node = 1; node <= nodes_ && net_.fault.empty(); ++node) {
            ASSERT_EQ(net_.at(node).commit(), net_.at(leader).last().index) << "node " << node;
            ASSERT_EQ(net_.applied(node), net_.applied(leader)) << "node " << node;
        }
    }

    Prng prng_;
    RaftNet net_;
    std::uint64_t nodes_;
    Total& total_;
    double loss_ = 0;
    double duplicates_ = 0;
    bool reorders_ = false;
    double crashes_ = 0;
    double cuts_ = 0;
    double transfers_ = 0;
    double stalls_ = 0;
    std::uint64_t haste_ = 1;  ///< time passes in steps of up to as many ticks
    std::vector<bool> stalled_;
};

TEST(Soup, WhateverHappensToMessagesDisksAndProcessesTheClusterAgrees) {
    const bool sanitized = std::getenv("KV_TEST_SANITIZED") != nullptr;
    const std::uint64_t seeds = sanitized ? 400 : 3000;
    constexpr std::uint64_t steps_each = 4000;
    Total total;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        SCOPED_TRACE(seed);
        Soup soup(seed, total);
        soup.run(steps_each);
        ASSERT_EQ(soup.fault(), "") << "seed " << seed;
        if (HasFatalFailure()) return;
    }
    EXPECT_GE(total.steps, 1'000'000u);
    EXPECT_GE(total.elections, 1'000u);
    EXPECT_GE(total.installs, 100u);
    EXPECT_GE(total.fetches, 100u);
    EXPECT_GE(total.commits, 10'000u);
    EXPECT_GE(total.reads, 1'000u);
    EXPECT_GE(total.stalls, 100u);
    EXPECT_GE(total.torn, 100u);
    RecordProperty("steps", static_cast<int>(total.steps));
    RecordProperty("stalls", static_cast<int>(total.stalls));
    RecordProperty("torn", static_cast<int>(total.torn));
    RecordProperty("elections", static_cast<int>(total.elections));
    RecordProperty("installs", static_cast<int>(total.installs));
    RecordProperty("commits", static_cast<int>(total.commits));
}

}  // namespace
}  // namespace kv::consensus
