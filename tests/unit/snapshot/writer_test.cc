/// Snapshots on a simulated disk that is slow, full, wrong or dies.

#include "engine/snapshot/writer.h"

#include <cerrno>

#include "io/sim/sim_process.h"
#include "proto/base/prng.h"
#include "tests/unit/snapshot/snapshot_file.h"

namespace kv::snapshot {
namespace {

const NodeId n1(1);
constexpr auto directory = "snapshots";
const std::string path = "snapshots/s000007-00000000000000000042.snap";

/// A stream, read in pieces.
struct TextSource final : Source {
    explicit TextSource(std::string t) : text(std::move(t)) {}
    std::string text;
    std::size_t at = 0;
    std::size_t piece = SIZE_MAX;
    std::size_t stop_at = SIZE_MAX;
    std::size_t pace = 1;
    std::size_t reads = 0;

    std::size_t read(MutableBytes to) override {
        ++reads;
        const std::size_t bytes = std::min({to.size(), text.size() - at, piece});
        copy_exact(to, as_bytes(text).subspan(at, bytes));
        at += bytes;
        return bytes;
    }
    bool ended() const override { return at == text.size(); }
    bool stopped() const override { return at >= stop_at; }
    std::size_t frames_per_turn() const override { return pace; }
};

std::string random_text(std::size_t bytes, std::uint64_t seed) {
    Prng prng(seed);
    std::string text(bytes, '\0');
    for (char& c : text) c = static_cast<char>(prng.next());
    return text;
}

struct Machine {
    explicit Machine(std::uint64_t seed) : world(seed) {
        world.add_node(n1, {"10.0.0.1"});
        disk().make_directory(directory);
    }
    io::SimDisk& disk() { return world.disk(n1); }

    /// Nothing: the process died.
    std::optional<Result<Written>> write(TextSource& source, bool direct = true) {
        io::SimProcess process(world, n1);
        std::optional<Result<Written>> out;
        const bool ended = process.run(run_write(process.reactor(), source, direct, out), 60s);
        EXPECT_TRUE(ended || process.dead());
        return out;
    }
    std::optional<Result<Head>> read(Remembered& sink) {
        io::SimProcess process(world, n1);
        std::optional<Result<Head>> out;
        process.run(run_read(process.reactor(), sink, out));
        return out;
    }

    io::SimWorld world;

private:
    static io::Task<void> run_write(io::Reactor& reactor, TextSource& source, bool direct,
                                    std::optional<Result<Written>>& out) {
        WriteOptions options;
        options.directory = directory;
        options.direct = direct;
        Content content;
        content.head = head_of();
        content.slots = "slots";
        content.configuration = "configuration";
        Result<Written> written =
            co_await write_snapshot(reactor, std::move(options), std::move(content), source);
        out = std::move(written);
    }
    static io::Task<void> run_read(io::Reactor& reactor, Remembered& sink,
                                   std::optional<Result<Head>>& out) {
        std::uint64_t bytes = 0;
        const SnapshotFile file{group_seven, Index(42)};
        Result<Head> head =
            co_await read_snapshot(reactor, directory, file, store_one, sink, bytes);
        out = std::move(head);
    }
};

TEST(SnapshotWriter, FilesOfAnySizeComeBack) {
    for (const std::size_t bytes :
         {std::size_t{0}, std::size_t{1}, payload_bytes_max - 1, payload_bytes_max,
          payload_bytes_max + 1, 12 * payload_bytes_max, std::size_t{5'000'000}}) {
        for (const bool direct : {true, false}) {
            SCOPED_TRACE(bytes);
            Machine machine(bytes);
            TextSource source(random_text(bytes, bytes));
            source.piece = bytes % 2 == 0 ? SIZE_MAX : 100'000;
            source.pace = 1 + bytes % 3;
            const auto written = machine.write(source, direct);
            ASSERT_TRUE(written && written->has_value());
            EXPECT_EQ((*written)->bytes, machine.disk().visible(path)->size());
            EXPECT_EQ(machine.disk().durable(path), machine.disk().visible(path));
            EXPECT_EQ(machine.disk().list(directory).size(), 1u);
            Remembered sink;
            const auto head = machine.read(sink);
            ASSERT_TRUE(head && head->has_value());
            EXPECT_EQ(**head, head_of());
            EXPECT_EQ(sink.entries, source.text);
            EXPECT_TRUE(sink.ended);
        }
    }
}

/// How long a snapshot of 20 frames takes on a disk that needs a millisecond for each.
Duration duration_at(std::size_t pace) {
    Machine machine(7);
    io::SimDiskKnobs& knobs = machine.disk().knobs();
    knobs = {};
    knobs.write = {1ms, 1ms};
    knobs.tail_per_million = knobs.short_per_million = knobs.interrupted_per_million = 0;
    TextSource source(random_text(20 * payload_bytes_max, 7));
    source.pace = pace;
    const Instant begun = machine.world.now();
    const auto written = machine.write(source);
    EXPECT_TRUE(written && written->has_value());
    return machine.world.now() - begun;
}

TEST(SnapshotWriter, LeavesTheDiskToOthersUnlessTimePresses) {
    EXPECT_GE(duration_at(0), 20 * 5ms);
    EXPECT_LT(duration_at(1), 20 * 2ms);
    EXPECT_LT(duration_at(8), duration_at(1) + 1ms);
}

TEST(SnapshotWriter, AStoppedSourceLeavesNoFile) {
    Machine machine(1);
    TextSource source(random_text(3'000'000, 1));
    source.stop_at = 1'000'000;
    const auto written = machine.write(source);
    ASSERT_TRUE(written && !written->has_value());
    EXPECT_EQ(written->error().code, Errc::canceled);
    EXPECT_TRUE(machine.disk().list(directory).empty());
}

TEST(SnapshotWriter, AFullDiskLeavesNoFileAndTheNextOneFits) {
    Machine machine(1);
    TextSource source(random_text(3'000'000, 1));
    machine.disk().set_capacity(1'000'000);
    const auto written = machine.write(source);
    ASSERT_TRUE(written && !written->has_value());
    EXPECT_EQ(written->error().code, Errc::no_space);
    EXPECT_TRUE(machine.disk().list(directory).empty());
    machine.disk().set_capacity(10'000'000);
    source.at = 0;
    const auto again = machine.write(source);
    ASSERT_TRUE(again && again->has_value());
}

TEST(SnapshotWriter, WhatACrashLeftUnderTheTemporaryNameIsReplaced) {
    Machine machine(1);
    machine.disk().put(path + ".tmp", random_text(9'000'000, 3));
    TextSource source(random_text(300'000, 1));
    const auto written = machine.write(source);
    ASSERT_TRUE(written && written->has_value());
    Remembered sink;
    const auto head = machine.read(sink);
    ASSERT_TRUE(head && head->has_value());
    EXPECT_EQ(sink.entries, source.text);
}

TEST(SnapshotWriter, EveryFailedOperationIsReported) {
    for (const io::OpCode code :
         {io::OpCode::open, io::OpCode::write, io::OpCode::sync, io::OpCode::rename}) {
        for (std::uint64_t skip = 0; skip < 4; ++skip) {
            Machine machine(1);
            io::SimFault fault;
            fault.code = code;
            fault.path_part = directory;
            fault.skip = skip;
            fault.error = -EIO;
            const std::size_t number = machine.disk().add_fault(fault);
            TextSource source(random_text(600'000, 1));
            const auto written = machine.write(source);
            ASSERT_TRUE(written.has_value());
            EXPECT_EQ(written->has_value(), machine.disk().fault(number).hits == 0);
        }
    }
}

/// What has a snapshot's name is whole, whenever the process or the power ends.
TEST(SnapshotWriter, ACrashAtAnyPointLeavesAWholeFileOrNone) {
    std::uint64_t points = 0;
    const TextSource original(random_text(700'000, 5));
    {
        Machine machine(1);
        TextSource source = original;
        machine.write(source);
        points = machine.disk().io_points();
    }
    std::uint64_t whole = 0;
    std::uint64_t none = 0;
    for (std::uint64_t point = 0; point < points; ++point) {
        for (const io::Crash kind : io::all_crashes) {
            Machine machine(1);
            machine.world.crash_at(n1, point, kind);
            TextSource source = original;
            EXPECT_FALSE(machine.write(source).has_value());
            machine.world.cancel_crash(n1);
            if (!machine.disk().visible(path)) {
                ++none;
                continue;
            }
            ++whole;
            Remembered sink;
            const auto head = machine.read(sink);
            ASSERT_TRUE(head && head->has_value()) << point;
            EXPECT_EQ(sink.entries, original.text);
        }
    }
    EXPECT_GT(whole, 0u);
    EXPECT_GT(none, whole);
}

TEST(SnapshotReader, TellsFileAndOffsetOfDamage) {
    Machine machine(1);
    TextSource source(random_text(600'000, 1));
    ASSERT_TRUE(machine.write(source)->has_value());
    ASSERT_TRUE(machine.disk().flip_bit(path, 8 * (3 * 4096 + 262'144 + 5'000)));
    Remembered sink;
    const auto head = machine.read(sink);
    ASSERT_TRUE(head && !head->has_value());
    EXPECT_EQ(head->error().code, Errc::damaged);
    EXPECT_NE(head->error().text().find(path), std::string::npos) << head->error().text();
    EXPECT_NE(head->error().text().find("offset 274432"), std::string::npos);
    EXPECT_FALSE(sink.ended);
}

}  // namespace
}  // namespace kv::snapshot
