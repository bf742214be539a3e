#include "tests/support/oracles/raft_invariants.h"

#include <fmt/format.h>

#include <algorithm>

namespace kv::sim {

namespace {

std::string name_of(const GroupFacts& facts) {
    return fmt::format("n{} group {} term {}", facts.node.value(), facts.group.value(),
                       facts.term.value());
}

}  // namespace

std::optional<std::string> RaftInvariants::observe(const GroupFacts& facts) {
    Group& group = groups_[facts.group];
    Life& life = group.lives[facts.node];
    if (life.number != facts.life) {
        life = Life();
        life.number = facts.life;
    }
    const Life before = life;
    life.role = facts.role;
    life.term = facts.term;
    life.vote = facts.vote;
    life.commit = facts.commit;
    if (facts.term < before.term)
        return fmt::format("{}: the term was {}", name_of(facts), before.term.value());
    if (facts.commit < before.commit)
        return fmt::format("{}: commit fell from {} to {}", name_of(facts), before.commit.value(),
                           facts.commit.value());
    if (facts.term == before.term && before.vote.value() != 0 && facts.vote != before.vote)
        return fmt::format("{}: the vote was for n{}, now it is for n{}", name_of(facts),
                           before.vote.value(), facts.vote.value());
    const bool elected = facts.role == consensus::Role::leader &&
                         (before.role != consensus::Role::leader || before.term != facts.term);
    const bool leads = facts.role == consensus::Role::leader;
    if (leads && !elected && facts.commit > before.commit &&
        facts.term_at(facts.commit) != facts.term)
        return fmt::format("{}: commits entry {}, which is of term {}", name_of(facts),
                           facts.commit.value(), facts.term_at(facts.commit).value());
    // What it commits at once is its own; what was there before it must have.
    if (auto wrong = observe_leader(facts, group, elected)) return wrong;
    if (auto wrong = observe_commit(facts, group, before.commit)) return wrong;
    return observe_digest(facts, group);
}

RaftInvariants::Wrong RaftInvariants::observe_leader(const GroupFacts& facts, Group& group,
                                                     bool elected) {
    if (facts.role != consensus::Role::leader) return std::nullopt;
    const auto [leader, first] = leaders_.try_emplace({facts.group, facts.term}, facts.node);
    if (leader->second != facts.node)
        return fmt::format("{}: n{} leads in this term, too", name_of(facts),
                           leader->second.value());
    if (!elected) return std::nullopt;
    for (std::size_t i = group.committed.size(); i > 0; --i) {
        const Committed& entry = group.committed[i - 1];
        const Index index(i);
        if (index <= facts.compacted) break;
        if (entry.by >= facts.term) continue;
        if (index > facts.last.index || facts.term_at(index) != entry.term) {
            return fmt::format(
                "{}: elected without entry {} of term {}, which was committed by "
                "term {}",
                name_of(facts), i, entry.term.value(), entry.by.value());
        }
    }
    return std::nullopt;
}

RaftInvariants::Wrong RaftInvariants::observe_commit(const GroupFacts& facts, Group& group,
                                                     Index before) {
    for (Index index = std::max(before, facts.compacted).next(); index <= facts.commit;
         index = index.next()) {
        const Term term = facts.term_at(index);
        // What was compacted was committed: a gap is known from its other side only.
        while (group.committed.size() < index.value()) {
            const Index at(group.committed.size() + 1);
            const Term known = at > facts.compacted ? facts.term_at(at) : Term();
            group.committed.push_back({known, facts.term});
        }
        Committed& entry = group.committed[index.value() - 1];
        if (entry.term.value() == 0) entry.term = term;
        if (entry.term != term)
            return fmt::format("{}: entry {} of term {} is committed; elsewhere it is of term {}",
                               name_of(facts), index.value(), term.value(), entry.term.value());
    }
    return std::nullopt;
}

RaftInvariants::Wrong RaftInvariants::observe_digest(const GroupFacts& facts, Group& group) {
    if (!facts.digest || facts.applied.value() == 0) return std::nullopt;
    const std::uint64_t digest = facts.digest();
    const auto [known, first] = group.digests.try_emplace(facts.applied, digest);
    if (known->second != digest)
        return fmt::format("{}: the store differs from another one that has applied entry {}",
                           name_of(facts), facts.applied.value());
    if (group.digests.size() > digests_max) group.digests.erase(group.digests.begin());
    return std::nullopt;
}

std::optional<std::string> RaftInvariants::check_logs(const GroupFacts& a, const GroupFacts& b) {
    const std::uint64_t first = std::max({a.compacted, b.compacted, Index(1)}).value();
    const std::uint64_t last = std::min(a.last.index, b.last.index).value();
    bool agreed = false;
    for (std::uint64_t i = last; i >= first; --i) {
        const bool equal = a.term_at(Index(i)) == b.term_at(Index(i));
        if (agreed && !equal) {
            return fmt::format("{} and {}: the logs agree at entry {}, not at {}", name_of(a),
                               name_of(b), i + 1, i);
        }
        agreed = agreed || equal;
    }
    return std::nullopt;
}

LogPosition RaftInvariants::committed(GroupId group) const {
    const auto found = groups_.find(group);
    if (found == groups_.end() || found->second.committed.empty()) return {};
    const auto& committed = found->second.committed;
    return {committed.back().term, Index(committed.size())};
}

Term RaftInvariants::term_of_committed(GroupId group, Index index) const {
    return groups_.at(group).committed.at(index.value() - 1).term;
}

}  // namespace kv::sim
