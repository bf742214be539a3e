#include "consensus/drive/group.h"

#include <fmt/format.h>

#include <algorithm>

namespace kv::consensus {

namespace {
constexpr std::size_t free_buffers_max = 8;
constexpr std::size_t kept_buffer_bytes_max = std::size_t{2} << 20;
}  // namespace

void Group::restore(LogPosition last, std::uint64_t time_ms, Configuration configuration) noexcept {
    KV_ASSERT(last_.index.value() == 0 && hard_state_ == HardState{});
    restored_ = last_ = applied_ = last;
    commit_ = last.index;
    last_time_ms_ = applied_time_ms_ = time_ms;
    configuration_ = std::move(configuration);
}

Status Group::recover(const HardState& state) noexcept {
    if (state.term < hard_state_.term) {
        return fail(Errc::damaged, fmt::format("group {}: term {} after term {}", id_.value(),
                                               state.term.value(), hard_state_.term.value()));
    }
    hard_state_ = state;
    return {};
}

Status Group::recover(const Entry& entry) noexcept {
    // One voter never replaces an entry: each joins the one before it. The first one that is left
    // may be any that the snapshot includes.
    const bool covered = entry.index <= restored_.index;
    const bool first = covered && recovered_.index.value() == 0;
    const LogPosition before = covered || recovered_.index.value() != 0 ? recovered_ : last_;
    if (entry.index.value() == 0) {
        return fail(Errc::damaged, fmt::format("group {}: entry 0", id_.value()));
    }
    if (!first && (entry.index != before.index.next() || entry.term < before.term)) {
        return fail(Errc::damaged,
                    fmt::format("group {}: entry {} of term {} behind entry {} of term {}",
                                id_.value(), entry.index.value(), entry.term.value(),
                                before.index.value(), before.term.value()));
    }
    if (entry.index == restored_.index && entry.term != restored_.term) {
        return fail(
            Errc::damaged,
            fmt::format("group {}: entry {} has term {}, in the snapshot it has {}", id_.value(),
                        entry.index.value(), entry.term.value(), restored_.term.value()));
    }
    hard_state_.term = std::max(hard_state_.term, entry.term);
    recovered_ = {entry.term, entry.index};
    if (covered) return {};
    last_ = {entry.term, entry.index};
    last_time_ms_ = std::max(last_time_ms_, entry.time_ms);
    commit_ = entry.index;
    return apply(entry);
}

void Group::campaign(const Configuration& configuration, std::uint64_t now_ms) noexcept {
    KV_ASSERT(!leading_);
    // A snapshot may be newer than what is left of the log.
    const Term newest = std::max(hard_state_.term, last_.term);
    hard_state_ = HardState{newest.next(), self_, commit_};
    log_.save(id_, hard_state_);
    leading_ = true;
    first_of_term_ = last_.index.next();
    if (last_.index.value() == 0) {
        std::string first = take_buffer();
        encode_configuration(configuration, first);
        append(std::move(first), EntryKind::configuration, now_ms);
    }
    append(take_buffer(), EntryKind::noop, now_ms);
}

std::optional<Errc> Group::look_for_refusal(std::size_t bytes) const noexcept {
    if (!ready()) return Errc::no_leader;
    if (uncommitted_bytes_ + bytes > uncommitted_bytes_max && !uncommitted_.empty()) {
        return Errc::busy;
    }
    return log_.refusal(bytes);
}

LogPosition Group::propose(std::string entry, std::uint64_t now_ms) noexcept {
    KV_ASSERT(ready());
    return append(std::move(entry), EntryKind::commands, now_ms);
}

LogPosition Group::append(std::string bytes, EntryKind kind, std::uint64_t now_ms) noexcept {
    last_ = {hard_state_.term, last_.index.next()};
    last_time_ms_ = std::max(last_time_ms_, now_ms);
    const MutableBytes memory(reinterpret_cast<std::byte*>(bytes.data()), bytes.size());
    seal_entry(memory, id_, last_.term, last_.index, last_time_ms_, kind);
    log_.append(id_, view_entry(memory));
    uncommitted_bytes_ += bytes.size();
    uncommitted_.push_back({std::move(bytes), last_});
    return last_;
}

Status Group::persisted(LogPosition position) noexcept {
    if (position.term != hard_state_.term) return {};
    KV_ASSERT(position.index <= last_.index, "{} persisted, {} appended", position.index.value(),
              last_.index.value());
    commit_ = std::max(commit_, position.index);
    while (!uncommitted_.empty() && uncommitted_.front().position.index <= commit_) {
        Uncommitted front = std::move(uncommitted_.front());
        uncommitted_.pop_front();
        uncommitted_bytes_ -= front.bytes.size();
        KV_CHECK(apply(view_entry(as_bytes(front.bytes))));
        if (free_buffers_.size() < free_buffers_max &&
            front.bytes.capacity() <= kept_buffer_bytes_max) {
            free_buffers_.push_back(std::move(front.bytes));
        }
    }
    return {};
}

Status Group::apply(const Entry& entry) noexcept {
    KV_ASSERT(entry.index == applied_.index.next() && entry.index <= commit_);
    if (entry.kind == EntryKind::configuration) {
        KV_TRY(configuration_, decode_configuration(entry.payload));
    }
    KV_CHECK(machine_.apply(entry));
    applied_ = {entry.term, entry.index};
    applied_time_ms_ = entry.time_ms;
    return {};
}

std::size_t Group::buffer_bytes() const noexcept {
    std::size_t bytes = 0;
    for (const Uncommitted& one : uncommitted_) bytes += one.bytes.capacity();
    for (const std::string& one : free_buffers_) bytes += one.capacity();
    return bytes;
}

std::string Group::take_buffer() noexcept {
    std::string buffer;
    if (!free_buffers_.empty()) {
        buffer = std::move(free_buffers_.back());
        free_buffers_.pop_back();
        buffer.clear();
    }
    buffer.resize(entry_header_bytes);
    return buffer;
}

}  // namespace kv::consensus
