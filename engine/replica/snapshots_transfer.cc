#include <algorithm>

#include "engine/replica/snapshots.h"

// Snapshots that are sent to other nodes, or came from them, and what is kept for those transfers.

namespace kv {

namespace {

/// More than this part of the limit written since a snapshot: not the one to be sent.
constexpr std::uint64_t stale_divisor = 8;
/// More than this part of the limit is needed: a transfer may come too late.
constexpr std::uint64_t urgent_divisor = 4;

}  // namespace

std::optional<Snapshots::File> Snapshots::newest(ShardId shard) const {
    const Shard& state = shards_[shard.value()];
    // What was loaded at the start may not be marked yet; the log goes on from it all the same.
    const bool loaded = state.loaded > state.marked;
    const LogPosition position = loaded ? LogPosition{state.loaded_term, state.loaded}
                                        : LogPosition{state.marked_term, state.marked};
    const bool there = position.index.value() != 0 && position.index != state.distrusted &&
                       std::ranges::find(state.files, position.index) != state.files.end();
    if (!there) return std::nullopt;
    return File{path_of(shard, position.index), position};
}

void Snapshots::ask(ShardId shard) {
    if (std::ranges::find(asked_, shard) == asked_.end()) asked_.push_back(shard);
    wake_.set();
}

void Snapshots::distrust(ShardId shard, Index index) {
    shards_[shard.value()].distrusted = index;
    ask(shard);
}

bool Snapshots::urgent() const {
    return log_bytes_needed() > log_limit() / urgent_divisor;
}

bool Snapshots::stale(ShardId shard) const {
    const bool newer = replica(shard).group().applied() > shards_[shard.value()].facts.index;
    // Another follower reads what another snapshot would take away from it.
    if (reads_back(shard) && !overdue()) return false;
    return newer && retention_.log_bytes(shard) > log_limit() / stale_divisor;
}

bool Snapshots::on_its_way(ShardId shard) const {
    return std::ranges::find(asked_, shard) != asked_.end() ||
           std::ranges::find(taken_, shard, &Taken::shard) != taken_.end();
}

void Snapshots::hold(ShardId shard, Index index) {
    shards_[shard.value()].sending = index;
}

void Snapshots::let_go(ShardId shard, Duration rest) {
    Shard& state = shards_[shard.value()];
    state.sending = {};
    state.held_until = std::max(state.held_until, reactor_.now() + rest);
    if (!state.files.empty() && state.files.front() < state.marked) left_.push_back(shard);
    wake_.set();
}

std::string Snapshots::arriving_path(ShardId shard, Index index) const {
    return path_of(shard, index) + std::string(snapshot::arriving_suffix) +
           std::string(snapshot::temporary_suffix);
}

bool Snapshots::has_file(ShardId shard, Index index) const {
    const std::vector<Index>& files = shards_[shard.value()].files;
    return std::ranges::find(files, index) != files.end();
}

void Snapshots::installed(ShardId shard, const snapshot::Head& head, std::uint64_t bytes) {
    Shard& state = shards_[shard.value()];
    std::erase(state.files, head.index);
    state.files.push_back(head.index);
    state.marked = head.index;
    state.marked_term = head.term;
    state.facts.index = head.index;
    state.facts.keys = head.keys;
    state.facts.bytes = bytes;
    state.facts.taken_ms = head.time_ms;
    std::erase_if(taken_, [&](const Taken& taken) { return taken.shard == shard; });
    taken_.push_back({shard, head.index, head.term});  // marked again, and then older ones go
    static_cast<void>(stage_mark(shard));
    wake_.set();
}

/// Whether a follower that lives reads entries of `shard` from the log on disk.
bool Snapshots::reads_back(ShardId shard) const {
    const consensus::Raft& raft = replica(shard).group().raft();
    const Instant since = reactor_.now() - 2 * raft.options().election_timeout;
    return std::ranges::any_of(raft.followers(), [&](const consensus::Progress& follower) {
        return follower.state != consensus::Progress::State::snapshot && follower.heard > since &&
               follower.next < raft.in_memory();
    });
}

/// Whether the log behind the last snapshot of `shard` is to be kept for a follower.
bool Snapshots::waits(ShardId shard) {
    Shard& state = shards_[shard.value()];
    const Instant now = reactor_.now();
    if (state.sending.value() == 0 && now >= state.held_until && !reads_back(shard)) {
        state.waits_since.reset();
        return false;
    }
    if (!state.waits_since) state.waits_since = now;
    return now - *state.waits_since < wait_max;
}

}  // namespace kv
