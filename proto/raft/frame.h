#pragma once

/// What connections between nodes carry behind their handshake (proto/raft/handshake.h): frames.
/// One of messages holds those of many groups that one core has for one node. Little-endian:
///
///     0  u32  magic            "KVF1"
///     4  u8   kind             FrameKind
///     5  u8   flags            0
///     6  u16  0
///     8  u32  payload_bytes    at most frame_payload_bytes_max; a frame that holds one message or
///                              one forwarded request alone: lone_payload_bytes_max
///    12  u32  header checksum  low half of the XXH3-64 of bytes 0..11, seeded
///    16  u64  checksum         XXH3-64 of the payload, seeded
///    24  payload
///
/// The seed is made of the nonces of both ends, the direction and the number of the frame on its
/// connection: what was repeated, lost, or sent on another connection never validates. Whatever is
/// wrong with a frame, the connection is closed, for there is no way to find the next one.
///
/// Payloads:
///
///     messages           proto/raft/message_codec.h, back to back
///     heartbeats         u64 boot of the sender, then for each group that the core leads
///                        u64 group   u64 term   u64 sequence   u64 commit   u64 read
///     heartbeat replies  u64 boot as asked, then for each group
///                        u64 group   u64 term   u64 sequence   u64 read
///     forwards           requests of clients for the leader of a group, back to back, each
///                        u32 bytes, of all of it   u32 0   u64 group   u64 request
///                        content
///     forward replies    the same, with what became of it (Outcome, proto/base/errc.h) in the
///                        place of the zero
///     idle               empty: there is nothing to say, and the sender lives
///     snapshot ...       on connections of their own: proto/raft/snapshot_frame.h

#include <string>
#include <vector>

#include "proto/base/errc.h"
#include "proto/raft/message_codec.h"

namespace kv {

enum class FrameKind : std::uint8_t {
    messages = 1,
    heartbeats = 2,
    heartbeat_replies = 3,
    forwards = 4,
    forward_replies = 5,
    idle = 6,
    snapshot_begin = 7,
    snapshot_chunk = 8,
    snapshot_resume = 9,
    snapshot_end = 10,
};

inline constexpr std::size_t frame_header_bytes = 24;
/// So that a heartbeat never waits behind much more than this.
inline constexpr std::size_t frame_payload_bytes_max = std::size_t{256} << 10;
inline constexpr std::size_t lone_payload_bytes_max = message_bytes_max;

/// A frame of which the header is verified, and the checksum of its payload unless it comes from a
/// block (see split_by_core). `payload` views the memory it was decoded from.
struct Frame {
    FrameKind kind = FrameKind::idle;
    Bytes payload;
};

/// One direction of a connection: seeds its frames, in order.
class FrameSeal {
public:
    FrameSeal() noexcept = default;
    /// Both ends make the same from the nonces of who sends and who receives.
    FrameSeal(std::uint64_t sender_nonce, std::uint64_t receiver_nonce) noexcept;
    std::uint64_t seed() const noexcept;
    void next() noexcept { ++number_; }

private:
    std::uint64_t seed_ = 0;
    std::uint64_t number_ = 0;
};

/// Appends a header whose length and checksums are still missing; returns where it is.
std::size_t begin_frame(FrameKind kind, std::string& out);
/// Everything behind the header at `at` is its payload.
void end_frame(std::string& out, std::size_t at) noexcept;
/// Puts the checksums into all frames that `bytes`, a run of ended ones, hold.
void seal_frames(std::string& bytes, FrameSeal& seal) noexcept;

/// The frame at the front of `bytes`, whose whole length is frame_header_bytes and its payload's.
/// `seal` moves on with a frame that is right. Errors: `truncated`; `corrupt`; `unsupported`, an
/// unknown kind or flag. `corrupt` is said as soon as the header is there and wrong.
Result<Frame> decode_frame(Bytes bytes, FrameSeal& seal);
/// The same for a frame in a block: without checksums.
Result<Frame> next_of_block(Bytes bytes);

/// A request of a client that its node passes on to the leader of the group, or what became of it.
struct Forward {
    GroupId group;
    std::uint64_t request = 0;  ///< number that the asking node knows it by; a reply echoes it
    Outcome outcome = Outcome::not_applied;  ///< of a reply
    Bytes content;                           ///< opaque here; views the frame
};

inline constexpr std::size_t forward_header_bytes = 24;
void encode_forward(const Forward& forward, std::string& out);

/// What frames hold, decoded. Reused from frame to frame it keeps its memory. Views the frames.
class Inbox {
public:
    void clear() noexcept;
    bool empty() const noexcept {
        return messages_count_ == 0 && forwards.empty() && forward_replies.empty();
    }
    std::span<const Message> messages() const noexcept {
        return std::span(messages_).first(messages_count_);
    }
    /// Decodes one more. A failed one is not there.
    Status add(Bytes message, Route route);
    Message& add();

    std::vector<Forward> forwards;
    std::vector<Forward> forward_replies;

private:
    std::vector<Message> messages_;
    std::size_t messages_count_ = 0;
    std::vector<std::vector<Bytes>> entry_lists_;  ///< memory for decode_message()
};

/// Which core has what, and where to put it.
class FrameRoutes {
public:
    /// Of a group that the node does not have: any core, which drops what it gets.
    virtual CoreId core_of(GroupId group) noexcept = 0;
    /// Of the client that waits for the reply to a forwarded request.
    virtual CoreId core_of_request(std::uint64_t request) noexcept = 0;
    /// The open block for `core`, another one, of what `from` says: a run of frames without
    /// checksums is appended, to be read there with read_block(). Nothing was copied before, and
    /// nothing need be afterwards. Blocks may be filled by many frames before they are passed on.
    virtual std::string& block_of(CoreId core, NodeId from) noexcept = 0;

protected:
    ~FrameRoutes() = default;
};

/// Decodes what is for core `here` into `inbox`, and copies the rest into the blocks of its cores.
/// Errors: `corrupt`, `unsupported`, also for a frame that belongs on a connection for snapshots.
/// What was before the fault is in the inbox and the blocks.
Status split_by_core(const Frame& frame, Route route, CoreId here, FrameRoutes& routes,
                     Inbox& inbox);
/// Decodes a block, all of it for the core that has it now.
Status read_block(Bytes block, Route route, Inbox& inbox);

}  // namespace kv
