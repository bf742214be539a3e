/// A cut of a store that is read while commands go on: always the store as it was.

#include "engine/store/cut.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <optional>

#include "engine/store/store.h"
#include "proto/base/prng.h"

namespace kv {
namespace {

using Entry = std::pair<std::string, Revision>;
using Model = std::map<std::string, Entry>;

std::uint64_t scaled(std::uint64_t count) {
    return std::getenv("KV_TEST_SANITIZED") != nullptr ? count / 10 : count;
}

Model content(const Store& store) {
    Model model;
    Cursor cursor;
    do {
        cursor = store.scan(cursor, [&](std::string_view key, std::string_view value, Revision r) {
            model[std::string(key)] = {std::string(value), r};
        });
    } while (cursor != Cursor(0));
    return model;
}

class CutTest : public testing::Test {
protected:
    Store::Applied put(std::string_view key, std::string_view value) {
        return store.apply({.kind = CommandKind::put, .key = key, .value = value}, store.hash(key));
    }
    Store::Applied del(std::string_view key) {
        return store.apply({.kind = CommandKind::del, .key = key}, store.hash(key));
    }
    void flush() { store.apply({.kind = CommandKind::flush}, 0); }

    /// All that is left of `cut`, in pieces of `piece` bytes.
    static std::string rest(StoreCut& cut, std::size_t piece = 100'000) {
        std::string stream;
        std::string buffer(piece, '\0');
        while (!cut.ended() && !cut.broken()) {
            const MutableBytes to(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
            stream.append(buffer, 0, cut.read(to));
        }
        return stream;
    }
    /// The store that `stream` describes.
    static Model loaded(std::string_view stream, const StoreCut& cut, std::size_t piece = 1000) {
        Slab slab;
        Store other(slab, 7);
        StoreLoader loader(other, cut.revision());
        while (!stream.empty()) {
            const std::string part(stream.substr(0, piece));  // a block of its own, for ASan
            const Status fed = loader.feed(as_bytes(part));
            EXPECT_TRUE(fed.has_value()) << fed.error().text();
            stream.remove_prefix(part.size());
        }
        const Status finished = loader.finish(cut.keys());
        EXPECT_TRUE(finished.has_value()) << finished.error().text();
        EXPECT_EQ(other.revision(), cut.revision());
        return content(other);
    }

    Slab slab;
    Store store{slab, 42};
};

TEST_F(CutTest, OfAnEmptyStoreIsEmpty) {
    StoreCut cut(store);
    EXPECT_EQ(rest(cut), "");
    EXPECT_TRUE(cut.ended());
    EXPECT_EQ(cut.keys(), 0u);
}

TEST_F(CutTest, HoldsWhatWasThereAndNothingLater) {
    for (int i = 0; i < 2000; ++i) put("key" + std::to_string(i), std::to_string(i));
    const Model before = content(store);
    StoreCut cut(store);
    for (int i = 0; i < 4000; i += 3) put("key" + std::to_string(i), "later");
    for (int i = 1; i < 2000; i += 3) del("key" + std::to_string(i));
    EXPECT_GT(cut.saved_bytes(), 0u);
    EXPECT_EQ(loaded(rest(cut), cut), before);
    EXPECT_EQ(cut.saved_bytes(), 0u);
}

TEST_F(CutTest, OnceReadAnEntryIsNotSaved) {
    for (int i = 0; i < 2000; ++i) put("key" + std::to_string(i), std::to_string(i));
    StoreCut cut(store);
    rest(cut);
    for (int i = 0; i < 2000; ++i) put("key" + std::to_string(i), "later");
    EXPECT_EQ(cut.saved_bytes(), 0u);
}

TEST_F(CutTest, AFlushBreaksIt) {
    for (int i = 0; i < 2000; ++i) put("key" + std::to_string(i), std::to_string(i));
    StoreCut cut(store);
    flush();
    EXPECT_TRUE(cut.broken());
    EXPECT_EQ(rest(cut), "");
    EXPECT_FALSE(cut.ended());
}

TEST_F(CutTest, TooManySavedBytesBreakIt) {
    for (int i = 0; i < 200; ++i) put("key" + std::to_string(i), std::string(1000, 'v'));
    StoreCut cut(store, 100'000);
    for (int i = 0; i < 80; ++i) put("key" + std::to_string(i), "later");
    EXPECT_FALSE(cut.broken());
    EXPECT_LE(cut.saved_bytes(), 100'000u);
    for (int i = 80; i < 100; ++i) put("key" + std::to_string(i), "later");
    EXPECT_TRUE(cut.broken());
    EXPECT_EQ(cut.saved_bytes(), 0u);
    put("key150", "later");  // nobody is interested any more
    EXPECT_EQ(cut.saved_bytes(), 0u);
}

TEST_F(CutTest, ALongValueIsReadInPiecesWhileItIsReplaced) {
    const std::string value(block_value_bytes_max, 'v');
    put("long", value);
    const Model before = content(store);
    StoreCut cut(store);
    std::string buffer(256 * 1024, '\0');
    const MutableBytes to(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
    ASSERT_EQ(cut.read(to), buffer.size());
    std::string stream = buffer;
    put("long", "short");
    EXPECT_GT(cut.saved_bytes(), value.size());
    stream += rest(cut, 256 * 1024);
    EXPECT_EQ(loaded(stream, cut, 256 * 1024), before);
}

TEST_F(CutTest, OneReadIsBounded) {
    for (int i = 0; i < 100'000; ++i) put("key" + std::to_string(i), "v");
    StoreCut cut(store);
    std::string buffer(16 << 20, '\0');
    const MutableBytes to(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
    const std::size_t read = cut.read(to);
    EXPECT_LT(read, 5000u * 30);  // a segment beyond entries_per_read_max
    EXPECT_FALSE(cut.ended());
}

/// Puts, dels and, rarely, flushes between reads of any size.
TEST_F(CutTest, IsTheStoreAtItsMomentWhateverHappens) {
    std::uint64_t whole = 0;
    std::uint64_t broken = 0;
    for (std::uint64_t seed = 0; seed < scaled(500); ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        flush();
        while (store.reclaim(1000)) continue;
        const std::uint64_t keys = prng.between(1, prng.below(4) == 0 ? 5000 : 300);
        const auto mutate = [&] {
            const std::string key = "key" + std::to_string(prng.below(keys));
            const std::uint64_t what = prng.below(6);
            if (what < 2) {
                del(key);
            } else if (what == 2) {
                store.apply({.kind = CommandKind::append,
                             .key = key,
                             .value = std::string_view("tail").substr(prng.below(5)),
                             .number = 1 << 20},
                            store.hash(key));
            } else if (what == 3) {
                store.apply({.kind = CommandKind::increment, .key = "n" + key, .number = 1},
                            store.hash("n" + key));
            } else {
                put(key, std::string(prng.below(prng.below(20) == 0 ? 5000 : 60), 'a'));
            }
        };
        for (std::uint64_t i = prng.below(2 * keys); i > 0; --i) mutate();
        const Model before = content(store);
        StoreCut cut(store, prng.below(8) == 0 ? prng.between(100, 100'000) : 64 << 20);
        const std::uint64_t flush_odds = prng.below(10) == 0 ? 50 : 0;
        const std::uint64_t rate = prng.between(0, 100);
        const std::size_t piece = prng.between(1, prng.below(2) == 0 ? 200 : 20'000);
        std::string stream;
        std::string buffer(piece, '\0');
        while (!cut.ended() && !cut.broken()) {
            for (std::uint64_t i = prng.below(rate + 1); i > 0; --i) mutate();
            if (prng.below(1000) < flush_odds) flush();
            const MutableBytes to(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
            stream.append(buffer, 0, cut.read(to));
            if (stream.size() > 1'000'000) break;
        }
        if (cut.ended()) {
            ++whole;
            ASSERT_EQ(loaded(stream, cut, prng.between(1, 5000)), before);
        } else {
            ++broken;
        }
    }
    EXPECT_GT(whole, broken);
    EXPECT_GT(broken, 0u);
}

// What a file may claim.

std::string entry(std::uint64_t revision, std::string_view key, std::string_view value,
                  std::uint8_t kind = cut_kind_string, std::uint8_t flags = 0) {
    std::string out(cut_entry_header_bytes, '\0');
    store_le<std::uint64_t>(out.data(), revision);
    store_le<std::uint32_t>(out.data() + 8, static_cast<std::uint32_t>(value.size()));
    store_le<std::uint16_t>(out.data() + 12, static_cast<std::uint16_t>(key.size()));
    out[14] = static_cast<char>(kind);
    out[15] = static_cast<char>(flags);
    return out + std::string(key) + std::string(value);
}

TEST(StoreLoader, RefusesWhatNoStoreCanHold) {
    std::string too_long = entry(1, "k", "");
    store_le<std::uint32_t>(too_long.data() + 8, block_value_bytes_max + 1);
    std::string longest = entry(1, "k", "");
    store_le<std::uint32_t>(longest.data() + 8, block_value_bytes_max);
    const struct {
        const char* name;
        std::string stream;
        std::uint64_t keys;
        std::optional<Errc> error;
    } cases[] = {
        {"nothing", "", 0, {}},
        {"one", entry(9, "k", "v"), 1, {}},
        {"empty_value", entry(1, "k", ""), 1, {}},
        {"empty_key", entry(1, "", "v"), 1, Errc::corrupt},
        {"revision_0", entry(0, "k", "v"), 1, Errc::corrupt},
        {"revision_of_the_future", entry(10, "k", "v"), 1, Errc::corrupt},
        {"twice", entry(1, "k", "v") + entry(2, "k", "v"), 2, Errc::corrupt},
        {"too_few", entry(1, "k", "v"), 2, Errc::corrupt},
        {"too_many", entry(1, "k", "v"), 0, Errc::corrupt},
        {"value_too_long", too_long, 1, Errc::corrupt},
        {"value_not_there", longest, 1, Errc::corrupt},
        {"cut_in_header", entry(1, "k", "v").substr(0, 15), 1, Errc::corrupt},
        {"cut_in_key", entry(1, "key", "v").substr(0, 17), 1, Errc::corrupt},
        {"kind", entry(1, "k", "v", 2), 1, Errc::unsupported},
        {"flags", entry(1, "k", "v", 1, 1), 1, Errc::unsupported},
    };
    for (const auto& c : cases) {
        for (std::size_t piece = 1; piece <= c.stream.size() + 1; ++piece) {
            Slab slab;
            Store store(slab, 1);
            StoreLoader loader(store, Revision(9));
            Status status;
            for (std::size_t at = 0; at < c.stream.size() && status; at += piece) {
                status = loader.feed(as_bytes(std::string_view(c.stream).substr(at, piece)));
            }
            if (status) status = loader.finish(c.keys);
            EXPECT_EQ(status.has_value(), !c.error) << c.name;
            if (!status && c.error) {
                EXPECT_EQ(status.error().code, *c.error) << c.name;
            }
        }
    }
}

TEST(StoreLoader, RefusesRevisionsThatLeaveNoRoom) {
    for (const bool in_head : {true, false}) {
        for (const std::uint64_t more : {0u, 1u}) {
            const std::uint64_t revision = revision_loadable_max + more;
            Slab slab;
            Store store(slab, 1);
            StoreLoader loader(store, Revision(in_head ? revision : ~std::uint64_t{0}));
            Status status;
            if (!in_head) status = loader.feed(as_bytes(entry(revision, "k", "v")));
            if (status && in_head) status = loader.finish(0);
            EXPECT_EQ(status.has_value(), more == 0);
            if (!status) {
                EXPECT_EQ(status.error().code, Errc::corrupt);
            }
        }
    }
}

}  // namespace
}  // namespace kv
