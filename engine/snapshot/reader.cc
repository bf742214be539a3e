#include "engine/snapshot/reader.h"

#include <fmt/format.h>

#include <utility>

#include "io/aligned_buffer.h"
#include "io/await.h"
#include "io/file.h"

namespace kv::snapshot {

namespace {

constexpr std::uint16_t number_of(SectionTag section) noexcept {
    return static_cast<std::uint16_t>(section);
}

/// Whose file this is when it is not `store`'s: one whose first frame validates for the store that
/// it names.
bool of_another_store(Bytes bytes, GroupId group, StoreId store) {
    if (bytes.size() < frame_header_bytes + head_bytes) return false;
    const std::byte* head = bytes.data() + frame_header_bytes;
    const StoreId named{load_le<std::uint64_t>(head + 16), load_le<std::uint64_t>(head + 24)};
    FramePosition at;
    return named != store && decode_frame(bytes, named, group, at).has_value();
}

Error with_place(const Error& error, const std::string& path, std::uint64_t offset) {
    switch (error.code) {
        case Errc::truncated:
        case Errc::corrupt:
            return Error{Errc::damaged,
                         fmt::format("{} is damaged at offset {}: {}. Acknowledged data cannot be "
                                     "read back from it; nothing was changed. Restore the file "
                                     "from a backup, or move the data directory away to start "
                                     "empty",
                                     path, offset, error.text())};
        case Errc::unsupported:
            return Error{Errc::foreign,
                         fmt::format("{} at offset {}: {}; use the version that wrote it, or a "
                                     "newer",
                                     path, offset, error.text())};
        case Errc::foreign: return Error{Errc::foreign, fmt::format("{}: {}", path, error.text())};
        default: return error;
    }
}

}  // namespace

Status Parser::take_head(const Frame& frame) {
    KV_TRY(head_, decode_head(frame.payload));
    if (head_.store != store_ || head_.group != file_.group || head_.index != file_.number) {
        return fail(Errc::corrupt,
                    fmt::format("a snapshot of group {} up to entry {} under another name",
                                head_.group.value(), head_.index.value()));
    }
    return sink_.on_head(head_);
}

Status Parser::take_end(const Frame& frame) {
    KV_TRY(const End end, decode_end(frame.payload));
    if (end.frames + 1 != at_.number || end.entries_bytes != entries_bytes_ ||
        end.keys != head_.keys) {
        return fail(Errc::corrupt, "the totals at the end disagree");
    }
    ended_ = true;
    return sink_.on_end();
}

Status Parser::take_section(const Frame& frame) {
    if (last_section_ == 0 && frame.section != number_of(SectionTag::head)) {
        return fail(Errc::corrupt, "the head is missing");
    }
    const bool known = frame.section >= number_of(SectionTag::head) &&
                       frame.section <= number_of(SectionTag::end) &&
                       frame.section != number_of(SectionTag::sessions);
    if (!known && !frame.critical) return {};
    if (!known) {
        return fail(Errc::unsupported, fmt::format("a critical section {}", frame.section));
    }
    const auto section = static_cast<SectionTag>(frame.section);
    const std::uint16_t before = std::exchange(last_section_, frame.section);
    const bool repeated = section == SectionTag::entries && before == frame.section;
    if (frame.section <= before && !repeated) {
        return fail(Errc::corrupt, fmt::format("section {} out of order", frame.section));
    }
    const bool complete = frame.section <= number_of(SectionTag::configuration)
                              ? frame.section == before + 1
                              : before >= number_of(SectionTag::configuration);
    if (!complete) return fail(Errc::corrupt, "a section is missing");
    switch (section) {
        case SectionTag::head: return take_head(frame);
        case SectionTag::slots: return sink_.on_slots(frame.payload);
        case SectionTag::configuration: return sink_.on_configuration(frame.payload);
        case SectionTag::sessions: break;  // unknown, above
        case SectionTag::entries:
            entries_bytes_ += frame.payload.size();
            return sink_.on_entries(frame.payload);
        case SectionTag::end: return take_end(frame);
    }
    KV_UNREACHABLE();
}

Result<std::size_t> Parser::take(Bytes bytes) {
    if (ended_) return fail(Errc::corrupt, "bytes behind the end");
    const FramePosition before = at_;
    auto frame = decode_frame(bytes, store_, file_.group, at_);
    if (!frame) {
        if (before.number == 0 && of_another_store(bytes, file_.group, store_)) {
            return fail(Errc::foreign, "belongs to another data directory; move it away");
        }
        return fail(std::move(frame.error()));
    }
    const Status taken = take_section(*frame);
    if (!taken) {
        at_ = before;  // for whoever tells the place
        return fail(taken.error());
    }
    return frame->total_bytes;
}

Result<std::size_t> FrameCheck::take(Bytes bytes) {
    if (!begun_ && bytes.size() >= frame_header_bytes) {
        at_.number = load_le<std::uint32_t>(bytes.data() + 12);
        at_.previous = load_le<std::uint64_t>(bytes.data() + 16);
        begun_ = true;
    }
    std::size_t taken = 0;
    while (taken < bytes.size()) {
        auto frame = decode_frame(bytes.subspan(taken), store_, group_, at_);
        if (!frame && taken != 0) break;  // it comes again, as the first
        if (!frame) return fail(std::move(frame.error()));
        taken += frame->total_bytes;
    }
    return taken;
}

io::Task<Result<Head>> read_snapshot(io::Reactor& reactor, std::string directory, SnapshotFile file,
                                     StoreId store, Sink& sink, std::uint64_t& bytes_done) {
    const std::string path = directory + "/" + file.name();
    KV_CO_TRY(io::File input, co_await io::File::open(reactor, path, 0));
    Parser parser(store, file, sink);
    io::AlignedBuffer buffer(frame_bytes_max);
    Status status;
    while (status) {
        const MutableBytes to = buffer.first(frame_bytes_max);
        Result<std::size_t> read = co_await input.read_at(parser.offset(), to);
        if (!read) {
            status = fail(std::move(read.error()));
            break;
        }
        if (*read == 0 && parser.ended()) break;
        const Bytes bytes = buffer.first(*read);
        auto taken = parser.take(bytes);
        if (taken) {
            bytes_done += *taken;
        } else {
            status = fail(with_place(taken.error(), path, parser.offset()));
        }
    }
    co_await input.close();
    if (!status) co_return fail(std::move(status.error()));
    co_return parser.head();
}

}  // namespace kv::snapshot
