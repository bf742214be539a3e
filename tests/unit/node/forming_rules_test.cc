// Forming as a whole: some dumb nodes that carry out what decide_forming() says, in every order,
// with crashes and lost disks wherever they can happen.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "engine/node/forming.h"
#include "proto/base/prng.h"

namespace kv {
namespace {

constexpr std::uint32_t shards = 4;

/// What is durable of a node, and so all that it can say.
struct Disk {
    std::uint8_t replaced = 0;  ///< how often the disk was lost
    Membership membership = Membership::empty;
    std::uint8_t cluster = 0;  ///< position in Model::clusters, from 1; 0: none
    auto operator<=>(const Disk&) const = default;
};

struct Node {
    Disk disk;
    std::vector<std::optional<Disk>> heard;  ///< by node; lost in a crash
    auto operator<=>(const Node&) const = default;
};

/// Some nodes, and what must never happen to them.
class Model {
public:
    explicit Model(std::size_t count) : nodes_(count) {
        std::vector<ClusterNode> list;
        for (std::size_t i = 0; i < count; ++i) {
            nodes_[i].heard.resize(count);
            list.push_back({.id = NodeId(i + 1), .host = "127.0.0.1"});
        }
        listed_ = listed(list);
    }

    // --- what can happen -------------------------------------------------------------------------

    /// `node` has a handshake with `peer`: it knows what is on that disk now.
    void hear(std::size_t node, std::size_t peer) { nodes_[node].heard[peer] = nodes_[peer].disk; }

    /// `node` does what it has to; durable at once, for a crash before that is a crash before it.
    FormingStep act(std::size_t node) {
        Disk& disk = nodes_[node].disk;
        const FormingDecision decision = decide(node);
        switch (decision.step) {
            case FormingStep::mint:
                clusters_.push_back(decision.formed);
                disk.cluster = static_cast<std::uint8_t>(clusters_.size());
                disk.membership = Membership::forming;
                break;
            case FormingStep::adopt:
                disk.cluster = static_cast<std::uint8_t>(decision.cluster.high);  // id_of()
                disk.membership = Membership::forming;
                EXPECT_EQ(decision.formed, clusters_[disk.cluster - 1]);
                break;
            case FormingStep::join: disk.membership = Membership::member; break;
            case FormingStep::wait:
            case FormingStep::serve:
            case FormingStep::stay_out:
            case FormingStep::refuse: break;
        }
        if (disk.membership == Membership::member && first_ == 0) first_ = disk.cluster;
        return decision.step;
    }

    void crash(std::size_t node) {
        for (auto& heard : nodes_[node].heard) heard.reset();
    }
    void lose_disk(std::size_t node) {
        crash(node);
        Disk& disk = nodes_[node].disk;
        disk = {.replaced = static_cast<std::uint8_t>(disk.replaced + 1)};
        ++lost_;
    }

    /// Nothing fails any more: everybody hears everybody, until nothing changes.
    void settle() {
        std::vector<Node> before;
        do {
            before = nodes_;
            for (std::size_t i = 0; i < nodes_.size(); ++i) hear_all(i);
            for (std::size_t i = 0; i < nodes_.size(); ++i) act(i);
        } while (before != nodes_);
    }
    void hear_all(std::size_t node) {
        for (std::size_t peer = 0; peer < nodes_.size(); ++peer) {
            if (peer != node) hear(node, peer);
        }
    }

    // --- what is ---------------------------------------------------------------------------------

    std::size_t size() const { return nodes_.size(); }
    std::size_t lost() const { return lost_; }
    const Disk& disk(std::size_t node) const { return nodes_[node].disk; }
    FormingDecision decide(std::size_t node) const {
        const Node& own = nodes_[node];
        FormingSelf self;
        self.node = NodeId(node + 1);
        self.store = store_of(node, own.disk);
        self.cluster = id_of(own.disk);
        self.membership = own.disk.membership;
        self.shards = shards;
        self.nodes = own.disk.cluster == 0 ? listed_ : clusters_[own.disk.cluster - 1];
        std::vector<PeerSaid> said;
        for (std::size_t peer = 0; peer < size(); ++peer) {
            if (own.heard[peer]) said.push_back(what_says(peer, *own.heard[peer]));
        }
        return decide_forming(self, said);
    }
    std::size_t members() const {
        return static_cast<std::size_t>(std::ranges::count_if(
            nodes_, [](const Node& node) { return node.disk.membership == Membership::member; }));
    }
    /// Everything that the future depends on.
    auto key() const {
        std::vector<std::uint64_t> disks;
        for (const Configuration& cluster : clusters_) {
            for (const Member& member : cluster.members) disks.push_back(member.store.low);
        }
        return std::tuple(nodes_, first_, std::move(disks));
    }

    /// Empty: everything that must hold holds.
    std::string broken() const {
        for (std::size_t i = 0; i < size(); ++i) {
            const Disk& disk = nodes_[i].disk;
            if (disk.cluster == 0) continue;
            const Configuration& formed = clusters_[disk.cluster - 1];
            if (formed.members[i].store != store_of(i, disk))
                return "a node is in a cluster that was formed with another disk of it";
            if (disk.membership != Membership::member) continue;
            // Less than all disks were lost since: then there is one cluster for good.
            if (lost_ < size() && disk.cluster != first_) return "two clusters have had members";
            for (std::size_t peer = 0; peer < size(); ++peer) {
                const auto& heard = nodes_[i].heard[peer];
                if (!heard || heard->cluster == disk.cluster) continue;
                const PeerSaid said = what_says(peer, *heard);
                if (!objection(id_of(disk), formed.members[peer].store, said))
                    return "a node counts that has not joined, or with another disk";
            }
        }
        std::map<std::uint8_t, std::size_t> members;
        for (const Node& node : nodes_) {
            if (node.disk.membership == Membership::member) ++members[node.disk.cluster];
        }
        const auto quorums = std::ranges::count_if(
            members, [this](const auto& cluster) { return cluster.second > size() / 2; });
        return quorums > 1 ? "two clusters have a quorum" : "";
    }

private:
    static StoreId store_of(std::size_t node, const Disk& disk) {
        return {node + 1, disk.replaced + std::uint64_t{1}};
    }
    StoreId id_of(const Disk& disk) const {
        if (disk.cluster == 0) return {};
        return mint_cluster_id(disk.cluster, clusters_[disk.cluster - 1], shards);
    }
    PeerSaid what_says(std::size_t peer, const Disk& disk) const {
        PeerSaid said;
        said.node = NodeId(peer + 1);
        said.store = store_of(peer, disk);
        said.cluster = id_of(disk);
        said.membership = disk.membership;
        const Configuration& nodes = disk.cluster == 0 ? listed_ : clusters_[disk.cluster - 1];
        said.list = list_digest(nodes, shards);
        return said;
    }

    Configuration listed_;
    std::vector<Node> nodes_;
    std::vector<Configuration> clusters_;  ///< in the order in which they were minted
    std::uint8_t first_ = 0;               ///< the first cluster that had a member
    std::size_t lost_ = 0;                 ///< disks
};

/// Every state that three nodes can be in, whatever comes in whichever order.
struct Exploration {
    explicit Exploration(std::size_t disks) : disks_max(disks) {}

    /// `look` sees each state once; it may do to it what it likes.
    template <typename Look>
    void run(std::size_t count, Look look) {
        std::vector<Model> open = {Model(count)};
        seen.insert(open.back().key());
        while (!open.empty()) {
            const Model state = std::move(open.back());
            open.pop_back();
            ASSERT_EQ(state.broken(), "");
            look(state);
            for (std::size_t i = 0; i < count; ++i) {
                for (std::size_t peer = 0; peer < count; ++peer) {
                    if (peer != i) next(open, state, [&](Model& m) { m.hear(i, peer); });
                }
                next(open, state, [&](Model& m) { m.act(i); });
                next(open, state, [&](Model& m) { m.crash(i); });
                if (state.lost() < disks_max) next(open, state, [&](Model& m) { m.lose_disk(i); });
            }
        }
    }

    template <typename Event>
    void next(std::vector<Model>& open, const Model& state, Event event) {
        Model after = state;
        event(after);
        if (seen.insert(after.key()).second) open.push_back(std::move(after));
    }

    std::size_t disks_max;
    std::set<decltype(std::declval<const Model&>().key())> seen;
};

TEST(FormingRules, ThreeNodesInEveryOrderWithCrashesEndInOneCluster) {
    Exploration exploration(0);
    std::set<std::size_t> members;
    exploration.run(3, [&](Model state) {
        members.insert(state.members());
        state.settle();
        ASSERT_EQ(state.broken(), "");
        ASSERT_EQ(state.members(), 3u);
    });
    EXPECT_GT(exploration.seen.size(), 1000u);
    EXPECT_EQ(members, (std::set<std::size_t>{0, 1, 2, 3}));
}

TEST(FormingRules, ThreeNodesThatLoseADiskAnywhereNeverCountIt) {
    Exploration exploration(1);
    std::size_t alone = 0;
    exploration.run(3, [&](Model state) {
        const bool was_formed = state.members() > 0;
        state.settle();
        ASSERT_EQ(state.broken(), "");
        // Whoever has its disk serves once anybody did; the other one knows why it does not.
        if (was_formed && state.lost() == 1 && state.members() < 3) {
            ++alone;
            ASSERT_EQ(state.members(), 2u);
            for (std::size_t i = 0; i < 3; ++i) {
                const FormingStep step = state.decide(i).step;
                const bool was_lost = state.disk(i).replaced > 0;
                ASSERT_EQ(step == FormingStep::serve, !was_lost);
                if (!was_lost) continue;
                // It may have minted by what it had heard before the others went on.
                const bool has_minted = state.disk(i).membership == Membership::forming;
                ASSERT_EQ(step, has_minted ? FormingStep::refuse : FormingStep::stay_out);
            }
        }
    });
    EXPECT_GT(exploration.seen.size(), 10'000u);
    EXPECT_GT(alone, 100u);
}

/// A node that hears all others and acts, one after another, round after round.
struct Schedule {
    explicit Schedule(std::size_t count) : model(count) {
        for (std::size_t i = 0; i < count; ++i) order.push_back(i);
    }
    static constexpr std::size_t rounds = 4;  ///< mint, adopt, join, and one more

    void step(std::size_t number) {
        const std::size_t node = order[number % order.size()];
        model.hear_all(node);
        model.act(node);
    }
    std::size_t steps() const { return rounds * order.size(); }

    Model model;
    std::vector<std::size_t> order;
};

TEST(FormingRules, FiveNodesInEveryOrderEndInOneClusterWhateverCrashes) {
    Schedule orders(5);
    do {
        for (std::size_t at = 0; at <= orders.steps(); ++at) {
            for (std::size_t victim = 0; victim < 5; ++victim) {
                Schedule schedule = orders;
                for (std::size_t i = 0; i < schedule.steps(); ++i) {
                    if (i == at) schedule.model.crash(victim);
                    schedule.step(i);
                    ASSERT_EQ(schedule.model.broken(), "");
                }
                schedule.model.settle();
                ASSERT_EQ(schedule.model.members(), 5u);
                if (at == orders.steps()) break;  // nobody crashed
            }
        }
    } while (std::ranges::next_permutation(orders.order).found);
}

TEST(FormingRules, FiveNodesWithALostDiskAtEachPointAreFourOrNone) {
    for (std::size_t at = 0; at < Schedule(5).steps(); ++at) {
        for (std::size_t victim = 0; victim < 5; ++victim) {
            Schedule schedule(5);
            bool was_formed = false;
            for (std::size_t i = 0; i < schedule.steps(); ++i) {
                if (i == at) {
                    was_formed = schedule.model.members() > 0;
                    schedule.model.lose_disk(victim);
                }
                schedule.step(i);
                ASSERT_EQ(schedule.model.broken(), "");
            }
            schedule.model.settle();
            const std::size_t members = schedule.model.members();
            if (was_formed) {
                // All others, unless the only member there was is what was lost.
                EXPECT_TRUE(members == 4 || members == 0) << at << ' ' << victim;
                EXPECT_NE(schedule.model.decide(victim).step, FormingStep::serve);
            }
        }
    }
}

TEST(FormingRules, FiveNodesWithAnythingAtAnyTimeAreNeverTwoClusters) {
    std::map<std::size_t, std::size_t> members;
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        Model model(5);
        for (int i = 0; i < 250; ++i) {
            const std::size_t node = prng.below(5);
            const std::uint64_t dice = prng.below(1000);
            if (dice < 20)
                model.crash(node);
            else if (dice < 25 && model.lost() < 4)
                model.lose_disk(node);
            else if (dice < 700)
                model.hear(node, (node + 1 + prng.below(4)) % 5);
            else
                model.act(node);
            ASSERT_EQ(model.broken(), "");
        }
        model.settle();
        ASSERT_EQ(model.broken(), "");
        ++members[model.members()];
    }
    EXPECT_GT(members[5], 10u);
    EXPECT_GT(members[4], 10u);
}

TEST(FormingRules, WhenAllDisksAreLostItIsANewCluster) {
    Model model(3);
    model.settle();
    ASSERT_EQ(model.members(), 3u);
    model.lose_disk(0);
    model.lose_disk(1);
    model.settle();
    EXPECT_EQ(model.members(), 1u);
    EXPECT_EQ(model.decide(0).step, FormingStep::stay_out);
    EXPECT_EQ(model.decide(1).step, FormingStep::stay_out);
    model.lose_disk(2);
    model.settle();
    EXPECT_EQ(model.members(), 3u);
}

}  // namespace
}  // namespace kv
