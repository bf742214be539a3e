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
constexpr Duration leaders_period = 1s;
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

io::Task<Result<wal::RecoveryReport>> ReplicaSet::open() {
    KV_CO_CHECK(co_await snapshots_.load());
    KV_CO_TRY(wal::Recovered recovered, co_await wal::recover(reactor_, options_.wal, *this));
    KV_CO_CHECK(co_await snapshots_.recovered());
    KV_CO_CHECK(co_await wal_.open(std::move(recovered.position)));
    for (Replica* const replica : own_) {
        KV_CO_CHECK(replica->group().start(options_.configuration, reactor_.now()));
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

NodeId ReplicaSet::most_caught_up(ShardId shard) const noexcept {
    const consensus::Progress* best = nullptr;
    for (const consensus::Progress& one : replica(shard).group().raft().followers()) {
        if (reactor_.now() - one.heard > options_.election_timeout) continue;
        if (best == nullptr || one.match > best->match) best = &one;
    }
    return best == nullptr ? NodeId() : best->node;
}

io::Task<void> ReplicaSet::hand_over_all() {
    stopping_ = true;
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
        if (leads) co_await io::SleepAwaiter(reactor_, stop_check_period);
    }
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
    if (!refused && first) open_batches_.push_back(shard);
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
    replica.group().step(message, reactor_.now());
    touch(replica);
    note_committed(replica);
}

void ReplicaSet::disconnected(NodeId peer) {
    for (Replica* const replica : own_) {
        replica->group().disconnected(peer);
        touch(*replica);
    }
    reactor_.want_turn();  // it may be told at the very end of one
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
        if (!leads_[i].hand_over.due(leads, stopping_, view, reactor_.now())) continue;
        log::info("handing a shard over to the node that should lead it", log::field("shard", i),
                  log::field("to", view.node.value()));
        static_cast<void>(group.transfer(view.node, reactor_.now()));
        touch(mutable_replica(shard));
    }
}

void ReplicaSet::tick() {
    if (failed_) return;
    look_at_disk();
    look_at_leaders();
    for (Replica* const replica : own_) {
        replica->group().tick(reactor_.now());
        touch(*replica);
    }
}

void ReplicaSet::flush_groups() {
    // What it takes from the front may touch others again.
    for (std::size_t i = 0; i < touched_.size(); ++i) {
        Replica& replica = *touched_[i];
        replica.touched = false;
        replica.group().flush(reactor_.now());
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

// --- log store -----------------------------------------------------------------------------------

Replica& ReplicaSet::replica_of(GroupId group) noexcept {
    ShardId shard;
    const bool known = placement_.shard_of(group, shard);
    KV_ASSERT(known && has(shard));
    return mutable_replica(shard);
}

void ReplicaSet::stage_hard_state(GroupId group, const HardState& state) noexcept {
    std::byte bytes[hard_state_bytes];
    encode_hard_state(state, bytes);
    staged_last_ = wal_.stage(wal::RecordKind::hard_state, group, bytes);
}

void ReplicaSet::save(GroupId group, const HardState& state) noexcept {
    stage_hard_state(group, state);
}

void ReplicaSet::reset(GroupId group, LogPosition position) noexcept {
    std::byte bytes[16];
    store_le<std::uint64_t>(bytes, position.index.value());
    store_le<std::uint64_t>(bytes + 8, position.term.value());
    Staged staged;
    const bool known = placement_.shard_of(group, staged.shard);
    KV_ASSERT(known);
    staged_last_ = wal_.stage(wal::RecordKind::log_reset, group, bytes);
    staged.ticket = staged_last_;
    staged.reset = true;
    staged_.push_back(staged);
}

void ReplicaSet::append(GroupId group, const Entry& entry) noexcept {
    Staged staged;
    const bool known = placement_.shard_of(group, staged.shard);
    KV_ASSERT(known);
    staged_last_ = wal_.stage(wal::RecordKind::entries, group, entry.bytes);
    staged.ticket = staged_last_;
    staged.index = entry.index;
    staged.bytes = entry.bytes.size();
    staged_.push_back(staged);
}

void ReplicaSet::hand_over(GroupId group, consensus::PersistMark mark) noexcept {
    Staged staged;
    const bool known = placement_.shard_of(group, staged.shard);
    KV_ASSERT(known);
    staged.ticket = staged_last_;
    staged.mark = mark;
    staged_.push_back(staged);
}

std::optional<Errc> ReplicaSet::refusal(std::size_t bytes) const noexcept {
    return wal_.refusal(bytes);
}

// --- group owner ---------------------------------------------------------------------------------

void ReplicaSet::send(const Message& message) noexcept {
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

void ReplicaSet::on_snapshot_sent(ShardId shard, NodeId to, bool received) noexcept {
    if (failed_) return;
    Replica& replica = mutable_replica(shard);
    replica.group().snapshot_sent(to, received, reactor_.now());
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
    std::uint64_t passed_over = 0;
    if (!contradicted_rate_.allow(reactor_.now(), passed_over)) return;
    log::error(
        "another node contradicts what is committed here, and is not believed: one of the "
        "two has lost data, or its data are damaged",
        log::field("group", group.value()), log::field("passed_over", passed_over));
}

void ReplicaSet::on_role_changed(GroupId group) noexcept {
    replica_of(group).role_changed();
    progress_.set();
}

// --- WAL client ----------------------------------------------------------------------------------

void ReplicaSet::on_placed(wal::Ticket ticket, wal::BatchPlace place) noexcept {
    for (; placed_ < staged_.size() && staged_[placed_].ticket <= ticket; ++placed_) {
        staged_[placed_].place = place;
    }
}

/// Retention hears of entries at once, while the log says which segment they are in; the store may
/// have them later.
void ReplicaSet::on_durable(wal::Ticket ticket) noexcept {
    while (!staged_.empty() && staged_.front().ticket <= ticket) {
        const Staged staged = staged_.front();
        staged_.pop_front();
        --placed_;
        if (staged.reset) {
            index_.reset(staged.shard);
            snapshots_.log_reset(staged.shard);
        }
        if (staged.index.value() != 0) {
            index_.entry(staged.shard, staged.index, staged.place);
            snapshots_.entry_durable(staged.shard, staged.index, staged.bytes);
        }
        if (staged.mark.number == 0) continue;
        Replica& replica = mutable_replica(staged.shard);
        replica.group().persisted(staged.mark, reactor_.now());
        touch(replica);
        note_committed(replica);
    }
    snapshots_.on_durable(ticket);
    apply_committed();
}

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
        const Result<std::size_t> applied = replica.group().apply_next();
        if (!applied) {
            on_failed(applied.error());
            return;
        }
        applied_bytes_ += *applied;
        note_committed(replica);
    }
    if (committed_.empty()) reactor_.timers().disarm(apply_timer_);
    reclaiming_ = true;  // looks once; stays only if a flush left something
    progress_.set();
}

void ReplicaSet::stage_rotation() noexcept {
    for (Replica* const replica : own_) {
        stage_hard_state(replica->group().id(), replica->group().raft().kept_state());
    }
    snapshots_.on_rotation();
    index_.released(wal_.first_segment());
}

void ReplicaSet::on_failed(const Error& error) noexcept {
    if (failed_) return;
    failed_ = true;
    set_constrained(true);
    snapshots_.on_failed();
    progress_.set();
    failures_.on_storage_failed(error);
}

// --- recovery ------------------------------------------------------------------------------------

Status ReplicaSet::on_record(const wal::Record& record, Lsn, SegmentSeq segment) {
    ShardId shard;
    if (!placement_.shard_of(record.group, shard)) {
        return fail(Errc::foreign, fmt::format("a record of group {}, but there are {} shards",
                                               record.group.value(), placement_.shards()));
    }
    if (!has(shard)) {
        return fail(Errc::foreign, fmt::format("a record of group {}, which is not on core {}",
                                               record.group.value(), options_.core.value()));
    }
    Replica& replica = mutable_replica(shard);
    switch (record.kind) {
        case wal::RecordKind::hard_state: {
            KV_TRY(const HardState state, decode_hard_state(record.payload));
            return replica.group().recover(state);
        }
        case wal::RecordKind::entries: {
            if (snapshots_.missing(shard)) return {};  // nothing to join; refused in the end
            Bytes rest = record.payload;
            while (!rest.empty()) {
                KV_TRY(const Entry entry, decode_entry(rest, record.group));
                rest = rest.subspan(entry.bytes.size());
                const Status recovered = replica.group().recover(entry);
                if (!recovered) return snapshots_.entry_refused(shard, recovered.error());
                snapshots_.recovered_entry(shard, entry, segment);
                index_.entry(shard, entry.index, recovering_);
            }
            return {};
        }
        case wal::RecordKind::snapshot_mark:
            return snapshots_.recovered_mark(shard, record.payload);
        case wal::RecordKind::log_reset: {
            if (snapshots_.missing(shard)) return {};
            if (record.payload.size() != 16) return fail(Errc::damaged, "a log reset of odd size");
            const LogPosition position{Term(load_le<std::uint64_t>(record.payload.data() + 8)),
                                       Index(load_le<std::uint64_t>(record.payload.data()))};
            const Status recovered = replica.group().recover(position);
            if (!recovered) return snapshots_.entry_refused(shard, recovered.error());
            snapshots_.log_reset(shard);
            index_.reset(shard);
            return {};
        }
    }
    KV_UNREACHABLE();
}

}  // namespace kv
