#include "engine/wal/wal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "proto/base/log.h"
#include "proto/base/mutant.h"

namespace kv::wal {

namespace {

/// Each buffer starts with room for a segment header, so that the first batch of a segment and the
/// header are one contiguous write.
constexpr std::size_t lead_bytes = segment_header_bytes;
constexpr std::size_t free_batches_max = Wal::batches_in_flight_max + 2;
/// Part of a segment that clients' records leave free when no spare is there: hard states and
/// markers must always fit.
constexpr std::uint64_t reserve_divisor = 16;

bool try_again(std::int32_t result) noexcept {
    return result == -EINTR || result == -EAGAIN;
}

}  // namespace

/// A batch from its gathering to its acknowledgement.
struct Wal::Batch {
    AlignedBuffer buffer;
    std::size_t payload_bytes = 0;
    std::uint32_t records = 0;
    std::uint16_t flags = 0;
    bool records_release = false;  ///< may take the last block of a segment
    Ticket ticket = 0;             ///< 0: a marker or a rotation batch, of which nobody waits

    std::size_t total_bytes() const noexcept {
        return round_up(batch_header_bytes + payload_bytes, io::block_bytes);
    }
    MutableBytes record_room(std::size_t bytes) {
        const std::size_t begin = lead_bytes + batch_header_bytes;
        // Whole blocks, since the padding is written too.
        const std::size_t wanted = round_up(begin + payload_bytes + bytes, io::block_bytes);
        buffer.reserve(wanted, begin + payload_bytes);
        return {buffer.data() + begin + payload_bytes, bytes};
    }
};

/// One batch on its way to the disk: a write, perhaps continued, and a sync where the mode needs
/// one.
struct Wal::Write : io::Op {
    explicit Write(Wal& w) noexcept : Op(&Wal::written), wal(w) {}
    Wal& wal;
    std::unique_ptr<Batch> batch;
    Lsn lsn;
    Lsn synced_lsn;
    SegmentSeq first_segment;
    BatchPlace place;
    std::int32_t fd = -1;
    std::uint64_t offset = 0;  ///< of the next byte to be written
    MutableBytes rest;         ///< not yet written
    Instant begun;
    bool syncing = false;
    bool durable = false;
};

Wal::Wal(io::Reactor& reactor, WalOptions options, WalClient& client)
    : reactor_(reactor),
      options_(std::move(options)),
      bytes_max_(options_.bytes_max),
      client_(client),
      gathering_(std::make_unique<Batch>()),  // free_batches_ is not there yet
      marker_timer_(*this),
      retry_timer_(*this),
      spares_event_(reactor),
      progress_(reactor),
      keeper_ended_(reactor) {
    KV_ASSERT(options_.segment_bytes % io::block_bytes == 0);
    KV_ASSERT(options_.segment_bytes >= segment_bytes_min);
    KV_ASSERT(options_.epoch.value() > 0);
}

Wal::~Wal() {
    reactor_.timers().disarm(marker_timer_);
    reactor_.timers().disarm(retry_timer_);
}

std::string Wal::path_of(const SegmentFile& file) const {
    return options_.directory + "/" + file.name();
}

Duration Wal::oldest_write(Instant now) const noexcept {
    return in_flight_.empty() ? Duration{} : now - in_flight_.front()->begun;
}

std::optional<std::string> Wal::file_of(SegmentSeq segment) const {
    const auto found = std::ranges::find(position_.log, segment, &WalPosition::File::segment);
    if (found == position_.log.end()) return std::nullopt;
    return path_of(found->file);
}

// --- opening -------------------------------------------------------------------------------------

io::Task<Status> Wal::choose_sync_mode() {
    mode_ = SyncMode::fdatasync;
    if (!options_.try_direct) co_return Status{};
    // Some file systems refuse direct access or synced writes; a scratch file tells.
    const std::string path = fmt::format("{}/probe-c{:02}.tmp", options_.directory, options_.core);
    auto opened = co_await open_segment(reactor_, path, SyncMode::dsync, true);
    if (!opened) {
        const Errc code = opened.error().code;
        const bool goes_on = code == Errc::unsupported || code == Errc::no_space;
        if (!goes_on) co_return kv::fail(std::move(opened.error()));
        log::warn("direct writes are refused, using buffered writes and fdatasync",
                  log::field("directory", options_.directory),
                  log::field("error", opened.error().text()));
        co_return Status{};
    }
    io::File probe = *std::move(opened);
    AlignedBuffer block(io::block_bytes);
    std::memset(block.data(), 0, io::block_bytes);
    const Bytes content = block.first(io::block_bytes);
    const Status status = co_await probe.write_at(0, content, true);
    co_await probe.close();
    const Status removed = co_await io::remove_file(reactor_, path);
    static_cast<void>(removed);  // an empty scratch file hurts nobody; recovery passes over it
    if (status || status.error().code == Errc::no_space) {
        mode_ = SyncMode::dsync;
    } else if (status.error().code != Errc::unsupported) {
        co_return status;  // of a disk that cannot even write this, nothing good is to be expected
    } else {
        log::warn("synced writes are refused, using buffered writes and fdatasync",
                  log::field("directory", options_.directory),
                  log::field("error", status.error().text()));
    }
    co_return Status{};
}

io::Task<Status> Wal::open(WalPosition position) {
    position_ = std::move(position);
    durable_ = Lsn(position_.next_lsn.value() - 1);
    proven_ = durable_;
    last_record_lsn_ = durable_;
    KV_CO_CHECK(co_await choose_sync_mode());
    if (position_.clean && !position_.log.empty()) {
        const WalPosition::File& newest = position_.log.back();
        KV_ASSERT(newest.segment == position_.segment);
        KV_CO_TRY(current_, co_await open_segment(reactor_, path_of(newest.file), mode_, false));
        current_bytes_ = newest.bytes;
    }
    for (const WalPosition::File& spare : position_.spares) unopened_spares_.push_back(spare);
    position_.spares.clear();
    first_kept_ = position_.first_segment;
    // The first batch may need a segment at once, also when bytes_max allows no more.
    if (current_bytes_ == 0 || current_bytes_ - position_.end < options_.segment_bytes / 2) {
        KV_CO_CHECK(co_await add_spare());
    }
    keeper_started_ = true;
    spares_event_.set();
    reactor_.spawn(keep_spares());
    co_return Status{};
}

// --- releasing ---------------------------------------------------------------------------------

void Wal::release_before(SegmentSeq first_kept) {
    if (position_.segment.value() == 0) return;
    first_kept_ = std::max(first_kept_, std::min(first_kept, position_.segment));
    reactor_.want_turn();
}

/// A durable batch says that `first_needed` is the oldest segment that is needed.
void Wal::free_released(SegmentSeq first_needed) {
    while (!position_.log.empty() && position_.log.front().segment < first_needed &&
           position_.log.front().segment < position_.segment) {
        unopened_spares_.push_back(position_.log.front());
        position_.log.erase(position_.log.begin());
        spares_event_.set();
    }
}

/// Nothing else will tell that segments were released: there is no work, or what waits needs one of
/// them. The last block of a segment is kept free for this (room_for).
void Wal::record_release() {
    if (failed_ || stopping_ || first_kept_ <= position_.first_segment || !in_flight_.empty()) {
        return;
    }
    if (!waiting_.empty() && waiting_.front()->records_release) return;
    std::unique_ptr<Batch> marker = empty_batch();
    marker->flags = batch_marker;
    marker->records_release = true;
    marker->record_room(0);
    waiting_bytes_ += marker->total_bytes();
    waiting_.push_front(std::move(marker));
    ++counters_.markers;
    start_waiting();
}

io::Task<void> Wal::close_file(io::File file) {
    co_await file.close();
    --closing_files_;
    progress_.set();
}

// --- gathering -----------------------------------------------------------------------------------

std::unique_ptr<Wal::Batch> Wal::empty_batch() {
    if (free_batches_.empty()) return std::make_unique<Batch>();
    std::unique_ptr<Batch> batch = std::move(free_batches_.back());
    free_batches_.pop_back();
    batch->payload_bytes = 0;
    batch->records = 0;
    batch->flags = 0;
    batch->records_release = false;
    batch->ticket = 0;
    return batch;
}

std::size_t Wal::record_bytes_max() const noexcept {
    // A segment has room for its header, a rotation batch of up to half a segment less that header,
    // the block that is kept free (room_for), and this: whatever may be staged fits a new segment.
    const std::uint64_t half = options_.segment_bytes / 2 / io::block_bytes * io::block_bytes;
    return static_cast<std::size_t>(half - io::block_bytes - batch_header_bytes -
                                    record_header_bytes);
}

std::uint64_t Wal::staged_bytes() const noexcept {
    return waiting_bytes_ + (gathering_->records != 0 ? gathering_->total_bytes() : 0);
}

/// What the segments that there are, and those that bytes_max still allows, hold at least.
std::uint64_t Wal::room_within_limit() const noexcept {
    const std::uint64_t current = current_bytes_ == 0 ? 0 : current_bytes_ - position_.end;
    const std::uint64_t spares = spares_.size() + unopened_spares_.size();
    const std::uint64_t used = log_bytes() + spares * options_.segment_bytes;
    const std::uint64_t allowed =
        used >= bytes_max_ ? 0 : (bytes_max_ - used) / options_.segment_bytes;
    const std::uint64_t all = spares + allowed;
    const std::uint64_t usable = all - std::min<std::uint64_t>(all, spares_kept());
    // A batch that does not fit leaves the end of a segment free: never more than a quarter of it.
    return current + usable * (options_.segment_bytes / 2);
}

std::size_t Wal::buffer_bytes() const noexcept {
    std::size_t bytes = gathering_->buffer.capacity();
    for (const auto& batch : waiting_) bytes += batch->buffer.capacity();
    for (const auto& batch : free_batches_) bytes += batch->buffer.capacity();
    for (const auto& write : in_flight_) bytes += write->batch->buffer.capacity();
    return bytes;
}

std::optional<Errc> Wal::refusal(std::size_t bytes) const noexcept {
    if (failed_ || stopping_) return Errc::shutting_down;
    const bool full = log_is_full();
    const bool no_more_spares = no_space_ || full;
    if (!no_more_spares && bytes_max_ == 0) return std::nullopt;
    // One place must hold all of it, with the padding of one batch and the block that stays free
    // (room_for): then each batch finds room, wherever those before it have ended.
    const std::uint64_t needed = staged_bytes() + batch_header_bytes + record_bytes(bytes) +
                                 2 * io::block_bytes + options_.segment_bytes / reserve_divisor;
    const std::uint64_t current = current_bytes_ == 0 ? 0 : current_bytes_ - position_.end;
    const std::uint64_t spare =
        spares_.size() <= (full ? spares_kept() : 0)
            ? 0
            : options_.segment_bytes - segment_header_bytes - io::block_bytes;
    if (std::max(current, spare) >= needed) return std::nullopt;
    if (!no_more_spares && room_within_limit() >= needed) return std::nullopt;
    return no_space_ ? Errc::read_only : Errc::log_full;
}

bool Wal::stuck() const noexcept {
    return !waiting_.empty() && in_flight_.empty() && spares_.empty() && !fits(*waiting_.front());
}

void Wal::append_record(RecordKind kind, GroupId group, Bytes payload) {
    const std::size_t bytes = record_bytes(payload.size());
    write_record(gathering_->record_room(bytes), kind, group, payload);
    gathering_->payload_bytes += bytes;
    ++gathering_->records;
    ++counters_.records;
}

Ticket Wal::stage(RecordKind kind, GroupId group, Bytes payload) {
    KV_ASSERT(payload.size() <= record_bytes_max());
    const std::size_t after =
        batch_header_bytes + gathering_->payload_bytes + record_bytes(payload.size());
    const std::size_t limit = std::min<std::size_t>(options_.batch_bytes_max, record_bytes_max());
    if (gathering_->records != 0 && after > limit) close_gathering();
    append_record(kind, group, payload);
    return next_ticket_;
}

void Wal::close_gathering() {
    gathering_->ticket = next_ticket_++;
    waiting_bytes_ += gathering_->total_bytes();
    waiting_.push_back(std::move(gathering_));
    gathering_ = empty_batch();
}

void Wal::flush() {
    if (failed_) return;
    // What waits already goes first; meanwhile the batch behind it grows.
    const bool may_close = gathering_->records != 0 && waiting_.empty() &&
                           in_flight_.size() < in_flight_max() &&
                           (in_flight_.empty() || gathering_->total_bytes() >= gather_bytes);
    if (may_close) close_gathering();
    start_waiting();
    record_release();
}

// --- writing -------------------------------------------------------------------------------------

/// A failed sync may be reported to one of several that run, and take the writes of the others with
/// it: buffered, there is only one.
std::optional<Instant> Wal::oldest_write() const noexcept {
    if (in_flight_.empty()) return std::nullopt;
    return in_flight_.front()->begun;
}

std::size_t Wal::in_flight_max() const noexcept {
    return mode_ == SyncMode::dsync ? batches_in_flight_max : 1;
}

bool Wal::fits(const Batch& batch) const noexcept {
    const std::uint64_t bytes = batch.total_bytes();
    if (batch.records_release) return position_.end + bytes <= current_bytes_;
    return room_for(bytes);
}

/// Without a spare one block stays free: a release must be recorded before it gives a spare.
bool Wal::room_for(std::uint64_t bytes) const noexcept {
    const std::uint64_t kept = spares_.empty() ? io::block_bytes : 0;
    return position_.end + bytes + kept <= current_bytes_;
}

void Wal::start_waiting() {
    while (!failed_ && !waiting_.empty() && in_flight_.size() < in_flight_max()) {
        if (!fits(*waiting_.front())) {
            // A segment ends where all of it is durable: recovery relies on it.
            if (!in_flight_.empty() || !rotate()) return;
            continue;
        }
        std::unique_ptr<Batch> batch = std::move(waiting_.front());
        waiting_.pop_front();
        waiting_bytes_ -= batch->total_bytes();
        begin_write(std::move(batch), false);
    }
}

bool Wal::rotate() {
    spares_event_.set();
    if (spares_.empty()) return false;
    Spare spare = std::move(spares_.front());
    spares_.pop_front();
    if (current_.is_open()) {
        ++closing_files_;
        reactor_.spawn(close_file(std::move(current_)));
    }
    current_ = std::move(spare.handle);
    current_bytes_ = spare.file.bytes;

    std::unique_ptr<Batch> gathered = std::exchange(gathering_, empty_batch());
    const Ticket ticket = next_ticket_;
    client_.stage_rotation();
    // In one batch: another ticket would promise what is gathered and not written.
    KV_ASSERT(next_ticket_ == ticket);
    std::unique_ptr<Batch> first = std::exchange(gathering_, std::move(gathered));
    KV_ASSERT(first->total_bytes() + segment_header_bytes <= current_bytes_ / 2);

    SegmentHeader header;
    header.store = options_.store;
    header.core = options_.core;
    header.generation = options_.generation;
    header.segment = position_.next_segment;
    header.first_lsn = position_.next_lsn;
    header.epoch = options_.epoch;
    header.predecessor = position_.segment;
    header.predecessor_end = position_.end;
    header.previous = position_.previous;
    if (first_kept_.value() == 0) first_kept_ = header.segment;
    header.first_segment = first_kept_;
    header.segment_bytes = current_bytes_;
    first->buffer.reserve(lead_bytes + first->total_bytes(),
                          lead_bytes + batch_header_bytes + first->payload_bytes);
    encode_segment_header(header, first->buffer.first(segment_header_bytes));

    spare.file.segment = header.segment;
    position_.log.push_back(spare.file);
    position_.segment = header.segment;
    position_.next_segment = header.segment.next();
    position_.end = segment_header_bytes;
    ++counters_.rotations;
    begin_write(std::move(first), true);
    return true;
}

void Wal::begin_write(std::unique_ptr<Batch> batch, bool with_segment_header) {
    const std::size_t total = batch->total_bytes();
    batch->buffer.reserve(lead_bytes + total,
                          lead_bytes + batch_header_bytes + batch->payload_bytes);
    const MutableBytes memory = batch->buffer.first(lead_bytes + total);
    BatchHeader header;
    header.flags = batch->flags;
    header.store = options_.store;
    header.segment = position_.segment;
    header.lsn = position_.next_lsn;
    header.synced_lsn = durable_;
    header.epoch = options_.epoch;
    header.previous = position_.previous;
    header.payload_bytes = static_cast<std::uint32_t>(batch->payload_bytes);
    header.records = batch->records;
    header.first_segment = first_kept_;
    position_.first_segment = first_kept_;
    position_.previous = seal_batch(memory.subspan(lead_bytes), header, position_.end);

    std::unique_ptr<Write> write;
    if (free_writes_.empty()) {
        write = std::make_unique<Write>(*this);
    } else {
        write = std::move(free_writes_.back());
        free_writes_.pop_back();
    }
    write->lsn = header.lsn;
    write->synced_lsn = header.synced_lsn;
    write->first_segment = header.first_segment;
    write->place = {position_.segment, position_.end};
    write->fd = current_.fd();
    write->offset = with_segment_header ? 0 : position_.end;
    write->rest = with_segment_header ? memory : memory.subspan(lead_bytes);
    write->begun = reactor_.backend().now();
    write->syncing = false;
    write->durable = false;
    if ((batch->flags & batch_marker) == 0) last_record_lsn_ = header.lsn;
    position_.next_lsn = header.lsn.next();
    position_.end += total;
    ++counters_.batches;
    counters_.bytes += write->rest.size();
    write->batch = std::move(batch);
    Write& started = *write;
    in_flight_.push_back(std::move(write));
    go_on(started, 0);
}

void Wal::written(io::Op& op, std::int32_t result, io::Completion) noexcept {
    auto& write = static_cast<Write&>(op);
    write.wal.go_on(write, result);
}

/// The next step of a write whose last step ended with `result` (0 at first).
void Wal::go_on(Write& write, std::int32_t result) {
    if (result < 0 && !try_again(result) && mutant(Mutant::m52_sync_error_ignored)) {
        result = static_cast<std::int32_t>(write.syncing ? 0 : write.rest.size());
    }
    const bool again = try_again(result) || mutant(Mutant::m53_sync_retried);
    if (result < 0 && !again) {
        const std::string path = path_of(position_.log.back().file);
        fail(io::io_error(result, write.syncing ? "sync" : "write", path));
        return;
    }
    if (failed_) return;
    io::OpRequest request;
    request.fd = write.fd;
    if (!write.syncing) {
        if (result > 0) {
            // A short direct write may end inside a block, which is then written once more: nobody
            // has been promised any of it.
            const std::size_t taken = static_cast<std::size_t>(result);
            const std::size_t step =
                taken == write.rest.size() ? taken : taken / io::block_bytes * io::block_bytes;
            const std::size_t done = mutant(Mutant::m56_short_write) ? write.rest.size() : step;
            write.rest = write.rest.subspan(done);
            write.offset += step;
        }
        if (!write.rest.empty()) {
            request.code = io::OpCode::write;
            const bool sync = mode_ == SyncMode::dsync && !mutant(Mutant::m57_no_sync);
            request.flags = sync ? io::write_dsync : 0u;
            request.offset = write.offset;
            request.data = write.rest.data();
            request.bytes = static_cast<std::uint32_t>(write.rest.size());
            write.set_request(request);
            reactor_.backend().submit(write);
            return;
        }
        // Only now: a sync promises nothing about writes that have not completed.
        if (mode_ == SyncMode::fdatasync && !mutant(Mutant::m57_no_sync)) {
            write.syncing = true;
            result = -EAGAIN;
        }
    }
    if (write.syncing && result < 0) {
        request.code = io::OpCode::sync;
        write.set_request(request);
        reactor_.backend().submit(write);
        return;
    }
    write.durable = true;
    counters_.syncs.add(reactor_.backend().now() - write.begun);
    acknowledge();
}

void Wal::acknowledge() {
    Ticket ticket = 0;
    while (!in_flight_.empty() && in_flight_.front()->durable) {
        std::unique_ptr<Write> write = std::move(in_flight_.front());
        in_flight_.pop_front();
        durable_ = write->lsn;
        proven_ = std::max(proven_, write->synced_lsn);
        free_released(write->first_segment);
        if (write->batch->ticket != 0) {
            ticket = write->batch->ticket;
            client_.on_placed(ticket, write->place);
        }
        if (free_batches_.size() < free_batches_max)
            free_batches_.push_back(std::move(write->batch));
        write->batch.reset();
        free_writes_.push_back(std::move(write));
    }
    if (ticket != 0) client_.on_durable(ticket);
    if (last_record_lsn_ > proven_ && !marker_timer_.armed()) {
        reactor_.timers().arm(marker_timer_, reactor_.now() + idle_marker_delay);
    }
    progress_.set();
}

void Wal::fail(const Error& error) {
    if (failed_) return;
    failed_ = true;
    progress_.set();
    spares_event_.set();
    client_.on_failed(error);
}

// --- markers and the end -------------------------------------------------------------------------

void Wal::queue_marker(std::uint16_t flags) {
    std::unique_ptr<Batch> marker = empty_batch();
    marker->flags = static_cast<std::uint16_t>(batch_marker | flags);
    marker->record_room(0);
    waiting_bytes_ += marker->total_bytes();
    waiting_.push_back(std::move(marker));
    ++counters_.markers;
    start_waiting();
}

void Wal::marker_due() {
    if (failed_ || stopping_ || last_record_lsn_ <= proven_) return;
    const bool idle = gathering_->records == 0 && waiting_.empty() && in_flight_.empty();
    if (idle) {
        queue_marker(0);
    } else {
        reactor_.timers().arm(marker_timer_, reactor_.now() + idle_marker_delay);
    }
}

io::Task<void> Wal::drain() {
    while (!failed_) {
        start_waiting();
        // Without a spare, what waits cannot be written; nobody was promised any of it.
        const bool stuck = in_flight_.empty() && spares_.empty();
        if (in_flight_.empty() && (waiting_.empty() || stuck)) co_return;
        progress_.reset();
        co_await progress_.wait();
    }
}

io::Task<void> Wal::stop() {
    stopping_ = true;
    if (keeper_started_) {
        spares_event_.set();
        co_await keeper_ended_.wait();
    }
    if (gathering_->records != 0) close_gathering();
    co_await drain();
    if (!failed_ && waiting_.empty() && position_.segment.value() != 0) {
        queue_marker(batch_clean);
        co_await drain();
    }
    reactor_.timers().disarm(marker_timer_);
    reactor_.timers().disarm(retry_timer_);
    // After a failure writes may still be under way: the process is about to end.
    while (!in_flight_.empty() && !failed_) {
        progress_.reset();
        co_await progress_.wait();
    }
    while (closing_files_ != 0) {
        progress_.reset();
        co_await progress_.wait();
    }
    if (in_flight_.empty()) co_await current_.close();
    while (!spares_.empty()) {
        Spare spare = std::move(spares_.front());
        spares_.pop_front();
        co_await spare.handle.close();
    }
}

}  // namespace kv::wal
