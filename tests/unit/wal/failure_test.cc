/// What the disk may do wrong while the log is written: errors, short writes, no room.

#include <gtest/gtest.h>

#include <cerrno>

#include "proto/base/prng.h"
#include "tests/unit/wal/wal_harness.h"

namespace kv::wal {
namespace {

io::SimFault fault_on(io::OpCode code, std::int32_t error, std::uint64_t skip = 0,
                      std::string part = ".wal") {
    io::SimFault fault;
    fault.code = code;
    fault.path_part = std::move(part);
    fault.skip = skip;
    fault.error = error;
    return fault;
}

std::uint64_t used_by_wal(const Scene& scene) {
    std::uint64_t bytes = 0;
    for (const std::string& path : scene.wal_files()) bytes += scene.disk.visible(path)->size();
    return bytes;
}

TEST(WalFailure, AFailedWriteIsFinalAndReportedOnce) {
    for (const std::int32_t error : {-EIO, -ENOSPC, -EROFS}) {
        Scene scene(1, calm(), small_segments(std::uint64_t{64} << 10));
        {
            Life life(scene);
            ASSERT_TRUE(life.start());
            ASSERT_TRUE(life.stage_and_settle(500));
            ASSERT_TRUE(life.pass(2s));  // no spare is being made
            scene.disk.add_fault(fault_on(io::OpCode::write, error));
            life.stage(500);
            EXPECT_FALSE(life.settle());
            ASSERT_EQ(life.failures.size(), 1u);
            EXPECT_NE(life.failures[0].text().find("write data/wal/g0001-c00-000001.wal"),
                      std::string::npos)
                << life.failures[0].text();
            const std::size_t reports = life.durable.size();
            for (int i = 0; i < 3; ++i) {
                life.stage(500);
                ASSERT_TRUE(life.turn());
            }
            ASSERT_TRUE(life.pass(5s));
            EXPECT_EQ(life.durable.size(), reports);
            EXPECT_EQ(life.failures.size(), 1u);
            EXPECT_EQ(life.wal().refusal(10), Errc::shutting_down);
            ASSERT_TRUE(life.stop());
        }
        scene.disk.clear_faults();
        Life life(scene);
        ASSERT_TRUE(life.start());
        ASSERT_TRUE(life.stage_and_settle(500));
    }
}

TEST(WalFailure, NothingIsAcknowledgedBehindAFailedWriteAlthoughItsOwnSucceeds) {
    Scene scene(1, calm(), small_segments(std::uint64_t{256} << 10));
    Life life(scene);
    ASSERT_TRUE(life.start());
    ASSERT_TRUE(life.stage_and_settle());
    ASSERT_TRUE(life.pass(2s));
    io::SimFault late = fault_on(io::OpCode::write, -EIO);
    late.stall = 50ms;
    scene.disk.add_fault(late);
    for (int i = 0; i < 3; ++i) {
        life.stage(17'000);
        ASSERT_TRUE(life.turn());
    }
    ASSERT_TRUE(life.pass(1s));
    EXPECT_EQ(life.durable.size(), 1u);
    EXPECT_EQ(life.failures.size(), 1u);
    EXPECT_EQ(scene.acknowledged, 1u);
}

TEST(WalFailure, ShortAndInterruptedWritesAreContinued) {
    for (const bool direct : {true, false}) {
        for (std::uint64_t seed = 0; seed < 30; ++seed) {
            SCOPED_TRACE(seed);
            io::SimKnobs knobs = calm();
            knobs.disk.short_per_million = 600'000;
            knobs.disk.interrupted_per_million = 300'000;
            Scene scene(seed, knobs, small_segments(std::uint64_t{64} << 10));
            scene.options.try_direct = direct;
            {
                Life life(scene);
                ASSERT_TRUE(life.start());
                for (int i = 0; i < 12; ++i) {
                    life.stage(static_cast<std::size_t>(1'000 + 2'000 * i));
                    ASSERT_TRUE(life.turn());
                }
                ASSERT_TRUE(life.settle());
                EXPECT_TRUE(life.failures.empty());
                life.crash(io::Crash::power_lose_all);
            }
            Life life(scene);
            ASSERT_TRUE(life.start());
        }
    }
}

TEST(WalFailure, AFullDiskRefusesWhatDoesNotFitAndEndsByItself) {
    Scene scene(1, calm(), small_segments(std::uint64_t{64} << 10));
    scene.disk.set_capacity(std::uint64_t{3} * (64 << 10) + 8'192);
    Life life(scene);
    ASSERT_TRUE(life.start());
    std::size_t accepted = 0;
    while (life.try_stage(3'000)) {
        ++accepted;
        ASSERT_LT(accepted, 100u);
        // What is admitted finds room, although no spare can be made.
        ASSERT_TRUE(life.settle()) << "admitted, but it does not fit";
        ASSERT_TRUE(life.pass(5ms));
    }
    EXPECT_EQ(life.wal().refusal(3'000), Errc::read_only);
    EXPECT_TRUE(life.wal().read_only());
    EXPECT_GT(accepted, 20u);
    EXPECT_EQ(life.wal().counters().full_disk_alarms, 1u);
    EXPECT_TRUE(life.failures.empty());
    ASSERT_TRUE(life.pass(10s));
    EXPECT_EQ(life.wal().counters().full_disk_alarms, 1u);
    EXPECT_FALSE(life.try_stage(3'000));
    scene.disk.set_capacity(std::uint64_t{1} << 30);
    ASSERT_TRUE(life.pass(1s));
    EXPECT_FALSE(life.wal().read_only());
    for (int i = 0; i < 40; ++i) {
        ASSERT_TRUE(life.try_stage(3'000));
        ASSERT_TRUE(life.settle());
    }
    life.crash(io::Crash::power_lose_all);
    Life next(scene);
    ASSERT_TRUE(next.start());
}

TEST(WalFailure, WhatAFullDiskAdmitsIsWrittenWhateverItsSizes) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE(seed);
        Prng prng(seed);
        Scene scene(seed, calm(), small_segments(std::uint64_t{64} << 10));
        scene.disk.set_capacity(std::uint64_t{3} * (64 << 10) + 8'192);
        Life life(scene);
        ASSERT_TRUE(life.start());
        ASSERT_TRUE(life.stage_and_settle(10'000));
        ASSERT_TRUE(life.pass(2s));
        std::size_t most = 20'000;
        while (most > 200) {
            for (std::uint64_t n = prng.between(1, 4); n > 0; --n) {
                const auto bytes = static_cast<std::size_t>(prng.between(100, most));
                if (!life.try_stage(bytes)) most = bytes / 2;
            }
            ASSERT_TRUE(life.settle()) << "admitted, but it does not fit";
            ASSERT_TRUE(life.pass(10ms));
        }
        EXPECT_TRUE(life.wal().read_only());
        // The client has let go of the older segments: they are used again.
        life.release_before(life.wal().current_segment());
        ASSERT_TRUE(life.pass(2s));
        EXPECT_TRUE(life.try_stage(3'000));
        ASSERT_TRUE(life.settle());
    }
}

TEST(WalFailure, AReleasedSegmentThatCannotBeMarkedNowIsTheNextAgain) {
    for (std::uint64_t skip = 0; skip < 6; ++skip) {
        SCOPED_TRACE(skip);
        Scene scene(1);
        {
            Life life(scene);
            ASSERT_TRUE(life.start());
            for (int i = 0; i < 10; ++i) ASSERT_TRUE(life.stage_and_settle(3'000));
            ASSERT_TRUE(life.pass(3s));
            life.release_before(life.wal().current_segment());
            ASSERT_TRUE(life.pass(10ms));
            for (int i = 0; i < 12 && life.failures.empty(); ++i) {
                if (i == 2) {
                    scene.disk.add_fault(fault_on(io::OpCode::write, -ENOSPC, skip));
                }
                if (!life.try_stage(3'000)) break;
                static_cast<void>(life.settle());
                static_cast<void>(life.pass(2s));
            }
            life.crash(io::Crash::power_lose_all);
        }
        scene.disk.clear_faults();
        Life life(scene);
        ASSERT_TRUE(life.start());
    }
}

TEST(WalFailure, AFullDiskAtTheStartIsAClearError) {
    Scene scene(1);
    scene.disk.set_capacity(10'000);
    Life life(scene);
    EXPECT_FALSE(life.start());
    ASSERT_TRUE(life.opened.has_value());
    ASSERT_FALSE(life.opened->has_value());
    EXPECT_EQ(life.opened->error().code, Errc::no_space);
    EXPECT_NE(life.opened->error().text().find("data/wal/g0001-c00-000001.wal"), std::string::npos)
        << life.opened->error().text();
    EXPECT_EQ(scene.disk.used_bytes(), 0u) << "what was begun is removed";
}

TEST(WalFailure, AFileSystemWithoutDirectOrSyncedWritesIsUsedAndADiskThatFailsIsNot) {
    for (const io::OpCode code : {io::OpCode::open, io::OpCode::write}) {
        for (const std::int32_t error : {-EINVAL, -EOPNOTSUPP, -ENOSPC, -EIO}) {
            SCOPED_TRACE(error);
            Scene scene(1, calm(), small_segments(std::uint64_t{64} << 10));
            io::SimFault fault = fault_on(code, error);
            fault.path_part = "probe";
            scene.disk.add_fault(fault);
            Life life(scene);
            ASSERT_EQ(life.start(), error != -EIO);
            if (error == -EIO) {
                EXPECT_NE(life.opened->error().text().find("data/wal/probe-c00.tmp"),
                          std::string::npos)
                    << life.opened->error().text();
                continue;
            }
            // A full disk is no reason not to start; that it opens the file is proof enough.
            const bool direct = error == -ENOSPC && code == io::OpCode::write;
            EXPECT_EQ(life.wal().sync_mode(), direct ? SyncMode::dsync : SyncMode::fdatasync);
            ASSERT_TRUE(life.stage_and_settle(900));
            ASSERT_TRUE(life.stop());
        }
    }
}

TEST(WalFailure, BuffersAreSyncedOnlyWhenTheirWriteHasCompleted) {
    Scene scene(1, calm(), small_segments(std::uint64_t{64} << 10));
    scene.options.try_direct = false;
    {
        Life life(scene);
        ASSERT_TRUE(life.start());
        EXPECT_EQ(life.wal().sync_mode(), SyncMode::fdatasync);
        ASSERT_TRUE(life.stage_and_settle(900));
        ASSERT_TRUE(life.pass(2s));
        const auto slow_write = [] {
            io::SimFault fault = fault_on(io::OpCode::write, 0);
            fault.stall = 100ms;
            return fault;
        }();
        const std::size_t write = scene.disk.add_fault(slow_write);
        const std::size_t sync = scene.disk.add_fault(fault_on(io::OpCode::sync, 0));
        life.stage(900);
        ASSERT_TRUE(life.turn());
        ASSERT_TRUE(life.pass(50ms));
        EXPECT_EQ(scene.disk.fault(write).hits, 1u);
        EXPECT_EQ(scene.disk.fault(sync).hits, 0u);
        EXPECT_EQ(scene.acknowledged, 1u);
        ASSERT_TRUE(life.settle());
        EXPECT_EQ(scene.disk.fault(sync).hits, 1u);
        life.crash(io::Crash::power_lose_all);
    }
    Life life(scene);
    ASSERT_TRUE(life.start());
}

TEST(WalFailure, AFailedSyncIsFinalAndTakesNothingAcknowledgedWithIt) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        for (std::uint64_t skip = 0; skip < 3; ++skip) {
            SCOPED_TRACE(std::to_string(seed) + " " + std::to_string(skip));
            io::SimKnobs knobs = calm();
            knobs.core.turn = {2ms, 10ms};  // several completions a turn, in any order
            Scene scene(seed, knobs, small_segments(std::uint64_t{256} << 10));
            scene.options.try_direct = false;
            {
                Life life(scene);
                ASSERT_TRUE(life.start());
                ASSERT_TRUE(life.stage_and_settle(900));
                ASSERT_TRUE(life.pass(2s));
                scene.disk.add_fault(fault_on(io::OpCode::sync, -EIO, skip));
                for (int i = 0; i < 4; ++i) {
                    life.stage(17'000);
                    ASSERT_TRUE(life.turn());
                }
                ASSERT_TRUE(life.pass(2s));
                EXPECT_EQ(life.failures.size(), 1u);
                life.crash(io::Crash::power_lose_all);
            }
            scene.disk.clear_faults();
            Life life(scene);
            ASSERT_TRUE(life.start());
        }
    }
}

TEST(WalFailure, ATailWhoseSyncFailedIsMadeDurableBeforeItIsTrusted) {
    Scene scene(3, calm(), small_segments(std::uint64_t{64} << 10));
    scene.options.try_direct = false;
    {
        Life life(scene);
        ASSERT_TRUE(life.start());
        ASSERT_TRUE(life.stage_and_settle(900));
        ASSERT_TRUE(life.pass(2s));
        scene.disk.add_fault(fault_on(io::OpCode::sync, -EIO));
        life.stage(900);
        EXPECT_FALSE(life.settle());
    }
    scene.disk.clear_faults();
    {
        Life life(scene);  // finds the tail in the page cache, clean but on no disk
        ASSERT_TRUE(life.start());
        EXPECT_EQ(scene.log.size(), 2u);
        ASSERT_TRUE(life.stage_and_settle(900));
        life.crash(io::Crash::power_lose_all);
    }
    Life life(scene);
    ASSERT_TRUE(life.start());
    EXPECT_EQ(scene.log.size(), 3u);
}

TEST(WalFailure, ALogAtItsLimitIsBusyUntilSegmentsAreReleased) {
    Scene scene(1);
    scene.options.bytes_max = 6 * scene.options.segment_bytes;
    Life life(scene);
    ASSERT_TRUE(life.start());
    int accepted = 0;
    while (life.try_stage(3'000)) {
        ASSERT_LT(++accepted, 100);
        ASSERT_TRUE(life.settle()) << "admitted, but it does not fit";
        ASSERT_TRUE(life.pass(5ms));
        ASSERT_LE(used_by_wal(scene), scene.options.bytes_max);
    }
    EXPECT_EQ(life.wal().refusal(3'000), Errc::log_full);
    EXPECT_GT(accepted, 5);
    EXPECT_FALSE(life.wal().read_only());
    ASSERT_TRUE(life.pass(10s));
    EXPECT_FALSE(life.try_stage(3'000));
    life.release_before(life.wal().current_segment());
    ASSERT_TRUE(life.pass(1s));
    EXPECT_TRUE(life.try_stage(3'000));
    ASSERT_TRUE(life.settle());
    EXPECT_LE(used_by_wal(scene), scene.options.bytes_max);
}

}  // namespace
}  // namespace kv::wal
