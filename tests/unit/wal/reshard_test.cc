/// Logs of one number of cores, written once more for another: whatever happens meanwhile, one
/// whole generation is there.

#include "engine/wal/reshard.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <deque>

#include "io/await.h"
#include "proto/base/log.h"
#include "proto/base/prng.h"
#include "tests/unit/wal/wal_harness.h"

namespace kv::wal {
namespace {

constexpr std::uint64_t group_count = 12;

std::uint32_t core_of(GroupId group, std::size_t cores) {
    return static_cast<std::uint32_t>(group.value() % cores);
}

/// What a log must hold of one group.
struct GroupLog {
    std::vector<std::string> entries;
    std::string hard_state;
    std::string mark;
    std::map<std::string, std::size_t> behind;  ///< entries before each hard state and mark
    bool operator==(const GroupLog&) const = default;
};
using Model = std::map<GroupId, GroupLog>;

class ModelSink final : public RecoverySink {
public:
    Model model;
    Status on_record(const Record& record, Lsn, SegmentSeq) override {
        GroupLog& log = model[record.group];
        const std::string payload(as_text(record.payload));
        switch (record.kind) {
            case RecordKind::entries: log.entries.push_back(payload); break;
            case RecordKind::hard_state:
                // As a group does: a state before the one that is known is damage.
                if (payload < log.hard_state) return fail(Errc::damaged, "an older hard state");
                log.hard_state = payload;
                log.behind.try_emplace(payload, log.entries.size());
                break;
            case RecordKind::snapshot_mark:
                log.mark = std::max(log.mark, payload);
                log.behind.try_emplace(payload, log.entries.size());
                break;
            case RecordKind::log_reset: return fail(Errc::corrupt);
        }
        return {};
    }
};

/// A machine with logs in generations.
struct Machine {
    explicit Machine(std::uint64_t seed) : world(seed, calm()), prng(seed) {
        log::set_level(log::Level::off);
        world.add_node(n1, {"10.0.0.1"});
        disk().make_directory(wal_directory);
    }
    io::SimDisk& disk() { return world.disk(n1); }

    WalOptions options(std::uint64_t generation, std::size_t core) const {
        WalOptions options = small_segments(segment_bytes);
        options.generation = generation;
        options.core = static_cast<std::uint32_t>(core);
        options.epoch = Epoch(boot);
        return options;
    }
    ReshardOptions reshard_options(std::uint64_t from_generation, std::size_t from,
                                   std::size_t to) const {
        ReshardOptions out;
        for (std::size_t i = 0; i < from; ++i) out.from.push_back(options(from_generation, i));
        for (std::size_t i = 0; i < to; ++i) out.to.push_back(options(from_generation + 1, i));
        out.core_of = [to](GroupId group) -> std::optional<std::uint32_t> {
            if (group.value() == 0 || group.value() > group_count) return std::nullopt;
            return core_of(group, to);
        };
        return out;
    }
    std::size_t files_of(std::uint64_t generation) {
        const auto names = disk().list(wal_directory);
        const auto of = [&](const std::string& name) {
            return name.starts_with(fmt::format("g{:04}-", generation));
        };
        return static_cast<std::size_t>(std::count_if(names.begin(), names.end(), of));
    }

    io::SimWorld world;
    Prng prng;
    Model model;
    std::uint64_t boot = 1;
    std::uint64_t counter = 0;
    std::uint64_t segment_bytes = std::uint64_t{16} << 10;
};

std::string random_text(Prng& prng, std::size_t bytes) {
    std::string text(bytes, '\0');
    for (char& c : text) c = static_cast<char>(prng.below(256));
    return text;
}

/// Writes random records to the log of one core, all of them acknowledged.
class Writer final : public WalClient {
public:
    Writer(Machine& machine, io::Reactor& reactor, WalOptions options, std::size_t cores)
        : machine_(machine), reactor_(reactor), options_(options), wal(reactor, options, *this) {
        for (std::uint64_t i = 1; i <= group_count; ++i) {
            if (core_of(GroupId(i), cores) == options.core) groups_.push_back(GroupId(i));
        }
    }

    io::Task<void> write(std::size_t records, std::size_t bytes_max, bool stop) {
        ModelSink sink;
        Result<Recovered> recovered = co_await recover(reactor_, options_, sink);
        if (!recovered) {
            ADD_FAILURE() << recovered.error().text();
            co_return;
        }
        written_ = std::move(sink.model);
        for (auto& [group, log] : written_) log.entries.clear();
        const Status opened = co_await wal.open(std::move(recovered->position));
        EXPECT_TRUE(opened.has_value());
        for (std::size_t i = 0; i < records && !groups_.empty(); ++i) {
            stage(bytes_max);
            if (machine_.prng.below(3) != 0) continue;
            wal.flush();
            co_await io::NextTurn(reactor_);
        }
        while (durable_ < staged_) {
            wal.flush();
            co_await io::SleepAwaiter(reactor_, 1ms);
        }
        if (stop) co_await wal.stop();
    }

private:
    void stage(std::size_t bytes_max) {
        Prng& prng = machine_.prng;
        const GroupId group = groups_[prng.below(groups_.size())];
        GroupLog& log = machine_.model[group];
        const std::string ascending = fmt::format("{:024}", ++machine_.counter);
        const std::uint64_t kind = prng.below(10);
        if (kind <= 1) log.behind[ascending] = log.entries.size();
        if (kind == 0) {
            log.hard_state = ascending;
            stage_state(RecordKind::hard_state, group, ascending);
        } else if (kind == 1) {
            log.mark = ascending;
            stage_state(RecordKind::snapshot_mark, group, ascending);
        } else {
            log.entries.push_back(random_text(prng, prng.between(1, bytes_max)));
            staged_ = wal.stage(RecordKind::entries, group, as_bytes(log.entries.back()));
        }
    }
    void stage_state(RecordKind kind, GroupId group, const std::string& payload) {
        staged_ = wal.stage(kind, group, as_bytes(payload));
        waiting_.push_back({staged_, {kind, group, payload, Lsn(0)}});
    }
    void on_durable(Ticket ticket) noexcept override {
        durable_ = ticket;
        for (; !waiting_.empty() && waiting_.front().first <= ticket; waiting_.pop_front()) {
            const Seen& seen = waiting_.front().second;
            GroupLog& log = written_[seen.group];
            (seen.kind == RecordKind::hard_state ? log.hard_state : log.mark) = seen.payload;
        }
    }
    void on_failed(const Error& error) noexcept override { ADD_FAILURE() << error.text(); }
    /// What is durable: newer states may wait, and follow.
    void stage_rotation() noexcept override {
        for (const GroupId group : groups_) {
            const GroupLog& log = written_[group];
            if (!log.hard_state.empty()) {
                wal.stage(RecordKind::hard_state, group, as_bytes(log.hard_state));
            }
            if (!log.mark.empty()) {
                wal.stage(RecordKind::snapshot_mark, group, as_bytes(log.mark));
            }
        }
    }

    Machine& machine_;
    io::Reactor& reactor_;
    const WalOptions options_;
    std::vector<GroupId> groups_;
    std::deque<std::pair<Ticket, Seen>> waiting_;  ///< hard states and marks, not durable yet
    Model written_;                                ///< the newest durable ones; no entries
    Ticket staged_ = 0;
    Ticket durable_ = 0;

public:
    Wal wal;
};

void write_logs(Machine& machine, std::uint64_t generation, std::size_t cores, std::size_t records,
                bool stop, std::size_t bytes_max = 3'000) {
    io::SimProcess process(machine.world, n1);
    std::vector<std::unique_ptr<Writer>> writers;
    for (std::size_t i = 0; i < cores; ++i) {
        writers.push_back(std::make_unique<Writer>(machine, process.reactor(),
                                                   machine.options(generation, i), cores));
        ASSERT_TRUE(process.run(writers.back()->write(records, bytes_max, stop)));
    }
    process.kill();
    ++machine.boot;
}

io::Task<void> read_one(io::Reactor& reactor, WalOptions options, ModelSink& sink,
                        std::string& error) {
    const Result<Recovered> recovered = co_await recover(reactor, options, sink);
    if (!recovered) error = recovered.error().text();
}

/// What the logs of `generation` hold, each group where it belongs.
Model read_logs(Machine& machine, std::uint64_t generation, std::size_t cores) {
    Model all;
    for (std::size_t i = 0; i < cores; ++i) {
        io::SimProcess process(machine.world, n1);
        ModelSink sink;
        std::string error;
        EXPECT_TRUE(
            process.run(read_one(process.reactor(), machine.options(generation, i), sink, error)));
        EXPECT_EQ(error, "");
        for (auto& [group, log] : sink.model) {
            EXPECT_EQ(core_of(group, cores), i);
            all[group] = std::move(log);
        }
    }
    return all;
}

io::Task<void> run_reshard(Resharder& resharder, std::optional<Result<Resharded>>& out) {
    Result<Resharded> result = co_await resharder.run();
    out = std::move(result);
}

Result<Resharded> reshard(Machine& machine, std::uint64_t generation, std::size_t from,
                          std::size_t to) {
    io::SimProcess process(machine.world, n1);
    Resharder resharder(process.reactor(), machine.reshard_options(generation, from, to));
    std::optional<Result<Resharded>> out;
    const bool done = process.run(run_reshard(resharder, out));
    process.kill();
    ++machine.boot;
    if (!done || !out) return fail(Errc::canceled);
    return *std::move(out);
}

io::Task<void> run_remove(io::Reactor& reactor, std::uint64_t kept) {
    const Status status = co_await remove_generations(reactor, wal_directory, kept);
    EXPECT_TRUE(status.has_value());
}

void remove_others(Machine& machine, std::uint64_t kept) {
    io::SimProcess process(machine.world, n1);
    EXPECT_TRUE(process.run(run_remove(process.reactor(), kept)));
}

TEST(Reshard, EveryGroupKeepsItsRecordsInTheirOrder) {
    const std::size_t steps[] = {1, 2, 4, 3, 1, 16, 2};
    for (std::uint64_t seed = 1; seed <= (sanitized() ? 3 : 20); ++seed) {
        Machine machine(seed);
        std::uint64_t generation = 1;
        write_logs(machine, generation, steps[0], 40, false);
        for (std::size_t i = 1; i < std::size(steps) && !testing::Test::HasFailure(); ++i) {
            SCOPED_TRACE(fmt::format("seed {}, from {} to {}", seed, steps[i - 1], steps[i]));
            const auto made = reshard(machine, generation, steps[i - 1], steps[i]);
            ASSERT_TRUE(made.has_value()) << made.error().text();
            ASSERT_EQ(made->segments.size(), steps[i]);
            ASSERT_EQ(made->reports.size(), steps[i - 1]);
            EXPECT_EQ(read_logs(machine, generation, steps[i - 1]), machine.model);
            ++generation;
            EXPECT_EQ(read_logs(machine, generation, steps[i]), machine.model);
            for (std::size_t core = 0; core < steps[i]; ++core) {
                const bool empty = std::ranges::none_of(machine.model, [&](const auto& group) {
                    return core_of(group.first, steps[i]) == core;
                });
                EXPECT_EQ(made->segments[core].value() == 0, empty);
            }
            remove_others(machine, generation);
            EXPECT_EQ(machine.files_of(generation - 1), 0u);
            EXPECT_EQ(read_logs(machine, generation, steps[i]), machine.model);
            write_logs(machine, generation, steps[i], machine.prng.below(30),
                       machine.prng.below(2) == 0);
        }
    }
}

TEST(Reshard, EmptyLogsBecomeEmptyLogs) {
    Machine machine(1);
    const auto made = reshard(machine, 1, 2, 3);
    ASSERT_TRUE(made.has_value());
    EXPECT_EQ(made->segments, std::vector<SegmentSeq>(3));
    EXPECT_TRUE(read_logs(machine, 2, 3).empty());
}

TEST(Reshard, MoreThanMayBeStagedAtOnceIsCopied) {
    Machine machine(1);
    machine.segment_bytes = std::uint64_t{256} << 10;
    write_logs(machine, 1, 1, 700, true, 100'000);
    ASSERT_GT(machine.files_of(1) * machine.segment_bytes, 2 * Resharder::staged_bytes_max);
    ASSERT_TRUE(reshard(machine, 1, 1, 3).has_value());
    EXPECT_EQ(read_logs(machine, 2, 3), machine.model);
}

TEST(Reshard, ARecordOfLargerSegmentsGetsSegmentsOfThatSize) {
    Machine machine(1);
    machine.segment_bytes = std::uint64_t{128} << 10;
    write_logs(machine, 1, 1, 30, true, 50'000);
    machine.segment_bytes = std::uint64_t{16} << 10;
    ASSERT_TRUE(reshard(machine, 1, 1, 2).has_value());
    EXPECT_EQ(read_logs(machine, 2, 2), machine.model);
}

TEST(Reshard, DamageIsRefusedAndNothingIsLeftOfTheNewLogs) {
    Machine machine(1);
    write_logs(machine, 1, 2, 40, true);
    const Model before = machine.model;
    machine.disk().flip_bit(path_of("g0001-c01-000001.wal"), 8 * 5000);
    const auto made = reshard(machine, 1, 2, 3);
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().code, Errc::damaged);
    EXPECT_NE(made.error().text().find("g0001-c01-000001.wal is damaged at offset 4096"),
              std::string::npos);
    EXPECT_EQ(machine.files_of(2), 0u);
    machine.disk().flip_bit(path_of("g0001-c01-000001.wal"), 8 * 5000);
    EXPECT_EQ(read_logs(machine, 1, 2), before);
}

TEST(Reshard, AGenerationThatIsThereAlreadyIsNotWrittenOver) {
    Machine machine(1);
    write_logs(machine, 1, 1, 20, true);
    ASSERT_TRUE(reshard(machine, 1, 1, 2).has_value());
    const auto again = reshard(machine, 1, 1, 2);
    ASSERT_FALSE(again.has_value());
    EXPECT_EQ(again.error().code, Errc::damaged);
    EXPECT_EQ(read_logs(machine, 2, 2), machine.model);
}

TEST(Reshard, AFullDiskLeavesTheOldLogs) {
    std::size_t refused = 0;
    bool made = false;
    for (std::uint64_t segments = 0; !made && segments < 100; ++segments) {
        SCOPED_TRACE(fmt::format("room for {} segments", segments));
        Machine machine(3);
        write_logs(machine, 1, 2, 60, segments % 2 == 0);
        const std::size_t files = machine.files_of(1);
        machine.disk().set_capacity(machine.disk().used_bytes() + segments * machine.segment_bytes +
                                    8192);
        const auto result = reshard(machine, 1, 2, 3);
        made = result.has_value();
        if (!made) {
            ++refused;
            ASSERT_EQ(result.error().code, Errc::no_space) << result.error().text();
            EXPECT_EQ(machine.files_of(2), 0u);
            EXPECT_EQ(machine.files_of(1), files);
        }
        EXPECT_EQ(read_logs(machine, made ? 2 : 1, made ? 3 : 2), machine.model);
    }
    EXPECT_TRUE(made);
    EXPECT_GT(refused, 10u);
}

TEST(Reshard, AFailedWriteOrSyncLeavesTheOldLogs) {
    for (const io::OpCode code : {io::OpCode::write, io::OpCode::sync, io::OpCode::rename}) {
        for (std::uint64_t skip = 0; skip < 40; skip += 3) {
            SCOPED_TRACE(fmt::format("{} {}", static_cast<int>(code), skip));
            Machine machine(5);
            write_logs(machine, 1, 2, 20, true);
            io::SimFault fault;
            fault.code = code;
            fault.path_part = "g0002";
            fault.skip = skip;
            fault.error = -EIO;
            const std::size_t number = machine.disk().add_fault(fault);
            const auto result = reshard(machine, 1, 2, 3);
            EXPECT_EQ(result.has_value(), machine.disk().fault(number).hits == 0);
            machine.disk().clear_faults();
            if (!result) {
                EXPECT_EQ(result.error().code, Errc::io);
            }
            remove_others(machine, 1);
            EXPECT_EQ(read_logs(machine, 1, 2), machine.model);
        }
    }
}

// --- crashes -------------------------------------------------------------------------------------

constexpr std::size_t cores_before = 2;
constexpr std::size_t cores_after = 3;

/// What a node does at its start, with a file that names the generation.
io::Task<void> change_cores(io::Reactor& reactor, Resharder& resharder) {
    Status status = co_await remove_generations(reactor, wal_directory, 1);
    EXPECT_TRUE(status.has_value());
    const Result<Resharded> made = co_await resharder.run();
    EXPECT_TRUE(made.has_value()) << made.error().text();
    if (!made) co_return;
    status = co_await io::replace_file(reactor, "data", "generation", "2");
    if (status) status = co_await remove_generations(reactor, wal_directory, 2);
    EXPECT_TRUE(status.has_value());
}

/// False: it crashed.
bool change(Machine& machine) {
    io::SimProcess process(machine.world, n1);
    Resharder resharder(process.reactor(), machine.reshard_options(1, cores_before, cores_after));
    const bool done = process.run(change_cores(process.reactor(), resharder));
    process.kill();
    ++machine.boot;
    return done;
}

bool is_changed(Machine& machine) {
    return machine.disk().visible("data/generation").value_or("1") == "2";
}

/// Whichever generation is the log: it is whole, and alone once the others are removed.
void check_after_crash(Machine& machine) {
    const std::uint64_t generation = is_changed(machine) ? 2 : 1;
    const std::size_t cores = generation == 2 ? cores_after : cores_before;
    remove_others(machine, generation);
    EXPECT_EQ(read_logs(machine, generation, cores), machine.model);
    EXPECT_EQ(machine.files_of(3 - generation), 0u);
}

class ReshardCrash : public testing::TestWithParam<bool> {};

TEST_P(ReshardCrash, AtEveryPointOneGenerationIsWhole) {
    const auto prepare = [](Machine& machine) {
        write_logs(machine, 1, cores_before, 14, GetParam(), 2'500);
        return machine.disk().io_points();
    };
    std::uint64_t points = 0;
    {
        Machine machine(11);
        const std::uint64_t before = prepare(machine);
        ASSERT_TRUE(change(machine));
        check_after_crash(machine);
        points = machine.disk().io_points() - before;
    }
    std::uint64_t runs = 0;
    std::uint64_t changed = 0;
    for (std::uint64_t point = 0; point < points; point += sanitized() ? 10 : 1) {
        for (const io::Crash kind : io::all_crashes) {
            SCOPED_TRACE(fmt::format("crash {} at point {}", static_cast<int>(kind), point));
            Machine machine(11);
            machine.world.crash_at(n1, prepare(machine) + point, kind);
            change(machine);
            machine.world.cancel_crash(n1);
            check_after_crash(machine);
            if (!is_changed(machine)) {
                // And it can be done again, over whatever is left.
                ASSERT_TRUE(change(machine));
                check_after_crash(machine);
            } else {
                ++changed;
            }
            ++runs;
            if (testing::Test::HasFailure()) return;
        }
    }
    fmt::print("{} points, {} runs, {} changed\n", points, runs, changed);
    EXPECT_GT(changed, 0u);
    EXPECT_LT(changed, runs);
}

INSTANTIATE_TEST_SUITE_P(StoppedCleanly, ReshardCrash, testing::Bool());

}  // namespace
}  // namespace kv::wal
