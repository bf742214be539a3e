#include "tests/support/gossip.h"

#include <string>

#include "proto/base/checksum.h"

namespace kv::io {

namespace {

std::uint64_t sum_of(const std::array<std::uint64_t, 3>& beat) {
    return mix_seed(beat[0], beat[1]);
}

}  // namespace

/// A connection on which a peer beats: checks and echoes.
struct Gossip::Incoming final : Stream::Handler {
    Incoming(Gossip& g, std::uint64_t n, std::int32_t fd)
        : gossip(g), number(n), stream(g.reactor_, fd, *this) {
        stream.receive();
    }
    void on_received(Bytes bytes) noexcept override {
        buffer.append(as_text(bytes));
        std::size_t at = 0;
        for (; buffer.size() - at >= sizeof(Beat); at += sizeof(Beat)) {
            Beat beat;
            std::memcpy(&beat, buffer.data() + at, sizeof beat);
            gossip.note(beat);
            if (!stream.sending() && !stream.closing()) {
                echo = beat;
                stream.send(as_bytes(echo));
            }
        }
        buffer.erase(0, at);
    }
    static Bytes as_bytes(const Beat& beat) {
        return {reinterpret_cast<const std::byte*>(beat.data()), sizeof beat};
    }
    void on_sent(std::size_t) noexcept override {}
    void on_ended(std::int32_t) noexcept override { stream.close(); }
    void on_closed() noexcept override { gossip.incoming_.erase(number); }

    Gossip& gossip;
    std::uint64_t number;
    Stream stream;
    std::string buffer;
    Beat echo{};
};

/// The connection to one peer, made again and again.
struct Gossip::Outgoing final : Stream::Handler {
    struct Connect : Op {
        explicit Connect(Outgoing& o) noexcept : Op(&Connect::done), out(o) {}
        static void done(Op& op, std::int32_t result, Completion) noexcept {
            static_cast<Connect&>(op).out.connected(result);
        }
        Outgoing& out;
    };

    Outgoing(Gossip& g, const Peer& p) : gossip(g), peer(p), endpoint(p.endpoint) {}

    void connect() {
        endpoint = peer.endpoint;
        OpRequest request;
        request.code = OpCode::connect;
        request.endpoint = &endpoint;
        op.set_request(request);
        last = gossip.reactor_.now();
        gossip.reactor_.backend().submit(op);
    }
    void connected(std::int32_t result) {
        if (result < 0) return;
        ++gossip.connects_;
        Stream::Handler& handler = *this;
        stream = std::make_unique<Stream>(gossip.reactor_, result, handler);
        stream->receive();
        last = gossip.reactor_.now();
        unsent = {};
    }
    void beat() {
        const bool silent = gossip.reactor_.now() - last > patience;
        if (op.in_flight()) {
            if (silent) gossip.reactor_.backend().cancel(op);
        } else if (stream == nullptr) {
            connect();
        } else if (silent && !stream->closing()) {
            ++gossip.given_up_;
            stream->close();
        } else if (!stream->closing() && !stream->sending() && unsent.empty()) {
            message = {gossip.self_.value(), gossip.sequence_, 0};
            message[2] = sum_of(message);
            unsent = Incoming::as_bytes(message);
            stream->send(unsent);
        }
    }
    void on_received(Bytes) noexcept override {
        last = gossip.reactor_.now();
        ++gossip.heard_[peer.node].echoes;
    }
    void on_sent(std::size_t bytes) noexcept override {
        unsent = unsent.subspan(bytes);
        if (!unsent.empty() && !stream->closing()) stream->send(unsent);
    }
    void on_ended(std::int32_t) noexcept override { stream->close(); }
    void on_closed() noexcept override { stream.reset(); }

    Gossip& gossip;
    Peer peer;
    Endpoint endpoint;
    Connect op{*this};
    std::unique_ptr<Stream> stream;
    Instant last{};
    Beat message{};
    Bytes unsent;
};

Gossip::Gossip(Reactor& reactor, NodeId self, const Endpoint& own, const std::vector<Peer>& peers,
               Duration period)
    : reactor_(reactor), self_(self), period_(period), listener_(reactor, *this), timer_(*this) {
    for (const Peer& peer : peers) outgoing_.push_back(std::make_unique<Outgoing>(*this, peer));
    reactor_.spawn(listen(this, own));
    reactor_.timers().arm(timer_, reactor_.now() + period_);
}

Gossip::~Gossip() = default;

Task<void> Gossip::listen(Gossip* self, Endpoint own) {
    const Result<Endpoint> bound = co_await self->listener_.listen(own);
    KV_ASSERT(bound.has_value());
    self->listener_.accept();
}

void Gossip::on_accepted(std::int32_t fd) noexcept {
    const std::uint64_t number = ++accepted_;
    incoming_.emplace(number, std::make_unique<Incoming>(*this, number, fd));
}

void Gossip::beat() {
    ++sequence_;
    for (const auto& peer : outgoing_) peer->beat();
    reactor_.timers().arm(timer_, reactor_.now() + period_);
}

void Gossip::note(const Beat& beat) {
    if (beat[2] != sum_of(beat)) {
        ++garbage_;
        return;
    }
    Heard& heard = heard_[NodeId(beat[0])];
    heard.last = reactor_.now();
    ++heard.beats;
    if (beat[1] < heard.sequence) ++heard.late;
    heard.sequence = std::max(heard.sequence, beat[1]);
}

}  // namespace kv::io
