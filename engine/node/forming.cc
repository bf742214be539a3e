#include "engine/node/forming.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/base/assert.h"
#include "proto/base/checksum.h"

namespace kv {

namespace {

constexpr auto start_over =
    "if this cluster has never been in use, move the data directories of all nodes away and start "
    "them again";

const Member* find(const Configuration& nodes, NodeId node) noexcept {
    const auto at = std::ranges::find(nodes.members, node, &Member::node);
    return at == nodes.members.end() ? nullptr : &*at;
}

std::string address(const Member& member) {
    return fmt::format("{}:{} (clients {})", member.host, member.peer_port, member.client_port);
}

/// "node 1", "nodes 1 and 2", "nodes 1, 2 and 3"; with `places` also where they are.
std::string names(std::span<const NodeId> nodes, const Configuration* places = nullptr) {
    std::string out = nodes.size() == 1 ? "node " : "nodes ";
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (i > 0) out += i + 1 == nodes.size() ? " and " : ", ";
        out += fmt::format("{}", nodes[i].value());
        const Member* const member = places == nullptr ? nullptr : find(*places, nodes[i]);
        if (member != nullptr) out += fmt::format(" ({}:{})", member->host, member->peer_port);
    }
    return out;
}

/// Where `theirs` is another list than `ours`; empty: nowhere.
std::string differences(const Configuration& theirs, const Configuration& ours) {
    std::string out;
    const auto add = [&](const std::string& difference) {
        if (!out.empty()) out += "; ";
        out += difference;
    };
    for (const Member& own : ours.members) {
        const Member* const other = find(theirs, own.node);
        if (other == nullptr) {
            add(fmt::format("node {} is not listed there", own.node.value()));
        } else if (address(*other) != address(own)) {
            add(fmt::format("node {} is {} there and {} here", own.node.value(), address(*other),
                            address(own)));
        }
    }
    for (const Member& other : theirs.members) {
        if (find(ours, other.node) == nullptr)
            add(fmt::format("node {} is listed there only", other.node.value()));
    }
    return out;
}

FormingDecision step(FormingStep step, std::string why) {
    return {.step = step, .why = std::move(why), .cluster = {}, .formed = {}};
}

/// One decision of a node that is no member yet.
class Decider {
public:
    Decider(const FormingSelf& self, std::span<const PeerSaid> said)
        : self_(self), said_(said), list_(list_digest(self.nodes, self.shards, self.leaders)) {
        for (const Member& member : self.nodes.members) {
            if (member.node != self.node && !heard(member.node)) missing_.push_back(member.node);
        }
    }

    FormingDecision empty() const {
        for (const PeerSaid& peer : said_) {
            const bool is_listed = find(self_.nodes, peer.node) != nullptr;
            if (is_listed && peer.membership == Membership::member) return lost_disk(peer);
        }
        if (auto refused = refuse_lists()) return *std::move(refused);
        const PeerSaid* forming = nullptr;
        for (const PeerSaid& peer : said_) {
            if (peer.membership != Membership::forming) continue;
            if (forming != nullptr && forming->cluster != peer.cluster) {
                return refuse(
                    fmt::format("{} and {} are forming different clusters: a disk was "
                                "lost meanwhile; {}",
                                names({{forming->node}}), names({{peer.node}}), start_over));
            }
            forming = &peer;
        }
        if (!missing_.empty()) {
            return wait(
                fmt::format("an empty data directory takes part only after it has heard from "
                            "every listed node: waiting for {}",
                            names(missing_, &self_.nodes)));
        }
        Configuration formed = self_.nodes;
        for (Member& member : formed.members) {
            member.store = member.node == self_.node ? self_.store : heard(member.node)->store;
        }
        if (forming == nullptr) return begin(std::move(formed));
        if (!is_cluster_of(forming->cluster, formed, self_.shards)) {
            const Member* const own = find(forming->told, self_.node);
            if (own != nullptr && own->store != self_.store) return lost_disk(*forming);
            return refuse(
                fmt::format("{} began to form the cluster with another data directory of "
                            "one of the nodes, which is lost: {}",
                            names({{forming->node}}), start_over));
        }
        return {.step = FormingStep::adopt,
                .why = fmt::format("every listed node was heard: forming what {} is forming",
                                   names({{forming->node}})),
                .cluster = forming->cluster,
                .formed = std::move(formed)};
    }

    FormingDecision forming() const {
        for (const PeerSaid& peer : said_) {
            const Member* const member = find(self_.nodes, peer.node);
            if (peer.membership == Membership::member && peer.cluster == self_.cluster &&
                member != nullptr && member->store == peer.store) {
                return step(FormingStep::join, fmt::format("the cluster is formed: {} is a member",
                                                           names({{peer.node}})));
            }
        }
        if (auto refused = refuse_others()) return *std::move(refused);
        std::vector<NodeId> awaited = missing_;
        for (const PeerSaid& peer : said_) {
            if (peer.membership == Membership::empty) awaited.push_back(peer.node);
        }
        std::ranges::sort(awaited);
        if (!awaited.empty()) {
            return wait(
                fmt::format("the cluster is formed once every listed node holds its id: "
                            "waiting for {}",
                            names(awaited, &self_.nodes)));
        }
        return step(FormingStep::join, "the cluster is formed: every listed node holds its id");
    }

private:
    static FormingDecision wait(std::string why) { return step(FormingStep::wait, std::move(why)); }
    static FormingDecision refuse(std::string why) {
        return step(FormingStep::refuse, std::move(why));
    }

    const PeerSaid* heard(NodeId node) const noexcept {
        const auto at = std::ranges::find(said_, node, &PeerSaid::node);
        return at == said_.end() ? nullptr : &*at;
    }

    FormingDecision lost_disk(const PeerSaid& peer) const {
        return step(FormingStep::stay_out,
                    fmt::format("{} has formed its cluster with another data directory of node {}, "
                                "this one is empty: its disk was lost, node.data_dir is wrong, or "
                                "an address in [[cluster.nodes]] is. This node stays out, because "
                                "what its disk had promised is gone; the majority of the others "
                                "goes on serving. With the right directory it takes part again; a "
                                "new disk can be brought in once there are membership changes",
                                names({{peer.node}}), self_.node.value()));
    }

    FormingDecision begin(Configuration formed) const {
        const NodeId lowest = self_.nodes.members.front().node;
        if (self_.node != lowest) {
            return wait(
                fmt::format("every listed node was heard: waiting for node {}, which "
                            "begins to form the cluster",
                            lowest.value()));
        }
        return {.step = FormingStep::mint,
                .why =
                    "every listed node was heard and is empty: this one begins to form the "
                    "cluster",
                .cluster = {},
                .formed = std::move(formed)};
    }

    std::optional<FormingDecision> refuse_lists() const {
        for (const PeerSaid& peer : said_) {
            if (peer.node == self_.node) {
                return refuse(
                    fmt::format("another node says that it is node {}, too: each needs "
                                "a node.id of its own",
                                self_.node.value()));
            }
            const bool is_listed = find(self_.nodes, peer.node) != nullptr;
            if (is_listed && peer.list == list_) continue;
            std::string details = is_listed ? "" : " (it is not listed here)";
            if (is_listed && !peer.told.members.empty()) {
                details = differences(peer.told, self_.nodes);
                if (details.empty()) details = "its cluster.shards or cluster.leaders";
                details = fmt::format(" (at node {}: {})", peer.node.value(), details);
            }
            return refuse(
                fmt::format("node {} has another [[cluster.nodes]], cluster.shards or "
                            "cluster.leaders than this node{}: make them equal on all nodes",
                            peer.node.value(), details));
        }
        return std::nullopt;
    }

    /// Of a node that is forming.
    std::optional<FormingDecision> refuse_others() const {
        for (const PeerSaid& peer : said_) {
            const Member* const member = find(self_.nodes, peer.node);
            if (peer.node == self_.node || member == nullptr) return refuse_lists();
            if (peer.membership != Membership::empty && peer.cluster != self_.cluster) {
                return refuse(
                    fmt::format("node {} belongs to another cluster: correct its address in "
                                "[[cluster.nodes]], or node.data_dir there or here",
                                peer.node.value()));
            }
            if (peer.store != member->store) {
                return refuse(
                    fmt::format("node {} has another data directory than when the "
                                "cluster began to form: bring the first one back, or, {}",
                                peer.node.value(), start_over));
            }
        }
        return refuse_lists();
    }

    const FormingSelf& self_;
    const std::span<const PeerSaid> said_;
    const std::uint64_t list_;
    std::vector<NodeId> missing_;  ///< listed and not heard, ascending
};

std::uint64_t digest_of(const Configuration& nodes, std::uint32_t shards) {
    std::string bytes;
    encode_configuration(nodes, bytes);
    return mix_seed(checksum(as_bytes(std::string_view(bytes))), shards);
}

}  // namespace

FormingDecision decide_forming(const FormingSelf& self, std::span<const PeerSaid> said) {
    KV_ASSERT(find(self.nodes, self.node) != nullptr);
    switch (self.membership) {
        case Membership::empty: return Decider(self, said).empty();
        case Membership::forming: return Decider(self, said).forming();
        case Membership::member: return step(FormingStep::serve, "a member of its cluster");
    }
    KV_UNREACHABLE();
}

std::optional<std::string> objection(StoreId cluster, std::optional<StoreId> pinned,
                                     const PeerSaid& said) {
    const auto node = said.node.value();
    if (!pinned) return fmt::format("node {} does not belong to this cluster", node);
    if (said.store != *pinned) {
        return fmt::format(
            "node {} comes with another data directory than before: its disk was "
            "lost or replaced, and what it had promised is gone",
            node);
    }
    if (said.membership == Membership::member && said.cluster != cluster)
        return fmt::format("node {} is a member of another cluster", node);
    if (said.membership != Membership::member)
        return fmt::format("node {} has not joined the cluster yet", node);
    return std::nullopt;
}

Configuration listed(const std::vector<ClusterNode>& nodes) {
    Configuration out;
    for (const ClusterNode& node : nodes) {
        Member member;
        member.node = node.id;
        member.host = node.host;
        member.peer_port = node.peer_port;
        member.client_port = node.client_port;
        out.members.push_back(std::move(member));
    }
    std::ranges::sort(out.members, {}, &Member::node);
    return out;
}

std::uint64_t list_digest(const Configuration& nodes, std::uint32_t shards, Leaders leaders) {
    Configuration without = nodes;
    for (Member& member : without.members) member.store = {};
    return mix_seed(digest_of(without, shards), static_cast<std::uint64_t>(leaders));
}

std::optional<std::string> list_change(const Configuration& formed, const Configuration& nodes) {
    const std::string changes = differences(formed, nodes);
    if (changes.empty()) return std::nullopt;
    return fmt::format(
        "[[cluster.nodes]] is not what this cluster was formed with (in the data directory: {}): "
        "what was formed holds, the list cannot change before there are membership changes",
        changes);
}

StoreId mint_cluster_id(std::uint64_t random, const Configuration& formed,
                        std::uint32_t shards) noexcept {
    const std::uint64_t high = std::max<std::uint64_t>(random, 1);  // 0 is "none"
    return {high, mix_seed(high, digest_of(formed, shards))};
}

bool is_cluster_of(StoreId cluster, const Configuration& formed, std::uint32_t shards) noexcept {
    return cluster == mint_cluster_id(cluster.high, formed, shards);
}

}  // namespace kv
