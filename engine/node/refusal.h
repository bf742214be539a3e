#pragma once

/// Why a request was refused by the shard it is for, and where the client is to go instead:
///
///     another node leads   text REDIRECT host:port, binary status 0x20, RESP -MOVED slot host:port
///     nobody is known to   text ERROR no leader available, RESP -CLUSTERDOWN no leader for slot N
///
/// The address is the one that the configuration of the cluster has for the clients of that node.

#include <string>

#include "engine/replica/replica_set.h"

namespace kv {

class ReplyWriter;
enum class Protocol : std::uint8_t;

struct Refused {
    Errc reason = Errc::no_leader;
    NodeId leader;  ///< of `not_leader`
};

/// What `shard`, of this core, refused with `reason`: no_leader becomes not_leader when this node
/// knows of another that leads.
Refused refusal_of(const ReplicaSet& replicas, ShardId shard, Errc reason) noexcept;

/// The same for who cannot be sent anywhere, because the request is for several shards.
inline Errc reason_of(const Refused& refusal) noexcept {
    return refusal.reason == Errc::not_leader ? Errc::no_leader : refusal.reason;
}

/// The same as an answer: for a client that would not know what to do elsewhere.
inline Refused without_leader(const Refused& refusal) noexcept {
    return {reason_of(refusal), NodeId()};
}

/// `slot`: of the key, or of the first of several.
void answer_refusal(const Refused& refusal, SlotId slot, const ReplicaSet& replicas,
                    Protocol protocol, ReplyWriter& reply);

/// host:port, with brackets around an address of IPv6. (Clients of Redis take what is before the
/// last colon, and want none.)
std::string client_address(const Member& member, Protocol protocol);

}  // namespace kv
