#include "engine/store/store.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "proto/base/prng.h"

namespace kv {
namespace {

class StoreTest : public testing::Test {
protected:
    Store::Applied put(std::string_view key, std::string_view value) {
        return store.apply({.kind = CommandKind::put, .key = key, .value = value}, store.hash(key));
    }
    Store::Applied del(std::string_view key) {
        return store.apply({.kind = CommandKind::del, .key = key}, store.hash(key));
    }
    Store::Applied flush() { return store.apply({.kind = CommandKind::flush}, 0); }
    std::optional<Store::Found> get(std::string_view key) {
        return store.get(key, store.hash(key));
    }

    Slab slab;
    Store store{slab, 42};
};

TEST_F(StoreTest, EveryCommandAdvancesTheRevision) {
    EXPECT_EQ(store.revision(), Revision(0));
    EXPECT_EQ(put("a", "1").revision, Revision(1));
    EXPECT_EQ(put("a", "1").revision, Revision(2));  // the same value, too
    EXPECT_EQ(del("absent").revision, Revision(3));
    EXPECT_EQ(del("a").revision, Revision(4));
    EXPECT_EQ(flush().revision, Revision(5));
    EXPECT_EQ(put("b", "2").revision, Revision(6));
    EXPECT_EQ(store.revision(), Revision(6));
}

TEST_F(StoreTest, APutStampsItsKeyOnly) {
    put("a", "1");
    put("b", "2");
    del("absent");
    put("a", "3");
    EXPECT_EQ(get("a")->revision, Revision(4));
    EXPECT_EQ(get("b")->revision, Revision(2));
    flush();
    put("b", "2");
    EXPECT_EQ(get("b")->revision, Revision(6));
}

TEST_F(StoreTest, CountsSayWhatChanged) {
    EXPECT_EQ(put("a", "1").number, 1);
    EXPECT_EQ(put("a", "2").number, 1);
    EXPECT_EQ(put("b", "2").number, 1);
    EXPECT_EQ(del("a").number, 1);
    EXPECT_EQ(del("a").number, 0);
    put("c", "3");
    EXPECT_EQ(flush().number, 2);
    EXPECT_EQ(flush().number, 0);
    EXPECT_EQ(get("b"), std::nullopt);
}

TEST_F(StoreTest, AConditionThatDoesNotHoldChangesNothing) {
    put("a", "1");
    const auto put_if = [&](Command condition, std::string_view key) {
        condition.key = key;
        condition.value = "new";
        const bool written = store.apply(condition, store.hash(key)).number == 1;
        const auto found = get(key);
        EXPECT_EQ(written, found && found->value == "new");
        if (key == "a" && written) put("a", "1");
        if (key == "absent" && written) del("absent");
        return written;
    };
    EXPECT_FALSE(put_if({.flags = flag_if_absent}, "a"));
    EXPECT_TRUE(put_if({.flags = flag_if_absent}, "absent"));
    EXPECT_TRUE(put_if({.flags = flag_if_present}, "a"));
    EXPECT_FALSE(put_if({.flags = flag_if_present}, "absent"));
    EXPECT_TRUE(put_if({.flags = flag_if_equal, .if_equal = "1"}, "a"));
    EXPECT_FALSE(put_if({.flags = flag_if_equal, .if_equal = "12"}, "a"));
    EXPECT_FALSE(put_if({.flags = flag_if_equal, .if_equal = ""}, "absent"));
    const std::uint64_t revision = get("a")->revision.value();
    EXPECT_FALSE(put_if({.flags = flag_if_revision, .if_revision = revision - 1}, "a"));
    EXPECT_FALSE(put_if({.flags = flag_if_revision, .if_revision = 0}, "a"));
    EXPECT_TRUE(put_if({.flags = flag_if_revision, .if_revision = revision}, "a"));
    EXPECT_TRUE(put_if({.flags = flag_if_revision, .if_revision = 0}, "absent"));
    EXPECT_FALSE(put_if({.flags = flag_if_revision, .if_revision = 1}, "absent"));
}

TEST_F(StoreTest, AConditionalDelKeepsWhatIsAnothersLock) {
    put("lock", "mine");
    const Command theirs{
        .kind = CommandKind::del, .key = "lock", .flags = flag_if_equal, .if_equal = "theirs"};
    EXPECT_EQ(store.apply(theirs, store.hash("lock")).number, 0);
    Command mine = theirs;
    mine.if_equal = "mine";
    EXPECT_EQ(store.apply(mine, store.hash("lock")).number, 1);
    EXPECT_EQ(get("lock"), std::nullopt);
}

TEST_F(StoreTest, ThePreviousValueIsReturnedWhetherOrNotTheConditionHeld) {
    put("a", "1");
    const auto change = [&](CommandKind kind, std::uint8_t flags, std::string_view key) {
        const Command command{
            .kind = kind,
            .key = key,
            .value = kind == CommandKind::put ? "longer than before" : std::string_view(),
            .flags = static_cast<std::uint8_t>(flags | flag_return_previous)};
        const Store::Applied applied = store.apply(command, store.hash(key));
        return applied.previous ? std::optional<std::string>(*applied.previous) : std::nullopt;
    };
    EXPECT_EQ(change(CommandKind::put, flag_if_absent, "a"), "1");
    EXPECT_EQ(get("a")->value, "1");
    EXPECT_EQ(change(CommandKind::put, 0, "a"), "1");
    EXPECT_EQ(change(CommandKind::put, 0, "b"), std::nullopt);
    EXPECT_EQ(change(CommandKind::del, 0, "a"), "longer than before");
    EXPECT_EQ(change(CommandKind::del, 0, "a"), std::nullopt);
    EXPECT_EQ(get("a"), std::nullopt);
}

TEST_F(StoreTest, AppendBuildsAValueUpToItsBound) {
    const auto append = [&](std::string_view key, std::string_view value) {
        const Command command{.kind = CommandKind::append,
                              .key = key,
                              .value = value,
                              .flags = flag_number,
                              .number = 5};
        return store.apply(command, store.hash(key));
    };
    EXPECT_EQ(append("a", "").number, 0);
    EXPECT_EQ(get("a")->value, "");
    EXPECT_EQ(append("a", "ab").number, 2);
    EXPECT_EQ(append("a", "cd").number, 4);
    const Store::Applied refused = append("a", "ef");
    EXPECT_EQ(refused.refused, Errc::value_size);
    EXPECT_EQ(get("a")->value, "abcd");
    EXPECT_EQ(get("a")->revision, Revision(3));
    EXPECT_EQ(append("a", "e").number, 5);
    EXPECT_EQ(append("a", "").number, 5);
    EXPECT_EQ(get("a")->revision, Revision(5));  // nothing was added
}

TEST_F(StoreTest, IncrementCountsWithin64Bits) {
    const auto increment = [&](std::string_view key, std::int64_t number) {
        const Command command{
            .kind = CommandKind::increment, .key = key, .flags = flag_number, .number = number};
        return store.apply(command, store.hash(key));
    };
    EXPECT_EQ(increment("n", 5).number, 5);
    EXPECT_EQ(increment("n", -15).number, -10);
    EXPECT_EQ(get("n")->value, "-10");
    put("n", "9223372036854775807");
    EXPECT_EQ(increment("n", 1).refused, Errc::overflow);
    EXPECT_EQ(get("n")->value, "9223372036854775807");
    EXPECT_EQ(increment("n", INT64_MIN).number, -1);
    for (const char* text : {"", " 1", "1 ", "+1", "01", "-0", "1e3", "0x1", "9223372036854775808",
                             "-", "1.0", "-9223372036854775809"}) {
        put("n", text);
        EXPECT_EQ(increment("n", 1).refused, Errc::not_integer) << text;
        EXPECT_EQ(get("n")->value, text);
    }
}

TEST_F(StoreTest, TakesKeysAndValuesOfEveryLength) {
    const std::string long_key(65'535, 'k');
    std::string value;
    for (const std::size_t bytes :
         {0u, 1u, 3u, 4u, 100u, 2'000u, 2'100u, 4'096u, 70'000u, 8u << 20}) {
        value.assign(bytes, static_cast<char>('a' + bytes % 26));
        for (const std::string& key : {std::string(1, '\0'), std::string("\r\n $"), long_key}) {
            put(key, value);
            ASSERT_EQ(get(key)->value, value);
            ASSERT_EQ(get(key)->revision, store.revision());
        }
    }
    EXPECT_EQ(store.size(), 3u);
}

TEST_F(StoreTest, AValueOfTheSameClassIsWrittenInPlace) {
    put("key", "12345");
    const char* const at = get("key")->value.data();
    put("key", "1");  // 16 and 20 bytes of block: not the same class
    put("key", "12345678");
    put("key", "123456789");  // both 24
    const char* const again = get("key")->value.data();
    put("key", "abcde");
    EXPECT_EQ(get("key")->value.data(), again);
    EXPECT_EQ(get("key")->value, "abcde");
    EXPECT_NE(at, nullptr);
    EXPECT_EQ(store.bytes(), slab.bytes_live());
}

TEST_F(StoreTest, AFlushedStoreIsEmptyAtOnceAndReclaimedInSlices) {
    const std::size_t bytes_empty = store.bytes();
    for (int i = 0; i < 5'000; ++i) put("key" + std::to_string(i), std::string(100, 'v'));
    const std::size_t bytes_full = store.bytes();
    EXPECT_EQ(bytes_full, slab.bytes_live());
    EXPECT_EQ(flush().number, 5'000);
    EXPECT_EQ(store.size(), 0u);
    EXPECT_EQ(get("key7"), std::nullopt);
    EXPECT_GE(store.bytes(), bytes_full);  // nothing freed yet

    put("key7", "new");
    EXPECT_TRUE(store.reclaim(1'000));
    for (int i = 0; i < 3'000; ++i) put("other" + std::to_string(i), "v");
    EXPECT_EQ(flush().number, 3'001);  // a second flush while the first is being reclaimed
    put("last", "x");
    int slices = 1;
    for (std::size_t before = store.bytes(); store.reclaim(1'000); ++slices) {
        EXPECT_LT(store.bytes(), before);
        before = store.bytes();
    }
    EXPECT_GE(slices, 7);
    EXPECT_LE(slices, 10);
    EXPECT_FALSE(store.reclaim(1'000));
    EXPECT_EQ(get("last")->value, "x");
    EXPECT_EQ(store.bytes(), bytes_empty + block_bytes(4, 1));
    EXPECT_EQ(store.bytes(), slab.bytes_live());
}

TEST_F(StoreTest, AFlushOfAnEmptiedStoreStillGivesMemoryBack) {
    const std::size_t bytes_empty = store.bytes();
    for (int i = 0; i < 5'000; ++i) put("key" + std::to_string(i), "v");
    for (int i = 0; i < 5'000; ++i) del("key" + std::to_string(i));
    EXPECT_GT(store.bytes(), bytes_empty);
    EXPECT_EQ(flush().number, 0);
    while (store.reclaim(100)) continue;
    EXPECT_EQ(store.bytes(), bytes_empty);
}

TEST_F(StoreTest, LargeBlocksMakeReclaimStopEarlier) {
    for (int i = 0; i < 20; ++i) put("key" + std::to_string(i), std::string(1 << 20, 'v'));
    flush();
    const std::size_t before = store.bytes();
    EXPECT_TRUE(store.reclaim(20));
    EXPECT_LE(before - store.bytes(), (2u << 20) + 5'000u);
}

TEST_F(StoreTest, ScanSeesEveryKeyWithItsValueAndRevision) {
    std::map<std::string, std::pair<std::string, Revision>> expected;
    for (int i = 0; i < 20'000; ++i) {
        const std::string key = "key" + std::to_string(i % 15'000);
        const std::string value = std::to_string(i);
        expected[key] = {value, put(key, value).revision};
    }
    std::map<std::string, std::pair<std::string, Revision>> seen;
    std::size_t visits = 0;
    Cursor cursor;
    do {
        cursor = store.scan(cursor, [&](std::string_view key, std::string_view value, Revision at) {
            seen[std::string(key)] = {std::string(value), at};
            ++visits;
        });
    } while (cursor != Cursor(0));
    EXPECT_EQ(seen, expected);
    EXPECT_EQ(visits, expected.size());
}

TEST_F(StoreTest, PrefetchingIsHarmless) {
    put("a", "1");
    for (const std::string key : {"a", "b", "absent"}) {
        store.prefetch(store.hash(key));
        store.prefetch_block(store.hash(key));
    }
    EXPECT_EQ(get("a")->value, "1");
}

TEST_F(StoreTest, DigestTellsKeyValueAndRevisionApart) {
    const std::uint64_t empty = store.digest();
    put("ab", "c");
    const std::uint64_t first = store.digest();
    put("ab", "c");  // only the revision differs
    const std::uint64_t second = store.digest();
    EXPECT_NE(first, empty);
    EXPECT_NE(second, first);

    Store other(slab, 42);
    other.apply({.kind = CommandKind::put, .key = "a", .value = "bc"}, other.hash("a"));
    EXPECT_NE(other.digest(), first);  // the same bytes, cut elsewhere
    del("ab");
    EXPECT_EQ(store.digest(), empty);
}

/// One seeded stream of commands, with a map that follows it.
void follow(std::uint64_t seed, int commands, std::vector<Store*> stores) {
    Prng prng(seed);
    std::map<std::string, std::pair<std::string, Revision>> map;
    Revision revision = stores[0]->revision();
    for (int i = 0; i < commands; ++i) {
        revision = revision.next();
        const std::string key = "key" + std::to_string(prng.below(20'000));
        const std::string value(prng.chance(0.01) ? prng.below(6'000) : prng.below(60),
                                static_cast<char>('a' + prng.below(26)));
        const std::uint64_t dice = prng.below(100'000);
        const CommandKind kind = dice == 0       ? CommandKind::flush
                                 : dice < 35'000 ? CommandKind::del
                                                 : CommandKind::put;
        std::uint64_t count = 1;
        if (kind == CommandKind::flush) count = map.size();
        if (kind == CommandKind::del) count = map.contains(key) ? 1 : 0;
        for (std::size_t s = 0; s < stores.size(); ++s) {
            Store& store = *stores[s];
            const Command command{.kind = kind,
                                  .key = kind == CommandKind::flush ? std::string_view() : key,
                                  .value = kind == CommandKind::put ? value : std::string_view()};
            const Store::Applied applied = store.apply(command, store.hash(command.key));
            ASSERT_EQ(applied.number, static_cast<std::int64_t>(count)) << i;
            ASSERT_EQ(applied.revision, revision) << i;
            if (i % 3 == static_cast<int>(s)) store.reclaim(10);  // at different times
        }
        if (kind == CommandKind::put) map[key] = {value, revision};
        if (kind == CommandKind::del) map.erase(key);
        if (kind == CommandKind::flush) map.clear();
        const std::string probe = "key" + std::to_string(prng.below(20'000));
        for (const Store* store : stores) {
            const auto found = store->get(probe, store->hash(probe));
            const auto expected = map.find(probe);
            ASSERT_EQ(found.has_value(), expected != map.end()) << i;
            if (!found) continue;
            ASSERT_EQ(found->value, expected->second.first) << i;
            ASSERT_EQ(found->revision, expected->second.second) << i;
        }
    }
    for (const Store* store : stores) {
        EXPECT_EQ(store->size(), map.size());
        EXPECT_EQ(store->digest(), stores[0]->digest());
    }
}

TEST(StoreTwins, StoresFedTheSameCommandsAgreeWithEachOtherAndWithAMap) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        Slab slab;
        Slab other_slab(Slab::Backing::huge);
        Store store(slab, 42);
        Store other(other_slab, 43);  // neither slab nor secret may matter
        follow(seed, 250'000, {&store, &other});
        while (store.reclaim(1'000)) continue;
        while (other.reclaim(1'000)) continue;
        EXPECT_EQ(store.bytes(), slab.bytes_live());
    }
}

TEST(StoreTwins, StoresOfOneSlabDoNotTouchEachOther) {
    Slab slab;
    Store first(slab, 1);
    Store second(slab, 1);
    follow(8, 20'000, {&first});
    const std::uint64_t digest = first.digest();
    follow(9, 20'000, {&second});
    second.apply({.kind = CommandKind::flush}, 0);
    while (second.reclaim(1'000)) continue;
    EXPECT_EQ(first.digest(), digest);
}

}  // namespace
}  // namespace kv
