#include "proto/raft/snapshot_frame.h"

#include <fmt/format.h>

namespace kv {

namespace {

constexpr std::size_t begin_fixed_bytes = 24;

template <typename T>
void append_le(std::string& out, T value) {
    char bytes[sizeof(T)];
    store_le(bytes, value);
    out.append(bytes, sizeof bytes);
}

Status expect(const Frame& frame, FrameKind kind, std::size_t bytes_min, std::size_t bytes_max) {
    if (frame.kind != kind) {
        return fail(Errc::corrupt,
                    fmt::format("a frame of kind {} where one of kind {} belongs",
                                static_cast<unsigned>(frame.kind), static_cast<unsigned>(kind)));
    }
    if (frame.payload.size() < bytes_min || frame.payload.size() > bytes_max) {
        return fail(Errc::corrupt, fmt::format("a frame of kind {} with {} bytes",
                                               static_cast<unsigned>(kind), frame.payload.size()));
    }
    return {};
}

void encode_number(FrameKind kind, std::uint64_t number, std::string& out) {
    const std::size_t at = begin_frame(kind, out);
    append_le(out, number);
    end_frame(out, at);
}

Result<std::uint64_t> decode_number(const Frame& frame, FrameKind kind) {
    KV_CHECK(expect(frame, kind, 8, 8));
    return load_le<std::uint64_t>(frame.payload.data());
}

}  // namespace

Status encode_snapshot_begin(const SnapshotBegin& begin, std::string& out) {
    KV_ASSERT(std::holds_alternative<SnapshotRequest>(begin.request.body));
    std::string configuration;
    encode_configuration(begin.configuration, configuration);
    const std::size_t bytes =
        begin_fixed_bytes + configuration.size() + encoded_bytes(begin.request);
    if (bytes > frame_payload_bytes_max) {
        return fail(Errc::too_large, "the configuration is too long for a frame");
    }
    const std::size_t at = begin_frame(FrameKind::snapshot_begin, out);
    append_le<std::uint64_t>(out, begin.snapshot);
    append_le<std::uint64_t>(out, begin.size);
    append_le<std::uint32_t>(out, static_cast<std::uint32_t>(configuration.size()));
    append_le<std::uint32_t>(out, 0);
    out.append(configuration);
    encode_message(begin.request, out);
    end_frame(out, at);
    return {};
}

void encode_snapshot_resume(std::uint64_t offset, std::string& out) {
    encode_number(FrameKind::snapshot_resume, offset, out);
}

void encode_snapshot_chunk(const SnapshotChunk& chunk, std::string& out) {
    KV_ASSERT(!chunk.bytes.empty() && chunk.bytes.size() <= snapshot_chunk_bytes_max);
    const std::size_t at = begin_frame(FrameKind::snapshot_chunk, out);
    append_le(out, chunk.offset);
    out.append(as_text(chunk.bytes));
    end_frame(out, at);
}

void encode_snapshot_end(std::uint64_t checksum, std::string& out) {
    encode_number(FrameKind::snapshot_end, checksum, out);
}

Result<SnapshotBegin> decode_snapshot_begin(const Frame& frame, Route route) {
    KV_CHECK(expect(frame, FrameKind::snapshot_begin, begin_fixed_bytes + message_header_bytes,
                    frame_payload_bytes_max));
    const std::byte* const at = frame.payload.data();
    SnapshotBegin begin;
    begin.snapshot = load_le<std::uint64_t>(at);
    begin.size = load_le<std::uint64_t>(at + 8);
    const std::size_t configuration_bytes = load_le<std::uint32_t>(at + 16);
    const Bytes rest = frame.payload.subspan(begin_fixed_bytes);
    if (load_le<std::uint32_t>(at + 20) != 0) return fail(Errc::unsupported);
    if (configuration_bytes > rest.size()) {
        return fail(Errc::corrupt, "a configuration beyond its frame");
    }
    const auto configuration = decode_configuration(rest.first(configuration_bytes));
    if (!configuration) return fail(Errc::corrupt, configuration.error().text());
    begin.configuration = *configuration;
    const Status decoded = decode_message(rest.subspan(configuration_bytes), route, begin.request);
    if (!decoded) return fail(Errc::corrupt, decoded.error().text());
    if (!std::holds_alternative<SnapshotRequest>(begin.request.body)) {
        return fail(Errc::corrupt, "a snapshot that begins with another message");
    }
    return begin;
}

Result<std::uint64_t> decode_snapshot_resume(const Frame& frame) {
    return decode_number(frame, FrameKind::snapshot_resume);
}

Result<SnapshotChunk> decode_snapshot_chunk(const Frame& frame) {
    KV_CHECK(expect(frame, FrameKind::snapshot_chunk, 9, frame_payload_bytes_max));
    return SnapshotChunk{load_le<std::uint64_t>(frame.payload.data()), frame.payload.subspan(8)};
}

Result<std::uint64_t> decode_snapshot_end(const Frame& frame) {
    return decode_number(frame, FrameKind::snapshot_end);
}

}  // namespace kv
