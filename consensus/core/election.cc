/// Who leads: elections with pre-votes, leader stickiness, check-quorum, and the hand-over of
/// leadership (Raft dissertation, sections 3.4, 3.10, 4.2.3, 6.2, 9.6).

#include "consensus/core/raft.h"
#include "proto/base/mutant.h"

namespace kv::consensus {

/// Asks for votes. A pre-vote changes nothing that lasts: the term begins only when a quorum would
/// grant it, so that a node that was cut off does not unseat a leader when it comes back.
void Raft::campaign(bool pre, bool transfer, Instant now, Effects& effects) {
    role_ = pre ? Role::pre_candidate : Role::candidate;
    leader_ = {};
    ballot_.clear();
    voted_self_ = false;
    effects.role_changed = true;
    restart_timeout(now);
    if (!pre) save(term_.next(), options_.self);
    campaign_ = ++sequence_;
    const VoteRequest request{log_.last(), pre, transfer};
    for (const Member& member : configuration().members) {
        if (member.node == options_.self || !voters().contains(member.node)) continue;
        Message vote = message(member.node, request);
        if (pre) {
            vote.term = term_.next();
            effects.messages.push_back(std::move(vote));  // promises nothing
        } else {
            send(std::move(vote), effects);
        }
    }
    if (pre) {  // the own vote counts when it is durable: persisted()
        ballot_.record(options_.self, true);
        count(now, effects);
    }
}

void Raft::count(Instant now, Effects& effects) {
    switch (ballot_.outcome(voters())) {
        case Ballot::Outcome::open: return;
        case Ballot::Outcome::lost:
            if (role_ == Role::pre_candidate) role_ = Role::follower;  // asks again by timeout
            return;
        case Ballot::Outcome::won:
            if (role_ == Role::pre_candidate) return campaign(false, false, now, effects);
            return become_leader(now, effects);
    }
    KV_UNREACHABLE();
}

void Raft::become_leader(Instant now, Effects& effects) {
    role_ = Role::leader;
    leader_ = options_.self;
    effects.role_changed = true;
    followers_.clear();
    for (const Member& member : configuration().members) {
        if (member.node == options_.self) continue;
        followers_.emplace_back(member.node, log_.last().index.next(), now);
    }
    uncommitted_bytes_ = 0;
    for (Index one = commit_.next(); one <= log_.last().index; one = one.next()) {
        uncommitted_bytes_ += log_.entry(one).bytes.size();
    }
    first_of_term_ = log_.last().index.next();
    append(take_buffer(), EntryKind::noop, 0, term_);
    heartbeat_ = now + options_.heartbeat_interval;
}

void Raft::restart_timeout(Instant now) {
    const auto spread = static_cast<std::uint64_t>(options_.election_timeout.count());
    election_ =
        now + options_.election_timeout + Duration(static_cast<Duration::rep>(prng_.below(spread)));
}

/// Whether a leader is known to live: then nobody is helped to another term.
bool Raft::sticky(Instant now) const noexcept {
    if (stalled_ || leader_.value() == 0 || mutant(Mutant::m11_no_stickiness)) return false;
    return role_ == Role::leader || now - heard_ < options_.election_timeout;
}

bool Raft::may_campaign() const noexcept {
    return !stalled_ && voters().contains(options_.self);
}

/// What time asks of a leader.
void Raft::lead(Instant now, Effects& effects) {
    const auto heard = [&](NodeId node) -> std::uint64_t {
        const Progress* follower = find(node);
        const Instant at = follower != nullptr ? follower->heard : now;
        return static_cast<std::uint64_t>(at.time_since_epoch().count());
    };
    const std::uint64_t quorum = quorum_value(voters(), heard);
    if (static_cast<std::uint64_t>(now.time_since_epoch().count()) - quorum >
            static_cast<std::uint64_t>(options_.election_timeout.count()) &&
        !mutant(Mutant::m12_no_check_quorum)) {
        return become_follower(term_, {}, now, effects);  // check-quorum
    }
    if (transfer_ && now >= transfer_->until) transfer_.reset();
    for (Progress& follower : followers_) {
        if (follower.silent_since(now - options_.election_timeout)) follower.give_up();
    }
    if (now >= heartbeat_) send_heartbeats(now, effects);
}

bool Raft::transfer(NodeId to, Instant now) {
    const Progress* follower = find(to);
    if (role_ != Role::leader || transfer_ || follower == nullptr || !voters().contains(to)) {
        return false;
    }
    transfer_ = {to, now + options_.election_timeout};
    return true;
}

/// Tells the next leader to campaign once it has the whole log; at once when this disk can bring
/// nothing more. At the end of a turn: what was collected before the transfer began is in the log.
void Raft::ask_to_campaign(Effects& effects) {
    if (!transfer_ || transfer_->asked) return;
    const Progress* follower = find(transfer_->to);
    if (!stalled_ && follower->match != log_.last().index) return;
    transfer_->asked = true;
    ++sequence_;
    send(message(transfer_->to, TimeoutNow{}), effects);
}

void Raft::set_disk_stalled(bool stalled, Instant now) {
    stalled_ = stalled && !voters().is_only(options_.self);  // alone, nobody could do better
    if (!stalled_ || role_ != Role::leader) return;
    const Progress* best = nullptr;
    for (const Progress& follower : followers_) {
        if (!voters().contains(follower.node)) continue;
        if (best == nullptr || follower.match > best->match) best = &follower;
    }
    if (best == nullptr) return;
    transfer_ = {best->node, now + options_.election_timeout};
}

void Raft::on(const Message& message, const VoteRequest& request, Instant now, Effects& effects) {
    const bool held_back = sticky(now) && !request.transfer;
    const bool complete =
        request.last >= log_.last() ||
        (mutant(Mutant::m05_index_only) && request.last.index >= log_.last().index) ||
        (mutant(Mutant::m06_empty_log) && log_.last() == log_.compacted());
    if (request.pre) {
        if (mutant(Mutant::m07_pre_vote_forgets)) vote_ = {};
        if (mutant(Mutant::m09_pre_vote_contact)) heard_ = now;
        // Nothing changes here, whatever the answer. Granted in the term that was asked for, which
        // promises nothing; refused in the own, so that a sender that is behind learns of it.
        if (message.term > term_ && complete && !held_back) {
            const Term term = mutant(Mutant::m08_pre_vote_term) ? term_ : message.term;
            effects.messages.push_back(answer(message, term, VoteReply{true, true}));
        } else {
            send(answer(message, term_, VoteReply{true, false}), effects);
        }
        return;
    }
    if (message.term > term_) {
        if (held_back) return;
        become_follower(message.term, {}, now, effects);
    }
    // By the request alone: whether its sender is a voter is for those to know who count.
    // Who leads this term, or campaigns in it, has voted for itself.
    const bool free = vote_.value() == 0 || vote_ == message.from;
    const bool granted = message.term == term_ && leader_.value() == 0 && free && complete;
    if (granted) {
        role_ = Role::follower;
        save(term_, message.from);
        restart_timeout(now);
    }
    send(answer(message, term_, VoteReply{false, granted}), effects);
}

void Raft::on(const Message& message, const VoteReply& reply, Instant now, Effects& effects) {
    const bool grants_pre = reply.pre && reply.granted;
    if (message.term > term_ && !grants_pre) {
        return become_follower(message.term, {}, now, effects);
    }
    if (message.boot != options_.boot || message.sequence != campaign_) return;
    if (role_ != (reply.pre ? Role::pre_candidate : Role::candidate)) return;
    // A refusal of a pre-vote may be of an earlier term, whose leader still lives.
    if (grants_pre ? message.term != term_.next() : !reply.pre && message.term != term_) return;
    ballot_.record(message.from, reply.granted);
    count(now, effects);
}

void Raft::on(const Message& message, const TimeoutNow&, Instant now, Effects& effects) {
    // Only the leader that is followed may ask.
    if (message.term != term_ || message.from != leader_ || role_ != Role::follower) return;
    if (may_campaign()) campaign(false, true, now, effects);
}

}  // namespace kv::consensus
