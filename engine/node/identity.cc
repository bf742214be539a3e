#include "engine/node/identity.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/checksum.h"

namespace kv {

namespace {

constexpr std::uint64_t identity_magic = 0x3145524f5453564bull;  // "KVSTORE1"
constexpr std::uint16_t identity_version = 2;
constexpr std::uint64_t known_features = feature_cluster;
constexpr std::size_t segments_at = 96;
constexpr std::size_t checksum_at = identity_bytes - 8;

constexpr std::uint64_t members_magic = 0x5245424d454d564bull;  // "KVMEMBER"
constexpr std::uint16_t members_version = 1;
constexpr std::size_t members_head_bytes = 32;
constexpr std::size_t pin_bytes = 24;

std::unexpected<Error> damaged(const std::string& path) {
    return fail(Errc::damaged,
                fmt::format("{} is damaged: restore it from a backup, or move the data directory "
                            "away to start empty",
                            path));
}
std::unexpected<Error> makes_no_sense(const std::string& path, const std::string& why) {
    return fail(Errc::damaged, fmt::format("{} makes no sense: {}", path, why));
}

std::uint32_t number_of(Membership membership) noexcept {
    switch (membership) {
        case Membership::member: return 0;
        case Membership::empty: return 1;
        case Membership::forming: return 2;
    }
    KV_UNREACHABLE();
}
std::optional<Membership> membership_of(std::uint32_t number) noexcept {
    for (const Membership one : {Membership::member, Membership::empty, Membership::forming}) {
        if (number_of(one) == number) return one;
    }
    return std::nullopt;
}

/// Whether the last eight bytes are the checksum of those before.
bool is_whole(std::string_view bytes) noexcept {
    const std::size_t summed = bytes.size() - 8;
    return load_le<std::uint64_t>(bytes.data() + summed) ==
           checksum(as_bytes(bytes.substr(0, summed)));
}

}  // namespace

std::string_view name(Membership membership) noexcept {
    switch (membership) {
        case Membership::member: return "member";
        case Membership::empty: return "empty";
        case Membership::forming: return "forming";
    }
    KV_UNREACHABLE();
}

std::string encode_identity(const Identity& identity) {
    std::string out(identity_bytes, '\0');
    char* at = out.data();
    store_le<std::uint64_t>(at, identity_magic);
    store_le<std::uint16_t>(at + 8, identity_version);
    store_le<std::uint32_t>(at + 12, identity.shards);
    store_le<std::uint64_t>(at + 16, identity.cluster.high);
    store_le<std::uint64_t>(at + 24, identity.cluster.low);
    store_le<std::uint64_t>(at + 32, identity.store.high);
    store_le<std::uint64_t>(at + 40, identity.store.low);
    store_le<std::uint64_t>(at + 48, identity.node.value());
    store_le<std::uint64_t>(at + 56, identity.boot);
    store_le<std::uint64_t>(at + 64, identity.hash_secret);
    store_le<std::uint64_t>(at + 72, identity.features);
    store_le<std::uint64_t>(at + 80, identity.generation);
    store_le<std::uint32_t>(at + 88, identity.cores());
    store_le<std::uint32_t>(at + 92, number_of(identity.membership));
    KV_ASSERT(identity.segments.size() <= cores_max);
    for (std::size_t i = 0; i < identity.segments.size(); ++i) {
        store_le<std::uint64_t>(at + segments_at + 8 * i, identity.segments[i].value());
    }
    store_le<std::uint64_t>(at + checksum_at,
                            checksum(as_bytes(std::string_view(out).substr(0, checksum_at))));
    return out;
}

Result<Identity> decode_identity(std::string_view bytes, const std::string& path) {
    const char* at = bytes.data();
    if (bytes.size() != identity_bytes || load_le<std::uint64_t>(at) != identity_magic ||
        !is_whole(bytes)) {
        return damaged(path);
    }
    const auto version = load_le<std::uint16_t>(at + 8);
    Identity identity;
    identity.features = load_le<std::uint64_t>(at + 72);
    if (version != identity_version || (identity.features & ~known_features) != 0) {
        return fail(
            Errc::foreign,
            fmt::format("{} has format {} and features {:#x}, which this version does not know: "
                        "use the version that wrote it, or a newer",
                        path, version, identity.features));
    }
    identity.shards = load_le<std::uint32_t>(at + 12);
    identity.cluster = {load_le<std::uint64_t>(at + 16), load_le<std::uint64_t>(at + 24)};
    identity.store = {load_le<std::uint64_t>(at + 32), load_le<std::uint64_t>(at + 40)};
    identity.node = NodeId(load_le<std::uint64_t>(at + 48));
    identity.boot = load_le<std::uint64_t>(at + 56);
    identity.hash_secret = load_le<std::uint64_t>(at + 64);
    identity.generation = load_le<std::uint64_t>(at + 80);
    const auto cores = load_le<std::uint32_t>(at + 88);
    if (identity.shards == 0 || identity.shards > slot_count || cores == 0 || cores > cores_max) {
        return makes_no_sense(path, fmt::format("{} shards, {} cores", identity.shards, cores));
    }
    const auto membership = membership_of(load_le<std::uint32_t>(at + 92));
    const bool has_cluster = identity.cluster != StoreId{};
    if (!membership || has_cluster == (*membership == Membership::empty)) {
        return makes_no_sense(path, "its membership and its cluster id contradict each other");
    }
    identity.membership = *membership;
    identity.segments.clear();
    for (std::size_t i = 0; i < cores; ++i) {
        identity.segments.emplace_back(load_le<std::uint64_t>(at + segments_at + 8 * i));
    }
    return identity;
}

std::string encode_members(const Members& members) {
    KV_ASSERT(!members.pins.empty() && members.pins.size() <= pins_max);
    std::string configuration;
    encode_configuration(members.formed, configuration);
    std::string out(members_head_bytes, '\0');
    store_le<std::uint64_t>(out.data(), members_magic);
    store_le<std::uint16_t>(out.data() + 8, members_version);
    store_le<std::uint16_t>(out.data() + 10, static_cast<std::uint16_t>(members.pins.size()));
    store_le<std::uint32_t>(out.data() + 12, static_cast<std::uint32_t>(configuration.size()));
    store_le<std::uint64_t>(out.data() + 16, members.cluster.high);
    store_le<std::uint64_t>(out.data() + 24, members.cluster.low);
    out += configuration;
    for (const Pin& pin : members.pins) {
        char bytes[pin_bytes];
        store_le<std::uint64_t>(bytes, pin.node.value());
        store_le<std::uint64_t>(bytes + 8, pin.store.high);
        store_le<std::uint64_t>(bytes + 16, pin.store.low);
        out.append(bytes, sizeof bytes);
    }
    char sum[8];
    store_le<std::uint64_t>(sum, checksum(as_bytes(std::string_view(out))));
    out.append(sum, sizeof sum);
    KV_ASSERT(out.size() <= members_bytes_max);
    return out;
}

Result<Members> decode_members(std::string_view bytes, const std::string& path) {
    if (bytes.size() < members_head_bytes + 8 || bytes.size() > members_bytes_max ||
        load_le<std::uint64_t>(bytes.data()) != members_magic || !is_whole(bytes)) {
        return damaged(path);
    }
    const auto version = load_le<std::uint16_t>(bytes.data() + 8);
    if (version != members_version) {
        return fail(Errc::foreign,
                    fmt::format("{} has format {}, which this version does not know: use the "
                                "version that wrote it, or a newer",
                                path, version));
    }
    const std::size_t pins = load_le<std::uint16_t>(bytes.data() + 10);
    const std::size_t configuration_bytes = load_le<std::uint32_t>(bytes.data() + 12);
    if (pins == 0 || pins > pins_max ||
        bytes.size() != members_head_bytes + configuration_bytes + pins * pin_bytes + 8) {
        return makes_no_sense(path, fmt::format("{} pins behind a configuration of {} bytes", pins,
                                                configuration_bytes));
    }
    Members members;
    members.cluster = {load_le<std::uint64_t>(bytes.data() + 16),
                       load_le<std::uint64_t>(bytes.data() + 24)};
    auto formed =
        decode_configuration(as_bytes(bytes.substr(members_head_bytes, configuration_bytes)));
    if (!formed) {
        if (formed.error().code != Errc::unsupported) return damaged(path);
        return fail(Errc::foreign,
                    fmt::format("{} has a {}, which this version does not know: use the version "
                                "that wrote it, or a newer",
                                path, formed.error().text()));
    }
    members.formed = *std::move(formed);
    const char* at = bytes.data() + members_head_bytes + configuration_bytes;
    for (std::size_t i = 0; i < pins; ++i, at += pin_bytes) {
        members.pins.push_back(
            {NodeId(load_le<std::uint64_t>(at)),
             StoreId{load_le<std::uint64_t>(at + 8), load_le<std::uint64_t>(at + 16)}});
    }
    if (std::ranges::adjacent_find(members.pins, std::ranges::greater_equal{}, &Pin::node) !=
        members.pins.end()) {
        return makes_no_sense(path, "its pins are out of order");
    }
    return members;
}

}  // namespace kv
