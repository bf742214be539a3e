/// Recovery of damaged files: bit rot, truncation, lost, doubled, swapped and foreign files. It
/// returns the whole log, or refuses and says where; only what no later batch had proven may be
/// missing. It never returns a wrong record.

#include <gtest/gtest.h>

#include <cstdio>
#include <functional>

#include "proto/base/checksum.h"
#include "proto/base/prng.h"
#include "tests/unit/wal/wal_harness.h"

namespace kv::wal {
namespace {

struct Outcomes {
    std::uint64_t variants = 0;
    std::uint64_t identical = 0;
    std::uint64_t prefixes = 0;
    std::uint64_t refused = 0;
};
void print(const char* name, const Outcomes& o) {
    std::printf(
        "%s: %llu variants: %llu identical, %llu prefixes, %llu refused\n", name,
        static_cast<unsigned long long>(o.variants), static_cast<unsigned long long>(o.identical),
        static_cast<unsigned long long>(o.prefixes), static_cast<unsigned long long>(o.refused));
}

/// A log of three segments at rest, and a process that recovers it again and again.
class WalDamage : public testing::Test {
protected:
    /// With `marker`, an idle marker proves all of it; else the last batch is not proven.
    void make(bool marker) {
        {
            Life life(scene);
            ASSERT_TRUE(life.start());
            for (int i = 0; i < 3; ++i) ASSERT_TRUE(life.stage_and_settle(3'800));
            ASSERT_TRUE(life.stage_and_settle(700));
            ASSERT_TRUE(life.stage_and_settle(50));
            for (int i = 0; i < 3; ++i) life.stage(40);
            ASSERT_TRUE(life.settle());
            proven = 0;
            ASSERT_EQ(life.rotations, 3u);
            if (marker) {
                ASSERT_TRUE(life.pass(2s));
            }
            life.crash(io::Crash::power_lose_all);
        }
        reader = std::make_unique<Life>(scene);
        ASSERT_TRUE(reader->recover());
        ASSERT_TRUE(reader->recovered->has_value()) << reader->recovered->error().text();
        whole = reader->seen;
        // The last batch holds three records.
        proven = marker ? whole.size() : whole.size() - 3;
        ASSERT_EQ(scene.accept(whole), "");
        ASSERT_EQ(scene.log.size(), 8u);
        for (const std::string& path : scene.wal_files())
            originals[path] = *scene.disk.visible(path);
        newest = path_of((*reader->recovered)->position.log.back().file.name());
        segments = (*reader->recovered)->position.log.size();
        ASSERT_GE(segments, 3u);
    }

    /// Recovers the files as they are now; false: an outcome that must not be.
    bool judge(Outcomes& outcomes) {
        ++outcomes.variants;
        if (!reader->recover()) return false;
        if (!*reader->recovered) {
            const Error& error = reader->recovered->error();
            const bool right = error.code == Errc::damaged || error.code == Errc::foreign;
            const bool named =
                error.text().find(wal_directory + "/g0001-c00-") != std::string::npos;
            const bool placed =
                error.code == Errc::foreign || error.text().find("offset") != std::string::npos;
            EXPECT_TRUE(right && named && placed) << error.text();
            ++outcomes.refused;
            return right && named && placed;
        }
        const SeenList& seen = reader->seen;
        if (seen == whole) {
            ++outcomes.identical;
            return true;
        }
        const bool prefix =
            seen.size() < whole.size() && std::equal(seen.begin(), seen.end(), whole.begin());
        EXPECT_TRUE(prefix) << "records that were never there";
        EXPECT_GE(seen.size(), proven) << "proven records are missing";
        ++outcomes.prefixes;
        return prefix && seen.size() >= proven;
    }

    void restore(const std::string& path) { scene.disk.put(path, originals.at(path)); }

    /// Every bit of the headers and batches of the newest segment, every `older_stride`th of older
    /// ones; of spares and what is void every 61st.
    void flip_every_bit(const char* name, std::uint64_t older_stride) {
        Outcomes outcomes;
        const std::map<std::string, SegmentHeader> headers = segment_headers(scene);
        for (const auto& [path, content] : originals) {
            const std::uint64_t used =
                headers.at(path).segment.value() == 0 ? 0 : content.find_last_not_of('\0') + 1;
            const std::uint64_t blocks = round_up(used, io::block_bytes);
            for (std::uint64_t bit = 0; bit < content.size() * 8; ++bit) {
                const std::uint64_t stride = bit / 8 >= blocks ? 61
                                             : path == newest  ? 1
                                                               : older_stride;
                if (bit % (stride * (sanitized() ? 10 : 1)) != 0) continue;
                ASSERT_TRUE(scene.disk.flip_bit(path, bit));
                ASSERT_TRUE(judge(outcomes)) << "bit " << bit << " of " << path;
                ASSERT_TRUE(scene.disk.flip_bit(path, bit));
            }
        }
        print(name, outcomes);
        EXPECT_GT(outcomes.refused, outcomes.variants / 2);
    }

    Scene scene{1};
    std::unique_ptr<Life> reader;
    SeenList whole;
    std::size_t proven = 0;
    std::map<std::string, std::string> originals;
    std::size_t segments = 0;
    std::string newest;
};

TEST_F(WalDamage, AnyFlippedBitOfAProvenLogIsHarmlessOrRefused) {
    ASSERT_NO_FATAL_FAILURE(make(true));
    flip_every_bit("bit flips, proven log", 1);
}

TEST_F(WalDamage, AFlippedBitCostsAtMostTheUnprovenTail) {
    ASSERT_NO_FATAL_FAILURE(make(false));
    flip_every_bit("bit flips, unproven tail", 7);
}

TEST_F(WalDamage, AnyTruncationIsHarmlessOrRefused) {
    ASSERT_NO_FATAL_FAILURE(make(true));
    Outcomes outcomes;
    for (const auto& [path, content] : originals) {
        for (std::uint64_t bytes = 0; bytes < content.size(); bytes += sanitized() ? 10 : 1) {
            ASSERT_TRUE(scene.disk.truncate(path, bytes));
            ASSERT_TRUE(judge(outcomes)) << bytes << " bytes of " << path;
            restore(path);
        }
    }
    print("truncations", outcomes);
}

TEST_F(WalDamage, AnyBlockOfOtherContentIsHarmlessOrRefused) {
    ASSERT_NO_FATAL_FAILURE(make(true));
    Outcomes outcomes;
    Prng prng(5);
    for (const auto& [path, content] : originals) {
        for (std::uint64_t at = 0; at < content.size(); at += 512) {
            for (const auto& [other, from] : originals) {
                for (std::uint64_t source = 0; source < from.size(); source += io::block_bytes) {
                    // A misdirected write: a block of any file, or one sector of it.
                    const std::size_t bytes = at % io::block_bytes == 0 ? io::block_bytes : 512;
                    const std::string piece = from.substr(source, bytes);
                    ASSERT_TRUE(scene.disk.overwrite(path, at, as_bytes(piece)));
                    ASSERT_TRUE(judge(outcomes)) << source << " of " << other << " at " << at;
                    restore(path);
                }
            }
        }
    }
    print("misdirected blocks", outcomes);
}

TEST_F(WalDamage, AMissingSegmentIsRefused) {
    ASSERT_NO_FATAL_FAILURE(make(true));
    Outcomes outcomes;
    for (const auto& [path, header] : segment_headers(scene)) {
        if (path == newest) continue;  // nothing that is left knows of it
        ASSERT_TRUE(scene.disk.remove(path));
        ASSERT_TRUE(judge(outcomes)) << path;
        EXPECT_EQ(reader->recovered->has_value(), header.segment.value() == 0) << path;
        restore(path);
    }
    EXPECT_EQ(outcomes.refused, segments - 1);
}

TEST_F(WalDamage, ASegmentThatIsThereTwiceIsRefused) {
    ASSERT_NO_FATAL_FAILURE(make(true));
    Outcomes outcomes;
    const std::string copy = path_of("g0001-c00-000099.wal");
    for (const auto& [path, header] : segment_headers(scene)) {
        scene.disk.put(copy, originals.at(path));
        ASSERT_TRUE(judge(outcomes)) << path;
        EXPECT_EQ(reader->recovered->has_value(), header.segment.value() == 0) << path;
        ASSERT_TRUE(scene.disk.remove(copy));
    }
    EXPECT_EQ(outcomes.refused, segments);
}

TEST_F(WalDamage, FilesThatChangedNamesAreTheSameLog) {
    ASSERT_NO_FATAL_FAILURE(make(true));
    Outcomes outcomes;
    for (const auto& [one, one_content] : originals) {
        for (const auto& [two, two_content] : originals) {
            scene.disk.put(one, two_content);
            scene.disk.put(two, one_content);
            ASSERT_TRUE(judge(outcomes)) << one << " and " << two;
            restore(one);
            restore(two);
        }
    }
    EXPECT_EQ(outcomes.identical, outcomes.variants);
}

/// A block with a good checksum that says something else.
std::string header_block(const std::function<void(SegmentHeader&)>& change) {
    SegmentHeader header;
    header.store = store_one;
    change(header);
    std::string block(segment_header_bytes, '\0');
    encode_segment_header(header, {reinterpret_cast<std::byte*>(block.data()), block.size()});
    return block;
}

TEST_F(WalDamage, FilesOfOtherStoresCoresAndVersionsAreRefused) {
    ASSERT_NO_FATAL_FAILURE(make(true));
    const std::string path = path_of("g0001-c00-000050.wal");
    const auto refused = [&](std::string content, const char* sentence) {
        content.resize(scene.options.segment_bytes);
        scene.disk.put(path, content);
        ASSERT_TRUE(reader->recover());
        ASSERT_FALSE(reader->recovered->has_value());
        EXPECT_EQ(reader->recovered->error().code, Errc::foreign);
        EXPECT_NE(reader->recovered->error().text().find(path), std::string::npos);
        EXPECT_NE(reader->recovered->error().text().find(sentence), std::string::npos)
            << reader->recovered->error().text();
    };
    refused(header_block([](SegmentHeader& h) { h.store = store_two; }), "another data directory");
    refused(header_block([](SegmentHeader& h) { h.core = 1; }), "renamed");
    refused(header_block([](SegmentHeader& h) { h.generation = 2; }), "renamed");
    std::string newer = header_block([](SegmentHeader&) {});
    newer[8] = 2;
    const std::uint64_t seed = mix_seed(mix_seed(store_one.high, store_one.low), 0);
    store_le<std::uint64_t>(newer.data() + newer.size() - 8,
                            checksum(as_bytes(newer).first(newer.size() - 8), seed));
    refused(newer, "version 2");
    ASSERT_TRUE(scene.disk.remove(path));
    Outcomes outcomes;
    ASSERT_TRUE(judge(outcomes));
    EXPECT_EQ(outcomes.identical, 1u);
}

TEST_F(WalDamage, ABatchOfANewerVersionIsRefused) {
    ASSERT_NO_FATAL_FAILURE(make(true));
    const auto reseal = [&](std::size_t at, char value) {
        std::string content = originals.at(newest);
        char* batch = content.data() + segment_header_bytes;
        batch[at] = value;
        const auto segment = load_le<std::uint64_t>(batch + 24);
        const std::uint64_t seed =
            mix_seed(mix_seed(store_one.high, store_one.low), mix_seed(segment, 4096));
        const Bytes header = as_bytes(content).subspan(segment_header_bytes, 88);
        store_le<std::uint64_t>(batch + 88, checksum(header, seed));
        scene.disk.put(newest, content);
    };
    for (const auto& [at, value] : {std::pair{4, 2}, {6, 4}, {7, 1}}) {
        reseal(static_cast<std::size_t>(at), static_cast<char>(value));
        ASSERT_TRUE(reader->recover());
        ASSERT_FALSE(reader->recovered->has_value());
        EXPECT_EQ(reader->recovered->error().code, Errc::foreign);
        EXPECT_NE(reader->recovered->error().text().find(newest + " at offset 4096"),
                  std::string::npos)
            << reader->recovered->error().text();
    }
}

TEST_F(WalDamage, FilesThatAreNotSegmentsChangeNothing) {
    ASSERT_NO_FATAL_FAILURE(make(true));
    Outcomes outcomes;
    Prng prng(7);
    std::string garbage(16'384, '\0');
    for (char& c : garbage) c = static_cast<char>(prng.next());
    for (const char* name : {"notes.txt", "g0001-c00-000007.wal.tmp", "probe.tmp", "g1-c0-9.wal",
                             "g0001-c00-000042.wal"}) {
        scene.disk.put(path_of(name), garbage);
        ASSERT_TRUE(judge(outcomes)) << name;
    }
    EXPECT_EQ(outcomes.identical, outcomes.variants);
}

TEST_F(WalDamage, ASegmentFileShorterThanASegmentIsRefused) {
    ASSERT_NO_FATAL_FAILURE(make(true));
    const std::string path = path_of("g0001-c00-000050.wal");
    for (const std::size_t bytes : {0u, 1u, 511u, 512u, 4'095u, 4'096u, 4'097u, 16'383u}) {
        Outcomes outcomes;
        scene.disk.put(path, std::string(bytes, 'x'));
        ASSERT_TRUE(judge(outcomes));
        EXPECT_EQ(outcomes.refused, 1u) << bytes;
    }
}

}  // namespace
}  // namespace kv::wal
