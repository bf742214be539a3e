#include "consensus/core/progress.h"

#include <algorithm>

namespace kv::consensus {

namespace {
/// Heartbeats whose answers still count; older ones were overtaken.
constexpr std::size_t heartbeats_max = 64;
}  // namespace

bool Progress::has_room(std::size_t bytes_max, std::size_t requests_max,
                        Instant now) const noexcept {
    if (fetch != 0 || now < not_before) return false;
    switch (state) {
        case State::probe: return requests_.empty();
        case State::replicate: return bytes_ < bytes_max && requests_.size() < requests_max;
        case State::snapshot: return false;
    }
    KV_UNREACHABLE();
}

void Progress::sent(const Request& request) {
    requests_.push_back(request);
    bytes_ += request.bytes;
    if (state == State::replicate) next = request.end.next();
}

std::optional<Progress::Request> Progress::take(std::uint64_t sequence, bool accepted) {
    const auto found = std::ranges::find(requests_, sequence, &Request::sequence);
    if (found == requests_.end()) return std::nullopt;
    const Request request = *found;
    const auto from = accepted ? requests_.begin() : found;
    for (auto one = from; one <= found; ++one) bytes_ -= one->bytes;
    requests_.erase(from, std::next(found));
    return request;
}

void Progress::heartbeat_sent(std::uint64_t sequence, std::uint64_t round) {
    if (heartbeats_.size() == heartbeats_max) heartbeats_.pop_front();
    heartbeats_.push_back({sequence, round});
}

bool Progress::take_heartbeat(std::uint64_t sequence, std::uint64_t round) {
    const auto found = std::ranges::find(heartbeats_, sequence, &Heartbeat::sequence);
    if (found == heartbeats_.end() || found->round != round) return false;
    heartbeats_.erase(found);
    return true;
}

void Progress::probe(Index from) {
    state = State::probe;
    next = std::max(from, match.next());
    requests_.clear();
    bytes_ = 0;
    fetch = 0;
    snapshot_ = 0;
    snapshot_delivered_.reset();
}

void Progress::replicate() {
    if (state == State::replicate) return;
    probe(match.next());
    state = State::replicate;
}

void Progress::begin_snapshot(std::uint64_t sequence, Index floor) {
    probe(next);
    state = State::snapshot;
    snapshot_ = sequence;
    snapshot_floor_ = floor;
}

bool Progress::is_snapshot(std::uint64_t sequence, Index position) const noexcept {
    return sends_snapshot(sequence) && position >= snapshot_floor_;
}

bool Progress::silent_since(Instant limit) const noexcept {
    if (!requests_.empty() && requests_.front().sent < limit) return true;
    return snapshot_delivered_ && *snapshot_delivered_ < limit;
}

void Progress::disconnected() {
    heartbeats_.clear();
    if (state != State::snapshot) give_up();
}

}  // namespace kv::consensus
