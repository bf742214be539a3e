#pragma once

/// Snapshot files made and read in memory, for tests.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/snapshot/reader.h"

namespace kv::snapshot {

inline constexpr StoreId store_one{0x0123456789abcdef, 0x1122334455667788};
inline constexpr StoreId store_two{0x0123456789abcdef, 0x1122334455667789};
inline constexpr GroupId group_seven{7};

inline Head head_of(std::uint64_t index = 42) {
    Head head;
    head.store = store_one;
    head.group = group_seven;
    head.index = Index(index);
    head.term = Term(3);
    head.time_ms = 1'700'000'000'000;
    head.revision = Revision(99);
    head.keys = 5;
    return head;
}

/// Remembers what it was given.
struct Remembered final : Sink {
    Head head;
    std::string slots;
    std::string configuration;
    std::string entries;
    bool ended = false;
    Status answer;  ///< to on_entries

    Status on_head(const Head& h) override {
        head = h;
        return {};
    }
    Status on_slots(Bytes payload) override {
        slots = as_text(payload);
        return {};
    }
    Status on_configuration(Bytes payload) override {
        configuration = as_text(payload);
        return {};
    }
    Status on_entries(Bytes bytes) override {
        entries += as_text(bytes);
        return answer;
    }
    Status on_end() override {
        ended = true;
        return {};
    }
};

/// Builds a file frame by frame.
class FileBuilder {
public:
    explicit FileBuilder(StoreId store = store_one, GroupId group = group_seven)
        : store_(store), group_(group) {}

    FileBuilder& add(std::uint16_t section, std::string_view payload, std::uint16_t flags = 1);
    FileBuilder& add(SectionTag section, std::string_view payload) {
        return add(static_cast<std::uint16_t>(section), payload);
    }
    FileBuilder& head(const Head& head = head_of());
    FileBuilder& end(std::uint64_t entries_bytes, std::uint64_t keys = 5);
    const std::string& content() const { return content_; }

private:
    StoreId store_;
    GroupId group_;
    FramePosition at_;
    std::string content_;
};

/// A whole file with some entries.
std::string small_file();

/// Reads all of `content`, as read_snapshot() does. What is wrong; nothing: it is whole.
Status parse(std::string_view content, Sink& sink, StoreId store = store_one,
             SnapshotFile file = {group_seven, Index(42)});

}  // namespace kv::snapshot
