/// The simulated network's cuts: how they begin, and what becomes of connections when they end.

#include <algorithm>

#include "io/sim/sim_network.h"
#include "io/sim/sim_world.h"

namespace kv::io {

std::uint32_t SimNetwork::cut(SimPairs pairs, SimCut kind) {
    std::sort(pairs.begin(), pairs.end());
    const std::uint32_t number = ++cuts_made_;
    const Cut& cut = cuts_.try_emplace(number, Cut{std::move(pairs), kind}).first->second;
    recut(cut.pairs);
    return number;
}

void SimNetwork::mend(std::uint32_t number) {
    const auto found = cuts_.find(number);
    if (found == cuts_.end()) return;
    const SimPairs pairs = std::move(found->second.pairs);
    cuts_.erase(found);
    recut(pairs);
}

void SimNetwork::heal() {
    while (!cuts_.empty()) mend(cuts_.begin()->first);
}

/// The cuts have changed that concern `pairs`.
void SimNetwork::recut(const SimPairs& pairs) {
    for (const SimPair& pair : pairs) {
        SimLine& changed = line(pair.from, pair.to);
        const SimCut before = changed.cut;
        const bool stopped = changed.stops();
        changed.cut = SimCut::none;
        for (const auto& [number, cut] : cuts_) {
            if (std::binary_search(cut.pairs.begin(), cut.pairs.end(), pair))
                changed.cut = std::max(changed.cut, cut.kind);
        }
        if (changed.cut == before) continue;
        world_.trace(pair.from, CoreId(0), trace_cut, static_cast<std::int64_t>(changed.cut),
                     pair.to.value());
        if (changed.cut == SimCut::reset) {
            for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
                if (!sockets_[i].closed && sockets_[i].line == &changed) break_connection(i);
            }
        } else if (stopped && !changed.stops()) {
            let_go(changed, before);
        }
    }
}

/// A cut of the kind `ended` has been all that stopped `line`.
void SimNetwork::let_go(SimLine& line, SimCut ended) {
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        Socket& socket = sockets_[i];
        if (socket.line != &line || socket.silent) continue;
        Socket& peer = peer_of(socket);
        if (socket.closed && peer.closed) continue;
        if (!peer.closed && peer.withheld > 0) {
            // What the peer has read can be acknowledged now.
            peer.withheld = 0;
            if (socket.sender.exists())
                schedule(SimEventKind::window, world_.now() + line.draw_delay(), i);
        }
        if (socket.held == 0 && !socket.held_fin) continue;
        if (ended == SimCut::clog) {
            go_on(i, Duration::zero());
        } else if (odds(line.mends, knobs_.mend_reset_per_million)) {
            ++counters_.broken;
            break_connection(i);
        } else if (odds(line.mends, knobs_.mend_silent_per_million)) {
            silence(socket);
        } else {
            go_on(i, knobs_.retransmit.draw(line.mends));
        }
    }
}

/// What was held of the direction towards `number` is sent again `after` that time.
void SimNetwork::go_on(std::uint32_t number, Duration after) {
    Socket& socket = sockets_[number];
    ++counters_.went_on;
    const Instant at = world_.now() + after + socket.line->draw_delay();
    socket.last_arrival = std::max(socket.last_arrival, at);
    if (socket.held > 0)
        schedule(SimEventKind::segment, socket.last_arrival, number,
                 std::exchange(socket.held, std::size_t{0}));
    if (std::exchange(socket.held_fin, false))
        schedule(SimEventKind::fin, socket.last_arrival, number);
}

}  // namespace kv::io
