/// What the oracles of a SimCluster look at, and when.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tests/support/oracles/persist_before_send.h"
#include "tests/support/sim_cluster.h"

namespace kv::sim {

namespace {

constexpr Duration check_period = 100ms;  // of what is not looked at after each event
constexpr Duration host_restart = 500ms;  // of a process that has ended by itself
constexpr Duration loud_max = 10s;        // until it has

std::string at_time(Instant at) {
    const auto us = at.time_since_epoch() / 1us;
    return fmt::format("{}.{:06}s", us / 1'000'000, us % 1'000'000);
}

const char* name_of(consensus::Role role) {
    switch (role) {
        case consensus::Role::follower: return "follows";
        case consensus::Role::pre_candidate: return "asks for pre-votes";
        case consensus::Role::candidate: return "asks for votes";
        case consensus::Role::leader: return "leads";
    }
    KV_UNREACHABLE("a role");
}

}  // namespace

void SimCluster::note(std::string text) {
    events_.push_back(at_time(world.now()) + " " + std::move(text));
    if (trace) fmt::print("{}\n", events_.back());
    if (events_.size() > events_max) events_.pop_front();
}

void SimCluster::complain(std::string oracle, std::string text) {
    if (wrong_) return;
    note(oracle + ": " + text);
    if (oracle == "liveness") note_groups();
    wrong_ = Wrong{std::move(oracle), std::move(text), world.now()};
}

void SimCluster::refresh(NodeId node) {
    logs_[node].refresh(world.disk(node), options_.config.node.data_dir + "/wal");
    if (!logs_[node].two_votes().empty())
        complain("one vote", fmt::format("n{} {}", node.value(), logs_[node].two_votes()));
}

void SimCluster::on_sent(NodeId id, const Message& message) {
    ++counters_.messages;
    if (on_message) on_message(id, message);
    if (!options_.impostor) judge(id, message);
    const auto* const reply = std::get_if<AppendReply>(&message.body);
    Term match_term;
    if (reply != nullptr && !reply->rejected) {
        const ShardId shard(static_cast<std::uint16_t>(message.group.value() - 1));
        const consensus::Raft& group = raft(houses_.at(id), shard);
        if (reply->match > group.last().index && message.term == group.term())
            complain("message", fmt::format("n{} acknowledges entry {} of group {}, its log ends "
                                            "with {}",
                                            id.value(), reply->match.value(), message.group.value(),
                                            group.last().index.value()));
        const bool there =
            reply->match >= group.compacted().index && reply->match <= group.last().index;
        if (there) match_term = group.term_at(reply->match);
    }
    if (!broken_promise(message, match_term, logs_[id])) return;
    refresh(id);
    if (auto wrong = broken_promise(message, match_term, logs_[id]))
        complain("persist before send", std::move(*wrong));
}

/// What is said, by the books and, of a follower's log, by its disk.
void SimCluster::judge(NodeId id, const Message& message) {
    const House& house = houses_.at(id);
    const ShardId shard(static_cast<std::uint16_t>(message.group.value() - 1));
    const Seen& before = house.seen[shard.value()];
    const consensus::Raft& group = raft(house, shard);
    const GroupFacts now = facts(id, house, shard);
    const Speaker speaker{now, before.role, before.last, before.stalled || group.disk_stalled()};
    if (auto wrong = books_.said(message, speaker, world.now()))
        complain("message", std::move(*wrong));
    if (now.role != consensus::Role::leader || houses_.at(message.to).wiped) return;
    for (const consensus::Progress& follower : group.followers()) {
        if (follower.node != message.to || follower.match <= now.compacted) continue;
        const LogPosition match{group.term_at(follower.match), follower.match};
        if (auto wrong = durability_.matched(message.to, message.group, match))
            complain("durability", std::move(*wrong));
    }
}

void SimCluster::look_for_start(NodeId id, House& house) {
    if (house.ready || house.process == nullptr || house.process->dead()) return;
    if (house.taps.empty() && house.node->listening()) {
        for (std::size_t core = 0; core < house.cores; ++core) {
            ReplicaSet& replicas = house.node->replicas(core);
            if (replicas.sender() == nullptr) continue;  // alone
            house.taps.push_back(std::make_unique<Tap>(*this, id, *replicas.sender()));
            replicas.set_sender(house.taps.back().get());
        }
    }
    if (!house.report) return;
    if (!*house.report) {
        const Error& error = house.report->error();
        if (disk_hits(id, house) != house.disk_hits) return end_failed(id, house, error.text());
        const bool says_where = error.text().find(" at offset ") != std::string::npos;
        if (house.rotten && error.code == Errc::damaged && says_where) {
            ++counters_.refusals;
            note(fmt::format("n{} refuses: {}", id.value(), error.text()));
            house.away = house.wiped = true;
            house.process->kill(io::Crash::process);
            return clear(house);
        }
        if (!house.wiped)
            complain("start", fmt::format("n{} does not start: {}", id.value(), error.text()));
        return;
    }
    house.ready = true;
    for (std::uint16_t i = 0; i < options_.shards; ++i) {
        const consensus::Raft& group = raft(house, ShardId(i));
        if (logs_[id].remembered(group.options().group, group.term(), group.vote())) continue;
        complain("memory", fmt::format("n{} starts shard {} in term {} with a vote for n{}: it has "
                                       "been further",
                                       id.value(), i, group.term().value(), group.vote().value()));
    }
    note(fmt::format("n{} has started", id.value()));
}

void SimCluster::look() {
    for (auto& [id, house] : houses_) {
        if (house.process == nullptr || house.process->dead()) continue;
        look_for_start(id, house);
        if (house.ready) look_at(id, house);
    }
    if (world.now() < next_check_) return;
    next_check_ = world.now() + check_period;
    look_at_liveness();
}

void SimCluster::look_at(NodeId id, House& house) {
    if (house.node->failure()) {
        if (disk_hits(id, house) != house.disk_hits)
            return end_failed(id, house, house.node->failure()->text());
        complain("node",
                 fmt::format("n{} has failed: {}", id.value(), house.node->failure()->text()));
    }
    for (std::size_t core = 0; core < house.cores; ++core) {
        if (house.node->replicas(core).contradictions() != 0)
            complain("raft", fmt::format("n{} hears against what is committed", id.value()));
    }
    for (std::uint16_t i = 0; i < options_.shards; ++i) {
        const ShardId shard(i);
        const consensus::Raft& group = raft(house, shard);
        const Seen now{group.role(),          group.term(),          group.vote(),
                       group.commit(),        group.applied_index(), group.last(),
                       group.durable().index, group.disk_stalled()};
        Seen& seen = house.seen[i];
        if (now == seen) continue;
        if (now.role != seen.role &&
            (now.role == consensus::Role::leader || seen.role == consensus::Role::leader)) {
            note(fmt::format("n{} {} shard {} in term {}", id.value(), name_of(now.role), i,
                             now.term.value()));
        }
        const GroupFacts found = facts(id, house, shard);
        const bool leads = now.role == consensus::Role::leader;
        const bool elected = leads && (seen.role != now.role || seen.term != now.term);
        if (elected && !options_.impostor) {
            if (auto wrong = books_.elected(found)) complain("votes", std::move(*wrong));
        }
        seen = now;
        const GroupId number = group.options().group;
        const Index before = invariants_.committed(number).index;
        if (auto wrong = invariants_.observe(found)) complain("raft", std::move(*wrong));
        if (auto wrong = keeper_.observe(found)) complain("log", std::move(*wrong));
        const Index after = invariants_.committed(number).index;
        for (Index index = before.next(); index <= after; index = index.next()) {
            const Term term = invariants_.term_of_committed(number, index);
            if (term.value() == 0) continue;  // known from its other side only
            if (auto wrong = durability_.committed(number, {term, index}))
                complain("durability", std::move(*wrong));
        }
    }
}

void SimCluster::note_groups() {
    for (std::uint16_t i = 0; i < options_.shards; ++i) {
        for (const auto& [id, house] : houses_) {
            if (!house.ready || house.process->dead()) continue;
            const consensus::Raft& group = raft(house, ShardId(i));
            std::string text = fmt::format(
                "shard {} n{} {} in term {}: last {} durable {} commit {} applied {} in memory "
                "from {} compacted {}",
                i, id.value(), name_of(group.role()), group.term().value(),
                group.last().index.value(), group.durable().index.value(), group.commit().value(),
                group.applied_index().value(), group.in_memory().value(),
                group.compacted().index.value());
            for (const consensus::Progress& follower : group.followers()) {
                text += fmt::format("; n{} match {} next {} state {}", follower.node.value(),
                                    follower.match.value(), follower.next.value(),
                                    static_cast<int>(follower.state));
            }
            note(std::move(text));
        }
    }
}

GroupFacts SimCluster::facts(NodeId id, const House& house, ShardId shard) const {
    const consensus::Raft* const group = &raft(house, shard);
    GroupFacts facts;
    facts.node = id;
    facts.life = house.life;
    facts.group = group->options().group;
    facts.role = group->role();
    facts.term = group->term();
    facts.vote = group->vote();
    facts.leader = group->leader();
    facts.commit = group->commit();
    facts.applied = group->applied_index();
    facts.compacted = group->compacted().index;
    facts.durable = group->durable().index;
    facts.last = group->last();
    facts.term_at = [group](Index index) { return group->term_at(index); };
    const Store* const store = &house.node->store(shard);
    facts.digest = [store] { return store->digest(); };
    return facts;
}

void SimCluster::acknowledged(std::string_view key, std::string_view value) {
    if (auto wrong = durability_.acknowledged(key, value))
        complain("durability", std::move(*wrong));
}

void SimCluster::calm() {
    const io::SimKnobs fair;
    io::SimCoreKnobs& core = world.knobs().core;
    core.stall_per_million = fair.core.stall_per_million;
    core.doorbell = fair.core.doorbell;
    io::SimNetworkKnobs& network = world.network().knobs();
    network.delay = fair.network.delay;
    network.extra = fair.network.extra;
    network.tail_per_million = fair.network.tail_per_million;
    network.bytes_per_second = fair.network.bytes_per_second;
    network.reset_per_million = fair.network.reset_per_million;
    network.blackhole_per_million = fair.network.blackhole_per_million;
    network.lost_syn_per_million = fair.network.lost_syn_per_million;
    const io::SimLink link{network.delay, network.extra, network.tail_per_million, network.tail,
                           network.bytes_per_second};
    io::SimNodes all = nodes_;
    all.push_back(client_node);
    for (const NodeId from : all) {
        for (const NodeId to : all) {
            if (from != to) world.network().link(from, to) = link;
        }
    }
    for (const NodeId node : nodes_) {
        io::SimDiskKnobs& disk = world.disk(node).knobs();
        disk.write = fair.disk.write;
        disk.sync = fair.disk.sync;
        disk.tail_per_million = fair.disk.tail_per_million;
        disk.tail = fair.disk.tail;
        disk.slow = fair.disk.slow;
    }
}

std::uint64_t SimCluster::disk_hits(NodeId id, const House& house) {
    std::uint64_t hits = 0;
    for (const std::size_t number : house.disk_faults) hits += world.disk(id).fault(number).hits;
    return hits;
}

/// A process that has met a broken disk and says so.
void SimCluster::end_failed(NodeId id, House& house, const std::string& text) {
    ++counters_.disk_errors;
    note(fmt::format("n{} ends by itself: {}", id.value(), text));
    house.process->kill(io::Crash::process);
    clear(house);
    world.at(world.now() + host_restart, [this, id] { start(id); });
}

void SimCluster::look_for_disk_errors() {
    for (auto& [id, house] : houses_) {
        if (house.disk_faults.empty() || house.process == nullptr || house.process->dead())
            continue;
        const Instant now = world.now();
        // What the disk or the process keeps to itself nobody has been told yet.
        const bool waits = world.paused(id) || world.disk_hangs(id);
        if (disk_hits(id, house) == house.disk_hits) continue;
        if (!house.struck || waits) house.struck = now;
        if (now - *house.struck > loud_max)
            complain("disk error", fmt::format("n{} goes on as if nothing had been", id.value()));
    }
}

void SimCluster::check_logs() {
    for (std::uint16_t i = 0; i < options_.shards; ++i) {
        std::vector<GroupFacts> all;
        for (auto& [id, house] : houses_) {
            if (up(id)) all.push_back(facts(id, house, ShardId(i)));
        }
        for (std::size_t a = 0; a < all.size(); ++a) {
            for (std::size_t b = a + 1; b < all.size(); ++b) {
                if (auto wrong = RaftInvariants::check_logs(all[a], all[b]))
                    complain("raft", std::move(*wrong));
            }
        }
    }
}

void SimCluster::check_nothing_lost() {
    for (std::uint16_t i = 0; i < options_.shards; ++i) {
        for (auto& [id, house] : houses_) {
            if (!up(id)) continue;
            const consensus::Raft& group = raft(house, ShardId(i));
            const LogPosition committed = invariants_.committed(group.options().group);
            const bool covered = committed.index <= group.compacted().index;
            const bool there = committed.index <= group.applied_index() &&
                               (covered || group.term_at(committed.index) == committed.term);
            if (there) continue;
            complain("nothing lost",
                     fmt::format("n{} shard {}: entry {} was committed, applied is {}", id.value(),
                                 i, committed.index.value(), group.applied_index().value()));
        }
    }
}

void SimCluster::watch(FaultPlayer* player, Duration limit) {
    player_ = player;
    liveness_ = Liveness(options_.shards, limit);
}

void SimCluster::look_for_silence() {
    const Instant now = world.now();
    // A cut that has come and gone meanwhile may have let something through.
    const bool changed = std::exchange(cuts_, world.network().cuts_made()) != cuts_;
    for (const auto& [id, house] : houses_) {
        std::size_t audible = 1;
        for (const NodeId other : nodes_)
            audible += other != id && world.network().flows(other, id) ? 1 : 0;
        const bool lives = house.ready && !house.process->dead() && !world.paused(id);
        if (changed || audible > nodes_.size() / 2 || !lives) silence_.heard(id, now);
        for (std::uint16_t i = 0; lives && i < options_.shards; ++i) {
            if (raft(house, ShardId(i)).role() != consensus::Role::leader) continue;
            if (auto wrong = silence_.leads(id, ShardId(i), now))
                complain("check-quorum", std::move(*wrong));
        }
    }
}

void SimCluster::look_at_liveness() {
    check_logs();
    look_for_silence();
    look_for_disk_errors();
    if (player_ == nullptr) return;
    const auto majority = player_->majority();
    const Instant now = world.now();
    // Also one outside of the majority that has been healthy for longest: a leader that no majority
    // hears is none for long.
    for (std::uint16_t i = 0; i < options_.shards; ++i) {
        if (leader(ShardId(i))) liveness_.led(ShardId(i), now);
    }
    std::optional<Instant> since;
    if (majority) since = majority->since;
    if (auto wrong = liveness_.check(since, now)) complain("liveness", std::move(*wrong));
}

SimCluster::Counters SimCluster::counters() const {
    Counters counters = counters_;
    counters.elections = invariants_.elections();
    counters.durability_checks = durability_.checks();
    return counters;
}

}  // namespace kv::sim
