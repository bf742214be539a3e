#include "tests/unit/snapshot/snapshot_file.h"

#include "proto/base/checksum.h"

namespace kv::snapshot {

namespace {

MutableBytes bytes_of(std::string& text) {
    return {reinterpret_cast<std::byte*>(text.data()), text.size()};
}

}  // namespace

FileBuilder& FileBuilder::add(std::uint16_t section, std::string_view payload,
                              std::uint16_t flags) {
    std::string frame(frame_total_bytes(payload.size()), '\0');
    frame.replace(frame_header_bytes, payload.size(), payload);
    const std::uint64_t offset = at_.offset;
    seal_frame(bytes_of(frame), payload.size(), static_cast<SectionTag>(section), store_, group_,
               at_);
    if (flags != frame_critical) {
        store_le<std::uint16_t>(frame.data() + 6, flags);
        const std::uint64_t seed =
            mix_seed(mix_seed(store_.high, store_.low), mix_seed(group_.value(), offset));
        const Bytes bytes = as_bytes(frame);
        at_.previous = checksum(bytes.subspan(32), checksum(bytes.first(24), seed));
        store_le<std::uint64_t>(frame.data() + 24, at_.previous);
    }
    content_ += frame;
    return *this;
}

FileBuilder& FileBuilder::head(const Head& head) {
    std::string payload(head_bytes, '\0');
    encode_head(head, bytes_of(payload));
    return add(SectionTag::head, payload);
}

FileBuilder& FileBuilder::end(std::uint64_t entries_bytes, std::uint64_t keys) {
    std::string payload(end_bytes, '\0');
    encode_end({at_.number, entries_bytes, keys}, bytes_of(payload));
    return add(SectionTag::end, payload);
}

std::string small_file() {
    return FileBuilder()
        .head()
        .add(SectionTag::slots, "slots")
        .add(SectionTag::configuration, "configuration")
        .add(SectionTag::entries, "some entries")
        .end(12)
        .content();
}

Status parse(std::string_view content, Sink& sink, StoreId store, SnapshotFile file) {
    Parser parser(store, file, sink);
    while (true) {
        const std::string_view rest = content.substr(parser.offset());
        if (rest.empty() && parser.ended()) return {};
        const std::string piece(rest.substr(0, frame_bytes_max));  // of its own, for ASan
        if (const auto taken = parser.take(as_bytes(piece)); !taken) return fail(taken.error());
    }
}

}  // namespace kv::snapshot
