#include "io/mailboxes.h"

#include <algorithm>

namespace kv::io {

Mailboxes::Mailboxes(Backend& backend, CoreId core, Interconnect* interconnect)
    : backend_(backend), core_(core), interconnect_(interconnect) {
    if (interconnect == nullptr || interconnect->cores() == 1) return;
    KV_ASSERT(core.value() < interconnect->cores());
    peers_.resize(interconnect->cores());
    for (std::size_t i = 0; i < peers_.size(); ++i) {
        const CoreId peer(static_cast<std::uint16_t>(i));
        peers_[i].out = interconnect->pair(core, peer);
        peers_[i].in = interconnect->pair(peer, core);
    }
}

void Mailboxes::set_receiver(std::uint32_t kind, MessageReceiver* receiver) noexcept {
    KV_ASSERT(kind < kinds_max);
    receivers_[kind] = receiver;
}

bool Mailboxes::try_stage(Peer& peer, const Message& message) noexcept {
    if (!peer.congested && peer.out->mailbox.try_stage(message)) {
        ++counters_.sent;
        return true;
    }
    if (!peer.congested) ++congested_;
    peer.congested = true;
    ++counters_.full_rings;
    return false;
}

bool Mailboxes::try_send(CoreId to, const Message& message) noexcept {
    KV_ASSERT(to.value() < peers_.size() && to != core_);
    return try_stage(peers_[to.value()], message);
}

void Mailboxes::send(CoreId to, const Message& message) {
    KV_ASSERT(to.value() < peers_.size() && to != core_);
    Peer& peer = peers_[to.value()];
    if (try_stage(peer, message)) return;
    KV_ASSERT(peer.waiting.size() < waiting_max, "core {} is not read", to.value());
    peer.waiting.push_back(message);
    ++counters_.sent;
}

void Mailboxes::move_waiting(Peer& peer) {
    if (!peer.congested) return;
    while (!peer.waiting.empty() && peer.out->mailbox.try_stage(peer.waiting.front()))
        peer.waiting.pop_front();
    if (!peer.waiting.empty() || !peer.out->mailbox.has_room()) return;
    peer.congested = false;
    --congested_;
    // Not asked for any more. The consumer may be about to see it set: then it rings once in vain.
    peer.out->wants_room.store(false, std::memory_order_seq_cst);
}

void Mailboxes::take_from(std::size_t from, std::size_t& budget) {
    Interconnect::Pair& in = *peers_[from].in;
    const CoreId sender(static_cast<std::uint16_t>(from));
    const std::size_t taken = in.mailbox.take(budget, [&](const Message& message) {
        if (spent()) return false;
        KV_ASSERT(message.kind < kinds_max && receivers_[message.kind] != nullptr,
                  "nobody receives messages of kind {}", message.kind);
        again_ = false;
        receivers_[message.kind]->on_message(sender, message);
        return !again_;
    });
    if (taken == 0) return;
    budget -= taken;
    counters_.received += taken;
    if (in.wants_room.load(std::memory_order_seq_cst)) {
        in.wants_room.store(false, std::memory_order_seq_cst);
        ring(from);
    }
}

// What is beyond the budget is found by try_sleep(), and so by the next turn.
void Mailboxes::receive() {
    if (peers_.empty()) return;
    std::size_t budget = messages_per_turn_max;
    spent_bytes_ = 0;
    first_ = (first_ + 1) % peers_.size();
    for (std::size_t i = 0; i < peers_.size(); ++i) {
        const std::size_t peer = (first_ + i) % peers_.size();
        if (peer == core_.value()) continue;
        move_waiting(peers_[peer]);
        take_from(peer, budget);
    }
}

void Mailboxes::publish() {
    for (std::size_t i = 0; i < peers_.size(); ++i) {
        Interconnect::Pair* const out = peers_[i].out;
        if (out != nullptr && out->mailbox.publish()) ring(i);
    }
}

void Mailboxes::ring(std::size_t core) noexcept {
    const CoreId id(static_cast<std::uint16_t>(core));
    std::atomic<bool>& sleeping = interconnect_->core(id).sleeping;
    if (!sleeping.load(std::memory_order_seq_cst)) return;
    if (!sleeping.exchange(false, std::memory_order_seq_cst)) return;
    ++counters_.doorbells;
    backend_.wake(id);
}

bool Mailboxes::has_messages() const noexcept {
    return std::ranges::any_of(
        peers_, [](const Peer& peer) { return peer.in != nullptr && !peer.in->mailbox.empty(); });
}

// First the flags, then the looks; the others store first and then look at the flags. Whoever comes
// second in the one order of all these operations sees what the other did.
bool Mailboxes::try_sleep() noexcept {
    if (peers_.empty()) return true;
    sleeping_ = true;
    ++counters_.sleeps;
    interconnect_->core(core_).sleeping.store(true, std::memory_order_seq_cst);
    bool busy = false;
    for (Peer& peer : peers_) {
        if (peer.in == nullptr) continue;
        busy |= !peer.in->mailbox.empty();
        if (!peer.congested) continue;
        peer.out->wants_room.store(true, std::memory_order_seq_cst);
        busy |= peer.out->mailbox.has_room();
    }
    if (busy) {
        wake_up();
        return false;
    }
    return true;
}

void Mailboxes::wake_up() noexcept {
    if (!sleeping_) return;
    sleeping_ = false;
    interconnect_->core(core_).sleeping.store(false, std::memory_order_seq_cst);
}

void Mailboxes::abandon() noexcept {
    for (Peer& peer : peers_) peer.waiting.clear();
}

}  // namespace kv::io
