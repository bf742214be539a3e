#pragma once

/// Messages between nodes for the tests of their formats.

#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "proto/raft/message.h"

namespace kv {

/// Keeps the bytes of entries that messages view.
class PeerMessages {
public:
    Bytes entry(GroupId group, Term term, Index index, std::size_t payload_bytes) {
        std::string& bytes = entries_.emplace_back(entry_header_bytes + payload_bytes, 'e');
        const MutableBytes memory(reinterpret_cast<std::byte*>(bytes.data()), bytes.size());
        seal_entry(memory, group, term, index, 7, EntryKind::commands);
        return memory;
    }

    static Message message(GroupId group, MessageBody body) {
        Message out;
        out.group = group;
        out.from = NodeId(1);
        out.to = NodeId(2);
        out.term = Term(5);
        out.boot = 3;
        out.sequence = 9;
        out.body = std::move(body);
        return out;
    }

    /// `count` entries behind (4, 10), each with so many bytes of payload.
    Message append(GroupId group, std::size_t count, std::size_t payload_bytes) {
        AppendRequest request;
        request.previous = {Term(4), Index(10)};
        request.commit = Index(8);
        for (std::size_t i = 0; i < count; ++i) {
            request.entries.push_back(entry(group, Term(5), Index(11 + i), payload_bytes));
        }
        return message(group, std::move(request));
    }

    std::vector<Message> one_of_each_kind(GroupId group) {
        return {
            message(group, VoteRequest{{Term(4), Index(10)}, true, false}),
            message(group, VoteRequest{{Term(4), Index(10)}, false, true}),
            message(group, VoteReply{true, false}),
            message(group, VoteReply{false, true}),
            append(group, 0, 0),
            append(group, 3, 100),
            message(group, AppendReply{false, Index(12), {}}),
            message(group, AppendReply{true, Index(12), {Term(3), Index(6)}}),
            message(group, HeartbeatRequest{Index(8), 44}),
            message(group, HeartbeatReply{44}),
            message(group, SnapshotRequest{{Term(4), Index(10)}}),
            message(group, TimeoutNow{}),
        };
    }

private:
    std::deque<std::string> entries_;
};

/// Writes down everything that a message says, to be compared.
struct MessageText {
    std::string out;

    template <typename... Words>
    void add(Words... words) {
        ((out += std::to_string(words) + " "), ...);
    }
    void add(LogPosition at) { add(at.term.value(), at.index.value()); }

    void operator()(const VoteRequest& b) {
        add(b.last);
        add(b.pre, b.transfer);
    }
    void operator()(const VoteReply& b) { add(b.pre, b.granted); }
    void operator()(const AppendRequest& b) {
        add(b.previous);
        add(b.commit.value());
        for (const Bytes entry : b.entries) out.append(as_text(entry));
    }
    void operator()(const AppendReply& b) {
        add(b.rejected, b.match.value());
        add(b.hint);
    }
    void operator()(const HeartbeatRequest& b) { add(b.commit.value(), b.read); }
    void operator()(const HeartbeatReply& b) { add(b.read); }
    void operator()(const SnapshotRequest& b) { add(b.position); }
    void operator()(const TimeoutNow&) {}
};

inline std::string text_of(const Message& message) {
    MessageText text;
    text.add(message.group.value(), message.from.value(), message.to.value(), message.term.value(),
             message.boot, message.sequence, message.body.index());
    std::visit(text, message.body);
    return text.out;
}

/// A heap block of exactly the size of `bytes`, so that a sanitizer sees every read behind it.
struct ExactBlock {
    explicit ExactBlock(std::string_view bytes)
        : memory(new std::byte[bytes.size()]), size(bytes.size()) {
        if (size != 0) std::memcpy(memory.get(), bytes.data(), size);
    }
    operator Bytes() const noexcept { return {memory.get(), size}; }
    std::unique_ptr<std::byte[]> memory;
    std::size_t size;
};

}  // namespace kv
