#include "engine/snapshot/writer.h"

#include <algorithm>
#include <array>

#include "io/aligned_buffer.h"
#include "io/await.h"
#include "io/event.h"
#include "io/file.h"
#include "proto/base/mutant.h"

namespace kv::snapshot {

namespace {

class Writer {
public:
    Writer(io::Reactor& reactor, const WriteOptions& options, const Content& content,
           Source& source)
        : reactor_(reactor),
          options_(options),
          content_(content),
          source_(source),
          wake_(reactor) {}

    io::Task<Result<Written>> run();

private:
    struct Buffer {
        io::AlignedBuffer memory;
        std::size_t payload_bytes = 0;
        std::size_t total_bytes = 0;
        std::uint64_t offset = 0;
        bool writing = false;
    };

    io::Task<Status> write_all();
    io::Task<Status> write_entries();
    io::Task<Buffer*> free_buffer();
    io::Task<Status> write_section(SectionTag section, std::string payload);
    void start_write(Buffer& buffer, SectionTag section);
    io::Task<void> write(Buffer& buffer);
    io::Task<void> all_written();
    io::Task<void> pause();
    bool idle() const noexcept;

    io::Reactor& reactor_;
    const WriteOptions& options_;
    const Content& content_;
    Source& source_;
    io::Event wake_;  ///< a write has ended
    io::File file_;
    std::array<Buffer, write_buffers> buffers_;
    FramePosition position_;
    std::uint64_t entries_bytes_ = 0;
    Status status_;  ///< of the first write that failed
};

bool Writer::idle() const noexcept {
    for (const Buffer& buffer : buffers_) {
        if (buffer.writing) return false;
    }
    return true;
}

io::Task<void> Writer::write(Buffer& buffer) {
    const Bytes bytes = buffer.memory.first(buffer.total_bytes);
    Status status = co_await file_.write_at(buffer.offset, bytes, false);
    if (!status && status_) status_ = std::move(status);
    buffer.writing = false;
    buffer.payload_bytes = 0;
    wake_.set();
}

void Writer::start_write(Buffer& buffer, SectionTag section) {
    buffer.total_bytes = frame_total_bytes(buffer.payload_bytes);
    buffer.offset = position_.offset;
    seal_frame(buffer.memory.first(buffer.total_bytes), buffer.payload_bytes, section,
               content_.head.store, content_.head.group, position_);
    buffer.writing = true;
    reactor_.spawn(write(buffer));
}

/// The one that is being filled, or else a free one.
io::Task<Writer::Buffer*> Writer::free_buffer() {
    while (true) {
        for (Buffer& buffer : buffers_) {
            if (buffer.writing) continue;
            buffer.memory.reserve(frame_bytes_max, 0);
            co_return &buffer;
        }
        wake_.reset();
        co_await wake_.wait();
    }
}

io::Task<void> Writer::all_written() {
    while (!idle()) {
        wake_.reset();
        co_await wake_.wait();
    }
}

/// Leaves the disk to others once the frame that was started last is written.
io::Task<void> Writer::pause() {
    const Instant started = reactor_.backend().now();
    co_await all_written();
    const Duration took = reactor_.backend().now() - started;
    co_await io::SleepAwaiter(reactor_, std::clamp(4 * took, pause_min, pause_max));
}

io::Task<Status> Writer::write_section(SectionTag section, std::string payload) {
    Buffer* const buffer = co_await free_buffer();
    KV_ASSERT(payload.size() <= payload_bytes_max);
    copy_exact(buffer->memory.first(frame_bytes_max).subspan(frame_header_bytes),
               as_bytes(payload));
    buffer->payload_bytes = payload.size();
    start_write(*buffer, section);
    co_return status_;
}

io::Task<Status> Writer::write_entries() {
    std::size_t frames = 0;
    while (status_ && !source_.stopped()) {
        Buffer* const buffer = co_await free_buffer();
        const MutableBytes room = buffer->memory.first(frame_bytes_max)
                                      .subspan(frame_header_bytes + buffer->payload_bytes);
        buffer->payload_bytes += source_.read(room);
        if (source_.stopped()) break;
        const bool ended = source_.ended();
        const bool full = buffer->payload_bytes == payload_bytes_max;
        if (full || (ended && buffer->payload_bytes != 0)) {
            entries_bytes_ += buffer->payload_bytes;
            start_write(*buffer, SectionTag::entries);
        }
        if (ended) co_return status_;
        const std::size_t frames_max = source_.frames_per_turn();
        if (full && ++frames < frames_max) continue;
        frames = 0;
        if (full && frames_max == 0) {
            co_await pause();
        } else {
            co_await io::NextTurn(reactor_);
        }
    }
    if (!status_) co_return status_;
    co_return fail(Errc::canceled, "the snapshot was given up");
}

io::Task<Status> Writer::write_all() {
    std::string head(head_bytes, '\0');
    encode_head(content_.head, {reinterpret_cast<std::byte*>(head.data()), head.size()});
    KV_CO_CHECK(co_await write_section(SectionTag::head, std::move(head)));
    KV_CO_CHECK(co_await write_section(SectionTag::slots, content_.slots));
    KV_CO_CHECK(co_await write_section(SectionTag::configuration, content_.configuration));
    KV_CO_CHECK(co_await write_entries());
    const End totals{position_.number, entries_bytes_, content_.head.keys};
    std::string end(end_bytes, '\0');
    encode_end(totals, {reinterpret_cast<std::byte*>(end.data()), end.size()});
    KV_CO_CHECK(co_await write_section(SectionTag::end, std::move(end)));
    co_await all_written();
    KV_CO_CHECK(status_);
    if (mutant(Mutant::m45_unsynced_snapshot)) co_return Status{};
    co_return co_await file_.sync();
}

io::Task<Result<Written>> Writer::run() {
    Written written;
    written.file = {content_.head.group, content_.head.index};
    const std::string path = options_.directory + "/" + written.file.name();
    const std::string temporary = path + std::string(temporary_suffix);
    // What a crash left under that name may be longer.
    Status status = co_await io::remove_file(reactor_, temporary);
    if (!status && status.error().code != Errc::not_found) co_return fail(status.error());
    const std::uint32_t direct = options_.direct ? io::open_direct : 0u;
    KV_CO_TRY(file_, co_await io::File::open(reactor_, temporary,
                                             io::open_write | io::open_create | direct));
    status = co_await write_all();
    co_await all_written();
    co_await file_.close();
    if (status) status = co_await io::rename_file(reactor_, temporary, path);
    const bool skip = mutant(Mutant::m46_unsynced_name);
    if (status && !skip) status = co_await io::sync_directory(reactor_, options_.directory);
    if (!status) {
        const Status removed = co_await io::remove_file(reactor_, temporary);
        static_cast<void>(removed);  // the next snapshot, or the next start, tries again
        co_return fail(status.error());
    }
    written.bytes = position_.offset;
    co_return written;
}

}  // namespace

io::Task<Result<Written>> write_snapshot(io::Reactor& reactor, WriteOptions options,
                                         Content content, Source& source) {
    Writer writer(reactor, options, content, source);
    co_return co_await writer.run();
}

}  // namespace kv::snapshot
