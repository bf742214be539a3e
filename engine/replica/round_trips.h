#pragma once

/// How long the other nodes take to answer a heartbeat: one is watched for each of them at a time.
/// Owner core only.

#include <algorithm>
#include <vector>

#include "proto/base/duration_classes.h"
#include "proto/raft/message.h"

namespace kv {

class RoundTrips {
public:
    /// One that was not answered for so long is given up: another one is watched.
    static constexpr Duration patience = 1s;

    struct Peer {
        NodeId node;
        DurationHistogram times;
        GroupId group;               ///< of the one that is watched
        std::uint64_t sequence = 0;  ///< 0: none is
        Instant sent{};
    };

    /// A message leaves.
    void on_sent(const Message& message, Instant now) {
        if (!std::holds_alternative<HeartbeatRequest>(message.body)) return;
        Peer& peer = of(message.to);
        if (peer.sequence != 0 && now - peer.sent < patience) return;
        peer.group = message.group;
        peer.sequence = message.sequence;
        peer.sent = now;
    }
    /// A message has come.
    void on_received(const Message& message, Instant now) {
        if (!std::holds_alternative<HeartbeatReply>(message.body)) return;
        const auto peer = std::ranges::find(peers_, message.from, &Peer::node);
        if (peer == peers_.end() || peer->sequence != message.sequence ||
            peer->group != message.group) {
            return;
        }
        peer->sequence = 0;
        peer->times.add(now - peer->sent);
    }
    /// Null: none was sent to `node`.
    const DurationHistogram* times(NodeId node) const noexcept {
        const auto peer = std::ranges::find(peers_, node, &Peer::node);
        return peer == peers_.end() ? nullptr : &peer->times;
    }

private:
    Peer& of(NodeId node) {
        const auto peer = std::ranges::find(peers_, node, &Peer::node);
        if (peer != peers_.end()) return *peer;
        peers_.push_back(Peer());
        peers_.back().node = node;
        return peers_.back();
    }
    std::vector<Peer> peers_;  ///< a few
};

}  // namespace kv
