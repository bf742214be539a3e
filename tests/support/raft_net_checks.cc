/// What must hold in a RaftNet: of each node after each input, and of the cluster.

#include <fmt/format.h>

#include "proto/base/checksum.h"
#include "tests/support/raft_net.h"

namespace kv::consensus {

void RaftNet::blame(const Node& node, std::string_view what) {
    if (fault.empty()) fault = fmt::format("node {}: {}", id(node), what);
}

void RaftNet::check(Node& node, const Observed& before) {
    if (const auto wrong = violated(before, *node.raft)) blame(node, *wrong);
    if (before.role != Role::leader && node.raft->role() == Role::leader) check_leader(node);
    if (node.raft->commit() > before.commit) check_commit(node);
}

void RaftNet::check_leader(Node& node) {
    ++elections;
    const auto [known, fresh] = leaders_.try_emplace(node.raft->term(), id(node));
    if (!fresh) blame(node, fmt::format("leads the term of node {}", known->second));
    // The log holds all that was ever committed.
    for (std::size_t at = node.raft->compacted().index.value(); at < committed_.size(); ++at) {
        const Index index(at + 1);
        if (index > node.raft->last().index || node.raft->term_at(index) != committed_[at].term) {
            return blame(node, fmt::format("leads without the committed entry {}", index.value()));
        }
    }
}

bool RaftNet::durable_at(const Node& node, LogPosition position) const {
    const auto found = node.entries.find(position.index);
    return found != node.entries.end() && found->second == position.term;
}

void RaftNet::check_commit(Node& node) {
    const Raft& raft = *node.raft;
    for (Index index(committed_.size() + 1); index <= raft.commit(); index = index.next()) {
        if (index < raft.in_memory()) return blame(node, "first to commit what it has not");
        const Entry entry = raft.entry(index);
        committed_.push_back({entry.term, checksum(entry.bytes)});
        const auto durable = [&](NodeId voter) {
            return durable_at(nodes_[voter.value() - 1], {entry.term, index}) ? 1u : 0u;
        };
        if (quorum_value(raft.voters(), durable) != 1) {
            blame(node, fmt::format("entry {} is committed and not durable", index.value()));
        }
    }
    for (Index index = std::max(raft.in_memory(), raft.compacted().index.next());
         index <= raft.commit(); index = index.next()) {
        if (committed_[index.value() - 1].term != raft.term_at(index)) {
            blame(node, fmt::format("commits another entry {}", index.value()));
        }
    }
}

void RaftNet::check_sent(Node& node, const Message& message) {
    if (message.from != NodeId(id(node))) blame(node, "sends in the name of another");
    const auto* asked = std::get_if<VoteRequest>(&message.body);
    const auto* voted = std::get_if<VoteReply>(&message.body);
    if ((asked != nullptr && asked->pre) || (voted != nullptr && voted->pre && voted->granted)) {
        return;  // of a term that may never be
    }
    if (message.term > node.state.term) blame(node, "sends a term that is not durable");
    if (voted != nullptr && voted->granted) {
        if (node.state.term != message.term || node.state.vote != message.to) {
            blame(node, "sends a vote that is not durable");
        }
        const auto [known, fresh] = votes_.try_emplace({id(node), message.term}, message.to);
        if (!fresh && known->second != message.to) blame(node, "votes twice in a term");
    }
    const auto* reply = std::get_if<AppendReply>(&message.body);
    if (reply != nullptr && !reply->rejected) check_promise(node, message, *reply);
}

/// An acknowledgement vouches for the last entry of its request, of that term, and no other.
void RaftNet::check_promise(Node& node, const Message& message, const AppendReply& reply) {
    const auto asked = asked_.find({message.to.value(), message.boot, message.sequence});
    if (asked == asked_.end()) return blame(node, "acknowledges what nobody sent");
    const LogPosition position = asked->second;
    if (reply.match != position.index) return blame(node, "acknowledges more than it was sent");
    if (position.index.value() == 0) return;
    const bool covered = position.index <= node.snapshot.position.index &&
                         position.index.value() <= committed_.size() &&
                         committed_[position.index.value() - 1].term == position.term;
    if (!covered && !durable_at(node, position)) blame(node, "acknowledges what is not durable");
}

void RaftNet::note_asked(const Node& node, const Message& message) {
    const Asked asked{id(node), message.boot, message.sequence};
    if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
        LogPosition end = append->previous;
        for (const Bytes entry : append->entries) {
            end = {view_entry(entry).term, view_entry(entry).index};
        }
        asked_[asked] = end;
    } else if (const auto* snapshot = std::get_if<SnapshotRequest>(&message.body)) {
        asked_[asked] = snapshot->position;
    }
}

void RaftNet::note_written(const Node& node, const Entry& entry, Term before) {
    const Fact fact{entry.term, checksum(entry.bytes)};
    const auto [known, fresh] = written_.try_emplace({entry.term, entry.index}, fact, before);
    if (!fresh && known->second != std::pair{fact, before}) {
        blame(node, "two entries at one position, or two before it");
    }
}

}  // namespace kv::consensus
