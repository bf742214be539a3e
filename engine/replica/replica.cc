#include "engine/replica/replica.h"

#include <algorithm>
#include <array>

namespace kv {

namespace {
/// Commands whose memory is fetched ahead together: enough to hide the misses, few enough for the
/// first-level cache.
constexpr std::size_t window = 32;
constexpr std::size_t free_waiters_max = 8;
}  // namespace

Replica::Replica(GroupId id, NodeId self, consensus::LogStore& log, Slab& slab,
                 std::uint64_t hash_secret)
    : store_(slab, hash_secret), group_(id, self, log, *this), batch_(group_.take_buffer()) {}

std::optional<Errc> Replica::propose(const Command& command, Waiter waiter, std::uint64_t now_ms) {
    const std::size_t bytes = encoded_bytes(command);
    const bool full = !waiters_.empty() && batch_.size() + bytes > entry_bytes_max;
    if (const auto refusal = group_.refusal(batch_.size() + bytes)) return refusal;
    if (full) close_batch(now_ms);
    encode_command(batch_, command);
    waiters_.push_back(waiter);
    ++pending_;
    return std::nullopt;
}

void Replica::close_batch(std::uint64_t now_ms) {
    if (waiters_.empty()) return;
    Proposed proposed;
    proposed.position = group_.propose(std::move(batch_), now_ms);
    proposed.waiters = std::move(waiters_);
    proposed_.push_back(std::move(proposed));
    batch_ = group_.take_buffer();
    if (!free_waiters_.empty()) {
        waiters_ = std::move(free_waiters_.back());
        free_waiters_.pop_back();
    } else {
        waiters_ = {};
    }
}

Status Replica::apply(const Entry& entry) noexcept {
    if (entry.kind != EntryKind::commands) return {};
    applied_.clear();
    KV_CHECK(apply_commands(entry.payload));
    // Waiters belong to a position, not to an index: after a change of leader another entry may
    // stand where theirs was proposed.
    if (proposed_.empty() || proposed_.front().position.index != entry.index) return {};
    Proposed proposed = std::move(proposed_.front());
    proposed_.pop_front();
    KV_ASSERT(proposed.position.term == entry.term && proposed.waiters.size() == applied_.size());
    for (std::size_t i = 0; i < applied_.size(); ++i) applied_[i].waiter = proposed.waiters[i];
    pending_ -= applied_.size();
    if (handler_ != nullptr) handler_->on_applied(applied_);
    proposed.waiters.clear();
    if (free_waiters_.size() < free_waiters_max) {
        free_waiters_.push_back(std::move(proposed.waiters));
    }
    return {};
}

Status Replica::apply_commands(Bytes payload) noexcept {
    std::array<Command, window> commands;
    std::array<std::uint64_t, window> hashes;
    while (!payload.empty()) {
        std::size_t count = 0;
        while (count < window && !payload.empty()) {
            KV_TRY(const std::size_t bytes, decode_command(payload, commands[count]));
            payload = payload.subspan(bytes);
            hashes[count] = store_.hash(commands[count].key);
            store_.prefetch(hashes[count]);
            ++count;
        }
        for (std::size_t i = 0; i < count; ++i) store_.prefetch_block(hashes[i]);
        for (std::size_t i = 0; i < count; ++i) {
            const Store::Applied result = store_.apply(commands[i], hashes[i]);
            applied_.push_back({Waiter{}, result.count, result.revision});
        }
    }
    return {};
}

}  // namespace kv
