#include "tests/support/sim_client.h"

namespace kv {

namespace {

/// Long enough for anything that is still under way to arrive.
constexpr Duration settle_time = 20ms;

io::Task<void> connect(io::Reactor& reactor, io::Endpoint server, std::int32_t* fd) {
    const Result<std::int32_t> connected = co_await io::connect_to(reactor, server);
    *fd = connected.value_or(-1);
}

}  // namespace

SimClient::SimClient(io::SimWorld& world, io::SimProcess& process, const io::Endpoint& server)
    : world_(world), process_(process), gap_timer_(*this) {
    std::int32_t fd = -1;
    const bool ran = process.run(connect(process.reactor(), server, &fd));
    if (!ran || fd < 0) return;
    io::Stream::Handler& handler = *this;
    stream_ = std::make_unique<io::Stream>(process.reactor(), fd, handler);
    stream_->receive();
}

SimClient::~SimClient() {
    if (stream_ == nullptr || process_.dead()) return;
    close();
    const bool closed = world_.run_until([&] { return closed_ || process_.dead(); }, 60s);
    KV_ASSERT(closed);
}

void SimClient::close() {
    process_.reactor().timers().disarm(gap_timer_);
    // What is being sent stays in place until on_closed().
    if (stream_ != nullptr && !stream_->closing()) stream_->close();
}

void SimClient::send(std::string_view bytes) {
    if (bytes.empty()) return;
    pieces_.emplace_back(bytes);
    if (!gap_timer_.armed()) send_next();
}

void SimClient::send_cut(std::string_view bytes, Prng& prng, std::size_t piece_max) {
    while (!bytes.empty()) {
        const auto piece = static_cast<std::size_t>(prng.between(1, piece_max));
        send(bytes.substr(0, piece));
        bytes.remove_prefix(std::min(piece, bytes.size()));
    }
}

void SimClient::send_next() {
    if (pieces_.empty() || ended() || stream_ == nullptr) return;
    if (stream_->sending() || stream_->closing()) return;
    stream_->send(as_bytes(std::string_view(pieces_.front()).substr(piece_sent_)));
}

void SimClient::on_sent(std::size_t bytes) noexcept {
    piece_sent_ += bytes;
    if (piece_sent_ < pieces_.front().size()) return send_next();
    pieces_.pop_front();
    piece_sent_ = 0;
    if (gap_ == Duration::zero()) return send_next();
    io::Reactor& reactor = process_.reactor();
    reactor.timers().arm(gap_timer_, reactor.now() + gap_);
}

void SimClient::on_received(Bytes bytes) noexcept {
    received_.append(as_text(bytes));
}

void SimClient::on_ended(std::int32_t error) noexcept {
    if (!ended_ || *ended_ == 0) ended_ = error;
}

void SimClient::set_reading(bool reading) {
    if (reading) {
        stream_->receive();
    } else {
        stream_->pause();
    }
}

bool SimClient::wait_for(std::size_t bytes, Duration limit) {
    return world_.run_until([&] { return received_.size() >= bytes || ended(); }, limit);
}

bool SimClient::wait_end(Duration limit) {
    return world_.run_until([&] { return ended(); }, limit);
}

std::string SimClient::exchange(std::string_view request, std::size_t expected_bytes) {
    send(request);
    static_cast<void>(wait_for(expected_bytes));
    world_.run_for(settle_time);
    return take();
}

}  // namespace kv
