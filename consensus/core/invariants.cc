#include "consensus/core/invariants.h"

namespace kv::consensus {

#define KV_MUST(expression) \
    if (!(expression)) return "not true: " #expression

Observed observe(const Raft& raft) noexcept {
    return {raft.role(),   raft.term(),          raft.vote(),      raft.leader(),
            raft.commit(), raft.applied_index(), raft.compacted(), raft.last()};
}

std::optional<std::string> violated(const Raft& raft) {
    const NodeId self = raft.options().self;
    KV_MUST(raft.compacted().index <= raft.applied_index());
    KV_MUST(raft.applied_index() <= raft.commit());
    KV_MUST(raft.commit() <= raft.durable().index);
    KV_MUST(raft.durable().index <= raft.last().index);
    KV_MUST(raft.last().term <= raft.term());
    KV_MUST(raft.in_memory() <= raft.applied_index().next());
    KV_MUST(raft.durable_state().term <= raft.term());
    for (Index index = raft.in_memory(); index <= raft.last().index; index = index.next()) {
        const Entry entry = raft.entry(index);
        KV_MUST(entry.index == index);
        KV_MUST(entry.term == raft.term_at(index));
        KV_MUST(raft.term_at(Index(index.value() - 1)) <= entry.term);
    }
    switch (raft.role()) {
        case Role::follower: KV_MUST(raft.leader() != self); break;
        case Role::pre_candidate: KV_MUST(raft.leader().value() == 0); break;
        case Role::candidate:
            KV_MUST(raft.vote() == self);
            KV_MUST(raft.leader().value() == 0);
            break;
        case Role::leader:
            KV_MUST(raft.vote() == self);
            KV_MUST(raft.leader() == self);
            KV_MUST(raft.durable_state().term == raft.term());
            KV_MUST(raft.durable_state().vote == self);
            KV_MUST(raft.last().term == raft.term());
            break;
    }
    KV_MUST(raft.role() == Role::leader || raft.followers().empty());
    for (const Progress& follower : raft.followers()) {
        KV_MUST(follower.node != self);
        KV_MUST(follower.match < follower.next);
        KV_MUST(follower.next <= raft.last().index.next());
        KV_MUST(follower.state == Progress::State::replicate || follower.outstanding() <= 1);
        KV_MUST(follower.outstanding() <= raft.options().inflight_requests_max);
    }
    return std::nullopt;
}

std::optional<std::string> violated(const Observed& before, const Raft& raft) {
    if (auto wrong = violated(raft)) return wrong;
    const Observed after = observe(raft);
    KV_MUST(before.term <= after.term);
    KV_MUST(before.commit <= after.commit);
    KV_MUST(before.applied <= after.applied);
    KV_MUST(before.compacted.index <= after.compacted.index);
    if (before.term != after.term) return std::nullopt;
    KV_MUST(before.vote.value() == 0 || before.vote == after.vote);
    KV_MUST(before.leader.value() == 0 || after.leader.value() == 0 ||
            before.leader == after.leader);
    if (before.role != Role::leader || after.role != Role::leader) return std::nullopt;
    KV_MUST(before.last <= after.last);  // a leader only appends
    KV_MUST(before.last.index < after.compacted.index ||
            raft.term_at(before.last.index) == before.last.term);
    return std::nullopt;
}

}  // namespace kv::consensus
