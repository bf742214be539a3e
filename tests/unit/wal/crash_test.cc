/// Power loss and kill -9 at every I/O point of scripted histories. Whatever the moment: all that
/// was acknowledged is there, nothing else is, and the log goes on.

#include <gtest/gtest.h>

#include <functional>

#include "tests/unit/wal/wal_harness.h"

namespace kv::wal {
namespace {

/// A history of one or more lives; returns early when the process dies.
using History = std::function<void(Scene&)>;

/// Turns of batches that grow, beside each other.
bool busy_turns(Life& life, int turns, std::size_t bytes) {
    for (int i = 0; i < turns; ++i) {
        for (int records = 0; records <= i % 3; ++records) life.stage(bytes);
        if (!life.turn()) return false;
    }
    return life.settle();
}

void rotations_and_a_release(Scene& scene) {
    Life life(scene);
    if (!life.start() || !busy_turns(life, 6, 1'500)) return;
    life.release_before(life.wal().current_segment());
    if (!busy_turns(life, 6, 2'000)) return;
    life.release_before(life.wal().current_segment());
    if (!busy_turns(life, 6, 3'000)) return;
    static_cast<void>(life.pass(2s));
}

void clean_stops_and_crashes(Scene& scene) {
    {
        Life life(scene);
        if (!life.start() || !busy_turns(life, 3, 700) || !life.stop()) return;
    }
    {
        Life life(scene);  // goes on in place
        if (!life.start()) return;
        for (int i = 0; i < 4; ++i) life.stage(900);
        if (!life.turn()) return;
    }
    {
        Life life(scene);  // in a new segment
        if (!life.start() || !busy_turns(life, 4, 1'200)) return;
        life.release_before(life.wal().current_segment());
        if (!busy_turns(life, 5, 2'500) || !life.stop()) return;
    }
    {
        Life life(scene);
        if (!life.start()) return;
        static_cast<void>(life.stop());
    }
}

void another_segment_size(Scene& scene) {
    {
        Life life(scene);
        if (!life.start() || !busy_turns(life, 7, 2'500)) return;
    }
    scene.options.segment_bytes = std::uint64_t{24} << 10;
    Life life(scene);
    if (!life.start() || !busy_turns(life, 2, 2'500)) return;
    life.release_before(life.wal().current_segment());
    if (!busy_turns(life, 7, 2'500)) return;
    life.release_before(life.wal().current_segment());
    static_cast<void>(busy_turns(life, 5, 3'000));
}

void release_while_the_rotation_is_written(Scene& scene) {
    {
        Life life(scene);
        if (!life.start() || !busy_turns(life, 6, 2'500)) return;
    }
    scene.options.segment_bytes = std::uint64_t{24} << 10;
    Life life(scene);
    if (!life.start()) return;
    for (int i = 0; i < 12; ++i) {
        life.stage(3'000);
        if (!life.turn()) return;
        life.release_before(life.wal().current_segment());
    }
    static_cast<void>(life.settle());
}

struct Sweep {
    std::uint64_t points = 0;
    std::uint64_t runs = 0;
};

/// After the crash: two recoveries agree, the log takes more, and that is kept, too.
void check_afterwards(Scene& scene) {
    scene.world.cancel_crash(n1);
    SeenList first;
    {
        Life life(scene);
        ASSERT_TRUE(life.recover());
        ASSERT_TRUE(life.recovered->has_value()) << life.recovered->error().text();
        ASSERT_EQ(scene.accept(life.seen), "");
        first = life.seen;
        life.crash(io::Crash::power_lose_all);
    }
    {
        Life life(scene);
        ASSERT_TRUE(life.start());
        ASSERT_EQ(life.seen, first);
        ASSERT_TRUE(life.stage_and_settle(2'000));
        life.release_before(life.wal().current_segment());
        for (int i = 0; i < 4; ++i) ASSERT_TRUE(life.stage_and_settle(3'000));
        life.crash(io::Crash::power_subset_torn);
    }
    Life life(scene);
    ASSERT_TRUE(life.start());
    ASSERT_TRUE(life.stop());
}

Sweep crash_everywhere(const History& history, const WalOptions& options) {
    Sweep sweep;
    std::uint64_t points = 0;
    {
        Scene scene(1, calm(), options);
        history(scene);
        points = scene.disk.io_points();
        EXPECT_GT(scene.acknowledged, 0u);
    }
    const std::uint64_t step = sanitized() ? 10 : 1;
    for (std::uint64_t point = 0; point < points; point += step) {
        ++sweep.points;
        for (const io::Crash kind : io::all_crashes) {
            SCOPED_TRACE("crash " + std::to_string(static_cast<int>(kind)) + " at point " +
                         std::to_string(point));
            Scene scene(1, calm(), options);
            scene.world.crash_at(n1, point, kind);
            history(scene);
            check_afterwards(scene);
            ++sweep.runs;
            if (testing::Test::HasFailure()) return sweep;
        }
    }
    return sweep;
}

struct Case {
    const char* name;
    void (*history)(Scene&);
    bool try_direct;
};
void PrintTo(const Case& c, std::ostream* out) {
    *out << c.name;
}

const Case cases[] = {
    {"RotationsAndARelease", rotations_and_a_release, true},
    {"RotationsAndAReleaseBuffered", rotations_and_a_release, false},
    {"CleanStopsAndCrashes", clean_stops_and_crashes, true},
    {"CleanStopsAndCrashesBuffered", clean_stops_and_crashes, false},
    {"AnotherSegmentSize", another_segment_size, true},
    {"ReleaseWhileTheRotationIsWritten", release_while_the_rotation_is_written, true},
};

class WalCrash : public testing::TestWithParam<Case> {};

TEST_P(WalCrash, AtEveryPointKeepsWhatWasAcknowledged) {
    WalOptions options = small_segments();
    options.try_direct = GetParam().try_direct;
    const Sweep sweep = crash_everywhere(GetParam().history, options);
    std::printf("%s: %llu points, %llu runs\n", GetParam().name,
                static_cast<unsigned long long>(sweep.points),
                static_cast<unsigned long long>(sweep.runs));
}

INSTANTIATE_TEST_SUITE_P(Histories, WalCrash, testing::ValuesIn(cases),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace kv::wal
