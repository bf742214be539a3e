#include "engine/node/refusal.h"

#include <fmt/format.h>

#include "proto/reply.h"

namespace kv {

Refused refusal_of(const ReplicaSet& replicas, ShardId shard, Errc reason) noexcept {
    if (reason != Errc::no_leader) return {reason, NodeId()};
    const NodeId leader = replicas.leader(shard);
    // It may lead already, but not serve yet.
    if (leader == NodeId() || leader == replicas.self()) return {reason, NodeId()};
    return {Errc::not_leader, leader};
}

void answer_refusal(const Refused& refusal, SlotId slot, const ReplicaSet& replicas,
                    Protocol protocol, ReplyWriter& reply) {
    if (refusal.reason == Errc::not_leader) {
        const Member* const leader = replicas.member(refusal.leader);
        if (leader != nullptr) {
            return reply.redirect(slot.value(), client_address(*leader, protocol));
        }
    } else if (refusal.reason != Errc::no_leader) {
        return reply.error(refusal.reason);
    }
    if (!is_resp(protocol)) return reply.error(Errc::no_leader);
    reply.error(Errc::no_leader, fmt::format("no leader for slot {}", slot.value()));
}

std::string client_address(const Member& member, Protocol protocol) {
    const bool brackets = !is_resp(protocol) && member.host.find(':') != std::string::npos;
    return fmt::format(fmt::runtime(brackets ? "[{}]:{}" : "{}:{}"), member.host,
                       member.client_port);
}

}  // namespace kv
