#include "consensus/core/log_view.h"

#include <algorithm>

#include "proto/base/mutant.h"

namespace kv::consensus {

namespace {
constexpr std::size_t free_buffers_max = 8;
constexpr std::size_t kept_buffer_bytes_max = std::size_t{2} << 20;
constexpr Index before(Index index) {
    return Index(index.value() - 1);
}
}  // namespace

Term LogView::term_at(Index index) const noexcept {
    KV_ASSERT(index >= compacted_.index && index <= last_.index, "term of {}, log of {} to {}",
              index.value(), compacted_.index.value(), last_.index.value());
    if (index == last_.index) return last_.term;
    if (index == compacted_.index) return compacted_.term;
    const auto behind = std::ranges::upper_bound(runs_, index, {}, &Run::first);
    return std::prev(behind)->term;
}

std::optional<LogPosition> LogView::at_most(Index index, Term term) const noexcept {
    index = std::min(index, last_.index);
    if (index < compacted_.index) return std::nullopt;
    for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
        if (run->first > index) continue;
        if (run->term <= term) return LogPosition{run->term, index};
        index = before(run->first);
    }
    if (compacted_.term <= term) return compacted_;
    return std::nullopt;
}

void LogView::reset(LogPosition position) noexcept {
    compacted_ = last_ = position;
    first_ = position.index.next();
    durable_ = handed_ = position.index;
    entries_.clear();
    entry_bytes_ = 0;
    runs_.clear();
    ++epoch_;
}

void LogView::append(std::string entry) {
    const Entry view = view_entry(as_bytes(entry));
    KV_ASSERT(view.index == last_.index.next(), "{} behind {}", view.index.value(),
              last_.index.value());
    KV_ASSERT(view.term >= last_.term);
    if (runs_.empty() || view.term != last_.term) runs_.push_back({view.index, view.term});
    last_ = {view.term, view.index};
    entry_bytes_ += entry.capacity();
    entries_.push_back(std::move(entry));
}

void LogView::truncate(Index first) noexcept {
    KV_ASSERT(first > compacted_.index && first <= last_.index);
    KV_ASSERT(first >= first_);  // what is not in memory is applied
    last_ = {term_at(before(first)), before(first)};
    while (!runs_.empty() && runs_.back().first >= first) runs_.pop_back();
    while (entries_.size() > first - first_ && !mutant(Mutant::m23_cache_keeps)) {
        entry_bytes_ -= entries_.back().capacity();
        entries_.pop_back();
    }
    durable_ = std::min(durable_, last_.index);
    handed_ = std::min(handed_, last_.index);
    ++epoch_;
}

void LogView::recovered() noexcept {
    handed_ = durable_ = last_.index;
}

void LogView::compact(LogPosition position) noexcept {
    KV_ASSERT(holds(position));
    compacted_ = position;
    const auto behind = std::ranges::upper_bound(runs_, position.index.next(), {}, &Run::first);
    if (behind != runs_.begin()) {
        runs_.erase(runs_.begin(), std::prev(behind));
        runs_.front().first = std::max(runs_.front().first, position.index.next());
        if (position.index == last_.index) runs_.clear();
    }
    trim(position.index, 0);
}

void LogView::install(LogPosition position) noexcept {
    compact(position);
    durable_ = std::max(durable_, position.index);
    handed_ = std::max(handed_, position.index);
}

void LogView::trim(Index index, std::size_t bytes_kept) noexcept {
    while (first_ <= index && !entries_.empty() && entry_bytes_ > bytes_kept) {
        std::string& front = entries_.front();
        entry_bytes_ -= front.capacity();
        if (free_buffers_.size() < free_buffers_max && front.capacity() <= kept_buffer_bytes_max) {
            free_buffers_.push_back(std::move(front));
        }
        entries_.pop_front();
        first_ = first_.next();
    }
}

PersistMark LogView::hand_over(std::vector<Entry>& out) {
    for (Index index = handed_.next(); index <= last_.index; index = index.next()) {
        out.push_back(entry(index));
    }
    handed_ = last_.index;
    hand_overs_.push_back({{++number_, epoch_}, last_.index});
    return hand_overs_.back().mark;
}

void LogView::persisted(PersistMark mark) noexcept {
    KV_ASSERT(mark.number <= number_, "{} persisted, {} handed over", mark.number, number_);
    persisted_number_ = std::max(persisted_number_, mark.number);
    while (!hand_overs_.empty() && hand_overs_.front().mark.number <= mark.number) {
        const HandOver& done = hand_overs_.front();
        const bool same_log = done.mark.epoch == epoch_ || mutant(Mutant::m18_aba);
        if (same_log) durable_ = std::max(durable_, done.last);
        hand_overs_.pop_front();
    }
}

std::string LogView::take_buffer(std::size_t room) {
    std::string buffer;
    if (!free_buffers_.empty()) {
        buffer = std::move(free_buffers_.back());
        free_buffers_.pop_back();
        buffer.clear();
    }
    buffer.resize(room);
    return buffer;
}

std::size_t LogView::memory_bytes() const noexcept {
    std::size_t bytes = 0;
    for (const std::string& one : entries_) bytes += one.capacity();
    for (const std::string& one : free_buffers_) bytes += one.capacity();
    return bytes;
}

}  // namespace kv::consensus
