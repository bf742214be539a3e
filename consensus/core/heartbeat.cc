/// That a leader lives, and that it still led when a read was asked for (Raft dissertation, 6.4).

#include "consensus/core/raft.h"
#include "proto/base/mutant.h"

namespace kv::consensus {

void Raft::send_heartbeats(Instant now, Effects& effects) {
    heartbeat_ = now + options_.heartbeat_interval;
    if (stalled_) return;
    const std::uint64_t round = reads_.asked();
    for (Progress& follower : followers_) {
        ++sequence_;
        follower.heartbeat_sent(sequence_, round);
        const bool clamped = !mutant(Mutant::m14_commit_unclamped);
        const Index commit = clamped ? std::min(commit_, follower.match) : commit_;
        effects.messages.push_back(message(follower.node, HeartbeatRequest{commit, round}));
    }
}

void Raft::on(const Message& message, const HeartbeatRequest& request, Instant now,
              Effects& effects) {
    if (!accept_request(message, HeartbeatReply{request.read}, now, effects)) return;
    // The leader knows that the log here is its own up to there.
    if (request.commit <= log_.durable_index()) learn_commit(request.commit, effects);
    send(answer(message, term_, HeartbeatReply{request.read}), effects);
}

void Raft::on(const Message& message, const HeartbeatReply& reply, Instant now, Effects& effects) {
    if (!accept_reply(message, now, effects) || role_ != Role::leader) return;
    Progress* follower = find(message.from);
    if (follower == nullptr || !follower->take_heartbeat(message.sequence, reply.read)) return;
    follower->heard = now;
    follower->read = std::max(follower->read, reply.read);
    confirm_reads(effects);
}

std::uint64_t Raft::request_read() {
    return ready() ? reads_.open(commit_) : 0;
}

void Raft::confirm_reads(Effects& effects) {
    if (!reads_.waiting()) return;
    const auto confirmed = [&](NodeId node) -> std::uint64_t {
        if (node == options_.self) return reads_.asked();
        const Progress* follower = find(node);
        return follower != nullptr ? follower->read : 0;
    };
    if (auto ready = reads_.confirm(quorum_value(voters(), confirmed))) {
        effects.reads.push_back(*ready);
    }
}

}  // namespace kv::consensus
