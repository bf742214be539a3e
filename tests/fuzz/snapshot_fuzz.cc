// libFuzzer: a snapshot, from a file or from another node. The first byte chooses: its bytes as
// they are; frames with right checksums behind a head that is in order; the stream of entries
// alone, in pieces, which must end as it does in one piece.

#include <cstring>
#include <string>

#include "engine/snapshot/reader.h"
#include "engine/store/cut.h"
#include "engine/store/store.h"

namespace {

using namespace kv;

constexpr StoreId store_id{1, 2};
constexpr GroupId group{3};
constexpr Index last{9};

struct Loading final : snapshot::Sink {
    Loading() : store(slab, 5) {}
    Status on_head(const snapshot::Head& head) override {
        loader.emplace(store, head.revision);
        keys = head.keys;
        return {};
    }
    Status on_slots(Bytes) override { return {}; }
    Status on_configuration(Bytes) override { return {}; }
    Status on_entries(Bytes bytes) override { return loader->feed(bytes); }
    Status on_end() override { return loader->finish(keys); }

    Slab slab;
    Store store;
    std::optional<StoreLoader> loader;
    std::uint64_t keys = 0;
};

void take_file(Bytes bytes) {
    Loading loading;
    snapshot::Parser parser(store_id, {group, last}, loading);
    while (!bytes.empty()) {
        const auto taken = parser.take(bytes);
        if (!taken) return;
        KV_ASSERT(*taken != 0 && *taken <= bytes.size());
        bytes = bytes.subspan(*taken);
    }
}

void add_frame(std::string& file, std::uint8_t section, Bytes payload,
               snapshot::FramePosition& at) {
    const std::size_t begin = file.size();
    file.resize(begin + snapshot::frame_total_bytes(payload.size()));
    char* const frame = file.data() + begin;
    if (!payload.empty()) {
        std::memcpy(frame + snapshot::frame_header_bytes, payload.data(), payload.size());
    }
    snapshot::seal_frame({reinterpret_cast<std::byte*>(frame), file.size() - begin}, payload.size(),
                         static_cast<snapshot::SectionTag>(section), store_id, group, at);
}

/// Each frame: a section, two bytes of length, so many bytes.
void seal_and_take(Bytes bytes) {
    std::string file;
    snapshot::FramePosition at;
    std::byte head[snapshot::head_bytes];
    snapshot::encode_head({store_id, group, last, Term(2), 0, Revision(100), 1}, head);
    add_frame(file, 1, head, at);
    while (bytes.size() > 3) {
        const auto section = static_cast<std::uint8_t>(bytes[0]);
        const std::size_t wanted = load_le<std::uint16_t>(bytes.data() + 1);
        bytes = bytes.subspan(3);
        const std::size_t taken = std::min(wanted, bytes.size());
        add_frame(file, section, bytes.first(taken), at);
        bytes = bytes.subspan(taken);
    }
    take_file(as_bytes(file));
}

void take_entries(Bytes bytes) {
    if (bytes.empty()) return;
    const std::size_t piece = static_cast<std::size_t>(bytes[0]) + 1;
    bytes = bytes.subspan(1);
    Loading whole;
    Loading pieces;
    StoreLoader one(whole.store, Revision(100));
    StoreLoader other(pieces.store, Revision(100));
    const bool right = one.feed(bytes).has_value();
    bool same = true;
    for (Bytes rest = bytes; !rest.empty() && same;) {
        const std::size_t taken = std::min(piece, rest.size());
        same = other.feed(rest.first(taken)).has_value();
        rest = rest.subspan(taken);
    }
    KV_ASSERT(right == same);
    if (!right) return;
    KV_ASSERT(whole.store.size() == pieces.store.size());
    KV_ASSERT(one.finish(whole.store.size()).has_value() ==
              other.finish(pieces.store.size()).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
    if (bytes.empty()) return 0;
    switch (data[0] % 3) {
        case 0: take_file(bytes.subspan(1)); break;
        case 1: seal_and_take(bytes.subspan(1)); break;
        case 2: take_entries(bytes.subspan(1)); break;
    }
    return 0;
}
