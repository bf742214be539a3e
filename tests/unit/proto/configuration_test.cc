#include "proto/raft/configuration.h"

#include <gtest/gtest.h>

#include <memory>

namespace kv {
namespace {

Member member(std::uint64_t node, std::string host, std::uint8_t roles = role_voter) {
    Member made;
    made.node = NodeId(node);
    made.store = StoreId{node * 10, node * 100};
    made.roles = roles;
    made.host = std::move(host);
    made.peer_port = 7001;
    made.client_port = 6379;
    return made;
}

std::string encoded(const Configuration& configuration) {
    std::string out;
    encode_configuration(configuration, out);
    return out;
}

Result<Configuration> decode_exactly(std::string_view bytes) {
    const std::unique_ptr<std::byte[]> block(new std::byte[bytes.size()]);
    if (!bytes.empty()) std::memcpy(block.get(), bytes.data(), bytes.size());
    return decode_configuration({block.get(), bytes.size()});
}

TEST(Configuration, TheBytesAreTheDocumentedOnes) {
    EXPECT_EQ(encoded({{member(1, "h")}}), std::string("\1\0\1\0"
                                                       "\1\0\0\0\0\0\0\0"
                                                       "\x0a\0\0\0\0\0\0\0"
                                                       "\x64\0\0\0\0\0\0\0"
                                                       "\1\0\x59\x1b\xeb\x18\1\0h",
                                                       37));
}

TEST(Configuration, RoundTrip) {
    const Configuration cases[] = {
        {},
        {{member(1, "")}},
        {{member(1, "10.0.0.1"), member(2, "::1", role_outgoing_voter | role_voter),
          member(4'294'967'295, std::string(65535, 'h'), role_learner)}},
    };
    for (const Configuration& c : cases) {
        const auto decoded = decode_exactly(encoded(c));
        ASSERT_TRUE(decoded.has_value());
        EXPECT_EQ(*decoded, c);
    }
}

TEST(Configuration, EveryPrefixIsTruncatedAndNothingMayFollow) {
    const std::string bytes = encoded({{member(1, "one"), member(2, "two")}});
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto decoded = decode_exactly(std::string_view(bytes).substr(0, size));
        ASSERT_FALSE(decoded.has_value());
        EXPECT_EQ(decoded.error().code, Errc::truncated) << size << " bytes";
    }
    const auto longer = decode_exactly(bytes + "x");
    ASSERT_FALSE(longer.has_value());
    EXPECT_EQ(longer.error().code, Errc::corrupt);
}

TEST(Configuration, MembersAreInOrderAndOnlyOnce) {
    for (const auto& [first, second] : {std::pair(2u, 1u), std::pair(1u, 1u)}) {
        const auto decoded = decode_exactly(encoded({{member(first, "a"), member(second, "b")}}));
        ASSERT_FALSE(decoded.has_value());
        EXPECT_EQ(decoded.error().code, Errc::corrupt);
    }
}

TEST(Configuration, UnknownVersionsAndRolesAreUnsupported) {
    std::string bytes = encoded({{member(1, "one")}});
    bytes[0] = 2;
    EXPECT_EQ(decode_exactly(bytes).error().code, Errc::unsupported);
    const auto roles = decode_exactly(encoded({{member(1, "one", 8 | role_voter)}}));
    ASSERT_FALSE(roles.has_value());
    EXPECT_EQ(roles.error().code, Errc::unsupported);
}

}  // namespace
}  // namespace kv
