#include "consensus/core/raft.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/base/mutant.h"

namespace kv::consensus {

namespace {

/// Beyond these a promise is not made: to its receiver the message was lost.
constexpr std::size_t held_max = 1024;
/// The commit index is saved again when it has moved by this much, together with what is saved
/// anyway. It bounds what a start cannot apply before a leader speaks.
constexpr std::size_t commit_bytes_unsaved_max = std::size_t{1} << 20;
/// No node misses so many elections. Whoever says so is out of order, and a term that is followed
/// stays: near the end of the range there would be none for the next leader.
constexpr std::uint64_t term_leap_max = std::uint64_t{1} << 32;
/// No log gets this far; behind an index at the end of the range there is no next one.
constexpr Index index_max{std::uint64_t{1} << 62};

bool too_far(const Message& message) noexcept {
    if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
        return append->previous.index > index_max;
    }
    const auto* snapshot = std::get_if<SnapshotRequest>(&message.body);
    return snapshot != nullptr && snapshot->position.index >= index_max;
}

}  // namespace

Raft::Raft(RaftOptions options) : options_(options), prng_(options.seed) {}

void Raft::restore(LogPosition last, std::uint64_t time_ms, const Configuration& configuration) {
    KV_ASSERT(log_.last() == LogPosition{} && term_.value() == 0);
    log_.reset(last);
    membership_.restore(last.index, configuration, false);
    last_time_ms_ = time_ms;
    term_ = last.term;
    commit_ = known_commit_ = applied_ = saved_commit_ = last.index;
}

Status Raft::recover(const HardState& state) {
    if (state.term < durable_state_.term) {
        return fail(Errc::damaged,
                    fmt::format("group {}: term {} after term {}", options_.group.value(),
                                state.term.value(), durable_state_.term.value()));
    }
    const Index commit = std::max(state.commit, durable_state_.commit);
    durable_state_ = {state.term, state.vote, commit};
    if (state.term >= term_) {
        term_ = state.term;
        vote_ = state.vote;
    }
    saved_commit_ = std::max(saved_commit_, commit);
    commit_ = known_commit_ = std::max(commit_, std::min(saved_commit_, log_.last().index));
    return {};
}

Status Raft::recover(const Entry& entry) {
    const LogPosition snapshot = log_.compacted();
    const bool covered = entry.index <= snapshot.index;
    // Behind the snapshot's entries the log may begin anywhere; behind the snapshot it goes on.
    const LogPosition before = covered ? covered_ : log_.last();
    const bool first = covered && covered_.index.value() == 0;
    const bool joins = entry.index <= before.index ||
                       (entry.index == before.index.next() && entry.term >= before.term);
    // What a snapshot that was installed over it contradicts is in the log until a reset voids it.
    if (!covered && snapshot.index.value() != 0 && log_.last() == snapshot && !joins) {
        contradicted_ = true;
    }
    if (!covered && contradicted_) return {};
    if (entry.index.value() == 0 || !(first || joins)) {
        return fail(Errc::damaged,
                    fmt::format("group {}: entry {} of term {} behind entry {} of term {}",
                                options_.group.value(), entry.index.value(), entry.term.value(),
                                before.index.value(), before.term.value()));
    }
    if (entry.term > term_) {
        term_ = entry.term;
        vote_ = {};
    }
    if (covered) {
        covered_ = {entry.term, entry.index};
        if (entry.index == snapshot.index) contradicted_ = entry.term != snapshot.term;
        return {};
    }
    if (entry.index <= log_.last().index) {
        const bool same = log_.term_at(entry.index) == entry.term;
        if (same && entry.index <= commit_) return {};  // written once more to release a segment
        if (entry.index <= commit_ || entry.term < log_.term_at(Index(entry.index.value() - 1))) {
            return fail(
                Errc::damaged,
                fmt::format("group {}: entry {} of term {} replaces one that it may not",
                            options_.group.value(), entry.index.value(), entry.term.value()));
        }
        log_.truncate(entry.index);
        membership_.truncate(entry.index);
    }
    if (entry.kind == EntryKind::configuration) {
        KV_TRY(Configuration configuration, decode_configuration(entry.payload));
        membership_.append(entry.index, std::move(configuration));
    }
    std::string bytes = log_.take_buffer(0);
    bytes.assign(as_text(entry.bytes));
    log_.append(std::move(bytes));
    log_.recovered();
    last_time_ms_ = std::max(last_time_ms_, entry.time_ms);
    commit_ = known_commit_ = std::max(commit_, std::min(saved_commit_, entry.index));
    return {};
}

Status Raft::recover(LogPosition reset) {
    const LogPosition snapshot = log_.compacted();
    if (reset.index > snapshot.index || applied_ > snapshot.index) {
        return fail(
            Errc::damaged,
            fmt::format("group {}: the log begins again behind entry {}, the snapshot ends "
                        "with {}",
                        options_.group.value(), reset.index.value(), snapshot.index.value()));
    }
    log_.reset(snapshot);
    membership_.truncate(snapshot.index.next());
    covered_ = reset;
    contradicted_ = reset.index == snapshot.index && reset.term != snapshot.term;
    commit_ = known_commit_ = snapshot.index;
    return {};
}

Status Raft::start(const Configuration& first, Instant now, Effects& effects) {
    // A snapshot was installed whose reset is not durable: what the log holds ends before it, or
    // contradicts it. What a snapshot holds is committed: the log is what is to go.
    const LogPosition snapshot = log_.compacted();
    const bool unreset = covered_.index.value() != 0 && log_.last() == snapshot &&
                         (contradicted_ || covered_.index < snapshot.index);
    if (unreset) {
        contradicted_ = false;
        reset_ = snapshot;
        unsaved_ = true;
    }
    if (saved_commit_ > log_.last().index || contradicted_) {
        return fail(
            Errc::damaged,
            fmt::format("group {}: the log ends with entry {}, and {} were committed{}",
                        options_.group.value(), log_.last().index.value(), saved_commit_.value(),
                        contradicted_ ? "; it contradicts its snapshot" : ""));
    }
    // An entry may be durable without the hard state that came with it.
    durable_state_.term = term_;
    durable_state_.vote = vote_;
    ticked_ = now;
    if (log_.last().index.value() == 0) {
        // Its first hand-over may have been lost, and a later term or vote not.
        if (term_ < Term(1)) save(Term(1), {});
        std::string entry = log_.take_buffer(entry_header_bytes);
        encode_configuration(first, entry);
        append(std::move(entry), EntryKind::configuration, 0, Term(1));
        membership_.append(Index(1), first);
        uncommitted_bytes_ = 0;  // which counts for leaders only
    }
    restart_timeout(now);
    effects.role_changed = true;
    if (voters().is_only(options_.self)) campaign(true, false, now, effects);
    return {};
}

void Raft::step(const Message& message, Instant now, Effects& effects) {
    if (message.group != options_.group || message.to != options_.self ||
        message.from == options_.self || message.from.value() == 0) {
        return;
    }
    const bool leaps = message.term > term_ && message.term - term_ > term_leap_max;
    if (leaps || too_far(message)) return;
    std::visit([&](const auto& body) { on(message, body, now, effects); }, message.body);
}

void Raft::tick(Instant now, Effects& effects) {
    // A core that was starved has not read what was said meanwhile: silence is its own fault.
    const bool starved = now - ticked_ > options_.election_timeout;
    ticked_ = now;
    if (role_ == Role::leader) {
        if (starved) {
            for (Progress& follower : followers_) follower.heard = now;
        }
        return lead(now, effects);
    }
    if (starved || !may_campaign()) {
        if (starved || now >= election_) restart_timeout(now);
        return;
    }
    if (now >= election_) campaign(true, false, now, effects);
}

void Raft::persisted(PersistMark mark, Instant now, Effects& effects) {
    log_.persisted(mark);
    while (!saving_.empty() && saving_.front().first <= mark.number) {
        durable_state_ = saving_.front().second;
        saving_.pop_front();
    }
    if (role_ == Role::candidate && !voted_self_ && !unsaved_ && state_number_ <= mark.number) {
        voted_self_ = true;
        ballot_.record(options_.self, true);
        count(now, effects);
    }
    if (role_ == Role::leader) {
        count_commit(effects);
    } else {
        learn_commit(known_commit_, effects);
    }
    release(effects);
}

void Raft::flush(Instant now, Effects& effects) {
    if (role_ == Role::leader) {
        if (reads_.close()) send_heartbeats(now, effects);
        confirm_reads(effects);
        replicate(now, effects);
        ask_to_campaign(effects);
    }
    hand_over(effects);
}

LogPosition Raft::propose(std::string entry, EntryKind kind, std::uint64_t now_ms) {
    const bool leads = ready() || mutant(Mutant::m26_append_after_step_down);
    KV_ASSERT(leads);
    KV_ASSERT(kind != EntryKind::configuration);  // changes of membership are not proposed yet
    append(std::move(entry), kind, now_ms, term_);
    return log_.last();
}

std::string Raft::take_buffer() noexcept {
    return log_.take_buffer(entry_header_bytes);
}

void Raft::applied(Index index) {
    KV_ASSERT(index <= commit_, "{} applied, {} committed", index.value(), commit_.value());
    applied_ = std::max(applied_, index);
    trim();
}

void Raft::compacted(LogPosition position) {
    if (position.index <= log_.compacted().index) return;
    KV_ASSERT(position.index <= applied_ && log_.holds(position));
    log_.compact(position);
    membership_.compact(position.index);
}

// --- roles and terms ---------------------------------------------------------------------------

void Raft::become_follower(Term term, NodeId leader, Instant now, Effects& effects) {
    if (term != term_) save(term, {});
    role_ = Role::follower;
    leader_ = leader;
    followers_.clear();
    reads_.clear();
    transfer_.reset();
    uncommitted_bytes_ = 0;
    restart_timeout(now);
    effects.role_changed = true;
}

/// A request of the leader of the current term.
void Raft::follow(const Message& request, Instant now, Effects& effects) {
    if (role_ != Role::follower || leader_ != request.from) {
        become_follower(term_, request.from, now, effects);
    }
    heard_ = now;
    restart_timeout(now);
}

/// Whether a leader's request is of the current term, which may be a new one; one of an earlier
/// term is answered with the current, so that its sender learns that it leads no more.
bool Raft::accept_request(const Message& message, MessageBody stale, Instant now,
                          Effects& effects) {
    if (message.term < term_) {
        send(answer(message, term_, std::move(stale)), effects);
        return false;
    }
    if (message.term > term_) become_follower(message.term, message.from, now, effects);
    if (role_ == Role::leader) return false;  // nobody else leads this term
    follow(message, now, effects);
    return true;
}

/// Whether a reply is to this life of the node, in this term.
bool Raft::accept_reply(const Message& message, Instant now, Effects& effects) {
    if (message.term > term_) become_follower(message.term, {}, now, effects);
    return (message.term == term_ || mutant(Mutant::m25_older_term)) &&
           (message.boot == options_.boot || mutant(Mutant::m24_older_life));
}

Message Raft::message(NodeId to, MessageBody body) const {
    return {options_.group, options_.self, to, term_, options_.boot, sequence_, std::move(body)};
}

Message Raft::answer(const Message& request, Term term, MessageBody body) {
    return {request.group, request.to,       request.from,   term,
            request.boot,  request.sequence, std::move(body)};
}

void Raft::send(Message message, Effects& effects, Index durable) {
    const std::uint64_t number = unsaved_ ? log_.next_number() : state_number_;
    const bool state_durable =
        number <= log_.persisted_number() || mutant(Mutant::m01_unsaved_vote);
    if (state_durable && durable <= log_.durable_index()) {
        effects.messages.push_back(std::move(message));
    } else if (held_.size() < held_max) {
        held_.push_back({std::move(message), number, durable});
    }
}

/// Sends what was held back and is durable now. What was promised in an earlier term is dropped:
/// within a term, no leader replaces what it has had acknowledged.
void Raft::release(Effects& effects) {
    std::erase_if(held_, [&](Held& held) {
        if (held.message.term != term_) return true;
        if (held.number > log_.persisted_number() || held.durable > log_.durable_index()) {
            return false;
        }
        effects.messages.push_back(std::move(held.message));
        return true;
    });
}

void Raft::save(Term term, NodeId vote) {
    KV_ASSERT(term > term_ || (term == term_ && (vote_.value() == 0 || vote_ == vote)));
    if (term == term_ && vote == vote_) return;
    term_ = term;
    vote_ = vote;
    unsaved_ = true;
}

/// Seals an entry and appends it: one of this term, but for the first of an empty log.
void Raft::append(std::string entry, EntryKind kind, std::uint64_t now_ms, Term term) {
    last_time_ms_ = std::max(last_time_ms_, now_ms);
    seal_entry({reinterpret_cast<std::byte*>(entry.data()), entry.size()}, options_.group, term,
               log_.last().index.next(), last_time_ms_, kind);
    uncommitted_bytes_ += entry.size();
    log_.append(std::move(entry));
}

void Raft::hand_over(Effects& effects) {
    if (!unsaved_ && !log_.pending() && !reset_) return;
    const bool save_commit = unsaved_commit_bytes_ >= commit_bytes_unsaved_max || reset_;
    effects.reset = std::exchange(reset_, std::nullopt);
    effects.mark = log_.hand_over(effects.append);
    if (unsaved_ || save_commit) {
        const Term term = mutant(Mutant::m02_unsaved_term) ? durable_state_.term : term_;
        effects.hard_state = HardState{term, vote_, commit_};
        saving_.emplace_back(effects.mark.number, *effects.hard_state);
        saved_commit_ = commit_;
        unsaved_commit_bytes_ = 0;
    }
    if (unsaved_) state_number_ = effects.mark.number;
    unsaved_ = false;
}

void Raft::set_commit(Index index, Effects& effects) {
    KV_ASSERT(index >= commit_ && index <= log_.durable_index());
    const bool was_ready = ready();
    for (Index one = commit_.next(); one <= index; one = one.next()) {
        const std::size_t bytes = log_.entry(one).bytes.size();
        unsaved_commit_bytes_ += bytes;
        if (role_ == Role::leader) uncommitted_bytes_ -= bytes;
    }
    commit_ = index;
    known_commit_ = std::max(known_commit_, index);
    if (ready() != was_ready) effects.role_changed = true;
}

}  // namespace kv::consensus
