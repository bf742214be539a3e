#include "proto/raft/frame.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "proto/raft/frame_queue.h"
#include "proto/raft/snapshot_frame.h"
#include "tests/unit/proto/peer_messages.h"

namespace kv {
namespace {

const Route route{NodeId(1), NodeId(2)};
constexpr std::size_t roomy = std::size_t{64} << 20;

/// Groups are spread over the cores by their number, requests by theirs.
struct Routes final : FrameRoutes {
    explicit Routes(std::uint16_t n) : cores(n) {}
    CoreId core_of(GroupId group) noexcept override {
        return CoreId(static_cast<std::uint16_t>(group.value() % cores));
    }
    CoreId core_of_request(std::uint64_t request) noexcept override {
        return CoreId(static_cast<std::uint16_t>(request % cores));
    }
    std::string& block_of(CoreId core, NodeId from) noexcept override {
        EXPECT_EQ(from, route.from);
        return blocks[core];
    }
    std::uint16_t cores;
    std::map<CoreId, std::string> blocks;
};

/// Both ends of one direction.
struct Direction {
    FrameQueue queue{roomy};
    FrameSeal sender{11, 22};
    FrameSeal receiver{11, 22};

    /// All chunks, as they would be sent.
    std::vector<std::string> take_all() {
        std::vector<std::string> chunks;
        while (!queue.empty()) queue.take(sender, chunks.emplace_back());
        return chunks;
    }
};

std::vector<Frame> frames_of(Bytes bytes, FrameSeal& seal) {
    std::vector<Frame> frames;
    while (!bytes.empty()) {
        const auto frame = decode_frame(bytes, seal);
        EXPECT_TRUE(frame.has_value()) << frame.error().text();
        if (!frame) return frames;
        frames.push_back(*frame);
        bytes = bytes.subspan(frame_header_bytes + frame->payload.size());
    }
    return frames;
}

std::multiset<std::string> texts(std::span<const Message> messages) {
    std::multiset<std::string> out;
    for (const Message& message : messages) out.insert(text_of(message));
    return out;
}

TEST(PeerFrame, WhatManyGroupsSayInATurnIsOneChunkAndThreeFrames) {
    PeerMessages make;
    Direction way;
    std::vector<Message> sent;
    for (std::uint64_t group = 1; group <= 8; ++group) {
        for (Message& message : make.one_of_each_kind(GroupId(group))) {
            ASSERT_TRUE(way.queue.add(message));
            sent.push_back(std::move(message));
        }
    }
    const auto chunks = way.take_all();
    ASSERT_EQ(chunks.size(), 1u);
    const ExactBlock bytes(chunks[0]);
    const auto frames = frames_of(bytes, way.receiver);
    ASSERT_EQ(frames.size(), 3u);
    EXPECT_EQ(frames[0].kind, FrameKind::messages);
    EXPECT_EQ(frames[1].kind, FrameKind::heartbeats);
    EXPECT_EQ(frames[1].payload.size(), 8u + 8 * 40);
    EXPECT_EQ(frames[2].kind, FrameKind::heartbeat_replies);
    EXPECT_EQ(frames[2].payload.size(), 8u + 8 * 32);
    Inbox inbox;
    Routes routes(1);
    for (const Frame& frame : frames) {
        ASSERT_TRUE(split_by_core(frame, route, CoreId(0), routes, inbox).has_value());
    }
    EXPECT_EQ(texts(inbox.messages()), texts(sent));
    EXPECT_TRUE(routes.blocks.empty());
}

TEST(PeerFrame, EachMessageReachesTheCoreOfItsGroup) {
    PeerMessages make;
    Direction way;
    std::map<CoreId, std::vector<Message>> sent;
    Routes routes(4);
    for (std::uint64_t group = 1; group <= 9; ++group) {
        for (Message& message : make.one_of_each_kind(GroupId(group))) {
            ASSERT_TRUE(way.queue.add(message));
            sent[routes.core_of(GroupId(group))].push_back(std::move(message));
        }
        for (std::uint64_t request = 0; request < 3; ++request) {
            const Forward forward{GroupId(group), request, Outcome::unknown, as_bytes("asked")};
            ASSERT_TRUE(way.queue.add_forward(forward));
            ASSERT_TRUE(way.queue.add_forward_reply(forward));
        }
    }
    const auto chunks = way.take_all();
    Inbox here;
    for (const std::string& chunk : chunks) {
        for (const Frame& frame : frames_of(as_bytes(chunk), way.receiver)) {
            ASSERT_TRUE(split_by_core(frame, route, CoreId(2), routes, here).has_value());
        }
    }
    EXPECT_EQ(texts(here.messages()), texts(sent[CoreId(2)]));
    EXPECT_EQ(here.forwards.size(), 2u * 3);
    EXPECT_EQ(here.forward_replies.size(), 9u);
    std::size_t forwards = here.forwards.size();
    for (const auto& [core, block] : routes.blocks) {
        Inbox inbox;
        const ExactBlock bytes(block);
        ASSERT_TRUE(read_block(bytes, route, inbox).has_value());
        EXPECT_EQ(texts(inbox.messages()), texts(sent[core]));
        forwards += inbox.forwards.size();
        for (const Forward& forward : inbox.forwards) {
            EXPECT_EQ(routes.core_of(forward.group), core);
            EXPECT_EQ(forward.outcome, Outcome::not_applied) << "a request has none";
        }
        for (const Forward& reply : inbox.forward_replies) {
            EXPECT_EQ(reply.request % 4, core.value());
            EXPECT_EQ(reply.outcome, Outcome::unknown);
            EXPECT_EQ(as_text(reply.content), "asked");
        }
    }
    EXPECT_EQ(forwards, 27u);
    EXPECT_EQ(routes.blocks.count(CoreId(2)), 0u);
}

TEST(PeerFrame, FramesAreShortButForALongEntryWhichIsAlone) {
    PeerMessages make;
    Direction way;
    const std::size_t long_payload = std::size_t{16} << 20;
    for (std::uint64_t group = 1; group <= 6; ++group) {
        ASSERT_TRUE(way.queue.add(make.append(GroupId(group), 1, 100'000)));
        if (group != 3) continue;
        ASSERT_TRUE(way.queue.add(make.append(GroupId(9), 1, long_payload)));
    }
    std::size_t messages = 0;
    std::size_t long_frames = 0;
    for (const std::string& chunk : way.take_all()) {
        for (const Frame& frame : frames_of(as_bytes(chunk), way.receiver)) {
            Inbox inbox;
            Routes routes(1);
            ASSERT_TRUE(split_by_core(frame, route, CoreId(0), routes, inbox).has_value());
            messages += inbox.messages().size();
            if (frame.payload.size() <= frame_payload_bytes_max) continue;
            ++long_frames;
            EXPECT_EQ(inbox.messages().size(), 1u);
        }
        EXPECT_TRUE(chunk.size() > long_payload || chunk.size() <= 300'000u);
    }
    EXPECT_EQ(messages, 7u);
    EXPECT_EQ(long_frames, 1u);
}

TEST(PeerFrame, HeartbeatsLeaveWithTheNextChunkHoweverMuchWaits) {
    PeerMessages make;
    Direction way;
    for (std::uint64_t group = 1; group <= 40; ++group) {
        ASSERT_TRUE(way.queue.add(make.append(GroupId(group), 1, 100'000)));
    }
    ASSERT_TRUE(way.queue.add(PeerMessages::message(GroupId(1), HeartbeatRequest{})));
    std::string chunk;
    way.queue.take(way.sender, chunk);
    EXPECT_FALSE(way.queue.empty());
    const auto frames = frames_of(as_bytes(chunk), way.receiver);
    EXPECT_EQ(frames.back().kind, FrameKind::heartbeats);
}

TEST(PeerFrame, HeartbeatsToDifferentLivesDoNotShareAFrame) {
    Direction way;
    for (const std::uint64_t boot : {1u, 1u, 2u, 1u}) {
        Message message = PeerMessages::message(GroupId(1), HeartbeatReply{5});
        message.boot = boot;
        ASSERT_TRUE(way.queue.add(message));
    }
    const auto chunks = way.take_all();
    Inbox inbox;
    Routes routes(1);
    const auto frames = frames_of(as_bytes(chunks.at(0)), way.receiver);
    EXPECT_EQ(frames.size(), 3u);
    for (const Frame& frame : frames) {
        ASSERT_TRUE(split_by_core(frame, route, CoreId(0), routes, inbox).has_value());
    }
    ASSERT_EQ(inbox.messages().size(), 4u);
    EXPECT_EQ(inbox.messages()[1].boot, 1u);
    EXPECT_EQ(inbox.messages()[2].boot, 2u);
    EXPECT_EQ(inbox.messages()[3].boot, 1u);
}

TEST(PeerFrame, AFullQueueTakesNothingMoreUntilThereIsRoom) {
    PeerMessages make;
    FrameQueue queue(1'000'000);
    const Message message = make.append(GroupId(1), 1, 300'000);
    EXPECT_TRUE(queue.add(message));
    EXPECT_TRUE(queue.add(message));
    EXPECT_TRUE(queue.add(message));
    EXPECT_FALSE(queue.add(message));
    EXPECT_TRUE(queue.add(PeerMessages::message(GroupId(1), HeartbeatRequest{})));
    std::string chunk;
    FrameSeal seal;
    queue.take(seal, chunk);
    EXPECT_TRUE(queue.add(message));
    queue.clear();
    EXPECT_TRUE(queue.empty());
    // One message alone may be longer than the bound.
    EXPECT_TRUE(queue.add(make.append(GroupId(1), 1, 2'000'000)));
    EXPECT_FALSE(queue.add(PeerMessages::message(GroupId(1), TimeoutNow{})));
    while (!queue.empty()) queue.take(seal, chunk);
    EXPECT_EQ(queue.bytes(), 0u);
}

TEST(PeerFrame, AHeartbeatQueueIsBoundedToo) {
    FrameQueue queue(1'000);
    const Message message = PeerMessages::message(GroupId(1), HeartbeatRequest{});
    std::size_t taken = 0;
    while (taken < 100'000 && queue.add(message)) ++taken;
    EXPECT_LT(taken, 100'000u);
    EXPECT_LT(queue.bytes(), FrameQueue::heartbeat_bytes_max + 1'000);
}

TEST(PeerFrame, NoPrefixAndNoFlippedBitPasses) {
    Direction way;
    ASSERT_TRUE(way.queue.add(PeerMessages::message(GroupId(1), VoteRequest{})));
    const std::string whole = way.take_all().at(0);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        FrameSeal seal(11, 22);
        const auto frame = decode_frame(ExactBlock(std::string_view(whole).substr(0, size)), seal);
        ASSERT_FALSE(frame.has_value());
        EXPECT_EQ(frame.error().code, Errc::truncated);
    }
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
        std::string flipped = whole;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        FrameSeal seal(11, 22);
        const auto frame = decode_frame(ExactBlock(flipped), seal);
        ASSERT_FALSE(frame.has_value()) << "bit " << bit;
        EXPECT_EQ(frame.error().code, Errc::corrupt) << "bit " << bit;
    }
}

TEST(PeerFrame, AFrameIsGoodOnceInItsPlaceAndOnItsConnection) {
    Direction way;
    const Message message = PeerMessages::message(GroupId(1), TimeoutNow{});
    ASSERT_TRUE(way.queue.add(message));
    const std::string first = way.take_all().at(0);
    ASSERT_TRUE(way.queue.add(message));
    const std::string second = way.take_all().at(0);
    FrameSeal other(12, 22);
    EXPECT_FALSE(decode_frame(as_bytes(first), other).has_value()) << "another connection";
    FrameSeal backwards(22, 11);
    EXPECT_FALSE(decode_frame(as_bytes(first), backwards).has_value()) << "the other direction";
    EXPECT_FALSE(decode_frame(as_bytes(second), way.receiver).has_value()) << "one was lost";
    EXPECT_TRUE(decode_frame(as_bytes(first), way.receiver).has_value());
    EXPECT_FALSE(decode_frame(as_bytes(first), way.receiver).has_value()) << "repeated";
    EXPECT_TRUE(decode_frame(as_bytes(second), way.receiver).has_value());
}

/// A sealed frame of any kind with any payload.
std::string sealed(std::uint8_t kind, std::string_view payload) {
    std::string bytes;
    const std::size_t at = begin_frame(static_cast<FrameKind>(kind), bytes);
    bytes.append(payload);
    end_frame(bytes, at);
    FrameSeal seal(11, 22);
    seal_frames(bytes, seal);
    return bytes;
}

TEST(PeerFrame, WhatIsNotKnownOrTooLongIsRefused) {
    FrameSeal seal(11, 22);
    for (const int number : {0, 11, 255}) {
        const auto kind = static_cast<std::uint8_t>(number);
        const auto frame = decode_frame(as_bytes(sealed(kind, "")), seal);
        ASSERT_FALSE(frame.has_value());
        EXPECT_EQ(frame.error().code, Errc::unsupported);
    }
    const std::string many(frame_payload_bytes_max + 1, '\0');
    EXPECT_FALSE(decode_frame(as_bytes(sealed(1, many)), seal).has_value()) << "two messages";
    EXPECT_FALSE(decode_frame(as_bytes(sealed(2, many)), seal).has_value()) << "heartbeats";
    EXPECT_FALSE(decode_frame(as_bytes(sealed(8, many)), seal).has_value()) << "a chunk";
}

/// A forwarded request without content that says it has so many bytes.
std::string request_of(std::uint32_t bytes) {
    std::string out(forward_header_bytes, '\0');
    store_le(out.data(), bytes);
    return out;
}

TEST(PeerFrame, NonsenseUnderARightChecksumIsAnError) {
    struct Case {
        const char* name;
        std::uint8_t kind;
        std::string payload;
    };
    const Case cases[] = {
        {"half a message", 1, std::string(20, '\1')},
        {"heartbeats without a boot", 2, "1234"},
        {"half a heartbeat", 2, std::string(8 + 39, '\0')},
        {"half an answer", 3, std::string(8 + 31, '\0')},
        {"half a request", 4, std::string(23, '\0')},
        {"a request of no length", 4, std::string(24, '\0')},
        {"a request that is longer", 4, request_of(25)},
        {"an idle frame that speaks", 6, "x"},
        {"a snapshot among messages", 8, std::string(20, '\0')},
    };
    for (const Case& c : cases) {
        const std::string bytes = sealed(c.kind, c.payload);
        FrameSeal seal(11, 22);
        const auto frame = decode_frame(as_bytes(bytes), seal);
        ASSERT_TRUE(frame.has_value()) << c.name;
        Inbox inbox;
        Routes routes(1);
        EXPECT_FALSE(split_by_core(*frame, route, CoreId(0), routes, inbox).has_value()) << c.name;
        EXPECT_TRUE(inbox.empty()) << c.name;
    }
}

TEST(PeerFrame, AnInboxForgetsWhatItHad) {
    PeerMessages make;
    Inbox inbox;
    std::string bytes;
    encode_message(make.append(GroupId(1), 3, 10), bytes);
    for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(inbox.add(as_bytes(bytes), route).has_value());
        EXPECT_EQ(inbox.messages().size(), 1u);
        EXPECT_EQ(std::get<AppendRequest>(inbox.messages()[0].body).entries.size(), 3u);
        inbox.clear();
        EXPECT_TRUE(inbox.empty());
    }
}

TEST(SnapshotFrame, AWholeTransferComesBackAsItWas) {
    SnapshotBegin begin;
    begin.snapshot = 77;
    begin.size = 1000;
    begin.configuration.members.push_back({NodeId(1), StoreId{1, 2}, role_voter, "host", 1, 2});
    begin.request = PeerMessages::message(GroupId(4), SnapshotRequest{{Term(4), Index(10)}});
    std::string bytes;
    ASSERT_TRUE(encode_snapshot_begin(begin, bytes).has_value());
    encode_snapshot_resume(300, bytes);
    const std::string content(700, 'c');
    encode_snapshot_chunk({300, as_bytes(content)}, bytes);
    encode_snapshot_end(99, bytes);
    FrameSeal sender(11, 22);
    FrameSeal receiver(11, 22);
    seal_frames(bytes, sender);
    const auto frames = frames_of(as_bytes(bytes), receiver);
    ASSERT_EQ(frames.size(), 4u);
    const auto back = decode_snapshot_begin(frames[0], route);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->snapshot, 77u);
    EXPECT_EQ(back->size, 1000u);
    EXPECT_EQ(back->configuration, begin.configuration);
    EXPECT_EQ(text_of(back->request), text_of(begin.request));
    EXPECT_EQ(decode_snapshot_resume(frames[1]).value_or(0), 300u);
    const auto chunk = decode_snapshot_chunk(frames[2]);
    ASSERT_TRUE(chunk.has_value());
    EXPECT_EQ(chunk->offset, 300u);
    EXPECT_EQ(as_text(chunk->bytes), content);
    EXPECT_EQ(decode_snapshot_end(frames[3]).value_or(0), 99u);
    // Each where another belongs.
    EXPECT_FALSE(decode_snapshot_end(frames[1]).has_value());
    EXPECT_FALSE(decode_snapshot_begin(frames[2], route).has_value());
    EXPECT_FALSE(decode_snapshot_chunk(frames[3]).has_value());
}

TEST(SnapshotFrame, NoPrefixOfABeginningPasses) {
    SnapshotBegin begin;
    begin.configuration.members.push_back({NodeId(1), StoreId{1, 2}, role_voter, "host", 1, 2});
    begin.request = PeerMessages::message(GroupId(4), SnapshotRequest{{Term(4), Index(10)}});
    std::string bytes;
    ASSERT_TRUE(encode_snapshot_begin(begin, bytes).has_value());
    const std::string_view payload = std::string_view(bytes).substr(frame_header_bytes);
    for (std::size_t size = 0; size < payload.size(); ++size) {
        const ExactBlock part(payload.substr(0, size));
        EXPECT_FALSE(decode_snapshot_begin({FrameKind::snapshot_begin, part}, route).has_value());
    }
}

}  // namespace
}  // namespace kv
