#include "tests/support/oracles/log_keeper.h"

#include <fmt/format.h>

#include <algorithm>

namespace kv::sim {

void LogKeeper::forget(NodeId node) {
    std::erase_if(logs_, [&](const auto& one) { return one.first.first == node; });
}

void LogKeeper::take_over(const GroupFacts& facts, Log& log) {
    log.base = facts.compacted;
    log.terms.clear();
    for (Index index = log.base; index <= facts.last.index; index = index.next())
        log.terms.push_back(facts.term_at(index));
}

std::optional<std::string> LogKeeper::observe(const GroupFacts& facts) {
    Log& log = logs_[{facts.node, facts.group}];
    if (log.life == 0) {
        log.life = facts.life;
        log.durable = std::min(facts.durable, facts.last.index);
        take_over(facts, log);
        return std::nullopt;
    }
    if (log.life != facts.life) {
        // Of what was under way anything may be there.
        log.life = facts.life;
        if (log.durable < log.last() && log.durable >= log.base)
            log.terms.resize(log.durable.value() - log.base.value() + 1);
    }
    const auto wrong = [&](std::string what) {
        take_over(facts, log);
        return fmt::format("n{} group {} term {}: {}", facts.node.value(), facts.group.value(),
                           facts.term.value(), what);
    };
    log.durable = std::min(facts.durable, facts.last.index);
    const Index from = std::max(log.base, facts.compacted);
    if (from >= log.last()) {
        const bool lost = facts.last.index < log.last();
        if (lost && facts.compacted < log.last())
            return wrong(fmt::format("the log ended with entry {}, now with {}", log.last().value(),
                                     facts.last.index.value()));
        take_over(facts, log);
        return std::nullopt;
    }
    // Where the old log and the new one part.
    const Index last = log.last();
    Index same = std::min(last, facts.last.index);
    const Index both = same;
    while (same > from && log.at(same) != facts.term_at(same)) same = Index(same.value() - 1);
    const bool joined = log.at(from) == facts.term_at(from);
    if (!joined && same > from)
        return wrong(fmt::format("entry {} is now of term {}, and entry {} behind it stays",
                                 from.value(), facts.term_at(from).value(), same.value()));
    if (joined && same == both && facts.last.index < last)
        return wrong(fmt::format("entries {} to {} have vanished from the log",
                                 facts.last.index.next().value(), last.value()));
    log.terms.resize(same.value() - log.base.value() + 1);
    if (!joined) return take_over(facts, log), std::nullopt;
    for (Index index = same.next(); index <= facts.last.index; index = index.next())
        log.terms.push_back(facts.term_at(index));
    return std::nullopt;
}

}  // namespace kv::sim
