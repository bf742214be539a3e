#pragma once

/// FrameQueue: what one core has to send to one node, gathered into frames. Bounded; owner core
/// only; pure. Messages are encoded once, where they will be sent from.
///
/// It hands out chunks of whole frames, of about chunk_bytes each. Heartbeats and their answers are
/// gathered apart and leave with the next chunk, whichever it is: they never wait for more than the
/// chunk that is under way and the one in front of them.

#include <deque>
#include <string>

#include "proto/raft/frame.h"

namespace kv {

class FrameQueue {
public:
    static constexpr std::size_t chunk_bytes = frame_payload_bytes_max;
    /// Of heartbeats and answers that wait; counted apart.
    static constexpr std::size_t heartbeat_bytes_max = std::size_t{1} << 20;

    /// So much may wait, beyond one message in an empty queue.
    explicit FrameQueue(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}

    /// False: the queue is full and the message was not taken, nor is a message that is longer than
    /// message_bytes_max.
    [[nodiscard]] bool add(const Message& message);
    [[nodiscard]] bool add_forward(const Forward& forward);
    [[nodiscard]] bool add_forward_reply(const Forward& reply);
    /// Ended frames, as they are (a snapshot's). Whoever adds them looks at bytes() before.
    void add_frames(std::string frames);
    /// A frame without content, when nothing else waits.
    void add_idle();

    bool empty() const noexcept { return bytes() == 0; }
    std::size_t bytes() const noexcept {
        return bytes_ + heartbeats_.bytes.size() + heartbeat_replies_.bytes.size();
    }
    /// Replaces `out` by the next chunk, sealed; its memory is used again. Not when empty().
    void take(FrameSeal& seal, std::string& out);
    /// Drops everything.
    void clear() noexcept;

private:
    static constexpr std::size_t kept_chunks_max = 4;
    static constexpr std::size_t kept_chunk_bytes_max = 4 * chunk_bytes;

    /// Frames, of which the last may be open.
    struct Run {
        std::string bytes;
        bool open = false;
        FrameKind kind = FrameKind::idle;
        std::size_t frame_at = 0;
        std::uint64_t boot = 0;

        /// The bytes, with a frame at the end that has room for `item_bytes` more. True in `begun`:
        /// it has none yet.
        std::string& room(FrameKind kind, std::size_t item_bytes, bool& begun);
        void end() noexcept;
        void clear() noexcept;
    };

    std::string* room(FrameKind kind, std::size_t item_bytes);
    static bool add_heartbeat(Run& run, FrameKind kind, const Message& message);
    std::string spare();
    void keep(std::string chunk);

    const std::size_t bytes_max_;
    std::size_t bytes_ = 0;  ///< of full_ and open_
    std::deque<std::string> full_;
    Run open_;
    Run heartbeats_;
    Run heartbeat_replies_;
    std::vector<std::string> spare_;
};

}  // namespace kv
