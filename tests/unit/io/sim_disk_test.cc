/// What the simulated disk may and may not leave behind: for each kind of crash, seeds are drawn
/// until every legal outcome was seen, and no other is.

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "io/file.h"
#include "io/sim/sim_file.h"
#include "io/sim/sim_process.h"

namespace kv::io {
namespace {

const NodeId n1(1);
constexpr std::size_t sector = 512;

/// No chance events but those of the crash.
SimKnobs calm() {
    SimKnobs knobs;
    knobs.disk.short_per_million = 0;
    knobs.disk.interrupted_per_million = 0;
    knobs.disk.tail_per_million = 0;
    return knobs;
}

Task<void> expect_write(File* file, std::uint64_t offset, std::string bytes, bool dsync) {
    const Status status = co_await file->write_at(offset, as_bytes(bytes), dsync);
    EXPECT_TRUE(status.has_value());
}
Task<void> expect_sync(File* file) {
    const Status status = co_await file->sync();
    EXPECT_TRUE(status.has_value());
}
Task<void> open_to(Reactor& reactor, std::string path, File* file) {
    Result<File> opened = co_await File::open(reactor, path, open_write | open_create);
    EXPECT_TRUE(opened.has_value());
    if (opened) *file = *std::move(opened);
}

using Script = std::function<Task<void>(Reactor&)>;
using Look = std::function<std::string(SimDisk&)>;

/// Runs `script` to its end on a disk with a durable "data/f" of `initial`, crashes, looks.
std::set<std::string> outcomes(Crash kind, std::string initial, const Script& script,
                               const Look& look, std::uint64_t seeds = 400) {
    std::set<std::string> seen;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        SimWorld world(seed, calm());
        world.add_node(n1, {"10.0.0.1"});
        world.disk(n1).put("data/f", initial);
        SimProcess process(world, n1);
        EXPECT_TRUE(process.run(script(process.reactor())));
        process.kill(kind);
        seen.insert(look(world.disk(n1)));
        EXPECT_EQ(world.disk(n1).visible("data/f").has_value(), true);
        if (kind != Crash::process) {
            EXPECT_EQ(world.disk(n1).visible("data/f"), world.disk(n1).durable("data/f"));
        }
    }
    return seen;
}

/// The first byte of each unit of "data/f"; '!' where a unit is mixed.
Look units_of_f(std::size_t unit) {
    return [unit](SimDisk& disk) {
        const std::string text = disk.visible("data/f").value_or("");
        std::string letters;
        for (std::size_t at = 0; at < text.size(); at += unit) {
            const std::string piece = text.substr(at, unit);
            const bool same = piece.find_first_not_of(piece[0]) == std::string::npos;
            letters.push_back(!same ? '!' : piece[0] == '\0' ? '0' : piece[0]);
        }
        return letters;
    };
}

std::set<std::string> words(std::size_t length, std::string_view alphabet) {
    std::set<std::string> all = {""};
    for (std::size_t i = 0; i < length; ++i) {
        std::set<std::string> longer;
        for (const std::string& word : all)
            for (const char c : alphabet) longer.insert(word + c);
        all = std::move(longer);
    }
    return all;
}

using Set = std::set<std::string>;

Task<void> write_over(Reactor& reactor, std::string bytes) {
    File file;
    co_await open_to(reactor, "data/f", &file);
    co_await expect_write(&file, 0, bytes, false);
    co_await file.close();
}

TEST(SimDisk, EachCrashTreatsAVolatileWriteInItsWay) {
    const std::string old_bytes(4 * sector, 'a');
    const std::string new_bytes(4 * sector, 'b');
    const Script script = [&](Reactor& reactor) { return write_over(reactor, new_bytes); };
    const auto run = [&](Crash kind) {
        return outcomes(kind, old_bytes, script, units_of_f(sector), 2'000);
    };
    EXPECT_EQ(run(Crash::process), Set({"bbbb"}));
    EXPECT_EQ(run(Crash::power_lose_all), Set({"aaaa"}));
    EXPECT_EQ(run(Crash::power_prefix), Set({"aaaa", "baaa", "bbaa", "bbba", "bbbb"}));
    EXPECT_EQ(run(Crash::power_subset_torn), words(4, "ab"));
    EXPECT_EQ(run(Crash::power_directory_lost), words(4, "ab"));
}

TEST(SimDisk, WhatWasSyncedSurvivesEveryCrash) {
    const Script script = [](Reactor& reactor) -> Task<void> {
        File file;
        co_await open_to(reactor, "data/f", &file);
        co_await expect_write(&file, 0, std::string(sector, 'b'), false);
        co_await expect_write(&file, 2 * sector, std::string(sector, 'b'), false);
        co_await expect_sync(&file);
        co_await expect_write(&file, 3 * sector, std::string(sector, 'c'), true);
        co_await file.close();
    };
    for (const Crash kind : all_crashes)
        EXPECT_EQ(outcomes(kind, std::string(2 * sector, 'a'), script, units_of_f(sector)),
                  Set({"babc"}));
}

Task<void> two_writes(Reactor& reactor) {
    File file;
    co_await open_to(reactor, "data/f", &file);
    co_await expect_write(&file, 0, std::string(sector, 'b'), false);
    co_await expect_write(&file, sector, std::string(sector, 'c'), false);
    co_await file.close();
}

TEST(SimDisk, APrefixNeverKeepsALaterWriteWithoutAnEarlierOne) {
    const std::string old_bytes(2 * sector, 'a');
    EXPECT_EQ(outcomes(Crash::power_prefix, old_bytes, two_writes, units_of_f(sector)),
              Set({"aa", "ba", "bc"}));
    EXPECT_EQ(outcomes(Crash::power_subset_torn, old_bytes, two_writes, units_of_f(sector)),
              Set({"aa", "ba", "ac", "bc"}));
}

TEST(SimDisk, SizeMayGrowBeforeTheData) {
    const Script script = [](Reactor& reactor) {
        return write_over(reactor, std::string(sector, 'b'));
    };
    EXPECT_EQ(outcomes(Crash::power_subset_torn, "", script, units_of_f(sector)),
              Set({"", "0", "b"}));
    const Script reserve = [](Reactor& reactor) -> Task<void> {
        File file;
        co_await open_to(reactor, "data/f", &file);
        const Status reserved = co_await file.allocate(2 * sector);
        EXPECT_TRUE(reserved.has_value());
        co_await file.close();
    };
    EXPECT_EQ(outcomes(Crash::power_subset_torn, "", reserve, units_of_f(sector)), Set({"", "00"}));
    EXPECT_EQ(outcomes(Crash::power_lose_all, "", reserve, units_of_f(sector)), Set({""}));
}

TEST(SimDisk, ADurableWriteLeavesEarlierOnesVolatile) {
    const Script script = [](Reactor& reactor) -> Task<void> {
        File file;
        co_await open_to(reactor, "data/f", &file);
        co_await expect_write(&file, 0, std::string(sector, 'b'), false);
        co_await expect_write(&file, sector, std::string(sector, 'c'), true);
        co_await file.close();
    };
    const std::string old_bytes(2 * sector, 'a');
    EXPECT_EQ(outcomes(Crash::power_lose_all, old_bytes, script, units_of_f(sector)), Set({"ac"}));
    EXPECT_EQ(outcomes(Crash::power_subset_torn, old_bytes, script, units_of_f(sector)),
              Set({"ac", "bc"}));
}

TEST(SimDisk, ADurableWriteStaysOnTopOfAnEarlierVolatileOne) {
    const Script script = [](Reactor& reactor) -> Task<void> {
        File file;
        co_await open_to(reactor, "data/f", &file);
        co_await expect_write(&file, 0, std::string(2 * sector, 'b'), false);
        co_await expect_write(&file, 0, std::string(sector, 'c'), true);
        co_await file.close();
    };
    EXPECT_EQ(outcomes(Crash::power_subset_torn, std::string(2 * sector, 'a'), script,
                       units_of_f(sector)),
              Set({"ca", "cb"}));
}

/// An operation that nobody waits for.
struct LooseOp : Op {
    LooseOp(OpRequest request, int* done_count) noexcept
        : Op(request, &LooseOp::done), count(done_count) {}
    static void done(Op& op, std::int32_t result, Completion) noexcept {
        auto& self = static_cast<LooseOp&>(op);
        self.value = result;
        ++*self.count;
    }
    int* count;
    std::int32_t value = 1;
};

OpRequest write_request(std::int32_t fd, std::string& bytes) {
    OpRequest request;
    request.code = OpCode::write;
    request.fd = fd;
    request.data = reinterpret_cast<std::byte*>(bytes.data());
    request.bytes = static_cast<std::uint32_t>(bytes.size());
    return request;
}

TEST(SimDisk, ASyncDoesNotCoverWritesThatHadNotCompleted) {
    Set seen;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        // The write is in the cache when the sync is carried out, and still not covered.
        SimKnobs knobs = calm();
        knobs.disk.write = Latency{10us, 20us};
        knobs.disk.sync = Latency{1ms, 2ms};
        SimWorld world(seed, knobs);
        world.add_node(n1, {"10.0.0.1"});
        world.disk(n1).put("data/f", "a");
        SimProcess process(world, n1);
        File file;
        ASSERT_TRUE(process.run(open_to(process.reactor(), "data/f", &file)));
        std::string bytes = "b";
        OpRequest request;
        request.code = OpCode::sync;
        request.fd = file.fd();
        int done = 0;
        LooseOp write(write_request(file.fd(), bytes), &done);
        LooseOp sync(request, &done);
        process.backend().submit(write);
        process.backend().submit(sync);
        ASSERT_TRUE(world.run_until([&] { return done == 2; }, 1s));
        ASSERT_EQ(write.value, 1);
        ASSERT_EQ(sync.value, 0);
        process.kill(Crash::power_lose_all);
        seen.insert(*world.disk(n1).visible("data/f"));
    }
    EXPECT_EQ(seen, Set({"a", "b"}));
}

std::set<std::string> in_flight_outcomes(Crash kind, std::size_t unit, std::size_t units,
                                         bool dsync) {
    Set seen;
    for (std::uint64_t seed = 0; seed < 600; ++seed) {
        SimWorld world(seed, calm());
        world.add_node(n1, {"10.0.0.1"});
        world.disk(n1).put("data/f", std::string(unit * units, 'a'));
        SimProcess process(world, n1);
        File file;
        EXPECT_TRUE(process.run(open_to(process.reactor(), "data/f", &file)));
        std::string bytes(unit * units, 'b');
        OpRequest request = write_request(file.fd(), bytes);
        if (dsync) request.flags = write_dsync;
        int done = 0;
        LooseOp write(request, &done);
        process.backend().submit(write);
        process.kill(kind);
        EXPECT_EQ(done, 0);
        seen.insert(units_of_f(unit)(world.disk(n1)));
    }
    return seen;
}

TEST(SimDisk, AWriteInFlightMayLeaveAnyPartOfItself) {
    for (const bool dsync : {false, true}) {
        EXPECT_EQ(in_flight_outcomes(Crash::process, 4096, 3, dsync), words(3, "ab"));
        EXPECT_EQ(in_flight_outcomes(Crash::power_subset_torn, 512, 3, dsync), words(3, "ab"));
        EXPECT_EQ(in_flight_outcomes(Crash::power_prefix, 512, 3, dsync),
                  Set({"aaa", "baa", "bba", "bbb"}));
        EXPECT_EQ(in_flight_outcomes(Crash::power_lose_all, 512, 3, dsync), Set({"aaa"}));
    }
}

TEST(SimDisk, TellsWhatIsDurableOfAFileInParts) {
    SimWorld world(1, calm());
    world.add_node(n1, {"10.0.0.1"});
    world.disk(n1).put("data/f", "abcdef");
    const auto overwrite = [](Reactor& reactor) -> Task<void> {
        File file;
        co_await open_to(reactor, "data/f", &file);
        co_await expect_write(&file, 0, "xyz", false);
        co_await file.close();
        co_await open_to(reactor, "data/unsynced", &file);
        co_await file.close();
    };
    SimProcess process(world, n1);
    ASSERT_TRUE(process.run(overwrite(process.reactor())));
    const auto files = world.disk(n1).durable_files("data");
    ASSERT_EQ(files.size(), 1u);
    EXPECT_EQ(files[0].first, "f");
    std::string part(9, '-');
    const MutableBytes to(reinterpret_cast<std::byte*>(part.data()), part.size());
    EXPECT_EQ(files[0].second->read_durable(2, to), 4u);
    EXPECT_EQ(part, "cdef-----");
}

TEST(SimDisk, AfterAProcessCrashTheNextSyncCoversWhatWasLeft) {
    Set seen;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SimWorld world(seed, calm());
        world.add_node(n1, {"10.0.0.1"});
        world.disk(n1).put("data/f", "aa");
        {
            SimProcess process(world, n1);
            File file;
            ASSERT_TRUE(process.run(open_to(process.reactor(), "data/f", &file)));
            std::string bytes = "b";
            int done = 0;
            LooseOp write(write_request(file.fd(), bytes), &done);
            process.backend().submit(write);
            process.kill();
        }
        const std::string left = *world.disk(n1).visible("data/f");
        ASSERT_EQ(world.disk(n1).durable("data/f"), "aa");
        const auto sync_only = [](Reactor& reactor) -> Task<void> {
            File file;
            co_await open_to(reactor, "data/f", &file);
            co_await expect_sync(&file);
            co_await file.close();
        };
        SimProcess process(world, n1);
        ASSERT_TRUE(process.run(sync_only(process.reactor())));
        process.kill(Crash::power_lose_all);
        ASSERT_EQ(world.disk(n1).visible("data/f"), left);
        seen.insert(left);
    }
    EXPECT_EQ(seen, Set({"aa", "ba"}));
}

// Names.

std::string names(SimDisk& disk) {
    std::string line;
    for (const std::string& name : disk.list("data")) line += name + " ";
    return line;
}

TEST(SimDisk, ANewNameNeedsASyncOfItsDirectory) {
    const auto create = [](bool sync_it) {
        return [sync_it](Reactor& reactor) -> Task<void> {
            File file;
            co_await open_to(reactor, "data/g", &file);
            co_await expect_write(&file, 0, "text", true);
            co_await expect_sync(&file);
            co_await file.close();
            if (!sync_it) co_return;
            const Status synced = co_await sync_directory(reactor, "data");
            EXPECT_TRUE(synced.has_value());
        };
    };
    EXPECT_EQ(outcomes(Crash::process, "", create(false), names), Set({"f g "}));
    EXPECT_EQ(outcomes(Crash::power_lose_all, "", create(false), names), Set({"f "}));
    EXPECT_EQ(outcomes(Crash::power_prefix, "", create(false), names), Set({"f ", "f g "}));
    EXPECT_EQ(outcomes(Crash::power_subset_torn, "", create(false), names), Set({"f ", "f g "}));
    EXPECT_EQ(outcomes(Crash::power_directory_lost, "", create(false), names), Set({"f ", "f g "}));
    const Look content = [](SimDisk& disk) { return disk.visible("data/g").value_or("none"); };
    for (const Crash kind : all_crashes)
        EXPECT_EQ(outcomes(kind, "", create(true), content), Set({"text"}));
}

TEST(SimDisk, RenamesAndRemovalsMayBeUndoneButLeaveNoHole) {
    const Script rename_it = [](Reactor& reactor) -> Task<void> {
        const Status first = co_await rename_file(reactor, "data/f", "data/g");
        EXPECT_TRUE(first.has_value());
        File file;
        co_await open_to(reactor, "data/f", &file);  // keeps the harness's file in place
        co_await file.close();
        const Status synced = co_await sync_directory(reactor, "data");
        EXPECT_TRUE(synced.has_value());
        const Status removed = co_await remove_file(reactor, "data/g");
        EXPECT_TRUE(removed.has_value());
        const Status second = co_await rename_file(reactor, "data/f", "data/h");
        EXPECT_TRUE(second.has_value());
        const Status third = co_await rename_file(reactor, "data/h", "data/f");
        EXPECT_TRUE(third.has_value());
    };
    EXPECT_EQ(outcomes(Crash::power_lose_all, "", rename_it, names), Set({"f g "}));
    EXPECT_EQ(outcomes(Crash::process, "", rename_it, names), Set({"f "}));
}

TEST(SimDisk, ARenameBetweenDirectoriesNeedsBothOfThem) {
    const auto move = [](bool both) {
        return [both](Reactor& reactor) -> Task<void> {
            File file;
            co_await open_to(reactor, "data/g", &file);
            co_await file.close();
            Status synced = co_await sync_directory(reactor, "data");
            EXPECT_TRUE(synced.has_value());
            Status status = co_await make_directory(reactor, "more");
            EXPECT_TRUE(status.has_value());
            synced = co_await sync_directory(reactor, "");
            EXPECT_TRUE(synced.has_value());
            status = co_await rename_file(reactor, "data/g", "more/g");
            EXPECT_TRUE(status.has_value());
            synced = co_await sync_directory(reactor, "more");
            EXPECT_TRUE(synced.has_value());
            if (!both) co_return;
            synced = co_await sync_directory(reactor, "data");
            EXPECT_TRUE(synced.has_value());
        };
    };
    const Look look = [](SimDisk& disk) { return disk.visible("more/g") ? "more" : "data"; };
    EXPECT_EQ(outcomes(Crash::power_lose_all, "", move(false), look), Set({"data"}));
    EXPECT_EQ(outcomes(Crash::power_lose_all, "", move(true), look), Set({"more"}));
}

TEST(SimDisk, WhatLiesInALostDirectoryIsLost) {
    const Script script = [](Reactor& reactor) -> Task<void> {
        const Status made = co_await make_directory(reactor, "data/inner");
        EXPECT_TRUE(made.has_value());
        File file;
        co_await open_to(reactor, "data/inner/g", &file);
        co_await file.close();
        const Status synced = co_await sync_directory(reactor, "data/inner");
        EXPECT_TRUE(synced.has_value());
    };
    const Look look = [](SimDisk& disk) { return disk.visible("data/inner/g") ? "kept" : "lost"; };
    EXPECT_EQ(outcomes(Crash::power_lose_all, "", script, look), Set({"lost"}));
    EXPECT_EQ(outcomes(Crash::power_subset_torn, "", script, look), Set({"kept", "lost"}));
}

/// replace_file at every I/O point and every kind of crash.
TEST(SimDisk, AReplacedFileIsTheOldOrTheNewOneAtEveryCrashPoint) {
    const std::string old_text(3'000, 'o');
    const std::string new_text(5'000, 'n');
    const auto replace = [&](Reactor& reactor) -> Task<void> {
        const Status status = co_await replace_file(reactor, "data", "f", new_text);
        EXPECT_TRUE(status.has_value());
    };
    Set seen;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        for (const Crash kind : all_crashes) {
            bool finished = false;
            for (std::uint64_t point = 0; !finished; ++point) {
                SimWorld world(seed);
                world.add_node(n1, {"10.0.0.1"});
                world.disk(n1).put("data/f", old_text);
                SimProcess process(world, n1);
                world.crash_at(n1, point, kind);
                finished = process.run(replace(process.reactor()));
                process.kill(kind);
                const std::string text = world.disk(n1).visible("data/f").value_or("none");
                ASSERT_TRUE(text == old_text || text == new_text) << seed << " " << point;
                ASSERT_TRUE(!finished || text == new_text);
                ASSERT_TRUE(!finished || point > 15) << "there are not that few";
                seen.insert(text.substr(0, 1));
            }
        }
    }
    EXPECT_EQ(seen, Set({"n", "o"}));
}

}  // namespace
}  // namespace kv::io
