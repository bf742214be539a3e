#pragma once

/// What the tests of the log share: a machine with a disk (Scene), one life of a process on it
/// (Life), and the model that says what recovery may and must return.
///
/// Records are numbered by their position in the log. After each recovery the model keeps what was
/// returned: the rest was never acknowledged and is void. Each segment starts with one hard state
/// of every group, which the model knows by (life, rotation).

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/wal/recovery.h"
#include "engine/wal/wal.h"
#include "io/sim/sim_process.h"

namespace kv::wal {

inline const NodeId n1(1);
inline constexpr StoreId store_one{0x0123456789abcdef, 0x1122334455667788};
inline constexpr StoreId store_two{0x0123456789abcdef, 0x1122334455667789};
inline constexpr std::uint64_t groups = 4;
inline const std::string wal_directory = "data/wal";

/// No chance events: each operation works at its first try.
io::SimKnobs calm();
/// The tests run under a sanitizer and are to do less (KV_TEST_SANITIZED).
bool sanitized();
WalOptions small_segments(std::uint64_t segment_bytes = std::uint64_t{16} << 10);
std::string path_of(std::string_view name);

/// A record of a client.
struct Written {
    std::uint64_t number = 0;
    std::uint64_t life = 0;
    std::size_t bytes = 0;
    GroupId group() const noexcept { return GroupId(1 + number % groups); }
    std::string payload() const;
    bool operator==(const Written&) const = default;
};
inline constexpr std::size_t written_bytes_min = 24;

/// A record as recovery returned it.
struct Seen {
    RecordKind kind = RecordKind::entries;
    GroupId group;
    std::string payload;
    Lsn lsn;
    bool operator==(const Seen&) const = default;
};
using SeenList = std::vector<Seen>;

class SeenSink final : public RecoverySink {
public:
    SeenList seen;
    Status on_record(const Record& record, Lsn lsn, SegmentSeq) override {
        seen.push_back({record.kind, record.group, std::string(as_text(record.payload)), lsn});
        return {};
    }
};

/// One machine, and what its log must hold.
struct Scene {
    explicit Scene(std::uint64_t seed, const io::SimKnobs& knobs = calm(),
                   WalOptions wal_options = small_segments());
    io::SimWorld world;
    WalOptions options;
    io::SimDisk& disk;

    std::vector<Written> log;
    std::size_t acknowledged = 0;  ///< the first of them; what is behind may be lost
    std::size_t released = 0;      ///< the first of them; recovery may return them or not
    std::uint64_t lives = 0;
    std::map<SegmentSeq, std::size_t> first_of_segment;  ///< position of its first record
    using HardState = std::pair<std::uint64_t, std::uint64_t>;
    std::set<HardState> hard_states;  ///< every (life, rotation) that was staged
    HardState hard_state_kept{};      ///< this one or a later one must be there

    /// Nothing when `seen` is what recovery may return; else what is wrong with it. Then the model
    /// goes on from there.
    std::string accept(const SeenList& seen);
    std::vector<std::string> wal_files() const;
};

/// One process, from boot to stop or crash.
class Life final : public WalClient, public io::TurnHook {
public:
    explicit Life(Scene& scene);
    ~Life();

    /// False: the process died on the way.
    bool recover();
    /// Recovers, checks against the model, opens. False: dead, or an expectation failed.
    bool start();
    bool open(WalPosition position);
    bool stop();

    Ticket stage(std::size_t bytes = 100);
    /// Stages unless refused. False: refused.
    bool try_stage(std::size_t bytes);
    /// One turn of the core. False: dead.
    bool turn();
    /// Until everything staged is acknowledged; false: dead, failed, or not within 10 s.
    bool settle();
    bool stage_and_settle(std::size_t bytes = 100) {
        stage(bytes);
        return settle();
    }
    bool pass(Duration time);
    void release_before(SegmentSeq first_kept);
    void crash(io::Crash kind) { process_.kill(kind); }
    bool dead() const noexcept { return process_.dead(); }

    io::Reactor& reactor() { return process_.reactor(); }
    Wal& wal() { return *wal_; }
    bool has_wal() const noexcept { return wal_ != nullptr; }

    SeenList seen;
    std::optional<Result<Recovered>> recovered;
    std::optional<Status> opened;
    std::vector<Ticket> durable;  ///< as they were reported
    std::vector<Error> failures;
    std::size_t rotations = 0;

    void on_durable(Ticket ticket) noexcept override;
    void stage_rotation() noexcept override;
    void on_failed(const Error& error) noexcept override;
    void at_turn_end() override;

private:
    io::Task<void> run_recovery();
    io::Task<void> run_open(WalPosition position);
    io::Task<void> run_stop();

    Scene& scene_;
    WalOptions options_;
    io::SimProcess process_;
    std::unique_ptr<Wal> wal_;
    std::uint64_t number_;
    std::vector<std::pair<Ticket, std::size_t>> staged_;  ///< ticket, records up to it
    std::size_t reported_ = 0;
    std::optional<std::size_t> rotated_at_;
};

/// The segment that the files hold in their first blocks, by name.
std::map<std::string, SegmentHeader> segment_headers(const Scene& scene);

}  // namespace kv::wal
