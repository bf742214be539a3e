#include "tests/support/oracles/persist_before_send.h"

#include <fmt/format.h>

namespace kv::sim {

std::optional<std::string> broken_promise(const Message& message, Term match_term,
                                          const DurableLog& log) {
    const auto* const request = std::get_if<VoteRequest>(&message.body);
    const auto* const vote = std::get_if<VoteReply>(&message.body);
    if ((request != nullptr && request->pre) || (vote != nullptr && vote->pre)) return std::nullopt;
    const auto wrong = [&](const std::string& what) {
        return fmt::format("n{} tells n{} in group {} {} that is not durable", message.from.value(),
                           message.to.value(), message.group.value(), what);
    };
    if (message.term > log.term(message.group)) {
        return wrong(fmt::format("term {} (message kind {}, durable is {})", message.term.value(),
                                 message.body.index(), log.term(message.group).value()));
    }
    if (request != nullptr && !log.voted(message.group, message.term, message.from))
        return wrong(fmt::format("a candidacy in term {}", message.term.value()));
    if (vote != nullptr && vote->granted && !log.voted(message.group, message.term, message.to))
        return wrong(fmt::format("a vote in term {}", message.term.value()));
    const auto* const append = std::get_if<AppendReply>(&message.body);
    if (append == nullptr || append->rejected || match_term.value() == 0) return std::nullopt;
    if (!log.holds(message.group, {match_term, append->match})) {
        return wrong(fmt::format("entry {} of term {}", append->match.value(), match_term.value()));
    }
    return std::nullopt;
}

}  // namespace kv::sim
