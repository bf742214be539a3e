/// What goes wrong on a simulated disk without a crash: errors, full disks, stalls, short
/// transfers, misuse, damage.

#include <gtest/gtest.h>

#include <cerrno>

#include "io/file.h"
#include "io/sim/sim_process.h"
#include "tests/support/io_scenes.h"

namespace kv::io {
namespace {

const NodeId n1(1);

struct Fixture {
    explicit Fixture(std::uint64_t seed, const SimKnobs& knobs = {}) : world(seed, knobs) {
        world.add_node(n1, {"10.0.0.1"});
        disk = &world.disk(n1);
        disk->make_directory("data");
    }
    SimWorld world;
    SimDisk* disk = nullptr;
};

Task<void> open_to(Reactor& reactor, std::string path, File* file) {
    Result<File> opened = co_await File::open(reactor, path, open_write | open_create);
    EXPECT_TRUE(opened.has_value());
    if (opened) *file = *std::move(opened);
}
Task<void> expect_write(File* file, std::uint64_t offset, std::size_t bytes, Errc* error) {
    const std::string text = scenes::pattern(bytes, offset);
    const Status status = co_await file->write_at(offset, as_bytes(text), false);
    *error = status ? Errc{} : status.error().code;
}

TEST(SimFault, AFullDiskRefusesGrowthUntilThereIsRoom) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        Fixture f(seed);
        f.disk->set_capacity(10'000);
        SimProcess process(f.world, n1);
        const auto script = [&](Reactor& reactor) -> Task<void> {
            File file;
            co_await open_to(reactor, "data/f", &file);
            Errc error{};
            co_await expect_write(&file, 0, 9'000, &error);
            EXPECT_EQ(error, Errc{});
            co_await expect_write(&file, 9'000, 5'000, &error);
            EXPECT_EQ(error, Errc::no_space);
            co_await expect_write(&file, 0, 9'000, &error);  // no growth
            EXPECT_EQ(error, Errc{});
            Status reserved = co_await file.allocate(20'000);
            EXPECT_TRUE(!reserved && reserved.error().code == Errc::no_space);
            f.disk->set_capacity(30'000);
            reserved = co_await file.allocate(20'000);
            EXPECT_TRUE(reserved.has_value());
            co_await expect_write(&file, 9'000, 5'000, &error);
            EXPECT_EQ(error, Errc{});
            EXPECT_EQ(f.disk->used_bytes(), 20'000u);
            const Status removed = co_await remove_file(reactor, "data/f");
            EXPECT_TRUE(removed.has_value());
            EXPECT_EQ(f.disk->used_bytes(), 20'000u);  // the descriptor keeps it
            co_await file.close();
            EXPECT_EQ(f.disk->used_bytes(), 0u);
        };
        ASSERT_TRUE(process.run(script(process.reactor())));
    }
}

TEST(SimFault, TheNthReadFails) {
    Fixture f(1);
    f.disk->knobs().short_per_million = 0;
    f.disk->knobs().interrupted_per_million = 0;
    f.disk->put("data/f", "text");
    SimFault fault;
    fault.code = OpCode::read;
    fault.path_part = "/f";
    fault.skip = 1;
    fault.error = -EIO;
    const std::size_t number = f.disk->add_fault(fault);
    SimProcess process(f.world, n1);
    const auto script = [&](Reactor& reactor) -> Task<void> {
        const Result<std::string> first = co_await read_file(reactor, "data/f", 100);
        EXPECT_EQ(first.value_or(""), "text");
        const Result<std::string> second = co_await read_file(reactor, "data/f", 100);
        EXPECT_TRUE(!second && second.error().code == Errc::io);
        const Result<std::string> third = co_await read_file(reactor, "data/f", 100);
        EXPECT_EQ(third.value_or(""), "text");
    };
    ASSERT_TRUE(process.run(script(process.reactor())));
    EXPECT_EQ(f.disk->fault(number).hits, 1u);
}

TEST(SimFault, AfterAFailedSyncNoLaterSyncHelps) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Fixture f(seed);
        f.disk->put("data/f", "old!");
        SimFault fault;
        fault.error = -EIO;
        f.disk->add_fault(fault);
        SimProcess process(f.world, n1);
        const auto script = [&](Reactor& reactor) -> Task<void> {
            File file;
            co_await open_to(reactor, "data/f", &file);
            const Status written = co_await file.write_at(0, as_bytes("new!"), false);
            EXPECT_TRUE(written.has_value());
            const Status failed = co_await file.sync();
            EXPECT_FALSE(failed.has_value());
            const Status worked = co_await file.sync();
            EXPECT_TRUE(worked.has_value());
            const Result<std::string> text = co_await read_file(reactor, "data/f", 100);
            EXPECT_EQ(text.value_or(""), "new!");
            co_await file.close();
        };
        ASSERT_TRUE(process.run(script(process.reactor())));
        process.kill(Crash::power_lose_all);
        EXPECT_EQ(f.disk->visible("data/f"), "old!");
    }
}

TEST(SimFault, AStallTakesItsTimeAndNoMore) {
    Fixture f(1);
    SimFault fault;
    fault.stall = 60s;
    f.disk->add_fault(fault);
    SimProcess process(f.world, n1);
    const auto script = [&](Reactor& reactor) -> Task<void> {
        const Status status = co_await sync_directory(reactor, "data");
        EXPECT_TRUE(status.has_value());
    };
    ASSERT_TRUE(process.run(script(process.reactor())));
    EXPECT_GT(f.world.now().time_since_epoch(), 60s);
    EXPECT_LT(f.world.now().time_since_epoch(), 62s);
}

TEST(SimFault, ShortAndInterruptedTransfersAreContinued) {
    SimKnobs knobs;
    knobs.disk.short_per_million = 700'000;
    knobs.disk.interrupted_per_million = 300'000;
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        Fixture f(seed, knobs);
        SimProcess process(f.world, n1);
        ASSERT_TRUE(process.run(scenes::file_scene(process.reactor(), "data")));
        ASSERT_TRUE(process.run(scenes::direct_scene(process.reactor(), "data")));
    }
}

TEST(SimFault, LocksEndWithTheProcess) {
    Fixture f(1);
    const auto script = [](Reactor& reactor) -> Task<void> {
        File file;
        co_await open_to(reactor, "data/lock", &file);
        const Status locked = co_await file.lock();
        EXPECT_TRUE(locked.has_value());
    };
    for (const Crash kind : all_crashes) {
        SimProcess process(f.world, n1);
        ASSERT_TRUE(process.run(script(process.reactor())));
        process.kill(kind);
    }
}

TEST(SimFault, DamageShowsInWhatIsReadAndInWhatIsDurable) {
    Fixture f(1);
    f.disk->put("data/f", "abc");
    EXPECT_TRUE(f.disk->flip_bit("data/f", 8));
    EXPECT_EQ(f.disk->visible("data/f"), "acc");
    EXPECT_EQ(f.disk->durable("data/f"), "acc");
    EXPECT_TRUE(f.disk->overwrite("data/f", 2, as_bytes("xyz")));
    EXPECT_EQ(f.disk->visible("data/f"), "acxyz");
    EXPECT_TRUE(f.disk->truncate("data/f", 1));
    EXPECT_EQ(f.disk->durable("data/f"), "a");
    EXPECT_EQ(f.disk->used_bytes(), 1u);
    EXPECT_TRUE(f.disk->overwrite("data/f", 2, as_bytes("z")));
    EXPECT_EQ(f.disk->visible("data/f"), std::string("a\0z", 3));
    EXPECT_TRUE(f.disk->remove("data/f"));
    EXPECT_EQ(f.disk->visible("data/f"), std::nullopt);
    EXPECT_EQ(f.disk->durable("data/f"), std::nullopt);
    EXPECT_EQ(f.disk->paths(), std::vector<std::string>{"data"});
    EXPECT_FALSE(f.disk->remove("data/f"));
}

struct WriteOp : Op {
    WriteOp(std::int32_t fd, std::string& text) noexcept : Op(&WriteOp::done) {
        OpRequest request;
        request.code = OpCode::write;
        request.fd = fd;
        request.data = reinterpret_cast<std::byte*>(text.data());
        request.bytes = static_cast<std::uint32_t>(text.size());
        set_request(request);
    }
    static void done(Op&, std::int32_t, Completion) noexcept {}
};

void change_a_buffer_in_flight(std::uint64_t seed) {
    Fixture f(seed);
    SimProcess process(f.world, n1);
    File file;
    ASSERT_TRUE(process.run(open_to(process.reactor(), "data/f", &file)));
    std::string text = "text";
    WriteOp write(file.fd(), text);
    process.backend().submit(write);
    text[0] = 'T';
    f.world.run_for(1s);
}

TEST(SimFaultDeathTest, ABufferThatChangesInFlightIsFound) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(change_a_buffer_in_flight(1), "buffer changed in flight");
}

}  // namespace
}  // namespace kv::io
