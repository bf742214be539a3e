#include <algorithm>
#include <utility>

#include "engine/replica/replica_set.h"
#include "io/await.h"
#include "proto/base/log.h"

// Who leads what: what makes a leader give up its groups, and to whom they go.

namespace kv {

namespace {
constexpr Duration leaders_period = 1s;
constexpr Duration hand_over_check_period = 1ms;
}  // namespace

void ReplicaSet::tick() {
    if (failed_) return;
    look_for_starvation();
    look_at_disk();
    look_at_leaders();
    for (Replica* const replica : own_) {
        replica->group().tick(reactor_.now());
        replica->look_for_leader(reactor_.now());
        touch(*replica);
    }
}

/// Heartbeats that were late for it may cost elections; whoever reads the log is to know why.
void ReplicaSet::look_for_starvation() {
    const auto gap = starvation_.tick(reactor_.now(), options_.election_timeout / 2);
    std::uint64_t passed_over = 0;
    if (!gap || alone() || !starvation_rate_.allow(reactor_.now(), passed_over)) return;
    log::warn("this core did not run for a while: what it leads may go to other nodes",
              log::field("core", options_.core.value()), log::field("ms", *gap / 1ms),
              log::field("passed_over", passed_over));
}

/// A log that takes this long for a write promises nothing any more: somebody else is to lead. (A
/// full disk is another matter: then nothing is under way.)
void ReplicaSet::look_at_disk() {
    const std::optional<Instant> oldest = wal_.oldest_write();
    const bool stalled = oldest && reactor_.now() - *oldest > options_.election_timeout;
    if (stalled == disk_stalled_) return;
    disk_stalled_ = stalled;
    if (stalled) {
        log::warn("a write of the log takes longer than an election timeout: handing over",
                  log::field("core", options_.core.value()));
    } else {
        log::info("the log goes on", log::field("core", options_.core.value()));
    }
    for (Replica* const replica : own_) {
        replica->group().set_disk_stalled(stalled, reactor_.now());
        touch(*replica);
    }
}

PreferredView ReplicaSet::preferred_view(ShardId shard) {
    const consensus::Raft& raft = replica(shard).group().raft();
    PreferredView view;
    const auto preferred =
        preferred_leader(raft.configuration(), shard, placement_.shards(), options_.leaders);
    if (!preferred || *preferred == options_.node) return view;
    view.node = *preferred;
    for (const consensus::Progress& follower : raft.followers()) {
        if (follower.node != view.node) continue;
        view.connected = reactor_.now() - follower.heard < options_.election_timeout;
        view.caught_up = follower.match >= leads_[shard.value()].committed;
    }
    leads_[shard.value()].committed = raft.commit();
    return view;
}

void ReplicaSet::look_at_leaders() {
    if (reactor_.now() < look_at_leaders_) return;
    look_at_leaders_ = reactor_.now() + leaders_period;
    for (std::uint16_t i = 0; i < placement_.shards(); ++i) {
        const ShardId shard(i);
        if (!has(shard)) continue;
        consensus::Group& group = mutable_replica(shard).group();
        const bool leads = group.ready();
        const PreferredView view = leads ? preferred_view(shard) : PreferredView();
        if (!leads_[i].hand_over.due(leads, leaving_ || stopping_, view, reactor_.now())) continue;
        log::info("handing a shard over to the node that should lead it", log::field("shard", i),
                  log::field("to", view.node.value()));
        static_cast<void>(group.transfer(view.node, reactor_.now()));
        touch(mutable_replica(shard));
    }
}

bool ReplicaSet::transfer(ShardId shard, NodeId to) {
    Replica& replica = mutable_replica(shard);
    if (!replica.group().transfer(to, reactor_.now())) return false;
    log::info("handing a shard over, as was asked", log::field("shard", shard.value()),
              log::field("to", to.value()));
    touch(replica);
    return true;
}

bool ReplicaSet::hears(ShardId shard, NodeId follower) const noexcept {
    const auto& followers = replica(shard).group().raft().followers();
    const auto found = std::ranges::find(followers, follower, &consensus::Progress::node);
    return found != followers.end() && reactor_.now() - found->heard < options_.election_timeout;
}

NodeId ReplicaSet::most_caught_up(ShardId shard) const noexcept {
    const consensus::Progress* best = nullptr;
    for (const consensus::Progress& one : replica(shard).group().raft().followers()) {
        if (reactor_.now() - one.heard > options_.election_timeout) continue;
        if (best == nullptr || one.match > best->match) best = &one;
    }
    return best == nullptr ? NodeId() : best->node;
}

io::Task<void> ReplicaSet::hand_over_all() {
    leaving_ = true;
    const Instant until = reactor_.now() + options_.election_timeout;
    bool leads = true;
    while (leads && !failed_ && reactor_.now() < until) {
        leads = false;
        for (std::uint16_t i = 0; i < placement_.shards(); ++i) {
            const ShardId shard(i);
            if (!has(shard)) continue;
            consensus::Group& group = mutable_replica(shard).group();
            if (group.raft().role() != consensus::Role::leader || group.alone()) continue;
            const NodeId to = most_caught_up(shard);
            if (to == NodeId()) continue;
            leads = true;
            static_cast<void>(group.transfer(to, reactor_.now()));  // may be under way already
            touch(mutable_replica(shard));
        }
        if (leads) co_await io::SleepAwaiter(reactor_, hand_over_check_period);
    }
}

void ReplicaSet::on_role_changed(GroupId group) noexcept {
    Replica& replica = replica_of(group);
    replica.role_changed(reactor_.now());
    progress_.set();
    ShardId shard;
    if (!placement_.shard_of(group, shard)) return;
    count_leaders(shard);
    if (!replica.group().alone()) log_leadership(shard);
}

void ReplicaSet::count_leaders(ShardId shard) noexcept {
    const NodeId leader = this->leader(shard);
    Lead& lead = leads_[shard.value()];
    if (leader == NodeId() || leader == lead.leader) return;
    lead.leader = leader;
    ++lead.leader_changes;
}

void ReplicaSet::log_leadership(ShardId shard) {
    const consensus::Group& group = replica(shard).group();
    const consensus::Raft& raft = group.raft();
    Lead& lead = leads_[shard.value()];
    if (group.ready() && (!lead.leads || lead.term != raft.term())) {
        log::info("leads a shard", log::field("shard", shard.value()),
                  log::field("term", raft.term().value()));
        lead.leads = true;
        lead.term = raft.term();
    } else if (raft.role() != consensus::Role::leader && std::exchange(lead.leads, false)) {
        // Who gives up in its own term has not heard from a majority for an election timeout.
        log::info("leads a shard no longer", log::field("shard", shard.value()),
                  log::field("term", raft.term().value()),
                  log::field("because", raft.term() == lead.term ? "no majority answers"
                                                                 : "another node was elected"));
    }
}

}  // namespace kv
