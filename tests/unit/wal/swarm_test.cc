/// Seeded random histories of several lives, and recovery of random files. A failure prints its
/// seed.

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>

#include "proto/base/checksum.h"
#include "proto/base/prng.h"
#include "tests/unit/wal/wal_harness.h"

namespace kv::wal {
namespace {

constexpr std::uint64_t lives_per_seed = 8;

/// Each seed has a mix of its own: some things happen often, others never.
io::SimKnobs swarm_knobs(Prng& prng) {
    io::SimKnobs knobs = calm();
    if (prng.below(2) == 0) knobs.disk.short_per_million = 300'000;
    if (prng.below(2) == 0) knobs.disk.interrupted_per_million = 200'000;
    if (prng.below(2) == 0) knobs.disk.tail_per_million = 100'000;
    if (prng.below(3) == 0) knobs.disk.write = {1ms, 50ms};
    if (prng.below(3) == 0) knobs.disk.name = {1ms, 50ms};
    if (prng.below(3) == 0) knobs.disk.sync = {1ms, 100ms};
    if (prng.below(3) == 0) knobs.core.turn = {1ms, 10ms};
    return knobs;
}

void add_faults(Scene& scene, Prng& prng) {
    scene.disk.clear_faults();
    for (std::uint64_t n = prng.below(4); n > 0; --n) {
        io::SimFault stall;
        stall.code = prng.below(3) == 0 ? io::OpCode::sync : io::OpCode::write;
        stall.path_part = ".wal";
        stall.skip = prng.below(30);
        stall.stall = Duration(1ms) * static_cast<int>(prng.between(1, 800));
        scene.disk.add_fault(stall);
    }
    if (prng.below(6) == 0) {
        io::SimFault error;
        error.code = prng.below(2) == 0 ? io::OpCode::sync : io::OpCode::write;
        error.path_part = ".wal";
        error.skip = prng.below(40);
        error.error = prng.below(2) == 0 ? -EIO : -ENOSPC;
        scene.disk.add_fault(error);
    }
}

struct Totals {
    std::uint64_t lives = 0;
    std::uint64_t records = 0;
    std::uint64_t crashes = 0;
    std::uint64_t failures = 0;
    std::uint64_t rotations = 0;
};

/// What one life does once it is open, until it stops, crashes or has had enough.
void live(Life& life, Prng& prng) {
    const std::size_t largest = prng.below(2) == 0 ? 300 : life.wal().record_bytes_max();
    for (std::uint64_t turn = prng.between(1, 40); turn > 0 && !life.dead(); --turn) {
        for (std::uint64_t n = prng.below(5); n > 0; --n) {
            static_cast<void>(life.try_stage(prng.between(written_bytes_min, largest)));
        }
        switch (prng.below(8)) {
            case 0: static_cast<void>(life.settle()); break;
            case 1:
                static_cast<void>(life.pass(Duration(1ms) * static_cast<int>(prng.below(1'500))));
                break;
            case 2: life.release_before(life.wal().current_segment()); [[fallthrough]];
            default: static_cast<void>(life.turn()); break;
        }
        if (!life.failures.empty()) break;
    }
    if (life.dead()) return;
    const std::uint64_t end = prng.below(8);
    if (end < 3 && life.failures.empty()) {
        static_cast<void>(life.stop());
    } else {
        life.crash(io::all_crashes[prng.below(io::all_crashes.size())]);
    }
}

void run_seed(std::uint64_t seed, Totals& totals) {
    Prng prng = Prng::split(seed, "wal.swarm");
    const io::SimKnobs knobs = swarm_knobs(prng);
    WalOptions options = small_segments(io::block_bytes * prng.between(4, 12));
    options.try_direct = prng.below(3) != 0;
    if (prng.below(4) == 0) options.bytes_max = options.segment_bytes * prng.between(5, 10);
    Scene scene(seed, knobs, options);
    const bool sizes_change = prng.below(4) == 0;
    const bool disk_fills = prng.below(4) == 0;
    for (std::uint64_t number = 0; number < lives_per_seed; ++number) {
        ++totals.lives;
        if (sizes_change) scene.options.segment_bytes = io::block_bytes * prng.between(4, 12);
        scene.disk.set_capacity(disk_fills && prng.below(2) == 0
                                    ? scene.options.segment_bytes * prng.between(3, 8)
                                    : std::uint64_t{1} << 40);
        scene.disk.clear_faults();
        const bool planned = prng.below(2) == 0;
        if (planned) {
            scene.world.crash_at(n1, scene.disk.io_points() + prng.below(300),
                                 io::all_crashes[prng.below(io::all_crashes.size())]);
        }
        Life life(scene);
        if (life.start()) {
            add_faults(scene, prng);
            live(life, prng);
        } else {
            const bool full = life.opened && !*life.opened &&
                              life.opened->error().code == Errc::no_space && disk_fills;
            ASSERT_TRUE(life.dead() || full);
        }
        scene.world.cancel_crash(n1);
        totals.crashes += life.dead() ? 1 : 0;
        totals.failures += life.failures.size();
        totals.rotations += life.rotations;
        ASSERT_FALSE(testing::Test::HasFailure());
    }
    scene.disk.clear_faults();
    scene.disk.set_capacity(std::uint64_t{1} << 40);
    scene.options.bytes_max = 0;
    {
        Life life(scene);
        ASSERT_TRUE(life.start());
        ASSERT_TRUE(life.stage_and_settle());
        ASSERT_TRUE(life.stop());
    }
    Life life(scene);
    ASSERT_TRUE(life.start());
    totals.records += scene.log.size();
}

TEST(WalSwarm, NoHistoryLosesOrInventsARecord) {
    Totals totals;
    const std::uint64_t seeds = sanitized() ? 300 : 1'000;
    std::vector<std::uint64_t> all = {411, 15'153};  // found something once
    for (std::uint64_t seed = 0; seed < seeds; ++seed) all.push_back(seed);
    for (const std::uint64_t seed : all) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        ASSERT_NO_FATAL_FAILURE(run_seed(seed, totals));
    }
    std::printf(
        "swarm: %llu seeds, %llu lives, %llu crashes, %llu failures, %llu rotations, "
        "%llu records\n",
        static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(totals.lives),
        static_cast<unsigned long long>(totals.crashes),
        static_cast<unsigned long long>(totals.failures),
        static_cast<unsigned long long>(totals.rotations),
        static_cast<unsigned long long>(totals.records));
    EXPECT_GT(totals.rotations, seeds);
}

// Files as hostile input.

std::string random_bytes(Prng& prng, std::size_t bytes) {
    std::string out(bytes, '\0');
    for (char& c : out) c = static_cast<char>(prng.next());
    return out;
}

/// Several mutations of several kinds; what they leave has rarely a good checksum.
void mutate(std::string& content, Prng& prng, const std::string& other) {
    for (std::uint64_t n = prng.between(1, 4); n > 0; --n) {
        const std::size_t at = content.empty() ? 0 : prng.below(content.size());
        switch (prng.below(6)) {
            case 0: content.resize(prng.below(40'000)); break;
            case 1: content.insert(at, random_bytes(prng, prng.below(5'000))); break;
            case 2: content.erase(at, prng.below(9'000)); break;
            case 3:
                for (std::size_t i = at; i < std::min(content.size(), at + 64); ++i) {
                    content[i] = static_cast<char>(prng.next());
                }
                break;
            case 4: {
                const std::size_t to = at / io::block_bytes * io::block_bytes;
                const std::size_t from =
                    other.empty() ? 0
                                  : prng.below(other.size()) / io::block_bytes * io::block_bytes;
                const std::string piece = other.substr(from, io::block_bytes);
                if (to + piece.size() <= content.size()) content.replace(to, piece.size(), piece);
                break;
            }
            default:
                if (!content.empty()) content[at] ^= static_cast<char>(1 << prng.below(8));
                break;
        }
    }
}

/// Gives changed headers good checksums, so that the checks behind those are reached, too.
void reseal(std::string& content, Prng& prng) {
    if (content.size() < segment_header_bytes) return;
    const std::uint64_t store = mix_seed(store_one.high, store_one.low);
    const auto block = as_bytes(content).first(segment_header_bytes);
    const auto segment = load_le<std::uint64_t>(content.data() + 40);
    if (prng.below(2) == 0) {
        store_le<std::uint64_t>(content.data() + 4'088,
                                checksum(block.first(4'088), mix_seed(store, segment)));
    }
    for (std::size_t at = segment_header_bytes; at + batch_header_bytes <= content.size();
         at += io::block_bytes) {
        const std::uint64_t seed =
            mix_seed(store, mix_seed(load_le<std::uint64_t>(content.data() + at + 24), at));
        if (prng.below(4) == 0) {
            // A field of any value.
            const std::size_t field = 8 * prng.between(3, 10);
            store_le<std::uint64_t>(content.data() + at + field,
                                    prng.below(2) == 0 ? prng.below(20) : prng.next());
        }
        store_le<std::uint64_t>(content.data() + at + 88,
                                checksum(as_bytes(content).subspan(at, 88), seed));
    }
}

TEST(WalSwarm, RecoveryOfRandomFilesReturnsNothingThatWasNotWritten) {
    Scene scene(1);
    {
        Life life(scene);
        ASSERT_TRUE(life.start());
        for (int i = 0; i < 6; ++i) ASSERT_TRUE(life.stage_and_settle(2'500));
        life.release_before(life.wal().current_segment());
        for (int i = 0; i < 6; ++i) ASSERT_TRUE(life.stage_and_settle(2'500));
        ASSERT_TRUE(life.pass(2s));
    }
    std::map<std::string, std::string> originals;
    for (const std::string& path : scene.wal_files()) originals[path] = *scene.disk.visible(path);
    std::set<std::string> written;
    for (const Written& record : scene.log) written.insert(record.payload());

    Life reader(scene);
    std::uint64_t refused = 0;
    std::uint64_t accepted = 0;
    std::uint64_t records = 0;
    const std::uint64_t cases = sanitized() ? 2'100 : 6'000;
    for (std::uint64_t seed = 0; seed < cases; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Prng prng = Prng::split(seed, "wal.files");
        const bool resealed = seed % 3 == 2;
        for (const auto& [path, content] : originals) {
            std::string changed = content;
            const std::string& other =
                std::next(originals.begin(),
                          static_cast<std::ptrdiff_t>(prng.below(originals.size())))
                    ->second;
            switch (prng.below(resealed ? 3 : 8)) {
                case 0: mutate(changed, prng, other); break;
                case 3: changed = random_bytes(prng, prng.below(20'000)); break;
                case 4: changed = other; break;
                default: break;
            }
            if (resealed) reseal(changed, prng);
            scene.disk.put(path, changed);
        }
        ASSERT_TRUE(reader.recover());
        if (!*reader.recovered) {
            ++refused;
            const Errc code = reader.recovered->error().code;
            EXPECT_TRUE(code == Errc::damaged || code == Errc::foreign);
        } else {
            ++accepted;
        }
        // Even when it fails in the end: what it returned was written, whole and in order. With
        // forged checksums only the payloads are still protected.
        std::uint64_t last = 0;
        for (const Seen& record : reader.seen) {
            if (record.kind != RecordKind::entries) continue;
            ++records;
            ASSERT_TRUE(written.contains(record.payload));
            const auto number = load_le<std::uint64_t>(record.payload.data());
            if (!resealed && last != 0) {
                ASSERT_EQ(number, last + 1);
            }
            last = number;
        }
    }
    std::printf("random files: %llu cases: %llu refused, %llu accepted, %llu records returned\n",
                static_cast<unsigned long long>(cases), static_cast<unsigned long long>(refused),
                static_cast<unsigned long long>(accepted),
                static_cast<unsigned long long>(records));
    EXPECT_GT(accepted, 100u);
    EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace kv::wal
