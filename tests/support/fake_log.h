#pragma once

/// A log store that remembers what was staged, in order, and refuses what a test tells it to.

#include <optional>
#include <string>
#include <vector>

#include "consensus/drive/log_store.h"

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
    mutable std::size_t asked_bytes = 0;  ///< by the last refusal()

    void save(GroupId group, const HardState& state) noexcept override {
        steps.push_back({false, group, state, {}});
    }
    void append(GroupId group, const Entry& entry) noexcept override {
        steps.push_back({true, group, {}, std::string(as_text(entry.bytes))});
    }
    std::optional<Errc> refusal(std::size_t bytes) const noexcept override {
        asked_bytes = bytes;
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

}  // namespace kv
