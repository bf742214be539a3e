#include "io/timer.h"

namespace kv::io {

bool TimerQueue::before(const Timer& a, const Timer& b) noexcept {
    if (a.deadline_ != b.deadline_) return a.deadline_ < b.deadline_;
    return a.order_ < b.order_;
}

void TimerQueue::place(Timer& timer, std::size_t position) noexcept {
    heap_[position] = &timer;
    timer.position_ = position;
}

void TimerQueue::sift_up(std::size_t position) noexcept {
    Timer& timer = *heap_[position];
    while (position > 0) {
        const std::size_t parent = (position - 1) / 2;
        if (!before(timer, *heap_[parent])) break;
        place(*heap_[parent], position);
        position = parent;
    }
    place(timer, position);
}

void TimerQueue::sift_down(std::size_t position) noexcept {
    Timer& timer = *heap_[position];
    while (true) {
        std::size_t child = 2 * position + 1;
        if (child >= heap_.size()) break;
        if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
        if (!before(*heap_[child], timer)) break;
        place(*heap_[child], position);
        position = child;
    }
    place(timer, position);
}

void TimerQueue::arm(Timer& timer, Instant deadline) {
    disarm(timer);
    timer.deadline_ = deadline;
    timer.order_ = ++armed_count_;
    heap_.push_back(&timer);
    timer.position_ = heap_.size() - 1;
    sift_up(timer.position_);
}

void TimerQueue::disarm(Timer& timer) noexcept {
    if (!timer.armed()) return;
    const std::size_t position = timer.position_;
    Timer* last = heap_.back();
    heap_.pop_back();
    timer.position_ = Timer::not_armed;
    if (last == &timer) return;
    place(*last, position);
    sift_up(position);
    sift_down(last->position_);
}

std::optional<Instant> TimerQueue::next() const noexcept {
    if (heap_.empty()) return std::nullopt;
    return heap_.front()->deadline_;
}

void TimerQueue::fire(Instant now) {
    const std::uint64_t armed_before = armed_count_;
    while (!heap_.empty() && heap_.front()->deadline_ <= now) {
        Timer& timer = *heap_.front();
        // A timer that re-arms itself for a time already past must not hold the turn.
        if (timer.order_ > armed_before) break;
        disarm(timer);
        timer.fire_(timer);
    }
}

void TimerQueue::clear() noexcept {
    for (Timer* timer : heap_) timer->position_ = Timer::not_armed;
    heap_.clear();
}

}  // namespace kv::io
