#include "proto/raft/message_codec.h"

#include <gtest/gtest.h>

#include "tests/unit/proto/peer_messages.h"

namespace kv {
namespace {

const GroupId group(3);
const Route route{NodeId(1), NodeId(2)};

std::string encoded(const Message& message) {
    std::string out;
    encode_message(message, out);
    EXPECT_EQ(out.size(), encoded_bytes(message));
    return out;
}

TEST(MessageCodec, EveryKindComesBackAsItWas) {
    PeerMessages make;
    for (const Message& message : make.one_of_each_kind(group)) {
        const ExactBlock bytes(encoded(message));
        const auto extent = measure_message(bytes);
        ASSERT_TRUE(extent.has_value());
        EXPECT_EQ(extent->bytes, bytes.size);
        EXPECT_EQ(extent->group, group);
        Message back;
        ASSERT_TRUE(decode_message(bytes, route, back).has_value());
        EXPECT_EQ(text_of(back), text_of(message));
    }
}

TEST(MessageCodec, TheBytesAreTheDocumentedOnes) {
    const Message message =
        PeerMessages::message(group, AppendReply{true, Index(12), {Term(2), Index(6)}});
    EXPECT_EQ(encoded(message), std::string("\x40\0\0\0\4\1\x08\0"
                                            "\3\0\0\0\0\0\0\0"
                                            "\5\0\0\0\0\0\0\0"
                                            "\3\0\0\0\0\0\0\0"
                                            "\t\0\0\0\0\0\0\0"
                                            "\x0c\0\0\0\0\0\0\0"
                                            "\2\0\0\0\0\0\0\0"
                                            "\6\0\0\0\0\0\0\0",
                                            64));
}

TEST(MessageCodec, EntriesAreViewsOfTheBytesTheyCameIn) {
    PeerMessages make;
    const ExactBlock bytes(encoded(make.append(group, 2, 10)));
    Message back;
    std::vector<Bytes> memory;
    memory.reserve(16);
    const Bytes* const reused = memory.data();
    ASSERT_TRUE(decode_message(bytes, route, back, std::move(memory)).has_value());
    const auto& entries = std::get<AppendRequest>(back.body).entries;
    ASSERT_EQ(entries.size(), 2u);
    EXPECT_EQ(entries.data(), reused);
    EXPECT_EQ(entries[0].data(), Bytes(bytes).data() + message_header_bytes + 32);
    EXPECT_EQ(entries[1].data(), entries[0].data() + entries[0].size());
}

TEST(MessageCodec, NoPrefixIsAMessage) {
    PeerMessages make;
    for (const Message& message : make.one_of_each_kind(group)) {
        const std::string whole = encoded(message);
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const ExactBlock bytes(std::string_view(whole).substr(0, size));
            Message back;
            const Status status = decode_message(bytes, route, back);
            ASSERT_FALSE(status.has_value());
            EXPECT_EQ(status.error().code, Errc::truncated);
        }
        Message back;
        EXPECT_FALSE(decode_message(as_bytes(whole + "x"), route, back).has_value());
    }
}

TEST(MessageCodec, ABodyOfTheWrongLengthIsCorrupt) {
    PeerMessages make;
    for (const Message& message : make.one_of_each_kind(group)) {
        for (const int difference : {-8, 8}) {
            std::string bytes = encoded(message);
            if (bytes.size() == message_header_bytes && difference < 0) continue;
            bytes.resize(bytes.size() + static_cast<std::size_t>(difference));
            store_le(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
            Message back;
            EXPECT_FALSE(decode_message(ExactBlock(bytes), route, back).has_value())
                << "kind " << message.body.index();
        }
    }
}

struct Flaw {
    const char* name;
    std::size_t at;
    char value;
    Errc error;
};

TEST(MessageCodec, WhatIsNotKnownIsRefused) {
    const Flaw flaws[] = {
        {"kind zero", 4, 0, Errc::unsupported},     {"kind nine", 4, 9, Errc::unsupported},
        {"version two", 5, 2, Errc::unsupported},   {"a flag of others", 6, 4, Errc::unsupported},
        {"a flag", 6, 16, Errc::unsupported},       {"the reserved byte", 7, 1, Errc::unsupported},
        {"shorter than any", 0, 39, Errc::corrupt}, {"far too long", 3, 3, Errc::corrupt},
    };
    for (const Flaw& flaw : flaws) {
        std::string bytes = encoded(PeerMessages::message(group, VoteRequest{}));
        bytes[flaw.at] = flaw.value;
        Message back;
        const Status status = decode_message(as_bytes(bytes), route, back);
        ASSERT_FALSE(status.has_value()) << flaw.name;
        EXPECT_EQ(status.error().code, flaw.error) << flaw.name;
    }
}

TEST(MessageCodec, MoreEntriesThanBytesAreRefusedBeforeMemoryIsTaken) {
    PeerMessages make;
    for (const std::uint64_t count : {std::uint64_t{3}, ~std::uint64_t{0}}) {
        std::string bytes = encoded(make.append(group, 2, 10));
        store_le(bytes.data() + message_header_bytes + 24, count);
        Message back;
        EXPECT_FALSE(decode_message(ExactBlock(bytes), route, back).has_value());
    }
    std::string fewer = encoded(make.append(group, 2, 10));
    store_le(fewer.data() + message_header_bytes + 24, std::uint64_t{1});
    Message back;
    EXPECT_FALSE(decode_message(ExactBlock(fewer), route, back).has_value());
}

TEST(MessageCodec, EntriesThatDoNotFollowEachOtherAreCorrupt) {
    struct Case {
        const char* name;
        Term term;
        Index index;
        GroupId of;
    };
    const Case cases[] = {
        {"a gap", Term(5), Index(12), group},
        {"a repetition", Term(5), Index(10), group},
        {"a term that falls", Term(3), Index(11), group},
        {"an entry of another group", Term(5), Index(11), GroupId(4)},
    };
    for (const Case& c : cases) {
        PeerMessages make;
        Message message = make.append(group, 0, 0);
        std::get<AppendRequest>(message.body)
            .entries.push_back(make.entry(c.of, c.term, c.index, 5));
        Message back;
        const Status status = decode_message(as_bytes(encoded(message)), route, back);
        ASSERT_FALSE(status.has_value()) << c.name;
        EXPECT_EQ(status.error().code, Errc::corrupt) << c.name;
    }
}

TEST(MessageCodec, NoFlippedBitOfAnEntryPasses) {
    PeerMessages make;
    const std::string whole = encoded(make.append(group, 1, 5));
    for (std::size_t bit = 8 * (message_header_bytes + 32); bit < 8 * whole.size(); ++bit) {
        std::string flipped = whole;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        Message back;
        EXPECT_FALSE(decode_message(ExactBlock(flipped), route, back).has_value()) << bit;
    }
}

}  // namespace
}  // namespace kv
