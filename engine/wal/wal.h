#pragma once

/// Wal: the one write-ahead log of a core, shared by its replicas. Owner core only.
///
/// Records are staged during a turn and written at its end as one batch: one contiguous,
/// block-aligned write that is durable when it completes. While a batch is in flight the next one
/// gathers; a further one starts beside it only with gather_bytes or more, and at most
/// batches_in_flight_max run at once (one, when buffered writes are synced). So batches grow with
/// load by themselves. Batches are acknowledged in the order of the log, whatever order their
/// writes complete in.
///
/// When a batch does not fit the segment, the batches in flight are drained and the log goes on in
/// a spare segment: its header and its first batch are one write, and that batch holds what the
/// client's stage_rotation() stages (the hard states of all groups), so that no segment is needed
/// for them but the newest. A batch that was acknowledged is proven to recovery by the synced_lsn
/// of a later one; an idle marker follows within idle_marker_delay, a clean-stop marker at the end.
///
/// A disk can be full only when a spare is prepared. Then writes are refused (refusal()) as long as
/// what is there would not hold them, and preparing is tried again until there is room. Any other
/// error of a write or a sync is final: on_failed() is called once, nothing is acknowledged any
/// more, and the process is to end. It is never retried: after a failed sync the disk may hold
/// anything.
///
/// The log and its spares stay within bytes_max, if there is one. The last segment that it allows
/// is kept for what clients do not write: what must be written to release others always fits.

#include <array>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "engine/wal/record.h"
#include "engine/wal/segment.h"
#include "io/event.h"
#include "io/reactor.h"
#include "proto/base/duration_classes.h"

namespace kv::wal {

struct WalOptions {
    std::string directory;
    StoreId store;
    std::uint64_t generation = 1;
    std::uint32_t core = 0;
    Epoch epoch;               ///< higher than any before: the boot counter
    SegmentSeq known_segment;  ///< the log is known to have reached it; 0: nothing is known
    std::uint64_t segment_bytes = std::uint64_t{64} << 20;
    std::uint64_t batch_bytes_max = std::uint64_t{4}
                                    << 20;  ///< a larger record gets a batch of its own
    std::uint64_t bytes_max = 0;            ///< of the log and its spares; 0: set_bytes_max()
    bool try_direct = true;                 ///< wal.sync = "fdatasync" turns direct writes off
};

/// Where the log goes on; from recovery (engine/wal/recovery.h).
struct WalPosition {
    Lsn next_lsn = Lsn(1);
    std::uint64_t previous = 0;               ///< checksum of the last batch
    SegmentSeq segment;                       ///< of the last batch; 0: the log is empty
    std::uint64_t end = 0;                    ///< where the last batch ends in that segment
    SegmentSeq next_segment = SegmentSeq(1);  ///< higher than any sequence number ever seen
    SegmentSeq first_segment;                 ///< oldest that is needed; 0: the log is empty
    bool clean = false;                       ///< the log was stopped cleanly: it goes on in place
    /// Files of the log, oldest first, and spares in the order in which they are to be used.
    struct File {
        SegmentFile file;
        SegmentSeq segment;
        std::uint64_t bytes = 0;
    };
    std::vector<File> log;
    std::vector<File> spares;
    std::uint64_t next_number = 1;
};

/// Counts the batches that were staged; a record is durable when its ticket is.
using Ticket = std::uint64_t;

class WalClient {
public:
    /// Every record with a ticket up to `ticket` is durable.
    virtual void on_durable(Ticket ticket) noexcept = 0;
    /// Before it: where the records with `ticket` are.
    virtual void on_placed(Ticket ticket, BatchPlace place) noexcept {
        static_cast<void>(ticket), static_cast<void>(place);
    }
    /// A new segment begins: stage what must not be looked for in older ones.
    virtual void stage_rotation() noexcept = 0;
    /// The log has failed; nothing is acknowledged any more.
    virtual void on_failed(const Error& error) noexcept = 0;

protected:
    ~WalClient() = default;
};

struct WalCounters {
    std::uint64_t batches = 0;
    std::uint64_t bytes = 0;
    std::uint64_t records = 0;
    std::uint64_t rotations = 0;
    std::uint64_t markers = 0;
    std::uint64_t segments_made = 0;
    std::uint64_t segments_reused = 0;
    std::uint64_t full_disk_alarms = 0;
    DurationHistogram syncs;  ///< batches, by the time from the start of the write to its sync
};

class Wal {
public:
    static constexpr std::size_t batches_in_flight_max = 4;
    static constexpr std::size_t gather_bytes = std::size_t{16} << 10;
    static constexpr std::size_t spares_wanted = 2;
    /// With less room than this in bytes_max, each record is asked for: more than one turn takes.
    static constexpr std::uint64_t watched_room_bytes = std::uint64_t{128} << 20;
    static constexpr Duration idle_marker_delay = 500ms;  ///< promised within 1 s
    static constexpr Duration no_space_retry_delay = 500ms;

    Wal(io::Reactor& reactor, WalOptions options, WalClient& client);
    ~Wal();

    /// Opens the log at `position`, prepares the first spare when there is none, and starts to keep
    /// spares ready. Errors: `no_space`, `io`.
    io::Task<Status> open(WalPosition position);

    /// Copies one record into the batch that is being gathered. The caller has asked refusal().
    Ticket stage(RecordKind kind, GroupId group, Bytes payload);
    /// Starts what may start now; called at the end of each turn.
    void flush();

    /// Why records of `bytes` more may not be staged now: `read_only`, the disk is full; `busy`,
    /// the log has reached bytes_max; `shutting_down`. Nothing: they may.
    std::optional<Errc> refusal(std::size_t bytes) const noexcept;
    /// Whether refusal() could refuse what one turn takes.
    bool constrained() const noexcept {
        return failed_ || stopping_ || no_space_ ||
               (bytes_max_ != 0 && room_within_limit() < watched_room_bytes);
    }
    /// A limit as options.bytes_max is, for those who know it only later. 0: none.
    void set_bytes_max(std::uint64_t bytes) noexcept {
        bytes_max_ = bytes;
        spares_event_.set();
    }
    /// What is staged cannot be written until a spare can be prepared.
    bool stuck() const noexcept;
    /// The largest payload that one record may have.
    std::size_t record_bytes_max() const noexcept;

    /// Releases every segment of the log before `first_kept`. They become spares once a batch that
    /// says so is durable; without other work a marker follows in the next flush().
    void release_before(SegmentSeq first_kept);
    SegmentSeq current_segment() const noexcept { return position_.segment; }
    /// The oldest segment that is there; 0: the log is empty.
    SegmentSeq first_segment() const noexcept {
        return position_.log.empty() ? SegmentSeq() : position_.log.front().segment;
    }
    /// The file that holds `segment`. Nothing: it is no part of the log any more.
    std::optional<std::string> file_of(SegmentSeq segment) const;
    StoreId store() const noexcept { return options_.store; }
    std::size_t log_segments() const noexcept { return position_.log.size(); }
    std::uint64_t log_bytes() const noexcept { return log_bytes_from(SegmentSeq(0)); }
    /// Of `first` and the segments behind it.
    std::uint64_t log_bytes_from(SegmentSeq first) const noexcept;

    /// Writes what is staged and a clean-stop marker, then closes. Nothing is staged any more.
    io::Task<void> stop();

    /// How long the oldest write has been under way.
    Duration oldest_write(Instant now) const noexcept;
    bool read_only() const noexcept { return no_space_; }
    SyncMode sync_mode() const noexcept { return mode_; }
    /// When the oldest write that is not durable yet began; nothing: none is under way.
    std::optional<Instant> oldest_write() const noexcept;
    /// Memory of all batches: gathering, on their way, and kept to be used again.
    std::size_t buffer_bytes() const noexcept;
    const WalCounters& counters() const noexcept { return counters_; }

private:
    struct Batch;
    struct Write;
    struct Spare {
        WalPosition::File file;
        io::File handle;
    };
    template <void (Wal::*on_due)()>
    struct WalTimer : io::Timer {
        explicit WalTimer(Wal& w) noexcept
            : Timer([](Timer& t) noexcept { (static_cast<WalTimer&>(t).wal.*on_due)(); }), wal(w) {}
        Wal& wal;
    };

    // Gathering and writing.
    std::unique_ptr<Batch> empty_batch();
    void append_record(RecordKind kind, GroupId group, Bytes payload);
    void close_gathering();
    void start_waiting();
    std::size_t in_flight_max() const noexcept;
    bool fits(const Batch& batch) const noexcept;
    bool room_for(std::uint64_t bytes) const noexcept;
    bool rotate();
    void begin_write(std::unique_ptr<Batch> batch, bool with_segment_header);
    static void written(io::Op& op, std::int32_t result, io::Completion completion) noexcept;
    void go_on(Write& write, std::int32_t result);
    void acknowledge();
    void fail(const Error& error);
    void queue_marker(std::uint16_t flags);
    void record_release();
    void free_released(SegmentSeq first_needed);
    void marker_due();
    io::Task<void> drain();

    // Spares.
    io::Task<void> keep_spares();
    io::Task<Status> add_spare();
    io::Task<Status> open_spare(WalPosition::File file);
    io::Task<Status> write_spare_header(const io::File* file);
    io::Task<Status> make_spare();
    io::Task<Status> choose_sync_mode();
    io::Task<void> close_file(io::File file);
    void retry_due() { spares_event_.set(); }
    std::string path_of(const SegmentFile& file) const;
    std::uint64_t staged_bytes() const noexcept;
    bool log_is_full() const noexcept;
    /// For what clients do not write: to release a segment when there is more than the newest.
    std::size_t spares_kept() const noexcept { return position_.log.size() > 1 ? 1 : 0; }
    std::uint64_t room_within_limit() const noexcept;

    io::Reactor& reactor_;
    const WalOptions options_;
    std::uint64_t bytes_max_;
    WalClient& client_;
    WalPosition position_;  ///< as of the last started write
    SyncMode mode_ = SyncMode::dsync;

    io::File current_;                 ///< the segment that is being written
    std::uint64_t current_bytes_ = 0;  ///< its size; 0: none is open, the next batch rotates
    std::deque<Spare> spares_;
    std::deque<WalPosition::File> unopened_spares_;

    std::unique_ptr<Batch> gathering_;
    std::deque<std::unique_ptr<Batch>> waiting_;    ///< closed, not started, in order
    std::deque<std::unique_ptr<Write>> in_flight_;  ///< in the order of the log
    std::vector<std::unique_ptr<Batch>> free_batches_;
    std::vector<std::unique_ptr<Write>> free_writes_;
    std::uint64_t waiting_bytes_ = 0;
    Ticket next_ticket_ = 1;  ///< of the batch that is being gathered
    Lsn durable_;             ///< acknowledged up to here
    Lsn proven_;              ///< highest synced_lsn of an acknowledged batch
    Lsn last_record_lsn_;     ///< newest started batch that is not a marker
    SegmentSeq first_kept_;   ///< what the client still needs; position_.first_segment: as written
    WalTimer<&Wal::marker_due> marker_timer_;
    WalTimer<&Wal::retry_due> retry_timer_;

    io::Event spares_event_;  ///< look whether spares are missing
    io::Event progress_;      ///< a batch was acknowledged, or the log has failed
    io::Event keeper_ended_;
    std::uint64_t closing_files_ = 0;
    bool keeper_started_ = false;
    bool no_space_ = false;
    bool failed_ = false;
    bool stopping_ = false;
    WalCounters counters_;
};

}  // namespace kv::wal
