#include "proto/raft/configuration.h"

#include <fmt/format.h>

namespace kv {

namespace {

constexpr std::uint16_t configuration_version = 1;
constexpr std::size_t member_fixed_bytes = 32;
constexpr std::uint8_t known_roles = role_voter | role_outgoing_voter | role_learner;

template <typename T>
void append_le(std::string& out, T value) {
    char bytes[sizeof(T)];
    store_le(bytes, value);
    out.append(bytes, sizeof bytes);
}

}  // namespace

void encode_configuration(const Configuration& configuration, std::string& out) {
    append_le<std::uint16_t>(out, configuration_version);
    append_le<std::uint16_t>(out, static_cast<std::uint16_t>(configuration.members.size()));
    for (const Member& member : configuration.members) {
        append_le<std::uint64_t>(out, member.node.value());
        append_le<std::uint64_t>(out, member.store.high);
        append_le<std::uint64_t>(out, member.store.low);
        append_le<std::uint8_t>(out, member.roles);
        append_le<std::uint8_t>(out, 0);
        append_le<std::uint16_t>(out, member.peer_port);
        append_le<std::uint16_t>(out, member.client_port);
        append_le<std::uint16_t>(out, static_cast<std::uint16_t>(member.host.size()));
        out.append(member.host);
    }
}

Result<Configuration> decode_configuration(Bytes bytes) {
    if (bytes.size() < 4) return fail(Errc::truncated);
    const auto version = load_le<std::uint16_t>(bytes.data());
    if (version != configuration_version) {
        return fail(Errc::unsupported, fmt::format("configuration of version {}", version));
    }
    const std::size_t count = load_le<std::uint16_t>(bytes.data() + 2);
    bytes = bytes.subspan(4);
    Configuration configuration;
    for (std::size_t i = 0; i < count; ++i) {
        if (bytes.size() < member_fixed_bytes) return fail(Errc::truncated);
        const std::byte* at = bytes.data();
        Member member;
        member.node = NodeId(load_le<std::uint64_t>(at));
        member.store = StoreId{load_le<std::uint64_t>(at + 8), load_le<std::uint64_t>(at + 16)};
        member.roles = load_le<std::uint8_t>(at + 24);
        if ((member.roles & ~known_roles) != 0) {
            return fail(Errc::unsupported, fmt::format("member roles {:#x}", member.roles));
        }
        member.peer_port = load_le<std::uint16_t>(at + 26);
        member.client_port = load_le<std::uint16_t>(at + 28);
        const std::size_t host_bytes = load_le<std::uint16_t>(at + 30);
        bytes = bytes.subspan(member_fixed_bytes);
        if (bytes.size() < host_bytes) return fail(Errc::truncated);
        member.host = std::string(as_text(bytes.first(host_bytes)));
        bytes = bytes.subspan(host_bytes);
        if (!configuration.members.empty() && configuration.members.back().node >= member.node) {
            return fail(Errc::corrupt, "members of a configuration are out of order");
        }
        configuration.members.push_back(std::move(member));
    }
    if (!bytes.empty()) return fail(Errc::corrupt, "bytes behind a configuration");
    return configuration;
}

}  // namespace kv
