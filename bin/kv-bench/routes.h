#pragma once

/// Which node has which key, as a run knows it. Pure, but for the addresses that the MapKeeper
/// fills in.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/endpoint.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"
#include "proto/shard_map.h"

namespace kv::bench {

/// The slots of keys that differ in the digits at their end. CRC16 is linear: each group of digits
/// adds its part to the slot of the key whose digits are zeros, whatever the others are. So a slot
/// costs a look into a table for three digits, not one for each byte of the key.
class KeySlots {
public:
    /// `zeros`: the key with number 0, which ends in `digits` zeros and has no hash tag.
    KeySlots(std::string_view zeros, unsigned digits);

    /// Of the key with `number`, of as many digits.
    std::uint16_t slot(std::uint64_t number) const noexcept {
        std::uint16_t crc = zeros_;
        for (const std::vector<std::uint16_t>& group : groups_) {
            crc = static_cast<std::uint16_t>(crc ^ group[number % group_size]);
            number /= group_size;
        }
        return crc % slot_count;
    }

private:
    static constexpr std::uint64_t group_size = 1000;

    std::uint16_t zeros_;
    std::vector<std::vector<std::uint16_t>> groups_;  ///< the last digits first
};

/// Nodes and shards by position.
struct Routes {
    struct Node {
        NodeId id;
        std::string host;
        std::uint16_t port = 0;
        io::Endpoint endpoint;  ///< port 0: not known yet
    };
    std::vector<Node> nodes;  ///< the same positions in each later version
    std::vector<std::uint16_t> shard_of_slot;
    /// Of each shard, the node that led it last; it may be dead and without a successor.
    std::vector<std::uint16_t> home;
    std::vector<Term> terms;  ///< in which that one led; 0: nobody is known to

    /// Takes over what `map` knows better: leaders of later terms. True: something has changed.
    /// Errors: `unsupported`, the shards have others slots than before.
    Result<bool> merge(const ShardMap& map);
    /// Every shard had a leader, once.
    bool complete() const noexcept;

private:
    std::uint16_t position_of(const ShardMap::Node& node, bool& changed);
};

/// Divides `connections` among nodes in proportion to `weights`, which are not all zero. Each that
/// has a weight gets one, if there are enough.
std::vector<std::size_t> divide(std::size_t connections, std::span<const std::uint64_t> weights);

}  // namespace kv::bench
