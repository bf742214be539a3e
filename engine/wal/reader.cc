#include "engine/wal/reader.h"

#include <algorithm>
#include <optional>

#include "io/await.h"

namespace kv::wal {

/// What the file has from `at` on: `bytes` at least, unless it ends before.
io::Task<Result<Bytes>> Reader::fill(const io::File* file, std::uint64_t at, std::size_t bytes) {
    if (at < begin_ || at > begin_ + bytes_) {
        begin_ = at;
        bytes_ = 0;
    }
    const auto skipped = static_cast<std::size_t>(at - begin_);
    if (bytes_ - skipped < bytes) {
        bytes_ -= skipped;
        begin_ = at;
        if (skipped != 0 && bytes_ != 0) {
            std::memmove(buffer_.data(), buffer_.data() + skipped, bytes_);
        }
        buffer_.reserve(std::max(bytes, slice_bytes), bytes_);
        while (bytes_ < bytes) {
            const std::size_t wanted = std::min(slice_bytes, buffer_.capacity() - bytes_);
            const MutableBytes to = buffer_.first(bytes_ + wanted).subspan(bytes_);
            KV_CO_TRY(const std::size_t got, co_await file->read_at(begin_ + bytes_, to));
            bytes_ += got;
            if (got < wanted) break;
        }
    }
    const Bytes all = buffer_.first(bytes_);
    co_return all.subspan(static_cast<std::size_t>(at - begin_));
}

io::Task<Status> Reader::read_batches(const io::File* file, BatchPlace from, BatchSink* sink) {
    std::optional<BatchHeader> before;
    std::uint64_t at = from.offset;
    while (true) {
        KV_CO_TRY(const Bytes front, co_await fill(file, at, io::block_bytes));
        const auto header = decode_batch_header(front, log_.store(), at);
        const bool expected = header && header->segment == from.segment &&
                              (!before || (header->lsn == before->lsn.next() &&
                                           header->previous == before->checksum));
        if (!expected) break;
        KV_CO_TRY(const Bytes whole, co_await fill(file, at, header->total_bytes()));
        const auto payload = decode_batch_payload(whole, *header, at);
        if (!payload) break;
        before = *header;
        if (!sink->on_batch(header->records, *payload)) break;
        at += header->total_bytes();
        co_await io::NextTurn(reactor_);
    }
    if (!before) co_return fail(Errc::not_found, "the segment is not in the log any more");
    co_return Status{};
}

io::Task<Status> Reader::read(BatchPlace from, BatchSink& sink) {
    const std::optional<std::string> path = log_.file_of(from.segment);
    if (!path) co_return fail(Errc::not_found, "the segment is not in the log any more");
    // As the log is written: then what was cached before it was written is no concern.
    const std::uint32_t flags = log_.sync_mode() == SyncMode::dsync ? io::open_direct : 0u;
    KV_CO_TRY(io::File file, co_await io::File::open(reactor_, *path, flags));
    bytes_ = 0;
    Status status = co_await read_batches(&file, from, &sink);
    co_await file.close();
    if (buffer_.capacity() > kept_bytes_max) buffer_ = {};
    co_return status;
}

}  // namespace kv::wal
