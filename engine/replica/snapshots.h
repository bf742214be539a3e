#pragma once

/// Snapshots of the groups of one core: takes them when retention.h says so, marks them in the log,
/// and lets go what they make needless; at start, loads the newest of each group. Owner core only;
/// a part of the ReplicaSet.
///
/// The order that is safe at any moment: the file and its name are durable -> the mark is staged ->
/// the mark is durable -> older snapshots of the group are removed, segments are released. A
/// snapshot that was not marked when the process ended is loaded all the same: its file is whole,
/// and the log behind it is there. Each new segment repeats the marks of all groups, so that
/// recovery always knows which snapshot the log relies on, and refuses to start without it.
///
/// Besides groups that are due, those that pin the oldest segment of a log that has grown to half
/// its limit are taken, whatever they have written: an idle group never pins the log. Their marks
/// are written together, so that a full log has room for them (Wal keeps one segment).
///
/// Due or not, a group waits with its snapshot while a follower needs the log behind the last one:
/// while that is being sent, and until the follower has read on from there (waits()). Else it would
/// have to be installed again, and again. The log may grow beyond half its limit for that, but not
/// to its limit, and not for ever.
///
/// A snapshot that cannot be written changes nothing; it is tried again later, less and less often.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/replica/placement.h"
#include "engine/replica/replica.h"
#include "engine/replica/retention.h"
#include "engine/snapshot/writer.h"
#include "engine/wal/wal.h"
#include "io/event.h"
#include "io/timer.h"

namespace kv {

/// One snapshot at a time on a node: whoever begins one asks for it, and gives it back.
class SnapshotPermit {
public:
    virtual io::Task<void> take() = 0;
    virtual void give() = 0;

protected:
    ~SnapshotPermit() = default;
};

struct SnapshotOptions {
    std::string directory;  ///< shared by all cores of the node; exists
    StoreId store;
    Retention::Limits limits;
    std::uint64_t segment_bytes = 0;  ///< as the log's
    std::uint64_t log_bytes_max = 0;  ///< as the log's; 0: derived, see Snapshots::log_limit()
    std::size_t saved_bytes_max = StoreCut::saved_bytes_default;
    SnapshotPermit* permit = nullptr;  ///< null: this core is the only one
};

/// How far loading has come; for whoever waits for a node to start.
struct LoadProgress {
    std::uint64_t bytes_total = 0;  ///< of snapshots
    std::uint64_t bytes_done = 0;
    std::uint64_t shards = 0;           ///< loaded from a snapshot
    std::uint64_t keys = 0;             ///< in them
    std::uint64_t log_bytes = 0;        ///< of entries read behind the snapshots
    std::uint64_t log_files_total = 0;  ///< bytes; 0: not known yet
    std::uint64_t log_files_done = 0;
};

/// What operators want to know.
struct SnapshotFacts {
    struct Shard {
        Index index;                 ///< of the last entry in the newest snapshot; 0: there is none
        std::uint64_t keys = 0;      ///< in it
        std::uint64_t bytes = 0;     ///< of the file
        std::uint64_t taken_ms = 0;  ///< wall clock; of one that was loaded: its last entry's time
        std::uint64_t log_bytes = 0;  ///< of entries since
    };
    std::vector<Shard> shards;  ///< by number, also those of other cores
    std::optional<ShardId> running;
    std::size_t asked = 0;       ///< shards that are still to be taken because of ask_all()
    std::uint64_t saved_ms = 0;  ///< wall clock: all shards were in snapshots, as asked
    std::uint64_t completed = 0;
    std::uint64_t given_up = 0;  ///< too much changed meanwhile; tried again
    std::uint64_t failures = 0;
    std::string last_error;  ///< empty: the last one was fine
    Duration last_duration{};
    std::uint64_t log_limit = 0;  ///< bytes that log and spares may take
};

class Snapshots {
public:
    static constexpr Duration retry_first = 100ms;
    static constexpr Duration retry_max = 30s;
    /// Frames per turn, when cuts were broken before.
    static constexpr std::size_t pace_max = 8;
    /// How an old file is given back: bytes at a time, and the pause between.
    static constexpr std::uint32_t free_step = std::uint32_t{4} << 20;
    static constexpr Duration free_pause = 20ms;
    /// How long the log is kept for followers, at most.
    static constexpr Duration wait_max = 30min;

    /// `replicas` is by shard; null: it lives on another core.
    Snapshots(io::Reactor& reactor, SnapshotOptions options, const Placement& placement,
              wal::Wal& log, const std::vector<std::unique_ptr<Replica>>& replicas);
    ~Snapshots();

    // Start, in this order.
    /// Loads the newest snapshot of each group. Errors: `damaged`, `foreign`, `io`.
    io::Task<Status> load();
    void note_log_read(std::uint64_t bytes_done, std::uint64_t bytes_total) noexcept {
        progress_.log_files_done = bytes_done;
        progress_.log_files_total = bytes_total;
    }
    /// What recovery finds in the log.
    Status recovered_mark(ShardId shard, Bytes payload);
    void recovered_entry(ShardId shard, const Entry& entry, SegmentSeq segment);
    /// An entry does not join what is there. The first one of a group in the log may lie before the
    /// mark that names the snapshot which is missing: then recovered() will say which.
    Status entry_refused(ShardId shard, const Error& error);
    /// The log relies on a snapshot of `shard` that was not loaded: recovered() will say so.
    bool missing(ShardId shard) const noexcept {
        const Shard& state = shards_[shard.value()];
        return state.missing.value() != 0 || state.refused.has_value();
    }
    /// Removes what the log does not rely on any more, and sets the limit of the log. Error:
    /// `damaged`, a snapshot that the log relies on is not there.
    io::Task<Status> recovered();
    /// The log is open: takes snapshots from now on.
    void start();
    /// Gives up what is being written, and returns when nothing is left to wait for.
    io::Task<void> stop();

    /// Takes a snapshot of every group of this core, whatever is due. False: that is under way.
    /// Groups that have not changed since their last one need no other.
    bool ask_all();

    // Transfers between nodes.
    struct File {
        std::string path;
        LogPosition position;
    };
    /// The newest file of `shard` that the log goes on from; nothing: there is none.
    std::optional<File> newest(ShardId shard) const;
    /// Takes one of `shard` soon.
    void ask(ShardId shard);
    /// newest() cannot be read back: it is not offered any more, and another one is taken.
    void distrust(ShardId shard, Index index);
    /// Whether so much was written since newest() that another one is worth its while, before a
    /// long transfer begins that the log has to be kept for.
    bool stale(ShardId shard) const;
    /// One of `shard` was asked for, and newest() is not that one yet.
    bool on_its_way(ShardId shard) const;
    /// How often one has come to nothing, for whatever reason.
    std::uint64_t setbacks() const noexcept { return facts_.failures + facts_.given_up; }
    /// Whether the log is getting so long that a transfer may end when what follows is gone.
    bool urgent() const;
    /// The file of `shard` at `index` is being sent: it stays as it is, and the log behind it stays
    /// as long as the log is not too long.
    void hold(ShardId shard, Index index);
    /// It is sent, or not: the log is kept for another `rest`. See waits().
    void let_go(ShardId shard, Duration rest);
    std::string final_path(ShardId shard, Index index) const { return path_of(shard, index); }
    /// Where one that arrives is written; a start removes it.
    std::string arriving_path(ShardId shard, Index index) const;
    const SnapshotOptions& options() const noexcept { return options_; }
    /// Whether files are written directly.
    bool direct() const noexcept { return log_.sync_mode() == wal::SyncMode::dsync; }
    std::string slots(ShardId shard) const { return slots_of(shard); }
    bool has_file(ShardId shard, Index index) const;
    /// The state of `shard` is that of a file that arrived and is durable under its name. Stages
    /// its mark: whoever calls stages what else belongs to it in the same turn.
    void installed(ShardId shard, const snapshot::Head& head, std::uint64_t bytes);

    // The log goes on.
    /// All entries of `shard` so far are void; also at recovery.
    void log_reset(ShardId shard) { retention_.reset(shard); }
    void entry_durable(ShardId shard, Index index, std::uint64_t bytes);
    void on_durable(wal::Ticket ticket);
    /// Stages the marks of all groups: a new segment begins.
    void on_rotation();
    /// Nothing becomes durable any more.
    void on_failed();

    /// What the log and its spares may take when options.log_bytes_max does not say: 16 segments or
    /// four times the bytes between two snapshots of a group, and twice the data.
    std::uint64_t log_limit() const;
    const LoadProgress& progress() const noexcept { return progress_; }
    SnapshotFacts facts() const;

private:
    class Loader;
    class CutSource;
    /// Of one group.
    struct Shard {
        std::vector<Index> files;  ///< snapshots in the directory, ascending
        Index loaded;              ///< what the store was loaded from; 0: nothing
        Term loaded_term;
        Index marked;  ///< what the log relies on; 0: nothing
        Term marked_term;
        Index missing;                       ///< marked and not there; 0: nothing
        Index distrusted;                    ///< its file is there and cannot be read back; 0: none
        Index sending;                       ///< its file is being sent; 0: none is
        Instant held_until{};                ///< a transfer goes on soon, or is answered
        std::optional<Instant> waits_since;  ///< see waits()
        bool joined = false;                 ///< an entry of the log was recovered
        std::optional<Error> refused;        ///< why the first one was not
        SnapshotFacts::Shard facts;
    };
    struct Taken {
        ShardId shard;
        Index index;
        Term term;
        wal::Ticket ticket = 0;  ///< of its mark; 0: to be staged
    };
    struct RetryTimer : io::Timer {
        explicit RetryTimer(io::Event& e) noexcept
            : Timer([](Timer& t) noexcept { static_cast<RetryTimer&>(t).event.set(); }), event(e) {}
        io::Event& event;
    };

    Replica& replica(ShardId shard) const noexcept { return *replicas_[shard.value()]; }
    std::string path_of(ShardId shard, Index number) const;
    std::string slots_of(ShardId shard) const;
    io::Task<Status> look_at_directory();
    io::Task<Status> load_shard(ShardId shard);
    io::Task<void> remove_older(ShardId shard, Index than);
    io::Task<Status> remove_gently(std::string path);

    std::uint64_t log_bytes_needed() const;
    bool pressed() const;
    bool overdue() const;
    bool reads_back(ShardId shard) const;
    bool waits(ShardId shard);
    std::vector<ShardId> choose();
    io::Task<void> run();
    bool has_changed(ShardId shard) const;
    void end_asked(ShardId shard);
    void note_saved();
    io::Task<void> take_all(std::vector<ShardId> shards);
    io::Task<void> take(ShardId shard);
    io::Task<Result<snapshot::Written>> write(ShardId shard);
    io::Task<void> mark_taken();
    wal::Ticket stage_mark(ShardId shard);
    void failed(ShardId shard, const Error& error);
    bool ending() const noexcept { return stopping_ || failed_; }

    io::Reactor& reactor_;
    const SnapshotOptions options_;
    const Placement& placement_;
    wal::Wal& log_;
    const std::vector<std::unique_ptr<Replica>>& replicas_;
    Retention retention_;
    std::vector<Shard> shards_;
    std::unique_ptr<StoreCut> cut_;  ///< being written; here so that it goes before its store
    std::vector<ShardId> asked_;     ///< by ask_all(), not taken yet
    std::vector<Taken> taken_;       ///< durable and not marked yet
    std::vector<ShardId> left_;      ///< with a file that was being sent when it became needless
    io::Event wake_;                 ///< there may be something to do
    io::Event ended_;
    RetryTimer retry_timer_;
    Duration retry_delay_{};  ///< after the next failure; 0: the last one was fine
    std::size_t pace_ = 0;    ///< frames per turn; 0: with pauses
    std::uint64_t highest_limit_ = 0;
    wal::Ticket durable_ = 0;
    bool alarmed_ = false;  ///< said that the disk is full
    bool started_ = false;
    bool stopping_ = false;
    bool failed_ = false;
    LoadProgress progress_;
    SnapshotFacts facts_;  ///< shards are in shards_
};

}  // namespace kv
