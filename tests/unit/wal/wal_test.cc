/// The log at work: batches, segments, markers, stop and start.

#include <gtest/gtest.h>

#include "tests/unit/wal/wal_harness.h"

namespace kv::wal {
namespace {

WalOptions large_segments() {
    return small_segments(std::uint64_t{512} << 10);
}

io::SimFault slow_write(Duration stall, std::uint64_t skip = 0) {
    io::SimFault fault;
    fault.code = io::OpCode::write;
    fault.path_part = ".wal";
    fault.skip = skip;
    fault.stall = stall;
    return fault;
}

/// The first batch of a log opens a segment and its marker follows; then nothing is under way.
void warm_up(Life& life) {
    ASSERT_TRUE(life.start());
    ASSERT_TRUE(life.stage_and_settle());
    ASSERT_TRUE(life.pass(3s));
    life.durable.clear();
}

// Group commit.

TEST(WalGroupCommit, RecordsOfOneTurnAreOneBatch) {
    Scene scene(1, calm(), large_segments());
    Life life(scene);
    ASSERT_NO_FATAL_FAILURE(warm_up(life));
    const std::uint64_t batches = life.wal().counters().batches;
    const Ticket first = life.stage();
    for (int i = 0; i < 20; ++i) EXPECT_EQ(life.stage(), first);
    ASSERT_TRUE(life.settle());
    EXPECT_EQ(life.wal().counters().batches, batches + 1);
    EXPECT_EQ(life.durable, std::vector<Ticket>{first});
    EXPECT_EQ(life.stage(), first + 1);
    ASSERT_TRUE(life.settle());
}

TEST(WalGroupCommit, WhileABatchIsInFlightTheNextGathers) {
    Scene scene(1, calm(), large_segments());
    Life life(scene);
    ASSERT_NO_FATAL_FAILURE(warm_up(life));
    const std::uint64_t batches = life.wal().counters().batches;
    scene.disk.add_fault(slow_write(100ms));
    const Ticket first = life.stage();
    ASSERT_TRUE(life.turn());
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(life.stage(1'000), first + 1);
        ASSERT_TRUE(life.turn());
    }
    EXPECT_EQ(life.wal().counters().batches, batches + 1);
    EXPECT_TRUE(life.durable.empty());
    ASSERT_TRUE(life.settle());
    EXPECT_EQ(life.wal().counters().batches, batches + 2);
    EXPECT_EQ(life.durable, (std::vector<Ticket>{first, first + 1}));
}

TEST(WalGroupCommit, AFurtherBatchStartsOnlyWithEnoughToWrite) {
    Scene scene(1, calm(), large_segments());
    Life life(scene);
    ASSERT_NO_FATAL_FAILURE(warm_up(life));
    const std::uint64_t batches = life.wal().counters().batches;
    scene.disk.add_fault(slow_write(100ms));
    life.stage();
    ASSERT_TRUE(life.turn());
    std::size_t staged = 0;
    while (life.wal().counters().batches == batches + 1) {
        life.stage(500);
        staged += record_bytes(500);
        ASSERT_TRUE(life.turn());
        ASSERT_LT(staged, 2 * Wal::gather_bytes);
    }
    const std::size_t on_disk = round_up(batch_header_bytes + staged, io::block_bytes);
    const std::size_t before =
        round_up(batch_header_bytes + staged - record_bytes(500), io::block_bytes);
    EXPECT_GE(on_disk, Wal::gather_bytes);
    EXPECT_LT(before, Wal::gather_bytes);
    ASSERT_TRUE(life.settle());
}

TEST(WalGroupCommit, AtMostFourAreInFlight) {
    Scene scene(1, calm(), large_segments());
    Life life(scene);
    ASSERT_NO_FATAL_FAILURE(warm_up(life));
    const std::uint64_t batches = life.wal().counters().batches;
    for (int i = 0; i < 4; ++i) scene.disk.add_fault(slow_write(100ms, 0));
    io::SimFault all = slow_write(100ms);
    all.count = 100;
    scene.disk.clear_faults();
    scene.disk.add_fault(all);
    for (int i = 0; i < 8; ++i) {
        life.stage(17'000);
        ASSERT_TRUE(life.turn());
    }
    EXPECT_EQ(life.wal().counters().batches, batches + Wal::batches_in_flight_max);
    EXPECT_TRUE(life.durable.empty());
    ASSERT_TRUE(life.settle());
    EXPECT_GE(life.wal().counters().batches, batches + 5);
}

TEST(WalGroupCommit, AcknowledgementsKeepTheOrderOfTheLog) {
    std::set<std::vector<Ticket>> reports;
    for (std::uint64_t order = 0; order < 24; ++order) {
        Scene scene(order, calm(), large_segments());
        Life life(scene);
        ASSERT_NO_FATAL_FAILURE(warm_up(life));
        // The four writes complete in the order-th permutation, 100 ms apart.
        std::vector<std::uint64_t> ranks = {0, 1, 2, 3};
        for (std::uint64_t i = 0; i < order; ++i) std::next_permutation(ranks.begin(), ranks.end());
        for (std::uint64_t write = 0; write < 4; ++write) {
            scene.disk.add_fault(slow_write(100ms * static_cast<int>(ranks[write] + 1), write));
        }
        const Ticket first = life.stage(17'000);
        ASSERT_TRUE(life.turn());
        for (int i = 1; i < 4; ++i) {
            EXPECT_EQ(life.stage(17'000), first + static_cast<Ticket>(i));
            ASSERT_TRUE(life.turn());
        }
        for (std::uint64_t done = 1; done <= 4; ++done) {
            ASSERT_TRUE(life.pass(done == 1 ? 150ms : 100ms));
            // Durable is the longest prefix of which every write has completed.
            Ticket prefix = 0;
            while (prefix < 4 && ranks[prefix] < done) ++prefix;
            EXPECT_EQ(life.durable.empty() ? 0 : life.durable.back() - first + 1, prefix);
        }
        reports.insert(life.durable);
        EXPECT_EQ(scene.acknowledged, scene.log.size());
    }
    EXPECT_EQ(reports.size(), 8u) << "each way to cut four into runs";
}

TEST(WalGroupCommit, ARecordLargerThanABatchHasOneOfItsOwn) {
    Scene scene(1, calm(), large_segments());
    scene.options.batch_bytes_max = 8'000;
    Life life(scene);
    ASSERT_NO_FATAL_FAILURE(warm_up(life));
    const Ticket small = life.stage(100);
    const Ticket large = life.stage(life.wal().record_bytes_max());
    EXPECT_EQ(large, small + 1);
    EXPECT_EQ(life.stage(100), large + 1);
    ASSERT_TRUE(life.settle());
    life.crash(io::Crash::power_lose_all);
    Life next(scene);
    ASSERT_TRUE(next.start());
}

// Rotation.

TEST(WalRotation, GoesThroughManySegmentsOfARing) {
    Scene scene(1);
    {
        Life life(scene);
        ASSERT_TRUE(life.start());
        SegmentSeq last;
        for (int i = 0; i < 300; ++i) {
            ASSERT_TRUE(life.stage_and_settle(static_cast<std::size_t>(100 + 37 * i % 3'500)));
            EXPECT_GE(life.wal().current_segment(), last);
            last = life.wal().current_segment();
            life.release_before(last);
            ASSERT_TRUE(life.pass(5ms));
        }
        const WalCounters& counters = life.wal().counters();
        EXPECT_GT(counters.rotations, 100u);
        EXPECT_EQ(counters.rotations, life.rotations);
        EXPECT_LE(counters.segments_made, 6u) << "files are used again";
        EXPECT_GT(counters.segments_reused, 90u);
        EXPECT_EQ(last.value(), counters.rotations) << "sequence numbers have no gaps";
        EXPECT_LE(scene.wal_files().size(), 6u);
        life.crash(io::Crash::power_lose_all);
    }
    Life life(scene);
    ASSERT_TRUE(life.start());
}

TEST(WalRotation, WaitsUntilTheOldSegmentIsDurable) {
    Scene scene(1, calm(), small_segments(std::uint64_t{64} << 10));
    Life life(scene);
    ASSERT_NO_FATAL_FAILURE(warm_up(life));
    ASSERT_TRUE(life.stage_and_settle(17'000));
    const std::size_t rotations = life.rotations;
    scene.disk.add_fault(slow_write(200ms));
    scene.disk.add_fault(slow_write(100ms, 1));
    for (int i = 0; i < 3; ++i) {
        life.stage(17'000);
        ASSERT_TRUE(life.turn());
    }
    ASSERT_TRUE(life.pass(150ms));
    EXPECT_EQ(life.rotations, rotations) << "a write to the old segment is in flight";
    ASSERT_TRUE(life.settle());
    EXPECT_EQ(life.rotations, rotations + 1);
}

TEST(WalRotation, HeaderAndHardStatesAreOneWrite) {
    Scene scene(1);
    Life life(scene);
    ASSERT_NO_FATAL_FAILURE(warm_up(life));
    while (life.rotations < 3) ASSERT_TRUE(life.stage_and_settle(3'000));
    const std::uint64_t before = life.wal().current_segment().value();
    life.stage(3'000);
    ASSERT_TRUE(life.turn());
    while (life.wal().current_segment().value() == before) {
        ASSERT_TRUE(life.stage_and_settle(3'000));
    }
    for (const auto& [path, header] : segment_headers(scene)) {
        if (header.segment.value() == 0) continue;
        const std::string content = *scene.disk.visible(path);
        const Bytes first = as_bytes(content).subspan(segment_header_bytes);
        const auto batch = decode_batch_header(first, store_one, segment_header_bytes);
        ASSERT_TRUE(batch.has_value());
        EXPECT_EQ(batch->lsn, header.first_lsn);
        EXPECT_EQ(batch->records, groups);
        EXPECT_EQ(batch->previous, header.previous);
        auto payload = decode_batch_payload(first, *batch, segment_header_bytes);
        ASSERT_TRUE(payload.has_value());
        for (std::uint64_t group = 1; group <= groups; ++group) {
            Record record;
            ASSERT_TRUE(take_record(*payload, record).has_value());
            EXPECT_EQ(record.kind, RecordKind::hard_state);
            EXPECT_EQ(record.group, GroupId(group));
        }
    }
}

TEST(WalRotation, SparesAreReadyBeforeTheyAreNeeded) {
    Scene scene(1);
    Life life(scene);
    ASSERT_NO_FATAL_FAILURE(warm_up(life));
    std::size_t spares = 0;
    for (const auto& [path, header] : segment_headers(scene)) {
        if (header.segment.value() != 0) continue;
        ++spares;
        EXPECT_EQ(scene.disk.durable(path)->size(), scene.options.segment_bytes);
    }
    EXPECT_EQ(spares, Wal::spares_wanted);
}

io::Task<void> make_segment(io::Reactor& reactor, std::uint64_t bytes, std::uint64_t& turns) {
    const std::string path = "segment";
    auto file = co_await open_segment(reactor, path, SyncMode::dsync, true);
    KV_ASSERT(file.has_value());
    const std::uint64_t begun = reactor.counters().turns;
    const Status filled = co_await fill_segment(reactor, *file, bytes);
    KV_ASSERT(filled.has_value());
    turns = reactor.counters().turns - begun;
    co_await file->close();
}

// One megabyte at once is three milliseconds of page faults in which nobody is answered.
TEST(WalRotation, ASegmentIsMadeInPiecesThatATurnCanBear) {
    constexpr std::uint64_t piece_bytes = std::uint64_t{128} << 10;
    constexpr std::uint64_t pieces = 16;
    Scene scene(1);
    Life life(scene);
    std::uint64_t turns = 0;
    life.reactor().spawn(make_segment(life.reactor(), pieces * piece_bytes, turns));
    ASSERT_TRUE(life.pass(1s));
    EXPECT_GE(turns, pieces);
}

TEST(WalRotation, NoBatchOfAnEarlierUseIsValid) {
    Scene scene(1, calm(), small_segments(std::uint64_t{32} << 10));
    Life life(scene);
    ASSERT_TRUE(life.start());
    std::uint64_t stale = 0;
    for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(life.stage_and_settle(static_cast<std::size_t>(100 + 41 * i % 3'000)));
        life.release_before(life.wal().current_segment());
        ASSERT_TRUE(life.pass(5ms));
        for (const auto& [path, header] : segment_headers(scene)) {
            const std::string content = *scene.disk.visible(path);
            for (std::uint64_t at = segment_header_bytes; at < content.size();
                 at += io::block_bytes) {
                const auto batch = decode_batch_header(
                    as_bytes(content).subspan(static_cast<std::size_t>(at)), store_one, at);
                if (!batch) continue;
                EXPECT_LE(batch->segment, header.segment);
                if (batch->segment != header.segment) ++stale;
            }
        }
    }
    EXPECT_GT(stale, 20u) << "the files do hold old batches";
    life.crash(io::Crash::process);
    Life next(scene);
    ASSERT_TRUE(next.start());
}

TEST(WalRotation, AReleaseIsRecordedThoughNothingElseIsWritten) {
    Scene scene(1);
    Life life(scene);
    ASSERT_TRUE(life.start());
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(life.stage_and_settle(3'000));
    ASSERT_TRUE(life.pass(3s));
    const std::size_t segments = life.wal().log_segments();
    ASSERT_GT(segments, 3u);
    life.release_before(life.wal().current_segment());
    EXPECT_EQ(life.wal().log_segments(), segments) << "not before it is durable";
    ASSERT_TRUE(life.pass(10ms));
    EXPECT_LE(life.wal().log_segments(), 2u);
}

// Markers, stop and start.

TEST(WalMarker, FollowsWithinASecondAndOnlyWhenNeeded) {
    Scene scene(1, calm(), large_segments());
    Life life(scene);
    ASSERT_NO_FATAL_FAILURE(warm_up(life));
    const std::uint64_t before = life.wal().counters().markers;
    ASSERT_TRUE(life.stage_and_settle());
    EXPECT_EQ(life.wal().counters().markers, before);
    ASSERT_TRUE(life.pass(1s));
    EXPECT_EQ(life.wal().counters().markers, before + 1);
    ASSERT_TRUE(life.pass(60s));
    EXPECT_EQ(life.wal().counters().markers, before + 1) << "a marker needs no marker";
    // Under load each batch proves those before it.
    for (int i = 0; i < 300; ++i) {
        ASSERT_TRUE(life.stage_and_settle());
        ASSERT_TRUE(life.pass(10ms));
    }
    EXPECT_LE(life.wal().counters().markers, before + 8);
    const std::uint64_t then = life.wal().counters().markers;
    ASSERT_TRUE(life.pass(1s));
    EXPECT_LE(life.wal().counters().markers, then + 1);
    EXPECT_EQ(scene.acknowledged, scene.log.size());
}

TEST(WalMarker, EverythingAcknowledgedIsProvenASecondLater) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        SCOPED_TRACE(seed);
        Scene scene(seed);
        {
            Life life(scene);
            ASSERT_TRUE(life.start());
            for (std::uint64_t i = 0; i <= seed; ++i) {
                ASSERT_TRUE(life.stage_and_settle(static_cast<std::size_t>(100 + 150 * i)));
            }
            ASSERT_TRUE(life.pass(1s + 10ms));
            life.crash(io::Crash::power_lose_all);
        }
        // Each newest record's batch, damaged, must be refused.
        std::string path;
        std::uint64_t at = 0;
        const std::string needle = scene.log.back().payload().substr(0, 24);
        for (const std::string& file : scene.wal_files()) {
            const std::size_t found = scene.disk.visible(file)->find(needle);
            if (found == std::string::npos) continue;
            path = file;
            at = found;
        }
        ASSERT_FALSE(path.empty());
        ASSERT_TRUE(scene.disk.flip_bit(path, at * 8));
        Life life(scene);
        ASSERT_TRUE(life.recover());
        ASSERT_FALSE(life.recovered->has_value());
        EXPECT_EQ(life.recovered->error().code, Errc::damaged);
    }
}

TEST(WalStop, ACleanStopGoesOnInPlaceEvenWithACrashRightAfter) {
    Scene scene(1, calm(), large_segments());
    {
        Life life(scene);
        ASSERT_NO_FATAL_FAILURE(warm_up(life));
        for (int i = 0; i < 5; ++i) life.stage(300);
        ASSERT_TRUE(life.stop());
        EXPECT_EQ(scene.acknowledged, scene.log.size()) << "what was staged is written";
    }
    for (int round = 0; round < 10; ++round) {
        Life life(scene);
        ASSERT_TRUE(life.start());
        EXPECT_TRUE((*life.recovered)->report.clean);
        EXPECT_EQ((*life.recovered)->report.cut_file, "");
        EXPECT_EQ(life.wal().current_segment(), SegmentSeq(1));
        if (round % 2 == 0) {
            life.crash(io::all_crashes[static_cast<std::size_t>(round / 2)]);
            continue;
        }
        ASSERT_TRUE(life.stage_and_settle());
        ASSERT_TRUE(life.stop());
        EXPECT_EQ(life.rotations, 0u);
    }
}

TEST(WalStop, AnUncleanStartGoesOnInANewSegmentThatRecordsWhereTheOldOneEnds) {
    Scene scene(1, calm(), large_segments());
    {
        Life life(scene);
        ASSERT_NO_FATAL_FAILURE(warm_up(life));
        ASSERT_TRUE(life.stage_and_settle(300));
        life.crash(io::Crash::power_lose_all);
    }
    Life life(scene);
    ASSERT_TRUE(life.start());
    const WalPosition position = (*life.recovered)->position;
    EXPECT_FALSE(position.clean);
    EXPECT_NE((*life.recovered)->report.cut_file, "");
    EXPECT_EQ((*life.recovered)->report.cut_offset, position.end);
    ASSERT_TRUE(life.stage_and_settle(300));
    EXPECT_EQ(life.wal().current_segment(), SegmentSeq(2));
    bool found = false;
    for (const auto& [path, header] : segment_headers(scene)) {
        if (header.segment != SegmentSeq(2)) continue;
        found = true;
        EXPECT_EQ(header.predecessor, SegmentSeq(1));
        EXPECT_EQ(header.predecessor_end, position.end);
        EXPECT_EQ(header.previous, position.previous);
        EXPECT_EQ(header.first_lsn, position.next_lsn);
        EXPECT_EQ(header.epoch, Epoch(2));
    }
    EXPECT_TRUE(found);
}

TEST(WalStop, AStopWithNothingWrittenLeavesAnEmptyLog) {
    Scene scene(1);
    for (int round = 0; round < 3; ++round) {
        Life life(scene);
        ASSERT_TRUE(life.start());
        ASSERT_TRUE(life.pass(1s));
        ASSERT_TRUE(life.stop());
        EXPECT_EQ((*life.recovered)->report.batches, 0u);
        EXPECT_LE(scene.wal_files().size(), Wal::spares_wanted);
    }
}

}  // namespace
}  // namespace kv::wal
