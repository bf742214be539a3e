#include "proto/shard_map.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/base/assert.h"

namespace kv {

namespace {

constexpr std::uint16_t map_version = 1;
constexpr std::uint32_t slots = 16384;

template <typename T>
void append_le(std::string& out, T value) {
    char bytes[sizeof(T)];
    store_le(bytes, value);
    out.append(bytes, sizeof bytes);
}

/// Takes numbers from the front; what is read beyond the end is 0, and noted.
class Reader {
public:
    explicit Reader(Bytes bytes) noexcept : left_(bytes) {}

    template <typename T>
    T take() noexcept {
        if (left_.size() < sizeof(T)) {
            left_ = {};
            truncated_ = true;
            return {};
        }
        const T value = load_le<T>(left_.data());
        left_ = left_.subspan(sizeof(T));
        return value;
    }
    std::string text(std::size_t size) {
        if (left_.size() < size) {
            left_ = {};
            truncated_ = true;
            return {};
        }
        std::string text(as_text(left_.first(size)));
        left_ = left_.subspan(size);
        return text;
    }
    bool truncated() const noexcept { return truncated_; }
    bool empty() const noexcept { return left_.empty(); }

private:
    Bytes left_;
    bool truncated_ = false;
};

Status take_nodes(Reader& reader, std::size_t count, ShardMap& map) {
    for (std::size_t i = 0; i < count; ++i) {
        ShardMap::Node node;
        node.node = NodeId(reader.take<std::uint64_t>());
        const auto state = reader.take<std::uint8_t>();
        if (state > static_cast<std::uint8_t>(ShardMap::NodeState::away)) {
            return fail(Errc::corrupt, "a node of a shard map is in no known state");
        }
        node.state = static_cast<ShardMap::NodeState>(state);
        reader.take<std::uint8_t>();
        node.peer_port = reader.take<std::uint16_t>();
        node.client_port = reader.take<std::uint16_t>();
        const auto host_bytes = reader.take<std::uint16_t>();
        node.host = reader.text(host_bytes);
        if (reader.truncated()) break;
        if (!map.nodes.empty() && map.nodes.back().node >= node.node) {
            return fail(Errc::corrupt, "the nodes of a shard map are out of order");
        }
        map.nodes.push_back(std::move(node));
    }
    return {};
}

Status take_shard(Reader& reader, std::uint32_t first_slot, ShardMap& map) {
    ShardMap::Shard shard;
    shard.first_slot = SlotId(reader.take<std::uint16_t>());
    shard.last_slot = SlotId(reader.take<std::uint16_t>());
    shard.leader = NodeId(reader.take<std::uint64_t>());
    shard.term = Term(reader.take<std::uint64_t>());
    shard.commit = Index(reader.take<std::uint64_t>());
    shard.applied = Index(reader.take<std::uint64_t>());
    const std::size_t followers = reader.take<std::uint16_t>();
    for (std::size_t i = 0; i < followers && !reader.truncated(); ++i) {
        ShardMap::Follower follower;
        follower.node = NodeId(reader.take<std::uint64_t>());
        follower.answers = reader.take<std::uint8_t>() != 0;
        reader.take<std::uint8_t>();
        follower.match = Index(reader.take<std::uint64_t>());
        shard.followers.push_back(follower);
    }
    if (reader.truncated()) return {};
    if (shard.first_slot.value() != first_slot || shard.last_slot < shard.first_slot ||
        shard.last_slot.value() >= slots) {
        return fail(Errc::corrupt, "the shards of a shard map do not have each slot once");
    }
    const auto known = [&](NodeId node) { return map.find(node) != nullptr; };
    if ((shard.leader != NodeId() && !known(shard.leader)) ||
        !std::ranges::all_of(shard.followers, known, &ShardMap::Follower::node)) {
        return fail(Errc::corrupt, "a shard map names a node that it does not list");
    }
    map.shards.push_back(std::move(shard));
    return {};
}

}  // namespace

const ShardMap::Node* ShardMap::find(NodeId node) const noexcept {
    const auto found = std::ranges::find(nodes, node, &Node::node);
    return found == nodes.end() ? nullptr : &*found;
}

ShardId ShardMap::shard_of(SlotId slot) const noexcept {
    KV_ASSERT(!shards.empty());
    const auto behind = std::ranges::upper_bound(shards, slot, {}, &Shard::first_slot);
    return ShardId(static_cast<std::uint16_t>(behind - shards.begin() - 1));
}

void encode_shard_map(const ShardMap& map, std::string& out) {
    append_le<std::uint16_t>(out, map_version);
    append_le<std::uint16_t>(out, static_cast<std::uint16_t>(map.nodes.size()));
    append_le<std::uint16_t>(out, static_cast<std::uint16_t>(map.shards.size()));
    append_le<std::uint64_t>(out, map.self.value());
    for (const ShardMap::Node& node : map.nodes) {
        append_le<std::uint64_t>(out, node.node.value());
        append_le<std::uint8_t>(out, static_cast<std::uint8_t>(node.state));
        append_le<std::uint8_t>(out, 0);
        append_le<std::uint16_t>(out, node.peer_port);
        append_le<std::uint16_t>(out, node.client_port);
        append_le<std::uint16_t>(out, static_cast<std::uint16_t>(node.host.size()));
        out.append(node.host);
    }
    for (const ShardMap::Shard& shard : map.shards) {
        append_le<std::uint16_t>(out, shard.first_slot.value());
        append_le<std::uint16_t>(out, shard.last_slot.value());
        append_le<std::uint64_t>(out, shard.leader.value());
        append_le<std::uint64_t>(out, shard.term.value());
        append_le<std::uint64_t>(out, shard.commit.value());
        append_le<std::uint64_t>(out, shard.applied.value());
        append_le<std::uint16_t>(out, static_cast<std::uint16_t>(shard.followers.size()));
        for (const ShardMap::Follower& follower : shard.followers) {
            append_le<std::uint64_t>(out, follower.node.value());
            append_le<std::uint8_t>(out, follower.answers ? 1 : 0);
            append_le<std::uint8_t>(out, 0);
            append_le<std::uint64_t>(out, follower.match.value());
        }
    }
}

Result<ShardMap> decode_shard_map(Bytes bytes) {
    Reader reader(bytes);
    const auto version = reader.take<std::uint16_t>();
    if (reader.truncated()) return fail(Errc::truncated);
    if (version != map_version) {
        return fail(Errc::unsupported, fmt::format("shard map of version {}", version));
    }
    const std::size_t nodes = reader.take<std::uint16_t>();
    const std::size_t shards = reader.take<std::uint16_t>();
    if (nodes > ShardMap::nodes_max || shards == 0 || shards > ShardMap::shards_max) {
        return fail(reader.truncated() ? Errc::truncated : Errc::corrupt);
    }
    ShardMap map;
    map.self = NodeId(reader.take<std::uint64_t>());
    KV_CHECK(take_nodes(reader, nodes, map));
    std::uint32_t next_slot = 0;
    for (std::size_t i = 0; i < shards && !reader.truncated(); ++i) {
        KV_CHECK(take_shard(reader, next_slot, map));
        if (!map.shards.empty()) next_slot = map.shards.back().last_slot.value() + std::uint32_t{1};
    }
    if (reader.truncated()) return fail(Errc::truncated);
    if (next_slot != slots) return fail(Errc::corrupt, "a shard map does not have all slots");
    if (!reader.empty()) return fail(Errc::corrupt, "bytes behind a shard map");
    return map;
}

}  // namespace kv
