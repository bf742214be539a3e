#include "consensus/drive/peer_acceptor.h"

#include <algorithm>
#include <system_error>

#include "proto/base/log.h"

namespace kv::consensus {

/// A connection whose handshake is under way.
class PeerAcceptor::Greeting final : private io::Stream::Handler {
public:
    Greeting(PeerAcceptor& acceptor, std::int32_t fd)
        : acceptor_(acceptor),
          stream_(acceptor.reactor_, fd, *this),
          begun_(acceptor.reactor_.now()) {}

    void start() { stream_.receive(); }
    void close() noexcept { stream_.close(); }
    bool gone() const noexcept { return gone_; }
    void tick(Instant now) {
        if (now - begun_ <= acceptor_.limits_.handshake_timeout || stream_.closing()) return;
        if (out_.empty()) acceptor_.on_malformed("the handshake took too long");
        close();
    }

private:
    void on_received(Bytes bytes) noexcept override {
        if (!out_.empty()) return;  // refused already
        // A handshake is short: what is longer is refused before it is kept.
        in_.append(as_text(bytes.first(std::min(bytes.size(), handshake_bytes_max + 1))));
        std::size_t consumed = 0;
        auto theirs = decode_handshake(as_bytes(in_), consumed);
        if (!theirs) {
            if (theirs.error().code == Errc::truncated) return;
            acceptor_.on_malformed(theirs.error().text());
            return close();
        }
        if (consumed != in_.size() || theirs->verdict != verdict_question) {
            acceptor_.on_malformed("a handshake that is more than a question");
            return close();
        }
        theirs_ = *std::move(theirs);
        decide();
    }

    void decide() {
        Handshake own;
        const auto refusal = acceptor_.judge_question(theirs_, own);
        if (!refusal) {
            accepted_ = true;
            return stream_.detach();
        }
        own.verdict = static_cast<std::uint16_t>(*refusal);
        own.sentence = refusal_sentence(*refusal, own, theirs_);
        encode_handshake(own, out_);
        stream_.send(as_bytes(out_));
    }

    void on_sent(std::size_t bytes) noexcept override {
        sent_ += bytes;
        if (sent_ == out_.size()) return close();
        stream_.send(as_bytes(std::string_view(out_).substr(sent_)));
    }
    void on_ended(std::int32_t) noexcept override { close(); }
    void on_closed() noexcept override {
        gone_ = true;
        acceptor_.changed_.set();
        if (!accepted_) return;
        const auto cores = acceptor_.reactor_.mailboxes().cores();
        const CoreId core(static_cast<std::uint16_t>(theirs_.core.value() % cores));
        acceptor_.taker_.take(stream_.fd(), theirs_, core);
    }

    PeerAcceptor& acceptor_;
    io::Stream stream_;
    Instant begun_;
    std::string in_;
    std::string out_;  ///< a refusal
    std::size_t sent_ = 0;
    Handshake theirs_;
    bool accepted_ = false;
    bool gone_ = false;
};

PeerAcceptor::PeerAcceptor(io::Reactor& reactor, PeerBook& book, Taker& taker, LinkLimits limits)
    : reactor_(reactor),
      book_(book),
      taker_(taker),
      limits_(limits),
      listener_(reactor, *this),
      tick_timer_(*this),
      changed_(reactor) {}

PeerAcceptor::~PeerAcceptor() {
    reactor_.timers().disarm(tick_timer_);
}

io::Task<Result<io::Endpoint>> PeerAcceptor::listen(io::Endpoint endpoint) {
    auto bound = co_await listener_.listen(endpoint);
    if (bound) {
        listening_ = true;
        listener_.accept();
        reactor_.timers().arm(tick_timer_, reactor_.now() + tick_period);
    }
    co_return bound;
}

void PeerAcceptor::on_accepted(std::int32_t fd) noexcept {
    pending_.push_back(std::make_unique<Greeting>(*this, fd));
    // Also a connection that is one too many is closed through its stream.
    if (stopping_ || pending_.size() > pending_max) {
        if (!stopping_) ++counters_.crowded;
        pending_.back()->close();
    } else {
        pending_.back()->start();
    }
}

void PeerAcceptor::on_accept_error(std::int32_t error) noexcept {
    log::warn("accepting nodes failed, trying again",
              log::field("error", std::generic_category().message(error)));
    accept_failed_ = true;
    accept_again_ = reactor_.now() + retry_period;
}

void PeerAcceptor::on_listener_closed() noexcept {
    closed_ = true;
    changed_.set();
}

void PeerAcceptor::tick() {
    const Instant now = reactor_.now();
    for (const auto& greeting : pending_) {
        if (!greeting->gone()) greeting->tick(now);
    }
    std::erase_if(pending_, [](const auto& greeting) { return greeting->gone(); });
    if (accept_failed_ && now >= accept_again_ && !stopping_) {
        accept_failed_ = false;
        listener_.accept();
    }
    reactor_.timers().arm(tick_timer_, now + tick_period);
}

void PeerAcceptor::on_malformed(const std::string& why) {
    ++counters_.malformed;
    std::uint64_t passed_over = 0;
    if (!malformed_rate_.allow(reactor_.now(), passed_over)) return;
    log::warn("a connection to the port for nodes was closed", log::field("why", why),
              log::field("passed_over", passed_over));
}

std::optional<Refusal> PeerAcceptor::judge_question(const Handshake& theirs, Handshake& own) {
    own = book_.introduce();
    own.purpose = theirs.purpose;
    own.cores = static_cast<std::uint16_t>(reactor_.mailboxes().cores());
    auto refusal = judge(own, theirs, book_.know(theirs.node));
    if (stopping_) refusal = Refusal::busy;
    if (!refusal) {
        book_.on_met(theirs);
        ++counters_.accepted;
        return std::nullopt;
    }
    book_.on_refused(theirs, static_cast<std::uint16_t>(*refusal), false);
    ++counters_.refused;
    std::uint64_t passed_over = 0;
    if (refusal_rate_.allow(reactor_.now(), passed_over)) {
        log::warn("a node was refused", log::field("peer", theirs.node.value()),
                  log::field("why", refusal_sentence(*refusal, own, theirs)),
                  log::field("passed_over", passed_over));
    }
    return refusal;
}

io::Task<void> PeerAcceptor::stop() {
    stopping_ = true;
    if (!listening_) co_return;
    if (!closed_) listener_.close();
    for (const auto& greeting : pending_) greeting->close();
    while (!closed_ || !pending_.empty()) {
        changed_.reset();
        co_await changed_.wait();
        std::erase_if(pending_, [](const auto& greeting) { return greeting->gone(); });
    }
    reactor_.timers().disarm(tick_timer_);
}

}  // namespace kv::consensus
