// libFuzzer: whatever arrives on a connection between nodes. The first byte chooses: a run of
// frames as it is; the rest as the payload of a frame with right checksums, of the kind that the
// second byte names; a handshake.

#include <array>
#include <string>

#include "proto/raft/handshake.h"
#include "proto/raft/snapshot_frame.h"

namespace {

using namespace kv;

constexpr Route route{NodeId(1), NodeId(2)};
constexpr std::uint16_t cores = 3;

struct Routes final : FrameRoutes {
    CoreId core_of(GroupId group) noexcept override {
        return CoreId(static_cast<std::uint16_t>(group.value() % cores));
    }
    CoreId core_of_request(std::uint64_t request) noexcept override {
        return CoreId(static_cast<std::uint16_t>(request % cores));
    }
    std::string& block_of(CoreId core, NodeId) noexcept override {
        KV_ASSERT(core != CoreId(0));
        return blocks[core.value()];
    }
    std::array<std::string, cores> blocks;
};

void take(const Frame& frame) {
    Routes routes;
    Inbox inbox;
    const Status whole = split_by_core(frame, route, CoreId(0), routes, inbox);
    for (const std::string& block : routes.blocks) {
        Inbox there;
        const Status status = read_block(as_bytes(block), route, there);
        // Only what its own core verifies may still be wrong: the messages.
        KV_ASSERT(status || !whole || frame.kind == FrameKind::messages);
    }
    static_cast<void>(decode_snapshot_begin(frame, route));
    static_cast<void>(decode_snapshot_resume(frame));
    static_cast<void>(decode_snapshot_chunk(frame));
    static_cast<void>(decode_snapshot_end(frame));
}

void take_run(Bytes bytes) {
    FrameSeal seal(1, 2);
    while (!bytes.empty()) {
        const auto frame = decode_frame(bytes, seal);
        if (!frame) return;
        take(*frame);
        bytes = bytes.subspan(frame_header_bytes + frame->payload.size());
    }
}

void take_payload(Bytes bytes) {
    if (bytes.empty()) return;
    std::string frame;
    const std::size_t at = begin_frame(static_cast<FrameKind>(bytes[0]), frame);
    frame.append(as_text(bytes.subspan(1)));
    end_frame(frame, at);
    FrameSeal seal(1, 2);
    seal_frames(frame, seal);
    take_run(as_bytes(frame));
    Inbox inbox;
    static_cast<void>(read_block(bytes.subspan(1), route, inbox));
}

void take_handshake(Bytes bytes) {
    std::size_t consumed = 0;
    const auto theirs = decode_handshake(bytes, consumed);
    if (!theirs) return;
    KV_ASSERT(consumed >= handshake_bytes_min && consumed <= bytes.size());
    Handshake own;
    own.node = NodeId(1);
    const auto refusal = judge(own, *theirs, {true, {}, 0});
    if (refusal) static_cast<void>(refusal_sentence(*refusal, own, *theirs));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
    if (bytes.empty()) return 0;
    switch (data[0] % 3) {
        case 0: take_run(bytes.subspan(1)); break;
        case 1: take_payload(bytes.subspan(1)); break;
        case 2: take_handshake(bytes.subspan(1)); break;
    }
    return 0;
}
