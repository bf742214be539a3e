#include "proto/raft/frame_queue.h"

namespace kv {

namespace {

void append_word(std::string& out, std::uint64_t value) {
    char bytes[sizeof value];
    store_le(bytes, value);
    out.append(bytes, sizeof bytes);
}

}  // namespace

std::string& FrameQueue::Run::room(FrameKind wanted, std::size_t item_bytes, bool& begun) {
    const std::size_t payload = bytes.size() - frame_at - frame_header_bytes;
    if (open && (kind != wanted || payload + item_bytes > frame_payload_bytes_max)) end();
    begun = !open;
    if (!open) {
        frame_at = begin_frame(wanted, bytes);
        kind = wanted;
        open = true;
    }
    return bytes;
}

void FrameQueue::Run::end() noexcept {
    if (open) end_frame(bytes, frame_at);
    open = false;
}

void FrameQueue::Run::clear() noexcept {
    bytes.clear();
    open = false;
}

std::string* FrameQueue::room(FrameKind kind, std::size_t item_bytes) {
    if (item_bytes > lone_payload_bytes_max) return nullptr;
    if (bytes_ != 0 && bytes_ + item_bytes > bytes_max_) return nullptr;
    if (!open_.bytes.empty() && open_.bytes.size() + item_bytes > chunk_bytes) {
        open_.end();
        full_.push_back(std::move(open_.bytes));
        open_.bytes = spare();
    }
    bool begun = false;
    std::string& out = open_.room(kind, item_bytes, begun);
    bytes_ += item_bytes + (begun ? frame_header_bytes : 0);
    return &out;
}

bool FrameQueue::add(const Message& message) {
    if (std::holds_alternative<HeartbeatRequest>(message.body)) {
        return add_heartbeat(heartbeats_, FrameKind::heartbeats, message);
    }
    if (std::holds_alternative<HeartbeatReply>(message.body)) {
        return add_heartbeat(heartbeat_replies_, FrameKind::heartbeat_replies, message);
    }
    std::string* const out = room(FrameKind::messages, encoded_bytes(message));
    if (out == nullptr) return false;
    encode_message(message, *out);
    return true;
}

bool FrameQueue::add_heartbeat(Run& run, FrameKind kind, const Message& message) {
    constexpr std::size_t item_bytes_max = 48;
    if (run.bytes.size() > heartbeat_bytes_max) return false;
    if (run.open && run.boot != message.boot) run.end();
    bool begun = false;
    std::string& out = run.room(kind, item_bytes_max, begun);
    if (begun) {
        run.boot = message.boot;
        append_word(out, message.boot);
    }
    append_word(out, message.group.value());
    append_word(out, message.term.value());
    append_word(out, message.sequence);
    if (const auto* request = std::get_if<HeartbeatRequest>(&message.body)) {
        append_word(out, request->commit.value());
        append_word(out, request->read);
    } else {
        append_word(out, std::get<HeartbeatReply>(message.body).read);
    }
    return true;
}

bool FrameQueue::add_forward(const Forward& forward) {
    std::string* const out =
        room(FrameKind::forwards, forward_header_bytes + forward.content.size());
    if (out == nullptr) return false;
    Forward request = forward;
    request.outcome = Outcome::not_applied;
    encode_forward(request, *out);
    return true;
}

bool FrameQueue::add_forward_reply(const Forward& reply) {
    std::string* const out =
        room(FrameKind::forward_replies, forward_header_bytes + reply.content.size());
    if (out == nullptr) return false;
    encode_forward(reply, *out);
    return true;
}

void FrameQueue::add_frames(std::string frames) {
    if (!open_.bytes.empty()) {
        open_.end();
        full_.push_back(std::move(open_.bytes));
        open_.bytes = spare();
    }
    bytes_ += frames.size();
    full_.push_back(std::move(frames));
}

void FrameQueue::add_idle() {
    if (!empty()) return;
    room(FrameKind::idle, 0);
    open_.end();
}

void FrameQueue::take(FrameSeal& seal, std::string& out) {
    KV_ASSERT(!empty());
    std::string chunk;
    if (!full_.empty()) {
        chunk = std::move(full_.front());
        full_.pop_front();
    } else {
        open_.end();
        chunk = std::move(open_.bytes);
        open_.bytes = spare();
    }
    bytes_ -= chunk.size();
    for (Run* run : {&heartbeats_, &heartbeat_replies_}) {
        run->end();
        chunk.append(run->bytes);
        run->clear();
    }
    seal_frames(chunk, seal);
    out.swap(chunk);
    keep(std::move(chunk));
}

void FrameQueue::clear() noexcept {
    full_.clear();
    open_.clear();
    heartbeats_.clear();
    heartbeat_replies_.clear();
    bytes_ = 0;
}

std::string FrameQueue::spare() {
    std::string chunk;
    if (!spare_.empty()) {
        chunk = std::move(spare_.back());
        spare_.pop_back();
    }
    return chunk;
}

void FrameQueue::keep(std::string chunk) {
    if (spare_.size() >= kept_chunks_max || chunk.capacity() > kept_chunk_bytes_max) return;
    chunk.clear();
    spare_.push_back(std::move(chunk));
}

}  // namespace kv
