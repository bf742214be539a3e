#include "tests/support/rot.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "engine/wal/record.h"
#include "engine/wal/segment.h"

namespace kv::sim {

namespace {

/// A part of a file, a whole number of blocks.
struct Place {
    std::string path;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

struct Segment {
    wal::SegmentHeader header;
    std::string path;
    std::string content;
};

std::vector<Segment> segments_in(const io::SimDisk& disk, const std::string& directory) {
    std::vector<Segment> segments;
    for (const std::string& name : disk.list(directory)) {
        const std::string path = directory + "/" + name;
        auto content = disk.durable(path);
        if (!wal::SegmentFile::parse(name) || !content) continue;
        const auto header = wal::decode_segment_header(as_bytes(*content));
        if (header && header->segment.value() != 0)
            segments.push_back({*header, path, std::move(*content)});
    }
    return segments;
}

/// What the batches of the newest segment call durable among themselves.
Place proven_part(const Segment& segment) {
    struct Batch {
        Lsn lsn;
        std::uint64_t end;
    };
    std::vector<Batch> batches;
    Lsn synced;
    const Bytes bytes = as_bytes(segment.content);
    std::uint64_t offset = wal::segment_header_bytes;
    while (offset < bytes.size()) {
        const auto batch =
            wal::decode_batch_header(bytes.subspan(offset), segment.header.store, offset);
        if (!batch || batch->segment != segment.header.segment) break;
        if (!wal::decode_batch_payload(bytes.subspan(offset), *batch, offset)) break;
        offset += batch->total_bytes();
        batches.push_back({batch->lsn, offset});
        synced = std::max(synced, batch->synced_lsn);
    }
    Place place{segment.path, wal::segment_header_bytes, wal::segment_header_bytes};
    for (const Batch& batch : batches) {
        if (batch.lsn <= synced) place.end = batch.end;
    }
    // Who is the proof must not rot.
    if (!batches.empty() && place.end == batches.back().end) place.end = place.begin;
    return place;
}

std::vector<Place> proven_places(const io::SimDisk& disk, const std::string& data_directory) {
    std::vector<Place> places;
    const std::vector<Segment> segments = segments_in(disk, data_directory + "/wal");
    for (const Segment& one : segments) {
        bool newest = true;
        bool needed = false;
        for (const Segment& other : segments) {
            const bool same = other.header.generation == one.header.generation &&
                              other.header.core == one.header.core;
            if (!same || other.header.segment <= one.header.segment) continue;
            newest = false;
            needed = needed || other.header.first_segment <= one.header.segment;
        }
        if (newest) places.push_back(proven_part(one));
        if (needed) places.push_back({one.path, 0, one.content.size()});
    }
    const std::string snapshots = data_directory + "/snapshots";
    for (const std::string& name : disk.list(snapshots)) {
        const std::string path = snapshots + "/" + name;
        const auto content = disk.durable(path);
        if (name.ends_with(".snap") && content) places.push_back({path, 0, content->size()});
    }
    std::erase_if(places, [](const Place& place) { return place.begin == place.end; });
    return places;
}

}  // namespace

std::optional<std::string> rot_something(io::SimDisk& disk, const std::string& data_directory,
                                         Prng& prng) {
    const std::vector<Place> places = proven_places(disk, data_directory);
    if (places.empty()) return std::nullopt;
    const Place& place = places[prng.below(places.size())];
    const std::uint64_t offset = prng.between(place.begin, place.end - 1);
    const std::uint64_t block = offset / io::block_bytes * io::block_bytes;
    const std::uint64_t other =
        prng.between(place.begin, place.end - 1) / io::block_bytes * io::block_bytes;
    if (other != block && prng.chance(0.3)) {
        const std::string content = *disk.durable(place.path);
        const Bytes copy = as_bytes(content).subspan(other, io::block_bytes);
        if (!disk.overwrite(place.path, block, copy)) return std::nullopt;
        return fmt::format("{} has at offset {} what was written for {}", place.path, block, other);
    }
    if (!disk.flip_bit(place.path, offset * 8 + prng.below(8))) return std::nullopt;
    return fmt::format("{} has rotted at offset {}", place.path, offset);
}

}  // namespace kv::sim
