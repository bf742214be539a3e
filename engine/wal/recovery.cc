#include "engine/wal/recovery.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/base/log.h"
#include "proto/base/mutant.h"

namespace kv::wal {

namespace {

constexpr std::string_view unreadable_header = "its segment header cannot be read";
constexpr std::size_t read_bytes = std::size_t{4} << 20;
constexpr std::uint64_t segment_file_bytes_max = std::uint64_t{256} << 20;

/// A file of the directory and what its first block says.
struct Candidate {
    WalPosition::File file;
    std::string path;
    std::optional<SegmentHeader> header;
};

/// One segment at a time in memory.
struct Image {
    AlignedBuffer buffer;
    std::size_t bytes = 0;
    Bytes from(std::uint64_t offset) {
        if (offset >= bytes) return {};
        return Bytes(buffer.first(bytes)).subspan(static_cast<std::size_t>(offset));
    }
};

class Recovery {
public:
    Recovery(io::Reactor& reactor, const WalOptions& options, RecoverySink& sink, Purpose purpose)
        : reactor_(reactor), options_(options), sink_(sink), purpose_(purpose) {}

    io::Task<Result<Recovered>> run();

private:
    io::Task<Status> look_at_files();
    io::Task<Status> look_at(SegmentFile name);
    io::Task<Result<std::size_t>> load(const Candidate& candidate);
    void order_chain();
    io::Task<Status> leave_out_released();
    Status check_chain() const;
    io::Task<Status> read_segment(std::size_t position_in_chain);
    Result<BatchHeader> expected_batch(const Candidate& segment, std::string& reason,
                                       Bytes& payload);
    Status deliver(const Candidate& segment, const BatchHeader& header, Bytes payload);
    bool proof_in_image(std::uint64_t from, SegmentSeq newer_than, SegmentSeq exactly);
    io::Task<Result<const Candidate*>> proof_elsewhere();
    io::Task<Status> rewrite_unproven();
    void classify_spares();
    static kv::Error damaged(const Candidate& segment, std::uint64_t offset, std::string_view why);

    io::Reactor& reactor_;
    const WalOptions& options_;
    RecoverySink& sink_;
    const Purpose purpose_;
    std::vector<Candidate> chain_;   ///< segments of the log, oldest first
    std::vector<Candidate> others_;  ///< spares, and what the torn start of a segment left
    Image image_;
    Recovered out_;
    SegmentSeq highest_;        ///< sequence number ever seen
    std::uint64_t offset_ = 0;  ///< position in the segment that is being read
    Lsn proven_;                ///< highest synced_lsn of an accepted batch
    /// Batches of the segment that is being read that nothing has proven yet: number, offset.
    std::vector<std::pair<Lsn, std::uint64_t>> unproven_;
    Epoch epoch_;               ///< of the last accepted batch or segment header
    bool after_clean_ = false;  ///< the last accepted batch is a clean-stop marker
};

kv::Error Recovery::damaged(const Candidate& segment, std::uint64_t offset, std::string_view why) {
    return kv::Error{
        Errc::damaged,
        fmt::format(
            "{} is damaged at offset {}: {}. Acknowledged data cannot be read back from it; "
            "nothing was changed. Restore the file from a backup, or move the data directory "
            "away to start empty",
            segment.path, offset, why)};
}

io::Task<Status> Recovery::look_at(SegmentFile name) {
    Candidate candidate;
    candidate.file.file = name;
    candidate.path = options_.directory + "/" + name.name();
    KV_CO_TRY(const io::FileInfo info, co_await io::stat_file(reactor_, candidate.path));
    candidate.file.bytes = info.bytes;
    const bool start = purpose_ == Purpose::start;
    const std::uint32_t flags = start ? io::open_write : 0u;
    KV_CO_TRY(io::File file, co_await io::File::open(reactor_, candidate.path, flags));
    // What a crash left in the page cache must not be believed before it is on the disk.
    Status synced;
    if (start && !mutant(Mutant::m61_tail_unsynced)) synced = co_await file.sync();
    AlignedBuffer block(segment_header_bytes);
    const MutableBytes to = block.first(segment_header_bytes);
    Result<std::size_t> read = std::size_t{0};
    if (synced) read = co_await file.read_at(0, to);
    co_await file.close();
    if (!synced) co_return synced;
    if (!read) co_return fail(std::move(read.error()));
    auto header = decode_segment_header(Bytes(to).first(*read));
    if (!header && header.error().code == Errc::unsupported) {
        co_return fail(Errc::foreign,
                       fmt::format("{}: {}; use the version that wrote it, or a newer",
                                   candidate.path, header.error().text()));
    }
    if (header && header->store != options_.store) {
        co_return fail(
            Errc::foreign,
            fmt::format("{} belongs to another data directory; move it away", candidate.path));
    }
    if (header && (header->generation != options_.generation || header->core != options_.core)) {
        co_return fail(
            Errc::foreign,
            fmt::format("{} holds a segment of core {} in generation {}: it was renamed; give it "
                        "back its name",
                        candidate.path, header->core, header->generation));
    }
    if (header) {
        candidate.header = *header;
        candidate.file.segment = header->segment;
        highest_ = std::max(highest_, header->segment);
    }
    if (candidate.file.bytes < segment_bytes_min ||
        (header && candidate.file.bytes < header->segment_bytes)) {
        co_return fail(damaged(candidate, candidate.file.bytes, "the file has been cut off"));
    }
    const bool in_log = header && header->segment.value() != 0;
    (in_log ? chain_ : others_).push_back(std::move(candidate));
    co_return Status{};
}

io::Task<Status> Recovery::look_at_files() {
    if (purpose_ == Purpose::start) {
        KV_CO_CHECK(co_await io::sync_directory(reactor_, options_.directory));
    }
    KV_CO_TRY(const std::vector<std::string> names,
              co_await io::list_directory(reactor_, options_.directory));
    for (const std::string& name : names) {
        const std::optional<SegmentFile> file = SegmentFile::parse(name);
        if (!file && name.ends_with(".tmp")) continue;  // a crash left it; it is made anew
        if (!file) {
            log::warn("a file in the WAL directory is not mine, passing over it",
                      log::field("directory", options_.directory), log::field("file", name));
            continue;
        }
        // Of another core; or of another generation, which the node knows about.
        if (file->generation != options_.generation || file->core != options_.core) continue;
        out_.position.next_number = std::max(out_.position.next_number, file->number + 1);
        KV_CO_CHECK(co_await look_at(*file));
    }
    co_return Status{};
}

void Recovery::order_chain() {
    std::sort(chain_.begin(), chain_.end(), [](const Candidate& a, const Candidate& b) {
        return a.file.segment < b.file.segment;
    });
}

/// Segments that the newest one does not need become spares.
io::Task<Status> Recovery::leave_out_released() {
    if (chain_.empty()) co_return Status{};
    const Candidate& newest = chain_.back();
    KV_CO_TRY(const std::size_t loaded, co_await load(newest));
    SegmentSeq first_needed = newest.header->first_segment;
    Lsn lsn = newest.header->first_lsn;
    std::uint64_t previous = newest.header->previous;
    for (std::uint64_t at = segment_header_bytes; at < loaded;) {
        const auto batch = decode_batch_header(image_.from(at), options_.store, at);
        if (!batch || batch->segment != newest.file.segment || batch->lsn != lsn ||
            batch->previous != previous || !decode_batch_payload(image_.from(at), *batch, at)) {
            break;
        }
        first_needed = std::max(first_needed, batch->first_segment);
        lsn = lsn.next();
        previous = batch->checksum;
        at += batch->total_bytes();
    }
    out_.position.first_segment = first_needed;
    const auto first = std::find_if(chain_.begin(), chain_.end(), [&](const Candidate& candidate) {
        return candidate.file.segment >= first_needed;
    });
    others_.insert(others_.end(), chain_.begin(), first);
    chain_.erase(chain_.begin(), first);
    co_return Status{};
}

Status Recovery::check_chain() const {
    const SegmentSeq first_needed = out_.position.first_segment;
    if (!chain_.empty() && chain_.front().file.segment != first_needed) {
        return fail(damaged(chain_.front(), 0,
                            fmt::format("segment {}, which the log still needs, is missing",
                                        first_needed.value())));
    }
    for (std::size_t i = 1; i < chain_.size(); ++i) {
        const Candidate& here = chain_[i];
        const SegmentHeader& header = *here.header;
        const SegmentSeq before = chain_[i - 1].file.segment;
        if (header.segment == before) {
            return fail(damaged(here, 0, fmt::format("segment {} is there twice", before.value())));
        }
        if (header.predecessor != before) {
            return fail(damaged(here, 0,
                                fmt::format("segment {}, which comes before it, is missing",
                                            header.predecessor.value())));
        }
    }
    return {};
}

io::Task<Result<std::size_t>> Recovery::load(const Candidate& candidate) {
    if (candidate.file.bytes > segment_file_bytes_max) {
        co_return fail(damaged(candidate, 0, "the file is larger than any segment"));
    }
    const auto bytes = static_cast<std::size_t>(candidate.file.bytes);
    image_.buffer.reserve(std::max(bytes, io::block_bytes), 0);
    image_.bytes = 0;
    KV_CO_TRY(io::File file, co_await io::File::open(reactor_, candidate.path, 0));
    Status status;
    while (image_.bytes < bytes) {
        const MutableBytes to = image_.buffer.first(bytes).subspan(
            image_.bytes, std::min(read_bytes, bytes - image_.bytes));
        Result<std::size_t> read = co_await file.read_at(image_.bytes, to);
        if (!read) status = fail(std::move(read.error()));
        if (!read || *read == 0) break;
        image_.bytes += *read;
    }
    co_await file.close();
    if (!status) co_return fail(std::move(status.error()));
    co_return image_.bytes;
}

/// The batch that must stand at offset_, or why it does not.
Result<BatchHeader> Recovery::expected_batch(const Candidate& segment, std::string& reason,
                                             Bytes& payload) {
    const Bytes bytes = image_.from(offset_);
    auto header = decode_batch_header(bytes, options_.store, offset_);
    if (!header) {
        reason = header.error().text();
        return header;
    }
    const WalPosition& at = out_.position;
    const bool new_life = header->epoch > epoch_ && after_clean_;
    const bool unexpected = header->segment != segment.file.segment || header->lsn != at.next_lsn ||
                            header->previous != at.previous || header->synced_lsn >= header->lsn ||
                            (header->epoch != epoch_ && !new_life);
    if (unexpected && !mutant(Mutant::m59_recycled_accepted)) {
        reason = fmt::format("batch {} of segment {} stands where batch {} is expected",
                             header->lsn.value(), header->segment.value(), at.next_lsn.value());
        return fail(Errc::corrupt);
    }
    auto verified = decode_batch_payload(bytes, *header, offset_);
    if (!verified) {
        reason = verified.error().text();
        return fail(std::move(verified.error()));
    }
    payload = *verified;
    return header;
}

Status Recovery::deliver(const Candidate& segment, const BatchHeader& header, Bytes payload) {
    sink_.on_batch({header.segment, offset_});
    for (std::uint32_t i = 0; i < header.records; ++i) {
        Record record;
        if (Status taken = take_record(payload, record); !taken) {
            const Errc code =
                taken.error().code == Errc::unsupported ? Errc::foreign : Errc::damaged;
            return fail(code, fmt::format("{} at offset {}: {}", segment.path, offset_,
                                          taken.error().text()));
        }
        if (Status status = sink_.on_record(record, header.lsn, header.segment); !status) {
            return fail(status.error().code,
                        fmt::format("{} at offset {}, batch {}: {}", segment.path, offset_,
                                    header.lsn.value(), status.error().text()));
        }
    }
    out_.report.records += header.records;
    ++out_.report.batches;
    out_.report.bytes += header.total_bytes();
    return {};
}

/// Whether a batch header in the image, at or behind `from`, says that the expected batch was
/// durable. Its segment is `exactly` that one, or, when that is 0, any after `newer_than`.
bool Recovery::proof_in_image(std::uint64_t from, SegmentSeq newer_than, SegmentSeq exactly) {
    for (std::uint64_t at = from; at < image_.bytes; at += io::block_bytes) {
        const auto header = decode_batch_header(image_.from(at), options_.store, at);
        if (!header) continue;
        highest_ = std::max(highest_, header->segment);
        const bool counts =
            exactly.value() != 0 ? header->segment == exactly : header->segment > newer_than;
        if (counts && header->epoch >= epoch_ && header->synced_lsn >= out_.position.next_lsn) {
            return true;
        }
    }
    return false;
}

/// A file that is not in the log and holds such a proof: its header was damaged. A spare may hold
/// batches of its last use, or of a rotation that was cut short, but they prove nothing.
io::Task<Result<const Candidate*>> Recovery::proof_elsewhere() {
    const SegmentSeq newest = chain_.empty() ? SegmentSeq(0) : chain_.back().file.segment;
    const Candidate* found = nullptr;
    for (const Candidate& candidate : others_) {
        KV_CO_TRY(const std::size_t loaded, co_await load(candidate));
        static_cast<void>(loaded);
        const bool proof = proof_in_image(segment_header_bytes, newest, SegmentSeq(0));
        if (proof) found = &candidate;
    }
    co_return found;
}

io::Task<Status> Recovery::read_segment(std::size_t position_in_chain) {
    const Candidate& segment = chain_[position_in_chain];
    const SegmentHeader& header = *segment.header;
    const bool successor = position_in_chain + 1 < chain_.size();
    const SegmentHeader* next = successor ? &*chain_[position_in_chain + 1].header : nullptr;
    KV_CO_TRY(const std::size_t loaded, co_await load(segment));
    static_cast<void>(loaded);

    WalPosition& at = out_.position;
    if (position_in_chain == 0) {
        at.next_lsn = header.first_lsn;
        at.previous = header.previous;
    } else if (header.first_lsn != at.next_lsn || header.previous != at.previous ||
               header.epoch < epoch_) {
        co_return fail(damaged(segment, 0, "it does not join the segment before it"));
    }
    epoch_ = header.epoch;
    after_clean_ = false;
    offset_ = segment_header_bytes;
    unproven_.clear();
    at.segment = header.segment;
    ++out_.report.segments;

    while (true) {
        std::string reason;
        Bytes payload;
        PositionFacts facts;
        facts.successor = successor;
        facts.at_recorded_end = successor && offset_ == next->predecessor_end;
        Result<BatchHeader> batch = BatchHeader{};
        if (!facts.at_recorded_end) batch = expected_batch(segment, reason, payload);
        if (!batch && batch.error().code == Errc::unsupported) {
            co_return fail(
                Errc::foreign,
                fmt::format("{} at offset {}: {}; use the version that wrote it, or a newer",
                            segment.path, offset_, reason));
        }
        facts.valid = !facts.at_recorded_end && batch.has_value();
        if (facts.valid && successor && offset_ + batch->total_bytes() > next->predecessor_end) {
            facts.valid = false;
            reason = "a batch reaches beyond the end that the next segment records";
        }
        if (!facts.at_recorded_end && !facts.valid && !successor) {
            facts.proof = proof_in_image(offset_, SegmentSeq(0), header.segment);
            if (!facts.proof) {
                KV_CO_TRY(const Candidate* const headless, co_await proof_elsewhere());
                if (headless != nullptr) co_return fail(damaged(*headless, 0, unreadable_header));
            }
        }
        switch (decide(facts)) {
            case Verdict::next_segment: co_return Status{};
            case Verdict::damaged: co_return fail(damaged(segment, offset_, reason));
            case Verdict::torn:
                at.end = offset_;
                at.clean = after_clean_;
                out_.report.clean = after_clean_;
                if (!after_clean_) {
                    out_.report.cut_file = segment.path;
                    out_.report.cut_offset = offset_;
                    out_.report.cut_reason = reason;
                }
                co_return Status{};
            case Verdict::accept: break;
        }
        KV_CO_CHECK(deliver(segment, *batch, payload));
        if (sink_.full()) {
            KV_CO_CHECK(co_await sink_.make_room());
        }
        epoch_ = batch->epoch;
        after_clean_ = (batch->flags & batch_clean) != 0;
        proven_ = std::max(proven_, batch->synced_lsn);
        unproven_.push_back({batch->lsn, offset_});
        std::erase_if(unproven_, [&](const auto& b) { return b.first <= proven_; });
        at.next_lsn = batch->lsn.next();
        at.previous = batch->checksum;
        offset_ += batch->total_bytes();
        at.end = offset_;
    }
}

io::Task<Status> Recovery::rewrite_unproven() {
    const std::uint64_t end = out_.position.end;
    if (chain_.empty() || (unproven_.empty() && end > segment_header_bytes)) co_return Status{};
    const Candidate& newest = chain_.back();
    KV_CO_TRY(const std::size_t loaded, co_await load(newest));
    static_cast<void>(loaded);
    // The header was written with the first batch.
    std::uint64_t from = unproven_.empty() ? 0 : unproven_.front().second;
    if (from == segment_header_bytes) from = 0;
    KV_CO_TRY(io::File file, co_await io::File::open(reactor_, newest.path, io::open_write));
    const Bytes bytes = image_.from(from).first(static_cast<std::size_t>(end - from));
    Status status = co_await file.write_at(from, bytes, false);
    if (status) status = co_await file.sync();
    co_await file.close();
    co_return status;
}

void Recovery::classify_spares() {
    for (const Candidate& candidate : others_) {
        WalPosition::File file = candidate.file;
        // Without a header it may hold anything: it is made again instead of being trusted.
        if (!candidate.header) file.bytes = 0;
        out_.position.spares.push_back(file);
    }
    for (const Candidate& candidate : chain_) out_.position.log.push_back(candidate.file);
}

io::Task<Result<Recovered>> Recovery::run() {
    KV_CO_CHECK(co_await look_at_files());
    order_chain();
    KV_CO_CHECK(co_await leave_out_released());
    KV_CO_CHECK(check_chain());
    if (chain_.empty()) {
        // A log whose only segment has lost its header would otherwise look like a new one.
        KV_CO_TRY(const Candidate* const headless, co_await proof_elsewhere());
        if (headless != nullptr) co_return fail(damaged(*headless, 0, unreadable_header));
    }
    const SegmentSeq newest = chain_.empty() ? SegmentSeq(0) : chain_.back().file.segment;
    if (newest < options_.known_segment) {
        co_return fail(
            Errc::damaged,
            fmt::format(
                "{}: segment {} of the log is missing; acknowledged data was in it, nothing "
                "was changed. Restore the file from a backup, or move the data directory "
                "away to start empty",
                options_.directory, options_.known_segment.value()));
    }
    std::uint64_t total = 0;
    for (const Candidate& segment : chain_) total += segment.file.bytes;
    std::uint64_t done = 0;
    for (std::size_t i = 0; i < chain_.size(); ++i) {
        sink_.on_progress(done, total);
        KV_CO_CHECK(co_await read_segment(i));
        done += chain_[i].file.bytes;
    }
    sink_.on_progress(done, total);
    if (purpose_ == Purpose::start && !mutant(Mutant::m61_tail_unsynced)) {
        KV_CO_CHECK(co_await rewrite_unproven());
    }
    classify_spares();
    out_.position.next_segment = highest_.next();
    co_return std::move(out_);
}

}  // namespace

Verdict decide(const PositionFacts& facts) noexcept {
    if (facts.at_recorded_end) return Verdict::next_segment;
    if (facts.valid) return Verdict::accept;
    const bool damaged = facts.successor || facts.proof;
    return damaged && !mutant(Mutant::m55_damage_is_torn) ? Verdict::damaged : Verdict::torn;
}

io::Task<Result<Recovered>> recover(io::Reactor& reactor, const WalOptions& options,
                                    RecoverySink& sink, Purpose purpose) {
    Recovery recovery(reactor, options, sink, purpose);
    co_return co_await recovery.run();
}

}  // namespace kv::wal
