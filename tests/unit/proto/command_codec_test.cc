#include "proto/command_codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

namespace kv {
namespace {

std::string encoded(const Command& command) {
    std::string out;
    encode_command(out, command);
    EXPECT_EQ(out.size(), encoded_bytes(command));
    return out;
}

TEST(CommandCodec, TheBytesAreTheDocumentedOnes) {
    EXPECT_EQ(encoded({CommandKind::put, "k", "vv"}),
              std::string("\x01\x00\x01\x00\x02\x00\x00\x00kvv", 11));
    EXPECT_EQ(encoded({CommandKind::del, "k", "", 2, 3}),
              std::string("\x02\x01\x01\x00\x00\x00\x00\x00"
                          "\x02\x00\x00\x00\x00\x00\x00\x00"
                          "\x03\x00\x00\x00\x00\x00\x00\x00k",
                          25));
}

TEST(CommandCodec, RoundTrip) {
    const std::string key(65535, 'k');
    const Command commands[] = {
        {CommandKind::put, "k", "v"},
        {CommandKind::put, key, ""},
        {CommandKind::del, "k", "", 7, 8},
        {CommandKind::flush, "", ""},
        {CommandKind::append, "k", "v", 0, 0, flag_number, 1000},
        {CommandKind::increment, "k", "", 7, 8, flag_number, INT64_MIN},
        {CommandKind::put, "k", "v", 0, 0, flag_if_absent | flag_return_previous},
        {CommandKind::put, "k", "v", 0, 0, flag_if_revision | flag_if_present, 0, UINT64_MAX},
        {CommandKind::put, "k", "v", 1, 2, flag_if_equal, 0, 0, "old"},
        {CommandKind::del, "k", "", 1, 2, flag_if_equal | flag_if_revision | flag_number, -5, 9,
         ""},
    };
    for (const Command& command : commands) {
        const std::string bytes = encoded(command) + "behind";
        Command decoded;
        const Result<std::size_t> size = decode_command(as_bytes(bytes), decoded);
        ASSERT_TRUE(size);
        EXPECT_EQ(*size, bytes.size() - 6);
        EXPECT_EQ(decoded.kind, command.kind);
        EXPECT_EQ(decoded.key, command.key);
        EXPECT_EQ(decoded.value, command.value);
        EXPECT_EQ(decoded.session, command.session);
        EXPECT_EQ(decoded.sequence, command.sequence);
        EXPECT_EQ(decoded.flags, command.flags);
        EXPECT_EQ(decoded.number, command.number);
        EXPECT_EQ(decoded.if_revision, command.if_revision);
        EXPECT_EQ(decoded.if_equal, command.if_equal);
    }
}

TEST(CommandCodec, EveryPrefixIsTruncated) {
    const std::string bytes =
        encoded({CommandKind::put, "key", "value", 7, 8,
                 flag_number | flag_if_revision | flag_if_equal, 1, 2, "equal"});
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        std::unique_ptr<char[]> block(new char[size]);
        std::memcpy(block.get(), bytes.data(), size);
        Command decoded;
        const auto result = decode_command(as_bytes({block.get(), size}), decoded);
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code, Errc::truncated);
    }
}

TEST(CommandCodec, UnknownKindsAndFlagsAreUnsupported) {
    const std::string good = encoded({CommandKind::put, "k", "v"});
    for (unsigned value = 0; value < 256; ++value) {
        Command decoded;
        std::string kind = good;
        kind[0] = static_cast<char>(value);
        EXPECT_EQ(decode_command(as_bytes(kind), decoded).has_value(), value >= 1 && value <= 5);
        std::string flags = good;
        flags[1] = static_cast<char>(value);
        const auto result = decode_command(as_bytes(flags), decoded);
        const bool unsupported = !result && result.error().code == Errc::unsupported;
        EXPECT_EQ(unsupported, value > 127) << value;
    }
}

TEST(CommandCodec, ALengthBeyondTheBytesIsTruncatedNotRead) {
    std::string bytes = encoded({CommandKind::put, "k", "v"});
    for (std::size_t at = 4; at < 8; ++at) bytes[at] = '\xff';
    Command decoded;
    const auto result = decode_command(as_bytes(bytes), decoded);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::truncated);
}

}  // namespace
}  // namespace kv
