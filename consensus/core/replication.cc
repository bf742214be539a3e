/// How entries get to followers and when they are committed (Raft dissertation, sections 3.5, 3.6,
/// 5.3, 10.2.1).

#include <algorithm>

#include "consensus/core/raft.h"
#include "proto/base/mutant.h"

namespace kv::consensus {

namespace {

/// The entry that `bytes` hold, when they hold exactly one that is whole.
std::optional<Entry> whole_entry(Bytes bytes, GroupId group) {
    const Result<Entry> entry = decode_entry(bytes, group);
    if (!entry || entry->bytes.size() != bytes.size()) return std::nullopt;
    return *entry;
}

}  // namespace

// --- as a follower

void Raft::on(const Message& message, const AppendRequest& request, Instant now, Effects& effects) {
    const AppendReply stale{true, request.previous.index, {}};
    if (!accept_request(message, stale, now, effects)) return;
    const LogPosition previous = request.previous;
    const Index end(previous.index.value() + request.entries.size());
    // What a snapshot covers is committed, and so the same everywhere.
    if (previous.index >= log_.compacted().index && !log_.holds(previous)) {
        // The logs may agree from the last entry here on whose term the leader's may still have.
        const Index at = std::min(previous.index, log_.last().index);
        const LogPosition hint = log_.at_most(at, previous.term).value_or(log_.compacted());
        return send(answer(message, term_, AppendReply{true, previous.index, hint}), effects);
    }
    if (!take_entries(message, request, effects)) return;
    // Of this request alone: what is behind `end` may be an earlier leader's.
    const bool clamped = !mutant(Mutant::m14_commit_unclamped);
    learn_commit(clamped ? std::min(request.commit, end) : request.commit, effects);
    const Index match = mutant(Mutant::m13_match_by_last) ? log_.last().index : end;
    send(answer(message, term_, AppendReply{false, match, {}}), effects,
         mutant(Mutant::m20_unsynced_ack) ? Index() : end);
}

/// Appends what is new of `request`, whose `previous` is in the log, or before it. False: they are
/// not what a leader sends, and nothing was changed.
bool Raft::take_entries(const Message& message, const AppendRequest& request, Effects& effects) {
    LogPosition before = request.previous;
    std::vector<Entry> entries;
    std::vector<Configuration> configurations;
    entries.reserve(request.entries.size());
    for (const Bytes bytes : request.entries) {
        const std::optional<Entry> entry = whole_entry(bytes, options_.group);
        if (!entry || entry->index != before.index.next() || entry->term < before.term ||
            entry->term > message.term) {
            return false;
        }
        if (entry->kind == EntryKind::configuration) {
            Result<Configuration> configuration = decode_configuration(entry->payload);
            if (!configuration) return false;
            configurations.push_back(*std::move(configuration));
        }
        before = {entry->term, entry->index};
        entries.push_back(*entry);
        // Only a real conflict truncates, and no leader contradicts what was committed.
        const bool settled =
            entry->index >= log_.compacted().index && entry->index <= known_commit_;
        if (settled && log_.term_at(entry->index) != entry->term &&
            !mutant(Mutant::m17_truncate_committed)) {
            effects.contradicted = true;
            return false;
        }
    }
    std::size_t configuration = 0;
    for (const Entry& entry : entries) {
        const bool configures = entry.kind == EntryKind::configuration;
        const std::size_t taken = configuration;
        if (configures) ++configuration;
        const bool covered = entry.index <= log_.compacted().index;
        if (covered && !mutant(Mutant::m27_append_compacted)) continue;
        if (entry.index <= log_.last().index) {
            const bool again = mutant(Mutant::m17_truncate_committed) ||
                               (mutant(Mutant::m16_truncate_always) && entry.index > known_commit_);
            if (log_.term_at(entry.index) == entry.term && !again) continue;
            KV_ASSERT(entry.index > known_commit_ || again);
            log_.truncate(entry.index);
            membership_.truncate(entry.index);
        }
        std::string bytes = log_.take_buffer(0);
        bytes.assign(as_text(entry.bytes));
        log_.append(std::move(bytes));
        last_time_ms_ = std::max(last_time_ms_, entry.time_ms);
        if (configures) membership_.append(entry.index, std::move(configurations[taken]));
    }
    return true;
}

/// The log up to `index` is committed and the same as the leader's; it takes effect here as far as
/// it is durable.
void Raft::learn_commit(Index index, Effects& effects) {
    known_commit_ = std::max(known_commit_, index);
    const Index durable = std::min(known_commit_, log_.durable_index());
    if (durable > commit_) set_commit(durable, effects);
}

// --- as a leader

void Raft::on(const Message& message, const AppendReply& reply, Instant now, Effects& effects) {
    if (!accept_reply(message, now, effects) || role_ != Role::leader) return;
    Progress* follower = find(message.from);
    if (follower == nullptr) return;
    if (!reply.rejected && follower->is_snapshot(message.sequence, reply.match) &&
        reply.match <= commit_) {
        follower->match = std::max(follower->match, reply.match);
        follower->heard = now;
        return follower->probe(follower->match.next());
    }
    const std::optional<Progress::Request> request =
        follower->take(message.sequence, !reply.rejected);
    if (!request) return;
    follower->heard = now;
    if (reply.rejected) {
        if (reply.match != request->previous || request->previous <= follower->match) return;
        // The last entry here that the follower may have: each rejection is for an earlier one.
        const std::optional<LogPosition> common = log_.at_most(
            std::min(reply.hint.index, Index(request->previous.value() - 1)), reply.hint.term);
        // Before what the log has: the entry behind it needs a snapshot.
        return follower->probe(common ? common->index.next() : log_.compacted().index);
    }
    const bool beyond = reply.match > request->end && !mutant(Mutant::m13_match_by_last);
    if (reply.match < request->previous || beyond) return;
    follower->match = std::max(follower->match, reply.match);
    if (reply.match >= request->end) {
        follower->next = std::max(follower->next, follower->match.next());
        follower->replicate();
    } else {
        // Its log has no room for the rest now.
        follower->probe(follower->match.next());
        follower->not_before = now + options_.election_timeout;
    }
    count_commit(effects);
}

/// What a quorum has durably is committed once that includes an entry of this term: an earlier
/// term's may still be replaced by another leader's (figure 8).
void Raft::count_commit(Effects& effects) {
    const Index own =
        mutant(Mutant::m19_leader_unsynced) ? log_.last().index : log_.durable_index();
    const auto matched = [&](NodeId node) -> std::uint64_t {
        if (node == options_.self) return own.value();
        const Progress* follower = find(node);
        return follower != nullptr ? follower->match.value() : 0;
    };
    const Index index = std::min(Index(quorum_value(voters(), matched)), own);
    const bool own_term = index >= first_of_term_ || mutant(Mutant::m15_old_term_by_count);
    if (index > commit_ && own_term) set_commit(index, effects);
    trim();
}

void Raft::replicate(Instant now, Effects& effects) {
    if (stalled_) return;  // followers are to look for another leader
    for (Progress& follower : followers_) replicate_to(follower, now, effects);
}

void Raft::replicate_to(Progress& follower, Instant now, Effects& effects) {
    while (follower.has_room(options_.inflight_bytes_max, options_.inflight_requests_max, now)) {
        const Index last = log_.last().index;
        if (follower.next > last && follower.state == Progress::State::replicate) return;
        if (follower.next <= log_.compacted().index) return send_snapshot(follower, effects);
        if (follower.next < log_.in_memory() && follower.next <= last) {
            follower.fetch = ++fetch_;
            effects.fetches.push_back({follower.node, fetch_, follower.next,
                                       Index(log_.in_memory().value() - 1),
                                       options_.append_bytes_max});
            return;
        }
        std::vector<Bytes> entries;
        std::size_t bytes = 0;
        Index end(follower.next.value() - 1);
        while (end < last) {
            const Bytes entry = log_.entry(end.next()).bytes;
            if (bytes != 0 && bytes + entry.size() > options_.append_bytes_max) break;
            bytes += entry.size();
            entries.push_back(entry);
            end = end.next();
            if (mutant(Mutant::m22_gap) && entries.size() == 2 && end < last) end = end.next();
        }
        send_append(follower, std::move(entries), end, now, effects);
    }
}

void Raft::send_append(Progress& follower, std::vector<Bytes> entries, Index end, Instant now,
                       Effects& effects) {
    const Index previous(follower.next.value() - 1);
    std::size_t bytes = 0;
    for (const Bytes entry : entries) bytes += entry.size();
    ++sequence_;
    follower.sent({sequence_, previous, end, bytes, now});
    // A leader's own term and vote are durable, so nothing of this waits: its views stay valid.
    effects.messages.push_back(
        message(follower.node,
                AppendRequest{{log_.term_at(previous), previous}, commit_, std::move(entries)}));
}

void Raft::fetched(NodeId to, std::uint64_t number, std::span<const Entry> entries, Instant now,
                   Effects& effects) {
    Progress* follower = find(to);
    if (follower == nullptr || number == 0 || follower->fetch != number) return;
    follower->fetch = 0;
    if (stalled_) return;
    if (entries.empty()) return send_snapshot(*follower, effects);
    std::vector<Bytes> bytes;
    Index end(follower->next.value() - 1);
    if (end < log_.compacted().index) return;  // overtaken by a snapshot
    for (const Entry& entry : entries) {
        if (entry.index != end.next() || entry.index > log_.last().index ||
            entry.term != log_.term_at(entry.index)) {
            break;  // not the log that this leader has
        }
        bytes.push_back(entry.bytes);
        end = entry.index;
    }
    if (bytes.empty()) return send_snapshot(*follower, effects);
    send_append(*follower, std::move(bytes), end, now, effects);
}

Progress* Raft::find(NodeId node) noexcept {
    const auto found = std::ranges::find(followers_, node, &Progress::node);
    return found == followers_.end() ? nullptr : &*found;
}

void Raft::disconnected(NodeId peer) {
    if (Progress* follower = find(peer)) follower->disconnected();
}

/// Entries that are applied are kept in memory for followers that may need them, within bounds.
void Raft::trim() {
    const bool alone = configuration().members.size() <= 1;
    log_.trim(applied_, alone ? 0 : options_.cached_bytes_max);
    if (followers_.empty()) return;
    const auto slowest = std::ranges::min_element(followers_, {}, &Progress::match);
    log_.trim(std::min(applied_, slowest->match), 0);
}

}  // namespace kv::consensus
