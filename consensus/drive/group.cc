#include "consensus/drive/group.h"

#include <algorithm>

#include "proto/base/log.h"

namespace kv::consensus {

void Group::restore(LogPosition last, std::uint64_t time_ms, const Configuration& configuration) {
    raft_.restore(last, time_ms, configuration);
    applied_ = last;
    applied_time_ms_ = time_ms;
    configuration_ = configuration;
}

Status Group::recover(const HardState& state) {
    KV_CHECK(raft_.recover(state));
    while (has_committed()) {
        KV_TRY(const std::size_t bytes, apply_next());
        static_cast<void>(bytes);
    }
    return {};
}

Status Group::recover(const Entry& entry) {
    KV_CHECK(raft_.recover(entry));
    while (has_committed()) {
        KV_TRY(const std::size_t bytes, apply_next());
        static_cast<void>(bytes);
    }
    return {};
}

Status Group::recover(LogPosition reset) {
    return raft_.recover(reset);
}

void Group::step(const Message& message, Instant now) {
    take(message, now);
    answer_reads();  // clients are answered before the turn's flush
}

void Group::answer_reads() {
    for (const ReadReady& ready : effects_.reads) owner_.on_reads_confirmed(id(), ready);
    effects_.reads.clear();
}

void Group::take(const Message& message, Instant now) {
    const auto* const append = std::get_if<AppendRequest>(&message.body);
    if (append == nullptr || append->entries.empty()) return raft_.step(message, now, effects_);
    const bool all_storable = std::ranges::all_of(
        append->entries, [&](Bytes entry) { return entry.size() <= log_.entry_bytes_max(); });
    if (all_storable && !log_.constrained()) return raft_.step(message, now, effects_);
    if (!all_storable) log_too_long(now);
    Message fitting = message;
    std::get<AppendRequest>(fitting.body).entries.resize(entries_with_room(*append));
    raft_.step(fitting, now, effects_);
    flush(now);  // staged, so that the next one in this turn counts it
}

/// How many, from the first on. What the log holds already needs none.
std::size_t Group::entries_with_room(const AppendRequest& request) const noexcept {
    std::size_t bytes = 0;
    Index index = request.previous.index;
    for (std::size_t i = 0; i < request.entries.size(); ++i) {
        index = index.next();
        const Result<Entry> entry = decode_entry(request.entries[i], id());
        const bool held = entry && raft_.holds({entry->term, index});
        if (held) continue;
        if (request.entries[i].size() > log_.entry_bytes_max()) return i;
        bytes += request.entries[i].size() + entry_header_bytes;
        if (log_.constrained() && log_.refusal(bytes)) return i;
    }
    return request.entries.size();
}

/// Its leader may be configured with longer ones; the followers that can store them go on.
void Group::log_too_long(Instant now) noexcept {
    std::uint64_t passed_over = 0;
    if (!too_long_rate_.allow(now, passed_over)) return;
    log::error(
        "an entry of the leader is longer than this node's log takes: it falls behind until "
        "wal.segment_bytes and limits.* are equal on all nodes",
        log::field("group", id().value()), log::field("bytes_max", log_.entry_bytes_max()),
        log::field("passed_over", passed_over));
}

void Group::fetched(NodeId to, std::uint64_t number, std::span<const Entry> entries, Instant now) {
    raft_.fetched(to, number, entries, now, effects_);
    for (const Message& message : effects_.messages) owner_.send(message);
    effects_.messages.clear();
}

bool Group::installed(const Message& request, std::uint64_t time_ms,
                      const Configuration& configuration, Instant now) {
    if (!raft_.installed(request, time_ms, configuration, now, effects_)) return false;
    applied_ = std::get<SnapshotRequest>(request.body).position;
    applied_time_ms_ = time_ms;
    configuration_ = configuration;
    return true;
}

void Group::flush(Instant now) {
    raft_.flush(now, effects_);
    if (effects_.mark.number != 0) {
        if (effects_.reset) log_.reset(id(), *effects_.reset);
        if (effects_.hard_state) log_.save(id(), *effects_.hard_state);
        for (const Entry& entry : effects_.append) log_.append(id(), entry);
        log_.hand_over(id(), effects_.mark);
    }
    for (const Message& message : effects_.messages) owner_.send(message);
    answer_reads();
    for (const Fetch& fetch : effects_.fetches) owner_.fetch(id(), fetch);
    for (const SnapshotSend& send : effects_.snapshots) owner_.send_snapshot(id(), send);
    if (effects_.receive_snapshot) owner_.receive_snapshot(id(), *effects_.receive_snapshot);
    if (effects_.contradicted) owner_.on_contradicted(id());
    const bool role_changed = effects_.role_changed;
    effects_.clear();
    if (role_changed) owner_.on_role_changed(id());
}

Result<std::size_t> Group::apply_next() {
    const Entry entry = raft_.entry(applied_.index.next());
    const std::size_t bytes = entry.bytes.size();
    KV_CHECK(apply(entry));
    raft_.applied(applied_.index);
    return bytes;
}

Status Group::apply(const Entry& entry) {
    KV_ASSERT(entry.index == applied_.index.next() && entry.index <= raft_.commit());
    if (entry.kind == EntryKind::configuration) {
        KV_TRY(configuration_, decode_configuration(entry.payload));
    }
    KV_CHECK(machine_.apply(entry));
    applied_ = {entry.term, entry.index};
    applied_time_ms_ = entry.time_ms;
    return {};
}

}  // namespace kv::consensus
