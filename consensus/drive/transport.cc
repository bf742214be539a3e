#include "consensus/drive/transport.h"

#include <algorithm>
#include <array>
#include <system_error>

#include "proto/base/log.h"

namespace kv::consensus {

namespace {

std::uint64_t random_word(io::Reactor& reactor) {
    std::array<std::byte, 8> bytes{};
    reactor.backend().fill_entropy(bytes);
    return load_le<std::uint64_t>(bytes.data());
}

}  // namespace

Transport::Transport(io::Reactor& reactor, PeerBook& book, PeerHandler& handler, LinkLimits limits)
    : reactor_(reactor),
      book_(book),
      handler_(handler),
      limits_(limits),
      jitter_(random_word(reactor)),
      tick_timer_(*this),
      changed_(reactor),
      self_(book.introduce().node) {
    reactor_.add_turn_hook(*this, io::Reactor::Phase::commit);
    reactor_.timers().arm(tick_timer_, reactor_.now() + tick_period);
}

Transport::~Transport() {
    reactor_.timers().disarm(tick_timer_);
    for (const auto& peer : peers_) reactor_.timers().disarm(peer->retry);
    reactor_.remove_turn_hook(*this);
}

// --- peers and their connections -----------------------------------------------------------------

void Transport::set_peers(std::span<const PeerAddress> wanted) {
    for (const auto& peer : peers_) {
        const auto same = std::ranges::find(wanted, peer->address.node, &PeerAddress::node);
        if (same != wanted.end()) {
            peer->address = *same;
            continue;
        }
        peer->removed = true;
        close_links(*peer);
        reactor_.backend().cancel(peer->connect);
        reactor_.timers().disarm(peer->retry);
        gone_ = true;
    }
    for (const PeerAddress& address : wanted) {
        KV_ASSERT(address.node != self_);
        if (stopping_ || find(address.node) != nullptr) continue;
        peers_.push_back(std::make_unique<Peer>(*this, address));
        connect(*peers_.back());
    }
    reactor_.want_turn();
}

void Transport::connect(Peer& peer) {
    if (stopping_ || peer.removed || peer.opened != nullptr || peer.connect.in_flight()) return;
    peer.connecting_to = peer.address.endpoint;
    io::OpRequest request;
    request.code = io::OpCode::connect;
    request.endpoint = &peer.connecting_to;
    peer.connect.set_request(request);
    reactor_.timers().arm(peer.retry, reactor_.now() + limits_.connect_timeout);
    reactor_.backend().submit(peer.connect);
}

void Transport::retry_due(io::Timer& timer) noexcept {
    Peer& peer = static_cast<RetryTimer&>(timer).peer;
    if (peer.connect.in_flight()) {
        peer.transport.reactor_.backend().cancel(peer.connect);  // it took too long
    } else {
        peer.transport.connect(peer);
    }
}

void Transport::connected_to(io::Op& op, std::int32_t result, io::Completion) noexcept {
    Peer& peer = static_cast<ConnectOp&>(op).peer;
    Transport& self = peer.transport;
    self.reactor_.timers().disarm(peer.retry);
    if (peer.removed || self.stopping_) {
        if (result >= 0) self.hold(result, nullptr).link.close();
        self.gone_ = true;
        self.changed_.set();
        return;
    }
    if (result < 0) {
        std::uint64_t passed_over = 0;
        if (peer.reach_rate.allow(self.reactor_.now(), passed_over)) {
            log::warn("a node of the cluster is not reached, trying again",
                      log::field("peer", peer.address.node.value()),
                      log::field("address", peer.connecting_to.text()),
                      log::field("error", std::generic_category().message(-result)),
                      log::field("passed_over", passed_over));
        }
        return self.retry_later(peer);
    }
    Held& held = self.hold(result, &peer);
    held.sender_core = self.reactor_.core();
    peer.opened = &held.link;
    Handshake own = self.introduce();
    own.expected = peer.address.node;
    held.link.ask(own);
}

/// Between half of the time and all of it, so that nodes which lost each other together do not come
/// back together; doubled with each attempt that fails.
void Transport::retry_later(Peer& peer) noexcept {
    if (stopping_ || peer.removed) return;
    peer.backoff = std::clamp(2 * peer.backoff, limits_.backoff_min, limits_.backoff_max);
    const auto most = static_cast<std::uint64_t>(peer.backoff.count());
    const Duration wait(static_cast<std::int64_t>(jitter_.between(most / 2, most)));
    reactor_.timers().arm(peer.retry, reactor_.now() + wait);
}

void Transport::adopt(std::int32_t fd, const Handshake& theirs) {
    Peer* const peer = find(theirs.node);
    if (stopping_ || peer == nullptr) {
        hold(fd, nullptr).link.close();
        return;
    }
    close_earlier_links(*peer, theirs.boot);
    for (const auto& other : links_) {
        const bool same = other->peer == peer && &other->link != peer->opened &&
                          other->sender_core == theirs.core;
        if (!same) continue;
        detach(*other);
        other->link.close();
    }
    make_room_for_one(*peer);
    Held& held = hold(fd, peer);
    held.sender_core = theirs.core;
    Handshake own = introduce();
    own.expected = theirs.node;
    own.verdict = verdict_accepted;
    held.link.answer(own, theirs);
    ++counters_.connections_adopted;
    choose_sender(*peer);
    if (peer->opened == nullptr && !peer->connect.in_flight()) {
        // It lives: there is no need to wait as long as before.
        peer->backoff = {};
        retry_later(*peer);
    }
}

void Transport::make_room_for_one(const Peer& peer) {
    Held* oldest = nullptr;
    std::size_t adopted = 0;
    for (const auto& one : links_) {
        if (one->peer != &peer || &one->link == peer.opened) continue;
        if (oldest == nullptr) oldest = one.get();
        ++adopted;
    }
    if (adopted < adopted_max) return;
    detach(*oldest);
    oldest->link.close();
}

bool Transport::on_answer(Link& link, const Handshake& theirs) noexcept {
    Held& one = held(link);
    Peer& peer = *one.peer;
    Handshake own = book_.introduce();
    own.expected = peer.address.node;
    const auto refusal = judge(own, theirs, book_.know(theirs.node));
    const bool by_them = theirs.verdict != verdict_accepted;
    if (!by_them && !refusal) {
        book_.on_met(theirs);
        ++counters_.connections_opened;
        peer.backoff = {};
        close_earlier_links(peer, theirs.boot);
        // What the link sends from here on is behind its own opening.
        reactor_.want_turn();
        return true;
    }
    ++counters_.refusals;
    const auto verdict = by_them ? theirs.verdict : static_cast<std::uint16_t>(*refusal);
    book_.on_refused(theirs, verdict, by_them);
    std::uint64_t passed_over = 0;
    if (peer.refusal_rate.allow(reactor_.now(), passed_over)) {
        log::warn(
            by_them ? "a node refuses the connection" : "a node was refused",
            log::field("peer", peer.address.node.value()),
            log::field("address", peer.connecting_to.text()),
            log::field("why", by_them ? theirs.sentence : refusal_sentence(*refusal, own, theirs)),
            log::field("passed_over", passed_over));
    }
    peer.backoff = limits_.backoff_max;  // this does not change soon
    detach(one);
    return false;
}

/// The link is about to close: it is nobody's any more.
void Transport::detach(Held& one) noexcept {
    Peer* const peer = one.peer;
    if (peer == nullptr) return;
    one.peer = nullptr;
    peer->past.bytes_sent += one.link.bytes_sent();
    peer->past.bytes_received += one.link.bytes_received();
    if (one.link.open()) peer->lost = true;
    if (peer->sender == &one.link) use_sender(*peer, nullptr);
    if (peer->opened == &one.link) {
        peer->opened = nullptr;
        retry_later(*peer);
    }
}

void Transport::close_links(const Peer& peer) {
    for (const auto& one : links_) {
        if (one->peer != &peer) continue;
        detach(*one);
        one->link.close();
    }
}

/// Those to lives of `peer` before `boot`, as far as that is known.
void Transport::close_earlier_links(const Peer& peer, std::uint64_t boot) {
    for (const auto& one : links_) {
        if (one->peer != &peer || !one->link.open() || one->link.theirs().boot >= boot) continue;
        detach(*one);
        one->link.close();
    }
}

void Transport::on_broken(Link& link, const std::string& why) noexcept {
    Held& one = held(link);
    Peer* const peer = one.peer;
    if (peer == nullptr) return;
    ++counters_.connections_broken;
    std::uint64_t passed_over = 0;
    if (peer->end_rate.allow(reactor_.now(), passed_over)) {
        log::warn("a connection to a node of the cluster ended",
                  log::field("peer", peer->address.node.value()), log::field("why", why),
                  log::field("passed_over", passed_over));
    }
    if (link.theirs().node == peer->address.node) peer->lost = true;
    detach(one);
    reactor_.want_turn();
}

void Transport::on_gone(Link& link) noexcept {
    held(link).gone = true;
    gone_ = true;
}

// --- messages ------------------------------------------------------------------------------------

Status Transport::on_frame(Link& link, const Frame& frame) noexcept {
    const Held& one = held(link);
    if (one.peer == nullptr) return {};
    ++counters_.frames_received;
    const NodeId from = one.peer->address.node;
    const Status status = split_by_core(frame, {from, self_}, reactor_.core(), handler_, inbox_);
    if (!inbox_.empty()) handler_.on_inbox(from, inbox_);
    inbox_.clear();
    return status;
}

template <typename Add>
bool Transport::queue(NodeId node, Add add) {
    Peer* const peer = find(node);
    if (peer != nullptr && peer->sender != nullptr) {
        if (add(peer->sender->queue())) return true;
        peer->dropped = true;
    }
    if (peer != nullptr) ++peer->past.messages_dropped;
    ++counters_.messages_dropped;
    return false;
}

bool Transport::send(const Message& message) {
    return queue(message.to, [&](FrameQueue& to) { return to.add(message); });
}

bool Transport::send_forward(NodeId peer, const Forward& request) {
    return queue(peer, [&](FrameQueue& to) { return to.add_forward(request); });
}

bool Transport::send_forward_reply(NodeId peer, const Forward& reply) {
    return queue(peer, [&](FrameQueue& to) { return to.add_forward_reply(reply); });
}

std::uint64_t Transport::way_to(NodeId node) const noexcept {
    const Peer* const peer = find(node);
    return peer == nullptr ? 0 : peer->way;
}

bool Transport::connected(NodeId node) const noexcept {
    const Peer* const peer = find(node);
    return peer != nullptr && peer->sender != nullptr;
}

PeerTraffic Transport::traffic(NodeId node) const noexcept {
    const Peer* const peer = find(node);
    if (peer == nullptr) return {};
    PeerTraffic all = peer->past;
    for (const auto& one : links_) {
        if (one->peer != peer) continue;
        all.bytes_sent += one->link.bytes_sent();
        all.bytes_received += one->link.bytes_received();
    }
    return all;
}

void Transport::break_off(NodeId node) {
    Peer* const peer = find(node);
    if (peer == nullptr) return;
    ++counters_.connections_broken;
    close_links(*peer);
    reactor_.want_turn();
}

void Transport::set_reading(bool on) {
    if (reading_ == on) return;
    reading_ = on;
    for (const auto& one : links_) {
        if (!one->link.open()) continue;
        if (on) {
            one->link.resume();
        } else {
            one->link.pause();
        }
    }
}

// --- turns ---------------------------------------------------------------------------------------

void Transport::flush() {
    // By index: what is told may change the list.
    for (std::size_t i = 0; i < peers_.size(); ++i) {
        Peer& peer = *peers_[i];
        choose_sender(peer);
        tell(peer);
    }
    for (const auto& one : links_) {
        one->link.flush();
        if (!reading_ && one->link.open()) one->link.pause();
    }
    if (gone_) sweep();
}

/// The connection that we opened, else the newest that the peer did.
void Transport::choose_sender(Peer& peer) noexcept {
    if (peer.opened != nullptr && peer.opened->open()) {
        return use_sender(peer, peer.opened);
    }
    if (peer.sender != nullptr) return;
    for (const auto& one : links_) {
        if (one->peer == &peer && one->link.open()) use_sender(peer, &one->link);
    }
}

void Transport::use_sender(Peer& peer, Link* link) noexcept {
    if (peer.sender == link) return;
    peer.sender = link;
    ++peer.way;
}

void Transport::tell(Peer& peer) noexcept {
    const NodeId node = peer.address.node;
    if (std::exchange(peer.lost, false) && std::exchange(peer.told_connected, false)) {
        handler_.on_disconnected(node);
    }
    if (std::exchange(peer.dropped, false) && peer.told_connected) handler_.on_unreachable(node);
    if (peer.sender != nullptr && !peer.told_connected) {
        peer.told_connected = true;
        handler_.on_connected(node, peer.sender->theirs().boot);
    }
}

void Transport::tick() {
    const Instant now = reactor_.now();
    // Nothing is added while links tick, and nothing is destroyed.
    for (const auto& one : links_) one->link.tick(now);
    reactor_.timers().arm(tick_timer_, now + tick_period);
}

void Transport::sweep() {
    gone_ = false;
    std::erase_if(links_, [](const auto& one) { return one->gone; });
    std::erase_if(peers_, [&](const auto& peer) {
        return (peer->removed || stopping_) && !peer->connect.in_flight() &&
               std::ranges::none_of(links_, [&](const auto& l) { return l->peer == peer.get(); });
    });
    changed_.set();
}

io::Task<void> Transport::stop() {
    stopping_ = true;
    for (const auto& peer : peers_) {
        close_links(*peer);
        reactor_.backend().cancel(peer->connect);
        reactor_.timers().disarm(peer->retry);
    }
    gone_ = true;
    reactor_.want_turn();
    while (!links_.empty() || !peers_.empty()) {
        changed_.reset();
        co_await changed_.wait();
    }
}

// --- looking up ----------------------------------------------------------------------------------

Transport::Held& Transport::hold(std::int32_t fd, Peer* peer) {
    links_.push_back(std::make_unique<Held>(*this, fd, peer));
    return *links_.back();
}

Transport::Held& Transport::held(Link& link) noexcept {
    for (const auto& one : links_) {
        if (&one->link == &link) return *one;
    }
    KV_UNREACHABLE("a link that nobody holds");
}

Transport::Peer* Transport::find(NodeId node) const noexcept {
    for (const auto& peer : peers_) {
        if (peer->address.node == node && !peer->removed) return peer.get();
    }
    return nullptr;
}

Handshake Transport::introduce() {
    Handshake own = book_.introduce();
    own.purpose = Purpose::raft;
    own.core = reactor_.core();
    own.cores = static_cast<std::uint16_t>(reactor_.mailboxes().cores());
    own.nonce = random_word(reactor_);
    return own;
}

}  // namespace kv::consensus
