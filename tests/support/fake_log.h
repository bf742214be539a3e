#pragma once

/// A log store that remembers what was staged, in order, and refuses what a test tells it to.

#include <optional>
#include <string>
#include <vector>

#include "consensus/drive/group.h"

namespace kv {

struct FakeLog final : consensus::LogStore {
    struct Step {
        bool is_entry = false;
        GroupId group;
        HardState state;    ///< a hard state
        std::string bytes;  ///< an entry, as sealed

        Entry entry() const { return *decode_entry(as_bytes(bytes), group); }
    };
    std::vector<Step> steps;
    std::optional<Errc> refuse;
    std::size_t room = SIZE_MAX;          ///< more than this is refused all the same
    mutable std::size_t asked_bytes = 0;  ///< by the last refusal()

    std::vector<consensus::PersistMark> marks;  ///< handed over, ascending
    std::vector<LogPosition> resets;

    using LogStore::set_constrained;
    using LogStore::set_entry_bytes_max;
    void reset(GroupId, LogPosition position) noexcept override { resets.push_back(position); }
    void hand_over(GroupId, consensus::PersistMark mark) noexcept override {
        marks.push_back(mark);
    }
    void save(GroupId group, const HardState& state) noexcept override {
        steps.push_back({false, group, state, {}});
    }
    void append(GroupId group, const Entry& entry) noexcept override {
        steps.push_back({true, group, {}, std::string(as_text(entry.bytes))});
    }
    std::optional<Errc> refusal(std::size_t bytes) const noexcept override {
        asked_bytes = bytes;
        if (!refuse && bytes > room) return Errc::log_full;
        return refuse;
    }

    std::vector<Entry> entries() const {
        std::vector<Entry> found;
        for (const Step& step : steps) {
            if (step.is_entry) found.push_back(step.entry());
        }
        return found;
    }
};

/// Remembers what a group asked of its node.
struct FakeOwner final : consensus::GroupOwner {
    std::vector<Message> messages;  ///< without what they view
    std::vector<consensus::ReadReady> reads;
    std::vector<consensus::Fetch> fetches;
    std::size_t role_changes = 0;

    void send(const Message& message) noexcept override { messages.push_back(message); }
    void fetch(GroupId, const consensus::Fetch& fetch) noexcept override {
        fetches.push_back(fetch);
    }
    void send_snapshot(GroupId, const consensus::SnapshotSend&) noexcept override {}
    void receive_snapshot(GroupId, const Message&) noexcept override {}
    void on_reads_confirmed(GroupId, const consensus::ReadReady& ready) noexcept override {
        reads.push_back(ready);
    }
    void on_role_changed(GroupId) noexcept override { ++role_changes; }
    void on_contradicted(GroupId) noexcept override {}
};

}  // namespace kv
