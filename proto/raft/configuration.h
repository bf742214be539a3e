#pragma once

/// Who belongs to a Raft group: the payload of an entry of kind `configuration`. The first entry of
/// every group is one. Both halves of a joint configuration fit (Raft dissertation, section 4.3).
/// Little-endian, unaligned:
///
///     0  u16  version       1
///     2  u16  members
///     4  for each member:
///        u64  node id       u64 high, u64 low of its store id
///        u8   roles         MemberRole bits; unknown bits stop the replica
///        u8   0
///        u16  peer port     u16 client port     u16 host_bytes    host
///
/// Members are sorted by node id.

#include <string>
#include <vector>

#include "proto/base/bytes.h"
#include "proto/base/ids.h"
#include "proto/base/result.h"

namespace kv {

enum MemberRole : std::uint8_t {
    role_voter = 1,           ///< votes in the configuration that holds, or comes into force
    role_outgoing_voter = 2,  ///< joint: votes in the configuration that is being left
    role_learner = 4,         ///< receives entries, does not vote
};

struct Member {
    NodeId node;
    StoreId store;
    std::uint8_t roles = role_voter;
    std::string host;
    std::uint16_t peer_port = 0;
    std::uint16_t client_port = 0;
    bool operator==(const Member&) const = default;
};

struct Configuration {
    std::vector<Member> members;
    bool operator==(const Configuration&) const = default;
};

void encode_configuration(const Configuration& configuration, std::string& out);
/// Errors: `truncated`; `corrupt`, members out of order or bytes left over; `unsupported`.
Result<Configuration> decode_configuration(Bytes bytes);

}  // namespace kv
