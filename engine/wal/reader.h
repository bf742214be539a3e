#pragma once

/// Reader: reads batches of a log that is in use, from a place on that its user has noted. Nothing
/// is pinned: the segment may be released and written to again meanwhile. A batch names its
/// segment, number and predecessor under a checksum, so that what is not the log any more is never
/// taken for it. Owner core only, one read at a time.

#include "engine/wal/wal.h"
#include "io/aligned_buffer.h"

namespace kv::wal {

/// Takes batches in the order of the log.
class BatchSink {
public:
    /// `records` of them are in `payload` (take_record), which is verified and valid during the
    /// call. False: that was enough.
    virtual bool on_batch(std::uint32_t records, Bytes payload) = 0;

protected:
    ~BatchSink() = default;
};

class Reader {
public:
    /// The disk is asked for so much at a time.
    static constexpr std::size_t slice_bytes = std::size_t{256} << 10;
    /// Memory that is kept between reads.
    static constexpr std::size_t kept_bytes_max = std::size_t{1} << 20;

    Reader(io::Reactor& reactor, const Wal& log) noexcept : reactor_(reactor), log_(log) {}
    Reader(const Reader&) = delete;

    /// The batch at `from` and those behind it in its segment, until the sink has enough or the
    /// segment has no more. A turn verifies one batch. Errors: `not_found`, the batch at `from` is
    /// no part of the log any more, or is damaged; `io`, `busy`.
    io::Task<Status> read(BatchPlace from, BatchSink& sink);

private:
    io::Task<Status> read_batches(const io::File* file, BatchPlace from, BatchSink* sink);
    io::Task<Result<Bytes>> fill(const io::File* file, std::uint64_t at, std::size_t bytes);

    io::Reactor& reactor_;
    const Wal& log_;
    io::AlignedBuffer buffer_;
    std::uint64_t begin_ = 0;  ///< offset of what is in the buffer
    std::size_t bytes_ = 0;    ///< in it
};

}  // namespace kv::wal
