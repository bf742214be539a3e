#include "engine/replica/snapshot_sender.h"

#include <fmt/format.h>

#include "engine/snapshot/reader.h"
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
    std::optional<Snapshots::File> file = snapshots_.newest(asked.shard);
    if (file && snapshots_.stale(asked.shard)) {
        co_await await_fresh(asked.shard);
        file = snapshots_.newest(asked.shard);
    }
    if (file && file->position.index < asked.send.covers) file.reset();
    Status status;
    if (file && routes_ != nullptr && !stopping_) {
        const std::uint64_t before = counters_.bytes;
        snapshots_.hold(asked.shard, file->position.index);
        status = co_await send_to(&asked, &*file);
        const Duration after_failure = counters_.bytes > before ? resume_within : Duration::zero();
        snapshots_.let_go(asked.shard, status ? answer_within : after_failure);
    } else {
        snapshots_.ask(asked.shard);
        status = fail(Errc::not_found, "there is none yet that reaches far enough");
    }
    if (status) {
        ++counters_.sent;
        log::info("a snapshot was sent to a follower", log::field("shard", asked.shard.value()),
                  log::field("peer", asked.send.to.value()),
                  log::field("index", file->position.index.value()));
    } else if (!stopping_) {
        if (status.error().code == Errc::damaged) {
            ++counters_.damaged;
            snapshots_.distrust(asked.shard, file->position.index);
        }
        report(asked, status.error());
        co_await io::SleepAwaiter(reactor_, retry_pause);
    }
    if (!stopping_) owner_.on_snapshot_sent(asked.shard, asked.send.request, status.has_value());
}

/// What is sent should not be older than need be: the log behind it waits for the follower.
io::Task<void> SnapshotSender::await_fresh(ShardId shard) {
    snapshots_.ask(shard);
    const std::uint64_t setbacks = snapshots_.setbacks();
    const Instant until = reactor_.now() + fresh_within;
    while (!stopping_ && snapshots_.on_its_way(shard) && snapshots_.setbacks() == setbacks &&
           reactor_.now() < until) {
        co_await io::SleepAwaiter(reactor_, fresh_check_period);
    }
}

void SnapshotSender::report(const Asked& asked, const Error& error) {
    ++counters_.failed;
    if (error.code == Errc::damaged) {
        log::error(
            "a snapshot cannot be read back: it is not sent to a follower, and another "
            "one is taken",
            log::field("shard", asked.shard.value()), log::field("peer", asked.send.to.value()),
            log::field("error", error.text()));
        return;
    }
    std::uint64_t passed_over = 0;
    if (!log_rate_.allow(reactor_.now(), passed_over)) return;
    log::warn("a snapshot was not sent to a follower, trying again",
              log::field("shard", asked.shard.value()), log::field("peer", asked.send.to.value()),
              log::field("why", error.text()), log::field("passed_over", passed_over));
}

io::Task<Status> SnapshotSender::send_to(const Asked* asked, const Snapshots::File* place) {
    const auto endpoint = routes_->endpoint_of(asked->send.to);
    if (!endpoint) co_return fail(Errc::io, "its address is not known");
    Source source;
    source.shard = asked->shard;
    source.path = place->path;
    source.position = place->position;
    KV_CO_TRY(source.file, co_await io::File::open(reactor_, source.path, 0));
    link_ = std::make_unique<consensus::SnapshotLink>(reactor_, routes_->book());
    const consensus::PeerAddress peer{asked->send.to, *endpoint};
    const auto shards = static_cast<std::uint16_t>(replicas_.size());
    Status status = co_await link_->connect(peer, asked->shard, shards);
    if (status) status = co_await send_file(asked, &source);
    co_await link_->close(false);
    link_.reset();
    co_await source.file.close();
    co_return status;
}

io::Task<Status> SnapshotSender::read(const Source* source, std::uint64_t offset, MutableBytes to) {
    const Result<std::size_t> got = co_await source->file.read_at(offset, to);
    if (got && *got == to.size()) co_return Status{};
    const std::string why = got ? "the file was cut" : got.error().text();
    co_return fail(Errc::damaged, fmt::format("{} at offset {}: {}", source->path, offset, why));
}

io::Task<Status> SnapshotSender::send_file(const Asked* asked, Source* source) {
    KV_CO_TRY(const io::FileInfo info, co_await io::stat_file(reactor_, source->path));
    source->size = info.bytes;
    if (source->size < io::block_bytes) {
        co_return fail(Errc::damaged, fmt::format("{} was cut", source->path));
    }
    // Two files of one position need not be equal; the last frame names all before it.
    io::AlignedBuffer last_block(io::block_bytes);
    const MutableBytes name = last_block.first(io::block_bytes);
    KV_CO_CHECK(co_await read(source, source->size - io::block_bytes, name));
    SnapshotBegin begin;
    begin.snapshot = checksum(name, source->size);
    begin.size = source->size;
    begin.configuration = replicas_[asked->shard.value()]->group().configuration();
    begin.request = asked->send.request;
    begin.request.body = SnapshotRequest{source->position};
    std::string frame;
    KV_CO_CHECK(encode_snapshot_begin(begin, frame));
    KV_CO_CHECK(co_await link_->send(std::move(frame)));
    KV_CO_TRY(const auto answer, co_await link_->receive());
    KV_CO_TRY(const std::uint64_t offset, decode_snapshot_resume(answer.frame()));
    if (offset > begin.size) co_return fail(Errc::corrupt, "it has more than there is");
    if (offset % io::block_bytes != 0) co_return fail(Errc::corrupt, "it has a part of a frame");
    if (offset != 0) ++counters_.resumed;
    const std::uint64_t from = mutant(Mutant::m49_resume_from_start) ? 0 : offset;
    KV_CO_CHECK(co_await send_frames(source, from));
    std::string end;
    encode_snapshot_end(begin.snapshot, end);
    KV_CO_CHECK(co_await link_->send(std::move(end)));
    // It says once more what it has, when it has it durably.
    KV_CO_TRY(const auto last, co_await link_->receive());
    KV_CO_TRY(const std::uint64_t taken, decode_snapshot_resume(last.frame()));
    if (taken != begin.size) co_return fail(Errc::io, "it did not take it");
    co_return Status{};
}

/// Whole frames are read, checked and sent.
io::Task<Status> SnapshotSender::send_frames(const Source* source, std::uint64_t offset) {
    io::AlignedBuffer buffer(snapshot::frame_bytes_max);
    snapshot::FrameCheck check(snapshots_.options().store, Placement::group_of(source->shard),
                               offset);
    while (check.offset() < source->size) {
        const std::uint64_t at = check.offset();
        const auto wanted = std::min<std::uint64_t>(snapshot::frame_bytes_max, source->size - at);
        const MutableBytes to = buffer.first(static_cast<std::size_t>(wanted));
        KV_CO_CHECK(co_await read(source, at, to));
        const Result<std::size_t> whole = check.take(to);
        if (!whole) {
            const std::string why = whole.error().text();
            co_return fail(Errc::damaged,
                           fmt::format("{} at offset {}: {}", source->path, check.offset(), why));
        }
        const Bytes frames = to.first(*whole);
        KV_CO_CHECK(co_await send_chunks(frames, at));
    }
    co_return Status{};
}

io::Task<Status> SnapshotSender::send_chunks(Bytes bytes, std::uint64_t offset) {
    for (std::size_t sent = 0; sent < bytes.size();) {
        const Bytes chunk = bytes.subspan(sent, std::min(chunk_bytes, bytes.size() - sent));
        std::string frame;
        encode_snapshot_chunk({offset + sent, chunk}, frame);
        KV_CO_CHECK(co_await link_->send(std::move(frame)));
        sent += chunk.size();
        counters_.bytes += chunk.size();
        const std::uint64_t rate = bytes_per_second_ * (snapshots_.urgent() ? urgent_factor : 1);
        const auto ns = static_cast<std::int64_t>(chunk.size() * 1'000'000'000 / rate);
        Instant next = reactor_.now() + std::chrono::nanoseconds(ns);
        const Instant until = next + (snapshots_.urgent() ? Duration{} : slow_wait_max);
        do {
            co_await io::SleepAwaiter(reactor_, next);
            next = reactor_.now() + slow_sync;
        } while (log_.oldest_write(reactor_.now()) > slow_sync && next < until && !stopping_);
    }
    co_return Status{};
}

}  // namespace kv
