#include "tests/support/oracles/message_books.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace kv::sim {

namespace {

std::string sentence(const Message& message, const std::string& what) {
    return fmt::format("n{} to n{}, group {} term {}: {}", message.from.value(), message.to.value(),
                       message.group.value(), message.term.value(), what);
}

}  // namespace

std::optional<std::string> MessageBooks::said(const Message& message, const Speaker& speaker,
                                              Instant now) {
    const GroupFacts& sender = speaker.facts;
    const bool leads = sender.role == consensus::Role::leader && sender.term == message.term;
    if (const auto* const vote = std::get_if<VoteRequest>(&message.body))
        return judge_request(message, *vote);
    if (const auto* const vote = std::get_if<VoteReply>(&message.body))
        return judge_reply(message, *vote, speaker, now);
    const bool leading = std::holds_alternative<HeartbeatRequest>(message.body) ||
                         std::holds_alternative<AppendRequest>(message.body);
    if (leading && !leads && speaker.role_before != consensus::Role::leader)
        return sentence(message, "it speaks as a leader, and is none");
    if (std::holds_alternative<HeartbeatReply>(message.body)) {
        note_reply(message, sender);
        return std::nullopt;
    }
    if (const auto* const beat = std::get_if<HeartbeatRequest>(&message.body)) {
        auto& kept = beats_[{message.group, message.from, message.to}];
        kept[message.sequence % heartbeats_max] = {message.boot, message.sequence, message.term,
                                                   now};
        if (leads && beat->commit > sender.commit)
            return sentence(message, fmt::format("entry {} is called committed, {} is",
                                                 beat->commit.value(), sender.commit.value()));
    }
    if (leads && std::holds_alternative<AppendRequest>(message.body))
        return judge_entries(message, sender);
    if (const auto* const offer = std::get_if<SnapshotRequest>(&message.body)) {
        const LogPosition position = offer->position;
        const bool known = position.index >= sender.compacted;
        if (leads && (position.index > sender.commit ||
                      (known && sender.term_at(position.index) != position.term)))
            return sentence(message,
                            fmt::format("a snapshot of entry {} of term {}, which the sender has "
                                        "not committed",
                                        position.index.value(), position.term.value()));
    }
    return std::nullopt;
}

MessageBooks::Wrong MessageBooks::judge_entries(const Message& message, const GroupFacts& sender) {
    const auto& request = std::get<AppendRequest>(message.body);
    const auto has = [&](LogPosition position) {
        if (position.index < sender.compacted) return true;  // nobody can tell any more
        return position.index <= sender.last.index &&
               sender.term_at(position.index) == position.term;
    };
    if (request.commit > sender.commit)
        return sentence(message, fmt::format("entry {} is called committed, {} is",
                                             request.commit.value(), sender.commit.value()));
    if (!has(request.previous))
        return sentence(message,
                        fmt::format("entries behind {} of term {}, which the sender does "
                                    "not have",
                                    request.previous.index.value(), request.previous.term.value()));
    Index before = request.previous.index;
    for (const Bytes bytes : request.entries) {
        const Entry entry = view_entry(bytes);
        const LogPosition position{entry.term, entry.index};
        if (entry.index != before.next())
            return sentence(
                message, fmt::format("entry {} follows {}", entry.index.value(), before.value()));
        if (!has(position))
            return sentence(message, fmt::format("entry {} of term {} is not of the sender's log",
                                                 entry.index.value(), entry.term.value()));
        before = entry.index;
    }
    return std::nullopt;
}

MessageBooks::Wrong MessageBooks::judge_request(const Message& message,
                                                const VoteRequest& request) {
    candidates_[{message.group, message.from, message.boot, message.sequence}] = request.last;
    if (request.pre || request.transfer) return std::nullopt;
    const auto found = pre_votes_.find({message.group, message.term, message.from});
    const std::size_t granted = found == pre_votes_.end() ? 0 : found->second.size();
    if (granted + 1 >= majority_) return std::nullopt;
    return sentence(message, fmt::format("a candidacy with {} pre-votes of others", granted));
}

MessageBooks::Wrong MessageBooks::judge_reply(const Message& message, const VoteReply& reply,
                                              const Speaker& speaker, Instant now) {
    if (!reply.granted) return std::nullopt;
    const GroupFacts& voter = speaker.facts;
    auto& books = reply.pre ? pre_votes_ : votes_;
    books[{message.group, message.term, message.to}].insert(message.from);
    const auto request =
        candidates_.find({message.group, message.to, message.boot, message.sequence});
    if (request == candidates_.end()) return sentence(message, "a vote for which nobody has asked");
    // A vote may have waited for the disk while the log went on: that takes a leader.
    const LogPosition last = std::min(voter.last, speaker.last_before);
    const bool went_on =
        !reply.pre && (voter.leader.value() != 0 || voter.last.term >= message.term);
    if (!went_on && request->second < last)
        return sentence(message,
                        fmt::format("a vote for a log that ends with entry {} of term {}, "
                                    "the own with {} of term {}",
                                    request->second.index.value(), request->second.term.value(),
                                    last.index.value(), last.term.value()));
    if (!reply.pre || speaker.stalled) return std::nullopt;
    if (voter.role == consensus::Role::leader && speaker.role_before == consensus::Role::leader)
        return sentence(message, "a leader helps another one");
    const auto heard = heard_.find({message.group, message.from});
    if (heard == heard_.end() || heard->second.life != voter.life ||
        heard->second.term != voter.term)
        return std::nullopt;
    // Clocks may drift.
    const Duration since = now - heard->second.at;
    if (since >= election_timeout_ * 9 / 10) return std::nullopt;
    return sentence(message,
                    fmt::format("a pre-vote, {} ms after a heartbeat of a leader", since / 1ms));
}

/// The heartbeat that is answered was heard after it was sent.
void MessageBooks::note_reply(const Message& message, const GroupFacts& sender) {
    const auto found = beats_.find({message.group, message.to, message.from});
    if (found == beats_.end()) return;
    const Heartbeat& beat = found->second[message.sequence % heartbeats_max];
    const bool same = beat.boot == message.boot && beat.sequence == message.sequence;
    if (!same || beat.term != message.term) return;
    Heard& heard = heard_[{message.group, message.from}];
    if (heard.life != sender.life) heard = {sender.life};
    if (heard.term == message.term && heard.at > beat.at) return;
    heard.term = message.term;
    heard.at = beat.at;
}

std::optional<std::string> MessageBooks::elected(const GroupFacts& leader) const {
    const auto found = votes_.find({leader.group, leader.term, leader.node});
    const std::size_t granted = found == votes_.end() ? 0 : found->second.size();
    if (granted + 1 >= majority_) return std::nullopt;
    return fmt::format("n{} group {}: elected in term {} with {} votes of others",
                       leader.node.value(), leader.group.value(), leader.term.value(), granted);
}

}  // namespace kv::sim
