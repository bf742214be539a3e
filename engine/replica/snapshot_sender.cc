#include "engine/replica/snapshot_sender.h"

#include "io/aligned_buffer.h"
#include "io/await.h"
#include "io/file.h"
#include "proto/base/checksum.h"
#include "proto/base/log.h"
#include "proto/base/mutant.h"

namespace kv {

SnapshotSender::SnapshotSender(io::Reactor& reactor, const wal::Wal& log, Snapshots& snapshots,
                               const std::vector<std::unique_ptr<Replica>>& replicas, Owner& owner,
                               std::uint64_t bytes_per_second)
    : reactor_(reactor),
      log_(log),
      snapshots_(snapshots),
      replicas_(replicas),
      owner_(owner),
      bytes_per_second_(bytes_per_second),
      wake_(reactor),
      ended_(reactor) {}

void SnapshotSender::ask(ShardId shard, const consensus::SnapshotSend& send) {
    if (stopping_) return;
    std::erase_if(queue_, [&](const Asked& asked) {
        return asked.shard == shard && asked.send.to == send.to;
    });
    queue_.push_back({shard, send});
    wake_.set();
}

void SnapshotSender::start() {
    started_ = true;
    reactor_.spawn(run());
}

io::Task<void> SnapshotSender::stop() {
    stopping_ = true;
    wake_.set();
    if (link_) link_->break_off("the node stops");
    if (started_) co_await ended_.wait();
}

io::Task<void> SnapshotSender::run() {
    while (!stopping_) {
        wake_.reset();
        if (queue_.empty()) {
            co_await wake_.wait();
            continue;
        }
        const Asked asked = queue_.front();
        queue_.pop_front();
        co_await serve(asked);
    }
    ended_.set();
}

io::Task<void> SnapshotSender::serve(Asked asked) {
    const std::optional<Snapshots::File> file = snapshots_.newest(asked.shard);
    Status status;
    if (file && routes_ != nullptr) {
        snapshots_.hold(asked.shard, true);
        status = co_await send_to(&asked, *file);
        snapshots_.hold(asked.shard, false);
    } else {
        snapshots_.ask(asked.shard);
        status = fail(Errc::not_found, "there is none yet");
    }
    if (status) {
        ++counters_.sent;
        log::info("a snapshot was sent to a follower", log::field("shard", asked.shard.value()),
                  log::field("peer", asked.send.to.value()),
                  log::field("index", file->position.index.value()));
    } else if (!stopping_) {
        ++counters_.failed;
        std::uint64_t passed_over = 0;
        if (log_rate_.allow(reactor_.now(), passed_over)) {
            log::warn(
                "a snapshot was not sent to a follower, trying again",
                log::field("shard", asked.shard.value()), log::field("peer", asked.send.to.value()),
                log::field("why", status.error().text()), log::field("passed_over", passed_over));
        }
        co_await io::SleepAwaiter(reactor_, retry_pause);
    }
    if (!stopping_) owner_.on_snapshot_sent(asked.shard, asked.send.to, status.has_value());
}

io::Task<Status> SnapshotSender::send_to(Asked* asked, Snapshots::File place) {
    const auto endpoint = routes_->endpoint_of(asked->send.to);
    if (!endpoint) co_return fail(Errc::io, "its address is not known");
    KV_CO_TRY(io::File file, co_await io::File::open(reactor_, place.path, 0));
    link_ = std::make_unique<consensus::SnapshotLink>(reactor_, routes_->book());
    const consensus::PeerAddress peer{asked->send.to, *endpoint};
    const auto shards = static_cast<std::uint16_t>(replicas_.size());
    Status status = co_await link_->connect(peer, asked->shard, shards);
    if (status) status = co_await send_file(asked, place, &file);
    co_await link_->close(false);
    link_.reset();
    co_await file.close();
    co_return status;
}

/// Two files of one position need not be equal; the last frame names all before it.
io::Task<Result<std::uint64_t>> SnapshotSender::name_bytes(const io::File* file,
                                                           std::uint64_t size) {
    io::AlignedBuffer block(io::block_bytes);
    const MutableBytes to = block.first(io::block_bytes);
    KV_CO_TRY(const std::size_t got, co_await file->read_at(size - io::block_bytes, to));
    if (got != to.size()) co_return fail(Errc::io, "the file was cut");
    co_return checksum(to, size);
}

io::Task<Status> SnapshotSender::send_file(Asked* asked, Snapshots::File place,
                                           const io::File* file) {
    KV_CO_TRY(const io::FileInfo info, co_await io::stat_file(reactor_, place.path));
    if (info.bytes < io::block_bytes) co_return fail(Errc::io, "the file was cut");
    SnapshotBegin begin;
    begin.size = info.bytes;
    KV_CO_TRY(begin.snapshot, co_await name_bytes(file, begin.size));
    begin.configuration = replicas_[asked->shard.value()]->group().configuration();
    begin.request = asked->send.request;
    begin.request.body = SnapshotRequest{place.position};
    std::string frame;
    KV_CO_CHECK(encode_snapshot_begin(begin, frame));
    KV_CO_CHECK(co_await link_->send(std::move(frame)));
    KV_CO_TRY(const auto answer, co_await link_->receive());
    KV_CO_TRY(const std::uint64_t offset, decode_snapshot_resume(answer.frame()));
    if (offset > begin.size) co_return fail(Errc::corrupt, "it has more than there is");
    if (offset != 0) ++counters_.resumed;
    const std::uint64_t from = mutant(Mutant::m49_resume_from_start) ? 0 : offset;
    KV_CO_CHECK(co_await send_chunks(file, from, begin.size));
    std::string end;
    encode_snapshot_end(begin.snapshot, end);
    KV_CO_CHECK(co_await link_->send(std::move(end)));
    // It says once more what it has, when it has it durably.
    KV_CO_TRY(const auto last, co_await link_->receive());
    KV_CO_TRY(const std::uint64_t taken, decode_snapshot_resume(last.frame()));
    if (taken != begin.size) co_return fail(Errc::io, "it did not take it");
    co_return Status{};
}

io::Task<Status> SnapshotSender::send_chunks(const io::File* file, std::uint64_t offset,
                                             std::uint64_t size) {
    io::AlignedBuffer buffer(chunk_bytes);
    Instant next = reactor_.now();
    while (offset < size) {
        const auto wanted = std::min<std::uint64_t>(chunk_bytes, size - offset);
        const MutableBytes to = buffer.first(static_cast<std::size_t>(wanted));
        KV_CO_TRY(const std::size_t got, co_await file->read_at(offset, to));
        if (got != to.size()) co_return fail(Errc::io, "the file was cut");
        std::string frame;
        encode_snapshot_chunk({offset, to}, frame);
        KV_CO_CHECK(co_await link_->send(std::move(frame)));
        offset += got;
        counters_.bytes += got;
        const auto ns = static_cast<std::int64_t>(got * 1'000'000'000 / bytes_per_second_);
        next = std::max(next, reactor_.now()) + std::chrono::nanoseconds(ns);
        do {
            co_await io::SleepAwaiter(reactor_, next);
            next = reactor_.now() + slow_sync;
        } while (log_.oldest_write(reactor_.now()) > slow_sync && !stopping_);
        next = reactor_.now();
    }
    co_return Status{};
}

}  // namespace kv
