/// Snapshots in place of a log that does not reach back far enough (Raft dissertation, chapter 5).

#include <algorithm>

#include "consensus/core/raft.h"
#include "proto/base/mutant.h"

namespace kv::consensus {

void Raft::send_snapshot(Progress& follower, Effects& effects) {
    ++sequence_;
    // Behind that the log has the entries; or it does not, when they could not be fetched.
    const Index covers = std::max(log_.compacted().index, follower.next);
    follower.begin_snapshot(sequence_, covers);
    // The driver fills in the position: that of the newest snapshot there is.
    effects.snapshots.push_back(
        {follower.node, message(follower.node, SnapshotRequest{log_.compacted()}), covers});
}

void Raft::snapshot_sent(const Message& request, bool received, Instant now) {
    Progress* follower = find(request.to);
    if (follower == nullptr || !follower->sends_snapshot(request.sequence)) return;
    if (received) return follower->snapshot_delivered(now);
    follower->probe(follower->next);
    follower->not_before = now + options_.heartbeat_interval;
}

void Raft::on(const Message& message, const SnapshotRequest& request, Instant now,
              Effects& effects) {
    const LogPosition position = request.position;
    const AppendReply stale{true, position.index, {}};
    if (!accept_request(message, stale, now, effects)) return;
    if (position.term > message.term) return;  // nobody has committed anything there yet
    // A snapshot holds what is committed: an entry that it ends with vouches for the log here.
    if (log_.holds(position)) learn_commit(position.index, effects);
    if (position.index <= known_commit_) {
        return send(answer(message, term_, AppendReply{false, position.index, {}}), effects,
                    position.index);
    }
    effects.receive_snapshot = message;
}

bool Raft::installed(const Message& request, std::uint64_t time_ms,
                     const Configuration& configuration, Instant now, Effects& effects) {
    const auto* snapshot = std::get_if<SnapshotRequest>(&request.body);
    KV_ASSERT(snapshot != nullptr);
    const LogPosition position = snapshot->position;
    // A leader has what was committed before its term, and commits it by itself.
    if (role_ == Role::leader) return false;
    const bool needed = position.index > commit_;
    if (needed && position.index <= known_commit_ && !log_.holds(position)) {
        effects.contradicted = true;
        return false;
    }
    if (needed) install(position, time_ms, configuration);
    if (request.term == term_) {
        heard_ = now;
        restart_timeout(now);
        send(answer(request, term_, AppendReply{false, position.index, {}}), effects,
             position.index);
    }
    return needed;
}

void Raft::install(LogPosition position, std::uint64_t time_ms,
                   const Configuration& configuration) {
    // What is behind the snapshot is of the same history if the log holds its last entry, and of
    // no worth at all if it does not.
    const bool overlaps =
        position.index > log_.compacted().index && position.index <= log_.last().index;
    const bool keep = (log_.holds(position) && !mutant(Mutant::m44_drop_suffix)) ||
                      (overlaps && mutant(Mutant::m43_keep_suffix));
    if (keep) {
        // On disk the log goes on from the snapshot only if it got as far.
        if (log_.handed_over() < position.index) reset_ = position;
        log_.install(position);
    } else {
        KV_ASSERT(position.index > known_commit_);
        log_.reset(position);
        reset_ = position;
    }
    membership_.restore(position.index, configuration, keep);
    last_time_ms_ = std::max(last_time_ms_, time_ms);
    applied_ = position.index;
    known_commit_ = std::max(known_commit_, position.index);
    commit_ = position.index;
    // What the snapshot covers is durable only with the next hand-over: answers wait for that.
    unsaved_ = true;
    for (Held& held : held_) held.number = log_.next_number();
}

}  // namespace kv::consensus
