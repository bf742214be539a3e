#include "engine/replica/replica.h"

#include <algorithm>
#include <array>

#include "proto/base/mutant.h"

namespace kv {

namespace {
/// Distance, in commands, between the stages of applying.
constexpr std::size_t ahead = 8;
constexpr std::size_t free_waiters_max = 8;
}  // namespace

Replica::Replica(consensus::RaftOptions options, consensus::LogStore& log,
                 consensus::GroupOwner& owner, Slab& slab, std::uint64_t hash_secret,
                 std::size_t entry_bytes_limit)
    : entry_bytes_limit_(entry_bytes_limit),
      store_(slab, hash_secret),
      group_(options, log, *this, owner),
      batch_(group_.take_buffer()) {}

/// Before a command of `bytes` goes into the open batch.
std::optional<Errc> Replica::make_room(std::size_t bytes, std::uint64_t now_ms) {
    if (entry_header_bytes + bytes > entry_bytes_limit_) return Errc::too_large;
    const bool full =
        !waiters_.empty() && batch_.size() + bytes > std::min(entry_bytes_max, entry_bytes_limit_);
    if (paused()) return full ? std::optional(Errc::busy) : std::nullopt;
    if (const auto refusal = group_.refusal(batch_.size() + bytes)) return refusal;
    if (full) close_batch(now_ms);
    return std::nullopt;
}

void Replica::took(Waiter waiter) {
    waiters_.push_back(waiter);
    ++taken_;
}

std::optional<Errc> Replica::propose(const Command& command, Waiter waiter, std::uint64_t now_ms) {
    if (const auto refusal = make_room(encoded_bytes(command), now_ms)) return refusal;
    encode_command(batch_, command);
    took(waiter);
    return std::nullopt;
}

std::optional<Errc> Replica::propose(Bytes encoded, Waiter waiter, std::uint64_t now_ms) {
    if (const auto refusal = make_room(encoded.size(), now_ms)) return refusal;
    batch_.append(as_text(encoded));
    took(waiter);
    return std::nullopt;
}

void Replica::close_batch(std::uint64_t now_ms) {
    if (waiters_.empty() || paused()) return;
    // It led when they were taken, or was to.
    const auto refusal = group_.refusal(batch_.size());
    if (refusal && !mutant(Mutant::m26_append_after_step_down)) {
        batch_.resize(entry_header_bytes);
        return drop(std::exchange(waiters_, {}), *refusal);
    }
    drop_voided();
    Proposed proposed;
    proposed.position = group_.propose(std::move(batch_), now_ms);
    proposed.waiters = std::move(waiters_);
    proposed.at = opened;
    proposed_.push_back(std::move(proposed));
    batch_ = group_.take_buffer();
    if (!free_waiters_.empty()) {
        waiters_ = std::move(free_waiters_.back());
        free_waiters_.pop_back();
    } else {
        waiters_ = {};
    }
}

std::size_t Replica::buffer_bytes() const noexcept {
    std::size_t waiters = waiters_.capacity();
    for (const Proposed& one : proposed_) waiters += one.waiters.capacity();
    for (const auto& one : free_waiters_) waiters += one.capacity();
    return group_.buffer_bytes() + batch_.capacity() + waiters * sizeof(Waiter) +
           applied_.capacity() * sizeof(Applied) + previous_values_.capacity() +
           readers_.size() * sizeof(Reader) + readable_.capacity() * sizeof(Waiter);
}

ReadTurn Replica::queue_read(Waiter reader, std::uint64_t hash) {
    if (!group_.ready() && !awaits_leader()) return ReadTurn::never;
    if (!group_.ready() || (!readers_.empty() && readers_.back().round == unasked)) {
        readers_.push_back({taken_, hash, unasked, {}, reader});
        return ReadTurn::later;
    }
    if (mutant(Mutant::m28_local_read) && pending() == 0) return ReadTurn::now;
    if (group_.alone()) {
        readers_.push_back({taken_, hash, 0, {}, reader});
        return ReadTurn::later;
    }
    readers_.push_back({taken_, hash, group_.request_read(), {}, reader});
    return ReadTurn::later;
}

void Replica::reads_confirmed(const consensus::ReadReady& ready) {
    for (Reader& reader : readers_) {
        if (reader.round == 0) continue;
        if (reader.round > ready.round) break;
        reader.round = 0;
        reader.index = ready.index;
    }
    serve_readers();
}

bool Replica::may_apply() const noexcept {
    if (readers_.empty() || readers_.front().round == 0) return true;
    const bool own =
        !proposed_.empty() && proposed_.front().position.index == group_.applied().next() &&
        group_.raft().term_at(proposed_.front().position.index) == proposed_.front().position.term;
    return !own || readers_.front().behind >= done_ + proposed_.front().waiters.size();
}

Result<std::size_t> Replica::apply_next() {
    const Result<std::size_t> applied = group_.apply_next();
    // A read that was confirmed before this entry was applied comes before the next one.
    if (!readers_.empty()) serve_readers();
    return applied;
}

bool Replica::leaderless() const noexcept {
    const NodeId leader = group_.raft().leader();
    const bool elsewhere =
        leader != NodeId() && leader != lost_leader_ && leader != group_.raft().options().self;
    return !group_.ready() && !elsewhere && !mutant(Mutant::m26_append_after_step_down);
}

void Replica::disconnected(NodeId peer) noexcept {
    group_.disconnected(peer);
    if (peer == group_.raft().leader()) lost_leader_ = peer;
}

void Replica::look_for_leader(Instant now) noexcept {
    if (!leaderless()) {
        leaderless_since_.reset();
    } else if (!leaderless_since_) {
        leaderless_since_ = now;
    }
    const Duration wait = leaderless_max * group_.raft().options().election_timeout;
    gave_up_ = leaderless_since_ && now - *leaderless_since_ >= wait;
}

void Replica::role_changed(Instant now) {
    look_for_leader(now);
    const Term leads = group_.ready() ? group_.raft().term() : Term();
    if (leads == leads_) return;
    leads_ = leads;
    if (group_.ready()) drop_voided();
    for (Reader& reader : readers_) reader.round = unasked;
}

bool Replica::settle(std::uint64_t now_ms) {
    const Index last = group_.raft().last().index;
    close_batch(now_ms);
    if (awaits_leader()) return false;
    const bool asks = !readers_.empty() && readers_.back().round == unasked;
    if (asks && group_.ready()) {
        ask_readers();
    } else if (asks) {
        drop_readers();
    }
    return group_.raft().last().index != last || (asks && group_.ready());
}

/// All that are unasked, in one round.
void Replica::ask_readers() {
    const std::uint64_t round = group_.alone() ? 0 : group_.request_read();
    for (Reader& reader : readers_) {
        if (reader.round == unasked) reader.round = round;
    }
    if (group_.alone()) serve_readers();
}

void Replica::drop_readers() {
    std::vector<Waiter> readers;
    for (const Reader& reader : readers_) readers.push_back(reader.waiter);
    readers_.clear();
    if (handler_ != nullptr) handler_->on_reads_dropped(*this, readers, Errc::no_leader);
}

void Replica::replaced(LogPosition position, Store& store) {
    store_.replace(store);
    // Whether the snapshot holds what was proposed here, nobody can tell.
    while (!proposed_.empty() && proposed_.front().position.index <= position.index) {
        std::vector<Waiter> waiters = std::move(proposed_.front().waiters);
        proposed_.pop_front();
        drop(std::move(waiters), Errc::commit_timeout);
    }
}

void Replica::drop(std::vector<Waiter> waiters, Errc reason) {
    done_ += waiters.size();
    dropped_ += waiters.size();
    if (handler_ != nullptr) handler_->on_dropped(*this, waiters, reason);
    keep_waiters(std::move(waiters));
}

/// Waiters belong to a position, not to an index: after a change of leader another entry stands
/// where theirs was proposed.
void Replica::drop_overtaken(LogPosition applied) {
    while (!proposed_.empty() && proposed_.front().position.index <= applied.index &&
           proposed_.front().position != applied) {
        std::vector<Waiter> waiters = std::move(proposed_.front().waiters);
        proposed_.pop_front();
        drop(std::move(waiters), Errc::no_leader);
    }
}

/// Of an earlier term of this leader, and not in its log any more: since an entry of its own term
/// is committed, no other log can bring them back. Before it proposes anything in that term, so
/// that positions always ascend.
void Replica::drop_voided() {
    const consensus::Raft& raft = group_.raft();
    const auto voided = [&](LogPosition position) {
        return position.term != raft.term() && (position.index > raft.last().index ||
                                                raft.term_at(position.index) != position.term);
    };
    while (!proposed_.empty() && voided(proposed_.back().position)) {
        std::vector<Waiter> waiters = std::move(proposed_.back().waiters);
        proposed_.pop_back();
        drop(std::move(waiters), Errc::no_leader);
    }
}

void Replica::keep_waiters(std::vector<Waiter> waiters) {
    waiters.clear();
    if (free_waiters_.size() < free_waiters_max) free_waiters_.push_back(std::move(waiters));
}

Status Replica::apply(const Entry& entry) noexcept {
    const LogPosition position{entry.term, entry.index};
    drop_overtaken(position);
    applied_since_.reset();
    if (entry.kind != EntryKind::commands) return {};
    applied_.clear();
    previous_.clear();
    previous_values_.clear();
    const bool own = !proposed_.empty() && proposed_.front().position == position;
    KV_CHECK(apply_commands(entry.payload, own));
    if (!own) return {};
    Proposed proposed = std::move(proposed_.front());
    proposed_.pop_front();
    applied_since_ = proposed.at;
    KV_ASSERT(proposed.waiters.size() == applied_.size());
    for (std::size_t i = 0; i < applied_.size(); ++i) applied_[i].waiter = proposed.waiters[i];
    show_previous();
    if (handler_ != nullptr) handler_->on_applied(applied_);
    keep_waiters(std::move(proposed.waiters));
    return {};
}

/// Decodes `ahead` commands before it fetches the block of one, and `ahead` more before it applies
/// it: as many fetches as the processor keeps in flight, each with time to arrive.
Status Replica::apply_commands(Bytes payload, bool own) noexcept {
    std::array<Command, 4 * ahead> commands;
    std::array<std::uint64_t, 4 * ahead> hashes;
    const auto place = [](std::size_t number) { return number % (4 * ahead); };
    if (own) prefetch_readers();
    std::size_t decoded = 0;
    std::size_t fetched = 0;
    std::size_t applied = 0;
    while (!payload.empty() || applied < decoded) {
        const bool last = payload.empty();
        if (!last) {
            Command& command = commands[place(decoded)];
            KV_TRY(const std::size_t bytes, decode_command(payload, command));
            payload = payload.subspan(bytes);
            hashes[place(decoded)] = store_.hash(command.key);
            store_.prefetch(hashes[place(decoded)]);
            ++decoded;
        }
        if (fetched < decoded && (last || decoded - fetched > ahead)) {
            store_.prefetch_block(hashes[place(fetched)]);
            ++fetched;
        }
        if (applied < fetched && (fetched == decoded || fetched - applied > ahead)) {
            applied_.push_back(
                {Waiter{}, store_.apply(commands[place(applied)], hashes[place(applied)])});
            ++applied;
            if (applied_.back().result.previous) keep_previous();
            if (!own) continue;
            ++done_;
            if (!readers_.empty()) serve_readers();
        }
    }
    return {};
}

/// The newest of applied_ returns a value that lies in the store only until the next command.
void Replica::keep_previous() {
    const std::string_view value = *applied_.back().result.previous;
    previous_.push_back({applied_.size() - 1, previous_values_.size(), value.size()});
    previous_values_.append(value);
}

/// Has applied_ view the values that were kept.
void Replica::show_previous() noexcept {
    const std::string_view all = previous_values_;
    for (const Previous& one : previous_) {
        applied_[one.applied].result.previous = all.substr(one.at, one.bytes);
    }
}

void Replica::prefetch_readers() const noexcept {
    const std::size_t count = std::min<std::size_t>(readers_.size(), 4 * ahead);
    for (std::size_t i = 0; i < count; ++i) store_.prefetch(readers_[i].hash);
    for (std::size_t i = 0; i < count; ++i) store_.prefetch_block(readers_[i].hash);
}

void Replica::serve_readers() {
    readable_.clear();
    while (!readers_.empty() && readers_.front().behind <= done_ && readers_.front().round == 0 &&
           (readers_.front().index <= group_.applied() || mutant(Mutant::m31_unapplied_read))) {
        readable_.push_back(readers_.front().waiter);
        readers_.pop_front();
    }
    if (!readable_.empty() && handler_ != nullptr) handler_->on_readable(*this, readable_);
}

}  // namespace kv
