#include "engine/replica/replica_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/await.h"
#include "proto/base/log.h"

namespace kv {

namespace {
/// Blocks freed in one turn after a flush: well below a millisecond.
constexpr std::size_t reclaim_per_turn = 4096;
constexpr Duration stop_check_period = 1ms;
}  // namespace

ReplicaSet::ReplicaSet(io::Reactor& reactor, ReplicaSetOptions options, FailureHandler& failures)
    : reactor_(reactor),
      options_(std::move(options)),
      failures_(failures),
      placement_(options_.shards, options_.cores),
      wal_(reactor, options_.wal, *this),
      snapshots_(reactor, snapshot_options(), placement_, wal_, replicas_),
      index_(options_.shards),
      fetcher_(reactor, wal_, index_, *this),
      snapshot_sender_(reactor, wal_, snapshots_, replicas_, *this,
                       options_.transfer_bytes_per_second),
      snapshot_receiver_(reactor, snapshots_, replicas_, slab_, options_.hash_secret, options_.node,
                         *this),
      apply_timer_(*this),
      progress_(reactor) {
    consensus::LogStore& log_store = *this;
    consensus::GroupOwner& owner = *this;
    consensus::RaftOptions raft;
    raft.self = options_.node;
    raft.boot = options_.boot;
    raft.heartbeat_interval = options_.heartbeat_interval;
    raft.election_timeout = options_.election_timeout;
    // What a follower is asked to store at once fits into one segment, together with what it needs
    // to release others.
    raft.append_bytes_max = std::min(raft.append_bytes_max, wal_.record_bytes_max() / 2);
    raft.cached_bytes_max = std::min(raft.cached_bytes_max, group_cache_bytes());
    set_entry_bytes_max(wal_.record_bytes_max());
    replicas_.resize(options_.shards);
    leads_.resize(options_.shards);
    for (std::uint16_t i = 0; i < options_.shards; ++i) {
        if (placement_.core_of(ShardId(i)) != options_.core) continue;
        raft.group = Placement::group_of(ShardId(i));
        reactor_.backend().fill_entropy(
            {reinterpret_cast<std::byte*>(&raft.seed), sizeof raft.seed});
        replicas_[i] = std::make_unique<Replica>(raft, log_store, owner, slab_,
                                                 options_.hash_secret, wal_.record_bytes_max());
        own_.push_back(replicas_[i].get());
    }
    reactor_.add_turn_hook(*this, io::Reactor::Phase::commit);
}

ReplicaSet::~ReplicaSet() {
    reactor_.timers().disarm(apply_timer_);
    reactor_.remove_turn_hook(*this);
}

SnapshotOptions ReplicaSet::snapshot_options() const {
    SnapshotOptions options;
    options.directory = options_.snapshot_directory;
    options.store = options_.wal.store;
    options.limits = options_.snapshot_limits;
    options.segment_bytes = options_.wal.segment_bytes;
    options.log_bytes_max = options_.wal.bytes_max;
    options.permit = options_.permit;
    return options;
}

/// An equal share of what the core keeps for followers. The log on disk has the rest.
std::size_t ReplicaSet::group_cache_bytes() const noexcept {
    std::size_t groups = 0;
    for (std::uint16_t i = 0; i < options_.shards; ++i) {
        if (placement_.core_of(ShardId(i)) == options_.core) ++groups;
    }
    const std::size_t share = options_.follower_cache_bytes / std::max<std::size_t>(groups, 1);
    return std::max(share, group_cache_bytes_min);
}

io::Task<Result<wal::RecoveryReport>> ReplicaSet::open() {
    KV_CO_CHECK(co_await snapshots_.load());
    KV_CO_TRY(wal::Recovered recovered, co_await wal::recover(reactor_, options_.wal, *this));
    KV_CO_CHECK(co_await snapshots_.recovered());
    KV_CO_CHECK(co_await wal_.open(std::move(recovered.position)));
    for (Replica* const replica : own_) {
        KV_CO_CHECK(replica->group().start(options_.configuration, reactor_.now()));
        replica->logged = replica->group().raft().durable_state();
        touch(*replica);
    }
    // Alone it is sure of its whole log, and has all of it before anybody counts or asks.
    const auto settled = [](const Replica* replica) {
        const consensus::Group& group = replica->group();
        return !group.alone() || (group.ready() && !group.has_committed());
    };
    while (!std::all_of(own_.begin(), own_.end(), settled)) {
        if (failed_) co_return fail(Errc::io, "the log failed while the node started");
        progress_.reset();
        co_await progress_.wait();
    }
    // Snapshots may rotate the log from here on.
    opened_segment_ = wal_.current_segment();
    snapshots_.start();
    fetcher_.start();
    snapshot_sender_.start();
    co_return std::move(recovered.report);
}

io::Task<void> ReplicaSet::stop() {
    stopping_ = true;
    co_await fetcher_.stop();
    co_await snapshot_sender_.stop();
    co_await snapshot_receiver_.stop();
    co_await snapshots_.stop();
    // What cannot be written while the disk is full was promised to nobody.
    const auto waits = [](const Replica* replica) {
        return replica->pending() != 0 && replica->group().alone();
    };
    while (std::any_of(own_.begin(), own_.end(), waits) && !failed_ && !wal_.stuck()) {
        co_await io::SleepAwaiter(reactor_, stop_check_period);
    }
    co_await wal_.stop();
}

void ReplicaSet::set_handler(AppliedHandler* handler) noexcept {
    for (Replica* const replica : own_) replica->set_handler(handler);
}

std::uint64_t ReplicaSet::now_ms() noexcept {
    return static_cast<std::uint64_t>(reactor_.wall_ns()) / 1'000'000;
}

template <typename AnyCommand>
std::optional<Errc> ReplicaSet::propose_any(ShardId shard, const AnyCommand& command,
                                            Waiter waiter) {
    if (stopping_ || failed_) return Errc::shutting_down;
    Replica& replica = mutable_replica(shard);
    const bool first = !replica.has_open_batch();
    if (open_batches_.empty()) turn_ms_ = now_ms();
    const auto refused = replica.propose(command, waiter, turn_ms_);
    if (!refused && first) {
        open_batches_.push_back(shard);
        replica.opened = reactor_.now();
    }
    return refused;
}

template std::optional<Errc> ReplicaSet::propose_any(ShardId, const Command&, Waiter);
template std::optional<Errc> ReplicaSet::propose_any(ShardId, const Bytes&, Waiter);

/// What the log says wins over what formed the cluster.
const Configuration& ReplicaSet::configuration() const noexcept {
    if (own_.empty() || own_.front()->group().configuration().members.empty()) {
        return options_.configuration;
    }
    return own_.front()->group().configuration();
}

const Member* ReplicaSet::member(NodeId node) const noexcept {
    const std::vector<Member>& members = configuration().members;
    const auto found = std::ranges::find(members, node, &Member::node);
    return found == members.end() ? nullptr : &*found;
}

std::uint64_t ReplicaSet::pending() const noexcept {
    std::uint64_t pending = 0;
    for (Replica* const replica : own_) pending += replica->pending();
    return pending;
}

std::uint64_t ReplicaSet::keys() const noexcept {
    std::uint64_t keys = 0;
    for (Replica* const replica : own_) keys += replica->store().size();
    return keys;
}

std::size_t ReplicaSet::flushed_bytes() const noexcept {
    if (!reclaiming_) return 0;
    std::size_t bytes = 0;
    for (Replica* const replica : own_) bytes += replica->store().flushed_bytes();
    return bytes;
}

std::size_t ReplicaSet::buffer_bytes() const noexcept {
    std::size_t bytes = 0;
    for (Replica* const replica : own_) bytes += replica->buffer_bytes();
    return bytes;
}

// --- the end of a turn ---------------------------------------------------------------------------

void ReplicaSet::touch(Replica& replica) {
    if (std::exchange(replica.touched, true)) return;
    touched_.push_back(&replica);
}

void ReplicaSet::step(const Message& message) {
    ShardId shard;
    if (failed_ || !placement_.shard_of(message.group, shard) || !has(shard)) return;
    Replica& replica = mutable_replica(shard);
    round_trips_.on_received(message, reactor_.now());
    replica.heard(message.from);
    replica.group().step(message, reactor_.now());
    touch(replica);
    note_committed(replica);
}

void ReplicaSet::disconnected(NodeId peer) {
    for (Replica* const replica : own_) {
        replica->disconnected(peer);
        touch(*replica);
    }
    reactor_.want_turn();  // it may be told at the very end of one
}

void ReplicaSet::flush_groups() {
    // What it takes from the front may touch others again.
    for (std::size_t i = 0; i < touched_.size(); ++i) {
        Replica& replica = *touched_[i];
        replica.touched = false;
        replica.group().flush(reactor_.now());
        if (replica.waits() && replica.settle(now_ms())) touch(replica);
        note_committed(replica);
    }
    touched_.clear();
}

void ReplicaSet::at_turn_end() {
    for (const ShardId shard : open_batches_) {
        mutable_replica(shard).close_batch(turn_ms_);
        touch(mutable_replica(shard));
    }
    open_batches_.clear();
    applied_bytes_ = 0;
    if (!failed_) flush_groups();
    // Beside the own write: what rests on it is not among the messages yet.
    if (sender_ != nullptr) sender_->flush();
    wal_.flush();
    set_constrained(wal_.constrained());
    if (reclaiming_) {
        reclaiming_ = false;
        for (Replica* const replica : own_) {
            reclaiming_ = replica->reclaim(reclaim_per_turn) || reclaiming_;
            if (reclaiming_) break;
        }
        if (reclaiming_) reactor_.want_turn();
    }
}

// --- group owner ---------------------------------------------------------------------------------

Replica& ReplicaSet::replica_of(GroupId group) noexcept {
    ShardId shard;
    const bool known = placement_.shard_of(group, shard);
    KV_ASSERT(known && has(shard));
    return mutable_replica(shard);
}

void ReplicaSet::send(const Message& message) noexcept {
    round_trips_.on_sent(message, reactor_.now());
    if (sender_ != nullptr) sender_->send(message);
}

void ReplicaSet::fetch(GroupId group, const consensus::Fetch& fetch) noexcept {
    ShardId shard;
    const bool known = placement_.shard_of(group, shard);
    KV_ASSERT(known);
    fetcher_.ask(shard, fetch);
}

void ReplicaSet::on_fetched(ShardId shard, const consensus::Fetch& fetch,
                            std::span<const Entry> entries) noexcept {
    if (failed_) return;
    Replica& replica = mutable_replica(shard);
    replica.group().fetched(fetch.to, fetch.number, entries, reactor_.now());
    touch(replica);
}

void ReplicaSet::send_snapshot(GroupId group, const consensus::SnapshotSend& send) noexcept {
    ShardId shard;
    const bool known = placement_.shard_of(group, shard);
    KV_ASSERT(known);
    snapshot_sender_.ask(shard, send);
}

void ReplicaSet::on_snapshot_sent(ShardId shard, const Message& request, bool received) noexcept {
    if (failed_) return;
    Replica& replica = mutable_replica(shard);
    replica.group().snapshot_sent(request, received, reactor_.now());
    touch(replica);
}

void ReplicaSet::receive_snapshot(GroupId, const Message& offer) noexcept {
    snapshot_receiver_.offered(offer);
}

bool ReplicaSet::wants_snapshot(ShardId shard, Index index) const noexcept {
    return !failed_ && replica(shard).group().raft().commit() < index;
}

/// Its file is durable. The mark, and the reset that the group asks for, leave with this turn; a
/// crash before they are durable is told by what the log holds (Raft::start).
bool ReplicaSet::install(const SnapshotReceiver::Complete& complete) {
    if (failed_) return false;
    Replica& replica = mutable_replica(complete.shard);
    const snapshot::Head& head = complete.head;
    const bool taken = replica.group().installed(complete.request, head.time_ms,
                                                 complete.configuration, reactor_.now());
    touch(replica);
    if (!taken) return false;
    // Entries that were to be applied are in it, or behind it.
    if (std::exchange(replica.committed, false)) std::erase(committed_, &replica);
    replica.replaced({head.term, head.index}, *complete.store);
    snapshots_.installed(complete.shard, head, complete.bytes);
    note_committed(replica);
    reclaiming_ = true;
    return true;
}

void ReplicaSet::on_reads_confirmed(GroupId group, const consensus::ReadReady& ready) noexcept {
    Replica& replica = replica_of(group);
    replica.reads_confirmed(ready);
    note_committed(replica);
}

void ReplicaSet::on_contradicted(GroupId group) noexcept {
    ++contradictions_;
    std::uint64_t passed_over = 0;
    if (!contradicted_rate_.allow(reactor_.now(), passed_over)) return;
    log::error(
        "another node contradicts what is committed here, and is not believed: one of the "
        "two has lost data, or its data are damaged",
        log::field("group", group.value()), log::field("passed_over", passed_over));
}

// --- apply ---------------------------------------------------------------------------------------

std::size_t ReplicaSet::apply_bytes_max() const noexcept {
    return std::min<std::size_t>(apply_bytes_default, options_.wal.batch_bytes_max / 4);
}

void ReplicaSet::note_committed(Replica& replica) {
    if (replica.committed || !replica.group().has_committed() || !replica.may_apply()) return;
    replica.committed = true;
    committed_.push_back(&replica);
    reactor_.timers().arm(apply_timer_, reactor_.now());  // unless it is applied before
}

/// An entry is what one turn collected for one shard: a small part of what a batch holds.
void ReplicaSet::apply_committed() noexcept {
    while (!committed_.empty() && !failed_) {
        if (applied_bytes_ >= apply_bytes_max()) {
            reactor_.timers().arm(apply_timer_, reactor_.now());  // the next turn, at once
            break;
        }
        Replica& replica = *committed_.front();
        committed_.pop_front();
        replica.committed = false;
        const Result<std::size_t> applied = replica.apply_next();
        if (!applied) {
            on_failed(applied.error());
            return;
        }
        applied_bytes_ += *applied;
        if (replica.applied_since()) commit_times_.add(reactor_.now() - *replica.applied_since());
        note_committed(replica);
    }
    if (committed_.empty()) reactor_.timers().disarm(apply_timer_);
    reclaiming_ = true;  // looks once; stays only if a flush left something
    progress_.set();
}

void ReplicaSet::on_failed(const Error& error) noexcept {
    if (failed_) return;
    failed_ = true;
    set_constrained(true);
    snapshots_.on_failed();
    progress_.set();
    failures_.on_storage_failed(error);
}

}  // namespace kv
