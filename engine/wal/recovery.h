#pragma once

/// Recovery: reads the WAL of one core at start, hands every record that was durable to a sink, in
/// order, and says where the log goes on. Files are hostile input: nothing they hold can do more
/// than make recovery fail with a file and an offset.
///
/// The log is the chain of segments, each naming its predecessor and where that ends. At each
/// position one batch is expected: number, chain and epoch are known beforehand. It is `valid` when
/// its checksums hold and it is that one. When it is not, there are two explanations: a write that
/// was never acknowledged did not reach the disk whole (a torn tail, to be cut), or data that was
/// acknowledged has been damaged (to be refused). A later batch tells them apart, for each says how
/// far the log was durable when it was made: `proof` is a batch header, anywhere behind this
/// position, with a synced_lsn at or beyond the expected number. And a successor segment is only
/// begun when all of its predecessor is durable.
///
///     at recorded end   the successor's header says that this segment ends here
///     successor         a later segment of the chain exists
///
///     at recorded end | successor | valid | proof | verdict
///     ----------------+-----------+-------+-------+------------------------------------------
///           -         |     -     |  yes  |  any  | accept
///           -         |     -     |   -   |   -   | torn: end of the log, cut here
///           -         |     -     |   -   |  yes  | damaged
///           -         |    yes    |  yes  |  any  | accept
///           -         |    yes    |   -   |  any  | damaged
///          yes        |    any    |  any  |  any  | next segment: what lies here is void
///
/// The newest segment is looked at first: its header and its batches name the oldest segment that
/// is needed. Should that be missing, the log is damaged; what is older is no part of the log.
///
/// What no later batch proves may be in the page cache alone, clean, because a sync of it failed. A
/// new sync would not write it: it is written once more, the same bytes in the same place, and
/// synced, before anybody hears that it was recovered.
///
/// What was cut is void for ever: the log goes on in a new segment, whose header records the end of
/// its predecessor. Only behind a clean-stop marker does it go on in place.

#include <functional>
#include <string>

#include "engine/wal/record.h"
#include "engine/wal/wal.h"

namespace kv::wal {

/// What is known at one position of the log; see the table above.
struct PositionFacts {
    bool at_recorded_end = false;
    bool successor = false;
    bool valid = false;
    bool proof = false;
};

enum class Verdict : std::uint8_t { accept, torn, damaged, next_segment };
Verdict decide(const PositionFacts& facts) noexcept;

/// Takes the records of accepted batches. An error ends recovery.
class RecoverySink {
public:
    /// Before each file of the log and after the last: those so far, and all, in bytes.
    virtual void on_progress(std::uint64_t bytes_done, std::uint64_t bytes_total) {
        static_cast<void>(bytes_done), static_cast<void>(bytes_total);
    }
    /// Before the records of a batch.
    virtual void on_batch(BatchPlace place) { static_cast<void>(place); }
    /// `segment` holds the record.
    virtual Status on_record(const Record& record, Lsn lsn, SegmentSeq segment) = 0;
    /// Asked between batches: while it is so, recovery waits for make_room() before it reads on.
    virtual bool full() const noexcept { return false; }
    virtual io::Task<Status> make_room() { co_return Status{}; }

protected:
    ~RecoverySink() = default;
};

struct RecoveryReport {
    std::uint64_t segments = 0;
    std::uint64_t batches = 0;
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;
    bool clean = false;    ///< the log was stopped cleanly
    std::string cut_file;  ///< where an unproven tail was cut; empty: nothing was
    std::uint64_t cut_offset = 0;
    std::string cut_reason;

    /// Counts the log of another core in; what was cut stays its own.
    void add(const RecoveryReport& other) noexcept {
        clean = segments == 0 ? other.clean : clean && other.clean;
        segments += other.segments;
        batches += other.batches;
        records += other.records;
        bytes += other.bytes;
    }
};

/// What a log is read for.
enum class Purpose : std::uint8_t {
    start,    ///< to go on with it
    inspect,  ///< only to look at it: nothing is synced or written, files are opened for reading
};

struct Recovered {
    WalPosition position;
    RecoveryReport report;
};

/// Reads the log in `options.directory`, which exists. Before anything is read, every file and the
/// directory are synced; batches that nothing proves are written once more, as they are, and
/// synced.
/// Errors: `damaged`, acknowledged data cannot be read back (file, offset, reason), or the log ends
/// before options.known_segment; `foreign`, the files belong to another store or a newer version;
/// `io`; or the sink's.
io::Task<Result<Recovered>> recover(io::Reactor& reactor, const WalOptions& options,
                                    RecoverySink& sink, Purpose purpose = Purpose::start);

}  // namespace kv::wal
