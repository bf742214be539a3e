#include <fmt/format.h>

#include "engine/replica/replica_set.h"

#include "proto/base/mutant.h"

// What a core's groups have in its log: staged, placed, durable, repeated, and read again at a
// start.

namespace kv {

void ReplicaSet::stage_hard_state(GroupId group, const HardState& state) noexcept {
    std::byte bytes[hard_state_bytes];
    encode_hard_state(state, bytes);
    staged_last_ = wal_.stage(wal::RecordKind::hard_state, group, bytes);
}

/// What is durable with the newest ticket.
ReplicaSet::Staged& ReplicaSet::note_staged(GroupId group) noexcept {
    Staged& staged = staged_.emplace_back();
    const bool known = placement_.shard_of(group, staged.shard);
    KV_ASSERT(known);
    staged.ticket = staged_last_;
    return staged;
}

void ReplicaSet::save(GroupId group, const HardState& state) noexcept {
    stage_hard_state(group, state);
    note_staged(group).state = state;
}

void ReplicaSet::reset(GroupId group, LogPosition position) noexcept {
    std::byte bytes[16];
    store_le<std::uint64_t>(bytes, position.index.value());
    store_le<std::uint64_t>(bytes + 8, position.term.value());
    staged_last_ = wal_.stage(wal::RecordKind::log_reset, group, bytes);
    note_staged(group).reset = true;
}

void ReplicaSet::append(GroupId group, const Entry& entry) noexcept {
    staged_last_ = wal_.stage(wal::RecordKind::entries, group, entry.bytes);
    Staged& staged = note_staged(group);
    staged.index = entry.index;
    staged.bytes = entry.bytes.size();
}

void ReplicaSet::hand_over(GroupId group, consensus::PersistMark mark) noexcept {
    note_staged(group).mark = mark;
}

std::optional<Errc> ReplicaSet::refusal(std::size_t bytes) const noexcept {
    return wal_.refusal(bytes);
}

void ReplicaSet::on_placed(wal::Ticket ticket, wal::BatchPlace place) noexcept {
    for (; placed_ < staged_.size() && staged_[placed_].ticket <= ticket; ++placed_) {
        staged_[placed_].place = place;
    }
}

/// Retention hears of entries at once, while the log says which segment they are in; the store may
/// have them later.
void ReplicaSet::on_durable(wal::Ticket ticket) noexcept {
    if (mutant(Mutant::m21_early_batch)) on_placed(++ticket, {});
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
        Replica& replica = mutable_replica(staged.shard);
        if (staged.state) replica.logged = *staged.state;
        if (staged.mark.number == 0) continue;
        replica.group().persisted(staged.mark, reactor_.now());
        touch(replica);
        note_committed(replica);
    }
    snapshots_.on_durable(ticket);
    apply_committed();
}

void ReplicaSet::stage_rotation() noexcept {
    // What waits for its turn follows in the new segment.
    for (Replica* const replica : own_) {
        if (mutant(Mutant::m64_lost_hard_state)) break;
        HardState state = replica->logged;
        state.commit = replica->group().raft().commit();
        stage_hard_state(replica->group().id(), state);
    }
    snapshots_.on_rotation();
    index_.released(wal_.first_segment());
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
