/// Wal, the part that keeps spare segments ready: opens released files again, makes new ones, and
/// notices that there is no room.

#include "engine/wal/wal.h"
#include "proto/base/log.h"
#include "proto/base/mutant.h"

namespace kv::wal {

/// No further file may be made. The newest segment alone never fills the log: it may be larger than
/// those that are made now.
bool Wal::log_is_full() const noexcept {
    if (spares_.empty() && position_.log.size() <= 1) return false;
    const std::uint64_t files = spares_.size() + 1;
    return bytes_max_ != 0 && unopened_spares_.empty() &&
           log_bytes() + files * options_.segment_bytes > bytes_max_;
}

std::uint64_t Wal::log_bytes_from(SegmentSeq first) const noexcept {
    std::uint64_t bytes = 0;
    for (const WalPosition::File& file : position_.log) {
        if (file.segment >= first) bytes += file.bytes;
    }
    return bytes;
}

io::Task<Status> Wal::add_spare() {
    while (!unopened_spares_.empty()) {
        // Kept until it is done: when there is no room now, the same file is the next again.
        const WalPosition::File file = unopened_spares_.front();
        const bool fits = file.bytes == options_.segment_bytes;
        if (fits) {
            KV_CO_CHECK(co_await open_spare(file));
        } else {
            // Of another size: its name goes, a new one of the right size is made.
            KV_CO_CHECK(co_await io::remove_file(reactor_, path_of(file.file)));
        }
        unopened_spares_.pop_front();
        if (fits) co_return Status{};
    }
    if (log_is_full() && keeper_started_) co_return Status{};
    co_return co_await make_spare();
}

io::Task<Status> Wal::open_spare(WalPosition::File file) {
    Spare spare;
    spare.file = file;
    KV_CO_TRY(spare.handle, co_await open_segment(reactor_, path_of(file.file), mode_, false));
    spares_.push_back(std::move(spare));
    ++counters_.segments_reused;
    co_return Status{};
}

/// Sequence number 0 says: not part of the log. Durable on return.
io::Task<Status> Wal::write_spare_header(const io::File* file) {
    SegmentHeader header;
    header.store = options_.store;
    header.core = options_.core;
    header.generation = options_.generation;
    header.segment_bytes = options_.segment_bytes;
    AlignedBuffer block(segment_header_bytes);
    const MutableBytes content = block.first(segment_header_bytes);
    encode_segment_header(header, content);
    KV_CO_CHECK(co_await file->write_at(0, content, mode_ == SyncMode::dsync));
    if (mode_ == SyncMode::dsync) co_return Status{};
    co_return co_await file->sync();
}

io::Task<Status> Wal::make_spare() {
    Spare spare;
    spare.file.file = SegmentFile{options_.generation, options_.core, position_.next_number++};
    spare.file.bytes = options_.segment_bytes;
    const std::string path = path_of(spare.file.file);
    const std::string temporary = path + ".tmp";
    // What a crash left under that name may be longer.
    Status status = co_await io::remove_file(reactor_, temporary);
    if (!status && status.error().code != Errc::not_found) co_return status;
    KV_CO_TRY(spare.handle, co_await open_segment(reactor_, temporary, mode_, true));
    status = co_await fill_segment(reactor_, spare.handle, options_.segment_bytes);
    if (status) status = co_await write_spare_header(&spare.handle);
    if (status) status = co_await io::rename_file(reactor_, temporary, path);
    const bool skip = mutant(Mutant::m58_unsynced_segment);
    if (status && !skip) status = co_await io::sync_directory(reactor_, options_.directory);
    if (!status) {
        co_await spare.handle.close();
        const Status removed = co_await io::remove_file(reactor_, temporary);
        static_cast<void>(removed);  // the next spare of that number removes what stays
        co_return status;
    }
    spares_.push_back(std::move(spare));
    ++counters_.segments_made;
    co_return Status{};
}

io::Task<void> Wal::keep_spares() {
    while (!stopping_ && !failed_) {
        co_await spares_event_.wait();
        spares_event_.reset();
        while (!stopping_ && !failed_ && spares_.size() < spares_wanted && !log_is_full()) {
            const Status status = co_await add_spare();
            if (!status && status.error().code == Errc::no_space) {
                if (!no_space_) {
                    no_space_ = true;
                    ++counters_.full_disk_alarms;
                    log::error("disk full: no room for a WAL segment, writes are refused soon",
                               log::field("directory", options_.directory),
                               log::field("bytes_needed", options_.segment_bytes));
                }
                reactor_.timers().arm(retry_timer_, reactor_.now() + no_space_retry_delay);
                break;
            }
            if (!status && status.error().code == Errc::busy) {
                // Clients may hold all descriptors: no reason to take the disk for broken.
                log::error("no WAL segment can be opened now, trying again",
                           log::field("error", status.error().text()));
                reactor_.timers().arm(retry_timer_, reactor_.now() + no_space_retry_delay);
                break;
            }
            if (!status) {
                fail(status.error());
                break;
            }
            if (no_space_) {
                no_space_ = false;
                log::info("there is room for WAL segments again, writes are accepted");
            }
            start_waiting();  // a rotation may have waited for this spare
        }
    }
    keeper_ended_.set();
}

}  // namespace kv::wal
