#include "engine/snapshot/format.h"

#include <optional>

#include "proto/base/prng.h"
#include "tests/unit/snapshot/snapshot_file.h"

namespace kv::snapshot {
namespace {

TEST(SnapshotFormat, NamesTellGroupAndNumber) {
    const SnapshotFile file{GroupId(7), Index(42)};
    EXPECT_EQ(file.name(), "s000007-00000000000000000042.snap");
    EXPECT_EQ(SnapshotFile::parse(file.name()), file);
    for (const std::string_view other :
         {"", "s7-42.snap", "s000007-00000000000000000042.snap.tmp", "s000007-42.snap",
          "x000007-00000000000000000042.snap", "s-1-00000000000000000042.snap",
          "s000007-99999999999999999999.snap", "s000007-00000000000000000042.snapx"}) {
        EXPECT_EQ(SnapshotFile::parse(other), std::nullopt) << other;
    }
}

TEST(SnapshotFormat, WhatIsWrittenIsRead) {
    Remembered sink;
    const Status parsed = parse(small_file(), sink);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().text();
    EXPECT_EQ(sink.head, head_of());
    EXPECT_EQ(sink.slots, "slots");
    EXPECT_EQ(sink.configuration, "configuration");
    EXPECT_EQ(sink.entries, "some entries");
    EXPECT_TRUE(sink.ended);
}

/// The bytes of version 1 do not change unnoticed.
TEST(SnapshotFormat, AFrameLooksAsItIsDescribed) {
    const std::string file = small_file();
    ASSERT_EQ(file.size(), 5u * 4096);
    EXPECT_EQ(file.substr(0, 4), "KVF1");
    EXPECT_EQ(load_le<std::uint16_t>(file.data() + 4), 1u);
    EXPECT_EQ(load_le<std::uint16_t>(file.data() + 6), 1u);
    EXPECT_EQ(load_le<std::uint32_t>(file.data() + 8), 88u);
    EXPECT_EQ(file.substr(32, 8), "KVSNAPSH");
    EXPECT_EQ(load_le<std::uint64_t>(file.data() + 24), 9665642443820374816ull);
    EXPECT_EQ(load_le<std::uint64_t>(file.data() + 4 * 4096 + 24), 13659076620124060505ull);
}

/// Whoever hands frames on begins anywhere among them, and has no part of one.
TEST(FrameCheck, TakesWholeFramesFromAnyOfThemOn) {
    const std::string file = small_file();
    for (std::size_t from = 0; from < file.size(); from += io::block_bytes) {
        for (std::size_t bytes = 0; bytes <= file.size() - from; bytes += 512) {
            FrameCheck check(store_one, group_seven, from);
            const auto taken = check.take(as_bytes(std::string_view(file).substr(from, bytes)));
            if (bytes == 0) {
                EXPECT_EQ(taken.value_or(99), 0u);
            } else if (bytes < io::block_bytes) {
                ASSERT_FALSE(taken.has_value());
                EXPECT_EQ(taken.error().code, Errc::truncated);
                EXPECT_EQ(check.offset(), from);
            } else {
                EXPECT_EQ(taken.value_or(99), bytes / io::block_bytes * io::block_bytes);
                EXPECT_EQ(check.offset(), from + *taken);
            }
        }
    }
}

TEST(FrameCheck, SeesEveryFlippedBitAndSaysWhere) {
    const std::string file = small_file();
    for (const std::size_t from : {std::size_t{0}, io::block_bytes}) {
        std::string changed = file;
        for (std::size_t bit = 8 * from; bit < 8 * file.size(); bit += 3) {
            const char mask = static_cast<char>(1 << bit % 8);
            changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ mask);
            FrameCheck check(store_one, group_seven, from);
            Status status;
            while (status && check.offset() < changed.size()) {
                const auto taken =
                    check.take(as_bytes(std::string_view(changed).substr(check.offset())));
                if (!taken) status = fail(taken.error());
            }
            ASSERT_FALSE(status.has_value()) << "bit " << bit;
            EXPECT_EQ(check.offset(), bit / 8 / io::block_bytes * io::block_bytes);
            changed[bit / 8] = file[bit / 8];
        }
    }
}

/// A frame of another file, or of another place, is none of this one.
TEST(FrameCheck, BelievesAFrameAtItsPlaceOnly) {
    const std::string file = small_file();
    const std::string_view second = std::string_view(file).substr(io::block_bytes);
    EXPECT_TRUE(FrameCheck(store_one, group_seven, io::block_bytes).take(as_bytes(second)));
    EXPECT_FALSE(FrameCheck(store_one, group_seven, 2 * io::block_bytes).take(as_bytes(second)));
    EXPECT_FALSE(FrameCheck(store_two, group_seven, io::block_bytes).take(as_bytes(second)));
    EXPECT_FALSE(FrameCheck(store_one, group_seven, 0).take(as_bytes(second)));
}

TEST(SnapshotFormat, EveryFlippedBitIsSeen) {
    const std::string file = small_file();
    std::string changed = file;
    for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
        const char mask = static_cast<char>(1 << bit % 8);
        changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ mask);
        Remembered sink;
        const Status parsed = parse(changed, sink);
        ASSERT_FALSE(parsed.has_value()) << "bit " << bit;
        EXPECT_TRUE(parsed.error().code == Errc::corrupt || parsed.error().code == Errc::truncated)
            << "bit " << bit << ": " << parsed.error().text();
        EXPECT_FALSE(sink.ended && bit / 8 < 4 * 4096);
        changed[bit / 8] = file[bit / 8];
    }
}

TEST(SnapshotFormat, EveryCutIsSeen) {
    const std::string file = small_file();
    for (std::size_t bytes = 0; bytes < file.size(); bytes += bytes % 512 == 0 ? 1 : 13) {
        Remembered sink;
        EXPECT_FALSE(parse(file.substr(0, bytes), sink).has_value()) << bytes;
    }
    Remembered sink;
    EXPECT_FALSE(parse(file + std::string(4096, '\0'), sink).has_value());
    EXPECT_FALSE(parse(file + "x", sink).has_value());
}

TEST(SnapshotFormat, RandomBytesDoNoHarm) {
    const std::string file = small_file();
    Prng prng(1);
    for (int i = 0; i < 20'000; ++i) {
        std::string changed = file.substr(0, prng.below(file.size() + 1));
        for (std::uint64_t n = prng.below(20); n > 0 && !changed.empty(); --n) {
            // The front of a frame more often than the rest.
            const std::size_t frame = prng.below(changed.size()) / 4096 * 4096;
            const std::size_t at = frame + prng.below(prng.below(2) == 0 ? 32 : 4096);
            if (at < changed.size()) changed[at] = static_cast<char>(prng.next());
        }
        Remembered sink;
        const Status parsed = parse(changed, sink);
        EXPECT_TRUE(!parsed || changed == file);
    }
}

TEST(SnapshotFormat, AnotherStoreGroupOrNumberIsRefused) {
    const std::string file = small_file();
    Remembered sink;
    EXPECT_EQ(parse(file, sink, store_two).error().code, Errc::foreign);
    EXPECT_EQ(parse(file, sink, store_one, {GroupId(8), Index(42)}).error().code, Errc::corrupt);
    EXPECT_EQ(parse(file, sink, store_one, {group_seven, Index(43)}).error().code, Errc::corrupt);
}

std::string with_head_field(std::size_t at, std::uint16_t value) {
    std::string payload(head_bytes, '\0');
    encode_head(head_of(), {reinterpret_cast<std::byte*>(payload.data()), payload.size()});
    store_le<std::uint16_t>(payload.data() + at, value);
    return FileBuilder()
        .add(SectionTag::head, payload)
        .add(SectionTag::slots, "s")
        .add(SectionTag::configuration, "c")
        .end(0)
        .content();
}

TEST(SnapshotFormat, WhatIsNewerStopsTheReader) {
    const auto begun = [] {
        return FileBuilder().head().add(SectionTag::slots, "s").add(SectionTag::configuration, "c");
    };
    const struct {
        const char* name;
        std::string content;
        std::optional<Errc> error;
    } cases[] = {
        {"no_entries", begun().end(0).content(), {}},
        {"unknown_optional_section", begun().add(77, "x", 0).end(0).content(), {}},
        {"unknown_critical_section", begun().add(77, "x").end(0).content(), Errc::unsupported},
        {"sessions", begun().add(SectionTag::sessions, "x").end(0).content(), Errc::unsupported},
        {"unknown_flag", begun().add(77, "x", 2).end(0).content(), Errc::unsupported},
        {"version", with_head_field(8, 2), Errc::unsupported},
        {"head_flags", with_head_field(10, 1), Errc::unsupported},
        {"features", with_head_field(80, 1), Errc::unsupported},
        {"magic", with_head_field(0, 1), Errc::corrupt},
        {"entries_do_not_add_up", begun().add(SectionTag::entries, "12345").end(4).content(),
         Errc::corrupt},
        {"keys_do_not_add_up", begun().end(0, 6).content(), Errc::corrupt},
        {"no_head", FileBuilder().add(SectionTag::slots, "s").content(), Errc::corrupt},
        {"optional_section_first", FileBuilder().add(77, "s", 0).content(), Errc::corrupt},
        {"two_heads", FileBuilder().head().head().content(), Errc::corrupt},
        {"no_slots", FileBuilder().head().add(SectionTag::configuration, "c").content(),
         Errc::corrupt},
        {"no_configuration", FileBuilder().head().add(SectionTag::slots, "s").end(0).content(),
         Errc::corrupt},
        {"no_end", begun().add(SectionTag::entries, "1").content(), Errc::truncated},
        {"two_ends", begun().end(0).end(0).content(), Errc::corrupt},
        {"entries_behind_the_end", begun().end(0).add(SectionTag::entries, "1").content(),
         Errc::corrupt},
    };
    for (const auto& c : cases) {
        Remembered sink;
        const Status parsed = parse(c.content, sink);
        ASSERT_EQ(parsed.has_value(), !c.error) << c.name;
        if (c.error) {
            EXPECT_EQ(parsed.error().code, *c.error) << c.name;
        }
    }
}

}  // namespace
}  // namespace kv::snapshot
