#include "engine/replica/replica_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/await.h"

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
      apply_timer_(*this),
      progress_(reactor) {
    consensus::LogStore& log_store = *this;
    replicas_.resize(options_.shards);
    for (std::uint16_t i = 0; i < options_.shards; ++i) {
        if (placement_.core_of(ShardId(i)) != options_.core) continue;
        replicas_[i] =
            std::make_unique<Replica>(Placement::group_of(ShardId(i)), options_.node, log_store,
                                      slab_, options_.hash_secret, wal_.record_bytes_max());
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
    const std::uint64_t time = now_ms();
    for (Replica* const replica : own_) replica->group().campaign(options_.configuration, time);
    const auto ready = [](const Replica* replica) { return replica->group().ready(); };
    while (!std::all_of(own_.begin(), own_.end(), ready)) {
        if (failed_) co_return fail(Errc::io, "the log failed while the node started");
        progress_.reset();
        co_await progress_.wait();
    }
    // Snapshots may rotate the log from here on.
    opened_segment_ = wal_.current_segment();
    snapshots_.start();
    co_return std::move(recovered.report);
}

io::Task<void> ReplicaSet::stop() {
    stopping_ = true;
    co_await snapshots_.stop();
    // What cannot be written while the disk is full was promised to nobody.
    while (pending() != 0 && !failed_ && !wal_.stuck()) {
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
    if (!refused && first) open_batches_.push_back(shard);
    return refused;
}

template std::optional<Errc> ReplicaSet::propose_any(ShardId, const Command&, Waiter);
template std::optional<Errc> ReplicaSet::propose_any(ShardId, const Bytes&, Waiter);

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

void ReplicaSet::at_turn_end() {
    for (const ShardId shard : open_batches_) mutable_replica(shard).close_batch(turn_ms_);
    open_batches_.clear();
    applied_bytes_ = 0;
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

void ReplicaSet::stage_hard_state(GroupId group, const HardState& state) noexcept {
    std::byte bytes[hard_state_bytes];
    encode_hard_state(state, bytes);
    wal_.stage(wal::RecordKind::hard_state, group, bytes);
}

void ReplicaSet::save(GroupId group, const HardState& state) noexcept {
    stage_hard_state(group, state);
}

void ReplicaSet::append(GroupId group, const Entry& entry) noexcept {
    Staged staged;
    const bool known = placement_.shard_of(group, staged.shard);
    KV_ASSERT(known);
    staged.ticket = wal_.stage(wal::RecordKind::entries, group, entry.bytes);
    staged.last = {entry.term, entry.index};
    staged.bytes = entry.bytes.size();
    staged_.push_back(staged);
}

std::optional<Errc> ReplicaSet::refusal(std::size_t bytes) const noexcept {
    return wal_.refusal(bytes);
}

// --- WAL client ----------------------------------------------------------------------------------

/// Retention hears of entries at once, while the log says which segment they are in; the store may
/// have them later.
void ReplicaSet::on_durable(wal::Ticket ticket) noexcept {
    while (durable_ < staged_.size() && staged_[durable_].ticket <= ticket) {
        const Staged& staged = staged_[durable_++];
        snapshots_.entry_durable(staged.shard, staged.last.index, staged.bytes);
    }
    snapshots_.on_durable(ticket);
    apply_durable();
}

std::size_t ReplicaSet::apply_bytes_max() const noexcept {
    return std::min<std::size_t>(apply_bytes_default, options_.wal.batch_bytes_max / 4);
}

/// An entry is what one turn collected for one shard: a small part of what a batch holds.
void ReplicaSet::apply_durable() noexcept {
    while (durable_ != 0 && !failed_) {
        if (applied_bytes_ >= apply_bytes_max()) {
            reactor_.timers().arm(apply_timer_, reactor_.now());  // the next turn, at once
            break;
        }
        const Staged staged = staged_.front();
        staged_.pop_front();
        --durable_;
        applied_bytes_ += staged.bytes;
        const Status applied = mutable_replica(staged.shard).group().persisted(staged.last);
        if (!applied) {
            on_failed(applied.error());
            return;
        }
    }
    reclaiming_ = true;  // looks once; stays only if a flush left something
    progress_.set();
}

void ReplicaSet::stage_rotation() noexcept {
    for (Replica* const replica : own_) {
        stage_hard_state(replica->group().id(), replica->group().hard_state());
    }
    snapshots_.on_rotation();
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
            }
            return {};
        }
        case wal::RecordKind::snapshot_mark:
            return snapshots_.recovered_mark(shard, record.payload);
        case wal::RecordKind::log_reset:
            return fail(Errc::foreign,
                        fmt::format("the log of group {} was reset, which this version cannot read",
                                    record.group.value()));
    }
    KV_UNREACHABLE();
}

}  // namespace kv
